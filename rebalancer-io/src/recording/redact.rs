//! Anonymised recordings, to be shared: every name is replaced by a keyed hash, the same wherever the name
//! occurs, and everything a decision does not read is left out.
//!
//! It keeps what is known to be harmless, instead of removing what is known to be secret: keys that are not
//! listed here are dropped, texts that are not listed are replaced. Names keep their order (it breaks ties)
//! and their hyphens, dots and underscores (they identify a workload's pods), so that a replay decides the
//! same.

mod names;

use std::borrow::Cow;
use std::sync::Arc;

use rebalancer_core::kafka::Assignor;
use serde_json::{Map, Value};

use super::exchange::{Exchange, Recording};
use crate::metrics::{ALIKE_LABEL, AlertPattern, MEMBER_LABEL, OriginQueries, VETO_ALERTS};
use crate::promql::string_length;
use names::{Words, collected};

pub use names::{InvalidKey, RedactionKey};

/// Labels that a decision reads, besides the pod's.
const LABELS: [&str; 7] =
    ["namespace", "topic", "partition", "client_id", "protocol", MEMBER_LABEL, ALIKE_LABEL];

/// Kinds of objects that reveal nothing about the user.
const KINDS: [&str; 10] = [
    "ReplicaSet",
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "ReplicationController",
    "Rollout",
    "Node",
    "Pod",
];

/// Groups of such kinds.
const GROUPS: [&str; 4] = ["", "apps", "batch", "argoproj.io"];

/// The words of the query API: whether it succeeded, what it returns, and which kind of error it met.
const WORDS: [&str; 14] = [
    "success",
    "error",
    "vector",
    "matrix",
    "scalar",
    "string",
    "timeout",
    "canceled",
    "execution",
    "bad_data",
    "internal",
    "unavailable",
    "not_found",
    "not_acceptable",
];

/// What an answer may be declared as.
const CONTENT_TYPES: [&str; 3] = ["application/json", "text/html", "text/plain"];

/// Setting keys that are kept unchanged.
const SETTINGS: [&str; 2] = ["allow_multiple_controllers", "decision"];

/// Replaces a text of the other side that may contain any name.
const REMOVED: &str = "(removed)";

/// The default pod label, which replaces the actual one.
const POD: &str = "pod";

impl Recording {
    /// The same recording without names. In two recordings made with the same key, equal words of names end
    /// in the same eight characters, except five-character words such as Kubernetes generates.
    #[must_use]
    pub fn redacted(&self, key: &RedactionKey) -> Self {
        let words = collected(key, |words| {
            self.rewritten(words);
        });
        self.rewritten(&words)
    }

    fn rewritten(&self, words: &Words<'_>) -> Self {
        let pod_label = self.config["pod_label"].as_str().unwrap_or(POD);
        // Those queries use labels that may name anything.
        let kept = self.exchanges.iter().filter(|exchange| !OriginQueries::has(&exchange.name));
        Self {
            tool_version: self.tool_version.clone(),
            recorded_at: self.recorded_at,
            evaluation_time: self.evaluation_time,
            config: settings(&self.config, words),
            workload: self.workload.as_ref().map(|facts| fact("", facts, words)),
            exchanges: kept
                .map(|exchange| rewritten(&vetoing(exchange, &self.config), pod_label, words))
                .collect(),
        }
    }
}

fn settings(config: &Value, words: &Words<'_>) -> Value {
    let given = config.as_object().into_iter().flatten();
    let kept = given.filter_map(|(key, value)| match (key.as_str(), value) {
        ("pod_label", Value::String(_)) => Some((key.clone(), POD.into())),
        ("namespace" | "selector", Value::String(text)) => Some((key.clone(), words.text(text).into())),
        // Only those that it matched are left.
        (VETO_ALERTS, Value::String(_)) => Some((key.clone(), "".into())),
        (_, Value::Null) => Some((key.clone(), Value::Null)),
        (known, value) if SETTINGS.contains(&known) => Some((key.clone(), value.clone())),
        _ => None,
    });
    Value::Object(kept.collect())
}

/// The exchange about firing alerts with those alone that forbade a rotation: a replay without their names
/// cannot tell which they are.
fn vetoing<'e>(exchange: &'e Exchange, config: &Value) -> Cow<'e, Exchange> {
    let pattern = config[VETO_ALERTS].as_str().and_then(|text| text.parse::<AlertPattern>().ok());
    let body = serde_json::from_slice::<Value>(&exchange.body).ok();
    let Some((pattern, mut body)) = pattern.zip(body).filter(|_| exchange.name == VETO_ALERTS) else {
        return Cow::Borrowed(exchange);
    };
    if let Some(rows) = body.pointer_mut("/data/result").and_then(Value::as_array_mut) {
        rows.retain(|row| pattern.matches(row["metric"]["alertname"].as_str().unwrap_or_default()));
    }
    Cow::Owned(Exchange { body: Arc::from(body.to_string().into_bytes()), ..exchange.clone() })
}

/// A part of the workload's facts; `key` is its key. Numbers and booleans stay.
fn fact(key: &str, value: &Value, words: &Words<'_>) -> Value {
    match value {
        Value::String(text) if is_harmless(key, text) => value.clone(),
        Value::String(text) => words.text(text).into(),
        Value::Array(items) => items.iter().map(|item| fact(key, item, words)).collect(),
        Value::Object(map) => {
            let facts = map.iter().map(|(key, value)| (key.clone(), fact(key, value, words)));
            Value::Object(facts.collect())
        }
        other => other.clone(),
    }
}

/// Whether a text of the facts is a word of Kubernetes or of this program.
fn is_harmless(key: &str, text: &str) -> bool {
    match key {
        "phase" => true,
        "kind" => KINDS.contains(&text),
        "group" => GROUPS.contains(&text),
        "protections" => matches!(text, "mirror_pod" | "local_storage"),
        "class" => text.starts_with("system-"),
        _ => false,
    }
}

fn rewritten(exchange: &Exchange, pod_label: &str, words: &Words<'_>) -> Exchange {
    let content_type = exchange.content_type.as_deref().and_then(|text| text.split(';').next());
    let content_type = content_type.filter(|text| CONTENT_TYPES.contains(text));
    Exchange {
        name: exchange.name.clone(),
        query: query(&exchange.query, words),
        when: exchange.when,
        status: exchange.status,
        content_type: content_type.map(str::to_owned),
        location: None,
        body: Arc::from(answer(&exchange.body, pod_label, words).into_bytes()),
    }
}

/// The query with the words in its strings replaced, and outside them the words that occur in names. Comments
/// are left out.
fn query(query: &str, words: &Words<'_>) -> String {
    let mut redacted = String::new();
    let mut rest = query;
    while let Some(at) = rest.find(['"', '\'', '`', '#']) {
        let (before, from) = rest.split_at(at);
        redacted.push_str(&words.known_in(before));
        if from.starts_with('#') {
            rest = &from[from.find('\n').unwrap_or(from.len())..];
            continue;
        }
        // An unclosed string extends to the end of the query.
        let (string, behind) = from.split_at(string_length(from).unwrap_or(from.len()));
        redacted.push_str(&words.text(string));
        rest = behind;
    }
    redacted + &words.known_in(rest)
}

/// An answer of the query API; anything else is removed.
fn answer(body: &[u8], pod_label: &str, words: &Words<'_>) -> String {
    let series = |key: &str, value| match (key, value) {
        ("metric", Value::Object(map)) => Some(Value::Object(labels(map, pod_label, words))),
        ("metric" | "value" | "values" | "histogram" | "histograms", value) => Some(without_texts(value)),
        _ => None,
    };
    let data = |key: &str, value| match (key, value) {
        ("resultType", value) => Some(word(value)),
        ("result", Value::Array(rows)) => Some(rows.into_iter().map(|row| kept(row, &series)).collect()),
        ("result", value) => Some(without_texts(value)),
        _ => None,
    };
    let envelope = |key: &str, value| match key {
        "status" | "errorType" | "isPartial" => Some(word(value)),
        "error" => Some(REMOVED.into()),
        "warnings" | "infos" => Some(without_texts(value)),
        "data" => Some(kept(value, &data)),
        _ => None,
    };
    match serde_json::from_slice(body) {
        Ok(answer @ Value::Object(_)) => kept(answer, &envelope).to_string(),
        _ => REMOVED.to_owned(),
    }
}

/// The values of an object that `keep` returns, by their keys.
fn kept(value: Value, keep: &dyn Fn(&str, Value) -> Option<Value>) -> Value {
    let Value::Object(map) = value else { return without_texts(value) };
    let kept = map.into_iter().filter_map(|(key, value)| {
        let value = keep(&key, value)?;
        Some((key, value))
    });
    Value::Object(kept.collect())
}

fn labels(labels: Map<String, Value>, pod_label: &str, words: &Words<'_>) -> Map<String, Value> {
    let kept = labels.into_iter().filter_map(|(label, value)| {
        let text = value.as_str()?;
        let is_pod = label == pod_label;
        let is_read = is_pod || (label != POD && LABELS.contains(&label.as_str()));
        let is_harmless = match label.as_str() {
            _ if is_pod => false,
            "partition" => text.parse::<u32>().is_ok(),
            "protocol" => text.parse::<Assignor>().is_ok(),
            MEMBER_LABEL | ALIKE_LABEL => text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'),
            _ => false,
        };
        let text = if is_harmless { text.to_owned() } else { place(text, words) };
        is_read.then(|| (if is_pod { POD.to_owned() } else { label.clone() }, text.into()))
    });
    kept.collect()
}

/// A name, or several with a partition number in second place, in the format of [`crate::metrics::Place`].
fn place(text: &str, words: &Words<'_>) -> String {
    let hidden = text.split('/').enumerate().map(|(at, part)| {
        let is_number = at == 1 && part.parse::<u32>().is_ok();
        if is_number { part.to_owned() } else { words.text(part) }
    });
    hidden.collect::<Vec<String>>().join("/")
}

/// The same if it is a word of the query API.
fn word(value: Value) -> Value {
    let is_known = value.as_str().is_some_and(|text| WORDS.contains(&text));
    if is_known { value } else { without_texts(value) }
}

/// The same without any text except numbers.
fn without_texts(value: Value) -> Value {
    match value {
        Value::String(text) if text.parse::<f64>().is_ok() => text.into(),
        Value::String(_) => REMOVED.into(),
        Value::Array(items) => items.into_iter().map(without_texts).collect(),
        Value::Object(map) => {
            let named = |(key, value): (String, Value)| {
                // The keys of a histogram; any other key may be a name.
                let known = ["count", "sum", "buckets"].contains(&key.as_str());
                known.then(|| (key, without_texts(value)))
            };
            Value::Object(map.into_iter().filter_map(named).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::prometheus::When;

    fn recording(body: &str) -> Recording {
        let at = "2026-11-23T05:00:00Z".parse().expect("a time");
        Recording {
            tool_version: "0.1.0".to_owned(),
            recorded_at: at,
            evaluation_time: at,
            config: json!({"namespace": "shop", "selector": "app=orders", "pod_label": "acme_pod", "secret": "hunter2"}),
            exchanges: vec![Exchange {
                name: "cpu".to_owned(),
                query: "sum by (acme_pod) (shop_cpu{namespace=\"shop\"})".to_owned(),
                when: When::Instant(at),
                status: 200,
                content_type: Some("application/json; from=shop".to_owned()),
                location: Some("http://shop/login".to_owned()),
                body: Arc::from(body.as_bytes()),
            }],
            workload: Some(json!({"pods": [{"name": "orders-6d5f9-x7k2p", "phase": "Running", "uid": "",
                "protections": ["mirror_pod", {"opt_out": {"annotation": "acme.com/keep", "value": "ada"}}],
                "controller": {"kind": "ReplicaSet", "name": "orders-6d5f9", "uid": "u-1"}}]})),
        }
    }

    fn key() -> RedactionKey {
        RedactionKey::new(b"0123456789abcdef").expect("a key that is long enough")
    }

    #[test]
    fn names_are_the_same_everywhere_and_nothing_else_is_left() {
        let body = json!({"status": "success", "stats": {"host": "shop"}, "infos": ["shop is slow"], "data": {
            "resultType": "vector", "result": [{"metric": {"acme_pod": "orders-6d5f9-x7k2p", "pod": "scraper",
            "node": "ip-10-0-0-1.shop", "namespace": "shop", "partition": "7"}, "value": [1.5, "0.25"]}]}});
        let redacted = recording(&body.to_string()).redacted(&key());
        let answer: Value = serde_json::from_slice(&redacted.exchanges[0].body).expect("JSON stays JSON");
        let labels = &answer["data"]["result"][0]["metric"];
        let facts = redacted.workload.as_ref().expect("facts stay");
        assert_eq!(labels["pod"], facts["pods"][0]["name"]);
        assert_eq!(labels["namespace"], redacted.config["namespace"]);
        assert_eq!(labels["partition"], "7");
        assert_eq!(answer["data"]["result"][0]["value"], json!([1.5, "0.25"]));
        assert_eq!(facts["pods"][0]["phase"], "Running");
        assert_eq!(facts["pods"][0]["uid"], "", "unknown stays unknown");
        // The pod is known by its controller, and by the five characters at its end.
        let (maker, own) = labels["pod"].as_str().and_then(|pod| pod.rsplit_once('-')).expect("hyphens stay");
        assert_eq!((facts["pods"][0]["controller"]["name"].as_str(), own.len()), (Some(maker), 5));
        let all = format!("{redacted:?} {answer} {}", redacted.exchanges[0].query);
        for name in ["shop", "orders", "6d5f9", "x7k2p", "acme", "ada", "scraper", "ip-10", "hunter2", "keep"]
        {
            assert!(!all.contains(name), "{name}: {all}");
        }
    }

    /// A partition's label names its topic and its pod, and keeps its number.
    #[test]
    fn the_place_of_a_partition_keeps_its_number_alone() {
        let body = json!({"status": "success", "data": {"resultType": "matrix", "result": [
            {"metric": {"acme_pod": "shop.v1/4/orders-6d5f9-x7k2p"}, "values": [[1.5, "68"]]}]}});
        let redacted = recording(&body.to_string()).redacted(&key());
        let answer: Value = serde_json::from_slice(&redacted.exchanges[0].body).expect("JSON stays JSON");
        let place = answer["data"]["result"][0]["metric"]["pod"].as_str().expect("a place");
        let facts = redacted.workload.as_ref().expect("facts stay");
        let [topic, number, pod] = place.split('/').collect::<Vec<&str>>()[..] else { panic!("{place}") };
        assert_eq!((number, Some(pod)), ("4", facts["pods"][0]["name"].as_str()));
        assert!(!topic.contains("shop") && topic.contains('.'), "{topic}");
    }

    #[test]
    fn what_is_no_answer_is_removed() {
        for body in [
            "<html>shop</html>",
            "[\"shop\"]",
            r#"{"status":"error","error":"shop failed","data":"shop"}"#,
            r#"{"status":"nothing for shop","isPartial":"shop"}"#,
            r#"{"status":"error","errorType":"shop","error":{"message":"shop"}}"#,
            r#"{"status":"success","data":{"resultType":"shop","result":[]}}"#,
        ] {
            let mut recording = recording(body);
            recording.exchanges[0].content_type = Some("application/vnd.shop+json".to_owned());
            let redacted = recording.redacted(&key());
            let Exchange { body, content_type, .. } = &redacted.exchanges[0];
            let kept = String::from_utf8_lossy(body).into_owned();
            assert!(!kept.contains("shop") && kept.contains(REMOVED), "{kept}");
            assert_eq!(*content_type, None);
        }
    }

    #[test]
    fn strings_comments_and_names_go_and_the_rest_stays() {
        let query = "sum by (pod) (orders_lag{ns=\"pay\\\"ments\", p=~'alpha|beta', q=`gamma\\`}[5m]) # of delta\n> 0";
        let key = RedactionKey::new(&[1; 16]).expect("a key that is long enough");
        let words = collected(&key, |words| {
            words.text("orders");
            super::query(query, words);
        });
        let hidden = super::query(query, &words);
        for name in ["orders", "pay", "ments", "alpha", "beta", "gamma", "delta"] {
            assert!(!hidden.contains(name), "{name}: {hidden}");
        }
        assert!(hidden.starts_with("sum by (pod) (") && hidden.ends_with("}[5m]) \n> 0"), "{hidden}");
        assert!(hidden.contains("_lag{ns=") && hidden.contains("\\\"") && hidden.contains('|'), "{hidden}");
    }
}
