//! Arbitrary answers to a rotation.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rebalancer_sim::fuzzing::rotation(data));
