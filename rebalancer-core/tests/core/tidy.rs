//! The rules of the house that a compiler does not check: what the core may name, and what a file
//! looks like.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The longest a source file may be: more than that has more than one purpose.
const MAX_LINES: usize = 600;

/// All that the core may be built on. `serde` and `schemars` are optional, so that an embedder
/// needs none of them.
const CORE_DEPENDENCIES: [&str; 8] =
    ["foldhash", "hashbrown", "libm", "schemars", "serde", "statrs", "strum", "thiserror"];

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
fn crates_depend_one_way() {
    for (name, may) in [("core", &[][..]), ("io", &["core"]), ("cli", &["core", "io"])] {
        let manifest = read(&repository().join(format!("rebalancer-{name}/Cargo.toml")));
        let (_, table) = manifest.split_once("[dependencies]\n").expect("a crate has dependencies");
        let lines = table.lines().take_while(|line| !line.starts_with('['));
        let own = lines.filter_map(|line| line.strip_prefix("rebalancer-")?.split([' ', '.', '=']).next());
        assert_eq!(own.collect::<Vec<&str>>(), may, "rebalancer-{name}");
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

/// Whoever holds an `Evictor` can evict; everything else looks.
#[test]
fn one_file_makes_the_client_that_can_evict() {
    let repository = repository();
    let programs =
        ["rebalancer-cli/src", "rebalancer-io/src"].map(|folder| sources(&repository.join(folder)));
    let makes = |path: &PathBuf| read(path).contains(".evictor(");
    let found: Vec<PathBuf> = programs.into_iter().flatten().filter(makes).collect();
    assert_eq!(found, [repository.join("rebalancer-cli/src/pipeline/rotate.rs")]);
}

/// Folders of crates in which no file uses a file that uses it, directly or by way of others. Add the
/// `src` folder of another crate here as soon as the test passes for it.
const WITHOUT_CIRCLES: [&str; 4] =
    ["rebalancer-cli/src", "rebalancer-core/src", "rebalancer-io/src", "rebalancer-sim/src"];

/// Goes by the `use` lines outside of tests. A line such as `use crate::guard::verdict::Check` uses the file
/// with the longest path that fits, `guard/verdict.rs`; `use crate::Check` uses `lib.rs`, which uses every
/// file. So a file names what it takes where it is defined, not where it is exported again.
#[test]
fn no_circle_between_files() {
    for folder in WITHOUT_CIRCLES {
        let uses = uses_between_files(&repository().join(folder));
        assert!(uses.len() > 5, "only {} files below {folder}", uses.len());
        for file in uses.keys() {
            let circle = way(&uses, file, file, &mut vec![]);
            assert!(circle.is_none(), "{folder}: {}", circle.unwrap_or_default().join(" uses "));
        }
    }
}

/// The shortest list of files from `from` to `to` that depth-first search comes to.
fn way(
    uses: &BTreeMap<String, Vec<String>>,
    from: &str,
    to: &str,
    seen: &mut Vec<String>,
) -> Option<Vec<String>> {
    for next in &uses[from] {
        if next == to {
            return Some(vec![from.to_owned(), next.clone()]);
        }
        if seen.contains(next) {
            continue;
        }
        seen.push(next.clone());
        if let Some(rest) = way(uses, next, to, seen) {
            return Some([vec![from.to_owned()], rest].concat());
        }
    }
    None
}

/// The modules that each module uses, `crate` being the root of the crate.
fn uses_between_files(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let modules: BTreeMap<String, PathBuf> =
        sources(folder).into_iter().map(|path| (module(folder, &path), path)).collect();
    let used = |module: &str, path: &Path| {
        let mut used: Vec<String> = used_paths(&read(path), module, &modules);
        used.retain(|other| other != module);
        used.sort();
        used.dedup();
        used
    };
    modules.iter().map(|(module, path)| (module.clone(), used(module, path))).collect()
}

/// The path of the module that a file is, such as `crate::guard::verdict`.
fn module(folder: &Path, path: &Path) -> String {
    let path = path.strip_prefix(folder).expect("it lies below").with_extension("");
    let parts = path.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
    let parts: Vec<String> = parts.filter(|part| part != "lib" && part != "main").collect();
    [vec!["crate".to_owned()], parts].concat().join("::")
}

/// The modules that the `use` lines of a module name.
fn used_paths(text: &str, module: &str, modules: &BTreeMap<String, PathBuf>) -> Vec<String> {
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let starts = ["\nuse ", "\npub use ", "\npub(crate) use ", "\npub(super) use "];
    let statements = starts.into_iter().flat_map(|start| code.split(start).skip(1));
    let mut found = Vec::new();
    for statement in statements.filter_map(|rest| rest.split(';').next()) {
        for path in expanded(&statement.split_whitespace().collect::<String>()) {
            let (mut from, mut path) = (module, path.as_str());
            while let Some(rest) = path.strip_prefix("super::") {
                from = from.rsplit_once("::").map_or("crate", |(parent, _)| parent);
                path = rest;
            }
            let first = path.split("::").next().unwrap_or_default();
            let mut absolute = match first {
                "crate" => path.to_owned(),
                "self" => format!("{from}{}", path.strip_prefix(first).unwrap_or_default()),
                _ if from != module || modules.contains_key(&format!("{module}::{first}")) => {
                    format!("{from}::{path}")
                }
                _ => continue,
            };
            while !modules.contains_key(&absolute) {
                absolute.truncate(absolute.rfind("::").expect("the root is a module"));
            }
            found.push(absolute);
        }
    }
    found
}

/// `a::{b, c::d}` as `a::b` and `a::c::d`.
fn expanded(path: &str) -> Vec<String> {
    let Some((prefix, group)) = path.split_once('{') else { return vec![path.to_owned()] };
    let group = group.strip_suffix('}').expect("a group ends");
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for letter in group.chars() {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        match letter {
            ',' if depth == 0 => parts.push(String::new()),
            _ => parts.last_mut().expect("there is one").push(letter),
        }
    }
    let parts = parts.iter().filter(|part| !part.is_empty());
    parts.flat_map(|part| expanded(part)).map(|part| format!("{prefix}{part}")).collect()
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
