//! Arbitrary bits as loads, names and thresholds.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rebalancer_sim::fuzzing::engine(data));
