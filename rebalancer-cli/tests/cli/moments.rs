//! From when the data are: clocks that do not agree, samples that are old, ranges that servers align, and
//! what a server did not give.

use rebalancer_core::Metric;
use serde_json::Value;

use crate::program::Done;
use crate::servers::{BUSIEST, Servers};

const RUN: [&str; 2] = ["run", "--yes"];

fn warnings(done: &Done) -> Vec<String> {
    let warnings = done.json()["warnings"].as_array().cloned().unwrap_or_default();
    warnings.iter().map(|warning| warning.as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn nothing_is_decided_for_another_moment_than_now() {
    for (metrics_s, cluster_s, server, words) in [
        (9_000, 0, "the metrics server", "2 hours"),
        (-9_000, 0, "the metrics server", "behind"),
        (0, 40, "the Kubernetes API", "ahead of"),
        (0, -93_000, "the Kubernetes API", "25 hours"),
    ] {
        let servers = Servers::start();
        servers.metrics.set_clock(Some(metrics_s));
        servers.cluster.set_clock(Some(cluster_s));
        for args in [&RUN[..], &["plan"]] {
            let said = refused(&servers, args, &[("GUARDS", "off")]);
            assert!(said.contains(server) && said.contains(words) && said.contains("NTP"), "{said}");
        }
        let done = servers.run(&["check"], &[]);
        assert_eq!(done.code, Some(1), "{done}");
        assert!(done.stdout.contains(server) && done.stdout.contains(words), "{done}");
        servers.assert_untouched();
    }
}

#[test]
fn a_clock_that_is_a_little_off_and_a_server_without_one_are_told() {
    let servers = Servers::start();
    servers.metrics.set_clock(Some(-15));
    servers.cluster.set_clock(None);
    for args in [&RUN[..], &["plan"]] {
        let done = servers.run(args, &[("GUARDS", "off"), ("DRY_RUN", "client")]);
        assert_eq!(done.code, Some(0), "{done}");
        let told = warnings(&done);
        let is_told = |parts: [&str; 2]| told.iter().any(|said| parts.iter().all(|part| said.contains(part)));
        assert!(is_told(["the metrics server", "behind this machine's"]), "{told:?}");
        assert!(is_told(["the Kubernetes API", "sends no Date"]), "{told:?}");
    }
    let done = servers.run(&["check"], &[]);
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stdout.contains("sends no Date"), "{done}");
    // Where both agree nothing is said, and check says that they do.
    let servers = Servers::start();
    let told = warnings(&servers.run(&["plan"], &[]));
    assert!(!told.iter().any(|said| said.contains("clock")), "{told:?}");
    assert_eq!(servers.run(&["check"], &[]).stdout.matches("agrees with this machine's").count(), 2);
}

#[test]
fn a_recording_asks_no_clock() {
    let servers = Servers::start();
    servers.metrics.set_clock(Some(9_000));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.jsonl");
    let file = file.to_str().expect("a path of ours");
    assert_eq!(servers.run(&["record", file], &[]).code, Some(0));
    assert_eq!(crate::program::run(&["replay", file], &[]).code, Some(0));
}

/// The one error of a command that ends with exit code 1.
#[track_caller]
fn refused(servers: &Servers, args: &[&str], env: &[(&str, &str)]) -> String {
    servers.run(args, env).assert_one_error(1).to_owned()
}

/// A vector of one value for each pod, by namespace.
fn vector(values: &[(&str, &str)]) -> String {
    let series = values.iter().map(|(pod, value)| {
        format!(r#"{{"metric":{{"namespace":"tiny","pod":"{pod}"}},"value":[1795410000,"{value}"]}}"#)
    });
    let series = series.collect::<Vec<String>>().join(",");
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{series}]}}}}"#)
}

const OWN: (&str, &str) =
    ("QUERY_CPU", "sum by (pod) (rate(container_cpu_usage_seconds_total{namespace=\"{{namespace}}\"}[5m]))");

/// Which question about the age of an own query's samples is meant.
const QUESTION: &str =
    "timestamp(container_cpu_usage_seconds_total{namespace=\"tiny\"}) >= bool (time() - 60)";

#[test]
fn samples_of_an_own_query_that_are_too_old_are_missing() {
    let servers = Servers::start();
    let env = [OWN, ("MAX_SAMPLE_AGE", "60s"), ("GUARDS", "off"), ("LAG_VARIANCE_THRESHOLD", "9")];
    let fresh = servers.run(&["plan"], &env);
    let pods: Vec<String> = servers.pods();
    let answer = |stale: &str| {
        let rows: Vec<(&str, &str)> =
            pods.iter().map(|pod| (pod.as_str(), if pod == stale { "0" } else { "1" })).collect();
        vector(&rows)
    };
    // The simulated server answers the question with the load itself, which is above 0.
    assert_eq!(fresh.json()["outcome"], "planned", "{fresh}");
    assert_eq!(fresh.json()["targets"][0]["pod"], BUSIEST);

    servers.metrics.answer_queries_with(QUESTION, answer(BUSIEST));
    let done = servers.run(&["plan"], &env);
    let told = warnings(&done);
    assert!(told.iter().any(|said| said.contains("cpu") && said.contains("1 too old")), "{told:?}");
    assert_ne!(done.json()["targets"][0]["pod"], BUSIEST, "{done}");

    // An exporter names itself: when all it has is old, so is everything that was made of it.
    servers.metrics.answer_queries_with(QUESTION, vector(&[("exporter-0", "0")]));
    let done = servers.run(&RUN, &env);
    assert_eq!((done.code, &done.json()["outcome"]), (Some(0), &Value::from("balanced")), "{done}");
    assert!(warnings(&done).iter().any(|said| said.contains("12 too old")), "{done}");
    servers.assert_untouched();
}

#[test]
fn a_recording_of_an_own_query_comes_to_the_same() {
    let servers = Servers::start();
    servers.metrics.answer_queries_with(QUESTION, vector(&[("exporter-0", "0")]));
    let env = [OWN, ("MAX_SAMPLE_AGE", "60s"), ("GUARDS", "off"), ("LAG_VARIANCE_THRESHOLD", "9")];
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.jsonl");
    let file = file.to_str().expect("a path of ours");
    let planned = servers.run(&["plan", "--record", file], &env);
    let replayed = crate::program::run(&["replay", file, "-o", "json"], &[]);
    assert_eq!(replayed.json()["outcome"], planned.json()["outcome"], "{replayed}");
    assert_eq!(replayed.json()["outcome"], "balanced", "{replayed}");
}

#[test]
fn a_replay_refuses_samples_of_unknown_age_as_the_run_did() {
    let servers = Servers::start();
    servers.metrics.answer_queries_with(">= bool (time() - 60)", vector(&[]));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.jsonl");
    let file = file.to_str().expect("a path of ours");
    refused(&servers, &["plan", "--record", file], &[OWN, ("MAX_SAMPLE_AGE", "60s")]);
    let replayed = crate::program::run(&["replay", file], &[]);
    let said = replayed.assert_one_error(1);
    assert!(said.contains("how old the samples of QUERY_CPU are") && said.contains("GUARDS=off"), "{said}");
    let replayed = crate::program::run(&["replay", file, "-o", "json", "--guards=off"], &[]);
    assert!(warnings(&replayed).iter().any(|said| said.contains("QUERY_CPU")), "{replayed}");
}

#[test]
fn an_own_query_whose_age_cannot_be_known_is_refused_with_guards_and_told_without() {
    let servers = Servers::start();
    servers.metrics.answer_queries_with(">= bool (time() - 60)", vector(&[]));
    let env = [OWN, ("MAX_SAMPLE_AGE", "60s")];
    for args in [&RUN[..], &["plan"]] {
        let said = refused(&servers, args, &env);
        assert!(said.contains("how old the samples of QUERY_CPU are"), "{said}");
        assert!(said.contains("MAX_SAMPLE_AGE") && said.contains("GUARDS=off"), "{said}");
    }
    let done = servers.run(&["check"], &env);
    assert_eq!(done.code, Some(1), "{done}");
    assert!(done.stdout.contains("how old the samples of QUERY_CPU are"), "{done}");
    servers.assert_untouched();
    let done = servers.run(&["plan"], &[OWN, ("MAX_SAMPLE_AGE", "60s"), ("GUARDS", "off")]);
    assert_eq!(done.code, Some(0), "{done}");
    assert!(warnings(&done).iter().any(|said| said.contains("QUERY_CPU")), "{done}");
}

/// The front ends of Thanos and Mimir, and the cache of VictoriaMetrics.
#[test]
fn a_server_that_aligns_ranges_holds_nothing_back() {
    let servers = Servers::start();
    servers.metrics.align_ranges();
    let done = servers.run(&["check"], &[]);
    assert!(done.stdout.contains("history of cpu: 60 of 60 minutes"), "{done}");
    let done = servers.run(&RUN, &[]);
    assert_eq!(done.json()["outcome"], "rotated", "{done}");
    let done = servers.run(&["backtest", "--from", "3h"], &[]);
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(done.json()["moments"], 13, "{done}");
}

/// `check` asks for the history in the way a run does, and says what a run would make of it.
#[test]
fn a_history_that_a_run_cannot_use_is_an_error_of_check() {
    let servers = Servers::start();
    servers.metrics.answer_ranges_with(
        r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"namespace":"tiny","pod":"orders-consumer-g5zn5h759-zcmj2"},"values":[[1795410000.5,"1"]]}]}}"#,
    );
    let done = servers.run(&["check"], &[]);
    assert_eq!(done.code, Some(1), "{done}");
    assert!(done.stdout.contains("which was not asked for"), "{done}");
    assert_eq!(servers.run(&["check"], &[("GUARDS", "off")]).code, Some(0), "nothing asks for it then");
}

#[test]
fn an_optional_fact_that_was_refused_withholds_and_one_nobody_exports_does_not() {
    let servers = Servers::start();
    assert_eq!(servers.run(&RUN, &[("DRY_RUN", "client")]).json()["outcome"], "planned");
    // Nobody exports it: nothing is held back. Its query fails: nobody knows what it would have said.
    let broken = r#"{"status":"error","errorType":"execution","error":"query processing would load too many samples"}"#;
    servers.metrics.answer_queries_with("client_id)", broken);
    let done = servers.run(&RUN, &[]);
    assert_eq!(done.json()["outcome"], "withheld", "{done}");
    assert!(done.json()["reason"].as_str().is_some_and(|said| said.contains("too many samples")), "{done}");
    servers.assert_untouched();
    let done = servers.run(&["check"], &[]);
    assert_eq!(done.code, Some(1), "no run would act: {done}");
}

#[test]
fn notes_on_the_query_are_no_reason_to_refuse() {
    let servers = Servers::start();
    let noted = r#"{"status":"success","data":{"resultType":"vector","result":[]},
        "warnings":["PromQL info: metric might not be a counter, name does not end in _total"]}"#;
    servers.metrics.answer_queries_with("client_id)", noted);
    assert_eq!(servers.run(&RUN, &[]).json()["outcome"], "rotated");
    let servers = Servers::start();
    servers.metrics.answer_body(Metric::Cpu, noted.replace("PromQL info", "PromQL warning"));
    let said = refused(&servers, &RUN, &[]);
    assert!(said.contains("warns of the query") && !said.contains("partial"), "{said}");
}

#[test]
fn a_backtest_splits_what_times_out() {
    let servers = Servers::start();
    servers.metrics.slow_beyond(100);
    let even = [("CPU_VARIANCE_THRESHOLD", "9"), ("LAG_VARIANCE_THRESHOLD", "9")];
    let done = servers.run(&["backtest", "--from", "40h", "--every", "5m"], &even);
    assert_eq!(done.code, Some(0), "{done}");
    let report = done.json();
    assert_eq!((&report["moments"], &report["skipped"]), (&Value::from(481), &Value::from(0)), "{done}");
    assert_eq!(report.get("not_had"), None, "all of it was had");
    servers.metrics.slow_beyond(0);
    let said = refused(&servers, &["backtest", "--from", "7d"], &even);
    assert!(said.contains("503"), "{said}");
}

#[test]
fn a_thanos_is_told_of_the_stores_that_it_may_forget() {
    let servers = Servers::start();
    assert!(!servers.run(&["check"], &[]).stdout.contains("endpoint-strict"));
    servers.metrics.answer_path_with("/api/v1/stores", r#"{"status":"success","data":{"sidecar":[]}}"#);
    let done = servers.run(&["check"], &[]);
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stdout.contains("--endpoint-strict"), "{done}");
}
