//! A secret appears nowhere: not in output, logs, errors, reports, recordings, nor help.

use std::fs;

use rebalancer_core::Metric;
use rebalancer_sim::metrics_server::recorded_answers;
use rebalancer_sim::transcript::Transcript;
use tempfile::TempDir;

use crate::program::{Done, run};
use crate::servers::Servers;

const SECRET: &str = "hunter2";

/// What each way of signing in sets, besides a file with the secret.
fn ways(file: &str) -> Vec<Vec<(&str, &str)>> {
    let common = [
        ("PROMETHEUS_HEADERS", "X-Api-Key: hunter2\nX-Scope-OrgID: hunter2-tenant"),
        ("PROMETHEUS_QUERY_PARAMS", "apikey=hunter2&dedup=true"),
        ("LOG_LEVEL", "trace"),
    ];
    let credentials = [
        vec![("PROMETHEUS_BEARER_TOKEN", SECRET)],
        vec![("PROMETHEUS_BEARER_TOKEN_FILE", file)],
        vec![("PROMETHEUS_USERNAME", "ada"), ("PROMETHEUS_PASSWORD", SECRET)],
        vec![("PROMETHEUS_USERNAME", "ada"), ("PROMETHEUS_PASSWORD_FILE", file)],
    ];
    credentials.into_iter().map(|set| set.into_iter().chain(common).collect()).collect()
}

/// The secret, and what basic authentication makes of it.
#[track_caller]
fn assert_silent(done: &Done) {
    let said = format!("{}{}", done.stdout, done.stderr);
    for word in [SECRET, "aHVudGVyMg", "YWRhOmh1bnRlcjI", "sim-token"] {
        let line = said.lines().find(|line| line.contains(word));
        assert_eq!(line, None, "{word}");
    }
}

#[test]
fn no_output_holds_a_secret() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("secret");
    fs::write(&file, SECRET).expect("a file in a folder of ours");
    let recording = folder.path().join("run.jsonl");
    let path = recording.to_str().expect("a path of ours");
    let page_file = folder.path().join("run.html");
    let page = page_file.to_str().expect("a path of ours");
    for env in ways(file.to_str().expect("a path of ours")) {
        let servers = Servers::start();
        for args in [
            &["record", path][..],
            &["replay", path],
            &["plan", "--record", path, "--report", page, "-o", "wide"],
            &["run", "--yes", "-o", "yaml"],
            &["check"],
            &["config", "-o", "wide"],
            &["config"],
            &["run", "--help"],
            &["help", "plan"],
        ] {
            let done = servers.run(args, &env);
            assert_eq!(done.code, Some(0), "{args:?}: {done}");
            assert_silent(&done);
        }
        let asked = servers.metrics.requests();
        assert!(asked.len() >= 12, "{}", asked.len());
        for request in asked {
            assert!(request.header("authorization").is_some_and(|value| !value.is_empty()), "{request:?}");
            assert_eq!(request.header("x-api-key"), Some(SECRET));
            assert_eq!(request.parameter("apikey").as_deref(), Some(SECRET));
        }
        let kept = fs::read_to_string(&recording).expect("a recording");
        let shown = fs::read_to_string(&page_file).expect("a page");
        assert!(shown.contains("PROMETHEUS_HEADERS") && !shown.contains(SECRET), "{shown}");
        assert!(kept.contains("container_cpu_usage_seconds_total") && !kept.contains(SECRET), "{kept}");
    }
}

#[test]
fn no_error_holds_a_secret() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("secret");
    fs::write(&file, SECRET).expect("a file in a folder of ours");
    let errors = recorded_answers().into_iter().filter(|recorded| {
        recorded.file.starts_with("nginx/html")
            || recorded.file.contains("err_401")
            || recorded.file.ends_with("err_timeout_503.json")
    });
    let errors: Vec<Transcript> = errors.map(|recorded| recorded.answer).collect();
    assert!(errors.len() > 10, "{}", errors.len());
    let env = ways(file.to_str().expect("a path of ours"));
    for (number, answer) in errors.into_iter().enumerate() {
        let servers = Servers::start();
        servers.metrics.answer(Metric::Lag, answer);
        let done = servers.run(&["run", "--yes"], &env[number % env.len()]);
        assert_eq!(done.code, Some(1), "{done}");
        assert_silent(&done);
    }
}

#[test]
fn no_refused_setting_shows_a_secret() {
    let base = [
        ("KUBE_LABEL_SELECTOR", "app=orders"),
        ("KUBECONFIG", "testdata/kubeconfig.yaml"),
        ("LOG_LEVEL", "trace"),
    ];
    let endpoint = ("PROMETHEUS_ENDPOINT", "http://127.0.0.1:9");
    let cases: [&[(&str, &str)]; 6] = [
        &[("PROMETHEUS_ENDPOINT", "http://ada:hunter2@prometheus:9090")],
        &[("PROMETHEUS_ENDPOINT", "http://prometheus:9090?token=hunter2")],
        &[endpoint, ("PROMETHEUS_HEADERS", "hunter2")],
        &[endpoint, ("PROMETHEUS_HEADERS", "X-Api-Key: hunter2\u{7f}")],
        &[endpoint, ("PROMETHEUS_QUERY_PARAMS", "hunter2")],
        &[endpoint, ("PROMETHEUS_BEARER_TOKEN", SECRET), ("PROMETHEUS_PASSWORD", SECRET)],
    ];
    for case in cases {
        let env: Vec<(&str, &str)> = base.into_iter().chain(case.iter().copied()).collect();
        let done = run(&["run", "--yes"], &env);
        done.assert_one_error(64);
        assert_silent(&done);
        assert_silent(&run(&["config"], &env));
        assert_silent(&run(&["config", "-o", "json"], &env));
        assert_silent(&run(&["run", "--help"], &env));
    }
}

/// A token with a line break would smuggle a header.
#[test]
fn a_token_that_no_header_can_carry_is_refused_unseen() {
    let servers = Servers::start();
    let done = servers.run(&["plan"], &[("PROMETHEUS_BEARER_TOKEN", "hunter2\nX-Evil: 1")]);
    done.assert_one_error(1);
    assert_silent(&done);
    assert!(servers.metrics.requests().is_empty());
}
