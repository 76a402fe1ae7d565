//! Finds what a decision looks at beside the loads of the moment: history, the last replacement, the
//! spread before those of the last day, and the consumer group.
//!
//! Nothing here can fail a decision. A fact that nobody exports, or that was not recorded, is absent. A fact
//! that cannot be used, or that a server refused or failed to give, says why; the guard or the step that
//! needs it is then unknown.

mod finder;
mod group;
mod kept;
mod kin;
mod offsets;
mod past;

pub use finder::FactFinder;
pub use kept::Kept;
pub use kin::Kin;
pub use past::history_name;
