//! What the program tells a shell, a manual reader and a package: completions, pages, its version, and
//! the name it is called by.

use std::io::pipe;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use crate::program::{Running, command, root, run};

/// What bash offers for the words of a line, the last of which is being typed.
fn offered(words: &[&str]) -> Vec<String> {
    let folder = tempfile::TempDir::new().expect("a folder for temporary files");
    let script = folder.path().join("pod-rebalancer.bash");
    std::fs::write(&script, run(&["completion", "bash"], &[]).stdout).expect("a file in a folder of ours");
    let ask = r#"
        source "$1" || exit 9
        shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
        entry=$(complete -p pod-rebalancer) || exit 8
        [[ $entry =~ -F\ ([^ ]+) ]] || exit 7
        "${BASH_REMATCH[1]}" pod-rebalancer "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "--noprofile", "-c", ask, "bash"]).arg(&script).arg("pod-rebalancer").args(words);
    let output = bash.output().expect("bash is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{}: {said}", output.status);
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_and_values() {
    assert_eq!(offered(&["pl"]), ["plan"]);
    assert_eq!(offered(&["plan", "--cpu-v"]), ["--cpu-variance-threshold"]);
    assert_eq!(offered(&["run", "--pacing", ""]), ["sequential", "wait-ready"]);
    assert!(offered(&["check", "-o", ""]).contains(&"short".to_owned()));
}

#[test]
fn every_shell_has_a_script() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let done = run(&["completion", shell], &[]);
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done}");
        assert!(done.stdout.contains("cpu-variance-threshold"), "{shell}");
    }
    assert!(run(&["completion", "tcsh"], &[]).assert_one_error(64).contains("bash"));
}

#[test]
fn each_command_has_a_page() {
    let page = run(&["man"], &[("PROMETHEUS_ENDPOINT", "http://user:hunter2@prometheus")]);
    assert!(page.stdout.starts_with(".ie") && page.stdout.contains(".SH NAME"), "{page}");
    let folder = tempfile::TempDir::new().expect("a folder for temporary files");
    let pages = folder.path().join("man1");
    let dir = pages.to_str().expect("a path of ours");
    let done = run(&["man", dir], &[("PROMETHEUS_ENDPOINT", "http://user:hunter2@prometheus")]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), ""), "{done}");
    let run_page = std::fs::read_to_string(pages.join("pod-rebalancer-run.1")).expect("the page of run");
    assert!(run_page.contains("CPU_VARIANCE_THRESHOLD"), "variables stand in it");
    assert!(!run_page.contains("hunter2"), "their values do not");
    for section in [".SH ENVIRONMENT", ".SH \"EXIT STATUS\"", ".SH EXAMPLES"] {
        assert!(run_page.contains(section), "{section}");
    }
    for name in ["pod-rebalancer", "pod-rebalancer-plan", "pod-rebalancer-check", "pod-rebalancer-replay"] {
        assert!(pages.join(format!("{name}.1")).exists(), "{name}");
    }
    let done = run(&["man", "Cargo.toml"], &[]);
    assert!(done.assert_one_error(1).contains("Cargo.toml"), "{done}");
}

#[test]
fn the_short_help_is_of_the_command_that_was_typed() {
    let short = run(&["run", "-h"], &[("PROMETHEUS_ENDPOINT", "http://user:hunter2@prometheus")]);
    assert_eq!((short.code, short.stderr.as_str()), (Some(0), ""), "{short}");
    assert!(short.stdout.contains("--dry-run") && short.stdout.contains("Examples:"), "{short}");
    assert!(!short.stdout.contains("hunter2") && short.stdout.lines().count() <= 24, "{short}");
    let long = run(&["run", "--help"], &[]).stdout;
    assert!(
        long.contains("--persistence")
            && !long.contains("--persistence-window")
            && long.lines().count() > 100
    );
    let program = run(&["-h"], &[]).stdout;
    assert!(program.contains("backtest") && program.lines().count() <= 24, "{program}");
}

#[test]
fn what_is_piped_in_is_replayed() {
    let file = "testdata/recordings/orders-12.jsonl";
    let expected = run(&["replay", file, "-o", "json"], &[]).json();
    for input in [file, "testdata/recordings/streams-1000.jsonl.gz", "README.md"] {
        let mut replay = command(&["replay", "-", "-o", "json"], &[]);
        let output = replay
            .stdin(std::fs::File::open(root().join(input)).expect("a file of the repository"))
            .output()
            .expect("the program was built with the tests");
        if input == file {
            let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a report");
            assert_eq!(report, expected);
        } else if input == "README.md" {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains("standard input is neither a recording"), "{said}");
        } else {
            assert!(output.status.success());
        }
    }
}

#[test]
fn a_page_is_made_of_what_is_piped_in() {
    let file = "testdata/recordings/orders-12.jsonl";
    let report = run(&["replay", file, "-o", "json"], &[]).stdout;
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let saved = folder.path().join("report.json");
    std::fs::write(&saved, report).expect("a file in a folder of ours");
    for input in [&root().join(file), &saved] {
        let input = std::fs::File::open(input).expect("a file of ours");
        let output = command(&["report", "-"], &[]).stdin(input).output();
        let output = output.expect("the program was built with the tests");
        let page = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && page.contains("</html>"), "{output:?}");
    }
}

#[test]
fn the_log_is_as_loud_as_asked() {
    let file = "testdata/recordings/orders-12.jsonl";
    let typo = [("CPU_VARIANCE_TRESHOLD", "1"), ("LOG_LEVEL", "info")];
    let heard = |args: &[&str]| run(&[&["replay", file][..], args].concat(), &typo).stderr.lines().count();
    assert_eq!((heard(&[]), heard(&["-q"])), (1, 0));
    assert!(heard(&["-v"]) >= 1);
    assert_eq!(run(&["replay", file, "-q", "-v"], &[]).code, Some(64));
}

#[test]
fn the_version_is_one_however_it_is_asked_for() {
    let flag = run(&["--version"], &[]).stdout;
    assert_eq!(flag, format!("pod-rebalancer {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(run(&["version"], &[]).stdout, flag);
    // Settings of other commands are none of its concern.
    let json = run(&["version", "-o", "json"], &[("LOG_LEVEL", "loud"), ("OUTPUT", "table")]).json();
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(json["api_version"], "pod-rebalancer/v1");
}

/// A released program names its commit: what is built says so only where the build is told.
#[test]
fn a_release_is_built_with_its_commit() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).expect("a file of the repository");
    let image = read("deploy/docker/Dockerfile");
    let (before, after) = image.split_once("ARG REVISION=").expect("the image takes the commit");
    assert!(after.contains("ENV POD_REBALANCER_REVISION=$REVISION") && after.contains("cargo build"));
    assert!(before.contains("FROM docker.io/library/rust") && !before.contains("cargo build"), "{before}");
    let release = read(".github/workflows/release.yml");
    for line in ["POD_REBALANCER_REVISION: ${{ github.sha }}", "build-args: REVISION=${{ github.sha }}"] {
        assert!(release.contains(line), "the release lacks: {line}");
    }
}

#[test]
fn a_plugin_is_called_by_its_name_in_kubectl() {
    let mut plugin = command(&["plan", "--help"], &[]);
    plugin.arg0("/home/ada/.krew/bin/kubectl-rebalance_pods");
    let help = Running::start(&mut plugin).wait().stdout;
    assert!(help.contains("Usage: kubectl rebalance-pods plan"), "{help}");
}

#[test]
fn a_flag_that_is_nearly_right_is_told() {
    let done = run(&["plan", "--cpu-varience-threshold", "0.1"], &[]);
    assert_eq!(done.code, Some(64), "{done}");
    assert!(done.stderr.contains("--cpu-variance-threshold"), "{done}");
    let done = run(&["plna"], &[]);
    assert!(done.stderr.contains("plan"), "{done}");
}

#[test]
fn a_variable_that_is_nearly_right_is_warned_of() {
    let set = [
        ("PROMETHEUS_ENDPONT", "http://prometheus:9090"),
        ("CPU_VARIENCE_THRESHOLD", "0.9"),
        ("WARM_UP", "1m"),
    ];
    let done = run(&["replay", "testdata/recordings/orders-12.jsonl"], &set);
    assert_eq!(done.code, Some(0), "{done}");
    for (wrong, right) in [
        ("PROMETHEUS_ENDPONT", "PROMETHEUS_ENDPOINT"),
        ("CPU_VARIENCE_THRESHOLD", "CPU_VARIANCE_THRESHOLD"),
        ("WARM_UP", "WARMUP"),
    ] {
        let words = format!("{wrong} is set but unknown; did you mean {right}?");
        assert!(done.stderr.contains(&words), "{done}");
    }
    assert!(!done.stderr.contains("http://prometheus:9090"), "its value may be a secret: {done}");
    let normal = [
        ("KUBECONFIG", "/nowhere"),
        ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
        ("KUBERNETES_PORT_443_TCP_ADDR", "10.0.0.1"),
        ("PROMETHEUS_PORT", "tcp://10.0.0.2:9090"),
        ("PROMETHEUS_SERVICE_PORT_WEB", "9090"),
        ("HOSTNAME", "laptop"),
        ("RUST_LOG", "info"),
        ("PROMETHEUS_ENDPOINT", ""),
    ];
    let done = run(&["replay", "testdata/recordings/orders-12.jsonl"], &normal);
    assert_eq!(done.stderr, "", "{done}");
}

#[test]
fn a_file_of_a_folder_is_told_what_it_is() {
    let folder = "testdata/snapshots/orders-12-with-pods";
    for (file, words) in [("cpu.json", "is the answer to one query"), ("pods.json", "is a list of pods")] {
        let done = run(&["replay", &format!("{folder}/{file}")], &[]);
        let message = done.assert_one_error(1);
        assert!(message.contains(words) && message.contains("folder"), "{message}");
    }
}

/// `pod-rebalancer ... | head` and `2>&-` end as if someone had read everything.
#[test]
fn a_reader_that_has_gone_is_no_reason_to_panic() {
    for args in [&["--help"][..], &["completion", "bash"], &["man"], &["version"], &["config"]] {
        let (reader, writer) = pipe().expect("a pipe");
        drop(reader);
        let mut gone =
            command(args, &[("PROMETHEUS_ENDPOINT", "http://p:9090"), ("KUBE_LABEL_SELECTOR", "a=b")]);
        let output =
            gone.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), said.as_ref()), (Some(0), ""), "{args:?}");
    }
    // Nor is an error that nobody reads.
    for args in [&["plan"][..], &["frobnicate"], &["replay", "/nowhere"]] {
        let (reader, writer) = pipe().expect("a pipe");
        drop(reader);
        let status = command(args, &[]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(writer).status();
        assert_eq!(status.expect("it runs").code(), Some(64), "{args:?}");
    }
}
