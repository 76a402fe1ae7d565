//! The words that `event` takes in the log are those of the operating guide, and every line has one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::program::root;

/// Names that OpenTelemetry gives to what these would be called else.
const BETTER_NAMED: [(&str, &str); 6] = [
    ("pod", "k8s.pod.name"),
    ("namespace", "k8s.namespace.name"),
    ("status", "http.response.status_code"),
    ("method", "http.request.method"),
    ("path", "url.path"),
    ("error", "error.type"),
];

#[test]
fn every_line_of_the_log_is_an_event_that_the_guide_knows() {
    let calls: Vec<(PathBuf, String)> = sources().into_iter().flat_map(|path| calls(&path)).collect();
    assert!(calls.len() >= 10, "{}", calls.len());
    let mut events: BTreeSet<String> = BTreeSet::new();
    for (path, call) in &calls {
        let (_, rest) = call
            .split_once("event = \"")
            .unwrap_or_else(|| panic!("{}: a line of the log has no event: {call}", path.display()));
        events.insert(rest.split('"').next().expect("a string has a start").to_owned());
        for (name, better) in BETTER_NAMED {
            let field = call.split([',', '(', '{']).map(str::trim);
            let has = field.map(|field| field.trim_start_matches(['%', '?'])).any(|field| {
                field == name
                    || field.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with("= "))
            });
            assert!(!has, "{}: {name} is {better}: {call}", path.display());
        }
    }
    let guide = fs::read_to_string(root().join("docs/operating.md")).expect("the operating guide");
    let (_, table) = guide.split_once("<!-- events: begin -->").expect("the guide marks its events");
    let (table, _) = table.split_once("<!-- events: end -->").expect("the guide marks where they end");
    let told: BTreeSet<String> = table
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned()))
        .collect();
    assert_eq!(events, told);
}

/// Every call of a logging macro, with the file it is in.
fn calls(path: &Path) -> Vec<(PathBuf, String)> {
    let text = fs::read_to_string(path).expect("a source file is text");
    let mut calls = Vec::new();
    for macro_name in ["info!(", "warn!(", "error!(", "debug!(", "trace!(", "$level!("] {
        for part in text.split(&format!("tracing::{macro_name}")).skip(1) {
            let mut depth = 1;
            let end = part.find(|character| {
                depth += match character {
                    '(' => 1,
                    ')' => -1,
                    _ => 0,
                };
                depth == 0
            });
            calls.push((path.to_owned(), part[..end.expect("a call ends")].to_owned()));
        }
    }
    calls
}

/// The source files of the program.
fn sources() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = ["rebalancer-cli/src", "rebalancer-io/src", "rebalancer-core/src"]
        .map(|path| root().join(path))
        .into();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a source folder") {
            let path = entry.expect("an entry of it").path();
            match path.extension() {
                None => folders.push(path),
                Some(extension) if extension == "rs" => files.push(path),
                Some(_) => {}
            }
        }
    }
    files
}
