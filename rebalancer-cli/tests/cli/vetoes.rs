//! What may forbid a rotation beside the loads: a query, firing alerts, and an annotation of the workload.

use rebalancer_sim::apiserver::{Fleet, WorkloadKind};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{Done, run};
use crate::servers::{Servers, fleet};

const RUN: [&str; 2] = ["run", "--yes"];
const QUERY: (&str, &str) = ("VETO_QUERY", "deploys_running{namespace=\"{{namespace}}\"} > 0");
const EMPTY: &str = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;

fn vector(rows: &[(Value, &str)]) -> String {
    let rows: Vec<Value> =
        rows.iter().map(|(labels, value)| json!({"metric": labels, "value": [1795410000, value]})).collect();
    json!({"status": "success", "data": {"resultType": "vector", "result": rows}}).to_string()
}

fn alerts() -> String {
    let alert =
        |name: &str| json!({"__name__": "ALERTS", "alertname": name, "alertstate": "firing", "team": "acme"});
    vector(&[(alert("KafkaBrokerDown"), "1"), (alert("Watchdog"), "1")])
}

fn guard(done: &Done, name: &str) -> Value {
    let report = done.json();
    let guards = report["guards"].as_array().expect("a report lists the guards");
    guards.iter().find(|guard| guard["name"] == name).cloned().unwrap_or_default()
}

/// Fails unless `run` and `plan` are both withheld by this guard; its reason.
#[track_caller]
fn held(servers: &Servers, env: &[(&str, &str)], name: &str, verdict: &str) -> String {
    let mut reasons: Vec<String> = Vec::new();
    for command in [&RUN[..], &["plan"]] {
        let done = servers.run(command, env);
        assert_eq!((done.json()["outcome"].clone(), done.code), ("withheld".into(), Some(0)), "{done}");
        let found = guard(&done, name);
        assert_eq!(found["verdict"], verdict, "{done}");
        reasons.push(found["reason"].as_str().unwrap_or_default().to_owned());
    }
    servers.assert_untouched();
    assert_eq!(reasons[0], reasons[1]);
    reasons.remove(0)
}

/// Result and hint of the check whose description contains `words`.
#[track_caller]
fn checked(servers: &Servers, env: &[(&str, &str)], words: &str) -> (String, String, Option<i32>) {
    let done = servers.run(&["check"], env);
    let report = done.json();
    let categories = report["categories"].as_array().into_iter().flatten();
    let mut checks = categories.flat_map(|category| category["checks"].as_array().into_iter().flatten());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let check = checks.find(|check| text(&check["description"]).contains(words));
    let check = check.unwrap_or_else(|| panic!("nothing is said of {words}: {done}"));
    (text(&check["result"]), text(&check["hint"]), done.code)
}

#[test]
fn any_sample_of_the_veto_query_holds_and_is_quoted() {
    for value in ["1", "0", "NaN"] {
        let servers = Servers::start();
        let row = (json!({"__name__": "deploys_running", "app": "shop\u{1b}[31m"}), value);
        servers.metrics.answer_queries_with("deploys_running", vector(&[row]));
        let reason = held(&servers, &[QUERY], "veto_query", "hold");
        let quoted =
            format!(r#"the veto query finds a sample: deploys_running{{app="shop\u{{1b}}[31m"}} {value}"#);
        assert_eq!(reason, quoted);
        let asked = servers.metrics.requests();
        let query = asked.iter().filter_map(|asked| asked.parameter("query"));
        let query = query.into_iter().find(|query| query.contains("deploys_running"));
        assert_eq!(query.as_deref(), Some("deploys_running{namespace=\"tiny\"} > 0"));
    }
}

#[test]
fn many_samples_are_counted_and_a_few_are_quoted() {
    let servers = Servers::start();
    let rows: Vec<(Value, &str)> =
        (0..5000).map(|number| (json!({"app": format!("{number:05}{}", "x".repeat(500))}), "1")).collect();
    servers.metrics.answer_queries_with("deploys_running", vector(&rows));
    let reason = held(&servers, &[QUERY], "veto_query", "hold");
    assert!(reason.starts_with("the veto query finds 5000 samples: {app=\"00000xxx"), "{reason}");
    assert!(reason.ends_with("; and 4997 more") && reason.len() < 700, "{reason}");
}

#[test]
fn without_a_sample_the_run_goes_on() {
    let servers = Servers::start();
    servers.metrics.answer_queries_with("deploys_running", EMPTY);
    let done = servers.run(&RUN, &[QUERY]);
    assert_eq!(done.json()["outcome"], "rotated", "{done}");
    assert_eq!(guard(&done, "veto_query")["verdict"], "pass", "{done}");
}

#[test]
fn a_veto_without_a_whole_answer_holds_and_says_so() {
    let partial =
        r#"{"status":"success","warnings":["a store is gone"],"data":{"resultType":"vector","result":[]}}"#;
    let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1795410000,"0"]}}"#;
    let refused = r#"{"status":"error","errorType":"bad_data","error":"parse error: unexpected end"}"#;
    for (body, words) in
        [(partial, "a store is gone"), (scalar, "scalar"), (refused, "unexpected end"), ("<html>", "")]
    {
        let servers = Servers::start();
        servers.metrics.answer_queries_with("deploys_running", body);
        let reason = held(&servers, &[QUERY], "veto_query", "unknown");
        assert!(reason.contains(words) && reason.ends_with("a veto without an answer holds"), "{reason}");
        let (result, hint, code) = checked(&servers, &[QUERY], "veto_query: ");
        assert_eq!((result.as_str(), code), ("error", Some(1)), "{hint}");
    }
}

#[test]
fn an_alert_that_fires_holds_by_its_name() {
    for (pattern, verdict) in [
        ("Broker", "hold"),
        ("^KafkaBrokerDown$", "hold"),
        ("(?i)kafkabroker", "hold"),
        (r"\w+", "hold"),
        ("^Broker", "pass"),
        ("Deploy", "pass"),
    ] {
        let servers = Servers::start();
        servers.metrics.answer_queries_with("ALERTS{alertstate=\"firing\"}", alerts());
        if verdict == "pass" {
            let done = servers.run(&RUN, &[("VETO_ALERTS", pattern)]);
            assert_eq!(done.json()["outcome"], "rotated", "{pattern}: {done}");
            assert_eq!(guard(&done, "veto_alerts")["verdict"], "pass", "{pattern}: {done}");
            continue;
        }
        let reason = held(&servers, &[("VETO_ALERTS", pattern)], "veto_alerts", "hold");
        assert!(reason.contains(r#"KafkaBrokerDown{team="acme"}"#), "{pattern}: {reason}");
    }
}

#[test]
fn a_veto_is_asked_only_when_something_asks_for_a_rotation_and_guards_are_on() {
    let vetoes = [QUERY, ("VETO_ALERTS", "Broker")];
    let plain = [("GUARDS", "off")];
    let balanced = [("CPU_VARIANCE_THRESHOLD", "9"), ("LAG_VARIANCE_THRESHOLD", "9")];
    for more in [
        &plain[..],
        &balanced,
        &[("VETO_QUERY", "off"), ("VETO_ALERTS", "off")],
        &[("VETO_QUERY", ""), ("VETO_ALERTS", "")],
    ] {
        let servers = Servers::start();
        let env: Vec<(&str, &str)> = vetoes.iter().chain(more).copied().collect();
        let done = servers.run(&["plan"], &env);
        assert_ne!(done.json()["outcome"], "withheld", "{more:?}: {done}");
        let asked = servers.metrics.requests();
        let asks = |part: &str| {
            asked.iter().any(|asked| asked.parameter("query").is_some_and(|query| query.contains(part)))
        };
        assert!(!asks("deploys_running") && !asks("ALERTS"), "{more:?}");
    }
}

#[test]
fn a_recording_decides_the_same_with_and_without_names() {
    let servers = Servers::start();
    servers.metrics.answer_queries_with("ALERTS{", alerts());
    servers.metrics.answer_queries_with("deploys_running", vector(&[(json!({"app": "acme-ledger"}), "2")]));
    let env = [QUERY, ("VETO_ALERTS", "Broker")];
    let folder = TempDir::new().expect("a folder for temporary files");
    for redact in [false, true] {
        let file = folder.path().join(format!("{redact}.jsonl"));
        let file = file.to_str().expect("a path of ours");
        let args = if redact { vec!["record", file, "--redact"] } else { vec!["record", file] };
        let done = servers.run(&args, &env);
        assert_eq!(done.code, Some(0), "{done}");
        let replayed = run(&["replay", file, "--output=json"], &[]);
        for name in ["veto_query", "veto_alerts"] {
            assert_eq!(guard(&replayed, name)["verdict"], "hold", "{redact}: {replayed}");
            assert_eq!(guard(&replayed, name)["value"], 1.0, "{redact}: {replayed}");
        }
        let kept = std::fs::read_to_string(file).expect("the recording");
        let names = ["KafkaBrokerDown", "Watchdog", "acme", "Broker"];
        assert!(names.iter().all(|name| kept.contains(name) != redact), "{redact}: {kept}");
        let off = run(&["replay", file, "--output=json", "--guards=off"], &[]);
        assert!(guard(&off, "veto_query").is_null(), "{off}");
    }
}

#[test]
fn check_tries_each_veto() {
    let servers = Servers::start();
    let env = [QUERY, ("VETO_ALERTS", "Broker")];
    servers.metrics.answer_queries_with("ALERTS{", alerts());
    servers.metrics.answer_queries_with("deploys_running", EMPTY);
    let (result, hint, code) = checked(&servers, &env, "veto_query: the veto query finds nothing");
    assert_eq!((result.as_str(), code), ("warning", Some(0)), "the metric is not there: {hint}");
    assert!(hint.contains("no sample of deploys_running"), "{hint}");
    let (result, hint, _) = checked(&servers, &env, "veto_alerts: an alert that forbids rotations fires");
    assert_eq!((result.as_str(), hint.as_str()), ("warning", "runs are withheld as long as that is so"));
    servers.metrics.answer_queries_with("ALERTS{", EMPTY);
    let (result, hint, _) = checked(&servers, &env, "veto_alerts: no alert");
    assert!(result == "warning" && hint.contains("vmalert"), "{hint}");
    servers.metrics.answer_queries_with("time() - max(timestamp(", vector(&[(json!({}), "5")]));
    for words in ["veto_alerts: no alert", "veto_query: the veto query finds nothing"] {
        assert_eq!(checked(&servers, &env, words).0, "success");
    }
}

#[test]
fn a_veto_that_cannot_be_asked_is_a_wrong_setting() {
    for (variable, value, words) in [
        ("VETO_ALERTS", "(", "it is no regular expression"),
        ("VETO_ALERTS", "((a{100}){100}){100}", "it is too large"),
        ("VETO_QUERY", "up{a=\"{{grp}}\"}", "{{grp}} is no placeholder"),
        ("VETO_QUERY", "up{a=\"{{group}}\"}", "VETO_QUERY needs KAFKA_GROUP"),
    ] {
        let servers = Servers::start();
        let done = servers.run(&["plan"], &[(variable, value)]);
        let told = done.assert_one_error(64);
        assert!(told.contains(words) && told.contains(variable), "{told}");
    }
}

#[test]
fn a_label_that_echoes_a_secret_is_masked() {
    let servers = Servers::start();
    servers
        .metrics
        .answer_queries_with("deploys_running", vector(&[(json!({"by": "token hunter2-long"}), "1")]));
    let reason = held(&servers, &[QUERY, ("PROMETHEUS_BEARER_TOKEN", "hunter2-long")], "veto_query", "hold");
    assert!(reason.contains("token ****") && !reason.contains("hunter2"), "{reason}");
}

/// The name of a tenant is a secret for messages, and a word like any other in the names of alerts.
#[test]
fn an_alert_whose_name_holds_that_of_the_tenant_forbids_all_the_same() {
    let servers = Servers::start();
    let alert = json!({"__name__": "ALERTS", "alertname": "tiny-orders-late", "alertstate": "firing"});
    servers.metrics.answer_queries_with("ALERTS", vector(&[(alert, "1")]));
    let env = [("VETO_ALERTS", "tiny-orders-.*"), ("PROMETHEUS_HEADERS", "X-Scope-OrgID: tiny-orders")];
    let reason = held(&servers, &env, "veto_alerts", "hold");
    assert!(reason.contains("***********-late") && !reason.contains("tiny-orders"), "{reason}");
}

fn paused(kind: WorkloadKind, words: &str) -> Fleet {
    let mut fleet = fleet().of_kind(kind);
    fleet.annotations.insert("pod-rebalancer/paused".to_owned(), words.to_owned());
    fleet
}

#[test]
fn a_paused_workload_is_left_alone_whatever_the_guards() {
    for kind in [WorkloadKind::Deployment, WorkloadKind::StatefulSet] {
        for (words, quoted) in [
            ("until Monday, ada", "pod-rebalancer/paused=\"until Monday, ada\""),
            ("", "pod-rebalancer/paused=\"\""),
            ("False", "pod-rebalancer/paused=\"False\""),
            ("a\u{1b}[2J\nb", r#"pod-rebalancer/paused="a\u{1b}[2J\nb""#),
            (&"x".repeat(100_000), "xxx…"),
        ] {
            let servers = Servers::over(paused(kind, words));
            for command in [&RUN[..], &["plan"]] {
                let done = servers.run(command, &[("GUARDS", "off")]);
                let report = done.json();
                assert_eq!((&report["outcome"], done.code), (&"withheld".into(), Some(0)), "{done}");
                let reason = report["reason"].as_str().unwrap_or_default();
                assert!(reason.contains(" orders-consumer is paused by its annotation"), "{reason}");
                assert!(reason.contains(quoted) && reason.len() < 600, "{reason}");
            }
            servers.assert_untouched();
            let (result, hint, code) = checked(&servers, &[], "is paused by its annotation");
            assert!(
                result == "warning" && hint.contains("annotation is removed") && code == Some(0),
                "{hint}"
            );
        }
    }
}

#[test]
fn a_workload_that_is_not_paused_is_rotated_and_nothing_more_is_asked() {
    let plain = Servers::start();
    plain.run(&RUN, &[]);
    let servers = Servers::over(paused(WorkloadKind::Deployment, "false"));
    let done = servers.run(&RUN, &[]);
    assert_eq!(done.json()["outcome"], "rotated", "{done}");
    assert_eq!(plain.asked(), servers.asked());
}

/// Somebody pauses the workload while a run is at it: the second pod stays.
#[test]
fn a_pause_between_plan_and_eviction_is_seen() {
    let servers = Servers::start();
    servers.metrics.hold();
    let running = servers.begin(&RUN, &[]);
    while servers.asked().len() < 3 {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    servers.cluster.change(|fleet| {
        fleet.annotations.insert("pod-rebalancer/paused".to_owned(), "wait".to_owned());
    });
    servers.metrics.release();
    let done = running.wait();
    assert_eq!(done.json()["outcome"], "withheld", "{done}");
    assert!(done.json()["reason"].as_str().is_some_and(|reason| reason.contains("paused")), "{done}");
    servers.assert_untouched();
}
