//! The checks of `check`, one file a category.

pub mod configuration;
mod kafka;
pub mod kubernetes;
pub mod prometheus;
