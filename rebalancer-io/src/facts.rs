//! Finds what a decision looks at beside the loads of the moment: history, the last replacement, the
//! spread before those of the last day, and the consumer group.
//!
//! Nothing here can fail a decision. What is not exported or was not recorded is absent, what cannot
//! be used and what a server refused or failed to give says why, and the guard or the step that needs
//! it is unknown.

mod finder;
mod group;
mod kept;
mod kin;
mod past;

pub use finder::FactFinder;
pub use kept::Kept;
pub use kin::Kin;
pub use past::history_name;
