//! Arbitrary bytes as an answer of a metrics server.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rebalancer_sim::fuzzing::decoder(data));
