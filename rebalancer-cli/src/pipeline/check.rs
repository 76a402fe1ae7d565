//! The checks of `check`, one file per category.

pub mod configuration;
pub mod group;
mod kafka;
pub mod kubernetes;
pub mod prometheus;
