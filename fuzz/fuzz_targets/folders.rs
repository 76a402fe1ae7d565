//! Arbitrary bytes as the files of a snapshot folder.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rebalancer_sim::fuzzing::folders(data));
