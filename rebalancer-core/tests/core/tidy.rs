//! The rules of the house that a compiler does not check: what the core may name, and what a file
//! looks like.

use std::fs;
use std::path::{Path, PathBuf};

/// The longest a source file may be: more than that has more than one purpose.
const MAX_LINES: usize = 600;

/// All that the core may be built on. `serde` and `schemars` are optional, so that an embedder
/// needs none of them.
const CORE_DEPENDENCIES: [&str; 7] =
    ["foldhash", "hashbrown", "libm", "schemars", "serde", "statrs", "thiserror"];

#[test]
fn the_core_depends_on_the_written_list() {
    let manifest = read(&repository().join("rebalancer-core/Cargo.toml"));
    let tables: Vec<&str> = manifest.lines().filter(|line| line.contains("dependencies")).collect();
    assert_eq!(tables, ["[dependencies]", "[dev-dependencies]"], "no other table adds a dependency");
    let lines: Vec<&str> = manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.is_empty())
        .collect();
    let names: Vec<&str> = lines.iter().filter_map(|line| line.split([' ', '.', '=']).next()).collect();
    assert_eq!(names, CORE_DEPENDENCIES);
    for optional in ["schemars", "serde"] {
        let line = lines.iter().find(|line| line.starts_with(optional)).expect("it is on the list");
        assert!(line.contains("optional = true"), "{line}");
    }
}

#[test]
fn the_core_names_nothing_of_std() {
    let core = repository().join("rebalancer-core/src");
    assert!(read(&core.join("lib.rs")).contains("\n#![no_std]\n"), "the core is no_std");
    for path in sources(&core) {
        for (index, line) in read(&path).lines().enumerate() {
            let words =
                line.split(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != ':');
            let names_std =
                words.into_iter().any(|word| word.starts_with("std::") || word.contains("::std::"));
            assert!(
                !names_std && !line.contains("extern crate std"),
                "{}:{}: {line}",
                path.display(),
                index + 1
            );
        }
    }
}

#[test]
fn every_file_says_its_purpose_and_is_short() {
    let files = sources(&repository());
    assert!(files.len() > 50, "only {} source files found", files.len());
    for path in files {
        let text = read(&path);
        let shown = path.display();
        assert!(text.starts_with("//! "), "{shown} does not begin with its purpose (`//! ...`)");
        let lines = text.lines().count();
        assert!(lines <= MAX_LINES, "{shown} has {lines} lines, more than {MAX_LINES}");
        assert!(!path.ends_with("mod.rs"), "{shown}: a module is `foo.rs` beside `foo/`");
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the crate lies in the repository")
}

/// Every Rust file below `folder`, build output and hidden folders aside.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                found.extend(sources(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
