//! Tells the linker to lay out the program as `start.ld` says: one of Linux, others read no such script.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=start.ld");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|set| set == value);
    // Who names a linker of their own may have one that reads no script, or is no C compiler.
    let names_one = |flags: String| flags.contains("-fuse-ld") || flags.contains("linker");
    let own_linker = env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(names_one);
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux") && !own_linker {
        let folder = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        println!("cargo::rustc-link-arg-bin=pod-rebalancer=-Wl,-T,{folder}/start.ld");
    }
}
