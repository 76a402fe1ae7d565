//! Fetches what a decision uses besides the current loads: history, the last replacement, the spread before
//! the last day's replacements, and the consumer group.
//!
//! Nothing here can make a decision fail. A fact that nobody exports, or that was not recorded, is absent. A
//! fact that is unusable, or that a server refused or failed to give, says why; the guard or test that needs
//! it is then unknown.

mod finder;
mod group;
mod history;
mod kin;
mod members;
mod offsets;
mod past;
mod vetoes;
mod windows;

pub use finder::FactFinder;
pub use history::{Kept, PastError, loads_between};
pub use kin::Kin;
pub(crate) use offsets::offsets_range;
pub(crate) use past::history_range;
pub use past::{WITH_A_PAST, history_name};
pub(crate) use windows::shifted;
pub use windows::{Question, window_questions};
