//! Arbitrary samples of partitions, joined with arbitrary live pods.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rebalancer_sim::fuzzing::ownership(data));
