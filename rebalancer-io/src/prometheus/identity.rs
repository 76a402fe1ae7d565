//! Identities that a cloud gives to a program, by which its managed metrics servers know who asks.

mod aws;
mod azure;
mod google;
mod proof;
mod tokens;

pub(crate) use aws::hex;
pub use aws::{AwsCredentials, AwsIdentity};
pub use azure::azure_identity;
pub use google::google_identity;
pub use proof::{Identity, Variables};
pub use tokens::TokenIdentity;
