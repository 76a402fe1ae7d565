//! Answers as servers write them, some damaged, by both roads of the decoder.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rebalancer_sim::fuzzing::answers(data));
