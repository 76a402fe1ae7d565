//! Recorded expositions with the labels that a scrape adds, and what is true beside them, found in the plainest way.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use jiff::Timestamp;
use rebalancer_io::metrics::KafkaPreset;
use serde_json::Value;

use super::servers::TestSeries;

/// A partition: its topic with underscores in place of dots, and its number.
pub type Partition = (String, u32);

/// Several moments of one recording, moved so that the last is a minute ago.
pub struct Recorded {
    moments: BTreeMap<String, Moment>,
}

/// Everything that was seen at one moment.
pub struct Moment {
    pub at_ms: i64,
    lines: Vec<Line>,
    state: Vec<Value>,
}

/// One sample.
struct Line {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Line {
    /// Its name, and its labels as they stand between braces.
    fn series(&self) -> (String, String) {
        let labels = self.labels.iter().map(|(name, value)| format!("{name}=\"{value}\""));
        (self.name.clone(), labels.collect::<Vec<String>>().join(","))
    }
}

impl Recorded {
    pub fn load(name: &str, moments: &[&str]) -> Self {
        let read: Vec<(&str, String)> =
            moments.iter().map(|moment| (*moment, unpacked(name, moment, "prom"))).collect();
        let time = |text: &str| {
            let first = text.lines().next().and_then(|line| line.strip_prefix("# time "));
            let seconds: f64 = first.expect("a time").parse().expect("a number");
            #[expect(clippy::cast_possible_truncation, reason = "a time of now")]
            let ms = (seconds * 1000.0) as i64;
            ms
        };
        let last = read.iter().map(|(_, text)| time(text)).max().expect("a moment");
        let now = Timestamp::now().as_millisecond() - 60_000;
        let moment = |(moment, text): (&str, String)| {
            let state: Value = serde_json::from_str(&unpacked(name, moment, "json")).expect("a state");
            let state = state["pods"].as_array().expect("pods").clone();
            let at_ms = time(&text) - last + now;
            (moment.to_owned(), Moment { at_ms, lines: lines(&text, &state), state })
        };
        Self { moments: read.into_iter().map(moment).collect() }
    }

    /// Every minute of an hour up to `at_ms`, what was seen at the last of these moments, which begin so many minutes
    /// before. What an exporter of `stopped` wrote ends 20 minutes before.
    pub fn over_an_hour(&self, begin: &[(&str, i64)], at_ms: i64, stopped: &str) -> Vec<TestSeries> {
        let mut series: BTreeMap<(String, String), Vec<(i64, f64)>> = BTreeMap::new();
        for ago in (0..=59_i64).rev() {
            let last = begin.iter().rev().find(|(_, begun)| *begun >= ago);
            let Some((moment, _)) = last else { continue };
            for line in &self.moments[*moment].lines {
                if ago < 20 && line.labels.get("job").is_some_and(|job| job == stopped) {
                    continue;
                }
                // A scrape is no whole minute.
                series.entry(line.series()).or_default().push((at_ms - 60_000 * ago - 7_000, line.value));
            }
        }
        series.into_iter().map(|((name, labels), samples)| TestSeries { name, labels, samples }).collect()
    }

    pub fn moment(&self, name: &str) -> &Moment {
        &self.moments[name]
    }

    /// All samples as series.
    pub fn series(&self) -> Vec<TestSeries> {
        let mut series: BTreeMap<(String, String), Vec<(i64, f64)>> = BTreeMap::new();
        let mut moments: Vec<&Moment> = self.moments.values().collect();
        moments.sort_by_key(|moment| moment.at_ms);
        for moment in moments {
            for line in &moment.lines {
                series.entry(line.series()).or_default().push((moment.at_ms, line.value));
            }
        }
        series.into_iter().map(|((name, labels), samples)| TestSeries { name, labels, samples }).collect()
    }
}

impl Moment {
    /// The names of the pods that begin with `prefix`.
    pub fn pods(&self, prefix: &str) -> BTreeSet<&str> {
        let names = self.state.iter().filter_map(|pod| pod["name"].as_str());
        names.filter(|name| name.starts_with(prefix)).collect()
    }

    fn members_of(&self, pod: &str) -> &[Value] {
        let found = self.state.iter().find(|known| known["name"] == pod);
        found.and_then(|pod| pod["members"].as_array()).map_or(&[], Vec::as_slice)
    }

    /// The number of partitions of each of a pod's consumers, in the order of their names.
    pub fn members(&self, pod: &str) -> Vec<usize> {
        let mut members: Vec<(&str, usize)> = self
            .members_of(pod)
            .iter()
            .map(|member| {
                let partitions = member["partitions"].as_array().map_or(0, Vec::len);
                (member["member"].as_str().unwrap_or_default(), partitions)
            })
            .collect();
        members.sort_unstable();
        members.into_iter().map(|(_, partitions)| partitions).collect()
    }

    /// The partitions that a pod owns.
    pub fn partitions(&self, pod: &str) -> Vec<Partition> {
        let partitions = self.members_of(pod).iter().filter_map(|member| member["partitions"].as_array());
        let partition = |value: &Value| {
            let topic = value[0].as_str().expect("a topic").replace('.', "_");
            (topic, value[1].as_u64().and_then(|number| u32::try_from(number).ok()).expect("a number"))
        };
        partitions.flatten().map(partition).collect()
    }

    /// The messages that a pod has read.
    pub fn consumed(&self, pod: &str) -> f64 {
        let members = self.members_of(pod).iter().filter_map(|member| member["consumed"].as_object());
        members.flat_map(|consumed| consumed.values()).filter_map(Value::as_f64).sum()
    }

    /// The lag that the clients of a pod know themselves, each partition once.
    pub fn own_lag(&self, pod: &str) -> f64 {
        let of_pod = self.lines.iter().filter(|line| {
            line.name == "kafka_consumer_fetch_manager_records_lag" && line.labels["pod"] == pod
        });
        let partitions: BTreeMap<(String, &str), f64> = of_pod
            .filter(|line| line.value >= 0.0)
            .map(|line| {
                ((line.labels["topic"].replace('.', "_"), line.labels["partition"].as_str()), line.value)
            })
            .collect();
        partitions.into_values().sum()
    }

    /// The lag of a partition as the exporter of a preset tells it.
    pub fn lag(&self, preset: KafkaPreset, group: &str, partition: &Partition) -> f64 {
        match preset {
            KafkaPreset::KafkaExporter => self.value("kafka_consumergroup_lag", Some(group), partition),
            KafkaPreset::Kminion => {
                self.value("kminion_kafka_consumer_group_topic_partition_lag", Some(group), partition)
            }
            _ => self.value("klag_consumer_lag", Some(group), partition),
        }
    }

    /// The offset of a group as klag or `kafka_exporter` tells it.
    pub fn committed(&self, preset: KafkaPreset, group: &str, partition: &Partition) -> f64 {
        match preset {
            KafkaPreset::KlagIp | KafkaPreset::ClientId => {
                self.value("klag_consumer_committed_offset", Some(group), partition)
            }
            _ => self.value("kafka_consumergroup_current_offset", Some(group), partition),
        }
    }

    /// How far the client of a pod is past the oldest message of a partition.
    pub fn lead(&self, pod: &str, (topic, number): &Partition) -> f64 {
        let found = self.lines.iter().find(|line| {
            line.name == "kafka_consumer_fetch_manager_records_lead"
                && line.labels["pod"] == pod
                && line.labels["topic"] == *topic
                && line.labels["partition"] == number.to_string()
        });
        found.unwrap_or_else(|| panic!("no lead of {pod} {topic} {number}")).value
    }

    /// The end of a partition as kminion tells it.
    pub fn written(&self, partition: &Partition) -> f64 {
        self.value("kminion_kafka_topic_partition_high_water_mark", None, partition)
    }

    fn value(&self, name: &str, group: Option<&str>, (topic, number): &Partition) -> f64 {
        let label = |line: &Line, names: &[&str]| {
            names.iter().find_map(|name| line.labels.get(*name)).cloned().unwrap_or_default()
        };
        let found = self.lines.iter().find(|line| {
            line.name == name
                && label(line, &["topic", "topic_name"]).replace('.', "_") == *topic
                && label(line, &["partition", "partition_id"]) == number.to_string()
                && group.is_none_or(|group| {
                    label(line, &["consumergroup", "consumer_group", "group_id"]) == group
                })
        });
        found.unwrap_or_else(|| panic!("no {name} of {group:?} {topic} {number}")).value
    }
}

fn unpacked(name: &str, moment: &str, kind: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/exporters").join(name);
    let file = File::open(folder.join(format!("{moment}.{kind}.gz"))).expect("a recorded moment");
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).expect("text");
    text
}

/// The samples of an exposition with the labels of their targets, and what kube-state-metrics tells of the pods.
fn lines(text: &str, state: &[Value]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut target: Vec<(&str, String)> = Vec::new();
    for line in text.lines() {
        if let Some(from) = line.strip_prefix("# from ") {
            let (job, pod) = from.split_once(' ').unwrap_or((from, ""));
            let (namespace, pod) =
                if pod.is_empty() { ("monitoring", format!("{job}-0")) } else { ("shop", pod.to_owned()) };
            target = vec![
                ("job", job.to_owned()),
                ("namespace", namespace.to_owned()),
                ("instance", format!("{pod}:9404")),
                ("pod", pod),
            ];
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = series.trim_end_matches('}').split_once('{').expect("labels");
            let own = labels.split(',').filter(|label| !label.is_empty()).map(|label| {
                let (name, value) = label.split_once('=').expect("a label");
                (name, value.trim_matches('"').to_owned())
            });
            let labels = own.chain(target.iter().cloned()).map(|(name, value)| (name.to_owned(), value));
            let value = value.parse().expect("a number");
            lines.push(Line { name: name.to_owned(), labels: labels.collect(), value });
        }
    }
    let of_agents: Vec<Line> = lines.iter().flat_map(by_agents).collect();
    lines.extend(of_agents);
    lines.extend(state.iter().flat_map(kube_state));
    lines
}

/// What agents in the pod write of a client's metric that Micrometer wrote: the JMX exporter, in half of the pods an
/// old one, and the OpenTelemetry agent. This is rewritten by their documented names, not recorded.
fn by_agents(line: &Line) -> Vec<Line> {
    let part = |prefix: &str| line.name.strip_prefix(prefix).map(str::to_owned);
    let (fetched, assigned) =
        (part("kafka_consumer_fetch_manager_"), part("kafka_consumer_coordinator_assigned_partitions"));
    let pod = line.labels.get("pod").map_or("", String::as_str);
    let is_old = pod.bytes().map(u32::from).sum::<u32>() % 2 == 0;
    let (jmx, otel) = match (fetched, assigned) {
        (Some(metric), _) => {
            // Since 1.0 the exporter drops the ending.
            let kept = if is_old { metric.as_str() } else { metric.trim_end_matches("_total") };
            let jmx = format!("kafka_consumer_consumer_fetch_manager_metrics_{kept}");
            (jmx, format!("kafka_consumer_{metric}"))
        }
        (None, Some(_)) => (
            "kafka_consumer_consumer_coordinator_metrics_assigned_partitions".to_owned(),
            "kafka_consumer_assigned_partitions".to_owned(),
        ),
        (None, None) => return Vec::new(),
    };
    let by_job = |job: &str| {
        let mut labels = line.labels.clone();
        labels.insert("job".to_owned(), job.to_owned());
        labels
    };
    let info =
        [("k8s_namespace_name", "shop"), ("k8s_pod_name", pod), ("instance", &line.labels["instance"])];
    let info = info.into_iter().chain([("job", "otel")]);
    let info = info.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut written = vec![
        Line { name: jmx, labels: by_job("jmx"), value: line.value },
        Line { name: otel, labels: by_job("otel"), value: line.value },
    ];
    if line.name.ends_with("assigned_partitions") {
        written.push(Line { name: "target_info".to_owned(), labels: info, value: 1.0 });
    }
    written
}

fn kube_state(pod: &Value) -> [Line; 2] {
    let [name, ip] = ["name", "ip"].map(|field| pod[field].as_str().expect("a text").to_owned());
    let line = |metric: &str, labels: &[(&str, &str)]| {
        let pod = [("namespace", "shop"), ("pod", &name)];
        let labels = pod.iter().chain(labels).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Line { name: metric.to_owned(), labels: labels.collect(), value: 1.0 }
    };
    [
        line("kube_pod_info", &[("pod_ip", &ip), ("host_network", "false")]),
        line("kube_pod_status_phase", &[("phase", "Running")]),
    ]
}
