//! Arbitrary bytes as a page with a recording.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rebalancer_sim::fuzzing::page(data));
