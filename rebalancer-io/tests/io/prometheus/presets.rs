//! Every preset on the same series: by promtool's evaluator, and by a VictoriaMetrics server.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use rebalancer_core::{LivePod, Metric};
use rebalancer_io::metrics::{
    FactQueries, KafkaPreset, MetricQuery, MetricsSource as _, OriginQueries, QuerySet, QuerySettings,
};
use rebalancer_io::origin::one_origin;
use rebalancer_io::prometheus::PrometheusClient;

use super::servers::{Server, TestSeries, VICTORIA_METRICS, program};

/// One line of `expected.txt`.
struct Case {
    line: String,
    query: MetricQuery,
    expected: Vec<(String, f64)>,
}

#[test]
fn promtool_evaluates_every_preset_as_expected() {
    let Some(promtool) = program("promtool") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::copy(testdata("rules.yml"), folder.path().join("rules.yml")).expect("a copy of the rules");
    let file = folder.path().join("presets.yml");
    fs::write(&file, promtool_file()).expect("a test file");
    let output = Command::new(promtool).args(["test", "rules"]).arg(&file).output().expect("promtool runs");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

#[test]
fn every_query_of_every_preset_is_tested() {
    let cases = cases();
    for preset in KafkaPreset::of_series() {
        let mut settings = settings();
        settings.preset = preset;
        let set = QuerySet::new(&settings).expect("a query set");
        for query in Metric::ALL.into_iter().filter_map(|metric| set.get(metric)) {
            assert!(cases.iter().any(|case| case.query == *query), "{preset} {}", query.name);
        }
    }
}

#[test]
fn victoria_metrics_evaluates_every_preset_as_expected() {
    asked_of_victoria_metrics("series.txt", |client, at| {
        for Case { line, query, expected } in cases() {
            let answer = client.instant(&query, at).unwrap_or_else(|error| panic!("{line}: {error}"));
            let mut found: Vec<(String, f64)> =
                answer.iter().map(|sample| (sample.pod.to_owned(), sample.value)).collect();
            found.sort_by(|a, b| a.0.cmp(&b.0));
            assert!(is_close(&found, &expected), "{line}: {found:?} is not {expected:?}: {}", query.promql);
        }
    });
}

/// Whether two answers, both sorted, have the same names and nearly the same values.
fn is_close(found: &[(String, f64)], expected: &[(String, f64)]) -> bool {
    found.len() == expected.len()
        && found.iter().zip(expected).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() <= 1e-9 * b.1.abs())
}

/// Each release with the series of one file, and a client of it; everything is asked at 10 m.
fn asked_of_victoria_metrics(name: &str, ask: impl Fn(&PrometheusClient, Timestamp)) {
    let start = Timestamp::from_second((Timestamp::now() - SignedDuration::from_mins(20)).as_second());
    let start = start.expect("a time of now");
    for binary in VICTORIA_METRICS.into_iter().filter_map(program) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let server = Server::victoria_metrics(&binary, folder.path());
        server.import(&series_of(name, start));
        ask(&server.client(), start + SignedDuration::from_mins(10));
    }
}

/// The queries of `otel-java` for the pods of one namespace.
fn otel_queries(namespace: &str) -> (QuerySet, FactQueries) {
    let settings =
        QuerySettings { preset: KafkaPreset::OtelJava, namespace: namespace.to_owned(), ..settings() };
    let queries = QuerySet::new(&settings).expect("a query set");
    let facts = FactQueries::new(&queries, &settings).expect("queries of the group");
    (queries, facts)
}

#[test]
fn names_that_keep_their_dots_are_found() {
    asked_of_victoria_metrics("utf8.txt", |client, at| {
        let (queries, facts) = otel_queries("utf8");
        for (metric, expected) in [(Metric::Lag, 42.0), (Metric::Rate, 4.0)] {
            let query = queries.get(metric).expect("a query");
            let answer = client.instant(query, at).expect("an answer");
            let mut found: Vec<(&str, f64)> =
                answer.iter().map(|sample| (sample.pod, sample.value)).collect();
            found.sort_by(|a, b| a.0.cmp(b.0));
            assert_eq!(found, [("c-0", expected), ("c-1", 0.0)], "{metric}: {}", query.promql);
        }
        let owners = facts.of_the_group().find(|query| query.name == "partition_owners").expect("a query");
        let answer = client.labelled(owners, &["topic", "partition"], at).expect("an answer");
        let mut found: Vec<String> = answer
            .into_iter()
            .map(|sample| format!("{} {}", sample.pod.unwrap_or_default(), sample.labels.join(" ")))
            .collect();
        found.sort();
        assert_eq!(found, ["c-0 a.b 0", "c-0 a_b 0", "c-0 a_b 1"]);
    });
}

/// The clients of one pod differ by `clientid` where JMX rules name them: they are no two clusters.
#[test]
fn two_clients_of_a_pod_are_one_place() {
    asked_of_victoria_metrics("series.txt", |client, at| {
        let settings = QuerySettings { namespace: "connect".to_owned(), ..settings() };
        let pods = ["c-0", "c-1"].map(LivePod::assumed);
        one_origin(client, &OriginQueries::new(&settings), &pods, at).expect("one place");
    });
}

#[test]
fn pods_that_share_an_instance_are_refused_and_the_cure_is_named() {
    asked_of_victoria_metrics("series.txt", |client, at| {
        let (queries, _) = otel_queries("shared");
        let error = client.instant(queries.get(Metric::Lag).expect("a query"), at);
        let error = error.expect_err("whose lag it is cannot be told").to_string();
        assert!(error.contains("service.instance.id"), "{error}");
        let (queries, _) = otel_queries("nobody");
        let answer = client.instant(queries.get(Metric::Lag).expect("a query"), at).expect("an answer");
        assert!(answer.is_empty(), "the processes of others are nobody's");
    });
}

/// One line of `facts.txt`.
struct FactCase {
    line: String,
    query: MetricQuery,
    expected: Vec<(String, f64)>,
}

/// Labels that tell the samples of a group apart, beside the pod.
const FACT_LABELS: [&str; 4] = ["client_id", "partition", "protocol", "topic"];

#[test]
fn every_query_of_a_group_is_tested() {
    let cases = fact_cases();
    for preset in KafkaPreset::of_series() {
        let queries = fact_queries(preset);
        for query in queries.of_the_group() {
            let tested = cases.iter().any(|case| case.query.promql == query.promql);
            assert!(tested, "{preset} {}: {}", query.name, query.promql);
        }
    }
}

#[test]
fn victoria_metrics_tells_of_the_group_as_expected() {
    asked_of_victoria_metrics("series.txt", |client, at| {
        for FactCase { line, query, expected } in fact_cases() {
            let answer = client.labelled(&query, &FACT_LABELS, at);
            let answer = answer.unwrap_or_else(|error| panic!("{line}: {error}"));
            let mut found: Vec<(String, f64)> = answer
                .into_iter()
                .map(|sample| {
                    let pod = ("pod", sample.pod.unwrap_or_default());
                    let others = FACT_LABELS.into_iter().zip(sample.labels);
                    (shown(std::iter::once(pod).chain(others)), sample.value)
                })
                .collect();
            found.sort_by(|a, b| a.0.cmp(&b.0));
            let mut expected: Vec<(String, f64)> = expected
                .iter()
                .map(|(labels, value)| {
                    (shown(pairs(labels).filter(|(name, _)| *name != "namespace")), *value)
                })
                .collect();
            expected.sort_by(|a, b| a.0.cmp(&b.0));
            assert!(is_close(&found, &expected), "{line}: {found:?} is not {expected:?}: {}", query.promql);
        }
    });
}

/// Name and value of each label of `{a="b",c="d"}`.
fn pairs(labels: &str) -> impl Iterator<Item = (&str, String)> {
    let inside = labels.trim_matches(['{', '}']);
    inside.split(',').map(|pair| {
        let (name, value) = pair.split_once('=').expect("a label");
        (name, value.trim_matches('"').to_owned())
    })
}

/// The labels that have a value, sorted.
fn shown<'a>(labels: impl Iterator<Item = (&'a str, String)>) -> String {
    let mut shown: Vec<String> = labels
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    shown.sort();
    shown.join(" ")
}

fn fact_queries(preset: KafkaPreset) -> FactQueries {
    let settings = QuerySettings { preset, ..settings() };
    let queries = QuerySet::new(&settings).expect("a query set");
    FactQueries::new(&queries, &settings).expect("queries of the group")
}

fn preset(name: &str) -> KafkaPreset {
    let name = if name == "jmx" { "jmx-default" } else { name };
    KafkaPreset::ALL.into_iter().find(|preset| preset.name() == name).expect("a preset")
}

fn fact_cases() -> Vec<FactCase> {
    let case = |line: String| {
        let (what, samples) = line.split_once(": ").expect("a colon");
        let mut words = what.split(' ');
        let mut settings = settings();
        settings.preset = preset(words.next().expect("a preset"));
        let name = words.next().expect("a query");
        words.for_each(|word| set(&mut settings, word));
        let queries = QuerySet::new(&settings).expect("a query set");
        let queries = FactQueries::new(&queries, &settings).expect("queries of the group");
        let query = queries.of_the_group().find(|query| query.name == name).expect("a query").clone();
        let samples = samples.split("; ").map(|sample| sample.rsplit_once(' ').expect("labels and a value"));
        let expected = samples.map(|(labels, value)| (labels.to_owned(), value.parse().expect("a value")));
        let expected = expected.collect();
        FactCase { line, query, expected }
    };
    lines("facts.txt").into_iter().map(case).collect()
}

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/promql").join(name)
}

/// The lines of a data file without comments.
fn lines(name: &str) -> Vec<String> {
    let text = fs::read_to_string(testdata(name)).expect(name);
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

fn settings() -> QuerySettings {
    let mut settings = QuerySettings::new("shop");
    settings.group = Some("g".into());
    settings.pod_pattern = Some("c-.+".into());
    settings.matchers = r#"cluster="""#.parse().expect("matchers");
    settings
}

/// `VictoriaMetrics` refuses longer ones.
#[test]
fn no_query_is_too_long() {
    for preset in KafkaPreset::of_series() {
        let mut settings = QuerySettings { preset, ..settings() };
        settings.namespace = "n".repeat(63);
        settings.group = Some("connect-group.".repeat(6));
        settings.pod_pattern = Some(format!("{}-.+", "p".repeat(50)));
        let queries = QuerySet::new(&settings).expect("a query set");
        let facts = FactQueries::new(&queries, &settings).expect("queries of the group");
        let of_metrics = Metric::ALL.into_iter().filter_map(|metric| queries.get(metric));
        let of_offsets: Vec<MetricQuery> = facts.of_the_offsets().collect();
        for query in of_metrics.chain(facts.of_the_group()).chain(&of_offsets) {
            assert!(query.promql.len() < 16_384, "{preset} {}: {} bytes", query.name, query.promql.len());
        }
    }
}

/// What `PROMETHEUS_MATCHERS` says is in force for each series that is read, in any query.
#[test]
fn every_selector_of_every_query_has_the_matchers_and_the_pods() {
    let mut tried = 0;
    for preset in KafkaPreset::of_series() {
        for container in [None, Some("app".to_owned())] {
            let mut settings = QuerySettings { preset, container, ..settings() };
            settings.matchers = r#"cluster="eu-1""#.parse().expect("matchers");
            let queries = QuerySet::new(&settings).expect("a query set");
            let facts = FactQueries::new(&queries, &settings).expect("queries of the group");
            let of_metrics = Metric::ALL.into_iter().filter_map(|metric| queries.get(metric));
            let of_offsets: Vec<MetricQuery> = facts.of_the_offsets().collect();
            for query in of_metrics.chain(facts.of_the_group()).chain(&of_offsets) {
                let text = &query.promql;
                let metrics = ["container_", "kafka_", "klag_", "kminion_", "kube_", "target_info"];
                for (at, name) in metrics.iter().flat_map(|name| text.match_indices(name)) {
                    if text[..at].ends_with(|before: char| before.is_ascii_alphanumeric() || before == '_') {
                        continue;
                    }
                    let rest = text[at..]
                        .trim_start_matches(|letter: char| letter.is_ascii_alphanumeric() || letter == '_');
                    let selector = rest.split_once('}').map_or("", |(selector, _)| selector);
                    assert!(
                        selector.starts_with('{') && selector.ends_with(r#"cluster="eu-1""#),
                        "{name}: {text}"
                    );
                    let names_pods = selector.contains(r#"namespace="shop""#)
                        || selector.contains(r#"k8s_namespace_name="shop""#);
                    assert!(!names_pods || selector.contains(r#"=~"c-.+""#), "{name}: {text}");
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 200, "{tried} selectors");
}

fn cases() -> Vec<Case> {
    lines("expected.txt").into_iter().map(case).collect()
}

fn case(line: String) -> Case {
    let (what, pods) = line.split_once(": ").expect("a colon");
    let mut words = what.split(' ');
    let mut settings = settings();
    settings.preset = preset(words.next().expect("a preset"));
    let name = words.next().expect("a metric");
    let metric = Metric::ALL.into_iter().find(|metric| metric.name() == name).expect("a metric");
    words.for_each(|word| set(&mut settings, word));
    let set = QuerySet::new(&settings).expect("a query set");
    let query = set.get(metric).expect("a query").clone();
    let expected = pods.split(' ').map(|pair| pair.split_once('=').expect("a pod and a value"));
    let expected = expected.map(|(pod, value)| (pod.to_owned(), value.parse().expect("a value"))).collect();
    Case { line, query, expected }
}

/// Sets what a word such as `group=g` says.
fn set(settings: &mut QuerySettings, word: &str) {
    match word.split_once('=').expect("a setting") {
        ("container", container) => settings.container = Some(container.into()),
        ("age", "off") => settings.max_sample_age = None,
        ("namespace", namespace) => settings.namespace = namespace.into(),
        ("group", group) => settings.group = Some(group.into()),
        other => panic!("{other:?} is no setting"),
    }
}

/// A test file of promtool; a JSON string is a YAML string.
fn promtool_file() -> String {
    let mut text =
        "rule_files: [rules.yml]\nevaluation_interval: 30s\ntests:\n- interval: 30s\n  input_series:\n"
            .to_owned();
    for line in lines("series.txt") {
        let (series, values) = line.split_once("} ").expect("labels and values");
        writeln!(text, "  - {{series: {}, values: {values:?}}}", json(&format!("{series}}}")))
            .expect("a String");
    }
    text.push_str("  promql_expr_test:\n");
    for Case { line, query, expected } in cases() {
        writeln!(text, "  # {line}\n  - expr: {}\n    eval_time: 10m\n    exp_samples:", json(&query.promql))
            .expect("a String");
        for (pod, value) in expected {
            // The name a client gives itself says nothing of a namespace; target_info's is looked at before.
            let is_named = !["client-id", "otel-java"].iter().any(|preset| line.starts_with(preset));
            let namespace = query.namespace.as_deref().filter(|_| is_named);
            let namespace = namespace.map_or_else(String::new, |name| format!("namespace=\"{name}\","));
            let labels = json(&format!("{{{namespace}pod=\"{pod}\"}}"));
            writeln!(text, "    - {{labels: {labels}, value: {value}}}").expect("a String");
        }
    }
    for FactCase { line, query, expected } in fact_cases() {
        writeln!(text, "  # {line}\n  - expr: {}\n    eval_time: 10m\n    exp_samples:", json(&query.promql))
            .expect("a String");
        for (labels, value) in expected {
            writeln!(text, "    - {{labels: {}, value: {value}}}", json(&labels)).expect("a String");
        }
    }
    text
}

fn json(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}

/// The series of a file from `start` on, one sample every 30 seconds.
fn series_of(name: &str, start: Timestamp) -> Vec<TestSeries> {
    let series = |line: &String| {
        let (series, values) = line.split_once("} ").expect("labels and values");
        let (name, labels) = series.split_once('{').expect("labels");
        let at =
            |index: usize| start.as_millisecond() + 30_000 * i64::try_from(index).expect("a small index");
        let samples = expand(values).into_iter().enumerate();
        let samples = samples.filter_map(|(index, value)| Some((at(index), value?))).collect();
        TestSeries { name: name.to_owned(), labels: labels.to_owned(), samples }
    };
    lines(name).iter().map(series).collect()
}

/// promtool's notation: `0+15x2` is 0, 15, 30; `7x1` is 7, 7; `_x2` is two gaps.
fn expand(notation: &str) -> Vec<Option<f64>> {
    let mut values: Vec<Option<f64>> = Vec::new();
    for part in notation.split(' ') {
        let (value, count) = part.split_once('x').expect("a count");
        let count: u32 = count.parse().expect("a count");
        if value == "_" {
            values.extend((0..count).map(|_| None));
            continue;
        }
        let (start, step) = value.split_once('+').unwrap_or((value, "0"));
        let (start, step): (f64, f64) = (start.parse().expect("a value"), step.parse().expect("a step"));
        values.extend((0..=count).map(|index| Some(start + step * f64::from(index))));
    }
    values
}
