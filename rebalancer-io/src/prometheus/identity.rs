//! Identities that a cloud gives to a program, by which its managed metrics servers know who asks.

mod aws;
mod azure;
mod google;
mod proof;
mod tokens;

pub use aws::AwsIdentity;
pub use azure::AzureIdentity;
pub use google::GoogleIdentity;
pub use proof::{Identity, Variables};
