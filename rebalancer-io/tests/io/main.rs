//! The tests of the adapters, in one binary so that they are linked once.

mod async_driver;
mod facts;
mod joint;
mod kafka;
mod kubernetes;
mod prometheus;
mod proxies;
mod seeds;

#[path = "../../examples/async_driver.rs"]
#[allow(dead_code, reason = "its `main` is for those who run the example")]
mod example;
