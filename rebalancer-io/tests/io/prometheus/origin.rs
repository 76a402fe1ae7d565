//! Whose series a server holds: one cluster seen several times, or several clusters under one name.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rebalancer_core::LivePod;
use rebalancer_io::metrics::{KafkaPreset, OriginQueries, QuerySettings};
use rebalancer_io::origin::{Mixed, OriginError, one_origin};
use rebalancer_io::prometheus::PrometheusClient;

use super::servers::{TestSeries, on_each_server};

const CPU: &str = "container_cpu_usage_seconds_total";
const CONSUMED: &str = "kafka_consumer_fetch_manager_records_consumed_total";
const OWN_LAG: &str = "kafka_consumer_fetch_manager_records_lag";
const LAG: &str = "kafka_consumergroup_lag";
const OFFSET: &str = "kafka_consumergroup_current_offset";

/// Seconds of the past that a series has samples of, twice a minute.
const PAST_S: i64 = 2400;

/// Series up to now, in seconds since 1970.
struct Samples {
    now: i64,
    series: Vec<TestSeries>,
}

impl Samples {
    /// A series over `seconds` from now, with the value that `value` gives `PAST_S` ago and later.
    fn add(&mut self, metric: &str, labels: &str, from_s: i64, to_s: i64, value: impl Fn(f64) -> f64) {
        let at = (from_s..=to_s).step_by(30);
        let samples = at.map(|at| (1000 * (self.now + at), value((at + PAST_S) as f64))).collect();
        self.series.push(TestSeries { name: metric.to_owned(), labels: labels.to_owned(), samples });
    }

    /// A counter of this rate up to now.
    fn counter(&mut self, metric: &str, labels: &str, rate: f64) {
        self.add(metric, labels, -PAST_S, 0, |age_s| 1000.0 + rate * age_s);
    }

    fn cpu(&mut self, namespace: &str, pod: usize, labels: &str, rate: f64) {
        self.counter(CPU, &labels_of(namespace, pod, labels), rate);
    }
}

fn labels_of(namespace: &str, pod: usize, labels: &str) -> String {
    format!("namespace=\"{namespace}\",pod=\"orders-{pod}\",container=\"app\",{labels}")
}

fn control_group(uid: u32, container: u32) -> String {
    format!(
        "id=\"/kubepods.slice/kubepods-burstable-pod{uid:08x}_bf5c_4ae6_9f8c_0123456789ab.slice/cri-containerd-{container:064x}.scope\",\
         name=\"{container:064x}\""
    )
}

/// A label and its values.
type Found = (&'static str, &'static [&'static str]);

/// What a place shows and what is to be found there: the label and its values, or nothing.
const PLACES: [(&str, Option<Found>); 16] = [
    ("plain", None),
    ("containerd", None),
    ("tasks", None),
    ("replicas", None),
    ("missed", None),
    ("jobs", None),
    ("restarted", None),
    ("earlier", None),
    ("clusters", Some(("cluster", &["eu-1", "us-1"]))),
    ("clusters-and-replicas", Some(("region", &["eu", "us"]))),
    ("uids", Some(("node", &["node-1", "node-2"]))),
    ("unlabelled", Some(("id", &[]))),
    ("clients", Some(("cluster", &["eu-1", "us-1"]))),
    ("whole-pods", Some(("cluster", &["eu-1", "us-1"]))),
    ("lags", Some(("cluster", &["eu-1", "us-1"]))),
    ("some", Some(("cluster", &["", "us-1"]))),
];

fn samples(now: i64) -> Samples {
    let mut samples = Samples { now, series: Vec::new() };
    for pod in 0..3_u32 {
        one_cluster(&mut samples, pod);
        two_clusters(&mut samples, pod);
    }
    // The other cluster has fewer pods.
    samples.cpu("some", 2, "id=\"/k\",cluster=\"us-1\"", 2.5);
    exporters(&mut samples);
    samples
}

fn rate(pod: u32) -> f64 {
    0.3 + 0.2 * f64::from(pod)
}

fn one_cluster(samples: &mut Samples, pod: u32) {
    let (at, rate) = (pod as usize, rate(pod));
    let group = control_group(pod, pod);
    samples.cpu("plain", at, &group, rate);
    for (task, rate) in [("1", 5.0), ("2", 90.0)] {
        let labels = format!("task=\"{task}\",instance=\"10.1.0.{pod}:8080\",topic=\"t\"");
        samples.counter(CONSUMED, &labels_of("tasks", at, &labels), rate);
    }
    samples.cpu("containerd", at, &format!("{group},image=\"app\""), rate);
    for (labels, rate) in [(group.as_str(), rate), ("name=\"p\",image=\"pause\"", 0.0)] {
        let labels = labels_of("containerd", at, labels).replace("\"app\"", "\"\"");
        samples.counter(CPU, &labels, rate);
    }
    // Scraped by each at another moment; the name of the label is anyone's.
    for (watcher, shift) in [("a", 0), ("b", 17)] {
        let labels = labels_of("replicas", at, &format!("watcher=\"{watcher}\",id=\"/k/{pod}\""));
        samples.add(CPU, &labels, shift - PAST_S, -20 + shift, |age_s| 1000.0 + rate * age_s);
        let missed = if watcher == "b" { -240 } else { 0 };
        let labels = labels_of("missed", at, &format!("prometheus_replica=\"{watcher}\""));
        samples.add(CPU, &labels, -PAST_S, missed, |age_s| 1000.0 + rate * age_s);
    }
    samples.cpu("jobs", at, &format!("job=\"kubelet\",instance=\"10.0.0.1:10250\",id=\"/k/{pod}\""), rate);
    samples.cpu("jobs", at, "job=\"cadvisor\",instance=\"node-1:10255\"", rate);
    for replica in ["a", "b"] {
        let old = format!("{},replica=\"{replica}\"", control_group(pod, 10 + pod));
        let old = labels_of("restarted", at, &old);
        samples.add(CPU, &old, -PAST_S, -120, |age_s| 1000.0 + rate * age_s);
        let new = format!("{},replica=\"{replica}\"", control_group(pod, 20 + pod));
        samples.add(CPU, &labels_of("restarted", at, &new), -90, 0, |age_s| rate * age_s);
    }
    let earlier = format!("{},node=\"node-1\"", control_group(100 + pod, 100 + pod));
    samples.add(CPU, &labels_of("earlier", at, &earlier), -PAST_S, -210, |age_s| 1000.0 + rate * age_s);
    let new = format!("{},node=\"node-2\"", control_group(pod, pod));
    samples.add(CPU, &labels_of("earlier", at, &new), -180, 0, |age_s| rate * age_s);
    samples.cpu("clients", at, &group, rate);
    samples.cpu("some", at, "id=\"/k\"", rate);
}

fn two_clusters(samples: &mut Samples, pod: u32) {
    let at = pod as usize;
    let group = control_group(pod, pod);
    for (cluster, region, rate) in [("eu-1", "eu", rate(pod)), ("us-1", "us", 1.5 - rate(pod) * 1.3)] {
        let labels = format!("cluster=\"{cluster}\",instance=\"10.0.0.1\",id=\"/k/{pod}\"");
        samples.cpu("clusters", at, &labels, rate);
        let whole = labels_of("whole-pods", at, &labels).replace("\"app\"", "\"\"");
        samples.counter(CPU, &whole, rate);
        for replica in ["a", "b"] {
            let labels = format!("region=\"{region}\",replica=\"{replica}\"");
            samples.cpu("clusters-and-replicas", at, &labels, rate);
        }
        let labels = format!(
            "namespace=\"clients\",pod=\"orders-{pod}\",client_id=\"c-1\",topic=\"t\",cluster=\"{cluster}\""
        );
        samples.counter(CONSUMED, &labels, 100.0 * rate);
        let labels = labels.replace("clients", "lags") + ",partition=\"7\"";
        let lag = if cluster == "us-1" && pod == 1 { 400_000.0 } else { 1500.0 };
        samples.add(OWN_LAG, &labels, -PAST_S, 0, |_| lag);
    }
    samples.cpu("uids", at, &format!("{group},node=\"node-1\",instance=\"i-1\""), rate(pod));
    let other = control_group(50 + pod, 50 + pod);
    samples.cpu("uids", at, &format!("{other},node=\"node-2\",instance=\"i-2\""), 1.5);
    samples.cpu("unlabelled", at, &group, rate(pod));
    samples.cpu("unlabelled", at, &other, 1.5);
}

/// Exporters outside the pods: two of one Kafka cluster, and one of each of two.
fn exporters(samples: &mut Samples) {
    for partition in 0..4 {
        for (job, lag) in [("live", 1500.0), ("standby", if partition == 2 { 400_000.0 } else { 0.0 })] {
            let labels = format!(
                "consumergroup=\"two\",topic=\"t\",partition=\"{partition}\",job=\"{job}\",instance=\"{job}:9308\""
            );
            samples.add(LAG, &labels, -PAST_S, 0, |_| lag);
            // Of one Kafka cluster; the standby shows what was so half an hour ago.
            let stuck = labels.replace("two", "stuck");
            let was = |age_s: f64| 30_000.0 - 12.0 * age_s;
            let seen = |age_s: f64| if job == "live" { was(age_s) } else { was(age_s.min(600.0)) };
            samples.add(LAG, &stuck, -PAST_S, 0, seen);
            // Offsets of one cluster, scraped at other moments in a burst, and of two clusters that lag alike.
            let shift = if job == "live" { 0 } else { 14 };
            let burst = |age_s: f64| 70_000.0 + 400.0 * (age_s - 2250.0).max(0.0);
            samples.add(OFFSET, &labels.replace("two", "burst"), shift - PAST_S, shift - 15, burst);
            let begun = if job == "live" { 70_000.0 } else { 95_000.0 };
            samples.add(OFFSET, &labels.replace("two", "apart"), -PAST_S, 0, |age_s| begun + 5.0 * age_s);
            samples.add(LAG, &labels.replace("two", "apart"), -PAST_S, 0, |_| 3.0);
            // Their lag goes up and down between their scrapes.
            let labels = labels.replace("two", "one");
            let lag = |age_s: f64| 20_000.0 + 15_000.0 * (age_s / 40.0).sin();
            samples.add(LAG, &labels, shift - PAST_S, shift - 15, lag);
        }
    }
}

fn pods(place: &str) -> Vec<LivePod> {
    let age = Some(Duration::from_secs(if place == "earlier" { 200 } else { 86_400 }));
    (0..3).map(|pod| LivePod { age, uptime: age, ..LivePod::assumed(format!("orders-{pod}")) }).collect()
}

fn found(client: &PrometheusClient, settings: &QuerySettings, at: Timestamp) -> Option<Mixed> {
    match one_origin(client, &OriginQueries::new(settings), &pods(&settings.namespace), at) {
        Ok(()) => None,
        Err(OriginError::Mixed(mixed)) => Some(mixed),
        Err(error) => panic!("{}: {error}", settings.namespace),
    }
}

fn settings(namespace: &str) -> QuerySettings {
    QuerySettings { pod_pattern: Some("orders-.+".into()), ..QuerySettings::new(namespace) }
}

/// Everything that is to be found out, of a server with these samples.
fn tells_whose_series_these_are(client: &PrometheusClient, at: Timestamp) {
    for (place, expected) in PLACES {
        let mixed = found(client, &settings(place), at);
        let said = mixed.as_ref().map(ToString::to_string).unwrap_or_default();
        assert_eq!(
            mixed.as_ref().map(|mixed| mixed.label.as_str()),
            expected.map(|(label, _)| label),
            "{place}: {said}"
        );
        let (Some(mixed), Some((label, values))) = (mixed, expected) else { continue };
        assert!(values.is_empty() || mixed.values == *values, "{place}: {said}");
        assert!(said.contains("PROMETHEUS_MATCHERS") && said.contains(label), "{place}: {said}");
        for value in values {
            assert!(said.contains(&format!("{value:?}")), "{place}: {said}");
        }
    }
    let groups = [
        ("one", None),
        ("two", Some("job")),
        ("stuck", Some("job")),
        ("burst", None),
        ("apart", Some("job")),
    ];
    for (group, expected) in groups {
        let preset = KafkaPreset::KafkaExporter;
        let settings = QuerySettings { preset, group: Some(group.into()), ..settings("plain") };
        let mixed = found(client, &settings, at);
        assert_eq!(mixed.as_ref().map(|mixed| mixed.label.as_str()), expected, "{group}: {mixed:?}");
        // Two clusters, or one exporter that is stuck: the values cannot tell.
        let said = mixed.as_ref().map(ToString::to_string).unwrap_or_default();
        assert!(mixed.is_none() || said.contains("or one source is stuck"), "{group}: {said}");
    }
    // Clients lag as they do, and the offsets beside them are of two clusters.
    let beside = QuerySettings { group: Some("apart".into()), ..settings("plain") };
    assert_eq!(found(client, &beside, at).map(|mixed| mixed.metric), Some(OFFSET.to_owned()));
    let matchers = r#"cluster="eu-1""#.parse().expect("matchers");
    assert_eq!(found(client, &QuerySettings { matchers, ..settings("clusters") }, at), None);
    for place in ["plain", "containerd"] {
        let before = client.requests();
        found(client, &settings(place), at);
        assert_eq!(client.requests() - before, 1, "{place}: nothing is there twice, and one query says so");
    }
}

#[test]
fn each_server_tells_whose_series_these_are() {
    let at = Timestamp::from_second(Timestamp::now().as_second()).expect("a time of now")
        - SignedDuration::from_secs(60);
    let series = samples(at.as_second()).series;
    on_each_server(&series, |_, client| tells_whose_series_these_are(client, at));
}
