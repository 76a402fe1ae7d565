//! The tests of the adapters, in one binary so that they are linked once.

mod facts;
mod kubernetes;
mod prometheus;
mod proxies;
mod seeds;
