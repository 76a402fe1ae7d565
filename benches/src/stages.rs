//! The stages of a decision, each with its floor and its peers, as closures over data made before.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::hash::BuildHasher;
use std::hint::black_box;
use std::time::Duration;

use rebalancer_core::{
    Analysis, Engine, Join, JoinRules, JoinedColumns, LivePod, Load, Metric, PerMetric, PodState, Sample,
    Spread, Thresholds,
};
use rebalancer_io::prometheus::{InstantAnswer, Wanted, decode_instant};
use rebalancer_sim::fleet::{AnswerOrder, instant_answer, live_pods};
use rebalancer_sim::oracle;
use serde::Deserialize;
use serde_json::Value;
use statrs::statistics::Statistics;

use crate::{NOW_S, pods};

/// One way to do the work of a stage.
pub struct Variant<'a> {
    /// What it is.
    pub name: &'static str,
    /// Does it once; the number only keeps the work from being left out.
    pub work: Box<dyn FnMut() -> f64 + 'a>,
}

impl<'a> Variant<'a> {
    fn new(name: &'static str, work: impl FnMut() -> f64 + 'a) -> Self {
        Self { name, work: Box::new(work) }
    }
}

/// The name of the floor of every stage.
pub const FLOOR: &str = "floor";

/// The name of this project's own way.
pub const OURS: &str = "pod-rebalancer";

/// The fleet of a size, its answers, and what the stages make of them.
pub struct Data {
    /// In the order of their names, as a cluster lists them; the live pods too.
    pods: Vec<PodState>,
    live: Vec<LivePod>,
    bodies: PerMetric<String>,
    wide: String,
    columns: PerMetric<Vec<f64>>,
}

impl Data {
    /// Makes everything for `count` pods, with answers in this order.
    ///
    /// # Panics
    /// Never: an own fleet has every load.
    pub fn new(count: usize, order: AnswerOrder) -> Self {
        let mut pods = pods(count);
        let bodies = PerMetric::from_fn(|metric| instant_answer(&pods, metric, NOW_S, order, 1));
        pods.sort_by(|one, other| one.name.cmp(&other.name));
        let column = |metric| pods.iter().filter_map(|pod| pod.load(metric)).map(Load::value).collect();
        let columns = PerMetric::from_fn(column);
        let wide = wide(&bodies.cpu);
        Self { live: live_pods(1, &pods), pods, bodies, wide, columns }
    }

    /// Number of pods.
    pub fn count(&self) -> usize {
        self.pods.len()
    }

    /// The body of an answer of raw series.
    pub fn wide(&self) -> &str {
        &self.wide
    }

    /// The body of one answer.
    pub fn body(&self, metric: Metric) -> &str {
        &self.bodies[metric]
    }

    /// The variants of a stage: `decode`, `decode_wide`, `join`, `analyze`, `analyze_columns`,
    /// `spread` or `pipeline`; `None` for another word.
    pub fn stage(&self, name: &str) -> Option<Vec<Variant<'_>>> {
        match name {
            "decode" => Some(decode(&self.bodies.cpu)),
            "decode_wide" => Some(decode(&self.wide)),
            "join" => Some(self.join()),
            "analyze" => Some(self.analyze()),
            "analyze_columns" => Some(self.analyze_columns()),
            "spread" => Some(self.spread()),
            "pipeline" => Some(self.pipeline()),
            _ => None,
        }
    }

    fn answers(&self) -> PerMetric<InstantAnswer> {
        PerMetric::from_fn(|metric| answer(&self.bodies[metric]))
    }

    fn join(&self) -> Vec<Variant<'_>> {
        let answers = self.answers();
        let hasher = foldhash::fast::FixedState::default();
        let names = answers.clone();
        assert_eq!(joined(&self.live, &answers).loads, self.columns, "the fleet comes back");
        vec![
            Variant::new(FLOOR, move || {
                let sum_of = |answer: &InstantAnswer| -> u64 {
                    answer.samples.pods().map(|pod| hasher.hash_one(pod)).fold(0, u64::wrapping_add)
                };
                Metric::ALL
                    .into_iter()
                    .map(|metric| sum_of(black_box(&names[metric])))
                    .fold(0, u64::wrapping_add) as f64
            }),
            Variant::new(OURS, move || joined(black_box(&self.live), &answers).loads.cpu[0]),
        ]
    }

    fn plain_sums(&self) -> Variant<'_> {
        Variant::new(FLOOR, || black_box(&self.columns).iter().map(|(_, loads)| lanes(loads)).sum())
    }

    fn analyze(&self) -> Vec<Variant<'_>> {
        let engine = Engine::new(Thresholds::default());
        let analysis = engine.analyze(&self.pods).expect("default thresholds");
        assert_eq!(oracle::compare(&analysis), Ok(()), "the oracle decides the same");
        let ours = move || {
            let analysis = engine.analyze(black_box(&self.pods)).expect("default thresholds");
            analysis.targets().map_or(0.0, |pair| pair.busiest as f64)
        };
        vec![self.plain_sums(), Variant::new(OURS, ours)]
    }

    fn analyze_columns(&self) -> Vec<Variant<'_>> {
        let names: Vec<&str> = self.pods.iter().map(|pod| pod.name.as_str()).collect();
        let analysis = Engine::new(Thresholds::default()).analyze(&self.pods).expect("default thresholds");
        assert_eq!(*decided(&names, &self.columns), *analysis, "columns and states decide the same");
        let ours = move || {
            let analysis = decided(&names, black_box(&self.columns));
            analysis.targets().map_or(0.0, |pair| pair.busiest as f64)
        };
        vec![self.plain_sums(), Variant::new(OURS, ours)]
    }

    fn spread(&self) -> Vec<Variant<'_>> {
        let loads = self.columns.cpu.as_slice();
        vec![
            Variant::new(FLOOR, move || lanes(black_box(loads))),
            Variant::new("plain two-pass, one lane", move || {
                let loads = black_box(loads);
                let mean = loads.iter().sum::<f64>() / loads.len() as f64;
                loads.iter().map(|load| (load - mean) * (load - mean)).sum::<f64>() / loads.len() as f64
            }),
            Variant::new("plain two-pass, eight lanes", move || {
                let loads = black_box(loads);
                let mean = lanes(loads) / loads.len() as f64;
                centred_lanes(loads, mean) / loads.len() as f64
            }),
            Variant::new("statrs", move || black_box(loads).population_variance()),
            Variant::new(OURS, move || Spread::of(black_box(loads)).map_or(0.0, |spread| spread.variance)),
        ]
    }

    fn pipeline(&self) -> Vec<Variant<'_>> {
        let floor = || {
            let bodies = black_box(&self.bodies).iter();
            bodies.map(|(_, body)| f64::from(simdutf8::basic::from_utf8(body.as_bytes()).is_ok())).sum()
        };
        let ours = || {
            let answers = PerMetric::from_fn(|metric| answer(black_box(&self.bodies[metric])));
            let JoinedColumns { names, loads, .. } = joined(&self.live, &answers);
            decided(&names, &loads).targets().map_or(0.0, |pair| pair.busiest as f64)
        };
        vec![Variant::new(FLOOR, floor), Variant::new(OURS, ours)]
    }
}

/// An answer of raw cAdvisor series: what names the container, the node and the image differs.
fn wide(narrow: &str) -> String {
    let mut series = 0_u64;
    let mut wide = String::with_capacity(narrow.len() * 8);
    for part in narrow.split_inclusive(r#"{"pod":"#) {
        let Some(before) = part.strip_suffix(r#"{"pod":"#) else {
            wide.push_str(part);
            continue;
        };
        series += 1;
        let id = series.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (node, address) = (id % 97, series % 200);
        let _ = write!(
            wide,
            r#"{before}{{"container":"app","cpu":"total","endpoint":"https-metrics","id":"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{id:016x}_7983_4e18_ad16_67056c57de4f.slice/cri-containerd-{id:016x}8d71bc5bdde91424d33fcf4cf36fc27d3d1270b0390312a8.scope","image":"registry.example.com/platform/email-sender@sha256:29c45b8aaebbd4262878ce3045ec5d0a7e0b71e34f15a076638703bfdcc0e21a","instance":"10.0.{node}.{address}:10250","job":"kubelet","metrics_path":"/metrics/cadvisor","name":"{id:016x}8d71bc5bdde91424d33fcf4cf36fc27d3d1270b0390312a8","namespace":"streams","node":"ip-10-0-{node}-{address}.eu-west-1.compute.internal","service":"kubelet","pod":"#
        );
    }
    wide
}

fn decode(body: &str) -> Vec<Variant<'_>> {
    let numbers: Vec<&str> =
        body.split(r#",""#).filter_map(|part| part.split_once("\"]}")).map(|(number, _)| number).collect();
    let expected = answer(body).samples.iter().map(|sample| sample.value).sum::<f64>();
    let parsed =
        |numbers: &[&str]| numbers.iter().filter_map(|number| number.parse::<f64>().ok()).sum::<f64>();
    assert_eq!(parsed(&numbers).to_bits(), expected.to_bits(), "the same numbers");
    vec![
        Variant::new(FLOOR, move || {
            let checked = simdutf8::basic::from_utf8(black_box(body).as_bytes()).is_ok();
            assert!(checked, "a String is UTF-8");
            parsed(black_box(&numbers))
        }),
        Variant::new("serde_json, tree of values", move || {
            let tree: Value = serde_json::from_slice(black_box(body).as_bytes()).expect("it is JSON");
            tree["data"]["result"].as_array().map_or(0.0, |series| series.len() as f64)
        }),
        Variant::new("serde_json, typed and borrowed", move || {
            let typed: Typed<'_> = serde_json::from_str(black_box(body)).expect("it is JSON");
            typed.data.result.iter().filter_map(|series| series.value.1.parse::<f64>().ok()).sum()
        }),
        Variant::new(OURS, move || answer(black_box(body)).samples.len() as f64),
    ]
}

#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(borrow)]
    data: TypedData<'a>,
}

#[derive(Deserialize)]
struct TypedData<'a> {
    #[serde(borrow)]
    result: Vec<TypedSeries<'a>>,
}

#[derive(Deserialize)]
struct TypedSeries<'a> {
    #[serde(borrow, rename = "metric")]
    _metric: TypedLabels<'a>,
    #[serde(borrow)]
    value: (f64, Cow<'a, str>),
}

#[derive(Deserialize)]
struct TypedLabels<'a> {
    #[serde(borrow, rename = "pod")]
    _pod: Cow<'a, str>,
}

fn answer(body: &str) -> InstantAnswer {
    let wanted = Wanted { pod_label: "pod", namespace: None, max_bytes: u64::MAX };
    decode_instant(body.as_bytes(), &wanted).expect("an own answer is sound")
}

fn joined<'a>(live: &'a [LivePod], answers: &PerMetric<InstantAnswer>) -> JoinedColumns<'a> {
    let now_s = f64::from(NOW_S);
    let (warm_up, max_sample_age) = (Duration::from_secs(300), Duration::from_secs(180));
    let mut join = Join::new(live, JoinRules { warm_up, max_sample_age, now_s });
    for (metric, answer) in answers.iter() {
        let samples = answer.samples.iter().map(|sample| Sample {
            pod: sample.pod,
            value: sample.value,
            timestamp_s: sample.timestamp_ms as f64 / 1e3,
        });
        join.add(metric, samples).expect("one sample a pod");
    }
    join.finish_columns()
}

fn decided<'a>(names: &'a [&'a str], loads: &'a PerMetric<Vec<f64>>) -> Analysis<'a> {
    Engine::new(Thresholds::default()).analyze_columns(names, loads).expect("default thresholds")
}

/// The fastest plain sum: what any statistics cost at least.
fn lanes(loads: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    for chunk in loads.chunks(8) {
        for (sum, load) in sums.iter_mut().zip(chunk) {
            *sum += load;
        }
    }
    sums.iter().sum()
}

fn centred_lanes(loads: &[f64], mean: f64) -> f64 {
    let mut sums = [0.0; 8];
    for chunk in loads.chunks(8) {
        for (sum, load) in sums.iter_mut().zip(chunk) {
            *sum += (load - mean) * (load - mean);
        }
    }
    sums.iter().sum()
}
