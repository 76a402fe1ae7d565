//! The pods of one workload and how loaded each is and was: the series both metric servers are
//! filled with.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::series::Series;

/// Samples go on into the future, so that a query at "now" finds a fresh one while a test lasts.
const AHEAD: Duration = Duration::from_secs(600);
/// The pause container's share of its pod.
const PAUSE_CPU_CORES: f64 = 0.0001;
const PAUSE_MEMORY_BYTES: f64 = 45_056.0;

/// A value that changes in steps: what a pod does now and what it did before.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    first: f64,
    /// How long ago each later value began, longest ago first.
    steps: Vec<(Duration, f64)>,
}

impl Level {
    /// This level until `ago` before now, `value` since then. Steps are given oldest first.
    #[must_use]
    pub fn then(mut self, ago: Duration, value: f64) -> Self {
        self.steps.push((ago, value));
        self
    }

    /// The value that it had so long ago.
    pub fn value_at(&self, ago: Duration) -> f64 {
        self.at(ago.as_secs_f64())
    }

    fn at(&self, ago_s: f64) -> f64 {
        self.steps
            .iter()
            .rev()
            .find(|(since, _)| since.as_secs_f64() >= ago_s)
            .map_or(self.first, |(_, value)| *value)
    }

    /// The integral from `from_s` ago to `to_s` ago (negative: in the future).
    fn sum(&self, from_s: f64, to_s: f64) -> f64 {
        let mut edges: Vec<f64> = self
            .steps
            .iter()
            .map(|(ago, _)| ago.as_secs_f64())
            .filter(|ago| *ago < from_s && *ago > to_s)
            .collect();
        edges.insert(0, from_s);
        edges.push(to_s);
        edges.windows(2).map(|edge| self.at(f64::midpoint(edge[0], edge[1])) * (edge[0] - edge[1])).sum()
    }
}

impl From<f64> for Level {
    fn from(value: f64) -> Self {
        Self { first: value, steps: Vec::new() }
    }
}

/// One pod's loads; a load that is `None` has no series.
#[derive(Debug, Clone)]
pub struct PodLoads {
    /// Name of the pod.
    pub name: String,
    /// CPU of its application container, in cores.
    pub cpu: Option<Level>,
    /// Working set of its application container, in bytes.
    pub memory: Option<Level>,
    /// Lag over all its partitions, in messages.
    pub lag: Option<Level>,
    /// Messages consumed per second.
    pub rate: Option<Level>,
    /// Kafka partitions it owns, in contiguous blocks as `range` deals; its lag is spread over them.
    pub partitions: u32,
    /// Share of its messages that come from the first of its partitions; the others share the rest.
    pub first_share: f64,
    /// Since when the first of its partitions stands though messages arrive; where any pod of a fleet has
    /// one, the end offsets of all partitions are exported too.
    pub stuck: Option<Duration>,
    /// How long ago it came; `None` is before all samples.
    pub born: Option<Duration>,
    /// How long ago it went; `None` is not yet.
    pub gone: Option<Duration>,
}

/// A workload's pods with their loads.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Namespace of the pods.
    pub namespace: String,
    /// How far back samples reach.
    pub history: Duration,
    /// Time between two samples of a series.
    pub scrape_interval: Duration,
    /// Name of the consumer group, and of the one topic that it reads.
    pub group: String,
    /// The pods.
    pub pods: Vec<PodLoads>,
}

impl Fleet {
    /// `count` pods of the Deployment `workload`, evenly loaded (within five percent).
    pub fn even(namespace: &str, workload: &str, count: usize) -> Self {
        Self::of_pods(namespace, (0..count).map(|pod| format!("{workload}-6d5f9c7b84-{}", pod_suffix(pod))))
    }

    /// The named pods, evenly loaded (within five percent).
    pub fn of_pods(namespace: &str, names: impl IntoIterator<Item = String>) -> Self {
        let pods = names.into_iter().enumerate().map(|(position, name)| {
            let wiggle = 0.95 + 0.01 * (position * 7 % 11) as f64;
            PodLoads {
                name,
                cpu: Some(Level::from(0.25 * wiggle)),
                memory: Some(Level::from((400.0 * wiggle).round() * 1_048_576.0)),
                lag: Some(Level::from((1500.0 * wiggle).round())),
                rate: Some(Level::from(400.0 * wiggle)),
                partitions: 3,
                first_share: 1.0 / 3.0,
                stuck: None,
                born: None,
                gone: None,
            }
        });
        Self {
            namespace: namespace.to_owned(),
            history: Duration::from_secs(3600),
            scrape_interval: Duration::from_secs(15),
            group: "orders".to_owned(),
            pods: pods.collect(),
        }
    }

    /// Makes one pod the busiest by far, in CPU, lag and rate alike.
    ///
    /// # Panics
    /// When there is no pod at this position.
    #[must_use]
    pub fn busiest(mut self, position: usize) -> Self {
        let pod = &mut self.pods[position];
        (pod.cpu, pod.lag, pod.rate) =
            (Some(Level::from(1.8)), Some(Level::from(45_000.0)), Some(Level::from(2_900.0)));
        self
    }

    /// Makes one pod the least busy by far, in CPU, lag and rate alike.
    ///
    /// # Panics
    /// When there is no pod at this position.
    #[must_use]
    pub fn least_busy(mut self, position: usize) -> Self {
        let pod = &mut self.pods[position];
        (pod.cpu, pod.lag, pod.rate) =
            (Some(Level::from(0.01)), Some(Level::from(3.0)), Some(Level::from(8.0)));
        self
    }

    /// All series.
    pub fn series(&self) -> impl Iterator<Item = Series> {
        let clock = Clock::now(self);
        self.pods.iter().enumerate().flat_map(move |(position, pod)| {
            let mut all = self.container_series(pod, position, &clock);
            all.extend(self.kafka_series(pod, position, &clock));
            all.extend(self.exporter_series(pod, position, &clock));
            if self.pods.iter().any(|pod| pod.stuck.is_some()) {
                all.extend(self.end_offsets(pod, position, &clock));
            }
            all.into_iter().map(|series| clock.alive(series, pod)).collect::<Vec<Series>>()
        })
    }

    /// What cAdvisor exports: the application, the pause container, and the pod's own cgroup,
    /// which is the sum of both and has neither container nor image.
    fn container_series(&self, pod: &PodLoads, position: usize, clock: &Clock) -> Vec<Series> {
        let containers = [
            ("app", "registry.example.com/platform/consumer:1.4.2", 1.0, 0.0),
            ("POD", "registry.k8s.io/pause:3.9", 0.0, 1.0),
            ("", "", 1.0, 1.0),
        ];
        let mut all: Vec<Series> = Vec::new();
        for (container, image, app, pause) in containers {
            let mut labels = vec![
                (
                    "id",
                    format!("/kubepods.slice/kubepods-burstable.slice/pod{position:08x}.slice/{container}"),
                ),
                ("instance", format!("10.0.0.{}:10250", position % 3 + 1)),
                ("job", "kubelet".to_owned()),
                ("metrics_path", "/metrics/cadvisor".to_owned()),
                ("namespace", self.namespace.clone()),
                ("node", format!("node-{}", position % 3)),
                ("pod", pod.name.clone()),
            ];
            if !container.is_empty() {
                labels.extend([
                    ("container", container.to_owned()),
                    ("image", image.to_owned()),
                    ("name", format!("{position:064x}")),
                ]);
            }
            if let Some(cpu) = &pod.cpu {
                let mut labels = labels.clone();
                labels.push(("cpu", "total".to_owned()));
                let cores = move |from_s: f64, to_s: f64| {
                    app * cpu.sum(from_s, to_s) + pause * PAUSE_CPU_CORES * (from_s - to_s)
                };
                all.push(Series::new("container_cpu_usage_seconds_total", &labels, clock.counter(cores)));
            }
            if let Some(memory) = &pod.memory {
                let bytes = |ago_s: f64| app * memory.at(ago_s) + pause * PAUSE_MEMORY_BYTES;
                all.push(Series::new("container_memory_working_set_bytes", &labels, clock.gauge(bytes)));
            }
        }
        all
    }

    /// What Micrometer exports of a Kafka consumer.
    fn kafka_series(&self, pod: &PodLoads, position: usize, clock: &Clock) -> Vec<Series> {
        let labels = |more: &[(&'static str, String)]| {
            let mut labels = vec![
                ("client_id", format!("consumer-{}-1", self.group)),
                ("instance", format!("10.244.0.{position}:8080")),
                ("job", "consumers".to_owned()),
                ("kafka_version", "3.7.1".to_owned()),
                ("namespace", self.namespace.clone()),
                ("pod", pod.name.clone()),
                ("spring_id", format!("kafkaConsumerFactory.consumer-{}-1", self.group)),
            ];
            labels.extend_from_slice(more);
            labels
        };
        let topic = ("topic", self.group.clone());
        let owned = f64::from(pod.partitions);
        let mut all = vec![Series::new(
            "kafka_consumer_coordinator_assigned_partitions",
            &labels(&[]),
            clock.gauge(|_| owned),
        )];
        if let Some(rate) = &pod.rate {
            let samples = clock.counter(|from_s, to_s| rate.sum(from_s, to_s));
            all.push(Series::new(
                "kafka_consumer_fetch_manager_records_consumed_total",
                &labels(std::slice::from_ref(&topic)),
                samples,
            ));
        }
        let Some(lag) = &pod.lag else { return all };
        for partition in 0..pod.partitions {
            let number = position * pod.partitions as usize + partition as usize;
            let labels = labels(&[topic.clone(), ("partition", number.to_string())]);
            all.push(Series::new(
                "kafka_consumer_fetch_manager_records_lag",
                &labels,
                clock.gauge(|ago_s| lag.at(ago_s) / owned),
            ));
        }
        all
    }
}

impl Fleet {
    /// What `kafka_exporter` exports of the group: it knows partitions and no pods.
    fn exporter_series(&self, pod: &PodLoads, position: usize, clock: &Clock) -> Vec<Series> {
        let mut all: Vec<Series> = Vec::new();
        let owned = f64::from(pod.partitions);
        for partition in 0..pod.partitions {
            let number = position * pod.partitions as usize + partition as usize;
            let labels = vec![
                ("consumergroup", self.group.clone()),
                ("instance", "10.244.9.9:9308".to_owned()),
                ("job", "kafka-exporter".to_owned()),
                ("partition", number.to_string()),
                ("topic", self.group.clone()),
            ];
            let share = match partition {
                0 => pod.first_share,
                _ => (1.0 - pod.first_share) / (owned - 1.0),
            };
            if let Some(rate) = &pod.rate {
                let samples = clock.counter(|from_s, to_s| {
                    let stands_s = pod.stuck.filter(|_| partition == 0).map_or(to_s, |ago| ago.as_secs_f64());
                    share * rate.sum(from_s, to_s.max(stands_s).min(from_s))
                });
                all.push(Series::new("kafka_consumergroup_current_offset", &labels, samples));
            }
            if let Some(lag) = &pod.lag {
                let samples = clock.gauge(|ago_s| lag.at(ago_s) / owned);
                all.push(Series::new("kafka_consumergroup_lag", &labels, samples));
            }
        }
        all
    }
}

impl Fleet {
    /// The end offset of each partition of a pod, ten messages ahead of what is read.
    fn end_offsets(&self, pod: &PodLoads, position: usize, clock: &Clock) -> Vec<Series> {
        let Some(rate) = &pod.rate else { return Vec::new() };
        let end = |partition: u32| {
            let number = position * pod.partitions as usize + partition as usize;
            let share = 1.0 / f64::from(pod.partitions);
            let ahead = |(time_ms, offset): (i64, f64)| (time_ms, offset + 10.0);
            let labels = [
                ("instance", "10.244.9.9:9308".to_owned()),
                ("job", "kafka-exporter".to_owned()),
                ("partition", number.to_string()),
                ("topic", self.group.clone()),
            ];
            let ends = clock.counter(|from_s, to_s| share * rate.sum(from_s, to_s));
            Series::new(
                "kafka_topic_partition_current_offset",
                &labels,
                ends.into_iter().map(ahead).collect(),
            )
        };
        (0..pod.partitions).map(end).collect()
    }
}

/// The moments of the samples.
struct Clock {
    now_ms: i64,
    times_ms: Vec<i64>,
}

impl Clock {
    fn now(fleet: &Fleet) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
        let now_ms = milliseconds(since_epoch);
        let first_ms = now_ms - milliseconds(fleet.history);
        let step = usize::try_from(fleet.scrape_interval.as_millis()).expect("a scrape interval is short");
        Self { now_ms, times_ms: (first_ms..now_ms + milliseconds(AHEAD)).step_by(step).collect() }
    }

    fn gauge(&self, value: impl Fn(f64) -> f64) -> Vec<(i64, f64)> {
        self.times_ms.iter().map(|time_ms| (*time_ms, value(self.ago_s(*time_ms)))).collect()
    }

    /// A counter that grows by `sum(from, to)`, both in seconds ago, between two moments.
    fn counter(&self, sum: impl Fn(f64, f64) -> f64) -> Vec<(i64, f64)> {
        let start_s = self.ago_s(self.times_ms[0]);
        // As if it had run before the first sample: an extrapolating rate() must not see a zero.
        let before = 3600.0 * sum(start_s, start_s - 1.0);
        self.times_ms.iter().map(|time_ms| (*time_ms, before + sum(start_s, self.ago_s(*time_ms)))).collect()
    }

    /// The series without the samples of the time before and after the pod.
    fn alive(&self, mut series: Series, pod: &PodLoads) -> Series {
        let born_s = pod.born.map_or(f64::INFINITY, |born| born.as_secs_f64());
        let gone_s = pod.gone.map_or(f64::NEG_INFINITY, |gone| gone.as_secs_f64());
        series.samples.retain(|(time_ms, _)| (gone_s..=born_s).contains(&self.ago_s(*time_ms)));
        series
    }

    fn ago_s(&self, time_ms: i64) -> f64 {
        (self.now_ms - time_ms) as f64 / 1000.0
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).expect("durations of tests fit")
}

/// Five characters as Kubernetes appends them: consonants and digits, in no order of names.
fn pod_suffix(position: usize) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut state = position.wrapping_mul(7_368_787).wrapping_add(2_654_435_761) % 14_348_907;
    let mut name = String::new();
    for _ in 0..5 {
        name.push(char::from(ALPHABET[state % ALPHABET.len()]));
        state /= ALPHABET.len();
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_level_is_the_value_of_its_last_step() {
        let level = Level::from(1.0).then(Duration::from_secs(100), 5.0).then(Duration::from_secs(10), 2.0);
        assert_eq!(
            (level.at(101.0), level.at(100.0), level.at(11.0), level.at(10.0), level.at(-5.0)),
            (1.0, 5.0, 5.0, 2.0, 2.0)
        );
        assert_eq!(level.sum(110.0, 0.0), 10.0 * 1.0 + 90.0 * 5.0 + 10.0 * 2.0);
        assert_eq!(level.sum(5.0, -5.0), 20.0);
    }

    #[test]
    fn names_of_pods_differ() {
        let names: BTreeSet<String> = (0..5_000).map(pod_suffix).collect();
        assert_eq!(names.len(), 5_000);
        assert!(names.iter().all(|name| name.len() == 5));
    }
}
