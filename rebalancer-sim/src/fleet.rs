//! Fleets of pods from a seed, as live pods, pod states and the answers a metrics server would give.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use fastrand::Rng;
use rebalancer_core::{Controller, LivePod, Metric, PerMetric, PodState};

/// The letters and digits Kubernetes makes generated names of.
const NAME_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// What a fleet looks like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FleetShape {
    /// Number of pods.
    pub pods: usize,
    /// Standard deviation of the natural logarithm of every load.
    pub jitter: f64,
    /// Number of pods at [`FleetShape::HOT_FACTOR`] times the load; the first ones in name order
    /// of creation.
    pub hot: usize,
    /// Number of pods with next to no load, after the hot ones.
    pub idle: usize,
    /// Share, 0 to 1, of the loads that are missing.
    pub missing: f64,
}

impl FleetShape {
    /// How much busier a hot pod is than it would be.
    pub const HOT_FACTOR: f64 = 8.0;

    /// How much of its load an idle pod keeps.
    pub const IDLE_FACTOR: f64 = 0.02;

    /// A fleet with a hot and an idle pod, 30 % jitter and every load known.
    pub const fn skewed(pods: usize) -> Self {
        Self { pods, jitter: 0.3, hot: 1, idle: 1, missing: 0.0 }
    }
}

/// The order of the series in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerOrder {
    /// By pod name, as `VictoriaMetrics` answers.
    Sorted,
    /// In no order, as Prometheus does after an aggregation.
    Shuffled,
}

/// Makes a fleet: the same seed and shape give the same pods.
pub fn fleet(seed: u64, shape: &FleetShape) -> Vec<PodState> {
    let mut rng = Rng::with_seed(seed);
    let mut taken = BTreeSet::new();
    let replica_set = generated(&mut rng, 10);
    let mut pods = Vec::with_capacity(shape.pods);
    for index in 0..shape.pods {
        let factor = match index {
            hot if hot < shape.hot => FleetShape::HOT_FACTOR,
            idle if idle < shape.hot + shape.idle => FleetShape::IDLE_FACTOR,
            _ => 1.0,
        };
        let mut pod = PodState::new(fresh_name(&mut rng, &replica_set, &mut taken));
        for (metric, &typical) in TYPICAL.iter() {
            let load = typical * factor * (shape.jitter * normal(&mut rng)).exp();
            let known = rng.f64() >= shape.missing;
            pod = pod.with(metric, if known { in_whole_units(metric, load) } else { f64::NAN });
        }
        pods.push(pod);
    }
    rng.shuffle(&mut pods);
    pods
}

/// The pods of a fleet as the cluster lists them: Running, Ready, an hour old, of one `ReplicaSet`.
pub fn live_pods(seed: u64, pods: &[PodState]) -> Vec<LivePod> {
    let mut rng = Rng::with_seed(seed);
    let controller = Controller {
        group: None,
        kind: "ReplicaSet".to_owned(),
        name: "orders-consumer".to_owned(),
        uid: uid(&mut rng),
    };
    let mut live = |pod: &PodState| LivePod {
        uid: uid(&mut rng),
        age: Some(Duration::from_secs(3_600)),
        uptime: Some(Duration::from_secs(3_590)),
        controller: Some(controller.clone()),
        ..LivePod::assumed(pod.name.clone())
    };
    pods.iter().map(&mut live).collect()
}

/// Writes the answer of an instant query for `metric`, byte for byte in the compact form in which
/// Prometheus and `VictoriaMetrics` write it. Pods without the load have no series.
pub fn instant_answer(
    pods: &[PodState],
    metric: Metric,
    now_s: u32,
    order: AnswerOrder,
    seed: u64,
) -> String {
    let mut series: Vec<(&str, f64)> = pods
        .iter()
        .filter_map(|pod| pod.load(metric).map(|load| (pod.name.as_str(), load.value())))
        .collect();
    match order {
        AnswerOrder::Sorted => series.sort_by(|one, other| one.0.cmp(other.0)),
        AnswerOrder::Shuffled => Rng::with_seed(seed).shuffle(&mut series),
    }
    let mut answer = String::from(r#"{"status":"success","data":{"resultType":"vector","result":["#);
    for (index, (pod, value)) in series.into_iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(answer, r#"{comma}{{"metric":{{"pod":"{pod}"}},"value":[{now_s},"{value}"]}}"#)
            .expect("writing to a String does not fail");
    }
    answer.push_str("]}}");
    answer
}

/// Loads of an average pod.
pub const TYPICAL: PerMetric<f64> =
    PerMetric { cpu: 0.6, memory: 512.0 * 1024.0 * 1024.0, lag: 4_000.0, rate: 350.0 };

/// Names in a query that tell which metric it asks for.
pub(crate) const TELLTALES: PerMetric<&str> = PerMetric {
    cpu: "container_cpu_usage_seconds_total",
    memory: "container_memory_working_set_bytes",
    lag: "records_lag",
    rate: "records_consumed_total",
};

/// Bytes and messages are counted, cores and rates are not.
fn in_whole_units(metric: Metric, load: f64) -> f64 {
    if matches!(metric.unit(), "bytes" | "messages") { load.round() } else { load }
}

fn fresh_name(rng: &mut Rng, replica_set: &str, taken: &mut BTreeSet<String>) -> String {
    loop {
        let name = format!("orders-consumer-{replica_set}-{}", generated(rng, 5));
        if taken.insert(name.clone()) {
            return name;
        }
    }
}

fn generated(rng: &mut Rng, length: usize) -> String {
    (0..length).map(|_| char::from(NAME_ALPHABET[rng.usize(..NAME_ALPHABET.len())])).collect()
}

fn uid(rng: &mut Rng) -> String {
    let bits = rng.u128(..);
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        bits >> 96,
        (bits >> 80) & 0xffff,
        (bits >> 64) & 0xfff,
        (bits >> 48) & 0xfff,
        bits & 0xffff_ffff_ffff
    )
}

/// A standard normal number (Box and Muller).
pub(crate) fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_fleet() {
        let shape = FleetShape { missing: 0.2, ..FleetShape::skewed(50) };
        assert_eq!(fleet(7, &shape), fleet(7, &shape));
        assert_ne!(fleet(7, &shape), fleet(8, &shape));
        assert_eq!(live_pods(7, &fleet(7, &shape)), live_pods(7, &fleet(7, &shape)));
    }

    #[test]
    fn a_shape_is_kept() {
        let shape = FleetShape { pods: 2_000, jitter: 0.3, hot: 3, idle: 2, missing: 0.25 };
        let pods = fleet(1, &shape);
        let names: BTreeSet<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
        assert_eq!(names.len(), 2_000, "names differ");
        let known = pods.iter().filter(|pod| pod.cpu_usage.is_some()).count();
        assert!((1_400..1_600).contains(&known), "{known} of 2000 know their cpu, expected three quarters");

        let sound = fleet(1, &FleetShape { missing: 0.0, jitter: 0.0, ..shape });
        let count = |cores: f64| {
            sound
                .iter()
                .filter(|pod| pod.cpu_usage.is_some_and(|load| (load.value() - cores).abs() < 1e-9))
                .count()
        };
        assert_eq!([count(4.8), count(0.6), count(0.012)], [3, 1_995, 2]);
    }

    #[test]
    fn an_answer_reads_like_prometheus() {
        let pods = [
            PodState::new("b").with(Metric::Cpu, 0.1),
            PodState::new("a").with(Metric::Cpu, 2.0),
            PodState::new("c"),
        ];
        assert_eq!(
            instant_answer(&pods, Metric::Cpu, 1_795_410_000, AnswerOrder::Sorted, 0),
            r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"pod":"a"},"value":[1795410000,"2"]},{"metric":{"pod":"b"},"value":[1795410000,"0.1"]}]}}"#
        );
        assert_eq!(
            instant_answer(&[], Metric::Lag, 1, AnswerOrder::Shuffled, 0),
            r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#
        );
    }
}
