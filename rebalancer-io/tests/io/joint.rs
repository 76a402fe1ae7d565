//! What was asked about many workloads gives each of them the answers that it would have got alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::guard::Persistence;
use rebalancer_core::{LivePod, Metric};
use rebalancer_io::facts::{WindowQuestion, window_questions};
use rebalancer_io::joint::{Joint, View, Wanted};
use rebalancer_io::metrics::{
    FactQueries, KafkaPreset, MetricQuery, MetricsSource, QuerySet, QuerySettings, Reach,
};
use rebalancer_io::prometheus::{
    ErrorKind, LabelledSample, Point, QueryError, RawSample, Sample, Samples, Series, TimeRange,
};

const MICROMETER: &str = "kafka_consumer_coordinator_assigned_partitions";
const OTEL: &str = "kafka_consumer_records_lag";
const KLAG: &str = "klag_consumer_lag";

/// A label, and values so many minutes before the end.
type Row = (&'static str, &'static [(i64, f64)]);

/// What is answered to queries of this name that hold this text; `None` where they are refused.
type Rule = (&'static str, &'static str, Option<&'static [Row]>);

/// A server that answers by rules, the first that fits, and else nothing.
struct Server {
    rules: Vec<Rule>,
    asked: Mutex<Vec<String>>,
    ranges: Mutex<BTreeMap<String, TimeRange>>,
}

impl Server {
    fn new(rules: &[Rule]) -> Self {
        Self { rules: rules.to_vec(), asked: Mutex::default(), ranges: Mutex::default() }
    }

    fn rows(&self, query: &MetricQuery) -> Result<&'static [Row], QueryError> {
        self.asked.lock().expect("no test panics here").push(query.promql.clone());
        let fits = |(name, text, _): &&Rule| query.name == *name && query.promql.contains(text);
        let Some((_, _, rows)) = self.rules.iter().find(fits) else { return Ok(&[]) };
        rows.ok_or_else(|| {
            let kind =
                ErrorKind::Api { status: 422, error_type: "execution".into(), error: "refused".into() };
            QueryError {
                name: query.name.clone(),
                place: "test".into(),
                query: String::new(),
                kind: Box::new(kind),
            }
        })
    }

    /// The range of the query of this name.
    fn range_of(&self, name: &str) -> TimeRange {
        self.ranges.lock().expect("no test panics here")[name]
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no test panics here").clone()
    }
}

impl MetricsSource for Server {
    fn instant(&self, query: &MetricQuery, at: Timestamp) -> Result<Samples, QueryError> {
        let timestamp_ms = at.as_millisecond();
        let newest = |(pod, points): &Row| Sample { pod, value: points[points.len() - 1].1, timestamp_ms };
        let samples = self.rows(query)?.iter().map(newest).collect();
        Ok(samples)
    }

    fn labelled(
        &self,
        query: &MetricQuery,
        _: &[&str],
        _: Timestamp,
    ) -> Result<Vec<LabelledSample>, QueryError> {
        let sample = |(label, points): &Row| LabelledSample {
            pod: None,
            labels: vec![(*label).to_owned()],
            value: points[points.len() - 1].1,
        };
        let samples = self.rows(query)?.iter().map(sample).collect();
        Ok(samples)
    }

    fn raw(&self, _: &MetricQuery, _: Timestamp) -> Result<Vec<RawSample>, QueryError> {
        Ok(Vec::new())
    }

    fn range(&self, query: &MetricQuery, range: TimeRange) -> Result<Vec<Series>, QueryError> {
        self.ranges.lock().expect("no test panics here").insert(query.name.clone(), range);
        let end_ms = range.end.as_millisecond();
        let series = |(label, points): &Row| Series {
            pod: (*label).to_owned(),
            points: points
                .iter()
                .map(|(ago, value)| Point { timestamp_ms: end_ms - 60_000 * ago, value: *value })
                .collect(),
        };
        let series = self.rows(query)?.iter().map(series).collect();
        Ok(series)
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_795_410_000).expect("a time")
}

/// The settings of the queries about a workload of the namespace `shop`.
fn settings(preset: KafkaPreset, pattern: &str, group: Option<&str>) -> QuerySettings {
    QuerySettings {
        preset,
        pod_pattern: Some(pattern.to_owned()),
        group: group.map(str::to_owned),
        ..QuerySettings::new("shop")
    }
}

fn query_of(settings: &QuerySettings, metric: Metric) -> MetricQuery {
    QuerySet::new(settings).expect("queries").get(metric).expect("a query").clone()
}

fn samples(view: &View<'_, '_>, query: &MetricQuery) -> Vec<(String, f64)> {
    let answer = view.instant(query, now()).expect("an answer");
    answer.iter().map(|sample| (sample.pod.to_owned(), sample.value)).collect()
}

/// The series of an answer, their points by the minutes before its end.
fn ranges(view: &View<'_, '_>, query: &MetricQuery, range: TimeRange) -> Vec<(String, Vec<(i64, f64)>)> {
    let plain = |Series { pod, points }: Series| {
        let ago = |point: &Point| (range.end.as_millisecond() - point.timestamp_ms) / 60_000;
        (pod, points.iter().map(|point| (ago(point), point.value)).collect())
    };
    view.range(query, range).expect("an answer").into_iter().map(plain).collect()
}

const ONE: &[(i64, f64)] = &[(0, 1.0)];

#[test]
fn a_workload_is_answered_by_the_preset_that_it_asks_by() {
    let server = Server::new(&[
        ("known series", "", Some(&[(MICROMETER, ONE), (OTEL, ONE)])),
        ("lag", "target_info", Some(&[("shop/agent-0", &[(0, 7.0)])])),
        ("lag", "kafka_consumer_fetch", Some(&[("shop/orders-0", &[(0, 3.0)])])),
    ]);
    let mut joint = Joint::new(&server, now());
    let all = QuerySettings::new("shop");
    joint.ask_sources(&all).expect("the known series");
    joint.ask_loads(&all, &[KafkaPreset::Micrometer, KafkaPreset::OtelJava].into()).expect("the loads");
    let asked = server.asked().len();
    let own = settings(KafkaPreset::Micrometer, "agent-.+", None);
    let pods = [LivePod::assumed("agent-0")];
    let view = joint.view(&own, &pods);
    let by_agent = query_of(&settings(KafkaPreset::OtelJava, "agent-.+", None), Metric::Lag);
    assert_eq!(samples(&view, &by_agent), [("agent-0".to_owned(), 7.0)]);
    assert_eq!(samples(&view, &query_of(&own, Metric::Lag)), []);
    assert_eq!(server.asked().len(), asked, "nothing is asked again");
    samples(&view, &MetricQuery::new("lag", "another question"));
    assert_eq!(server.asked().last().map(String::as_str), Some("another question"));
}

#[test]
fn windows_of_one_text_and_time_are_told_apart_by_namespace() {
    let server = Server::new(&[(
        "window_means",
        "",
        Some(&[("0/a/orders-0", &[(0, 1.0)]), ("0/b/orders-0", &[(0, 9.0)]), ("2/b/orders-0", &[(0, 2.0)])]),
    )]);
    let pods = [300, 9000].map(|minutes| LivePod {
        age: Some(Duration::from_secs(60 * minutes)),
        ..LivePod::assumed("orders-0")
    });
    let of_namespace = |namespace: &str| {
        let mut settings = QuerySettings { preset: KafkaPreset::None, ..QuerySettings::new(namespace) };
        settings.own.cpu = Some("own_cpu".to_owned());
        settings
    };
    let questions = |settings: &QuerySettings| -> Vec<WindowQuestion> {
        let queries = QuerySet::new(settings).expect("queries");
        let facts = FactQueries::new(&queries, settings).expect("queries");
        window_questions(&facts, &pods, None, now(), false)
    };
    let [a, b] = ["a", "b"].map(of_namespace);
    let [of_a, of_b] = [&a, &b].map(questions);
    assert_eq!((of_a.len(), of_b.len()), (2, 2), "CPU after and before the replacement");
    assert_eq!((&of_a[0].query.promql, of_a[0].ended), (&of_b[0].query.promql, of_b[0].ended));
    let mut joint = Joint::new(&server, now());
    joint.ask_windows(&[of_a.clone(), of_b.clone()].concat());
    let mean = |settings: &QuerySettings, question: &WindowQuestion| -> Vec<f64> {
        let answer = joint.view(settings, &pods).instant(&question.query, question.ended).expect("an answer");
        answer.iter().map(|sample| sample.value).collect()
    };
    assert_eq!((mean(&a, &of_a[0]), mean(&b, &of_b[0])), (vec![1.0], vec![2.0]));
}

/// What klag tells of a group whose members are addresses.
const BY_KLAG: [Rule; 4] = [
    ("known series", "count by (series)", Some(&[(KLAG, ONE)])),
    ("addresses of pods", "", Some(&[("shop/ledger-0/10.0.0.2", ONE)])),
    ("addresses of pods in the history", "", Some(HAD)),
    ("addresses of owners", "", Some(HAD)),
];

/// A pod that was replaced, and had another address before.
const HAD: &[Row] = &[
    ("shop/ledger-0/10.0.0.1", &[(4, 1.0), (3, 1.0), (2, 1.0)]),
    ("shop/ledger-0/10.0.0.2", &[(2, 1.0), (1, 1.0), (0, 1.0)]),
];

fn history() -> Persistence {
    Persistence::over(Duration::from_secs(3600))
}

/// Asks for all that is asked about this one reader.
fn asked_of_members(server: &Server, preset: KafkaPreset) -> Joint<'_> {
    let all = QuerySettings::new("shop");
    let mut joint = Joint::new(server, now());
    joint.ask_sources(&all).expect("the known series");
    joint.ask_members(&all, &[(preset, Some("g"))]);
    let rule = history();
    let (presets, readers) = (BTreeSet::from([preset]), vec![(preset, Some("g"))]);
    joint.ask_past(&all, &Wanted { history: Some(&rule), presets, readers, own: Vec::new() });
    joint
}

#[test]
fn a_pod_that_had_several_addresses_has_one_past() {
    const LAG: &[Row] = &[
        ("10.0.0.1/g", &[(4, 4.0), (3, 3.0), (2, 2.0), (1, 9.0)]),
        ("10.0.0.2/g", &[(3, 9.0), (2, 20.0), (1, 1.0), (0, 0.5)]),
        ("10.0.0.22/g", &[(0, 9.0)]),
    ];
    const OWNERS: &[Row] = &[("10.0.0.1/t/3/g", &[(4, 1.0), (2, 1.0)]), ("10.0.0.2/t/3/g", &[(1, 1.0)])];
    let of_members: [Rule; 2] =
        [("lag_history of members", "", Some(LAG)), ("offset_owners of members", "", Some(OWNERS))];
    let server = Server::new(&[&BY_KLAG[..], &of_members].concat());
    let joint = asked_of_members(&server, KafkaPreset::KlagIp);
    let own = settings(KafkaPreset::KlagIp, "ledger-.+", Some("g"));
    let pods = [LivePod::assumed("ledger-0")];
    let view = joint.view(&own, &pods);
    let lag = MetricQuery { name: "lag_history".to_owned(), ..query_of(&own, Metric::Lag) };
    let range = server.range_of("lag_history of members");
    let summed = vec![(4, 4.0), (3, 3.0), (2, 22.0), (1, 1.0), (0, 0.5)];
    assert_eq!(ranges(&view, &lag, range), [("ledger-0".to_owned(), summed)]);
    let owned = MetricQuery::new("offset_owners", "");
    let owned_at = vec![(4, 1.0), (2, 1.0), (1, 1.0)];
    let range = server.range_of("offset_owners of members");
    assert_eq!(ranges(&view, &owned, range), [("t/3/ledger-0".to_owned(), owned_at)]);
}

/// The query of a preset that was set counts idle members too, which no exporter mentions.
#[test]
fn where_clients_tell_of_themselves_an_exporter_does_not_answer_for_them() {
    let of_members: Rule = ("lag of members", "", Some(&[("10.0.0.2/g", &[(0, 5.0)])]));
    let without = Server::new(&[&BY_KLAG[..], &[of_members]].concat());
    let with = Server::new(&[
        ("known series", "count by (series)", Some(&[(KLAG, ONE), (MICROMETER, ONE)])),
        ("known series", "count by (namespace, pod)", Some(&[("shop/ledger-1", ONE)])),
        ("addresses of pods", "", Some(&[("shop/ledger-0/10.0.0.2", ONE)])),
        of_members,
        ("lag", "kube_pod_info", Some(&[("ledger-0", &[(0, 5.0)]), ("ledger-1", &[(0, 0.0)])])),
    ]);
    let own = settings(KafkaPreset::KlagIp, "ledger-.+", Some("g"));
    let pods = ["ledger-0", "ledger-1"].map(LivePod::assumed);
    let lag = query_of(&own, Metric::Lag);
    for (server, expected) in
        [(&without, &[("ledger-0", 5.0)][..]), (&with, &[("ledger-0", 5.0), ("ledger-1", 0.0)])]
    {
        let joint = asked_of_members(server, KafkaPreset::KlagIp);
        let view = joint.view(&own, &pods);
        let expected: Vec<(String, f64)> =
            expected.iter().map(|(pod, lag)| ((*pod).to_owned(), *lag)).collect();
        assert_eq!(samples(&view, &lag), expected);
        assert_eq!(view.answers(Metric::Lag), expected.len() == 1);
    }
}

#[test]
fn a_count_of_partitions_that_was_refused_is_not_zero() {
    let rules = |counted: Option<&'static [Row]>| {
        let known: &'static [Row] = &[(OTEL, ONE), ("kafka_consumergroup_lag", ONE)];
        Server::new(&[
            ("known series", "count by (series)", Some(known)),
            ("offset_partitions", "count by (namespace, pod)", counted),
            // Their commits ended a minute ago.
            ("offset_committed", "", Some(&[("t/3/g", &[(2, 1.0), (1, 1.0)])])),
            ("offset_partitions", "", Some(&[("", &[(0, 4.0)])])),
        ])
    };
    let count = |server: &Server| -> Vec<f64> {
        let mut joint = Joint::new(server, now());
        let all = QuerySettings::new("shop");
        joint.ask_sources(&all).expect("the known series");
        joint.ask_loads(&all, &[KafkaPreset::OtelJava].into()).expect("the loads");
        let readers = vec![(KafkaPreset::OtelJava, Some("g"))];
        joint.ask_past(&all, &Wanted { readers, ..Wanted::default() });
        let own = settings(KafkaPreset::OtelJava, "agent-.+", Some("g"));
        let pods = [LivePod::assumed("agent-0")];
        let count = MetricQuery::new("offset_partitions", "");
        let answer = joint.view(&own, &pods).labelled(&count, &["group"], now()).expect("an answer");
        answer.iter().map(|sample| sample.value).collect()
    };
    assert_eq!(count(&rules(Some(&[("shop/agent-0", &[(0, 2.0)])]))), [2.0], "as the clients tell");
    assert!(count(&rules(Some(&[]))).is_empty(), "they tell of none");
    assert_eq!(count(&rules(None)), [4.0], "it is asked for this workload alone");
}

/// A rollout gave the clients another name: before it they named the group, now none does.
#[test]
fn clients_that_name_the_group_count_alone_only_while_there_are_any() {
    let server = Server::new(&[
        ("known series", "", Some(&[(MICROMETER, ONE)])),
        (
            "offset_owners",
            "",
            Some(&[
                ("shop/orders-a/t/0/consumer-g-1", &[(5, 1.0), (4, 1.0)]),
                ("shop/orders-a/t/1/other", &[(5, 1.0), (3, 1.0)]),
                ("shop/orders-b/t/0/app", &[(3, 1.0), (0, 1.0)]),
            ]),
        ),
    ]);
    let all = QuerySettings { reach: Reach::One, ..QuerySettings::new("shop") };
    let mut joint = Joint::new(&server, now());
    let readers = vec![(KafkaPreset::Micrometer, Some("g"))];
    joint.ask_past(&all, &Wanted { readers, ..Wanted::default() });
    let own = settings(KafkaPreset::Micrometer, "orders-.+", Some("g"));
    let pods = ["orders-a", "orders-b"].map(LivePod::assumed);
    let range = server.range_of("offset_owners");
    let found = ranges(&joint.view(&own, &pods), &MetricQuery::new("offset_owners", ""), range);
    let row = |label: &str, points: &[(i64, f64)]| (label.to_owned(), points.to_vec());
    assert_eq!(
        found,
        [
            row("t/0/orders-a", &[(5, 1.0), (4, 1.0)]),
            row("t/0/orders-b", &[(3, 1.0), (0, 1.0)]),
            row("t/1/orders-a", &[(3, 1.0)]),
        ]
    );
}

/// A server that counts the threads of the process while it is asked.
#[cfg(target_os = "linux")]
#[derive(Default)]
struct Threads(std::sync::atomic::AtomicUsize);

#[cfg(target_os = "linux")]
impl MetricsSource for Threads {
    fn instant(&self, _: &MetricQuery, _: Timestamp) -> Result<Samples, QueryError> {
        let count = std::fs::read_dir("/proc/self/task").map_or(usize::MAX, Iterator::count);
        self.0.fetch_max(count, std::sync::atomic::Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(1));
        Ok(Samples::default())
    }

    fn labelled(&self, _: &MetricQuery, _: &[&str], _: Timestamp) -> Result<Vec<LabelledSample>, QueryError> {
        Ok(Vec::new())
    }

    fn raw(&self, _: &MetricQuery, _: Timestamp) -> Result<Vec<RawSample>, QueryError> {
        Ok(Vec::new())
    }

    fn range(&self, _: &MetricQuery, _: TimeRange) -> Result<Vec<Series>, QueryError> {
        Ok(Vec::new())
    }
}

/// Each workload may have an own query of another text.
#[cfg(target_os = "linux")]
#[test]
fn few_threads_ask_many_queries() {
    let server = Threads::default();
    let long = "x".repeat(8_000);
    let own: Vec<MetricQuery> =
        (0..600).map(|number| MetricQuery::new("cpu", format!("{long}_{number}"))).collect();
    Joint::new(&server, now()).ask_own(&own);
    let most = server.0.into_inner();
    assert!((1..300).contains(&most), "{most} threads");
}
