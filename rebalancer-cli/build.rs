//! Tells the linker to lay out the program as `start.ld` says: one of Linux, others read no such script.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=start.ld");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|set| set == value);
    // Who names a linker of their own may have one that reads no script.
    let own_linker = env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("-fuse-ld"));
    if is("PROFILE", "release") && is("CARGO_CFG_TARGET_OS", "linux") && !own_linker {
        let folder = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        println!("cargo::rustc-link-arg-bin=pod-rebalancer=-Wl,-T,{folder}/start.ld");
    }
}
