//! What was asked about many workloads gives each of them the answers that it would have got alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::guard::Persistence;
use rebalancer_core::{Fact, LivePod, Metric, Offsets};
use rebalancer_io::facts::{FactFinder, Kept, Question, window_questions};
use rebalancer_io::joint::{Joint, Open, Suspects, View, Wanted};
use rebalancer_io::metrics::{
    FactQueries, KafkaPreset, MetricQuery, MetricsSource, QuerySet, QuerySettings, Reach,
};
use rebalancer_io::prometheus::{
    ErrorKind, LabelledSample, Point, QueryError, RawSample, Sample, Samples, Series, TimeRange, When,
};

const MICROMETER: &str = "kafka_consumer_coordinator_assigned_partitions";
const OTEL: &str = "kafka_consumer_records_lag";
const KLAG: &str = "klag_consumer_lag";

/// A label, and values so many minutes before the end.
type Row = (&'static str, &'static [(i64, f64)]);

/// The same as it is told.
type Told = (String, &'static [(i64, f64)]);

/// What is answered to queries of this name that hold this text; `None` where they are refused.
type Rule = (&'static str, &'static str, Option<&'static [Row]>);

fn refused(query: &MetricQuery) -> QueryError {
    let kind = ErrorKind::Api { status: 422, error_type: "execution".into(), error: "refused".into() };
    QueryError { name: query.name.clone(), place: "test".into(), query: String::new(), kind: Box::new(kind) }
}

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

    /// The rows of a query: of one that is made of several, those of each of its parts, which is called in its place.
    fn rows(&self, query: &MetricQuery) -> Result<Vec<Told>, QueryError> {
        self.asked.lock().expect("no test panics here").push(query.promql.clone());
        let rows = |name: &str, promql: &str| -> Option<&'static [Row]> {
            let fits = |(known, text, _): &&Rule| name == *known && promql.contains(text);
            self.rules.iter().find(fits).map_or(Some(&[]), |(_, _, rows)| *rows)
        };
        if self.rules.iter().any(|(name, ..)| *name == query.name) || !query.promql.contains("query_part") {
            let rows = rows(&query.name, &query.promql).ok_or_else(|| refused(query))?;
            return Ok(rows.iter().map(|(label, points)| ((*label).to_owned(), *points)).collect());
        }
        let mut all = Vec::new();
        let parts = query.promql.split(" or label_join(label_replace(");
        for (tag, (name, promql)) in query.name.split(", ").zip(parts).enumerate() {
            let rows = rows(name, promql).ok_or_else(|| refused(query))?;
            // What is not about pods names no namespace.
            let is_without = name.starts_with("offset_") && promql.contains("\"query_part\", \"namespace\"");
            let between = if is_without { "//" } else { "/" };
            all.extend(rows.iter().map(|(label, points)| (format!("{tag}{between}{label}"), *points)));
        }
        Ok(all)
    }

    /// The range of the query of this name.
    fn range_of(&self, name: &str) -> TimeRange {
        let ranges = self.ranges.lock().expect("no test panics here");
        let is_it = |known: &&String| known.split(", ").any(|known| known == name);
        *ranges.iter().find(|(known, _)| is_it(known)).expect("a range of this name").1
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no test panics here").clone()
    }
}

impl MetricsSource for Server {
    fn instant(&self, query: &MetricQuery, at: Timestamp) -> Result<Samples, QueryError> {
        let timestamp_ms = at.as_millisecond();
        let rows = self.rows(query)?;
        let newest = |(pod, points): &Told| (pod.clone(), points[points.len() - 1].1);
        let rows: Vec<(String, f64)> = rows.iter().map(newest).collect();
        let samples = rows.iter().map(|(pod, value)| Sample { pod, value: *value, timestamp_ms }).collect();
        Ok(samples)
    }

    fn labelled(
        &self,
        query: &MetricQuery,
        _: &[&str],
        _: Timestamp,
    ) -> Result<Vec<LabelledSample>, QueryError> {
        let sample = |(label, points): &Told| LabelledSample {
            pod: None,
            labels: vec![label.clone()],
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
        let series = |(label, points): &Told| Series {
            pod: label.clone(),
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
    let server =
        Server::new(&[("cpu_after", "", Some(&[("a/orders-0", &[(0, 1.0)]), ("b/orders-0", &[(0, 2.0)])]))]);
    let pods = [300, 9000].map(|minutes| LivePod {
        age: Some(Duration::from_secs(60 * minutes)),
        ..LivePod::assumed("orders-0")
    });
    let of_namespace = |namespace: &str| {
        let mut settings = QuerySettings { preset: KafkaPreset::None, ..QuerySettings::new(namespace) };
        settings.own.cpu = Some("own_cpu".to_owned());
        settings
    };
    let questions = |settings: &QuerySettings| -> Vec<Question> {
        let queries = QuerySet::new(settings).expect("queries");
        let facts = FactQueries::new(&queries, settings).expect("queries");
        window_questions(&facts, &pods, None, now(), false)
    };
    let [a, b] = ["a", "b"].map(of_namespace);
    let [of_a, of_b] = [&a, &b].map(questions);
    assert_eq!((of_a.len(), of_b.len()), (2, 2), "CPU after and before the replacement");
    assert_eq!((&of_a[0].0.promql, of_a[0].1), (&of_b[0].0.promql, of_b[0].1));
    let mut joint = Joint::new(&server, now());
    let settings = QuerySettings::new("a");
    let suspects = Suspects { windows: [of_a.clone(), of_b.clone()].concat(), ..of_nobody(settings) };
    joint.ask_history(&suspects);
    let mean = |settings: &QuerySettings, (query, when): &Question| -> Vec<f64> {
        let answer = joint.view(settings, &pods).instant(query, when.start()).expect("an answer");
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

/// Suspects of whom nothing is known but the settings of the queries about them.
fn of_nobody<'w>(settings: QuerySettings) -> Suspects<'w> {
    let window = history();
    Suspects {
        settings,
        window,
        presets: BTreeSet::new(),
        readers: Vec::new(),
        own: Vec::new(),
        windows: Vec::new(),
    }
}

/// Asks for all that is asked about this one reader.
fn asked_of_members(server: &Server, preset: KafkaPreset) -> Joint<'_> {
    let all = QuerySettings::new("shop");
    let mut joint = Joint::new(server, now());
    joint.ask_sources(&all).expect("the known series");
    joint.ask_members(&all, &[(preset, Some("g"))]);
    let readers = vec![(preset, Some("g"))];
    let suspects =
        Suspects { presets: BTreeSet::from([preset]), readers: readers.clone(), ..of_nobody(all.clone()) };
    joint.ask_past(&all, &Wanted { readers, rows: 1 }, Some(&suspects));
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
    let grid = history().grid(now().as_second() as f64);
    let moment = |seconds: f64| Timestamp::UNIX_EPOCH + Duration::from_secs_f64(seconds);
    let [start, end] = [grid.start_s, grid.end_s()].map(moment);
    let range = TimeRange { start, end, step: grid.step };
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
        joint.ask_past(&all, &Wanted { readers, rows: 1 }, None);
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
    joint.ask_past(&all, &Wanted { readers, rows: 1 }, None);
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

/// A value for each minute of an hour, which grows by `by`.
const fn hour(from: f64, by: f64) -> [(i64, f64); 60] {
    let mut points = [(0, from); 60];
    let (mut minute, mut ago, mut value) = (0, 59, from);
    while minute < 60 {
        points[minute] = (ago, value);
        (minute, ago, value) = (minute + 1, ago - 1, value + by);
    }
    points
}

const STANDS: &[(i64, f64)] = &hour(10.0, 0.0);
const MOVES: &[(i64, f64)] = &hour(100.0, 5.0);
const OF_DAY: &[(i64, f64)] = &[(1425, 10.0), (720, 10.0), (0, 10.0)];

/// Two workloads with groups of their own, each with a partition that stands; `of_h` is what others committed beside the second.
fn standing(of_h: Option<&'static [Row]>) -> Server {
    Server::new(&[
        ("known series", "", Some(&[(MICROMETER, ONE), ("kafka_consumergroup_lag", ONE)])),
        ("offset_committed", "consumergroup=\"g\"", Some(&[("t/0/g", STANDS), ("t/1/g", MOVES)])),
        ("offset_committed", "consumergroup=\"h\"", Some(&[("u/3/h", STANDS)])),
        ("offset_committed", "", Some(&[("t/0/g", STANDS), ("t/1/g", MOVES), ("u/3/h", STANDS)])),
        ("offset_partitions", "", Some(&[("", &[(0, 2.0)])])),
        ("offset_end", "consumergroup=\"g\"", Some(&[("t/0", MOVES), ("t/1", MOVES)])),
        ("offset_end", "consumergroup=\"h\"", Some(&[("u/3", MOVES)])),
        ("offset_end", "", Some(&[("t/0", MOVES), ("t/1", MOVES), ("u/3", MOVES)])),
        ("offset_elsewhere", "consumergroup!=\"g\"", Some(&[("t/0/other", STANDS), ("t/1/other", MOVES)])),
        ("offset_elsewhere", "consumergroup!=\"h\"", of_h),
        ("offset_committed_day", "consumergroup=\"g\"", Some(&[("t/0/g", OF_DAY)])),
        ("offset_committed_day", "consumergroup=\"h\"", Some(&[("u/3/h", OF_DAY)])),
        ("offset_start_day", "consumergroup=\"h\"", Some(&[("u/3", ONE)])),
    ])
}

/// The offsets of an hour and of a day.
type Past = [Fact<Offsets>; 2];

fn past_of(source: &dyn MetricsSource, settings: &QuerySettings, pods: &[LivePod]) -> Past {
    let queries = QuerySet::new(settings).expect("queries");
    let facts = FactQueries::new(&queries, settings).expect("queries");
    let finder = FactFinder::new(source, &facts, now());
    let hour = finder.offsets(pods);
    let day = hour.known().map_or(Fact::Absent, |hour| finder.offsets_of_day(pods, hour));
    [hour, day]
}

/// What a look at both finds, in rounds, and how many queries that took after the first.
fn past_of_both(server: &Server, both: &[(QuerySettings, Vec<LivePod>)]) -> (Vec<Past>, usize) {
    let all = QuerySettings::new("shop");
    let mut joint = Joint::new(server, now());
    joint.ask_sources(&all).expect("the known series");
    let readers = vec![(KafkaPreset::Micrometer, Some("g")), (KafkaPreset::Micrometer, Some("h"))];
    joint.ask_past(&all, &Wanted { readers, rows: 4 }, None);
    let mut asked = 0;
    for round in 0.. {
        let mut questions: Vec<Question> = Vec::new();
        let found = both.iter().map(|(own, pods)| {
            let open = Open::default();
            let found = past_of(&joint.view(own, pods).noting(Some(&open)), own, pods);
            questions.extend(open.into_questions());
            found
        });
        let found: Vec<Past> = found.collect();
        if questions.is_empty() {
            return (found, asked);
        }
        assert!(round < 3, "{questions:?}");
        let before = server.asked().len();
        joint.ask_open(&questions);
        asked += server.asked().len() - before;
    }
    unreachable!("the rounds end")
}

fn both_readers() -> [(QuerySettings, Vec<LivePod>); 2] {
    [("orders", "g"), ("pay", "h")].map(|(name, group)| {
        let own = settings(KafkaPreset::Micrometer, &format!("{name}-.+"), Some(group));
        (own, vec![LivePod::assumed(format!("{name}-0"))])
    })
}

#[test]
fn what_other_groups_commit_and_the_last_day_of_standing_partitions_is_asked_for_together() {
    let server = standing(Some(&[("u/3/audit", MOVES)]));
    let both = both_readers();
    let (found, asked) = past_of_both(&server, &both);
    assert_eq!(asked, 3, "other groups, the day, and the oldest offsets of the day: {:#?}", server.asked());
    for ((own, pods), found) in both.iter().zip(&found) {
        // Offsets that are not known are no numbers, which nothing equals.
        assert_eq!(format!("{found:?}"), format!("{:?}", past_of(&server, own, pods)), "as alone");
        let [hour, day] = found;
        assert!(hour.known().is_some() && day.known().is_some(), "{found:?}");
    }
    let [of_g, of_h] = [&found[0][0], &found[1][0]].map(|hour| format!("{hour:?}"));
    assert!(of_g.contains("other") && !of_g.contains("audit"), "{of_g}");
    assert!(of_h.contains("audit") && !of_h.contains("other"), "{of_h}");
}

/// A question that a server refuses for one workload makes the one about both fail: then each is asked by itself.
#[test]
fn a_question_that_fails_for_one_workload_is_asked_of_each_alone() {
    let server = standing(None);
    let both = both_readers();
    let (found, _) = past_of_both(&server, &both);
    for ((own, pods), found) in both.iter().zip(&found) {
        assert_eq!(format!("{found:?}"), format!("{:?}", past_of(&server, own, pods)), "as alone");
    }
    assert!(matches!(found[1][0], Fact::Failed(_)), "{:?}", found[1]);
    assert!(found[0][0].known().is_some(), "{:?}", found[0]);
}

/// Their pods are older than what the server remembers of their rate, so that a replacement is judged by CPU.
#[test]
fn windows_that_turn_out_to_be_needed_are_asked_for_together() {
    let server = Server::new(&[
        ("cpu_after", " offset ", Some(&[("shop/orders-0", &[(0, 1.0)]), ("shop/pay-0", &[(0, 2.0)])])),
        ("cpu_before", " offset ", Some(&[("shop/orders-1", &[(0, 3.0)]), ("shop/pay-1", &[(0, 4.0)])])),
        ("cpu_after", "orders-", Some(&[("orders-0", &[(0, 1.0)])])),
        ("cpu_after", "pay-", Some(&[("pay-0", &[(0, 2.0)])])),
        ("cpu_before", "orders-", Some(&[("orders-1", &[(0, 3.0)])])),
        ("cpu_before", "pay-", Some(&[("pay-1", &[(0, 4.0)])])),
    ]);
    let both = ["orders", "pay"].map(|name| {
        let pod = |(number, minutes): (usize, u64)| LivePod {
            age: Some(Duration::from_secs(60 * minutes)),
            ..LivePod::assumed(format!("{name}-{number}"))
        };
        let own = settings(KafkaPreset::Micrometer, &format!("{name}-.+"), None);
        let queries = FactQueries::new(&QuerySet::new(&own).expect("queries"), &own).expect("queries");
        (own, queries, [(0, 300), (1, 9000)].map(pod))
    });
    let windows =
        both.iter().flat_map(|(_, queries, pods)| window_questions(queries, pods, None, now(), true));
    let suspects = Suspects { windows: windows.collect(), ..of_nobody(QuerySettings::new("shop")) };
    let mut joint = Joint::new(&server, now());
    joint.ask_history(&suspects);
    let (rule, mut asked) = (history(), 0);
    let replacement = |source: &dyn MetricsSource, queries: &FactQueries, pods: &[LivePod]| {
        FactFinder::new(source, queries, now()).find(pods, None, &[], &rule, &Kept::none()).last_replacement
    };
    for is_last in [false, false, true] {
        let mut questions: Vec<Question> = Vec::new();
        for (own, queries, pods) in &both {
            let open = Open::default();
            let found = replacement(&joint.view(own, pods).noting(Some(&open)), queries, pods);
            let left = open.into_questions();
            assert_eq!(left.is_empty(), is_last, "{left:?}");
            assert!(
                !is_last || found == replacement(&server, queries, pods) && found.known().is_some(),
                "{found:?}"
            );
            questions.extend(left);
        }
        let before = server.asked().len();
        joint.ask_open(&questions);
        asked += server.asked().len() - before;
    }
    assert_eq!(asked, 2, "CPU after, and before: {:#?}", server.asked());
}

/// Their labels would be lost among those that tell the parts of a query apart.
#[test]
fn what_is_asked_about_suspects_now_is_not_asked_with_the_questions_of_others() {
    let server = Server::new(&[]);
    let owners = MetricQuery::new("partition_owners", "owners");
    Joint::new(&server, now()).ask_open(&[(owners, When::Instant(now()))]);
    assert!(server.asked().is_empty(), "{:#?}", server.asked());
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
