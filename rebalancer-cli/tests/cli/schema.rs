//! The JSON schema: every report is as it says, and it only grows.

use std::fs;
use std::path::PathBuf;

use jsonschema::Validator;
use rebalancer_core::Metric;
use rebalancer_sim::apiserver::{Effect, Fault};
use rebalancer_sim::transcript::Transcript;
use serde_json::{Value, json};

use crate::fleets::{Fleets, Spec, hot};
use crate::program::{Done, root, run};
use crate::servers::{Servers, fleet};

const RECORDING: &str = "testdata/recordings/orders-12-live.jsonl";

fn document() -> Value {
    let done = run(&["config", "schema"], &[]);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done}");
    done.json()
}

/// A validator of one kind of report that also refuses keys the schema does not know.
fn strict(kind: &str) -> Validator {
    let mut schema = document();
    close(&mut schema["$defs"]);
    schema["anyOf"] = json!([{ "$ref": format!("#/$defs/{kind}") }]);
    jsonschema::draft202012::new(&schema).expect("the schema is one")
}

/// Every object with named properties has no others.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if map.get("properties").is_some_and(Value::is_object)
                && map.get("type") == Some(&json!("object"))
            {
                map.insert("additionalProperties".to_owned(), false.into());
            }
            map.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

#[track_caller]
fn assert_valid(validator: &Validator, done: &Done) {
    let report = done.json();
    let errors: Vec<String> =
        validator.iter_errors(&report).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert_eq!(errors, Vec::<String>::new(), "{done}");
}

/// Everything that can be printed as JSON.
const KINDS: [&str; 5] = ["Report", "BacktestReport", "CheckReport", "ConfigReport", "HistoryReport"];

#[test]
fn the_schema_is_one_of_its_draft() {
    let document = document();
    assert_eq!(document["$schema"], "https://json-schema.org/draft/2020-12/schema");
    jsonschema::draft202012::meta::validate(&document).expect("the schema is one");
    for kind in KINDS {
        assert!(document["$defs"][kind].is_object(), "{kind}");
    }
}

#[test]
fn every_decision_is_as_the_schema_says() {
    let decision = strict("Report");
    assert!(
        !decision.is_valid(&json!({ "api_version": "pod-rebalancer/v1" })),
        "a schema that takes anything"
    );
    let replays =
        ["testdata/snapshots/orders-12-prometheus", "testdata/recordings/streams-1000.jsonl.gz", RECORDING];
    for path in replays {
        for env in [
            &[][..],
            &[("GUARDS", "off")],
            &[("CPU_VARIANCE_THRESHOLD", "9"), ("LAG_VARIANCE_THRESHOLD", "9")],
        ] {
            assert_valid(&decision, &run(&["replay", path, "--output=json"], env));
        }
    }
    for (args, env) in [
        (&["plan"][..], &[][..]),
        (&["run", "--yes"], &[]),
        (&["run", "--dry-run=server"], &[]),
        (&["run", "--yes"], &[("COOLDOWN", "100h")]),
        (&["run", "--yes"], &[("MIN_PODS_REQUIRED", "50")]),
    ] {
        assert_valid(&decision, &Servers::start().run(args, env));
    }
}

#[test]
fn rotations_that_go_wrong_are_as_the_schema_says() {
    let decision = strict("Report");
    let servers = Servers::over(fleet().with_budget("orders", 0));
    let blocked = servers.run(&["run", "--yes"], &[]);
    assert_eq!(blocked.json()["outcome"], "blocked", "{blocked}");
    assert_valid(&decision, &blocked);
    for (position, outcome) in [(2, "failed"), (3, "partial")] {
        let servers = Servers::start();
        let fault =
            Fault::on("POST", "/eviction", Effect::Answer(Transcript::named("312_sa_lister_evict_403")));
        servers.cluster.inject(fault.after(position).times(1));
        let done = servers.run(&["run", "--yes"], &[]);
        assert_eq!(done.json()["outcome"], outcome, "{done}");
        assert_valid(&decision, &done);
    }
}

#[test]
fn checks_backtests_and_settings_are_as_the_schema_says() {
    let servers = Servers::start();
    assert_valid(&strict("CheckReport"), &servers.run(&["check"], &[]));
    servers.metrics.answer_body(Metric::Cpu, "no JSON");
    assert_valid(&strict("CheckReport"), &servers.run(&["check"], &[]));
    assert_valid(&strict("ConfigReport"), &Servers::start().run(&["config"], &[]));
    let backtest = run(&["backtest", "--recordings", "testdata/recordings", "--output=json"], &[]);
    assert_valid(&strict("BacktestReport"), &backtest);
    assert_valid(&strict("HistoryReport"), &Servers::start().run(&["history"], &[]));
}

#[test]
fn scans_and_runs_of_all_are_as_the_schema_says() {
    let schema = strict("ScanReport");
    let uneven = Spec::deployment("shop", "orders", hot(8, 6.0)).with("enabled", "true");
    let wrong = Spec::deployment("shop", "mail", hot(8, 6.0)).with("enabled", "perhaps");
    let fleets = Fleets::of(&[uneven, wrong, Spec::deployment("shop", "web", vec![0.2])]);
    assert_valid(&schema, &fleets.run(&["scan", "--details"], &[]));
    let all = fleets.run(&["run", "--all", "--yes"], &[("GUARDS", "off")]);
    assert_eq!(all.json()["kind"], "RunAllReport", "{all}");
    assert_valid(&schema, &all);
}

/// `UPDATE_SCHEMA=1 cargo test -p rebalancer-cli schema` writes it anew, after the same comparison.
#[test]
fn the_schema_only_grows() {
    let path: PathBuf = root().join("testdata/schema.json");
    let now = document();
    if let Ok(text) = fs::read_to_string(&path) {
        let before: Value = serde_json::from_str(&text).expect("the kept schema is JSON");
        let mut lost = Vec::new();
        compare(&kinds(&before), &kinds(&now), "", &mut lost);
        assert_eq!(lost, Vec::<String>::new(), "readers of pod-rebalancer/v1 rely on this");
    }
    let text = serde_json::to_string_pretty(&now).expect("JSON can be written") + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&path, text).expect("the test data can be written");
        return;
    }
    let kept = fs::read_to_string(&path).expect("the kept schema");
    assert!(kept == text, "the schema has grown: run UPDATE_SCHEMA=1 cargo test -p rebalancer-cli schema");
}

/// The schema of each kind of report, with its parts in their places: what they are called is of no matter.
fn kinds(document: &Value) -> Value {
    let parts = &document["$defs"];
    let known = KINDS.into_iter().filter(|kind| !parts[*kind].is_null());
    known.map(|kind| (kind.to_owned(), with_enums(in_place(&parts[kind], parts)))).collect()
}

/// The schema with each reference replaced by what it refers to.
fn in_place(schema: &Value, parts: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        return in_place(&parts[name], parts);
    }
    match schema {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), in_place(value, parts))).collect(),
        Value::Array(items) => items.iter().map(|value| in_place(value, parts)).collect(),
        other => other.clone(),
    }
}

/// The schema with each choice of constants as the `enum` it is: words with a description of their own are
/// written as `oneOf`.
fn with_enums(mut schema: Value) -> Value {
    if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
        let words: Option<Vec<Value>> = choices.iter().map(|choice| choice.get("const").cloned()).collect();
        if let Some(words) = words {
            return json!({ "type": "string", "enum": words });
        }
    }
    match &mut schema {
        Value::Object(map) => map.values_mut().for_each(|value| *value = with_enums(value.take())),
        Value::Array(items) => items.iter_mut().for_each(|value| *value = with_enums(value.take())),
        _ => {}
    }
    schema
}

/// Notes what a reader of `before` would miss in `now`.
fn compare(before: &Value, now: &Value, at: &str, lost: &mut Vec<String>) {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            for (key, value) in before {
                match now.get(key) {
                    // Words may be put otherwise.
                    _ if key == "description" || key == "title" => {}
                    Some(now) => compare(value, now, &format!("{at}/{key}"), lost),
                    None => lost.push(format!("{at}/{key} is gone")),
                }
            }
        }
        // Required keys, words, kinds: there may be more, in any order.
        (Value::Array(before), Value::Array(now)) => {
            let covers = |item: &Value, other: &Value| {
                let mut lost = Vec::new();
                compare(item, other, "", &mut lost);
                lost.is_empty()
            };
            let gone = before.iter().filter(|item| !now.iter().any(|other| covers(item, other)));
            lost.extend(gone.map(|item| format!("{at}: {item} is gone")));
            if at.ends_with("/type") && now.len() > before.len() {
                lost.push(format!("{at} may be more than it was"));
            }
        }
        (before, now) if before == now => {}
        (before, now) => lost.push(format!("{at}: {before} became {now}")),
    }
}

#[test]
fn a_schema_that_shrinks_is_noticed() {
    let before =
        json!({ "properties": { "a": { "type": "string" } }, "required": ["a"], "enum": ["x", "y"] });
    for (now, count) in [
        (before.clone(), 0),
        (
            json!({ "properties": { "a": { "type": "string" }, "b": {} }, "required": ["b", "a"], "enum": ["x", "y", "z"] }),
            0,
        ),
        (json!({ "properties": { "a": { "type": "string" } }, "required": [], "enum": ["x", "y"] }), 1),
        (json!({ "properties": {}, "required": ["a"], "enum": ["x"] }), 2),
        (
            json!({ "properties": { "a": { "type": ["string", "null"] } }, "required": ["a"], "enum": ["x", "y"] }),
            1,
        ),
    ] {
        let mut lost = Vec::new();
        compare(&before, &now, "", &mut lost);
        assert_eq!(lost.len(), count, "{lost:?}");
    }
}
