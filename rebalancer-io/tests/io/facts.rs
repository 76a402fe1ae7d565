//! What is found beside the loads of a moment, and what becomes of inputs that are not as they
//! should be.

mod offsets;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::guard::{Persistence, persistence_of_window};
use rebalancer_core::kafka::Assignor;
use rebalancer_core::{Controller, Fact, Facts, LivePod, Metric};
use rebalancer_io::facts::{FactFinder, Kept};
use rebalancer_io::metrics::{
    AtMost, FactQueries, KafkaPreset, MetricQuery, MetricsSource, QuerySet, QuerySettings,
};
use rebalancer_io::prometheus::{
    ErrorKind, LabelledSample, Point, QueryError, RawSample, Sample, Samples, Series, TimeRange,
    TransportError,
};

const AT: i64 = 1_795_410_000;

/// A source whose answers are given by the name of the query; the rest was not recorded.
#[derive(Default)]
struct Answers {
    instant: BTreeMap<String, Vec<(String, f64)>>,
    labelled: BTreeMap<String, Vec<LabelledSample>>,
    raw: BTreeMap<String, Vec<RawSample>>,
    ranges: BTreeMap<String, Vec<Series>>,
    failing: Vec<String>,
    asked: Mutex<Vec<Asked>>,
}

/// A query as it came.
#[derive(Debug, Clone)]
struct Asked {
    name: String,
    promql: String,
    /// Seconds from the moment of the loads.
    from_s: i64,
    to_s: i64,
}

impl Answers {
    fn note(&self, query: &MetricQuery, from: Timestamp, to: Timestamp) -> Result<(), QueryError> {
        let asked = Asked {
            name: query.name.clone(),
            promql: query.promql.clone(),
            from_s: from.as_second() - AT,
            to_s: to.as_second() - AT,
        };
        self.asked.lock().expect("no test panics here").push(asked);
        if !self.failing.contains(&query.name) {
            return Ok(());
        }
        let (error_type, error) = ("execution".into(), "too many samples".into());
        Err(error_of(query, ErrorKind::Api { status: 422, error_type, error }))
    }

    fn asked(&self) -> Vec<Asked> {
        let mut asked = self.asked.lock().expect("no test panics here").clone();
        asked.sort_by(|a, b| a.name.cmp(&b.name));
        asked
    }
}

fn error_of(query: &MetricQuery, kind: ErrorKind) -> QueryError {
    QueryError { name: query.name.clone(), place: "test".into(), query: String::new(), kind: Box::new(kind) }
}

fn not_recorded(query: &MetricQuery) -> QueryError {
    error_of(query, TransportError::NotRecorded("then".into()).into())
}

impl MetricsSource for Answers {
    fn instant(&self, query: &MetricQuery, at: Timestamp) -> Result<Samples, QueryError> {
        self.note(query, at, at)?;
        let samples = self.instant.get(&query.name).ok_or_else(|| not_recorded(query))?;
        let samples = samples.iter().map(|(pod, value)| Sample { pod, value: *value, timestamp_ms: 0 });
        Ok(samples.collect())
    }

    fn labelled(
        &self,
        query: &MetricQuery,
        _: &[&str],
        at: Timestamp,
    ) -> Result<Vec<LabelledSample>, QueryError> {
        self.note(query, at, at)?;
        let samples = self.labelled.get(&query.name).ok_or_else(|| not_recorded(query))?;
        Ok(samples.clone())
    }

    fn raw(&self, query: &MetricQuery, at: Timestamp) -> Result<Vec<RawSample>, QueryError> {
        self.note(query, at, at)?;
        self.raw.get(&query.name).cloned().ok_or_else(|| not_recorded(query))
    }

    fn range(
        &self,
        query: &MetricQuery,
        TimeRange { start, end, .. }: TimeRange,
    ) -> Result<Vec<Series>, QueryError> {
        self.note(query, start, end)?;
        let series = self.ranges.get(&query.name).ok_or_else(|| not_recorded(query))?;
        Ok(series.clone())
    }
}

fn live(count: usize, age: Duration) -> Vec<LivePod> {
    let controller =
        Controller { group: None, kind: "ReplicaSet".into(), name: "orders-6d5f9".into(), uid: "1".into() };
    let pod = |number: usize| LivePod {
        age: Some(age),
        controller: Some(controller.clone()),
        ..LivePod::assumed(format!("orders-6d5f9-{number:05}"))
    };
    (0..count).map(pod).collect()
}

fn found<'l>(source: &Answers, live: &'l [LivePod], metrics: &[Metric]) -> Facts<'l> {
    found_keeping(source, live, metrics, &Kept::All)
}

fn found_keeping<'l>(
    source: &Answers,
    live: &'l [LivePod],
    metrics: &[Metric],
    kept: &Kept<'_>,
) -> Facts<'l> {
    let preset = KafkaPreset::KafkaExporter;
    let settings = QuerySettings { preset, group: Some("g".into()), ..QuerySettings::new("shop") };
    let queries = QuerySet::new(&settings).expect("queries");
    let queries = FactQueries::new(&queries, &settings).expect("queries");
    let at = Timestamp::from_second(AT).expect("a time");
    FactFinder::new(source, &queries, at).find(live, None, metrics, &Persistence::STANDARD, kept)
}

fn old(count: usize) -> Vec<LivePod> {
    live(count, Duration::from_secs(48 * 3600))
}

fn labelled(pod: Option<&str>, labels: &[&str], value: f64) -> LabelledSample {
    let labels = labels.iter().map(ToString::to_string).collect();
    LabelledSample { pod: pod.map(str::to_owned), labels, value }
}

fn reason<T>(fact: &Fact<T>) -> &str {
    match fact {
        Fact::Unusable(why) | Fact::Failed(why) => why,
        Fact::Absent => "absent",
        Fact::Known(_) => "known",
    }
}

#[test]
fn the_history_of_each_metric_is_one_range_over_the_window_and_of_live_pods() {
    let pods = old(3);
    let point = |step: i64, value: f64| Point { timestamp_ms: 1000 * (AT - 60 * step), value };
    let series = |pod: &str, points: Vec<Point>| Series { pod: pod.into(), points };
    let mut source = Answers::default();
    let gaps = vec![point(59, 1.0), point(1, f64::NAN), point(0, 3.0)];
    source.ranges.insert(
        "cpu_history".into(),
        vec![series("orders-6d5f9-00000", gaps), series("another-0", vec![point(7, 1.0)])],
    );
    let facts = found(&source, &pods, &[Metric::Cpu, Metric::Lag]);
    let Fact::Known(history) = &facts.past.cpu else { panic!("{:?}", facts.past.cpu) };
    assert_eq!(history.pods().collect::<Vec<&str>>(), ["orders-6d5f9-00000"]);
    let column: Vec<Option<f64>> = history.column("orders-6d5f9-00000").expect("its samples").collect();
    assert_eq!((column.len(), column[0], column[58], column[59]), (60, Some(1.0), None, Some(3.0)));
    assert_eq!(facts.past.lag, Fact::Absent, "what was not recorded is absent");
    let asked = source.asked();
    let history: Vec<&Asked> = asked.iter().filter(|asked| asked.name.ends_with("_history")).collect();
    assert_eq!(
        history.iter().map(|asked| asked.name.as_str()).collect::<Vec<_>>(),
        ["cpu_history", "lag_history"]
    );
    assert!(history.iter().all(|asked| (asked.from_s, asked.to_s) == (-59 * 60, 0)), "{history:?}");
}

/// Servers that align ranges answer for whole minutes only.
#[test]
fn the_range_begins_and_ends_on_whole_minutes_whenever_it_is_asked() {
    let pods = old(3);
    let source = Answers::default();
    let settings = QuerySettings::new("shop");
    let queries = QuerySet::new(&settings).expect("queries");
    let queries = FactQueries::new(&queries, &settings).expect("queries");
    let at = Timestamp::from_millisecond(1000 * AT + 59_619).expect("a time");
    let finder = FactFinder::new(&source, &queries, at);
    drop(finder.past(Metric::Cpu, &pods, &Persistence::STANDARD, &Kept::All));
    let asked = source.asked();
    assert_eq!((asked[0].from_s, asked[0].to_s), (-59 * 60, 0), "{asked:?}");
}

/// What a server refused is not the same as what nobody exports.
#[test]
fn what_a_server_refused_or_failed_is_told_from_what_is_not_there() {
    let pods = old(2);
    let names = ["partition_load", "assigned_partitions", "assignor", "cpu_history", "rate_after"];
    let failing: Vec<String> = names.map(str::to_owned).to_vec();
    let mut young = old(2);
    young[1].age = Some(Duration::from_secs(2 * 3600));
    let source = Answers { failing, ..Answers::default() };
    let facts = found(&source, &young, &[Metric::Cpu]);
    assert!(facts.partitions.is_failed() && facts.assigned_partitions.is_failed(), "{facts:?}");
    assert!(facts.exported_assignor.is_failed() && facts.past.cpu.is_failed(), "{facts:?}");
    assert!(facts.last_replacement.is_failed(), "{facts:?}");

    let facts = found(&Answers::default(), &pods, &[Metric::Cpu]);
    assert_eq!((&facts.partitions, &facts.past.cpu), (&Fact::Absent, &Fact::Absent));

    // Loads without owners would be taken for a group whose owners nobody exports.
    let mut source = Answers { failing: vec!["partition_owners".into()], ..Answers::default() };
    source.labelled.insert("partition_load".into(), vec![labelled(None, &["t", "0"], 1.0)]);
    assert!(found(&source, &pods, &[]).partitions.is_failed());
    let facts =
        found(&Answers { failing: vec!["partition_owners".into()], ..Answers::default() }, &pods, &[]);
    assert_eq!(facts.partitions, Fact::Absent);
    assert!(facts.exported_assignor.is_failed(), "the owners would have told it");
}

#[test]
fn a_history_on_another_grid_or_refused_by_the_server_says_so() {
    let pods = old(3);
    let mut source = Answers { failing: vec!["lag_history".into()], ..Answers::default() };
    let off = Point { timestamp_ms: 1000 * AT - 30_000, value: 1.0 };
    source
        .ranges
        .insert("cpu_history".into(), vec![Series { pod: "orders-6d5f9-00001".into(), points: vec![off] }]);
    let facts = found(&source, &pods, &[Metric::Cpu, Metric::Lag]);
    assert!(reason(&facts.past.cpu).contains("which was not asked for"), "{:?}", facts.past.cpu);
    assert!(
        reason(&facts.past.lag).contains("too many samples"),
        "the server's own words: {:?}",
        facts.past.lag
    );
}

/// Single samples are kept of the pods that may be rotated; what the others are asked for is their means.
#[test]
fn the_past_of_pods_that_are_not_rotated_is_reduced_while_it_is_read() {
    let pods = old(3);
    let point = |step: i64, value: f64| Point { timestamp_ms: 1000 * (AT - 60 * step), value };
    let series = |pod: &LivePod, value: f64| Series {
        pod: pod.name.clone(),
        points: (0..60).rev().map(|step| point(step, value)).collect(),
    };
    let mut source = Answers::default();
    let all = pods.iter().zip([9.0, 1.0, 2.0]).map(|(pod, value)| series(pod, value)).collect();
    source.ranges.insert("cpu_history".into(), all);
    let [busiest, others @ ..] = [0, 1, 2].map(|number: usize| pods[number].name.as_str());
    let kept = Kept::Only { pods: [busiest].into(), candidates: pods.iter().map(|pod| &*pod.name).collect() };
    let found = |kept: &Kept<'_>| {
        let facts = found_keeping(&source, &pods, &[Metric::Cpu], kept);
        facts.past.cpu.known().expect("its history").clone()
    };
    let (reduced, whole) = (found(&kept), found(&Kept::All));
    assert!(reduced.column(busiest).is_some() && others.iter().all(|pod| reduced.column(pod).is_none()));
    assert!(others.iter().all(|pod| whole.column(pod).is_some() && reduced.samples(pod) == 60));
    let names = [busiest, others[0], others[1]];
    let judge = |history| persistence_of_window(history, busiest, &names, 0.0, &Persistence::STANDARD);
    assert_eq!(judge(&reduced), judge(&whole));
}

#[test]
fn a_replacement_is_compared_over_its_two_windows_by_rate_and_by_kin() {
    let mut pods = old(3);
    pods[2].age = Some(Duration::from_secs(2 * 3600));
    let values = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), 2.0)).collect();
    let mut source = Answers::default();
    let [zero, one, two] = ["orders-6d5f9-00000", "orders-6d5f9-00001", "orders-6d5f9-00002"];
    source.instant.insert("rate_after".into(), values(&[zero, one, two, "orders-api-6d5f9-00000"]));
    // One was replaced by the newest, one was of another replica set; the others are none of ours.
    source.instant.insert(
        "rate_before".into(),
        values(&[zero, one, "orders-6d5f9-x7k2p", "orders-77b4c-9fq4d", "orders-api-6d5f9-x7k2p", "cart-0"]),
    );
    let facts = found(&source, &pods, &[]);
    let replacement = facts.last_replacement.known().expect("both sides are there");
    assert_eq!(replacement.metric, Metric::Rate);
    assert_eq!((replacement.before.len(), replacement.after.len()), (4, 3));
    assert_eq!(replacement.ago, Duration::from_secs(2 * 3600));
    let asked = source.asked();
    let of = |name: &str| asked.iter().find(|asked| asked.name == name).expect(name);
    assert_eq!(of("rate_before").to_s, -2 * 3600);
    assert!(of("rate_before").promql.starts_with("avg_over_time(("), "{:?}", of("rate_before"));
    assert!(of("rate_before").promql.ends_with(")[60m:1m])"), "{:?}", of("rate_before"));
    assert_eq!(facts.past_spread.cpu, Fact::Absent, "one replacement is no series of them");
    assert!(!asked.iter().any(|asked| asked.name.contains("before_all")), "and nothing is asked about it");
}

/// Loads by partition as a broker knows them, owners as clients write them.
#[test]
fn partitions_are_joined_with_their_owners_whatever_the_spelling() {
    let pods = old(2);
    let [zero, one] = [Some("orders-6d5f9-00000"), Some("orders-6d5f9-00001")];
    let mut source = Answers::default();
    let loads = [("orders.eu", "0", 10.0), ("orders.eu", "1", 20.0), ("foreign", "0", 99.0)];
    let loads = loads.map(|(topic, partition, load)| labelled(None, &[topic, partition], load));
    source.labelled.insert("partition_load".into(), loads.to_vec());
    let owners = vec![
        labelled(zero, &["orders_eu", "0"], 1.0),
        labelled(one, &["orders_eu", "1"], 1.0),
        labelled(one, &["orders.eu", "1"], 1.0),
        labelled(Some("gone-0"), &["foreign", "0"], 1.0),
    ];
    source.labelled.insert("partition_owners".into(), owners);
    let facts = found(&source, &pods, &[]);
    let partitions = facts.partitions.known().expect("they are known");
    assert!(partitions.owners_known());
    assert_eq!(partitions.topics(), ["orders.eu"]);
    assert_eq!(partitions.pod_loads(2), [10.0, 20.0]);

    source.labelled.get_mut("partition_owners").expect("as above").push(labelled(
        one,
        &["orders.eu", "2"],
        1.0,
    ));
    let facts = found(&source, &pods, &[]);
    assert!(reason(&facts.partitions).contains("has an owner and no load"), "{:?}", facts.partitions);

    source.labelled.insert("partition_load".into(), vec![labelled(zero, &["orders", "x"], 1.0)]);
    let facts = found(&source, &pods, &[]);
    assert!(reason(&facts.partitions).contains("is no number"), "{:?}", facts.partitions);

    source.labelled.insert("partition_load".into(), vec![labelled(zero, &["orders", "0"], 1.0); 2]);
    let facts = found(&source, &pods, &[]);
    assert!(reason(&facts.partitions).contains("more than one sample"), "{:?}", facts.partitions);
}

/// Answers carry the time of the question whatever they were computed of.
#[test]
fn own_queries_of_the_group_are_held_to_the_age_of_what_they_read() {
    let pods = old(2);
    let zero = Some("orders-6d5f9-00000");
    let mut source = Answers::default();
    source.labelled.insert("partition_load".into(), vec![labelled(zero, &["t", "0"], 1.0)]);
    source.labelled.insert("assigned_partitions".into(), vec![labelled(zero, &[""], 1.0)]);
    let settings = QuerySettings {
        own_partition_load: Some("sum by (pod, topic, partition) (rate(read_total[5m]))".into()),
        own_assigned_partitions: Some("assigned".into()),
        preset: KafkaPreset::None,
        ..QuerySettings::new("shop")
    };
    let queries = QuerySet::new(&settings).expect("queries");
    let queries = FactQueries::new(&queries, &settings).expect("queries");
    let find = |source: &Answers| {
        let at = Timestamp::from_second(AT).expect("a time");
        let finder = FactFinder::new(source, &queries, at);
        let facts = finder.find(&pods, None, &[], &Persistence::STANDARD, &Kept::All);
        let (load, assigned) = (&facts.partitions, &facts.assigned_partitions);
        [(load.is_failed(), reason(load).to_owned()), (assigned.is_failed(), reason(assigned).to_owned())]
    };
    for name in ["partition_load_fresh", "assigned_partitions_fresh"] {
        source.labelled.insert(name.into(), vec![labelled(zero, &["shop"], 1.0)]);
    }
    assert_eq!(find(&source), [(false, "known".to_owned()), (false, "known".to_owned())]);
    for name in ["partition_load_fresh", "assigned_partitions_fresh"] {
        source.labelled.insert(name.into(), vec![labelled(zero, &["shop"], 0.0)]);
    }
    let old = (true, "is older than MAX_SAMPLE_AGE".to_owned());
    assert_eq!(find(&source), [old.clone(), old]);
    source.labelled.insert("assigned_partitions_fresh".into(), Vec::new());
    let unknown = &find(&source)[1];
    assert!(unknown.0 && unknown.1.contains("it is not known how old it is"), "{unknown:?}");
    let asked = source.asked();
    let question = &asked.iter().find(|asked| asked.name == "partition_load_fresh").expect("asked").promql;
    assert!(question.contains("timestamp(read_total) >= bool (time() - 180)"), "{question}");
}

#[test]
fn owners_alone_let_the_assignor_be_recognised_and_nothing_else() {
    let pods = old(2);
    let owner = |partition: usize| format!("orders-6d5f9-0000{}", partition / 3);
    let owners =
        (0..6).map(|partition| labelled(Some(&owner(partition)), &["t", &partition.to_string()], 1.0));
    let mut source = Answers::default();
    source.labelled.insert("partition_owners".into(), owners.collect());
    let facts = found(&source, &pods, &[]);
    assert_eq!(facts.partitions, Fact::Absent, "nothing is known of loads");
    assert_eq!(facts.known_assignor(), Some(Assignor::Range));
    source.labelled.insert("assignor".into(), vec![labelled(None, &["cooperative-sticky"], 1.0)]);
    assert_eq!(
        found(&source, &pods, &[]).known_assignor(),
        Some(Assignor::CooperativeSticky),
        "exported wins"
    );
    let several = vec![labelled(None, &["range"], 1.0), labelled(None, &["sticky"], 1.0)];
    source.labelled.insert("assignor".into(), several);
    source.labelled.remove("partition_owners");
    let facts = found(&source, &pods, &[]);
    assert!(reason(&facts.exported_assignor).contains("several assignors: range, sticky"), "{facts:?}");
}

#[test]
fn partitions_and_consumers_of_live_pods_are_counted() {
    let pods = old(2);
    let [zero, one] = [Some("orders-6d5f9-00000"), Some("orders-6d5f9-00001")];
    let mut source = Answers::default();
    let rows = vec![
        labelled(zero, &["a"], 2.0),
        labelled(zero, &["b"], 1.0),
        labelled(one, &["a"], 4.0),
        labelled(one, &["b"], 0.0),
        labelled(Some("gone-0"), &["a"], 9.0),
    ];
    source.labelled.insert("assigned_partitions".into(), rows);
    let facts = found(&source, &pods, &[]);
    let counts: Vec<usize> =
        facts.assigned_partitions.known().expect("known").iter().map(|(_, count)| *count).collect();
    assert_eq!((counts, facts.consumers_per_pod), (vec![3, 4], Some(2)));
    source.labelled.insert("assigned_partitions".into(), vec![labelled(zero, &[""], 2.0)]);
    assert_eq!(
        found(&source, &pods, &[]).consumers_per_pod,
        None,
        "an own query need not tell clients apart"
    );
    source.labelled.insert("assigned_partitions".into(), vec![labelled(zero, &[""], 2.0); 2]);
    let facts = found(&source, &pods, &[]);
    assert!(reason(&facts.assigned_partitions).contains("more than one series"), "{facts:?}");
    source.labelled.insert("assigned_partitions".into(), vec![labelled(zero, &["a"], -1.0)]);
    let facts = found(&source, &pods, &[]);
    assert!(reason(&facts.assigned_partitions).contains("has -1 partitions"), "{facts:?}");
}

#[test]
fn no_more_is_asked_at_once_than_is_allowed() {
    /// Counts who is in.
    struct Busy(AtomicUsize, AtomicUsize);
    impl MetricsSource for Busy {
        fn instant(&self, query: &MetricQuery, _: Timestamp) -> Result<Samples, QueryError> {
            let now = self.0.fetch_add(1, Ordering::SeqCst) + 1;
            self.1.fetch_max(now, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(5));
            self.0.fetch_sub(1, Ordering::SeqCst);
            Err(not_recorded(query))
        }

        fn labelled(
            &self,
            query: &MetricQuery,
            _: &[&str],
            at: Timestamp,
        ) -> Result<Vec<LabelledSample>, QueryError> {
            self.instant(query, at).map(|_| Vec::new())
        }

        fn raw(&self, query: &MetricQuery, at: Timestamp) -> Result<Vec<RawSample>, QueryError> {
            self.instant(query, at).map(|_| Vec::new())
        }

        fn range(&self, query: &MetricQuery, range: TimeRange) -> Result<Vec<Series>, QueryError> {
            self.instant(query, range.start).map(|_| Vec::new())
        }
    }
    let busy = Busy(AtomicUsize::new(0), AtomicUsize::new(0));
    let limited = AtMost::new(&busy, 2);
    let (query, at) = (MetricQuery::new("cpu", "up"), Timestamp::UNIX_EPOCH);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| limited.instant(&query, at).is_err());
            scope.spawn(|| {
                limited.range(&query, TimeRange { start: at, end: at, step: Duration::ZERO }).is_err()
            });
            scope.spawn(|| limited.labelled(&query, &[], at).is_err());
            scope.spawn(|| limited.raw(&query, at).is_err());
        }
    });
    assert_eq!(busy.1.load(Ordering::SeqCst), 2);
}

/// Six of twelve pods born within a day: their spread is looked up as it was before the first of them.
#[test]
fn the_spread_before_several_rotations_is_that_of_each_metric_with_a_threshold() {
    let mut pods = old(12);
    for (pod, hours) in pods.iter_mut().zip([2, 2, 5, 5, 9, 9]) {
        pod.age = Some(Duration::from_secs(3600 * hours));
    }
    let values = |load: f64| {
        let pods = (0..12).map(|pod| (format!("orders-6d5f9-{pod:05}"), if pod == 0 { load } else { 1.0 }));
        pods.collect::<Vec<(String, f64)>>()
    };
    let mut source = Answers::default();
    source.instant.insert("cpu_before_all".into(), values(5.0));
    source.instant.insert("lag_before_all".into(), values(1.0));
    let facts = found(&source, &pods, &[]);
    let cpu = facts.past_spread.cpu.known().expect("it was answered");
    assert!((cpu.cv - 0.829_156).abs() < 1e-6 && cpu.ago == Duration::from_secs(9 * 3600), "{cpu:?}");
    assert_eq!(facts.past_spread.lag.known().map(|past| past.cv), Some(0.0));
    assert_eq!(facts.past_spread.rate, Fact::Absent, "nothing is triggered by it");
    let asked = source.asked();
    let before: Vec<&Asked> = asked.iter().filter(|asked| asked.name.ends_with("before_all")).collect();
    assert_eq!(before.len(), 2, "{before:?}");
    assert!(before.iter().all(|asked| asked.to_s == -9 * 3600 && asked.promql.ends_with("[60m:1m])")));
    // Names of another deployment: too few of that time's pods can be told to be of this one.
    source.instant.insert("cpu_before_all".into(), vec![("cart-5f7d9-00000".to_owned(), 1.0)]);
    assert_eq!(found(&source, &pods, &[]).past_spread.cpu, Fact::Absent);
}
