//! The HTML report in a real browser: what it shows, and that it asks nobody for anything.

mod pages;
mod reading;
mod screenshots;
mod silence;
