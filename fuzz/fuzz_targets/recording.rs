//! Arbitrary bytes as a recorded run.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rebalancer_sim::fuzzing::recording(data));
