//! Recordings without names: none is left in the file, and a replay decides the same.

use std::fs;
use std::path::Path;

use rebalancer_io::recording::{Recording, RedactionKey};
use rebalancer_sim::apiserver::Fleet;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{root, run};
use crate::servers::{Servers, fleet};

/// The partitions of the fleet's pods, one of them hot; topics, clients and pods have telling names.
fn partitions(fleet: &Fleet) -> String {
    let rows = fleet.pods.iter().enumerate().flat_map(|(position, pod)| {
        [("acme.payments", position), ("acme.ledger_v2", position)].map(|(topic, number)| {
            json!({
                "metric": { "namespace": "tiny", "pod": pod.name, "topic": topic, "partition": number.to_string(),
                    "node": "ip-10-0-0-1.acme.internal" },
                "value": [1795410000, (position * 37 % 11 + 1).to_string()],
            })
        })
    });
    json!({ "status": "success", "data": { "resultType": "vector", "result": rows.collect::<Vec<Value>>() } })
        .to_string()
}

/// Everything a replay decides, without the words that may hold names: a pod is where it stands.
fn decided(path: &Path, env: &[(&str, &str)]) -> Value {
    let done = run(&["replay", path.to_str().expect("a path of ours"), "--output=json"], env);
    assert_eq!(done.code, Some(0), "{done}");
    let mut report = done.json();
    let pods = report["pods"].as_array().expect("a report lists the pods").clone();
    let place = |name: &Value| pods.iter().position(|pod| pod["name"] == *name);
    let targets: Vec<Value> = report["targets"]
        .as_array()
        .expect("a report lists the targets")
        .iter()
        .map(|target| json!([place(&target["pod"]), target["role"]]))
        .collect();
    report["targets"] = targets.into();
    for key in ["reason", "workload", "warnings", "obstacles"] {
        report.as_object_mut().expect("a report is an object").remove(key);
    }
    without_words(&mut report);
    report
}

fn without_words(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for key in ["name", "reason", "evidence", "pod", "node", "topic", "advice"] {
                // A guard's name is no name of anyone.
                let is_public = key == "name" && map.contains_key("limit");
                if !is_public {
                    map.remove(key);
                }
            }
            map.values_mut().for_each(without_words);
        }
        Value::Array(items) => items.iter_mut().for_each(without_words),
        _ => {}
    }
}

#[test]
fn a_redacted_recording_decides_the_same() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let with_partitions = folder.path().join("partitions.jsonl");
    let servers = Servers::start();
    servers.metrics.answer_queries_with("topic, partition)", partitions(&fleet()));
    let done = servers.run(&["record", with_partitions.to_str().expect("a path of ours")], &[]);
    assert_eq!(done.code, Some(0), "{done}");

    let kept = ["orders-12.jsonl", "orders-12-live.jsonl", "streams-1000.jsonl.gz"];
    let paths = kept.map(|name| root().join("testdata/recordings").join(name)).into_iter();
    for path in paths.chain([with_partitions]) {
        let recording = Recording::read(&path).expect("a recording");
        let key = RedactionKey::random().expect("a system with randomness");
        let redacted = folder.path().join("redacted.jsonl");
        recording.redacted(&key).write(&redacted).expect("a folder of ours");
        let weighed = [("SCORE_WEIGHTS", "cpu=1"), ("GUARDS", "off")];
        for env in [&[][..], &[("GUARDS", "off")], &weighed, &[("CPU_VARIANCE_THRESHOLD", "5")]] {
            assert_eq!(decided(&redacted, env), decided(&path, env), "{} {env:?}", path.display());
        }
    }
}

#[test]
fn no_name_is_left_in_a_redacted_recording() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let path = folder.path().join("run.jsonl");
    let servers = Servers::start();
    servers.metrics.answer_queries_with("topic, partition)", partitions(&fleet()));
    let own = "max by (namespace, pod) (container_memory_working_set_bytes{namespace=\"{{namespace}}\", pod=~\"{{pods_regex}}\", team=\"ada\"})";
    let env = [("QUERY_MEMORY", own), ("KAFKA_GROUP", "acme-group")];
    let done = servers.run(&["record", "--redact", path.to_str().expect("a path of ours")], &env);
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stdout.contains("keyed hashes"), "{done}");
    let text = fs::read_to_string(&path).expect("the recording is text");
    let mut names: Vec<String> = fleet().pods.into_iter().map(|pod| pod.name).collect();
    let others = [
        "tiny",
        "orders",
        "g5zn5h759",
        "58db4d5fb7",
        "00000000",
        "payments",
        "ledger",
        "acme-group",
        "internal",
        "node-1",
        "ada\\",
    ];
    names.extend(others.map(str::to_owned));
    for name in names {
        assert!(!text.contains(&name), "{name}: {text}");
    }
    let replayed = run(&["replay", path.to_str().expect("a path of ours"), "--output=json"], &[]);
    let planned = servers.run(&["plan"], &env);
    assert_eq!(replayed.json()["outcome"], planned.json()["outcome"], "{replayed}");
}

#[test]
fn an_answer_that_cannot_be_used_is_redacted_too() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let path = folder.path().join("run.jsonl");
    let servers = Servers::start();
    servers.metrics.answer_body(
        rebalancer_core::Metric::Cpu,
        r#"{"status":"error","errorType":"execution","error":"tiny is down"}"#,
    );
    servers.run(&["record", "--redact", path.to_str().expect("a path of ours")], &[]).assert_one_error(1);
    let text = fs::read_to_string(&path).expect("the recording is text");
    assert!(!text.contains("tiny") && text.contains("execution"), "{text}");
}

#[test]
fn a_key_makes_two_recordings_comparable() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let (key, path) = (folder.path().join("key"), folder.path().join("run.jsonl"));
    fs::write(&key, [7; 32]).expect("a file in a folder of ours");
    let key = key.to_str().expect("a path of ours");
    let servers = Servers::start();
    let record = |env: &[(&str, &str)]| {
        let args = ["record", "--redact", path.to_str().expect("a path of ours")];
        let done = servers.run(&args, env);
        assert_eq!(done.code, Some(0), "{done}");
        let recording = Recording::read(&path).expect("a recording");
        recording.config["namespace"].as_str().expect("a namespace").to_owned()
    };
    let with_key = record(&[("REDACT_KEY_FILE", key)]);
    assert_eq!(with_key[5..], record(&[("REDACT_KEY_FILE", key)])[5..]);
    assert_ne!(with_key[5..], record(&[])[5..]);

    fs::write(key, "short").expect("a file in a folder of ours");
    let args = ["record", "--redact-key-file", key, "run.jsonl"];
    let message = servers.run(&args, &[]).assert_one_error(64).to_owned();
    assert!(message.contains("REDACT_KEY_FILE") && message.contains("16 or more"), "{message}");
    assert!(!message.contains("short"), "{message}");
}
