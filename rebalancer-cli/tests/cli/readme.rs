//! README and guides show what the program prints, takes and says.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

use rebalancer_core::FailureKind;

use crate::program::{root, run};

/// `UPDATE_README=1 cargo test -p rebalancer-cli` writes the outputs anew.
#[test]
fn the_readme_shows_the_replay_as_it_is_printed() {
    const COMMAND: &str = "$ cargo run --release -- replay testdata/recordings/orders-12.jsonl\n";
    let path = root().join("README.md");
    let readme = fs::read_to_string(&path).expect("the README");
    let (before, rest) = readme.split_once(COMMAND).expect("the README shows the command");
    let (shown, after) = rest.split_once("```").expect("a code block ends");
    let done = run(&["replay", "testdata/recordings/orders-12.jsonl"], &[]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done}");
    let printed = done.stdout;
    if env::var_os("UPDATE_README").is_some() {
        fs::write(&path, format!("{before}{COMMAND}{printed}```{after}")).expect("the README can be written");
        return;
    }
    assert_eq!(shown, printed, "run UPDATE_README=1 cargo test -p rebalancer-cli");
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines of README and guides that a reader types after `$`, without their remarks.
fn typed() -> Vec<String> {
    let docs = fs::read_dir(root().join("docs")).expect("the guides");
    let docs = docs.map(|entry| entry.expect("a guide").path()).filter(|path| path.is_file());
    let lines = docs.chain([root().join("README.md")]).flat_map(|path| {
        let text = read(&path).replace("\\\n", " ");
        text.lines().filter_map(|line| line.strip_prefix("$ ").map(str::to_owned)).collect::<Vec<String>>()
    });
    lines.map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned()).collect()
}

/// Help ends the parsing: what stands before it has been understood.
#[test]
fn every_command_of_the_guides_is_understood() {
    let mut tried = 0;
    for line in typed() {
        let Some((_, arguments)) = line.split_once("pod-rebalancer ") else { continue };
        let is_ours = line.split(' ').find(|word| !word.contains('=')) == Some("pod-rebalancer");
        if !is_ours {
            continue;
        }
        let words = arguments.split_whitespace().map(|word| word.trim_matches('\''));
        let help = run(&words.chain(["--help"]).collect::<Vec<&str>>(), &[]);
        assert_eq!(help.code, Some(0), "{line}: {help}");
        tried += 1;
    }
    assert!(tried > 12, "{tried} commands were found");
}

#[test]
fn the_samples_that_need_no_server_run() {
    let folder = tempfile::TempDir::new().expect("a folder for temporary files");
    let program =
        Path::new(env!("CARGO_BIN_EXE_pod-rebalancer")).parent().expect("a program lies in a folder");
    let search = format!("{}:{}", program.display(), env::var("PATH").unwrap_or_default());
    let lines = typed();
    let offline: Vec<&String> = lines.iter().filter(|line| line.contains("states.json")).collect();
    assert_eq!(offline.len(), 2, "writes the file, and replays it");
    for line in offline {
        let ran = Command::new("bash")
            .args(["-euc", line])
            .current_dir(folder.path())
            .env("PATH", &search)
            .output();
        let ran = ran.expect("bash is there");
        assert!(ran.status.success(), "{line}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

/// Troubleshooting goes by the message: each family of errors stands there as it is printed.
#[test]
fn every_family_of_errors_has_its_remedy() {
    let guide = read(&root().join("docs/troubleshooting.md"));
    let guide = guide.split_whitespace().collect::<Vec<&str>>().join(" ");
    let source = read(&root().join("rebalancer-io/src/prometheus/error.rs"));
    let literal = |text: &str| {
        text.split(['{', '"', ';', '`']).next().unwrap_or_default().trim_end_matches([' ', ':']).to_owned()
    };
    let of_metrics = source.split("#[error(\"").skip(1).map(literal);
    let of_cluster = FailureKind::ALL.iter().map(|kind| literal(&kind.to_string()));
    let families: Vec<String> = of_metrics.chain(of_cluster).filter(|family| family.len() > 3).collect();
    assert!(families.len() > 30, "{families:?}");
    for family in families {
        assert!(guide.contains(&family), "docs/troubleshooting.md does not speak of {family:?}");
    }
}
