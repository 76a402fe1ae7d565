//! Forms of the report, and what happens when nobody reads it.

use std::io::pipe;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::program::{check, command, run};
use crate::servers::{BUSIEST, LEAST_BUSY, Servers};

const SNAPSHOT: &str = "testdata/snapshots/orders-12-prometheus";

fn replay(args: &[&str]) -> crate::program::Done {
    let args: Vec<&str> = ["replay", SNAPSHOT].into_iter().chain(args.iter().copied()).collect();
    run(&args, &[])
}

#[test]
fn names_are_printed_only_of_pods_that_would_go() {
    assert_eq!(replay(&["-o", "name"]).stdout, format!("{BUSIEST}\n{LEAST_BUSY}\n"));
    let over = ["--cpu-variance-threshold", "9", "--lag-variance-threshold", "9"];
    let idle = ["--floors", "cpu=100,lag=1000000"];
    let few = ["--min-pods", "13"];
    for held in [&over[..], &idle, &few] {
        let args: Vec<&str> = ["-o", "name"].into_iter().chain(held.iter().copied()).collect();
        let done = replay(&args);
        assert_eq!((done.code, done.stdout.as_str()), (Some(0), ""), "{done}");
    }
}

#[test]
fn none_prints_nothing_and_keeps_the_exit_code() {
    let done = replay(&["-o", "none", "--detailed-exitcode"]);
    assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (Some(2), "", ""));
}

#[test]
fn yaml_and_json_say_the_same() {
    let json = replay(&["-o", "json"]).json();
    let yaml = replay(&["-o", "yaml"]).stdout;
    let line = |key: &str| yaml.lines().find(|line| line.trim_start().starts_with(key)).map(str::to_owned);
    assert_eq!(line("api_version:").as_deref(), Some("api_version: pod-rebalancer/v1"), "{yaml}");
    assert_eq!(line("outcome:").as_deref(), Some("outcome: planned"));
    assert_eq!(line("evaluation_time:").is_some(), json["evaluation_time"].is_string());
    assert_eq!(yaml.matches("composite_score:").count(), json["pods"].as_array().map_or(0, Vec::len));
    insta::assert_snapshot!("yaml", yaml);
}

/// Keys that programs rely on: they may only ever be joined by others.
#[test]
fn the_keys_of_a_report_stay() {
    let report = replay(&["-o", "json"]).json();
    let has = |value: &Value, keys: &[&str]| {
        for key in keys {
            assert!(value.get(key).is_some(), "{key} is gone from {value}");
        }
    };
    has(
        &report,
        &["api_version", "kind", "outcome", "should_rebalance", "targets", "reason", "statistics", "pods"],
    );
    has(&report, &["guards", "thresholds"]);
    has(&report["targets"][0], &["pod", "role"]);
    for metric in ["cpu", "memory", "lag", "rate"] {
        let statistics = &report["statistics"][metric];
        has(
            statistics,
            &["count", "mean", "variance", "std_dev", "cv", "median", "min", "max", "max_over_mean"],
        );
    }
    let loads = ["cpu_usage", "memory_usage", "kafka_lag", "message_rate"];
    has(&report["pods"][0], &loads);
    has(&report["pods"][0], &["name", "composite_score", "verdict"]);
}

#[test]
fn wide_shows_more_than_a_table() {
    let (table, wide) = (replay(&[]).stdout, replay(&["-o", "wide"]).stdout);
    assert!(!table.contains("MEDIAN") && wide.contains("MEDIAN"));
    let large = ["replay", "testdata/snapshots/streams-1000-prometheus"];
    let rows = |form: &str| run(&[large[0], large[1], "-o", form], &[]).stdout.lines().count();
    assert!(rows("table") < 60, "{}", rows("table"));
    assert!(rows("wide") > 1000, "{}", rows("wide"));
}

/// Runs with a standard output whose reader has gone.
fn to_nobody(mut command: Command) -> (Option<i32>, String) {
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let output = command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).output();
    let output = output.expect("the program was built with the tests");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    for form in ["table", "wide", "json", "yaml", "name"] {
        let replay = command(&["replay", "testdata/snapshots/streams-1000-prometheus", "-o", form], &[]);
        assert_eq!(to_nobody(replay), (Some(0), String::new()), "{form}");
    }
    let servers = Servers::start();
    let folder = tempfile::TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("run.jsonl");
    for args in [vec!["config"], vec!["check"], vec!["record", file.to_str().expect("a path of ours")]] {
        let set = [("KUBE_LABEL_SELECTOR", "app=orders-consumer"), ("METRICS_PRESET", "micrometer")];
        let mut command = command(&args, &set);
        command
            .env("PROMETHEUS_ENDPOINT", servers.metrics.url())
            .env("KUBECONFIG", servers.cluster.kubeconfig_path());
        assert_eq!(to_nobody(command), (Some(0), String::new()), "{args:?}");
    }
}

/// The report of a rotation is not worth less because nobody reads it: the exit code tells it still.
#[test]
fn a_run_that_nobody_reads_still_ends_as_it_went() {
    let servers = Servers::start();
    let mut run =
        command(&["run", "--yes"], &[("KUBE_LABEL_SELECTOR", "app=orders-consumer"), ("LOG_LEVEL", "off")]);
    run.env("PROMETHEUS_ENDPOINT", servers.metrics.url())
        .env("KUBECONFIG", servers.cluster.kubeconfig_path());
    assert_eq!(to_nobody(run), (Some(0), String::new()));
    assert_eq!(servers.evictions(), [BUSIEST, LEAST_BUSY]);
}

/// Names and words of other programs cannot repaint a terminal.
#[test]
fn control_characters_of_others_are_not_printed() {
    let folder = tempfile::TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("pods.json");
    let states =
        r#"[{"name":"a\u001b[2J","cpu_usage":1},{"name":"b","cpu_usage":2},{"name":"c\r\n","cpu_usage":9}]"#;
    std::fs::write(&file, states).expect("a file in a folder of ours");
    let said = check(&["replay", file.to_str().expect("a path of ours")], &[]);
    assert!(said.contains("exit 0"), "{said}");
    assert!(!said.contains('\u{1b}') && !said.contains('\r'), "{said:?}");
}
