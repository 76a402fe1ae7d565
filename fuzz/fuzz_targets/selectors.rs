//! Arbitrary text as a label selector and as a query.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rebalancer_sim::fuzzing::selectors(data));
