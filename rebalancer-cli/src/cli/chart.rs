//! Tests that the chart's schema knows every setting and its form.

use std::collections::BTreeMap;
use std::path::Path;

use clap::{Arg, Command};
use jsonschema::Validator;
use rebalancer_core::Metric;
use serde_json::{Value, json};

use crate::cli::{secrets, usage};

/// Settings that the chart itself sets.
const SET_BY_CHART: [&str; 7] = [
    "PROMETHEUS_ENDPOINT",
    "KUBE_NAMESPACE",
    "KUBE_LABEL_SELECTOR",
    "DRY_RUN",
    "OUTPUT",
    "LOG_LEVEL",
    "LOG_FORMAT",
];

/// Values of many forms, as people write them.
const PROBES: [&str; 38] = [
    "off",
    "on",
    "true",
    "false",
    "yes",
    "0",
    "1",
    "2",
    "3",
    "0.5",
    "1.5",
    "30",
    "100",
    "101",
    "-1",
    "30%",
    "101%",
    "0%",
    "0s",
    "5m",
    "1h30m",
    "90s",
    "1 day",
    "5 parsecs",
    "64Mi",
    "250m",
    "2k",
    "64MiB",
    "1e3",
    "NaN",
    "inf",
    "post",
    "evict",
    "by_cause",
    "standard",
    "cpu=0.4,lag=0.3",
    "cpu",
    "cpu=0.4;lag=1",
];

fn document() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/helm/pod-rebalancer/values.schema.json");
    let text = std::fs::read_to_string(path).expect("the chart's schema");
    serde_json::from_str(&text).expect("the schema is JSON")
}

fn validator(document: &Value) -> Validator {
    let schema = json!({
        "$schema": document["$schema"],
        "definitions": document["definitions"],
        "$ref": "#/definitions/settings",
    });
    jsonschema::validator_for(&schema).expect("the schema is one")
}

/// The settings of `run`, by their variables.
fn settings(command: &Command) -> BTreeMap<String, &Arg> {
    let run = command.find_subcommand("run").expect("there is a command run");
    let named = |arg: &'_ Arg| Some(arg.get_env()?.to_str()?.to_owned());
    run.get_arguments().filter_map(|arg| Some((named(arg)?, arg))).collect()
}

/// Whether `run` accepts the form of the value.
fn takes(command: &Command, arg: &Arg, value: &str) -> bool {
    let flag = format!("--{}={value}", arg.get_long().expect("a setting has a flag"));
    command.clone().try_get_matches_from(["pod-rebalancer", "run", &flag]).is_ok()
}

#[test]
fn the_chart_knows_every_setting_and_no_other() {
    let (command, document) = (usage::command(), document());
    let known = document["definitions"]["settings"]["properties"].as_object().expect("settings by name");
    let set_by_chart = |name: &str| SET_BY_CHART.contains(&name);
    for name in settings(&command).keys().filter(|name| !set_by_chart(name)) {
        assert!(known.contains_key(name), "values.schema.json lacks {name} among the settings");
    }
    for name in known.keys() {
        assert!(settings(&command).contains_key(name), "values.schema.json has {name}, which is no setting");
        assert!(!set_by_chart(name) && secrets::ALL.iter().all(|secret| secret.variable != name), "{name}");
    }
}

/// It passes them, because the deadline of a job depends on them.
#[test]
fn the_chart_has_the_time_limits_of_the_program() {
    let limit = |typed: &[&str]| {
        let typed = [&["pod-rebalancer", "run"], typed].concat();
        let matches = usage::command().try_get_matches_from(typed).expect("arguments of run");
        let run = matches.subcommand_matches("run").expect("it is run");
        run.get_raw("run_timeout")
            .expect("a default")
            .map(|text| text.display().to_string())
            .collect::<String>()
    };
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/helm/pod-rebalancer/templates/_helpers.tpl");
    let text = std::fs::read_to_string(path).expect("a template");
    let told = format!("(ternary {:?} {:?} (eq $values.scope \"targets\"))", limit(&[]), limit(&["--all"]));
    assert!(text.contains(&told), "_helpers.tpl lacks {told}");
}

#[test]
fn the_chart_takes_the_values_that_the_program_takes() {
    let (command, document) = (usage::command(), document());
    let (validator, settings) = (validator(&document), settings(&command));
    let of_metrics = Metric::ALL.map(|metric| format!("{metric}=1"));
    let of_metrics = [&of_metrics[..], &[of_metrics.join(",")]].concat();
    let mut unequal = Vec::new();
    for (name, arg) in settings.iter().filter(|(name, _)| !SET_BY_CHART.contains(&name.as_str())) {
        for probe in PROBES.into_iter().chain(of_metrics.iter().map(String::as_str)) {
            let (chart, program) =
                (validator.is_valid(&json!({ name.as_str(): probe })), takes(&command, arg, probe));
            // Free text is parsed further when it is used.
            let is_text = document["definitions"]["settings"]["properties"][name.as_str()]["$ref"]
                == "#/definitions/text";
            if chart != program && !(is_text && chart) {
                unequal.push(format!("{name}={probe}: the chart takes it: {chart}, the program: {program}"));
            }
        }
    }
    assert_eq!(unequal, Vec::<String>::new());
}

/// YAML reads a bare `off` as false, and a number as a number; the chart turns them into text again.
#[test]
fn the_chart_takes_no_number_and_no_bool_that_the_program_does_not() {
    let (command, document) = (usage::command(), document());
    let (validator, settings) = (validator(&document), settings(&command));
    let values = [json!(false), json!(true), json!(-1), json!(0), json!(1), json!(3), json!(0.5), json!(120)];
    for (name, arg) in settings.iter().filter(|(name, _)| !SET_BY_CHART.contains(&name.as_str())) {
        let is_text =
            document["definitions"]["settings"]["properties"][name.as_str()]["$ref"] == "#/definitions/text";
        for value in &values {
            let text = match value {
                Value::Bool(on) => (if *on { "on" } else { "off" }).to_owned(),
                number => number.to_string(),
            };
            let taken = validator.is_valid(&json!({ name.as_str(): value }));
            assert!(!taken || is_text || takes(&command, arg, &text), "{name}={value}");
        }
    }
}
