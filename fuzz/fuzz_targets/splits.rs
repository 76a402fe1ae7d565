//! An answer cut in two at every byte.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rebalancer_sim::fuzzing::splits(data));
