//! Arbitrary bytes as an answer of an API server.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rebalancer_sim::fuzzing::api(data));
