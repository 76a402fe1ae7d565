//! Arbitrary text as the words of the configuration.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rebalancer_sim::fuzzing::settings(data));
