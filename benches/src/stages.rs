//! The stages of a decision, each with its floor and its peers, as closures over data made before.
//! A stage is made only when its answer is that of the oracle.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::hash::BuildHasher;
use std::hint::black_box;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use rebalancer_core::{
    Analysis, Engine, Freshness, Join, Joined, LivePod, Metric, PerMetric, PodState, Spread, Thresholds,
};
use rebalancer_io::prometheus::{Samples, Wanted, decode_instant};
use rebalancer_io::snapshot::Snapshot;
use rebalancer_sim::exact::Exact;
use rebalancer_sim::fleet::live_pods;
use rebalancer_sim::oracle;
use tempfile::TempDir;

use crate::peers;
use crate::recorded::{self, NOW_S, Server};

/// The name of the floor of every stage: its first variant.
pub const FLOOR: &str = "floor";

/// The name of this project's own way: its last variant.
pub const OURS: &str = "pod-rebalancer";

/// The stages, and whose answers each is measured on.
pub const STAGES: [(&str, Server); 12] = [
    ("decode", Server::Prometheus),
    ("decode_raw", Server::Prometheus),
    ("join", Server::Prometheus),
    ("join", Server::VictoriaMetrics),
    ("join_live", Server::Prometheus),
    ("join_live", Server::VictoriaMetrics),
    ("spread", Server::Prometheus),
    ("analyze", Server::Prometheus),
    ("analyze_columns", Server::Prometheus),
    ("analyze_gaps", Server::Prometheus),
    ("pipeline", Server::Prometheus),
    ("pipeline", Server::VictoriaMetrics),
];

/// What an answer is asked for.
pub const WANTED: Wanted<'_> = Wanted { pod_label: "pod", namespace: None, max_bytes: u64::MAX };

/// What samples are held to.
const FRESHNESS: Freshness =
    Freshness { warm_up: Duration::from_secs(300), max_sample_age: Duration::from_secs(180) };

/// One way to do the work of a stage.
pub struct Variant<'a> {
    /// What it is.
    pub name: &'static str,
    /// Does it once, and tells a number of what was found.
    pub work: Box<dyn FnMut() -> f64 + 'a>,
}

impl<'a> Variant<'a> {
    fn new(name: &'static str, work: impl FnMut() -> f64 + 'a) -> Self {
        Self { name, work: Box::new(work) }
    }
}

/// The answers for a number of pods, and what the stages make of them.
pub struct Data {
    count: usize,
    bodies: PerMetric<String>,
    raw: OnceCell<String>,
    live: OnceCell<Vec<LivePod>>,
    complete: OnceCell<Complete>,
}

/// The pods that have every load, in the order of the answer for CPU.
struct Complete {
    pods: Vec<PodState>,
    columns: PerMetric<Vec<f64>>,
}

impl Data {
    /// The answers of `server` for `count` pods.
    pub fn new(count: usize, server: Server) -> Self {
        Self {
            count,
            bodies: recorded::answers(server, count),
            raw: OnceCell::new(),
            live: OnceCell::new(),
            complete: OnceCell::new(),
        }
    }

    /// Writes the four answers into a folder.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn write(&self, folder: &Path) {
        for (metric, body) in self.bodies.iter() {
            fs::write(folder.join(format!("{metric}.json")), body).expect("the folder can be written");
        }
    }

    /// The variants of one of the [`STAGES`], floor first; `None` for another word.
    ///
    /// # Panics
    /// When one of them does not find what the oracle finds.
    pub fn stage(&self, name: &str) -> Option<Vec<Variant<'_>>> {
        match name {
            "decode" => Some(decode(&self.bodies.cpu)),
            "decode_raw" => Some(decode(self.raw.get_or_init(|| recorded::raw_answer(self.count)))),
            "join" => Some(self.join()),
            "join_live" => Some(self.join_live()),
            "spread" => Some(self.spread()),
            "analyze" => Some(self.analyze()),
            "analyze_columns" => Some(self.analyze_columns()),
            "analyze_gaps" => Some(self.analyze_gaps()),
            "pipeline" => Some(self.pipeline()),
            _ => None,
        }
    }

    fn answers(&self) -> PerMetric<Samples> {
        PerMetric::from_fn(|metric| answer(&self.bodies[metric]))
    }

    /// The pods that any answer names, with their loads, joined by a map.
    fn expected(&self) -> BTreeMap<&str, PerMetric<f64>> {
        let mut pods: BTreeMap<&str, PerMetric<f64>> = BTreeMap::new();
        for (metric, body) in self.bodies.iter() {
            for (pod, number) in recorded::pairs(body) {
                let nothing = PerMetric::from_fn(|_| f64::NAN);
                pods.entry(pod).or_insert(nothing)[metric] = number.parse().expect("a number");
            }
        }
        pods
    }

    fn live(&self) -> &[LivePod] {
        self.live.get_or_init(|| {
            let pods: Vec<PodState> = self.expected().into_keys().map(PodState::new).collect();
            live_pods(1, &pods)
        })
    }

    fn complete(&self) -> &Complete {
        self.complete.get_or_init(|| {
            let expected = self.expected();
            let mut complete = Complete { pods: Vec::new(), columns: PerMetric::default() };
            for (pod, _) in recorded::pairs(&self.bodies.cpu) {
                let loads = &expected[pod];
                if loads.iter().any(|(_, load)| load.is_nan()) {
                    continue;
                }
                loads.iter().for_each(|(metric, load)| complete.columns[metric].push(*load));
                let with = |state: PodState, (metric, load): (Metric, &f64)| state.with(metric, *load);
                complete.pods.push(loads.iter().fold(PodState::new(pod), with));
            }
            complete
        })
    }

    fn join(&self) -> Vec<Variant<'_>> {
        let answers = self.answers();
        self.assert_joined(&named(&answers));
        let (to_hash, for_map) = (answers.clone(), answers.clone());
        let variants = vec![
            Variant::new(FLOOR, move || hash_all(black_box(&to_hash))),
            Variant::new("std HashMap", move || peers::std_map(black_box(&for_map))),
            Variant::new(OURS, move || named(black_box(&answers)).names.len() as f64),
        ];
        checked(self.count as f64, variants)
    }

    fn join_live(&self) -> Vec<Variant<'_>> {
        let (live, answers) = (self.live(), self.answers());
        self.assert_joined(&joined(live, &answers));
        let to_hash = answers.clone();
        let variants = vec![
            Variant::new(FLOOR, move || hash_all(black_box(&to_hash))),
            Variant::new(OURS, move || joined(black_box(live), &answers).names.len() as f64),
        ];
        checked(self.count as f64, variants)
    }

    fn assert_joined(&self, found: &Joined) {
        let expected = self.expected();
        assert_eq!(found.names.len(), expected.len(), "all pods");
        for (row, name) in found.names.iter().enumerate() {
            let loads = found.loads.iter().map(|(_, column)| column[row].to_bits());
            let expected = expected[name].iter().map(|(_, load)| load.to_bits());
            assert!(loads.eq(expected), "{name} has its own loads");
        }
    }

    fn spread(&self) -> Vec<Variant<'_>> {
        let loads = self.complete().columns.cpu.as_slice();
        let variants = vec![
            Variant::new(FLOOR, move || lanes(black_box(loads))),
            Variant::new("plain two-pass", move || {
                let loads = black_box(loads);
                let mean = loads.iter().sum::<f64>() / loads.len() as f64;
                loads.iter().map(|load| (load - mean) * (load - mean)).sum::<f64>() / loads.len() as f64
            }),
            Variant::new("statrs", move || peers::statrs_variance(black_box(loads))),
            Variant::new(OURS, move || Spread::of(black_box(loads)).map_or(0.0, |spread| spread.variance)),
        ];
        checked(Exact::of(loads).variance, variants)
    }

    fn plain_sums(&self) -> Variant<'_> {
        let columns = &self.complete().columns;
        Variant::new(FLOOR, move || black_box(columns).iter().map(|(_, loads)| lanes(loads)).sum())
    }

    fn analyze(&self) -> Vec<Variant<'_>> {
        let pods = self.complete().pods.as_slice();
        let engine = Engine::new(Thresholds::default());
        let ours = move || busiest(&engine.analyze(black_box(pods)).expect("default thresholds"));
        let variants = vec![
            self.plain_sums(),
            Variant::new("statrs and a sort", || peers::statrs_and_sort(black_box(pods))),
            Variant::new(OURS, ours),
        ];
        let analysis = engine.analyze(pods).expect("default thresholds");
        assert_eq!(oracle::compare(&analysis), Ok(()), "the oracle decides the same");
        checked(busiest(&analysis), variants)
    }

    fn analyze_columns(&self) -> Vec<Variant<'_>> {
        let Complete { pods, columns } = self.complete();
        self.analyze_given(pods.iter().map(|pod| pod.name.as_str()).collect(), columns.clone())
    }

    /// As they come: some pods have no lag or no rate.
    fn analyze_gaps(&self) -> Vec<Variant<'_>> {
        let mut names: Vec<&str> = Vec::with_capacity(self.count);
        let mut columns: PerMetric<Vec<f64>> = PerMetric::default();
        for (name, loads) in self.expected() {
            names.push(name);
            loads.iter().for_each(|(metric, load)| columns[metric].push(*load));
        }
        self.analyze_given(names, columns)
    }

    fn analyze_given<'a>(&'a self, names: Vec<&'a str>, columns: PerMetric<Vec<f64>>) -> Vec<Variant<'a>> {
        let expected = assert_decided(&names, &columns);
        let ours = move || busiest(&decided(&names, black_box(&columns)));
        checked(expected, vec![self.plain_sums(), Variant::new(OURS, ours)])
    }

    /// From the files to the decision, as `replay` does it.
    fn pipeline(&self) -> Vec<Variant<'_>> {
        let folder = TempDir::new().expect("a folder for the answers");
        self.write(folder.path());
        let joined = read_and_join(folder.path());
        self.assert_joined(&joined);
        let names: Vec<&str> = joined.names.iter().collect();
        let expected = assert_decided(&names, &joined.loads);
        let folder = Rc::new(folder);
        let to_read = Rc::clone(&folder);
        let floor = move || crate::read(to_read.path()).map_or(f64::NAN, |()| 0.0);
        let ours = move || {
            let joined = read_and_join(folder.path());
            let engine = Engine::new(Thresholds::default());
            busiest(&engine.analyze_joined(&joined).expect("default thresholds"))
        };
        checked(expected, vec![Variant::new(FLOOR, floor), Variant::new(OURS, ours)])
    }
}

/// The variants, when all but the floor find what is expected; a variance to ten digits.
fn checked(expected: f64, mut variants: Vec<Variant<'_>>) -> Vec<Variant<'_>> {
    for variant in variants.iter_mut().filter(|variant| variant.name != FLOOR) {
        let found = (variant.work)();
        assert!((found - expected).abs() <= 1e-10 * expected.abs(), "{} found {found}", variant.name);
    }
    variants
}

fn decode(body: &str) -> Vec<Variant<'_>> {
    let (pods, numbers): (Vec<&str>, Vec<&str>) = recorded::pairs(body).unzip();
    let parsed = |number: &&str| number.parse::<f64>().expect("a number");
    let values: Vec<f64> = numbers.iter().map(parsed).collect();
    let expected: HashMap<&str, f64> = pods.iter().copied().zip(values.iter().copied()).collect();
    let found = answer(body);
    assert_eq!(found.len(), pods.len(), "every series");
    assert!(found.iter().all(|sample| expected[sample.pod].to_bits() == sample.value.to_bits()));
    let variants = vec![
        Variant::new(FLOOR, move || {
            let checked = simdutf8::basic::from_utf8(black_box(body).as_bytes()).is_ok();
            assert!(checked, "a String is UTF-8");
            black_box(&numbers).iter().map(parsed).sum::<f64>()
        }),
        Variant::new("prometheus-http-query", || peers::prometheus_http_query(black_box(body))),
        Variant::new("serde_json", || peers::serde_typed(black_box(body))),
        Variant::new(OURS, || {
            let answer = answer(black_box(body));
            peers::told(answer.iter().map(|sample| (sample.pod, sample.value)))
        }),
    ];
    checked(peers::told(pods.into_iter().zip(values)), variants)
}

fn answer(body: &str) -> Samples {
    decode_instant(body.as_bytes(), &WANTED).expect("a recorded answer is sound")
}

fn hash_all(answers: &PerMetric<Samples>) -> f64 {
    let hasher = foldhash::fast::FixedState::default();
    let names = answers.iter().flat_map(|(_, answer)| answer.pods());
    names.map(|pod| hasher.hash_one(pod)).fold(0, u64::wrapping_add) as f64
}

/// The pods that the answers name, as a replay finds them.
fn named(answers: &PerMetric<Samples>) -> Joined {
    collected(answers).with_named(FRESHNESS.max_sample_age, f64::from(NOW_S)).expect("one sample a pod")
}

/// The pods that are alive with their samples, as a live run finds them.
fn joined(live: &[LivePod], answers: &PerMetric<Samples>) -> Joined {
    collected(answers).with_live(live, FRESHNESS, f64::from(NOW_S)).expect("one sample a pod")
}

fn collected(answers: &PerMetric<Samples>) -> Join {
    let mut join = Join::default();
    for (metric, answer) in answers.iter() {
        join.add(metric, answer.with_seconds());
    }
    join
}

fn read_and_join(folder: &Path) -> Joined {
    let read = Snapshot::open(folder, &WANTED).expect("recorded answers are sound");
    read.with_named(FRESHNESS.max_sample_age).expect("one sample a pod")
}

fn decided<'a>(names: &'a [&'a str], loads: &'a PerMetric<Vec<f64>>) -> Analysis<'a> {
    Engine::new(Thresholds::default()).analyze_columns(names, loads).expect("default thresholds")
}

/// The busiest pod by columns, when states and the oracle come to the same.
fn assert_decided(names: &[&str], loads: &PerMetric<Vec<f64>>) -> f64 {
    let with = |row: usize| {
        let state = PodState::new(names[row]);
        loads.iter().fold(state, |state, (metric, column)| state.with(metric, column[row]))
    };
    let pods: Vec<PodState> = (0..names.len()).map(with).collect();
    let analysis = Engine::new(Thresholds::default()).analyze(&pods).expect("default thresholds");
    assert_eq!(oracle::compare(&analysis), Ok(()), "the oracle decides the same");
    assert_eq!(decided(names, loads), analysis, "columns and states decide the same");
    busiest(&analysis)
}

/// The position of the busiest pod.
fn busiest(analysis: &Analysis<'_>) -> f64 {
    analysis.outliers().map_or(f64::NAN, |pair| pair.busiest as f64)
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
