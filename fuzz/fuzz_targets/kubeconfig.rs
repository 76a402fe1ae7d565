//! Arbitrary bytes as damage to a kubeconfig.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rebalancer_sim::fuzzing::kubeconfig(data));
