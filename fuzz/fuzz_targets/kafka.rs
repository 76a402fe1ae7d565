//! Arbitrary answers of a Kafka broker.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rebalancer_sim::fuzzing::kafka(data));
