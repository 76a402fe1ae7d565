//! The checks of `check`, one file a category.

pub mod configuration;
pub mod kubernetes;
pub mod prometheus;
