//! The metrics of a run: what is pushed and written, and that nothing of it changes how a run ends.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rebalancer_core::Metric;
use rebalancer_sim::receiver::Receiver;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Done, root, run};
use crate::servers::{BUSIEST, LEAST_BUSY, Servers};

const RUN: [&str; 2] = ["run", "--yes"];
const LAST_SUCCESS: &str = "pod_rebalancer_last_success_timestamp_seconds";
const GROUP: &str =
    "/metrics/job/pod-rebalancer/target_namespace/tiny/target@base64/YXBwPW9yZGVycy1jb25zdW1lcg==";

/// The samples of a text by name and labels, without the labels that all share.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let common = "target_namespace=\"tiny\",target=\"app=orders-consumer\",target_kind=\"Deployment\",target_name=\"orders-consumer\"";
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a sample has a value");
        let name = name.replace(common, "").replace("{,", "{").replace("{}", "");
        (name, value.parse().unwrap_or_else(|error| panic!("{line}: {error}")))
    };
    lines.map(sample).collect()
}

/// The one line of the log with this event.
#[track_caller]
fn event(done: &Done, event: &str) -> Value {
    let lines = done.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut found: Vec<Value> = lines.filter(|line| line["event"] == event).collect();
    assert_eq!(found.len(), 1, "{event}: {done}");
    found.remove(0)
}

#[test]
fn a_run_that_succeeds_replaces_the_group() {
    let (servers, gateway, import) =
        (Servers::start(), Receiver::answering(202, ""), Receiver::answering(204, ""));
    let (gateway_url, import_url) = (gateway.url(), import.url());
    let both = format!("{gateway_url}, {import_url}/api/v1/import/prometheus");
    let done = servers.run(&RUN, &[("METRICS_PUSH_URL", both.as_str())]);
    assert_eq!(done.json()["outcome"], "rotated", "{done}");
    let pushed = gateway.requests();
    assert_eq!(pushed.len(), 1, "{pushed:?}");
    assert_eq!((pushed[0].method.as_str(), pushed[0].target.as_str()), ("PUT", GROUP));
    let imported = import.requests();
    assert_eq!(imported.len(), 1, "{imported:?}");
    assert_eq!(
        (imported[0].method.as_str(), imported[0].target.as_str()),
        ("POST", "/api/v1/import/prometheus")
    );
    assert_eq!(pushed[0].body, imported[0].body);

    let text = String::from_utf8(pushed[0].body.clone()).expect("metrics are text");
    assert!(![BUSIEST, LEAST_BUSY].iter().any(|pod| text.contains(pod)), "a gateway never forgets: {text}");
    let found = samples(&text);
    assert!(found[LAST_SUCCESS] > 1.7e9);
    for (name, value) in [
        ("pod_rebalancer_last_run_outcome{outcome=\"rotated\"}", 1.0),
        ("pod_rebalancer_last_run_outcome{outcome=\"failed\"}", 0.0),
        ("pod_rebalancer_last_run_pods{state=\"observed\"}", 12.0),
        ("pod_rebalancer_last_run_pods{state=\"eligible\"}", 10.0),
        ("pod_rebalancer_last_run_pods{state=\"excluded\"}", 2.0),
        ("pod_rebalancer_last_run_evictions{result=\"evicted\"}", 2.0),
        ("pod_rebalancer_last_run_evictions{result=\"blocked_pdb\"}", 0.0),
        ("pod_rebalancer_last_run_withheld{reason=\"cooldown\"}", 0.0),
        ("pod_rebalancer_imbalance_threshold_ratio{metric=\"cpu\"}", 0.3),
        ("pod_rebalancer_metric_coverage_ratio{metric=\"lag\"}", 11.0 / 12.0),
        ("pod_rebalancer_prometheus_requests{result=\"error\"}", 0.0),
    ] {
        assert_eq!(found.get(name), Some(&value), "{name} in {text}");
    }
    assert_eq!(
        found["pod_rebalancer_prometheus_requests{result=\"ok\"}"],
        servers.metrics.requests().len() as f64
    );
    let report = done.json();
    let spread = report["statistics"]["lag"]["cv_compared"].as_f64().expect("lag has a spread");
    assert!((found["pod_rebalancer_imbalance_ratio{metric=\"lag\"}"] - spread).abs() < 1e-12);
}

/// The files that the dashboard's queries are tried on. `UPDATE_METRICS=1 cargo test -p rebalancer-cli`
/// writes them anew.
#[test]
fn the_recorded_metrics_are_what_a_run_writes() {
    let folder = TempDir::new().expect("a folder for temporary files");
    for (name, env) in [("rotated", None), ("withheld", Some(("COOLDOWN", "100h")))] {
        let path = folder.path().join(name);
        let file = path.to_str().expect("a path of ours");
        let env: Vec<(&str, &str)> = env.into_iter().chain([("METRICS_TEXTFILE", file)]).collect();
        let done = Servers::start().run(&RUN, &env);
        assert_eq!(done.json()["outcome"], name, "{done}");
        let written = fs::read_to_string(&path).expect("the file was written");
        let kept = root().join(format!("testdata/metrics/{name}.prom"));
        if std::env::var_os("UPDATE_METRICS").is_some() {
            fs::write(&kept, &written).expect("the test data can be written");
        }
        let kept = fs::read_to_string(&kept).expect("the test data is there");
        let shape = |text: &str| -> Vec<String> {
            let lines = text.lines().map(|line| match line.rsplit_once(' ') {
                Some((sample, _)) if !line.starts_with('#') => sample.to_owned(),
                _ => line.to_owned(),
            });
            lines.collect()
        };
        assert_eq!(shape(&kept), shape(&written), "run UPDATE_METRICS=1 cargo test -p rebalancer-cli");
    }
}

/// What holds a plan back for want of data is named, and the workload is not said to be in motion.
#[test]
fn a_plan_names_the_guard_that_is_not_known() {
    let servers = Servers::start();
    let empty = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
    servers.metrics.answer_ranges_with(empty.to_owned());
    let folder = TempDir::new().expect("a folder for temporary files");
    let path = folder.path().join("plan.prom");
    let done = servers.run(&["plan"], &[("METRICS_TEXTFILE", path.to_str().expect("a path of ours"))]);
    let guards = done.json()["guards"].as_array().expect("guards").clone();
    let unknown =
        guards.iter().find(|guard| guard["name"] == "persistence").map(|guard| guard["verdict"].clone());
    assert_eq!(
        (done.json()["outcome"].as_str(), unknown),
        (Some("withheld"), Some("unknown".into())),
        "{done}"
    );
    let found = samples(&fs::read_to_string(&path).expect("the file was written"));
    let held = |reason: &str| found[&*format!("pod_rebalancer_last_run_withheld{{reason=\"{reason}\"}}")];
    assert_eq!((held("persistence"), held("workload")), (1.0, 0.0), "{done}");
}

#[test]
fn the_operating_guide_lists_every_metric() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("a file of the repository");
    let (sample, guide) = (read("testdata/metrics/rotated.prom"), read("docs/operating.md"));
    let names =
        sample.lines().filter_map(|line| line.strip_prefix("# TYPE pod_rebalancer_")?.strip_suffix(" gauge"));
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    let (_, table) =
        guide.split_once("| metric (`pod_rebalancer_…`").expect("the guide has a table of metrics");
    let rows = table.lines().take_while(|line| !line.is_empty());
    let mut told: Vec<&str> = rows.filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect();
    told.sort_unstable();
    assert_eq!(names, told);
}

#[test]
fn a_run_that_fails_leaves_the_last_success_alone() {
    let (servers, gateway) = (Servers::start(), Receiver::answering(202, ""));
    servers.metrics.answer_body(
        Metric::Lag,
        r#"{"status":"success","warnings":["a store is gone"],"data":{"resultType":"vector","result":[]}}"#,
    );
    let url = gateway.url();
    let done = servers.run(&RUN, &[("METRICS_PUSH_URL", &url)]);
    done.assert_one_error(1);
    let pushed = gateway.requests();
    assert_eq!((pushed[0].method.as_str(), pushed[0].target.as_str()), ("POST", GROUP));
    let text = String::from_utf8(pushed[0].body.clone()).expect("metrics are text");
    assert!(!text.contains(LAST_SUCCESS), "{text}");
    let found = samples(&text);
    assert_eq!(found["pod_rebalancer_last_run_outcome{outcome=\"failed\"}"], 1.0);
    assert_eq!(found["pod_rebalancer_last_run_pods{state=\"observed\"}"], 12.0);
    assert_eq!(found["pod_rebalancer_prometheus_requests{result=\"partial\"}"], 1.0);
}

/// A first install whose settings are wrong has to alert somebody.
#[test]
fn a_setting_that_is_wrong_is_delivered_too() {
    for (args, wrong) in [
        (&RUN[..], ("COOLDOWN", "soon")),
        (&RUN, ("PROMETHEUS_STRICT_PARAMS", "yess")),
        (&RUN, ("METRICS_TIMEOUT", "5")),
        (&RUN, ("LOG_LEVEL", "loud")),
        (&RUN, ("OUTPUT", "csv")),
        (&RUN, ("KUBE_LABEL_SELECTOR", " , ")),
        (&RUN, ("PROMETHEUS_ENDPOINT", "prometheus:9090")),
        (&RUN, ("REPORT_FILE", "/nowhere/page.html")),
        (&RUN, ("METRICS_IMPORT_URL", "vm:8428")),
        (&["run"], ("TERM", "dumb")),
        (&["run", "--yes", "--no-such-flag"], ("TERM", "dumb")),
        (&["run", "--yes", "--cooldown=soon"], ("TERM", "dumb")),
    ] {
        let (servers, gateway) = (Servers::start(), Receiver::answering(202, ""));
        let folder = TempDir::new().expect("a folder for temporary files");
        let path = folder.path().join("run.prom");
        let (url, file) = (gateway.url(), path.to_str().expect("a path of ours"));
        let done = servers.run(
            args,
            &[
                ("KUBE_NAMESPACE", "tiny"),
                // By its earlier name, which counts in an environment that cannot be read in full too.
                ("METRICS_PUSHGATEWAY_URL", &url),
                ("METRICS_TEXTFILE", file),
                wrong,
            ],
        );
        assert_eq!(done.code, Some(64), "{args:?} {wrong:?}: {done}");
        let pushed = gateway.requests();
        assert_eq!(pushed.len(), 1, "{args:?} {wrong:?}: {done}");
        let pushed = String::from_utf8_lossy(&pushed[0].body).into_owned();
        let written = fs::read_to_string(&path).expect("the file was written");
        for text in [pushed, written] {
            let has = |name: &str, value: &str| {
                text.lines().any(|line| {
                    line.starts_with(name)
                        && line.contains("target_namespace=\"tiny\"")
                        && line.ends_with(value)
                })
            };
            assert!(has("pod_rebalancer_last_run_exit_code", " 64"), "{wrong:?}: {text}");
            assert!(has("pod_rebalancer_last_run_timestamp_seconds", ""), "{wrong:?}: {text}");
            assert!(!text.contains(LAST_SUCCESS), "{wrong:?}: {text}");
        }
        servers.assert_untouched();
    }
}

/// What cannot be read itself keeps nothing else from being delivered.
#[test]
fn an_address_that_is_wrong_leaves_the_file() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let path = folder.path().join("run.prom");
    let file = path.to_str().expect("a path of ours");
    for wrong in [("METRICS_PUSH_URL", "gateway:9091"), ("METRICS_USERNAME", "nobody")] {
        let done = Servers::start().run(&RUN, &[("METRICS_TEXTFILE", file), wrong]);
        done.assert_one_error(64);
        let written = fs::read_to_string(&path).expect("the file was written");
        assert!(written.contains("pod_rebalancer_last_run_exit_code"), "{wrong:?}: {written}");
        fs::remove_file(&path).expect("a file of ours");
    }
}

#[test]
fn a_receiver_that_refuses_or_is_silent_changes_nothing_but_the_log() {
    let plain = Servers::start().run(&RUN, &[]).json();
    let nobody = "http://127.0.0.1:9".to_owned();
    let cases = [
        (Some(Receiver::answering(400, "pushed metrics are invalid")), "400"),
        (Some(Receiver::answering(500, "<html><title>broken</title>")), "500"),
        (Some(Receiver::answering(401, "who are you?")), "401"),
        (Some(Receiver::answering(302, "")), "302"),
        (Some(Receiver::silent()), "timeout"),
        (None, "unreachable"),
    ];
    for (receiver, error) in cases {
        let url = receiver.as_ref().map_or(nobody.clone(), Receiver::url);
        for path in ["", "/api/v1/import/prometheus"] {
            let address = format!("{url}{path}");
            let servers = Servers::start();
            let begun = Instant::now();
            let done = servers.run(&RUN, &[("METRICS_PUSH_URL", &address), ("METRICS_TIMEOUT", "300ms")]);
            assert!(begun.elapsed() < Duration::from_secs(20), "{error}");
            assert_eq!(done.code, Some(0), "{error}: {done}");
            assert_eq!(done.json()["outcome"], plain["outcome"], "{error}: {done}");
            assert_eq!(done.told(), Vec::<&str>::new(), "{done}");
            let warning = event(&done, "metrics.push_failed");
            assert_eq!(warning["level"], "WARN");
            assert_eq!(warning["error.type"], error, "{done}");
            let full = warning["url.full"].as_str().expect("an address");
            assert!(full.starts_with(&url), "{warning}");
        }
    }
}

#[test]
fn a_push_proves_who_pushes() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("token");
    fs::write(&file, "t0ken\n").expect("a file in a folder of ours");
    let file = file.to_str().expect("a path of ours");
    for (env, expected) in [
        (vec![("METRICS_BEARER_TOKEN_FILE", file)], "Bearer t0ken"),
        (vec![("METRICS_BEARER_TOKEN", "t0ken")], "Bearer t0ken"),
        (vec![("METRICS_USERNAME", "ada"), ("METRICS_PASSWORD", "pass")], "Basic YWRhOnBhc3M="),
    ] {
        let (servers, gateway) = (Servers::start(), Receiver::answering(202, ""));
        let url = gateway.url();
        let env: Vec<(&str, &str)> = env.into_iter().chain([("METRICS_PUSH_URL", url.as_str())]).collect();
        let done = servers.run(&["run", "--dry-run"], &env);
        assert_eq!(done.code, Some(0), "{done}");
        assert_eq!(gateway.requests()[0].header("authorization"), Some(expected));
    }
}

#[test]
fn a_textfile_is_whole_readable_by_all_and_keeps_the_last_success() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let path = folder.path().join("rebalancer.prom");
    let file = path.to_str().expect("a path of ours");
    let servers = Servers::start();
    let done = servers.run(&["plan", "--metrics-textfile", file], &[]);
    assert_eq!(done.code, Some(0), "{done}");
    let first = fs::read_to_string(&path).expect("the file was written");
    let success = samples(&first)[LAST_SUCCESS];
    assert_eq!(samples(&first)["pod_rebalancer_last_run_outcome{outcome=\"planned\"}"], 1.0);
    assert_eq!(samples(&first)["pod_rebalancer_last_run_evictions{result=\"dry_run\"}"], 2.0);
    let mode = fs::metadata(&path).expect("the file is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o644);

    servers.metrics.answer_body(Metric::Cpu, "no JSON");
    servers.run(&["plan"], &[("METRICS_TEXTFILE", file)]).assert_one_error(1);
    let second = fs::read_to_string(&path).expect("the file is there");
    assert_eq!(samples(&second)["pod_rebalancer_last_run_outcome{outcome=\"failed\"}"], 1.0);
    assert_eq!(samples(&second)[LAST_SUCCESS], success, "{second}");
    let left: Vec<_> = fs::read_dir(folder.path()).expect("the folder is there").collect();
    assert_eq!(left.len(), 1, "nothing is left beside it: {left:?}");
}

#[test]
fn a_replay_writes_a_textfile_too() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let path = folder.path().join("replay.prom");
    let file = path.to_str().expect("a path of ours");
    let args = ["replay", "testdata/recordings/orders-12-live.jsonl", "--output=name"];
    let done = run(&args, &[("METRICS_TEXTFILE", file)]);
    assert_eq!(done.code, Some(0), "{done}");
    let found = samples(&fs::read_to_string(&path).expect("the file was written"));
    assert_eq!(found["pod_rebalancer_last_run_pods{state=\"observed\"}"], 12.0);
    assert!(found.contains_key(LAST_SUCCESS), "{found:?}");
}

#[test]
fn a_folder_that_cannot_be_written_to_is_a_warning() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let occupied = folder.path().join("a-file");
    fs::write(&occupied, "x").expect("a file in a folder of ours");
    let directory = folder.path().join("a-folder");
    fs::create_dir(&directory).expect("a folder in a folder of ours");
    // Nobody is refused by a mode who is root, so it is a missing folder, a file for a folder, a folder
    // for a file, and a file system that takes no files.
    let paths =
        [folder.path().join("absent/x.prom"), occupied.join("x.prom"), directory, "/proc/x.prom".into()];
    for path in paths {
        let servers = Servers::start();
        let shown = path.to_str().expect("a path of ours");
        let done = servers.run(&RUN, &[("METRICS_TEXTFILE", shown)]);
        assert_eq!(done.code, Some(0), "{done}");
        assert_eq!(done.json()["outcome"], "rotated", "{done}");
        let warning = event(&done, "metrics.textfile_failed");
        assert_eq!(warning["level"], "WARN");
        assert!(warning["message"].as_str().is_some_and(|words| words.contains(shown)), "{warning}");
        assert!(path == Path::new(shown) && !path.is_file(), "{shown}");
    }
}

#[test]
fn the_last_line_of_the_log_tells_the_whole_outcome() {
    let servers = Servers::start();
    let done = servers.run(&RUN, &[("LOG_FORMAT", "json")]);
    let report = done.json();
    let line = event(&done, "run.finished");
    assert_eq!(
        done.stderr.lines().last().and_then(|line| serde_json::from_str(line).ok()),
        Some(line.clone())
    );
    for (field, value) in [
        ("level", Value::from("INFO")),
        ("outcome", "rotated".into()),
        ("reason", report["reason"].clone()),
        ("should_rebalance", true.into()),
        ("dry_run", "none".into()),
        ("k8s.namespace.name", "tiny".into()),
        ("k8s.deployment.name", "orders-consumer".into()),
        ("selector", "app=orders-consumer".into()),
        ("pods_observed", 12.into()),
        ("pods_eligible", 10.into()),
        ("busiest", BUSIEST.into()),
        ("least_busy", LEAST_BUSY.into()),
        ("cpu_spread", report["statistics"]["cpu"]["cv_compared"].clone()),
        ("cpu_threshold", 0.3.into()),
        ("cause", report["diagnosis"]["cause"]["code"].clone()),
        ("evicted", 2.into()),
        ("blocked_pdb", 0.into()),
        ("failed", 0.into()),
    ] {
        assert_eq!(line[field], value, "{field} in {line}");
    }
    assert!(line.get("error.type").is_none() && line.get("k8s.statefulset.name").is_none(), "{line}");
    for field in ["duration_seconds", "discover_seconds", "query_seconds", "decide_seconds", "evict_seconds"]
    {
        assert!(line[field].as_f64().is_some_and(|spent| spent > 0.0), "{field} in {line}");
    }
}

#[test]
fn a_failure_and_a_refusal_are_told_by_the_last_line_too() {
    let servers = Servers::start();
    servers.metrics.answer_body(Metric::Cpu, "{");
    let line = event(&servers.run(&RUN, &[]), "run.finished");
    assert_eq!((&line["level"], &line["outcome"]), (&"ERROR".into(), &"failed".into()), "{line}");
    assert_eq!(line["error.type"], "truncated", "{line}");
    assert_eq!(line["k8s.deployment.name"], "orders-consumer", "{line}");
    assert!(
        line["reason"].as_str().is_some_and(|reason| reason.contains("cannot read the metrics")),
        "{line}"
    );

    let withheld = event(&Servers::start().run(&RUN, &[("COOLDOWN", "100h")]), "run.finished");
    assert_eq!(withheld["outcome"], "withheld", "{withheld}");
    assert_eq!(withheld["withheld_by"], "cooldown", "{withheld}");
}

/// Each alert of the file, and of the chart, leads to the section of a page that says what to do.
#[test]
fn every_alert_has_a_runbook_that_exists() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect("a file of the repository");
    let rules = read("deploy/prometheus/alerts.yaml");
    assert_eq!(rules, read("deploy/helm/pod-rebalancer/files/alerts.yaml"), "the chart ships the same rules");
    let (mut alerts, mut runbooks) = (0, 0);
    for line in rules.lines().map(str::trim) {
        alerts += usize::from(line.starts_with("- alert: "));
        let Some(address) = line.strip_prefix("runbook_url: ") else { continue };
        runbooks += 1;
        let (page, anchor) = address.rsplit_once('#').expect("an address leads to a section");
        let page = page.rsplit_once("/docs/").expect("an address of this repository").1;
        let anchor_of =
            |heading: &str| heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        let text = read(&format!("docs/{page}"));
        let mut headings = text.lines().filter(|line| line.starts_with('#'));
        assert!(headings.any(|heading| anchor_of(heading) == anchor), "{address} leads nowhere");
    }
    assert!(alerts >= 10 && alerts == runbooks, "{alerts} alerts, {runbooks} runbooks");
}
