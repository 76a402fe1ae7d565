//! The README shows what the program prints.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// `UPDATE_README=1 cargo test -p rebalancer-cli` writes the outputs anew.
#[test]
fn the_readme_shows_the_replay_as_it_is_printed() {
    const COMMAND: &str = "$ cargo run --release -- replay testdata/recordings/orders-12.jsonl\n";
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = root.join("README.md");
    let readme = fs::read_to_string(&path).expect("the README");
    let (before, rest) = readme.split_once(COMMAND).expect("the README shows the command");
    let (shown, after) = rest.split_once("```").expect("a code block ends");
    let run = Command::new(env!("CARGO_BIN_EXE_pod-rebalancer"))
        .args(["replay", "testdata/recordings/orders-12.jsonl"])
        .current_dir(&root)
        .env_clear()
        .output()
        .expect("the program runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let printed = String::from_utf8(run.stdout).expect("the report is text");
    if env::var_os("UPDATE_README").is_some() {
        fs::write(&path, format!("{before}{COMMAND}{printed}```{after}")).expect("the README can be written");
        return;
    }
    assert_eq!(shown, printed, "run UPDATE_README=1 cargo test -p rebalancer-cli");
}
