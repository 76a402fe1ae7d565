//! A simulated consumer group, minute by minute: partitions with skewed rates, noise, sick pods,
//! and replacements that start cold.

#![expect(clippy::missing_panics_doc, reason = "only a broken simulator panics")]

use std::time::Duration;

use fastrand::Rng;
use rebalancer_core::kafka::{Assignor, TopicPartition};
use rebalancer_core::{
    Controller, Fact, Grid, History, LivePod, Metric, PartitionSample, Partitions, Replacement, Spread,
    Window,
};

use crate::group::{Group, Member, Shape};

use crate::fleet::normal;

/// Messages per second of the whole group per pod; only ratios matter.
const RATE_PER_POD: f64 = 500.0;

/// A new pod reads nothing for this long and burns a tenth of the CPU of an average pod.
const COLD_MINUTES: i64 = 2;

/// How the rates of the partitions differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rates {
    /// Not at all.
    Even,
    /// By the exponential of a normal number with this standard deviation.
    LogNormal(f64),
    /// The k-th largest is this power of 1/k.
    Zipf(f64),
    /// One partition carries this share, 0 to 1, the others the same each.
    Hot(f64),
}

/// What a group looks like.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupShape {
    /// Number of pods, one consumer in each.
    pub pods: usize,
    /// Number of partitions of each topic.
    pub topics: Vec<u32>,
    /// How the partitions are dealt.
    pub assignor: Assignor,
    /// How a replacement looks to the group.
    pub shape: Shape,
    /// Rates of the partitions.
    pub rates: Rates,
    /// Standard deviation of the natural logarithm of a pod's CPU around its true value. A quarter
    /// of the variance is in its message rate, the rest in its CPU per message.
    pub noise: f64,
    /// Minutes over which the noise keeps a memory of itself.
    pub noise_minutes: f64,
    /// The CPU per message of the sick pods over that of the others; 1 is a healthy group.
    pub sickness: f64,
    /// Number of sick pods.
    pub sick: usize,
    /// Probability that the replacement of the sick pod is sick too.
    pub relapse: f64,
}

impl GroupShape {
    /// A healthy group of one topic with evenly loaded partitions and 20 % noise.
    pub fn healthy(assignor: Assignor, partitions: u32, pods: usize) -> Self {
        Self {
            pods,
            topics: vec![partitions],
            assignor,
            shape: Shape::of_evictions(assignor),
            rates: Rates::Even,
            noise: 0.2,
            noise_minutes: 5.0,
            sickness: 1.0,
            sick: 1,
            relapse: 0.0,
        }
    }
}

/// A group at work. The same seed and shape give the same course of events.
#[derive(Debug, Clone)]
pub struct ConsumerGroup {
    rng: Rng,
    shape: GroupShape,
    group: Group,
    /// Messages per second of each partition, in the order of `group.partitions()`.
    loads: Vec<f64>,
    slots: Vec<Slot>,
    minute: i64,
}

/// One replica of the workload and the pod that fills it now.
#[derive(Debug, Clone)]
struct Slot {
    pod: String,
    born: i64,
    /// CPU cores for one message a second.
    cost: f64,
    /// Noise of the rate and of the CPU per message, as standard normal numbers.
    noise: [f64; 2],
    /// CPU and rate of the pod, a sample a minute since its birth or the start.
    cpu: Vec<f64>,
    rate: Vec<f64>,
    /// CPU and rate of the replica, whichever pod filled it, a sample a minute since the start.
    since_start: [Vec<f64>; 2],
}

impl ConsumerGroup {
    /// A group that has lived: formed, then through two restarts a pod in random order. All pods
    /// are ten hours old; with `sickness` the first ones are sick.
    pub fn new(seed: u64, shape: &GroupShape) -> Self {
        let mut rng = Rng::with_seed(seed);
        let members = (0..shape.pods).map(|pod| member(&mut rng, pod)).collect();
        let group = Group::form(shape.assignor, shape.topics.clone(), members).expect("random ids differ");
        let loads = partition_loads(&mut rng, shape, group.partitions().len());
        let cost = 1.0 / RATE_PER_POD;
        let slots = (0..shape.pods)
            .map(|index| {
                Slot::new(&mut rng, -600, if index < shape.sick { cost * shape.sickness } else { cost })
            })
            .collect();
        let mut born = Self { rng, shape: shape.clone(), group, loads, slots, minute: 0 };
        for _ in 0..2 * shape.pods {
            let pod = born.rng.usize(..shape.pods);
            born.deal_anew(&[pod]);
        }
        born
    }

    /// Lets `minutes` pass.
    pub fn advance(&mut self, minutes: usize) {
        let keep = (-1.0 / self.shape.noise_minutes).exp();
        let fresh = (1.0 - keep * keep).sqrt();
        let sigma = [self.shape.noise * 0.5, self.shape.noise * 0.75_f64.sqrt()];
        let rates = self.true_rates();
        for _ in 0..minutes {
            self.minute += 1;
            for (slot, rate) in self.slots.iter_mut().zip(&rates) {
                slot.noise = slot.noise.map(|old| keep * old + fresh * normal(&mut self.rng));
                let [on_rate, on_cost] = [0, 1]
                    .map(|kind| (sigma[kind] * slot.noise[kind] - sigma[kind] * sigma[kind] / 2.0).exp());
                let cold = self.minute - slot.born <= COLD_MINUTES;
                let rate = if cold { 0.0 } else { rate * on_rate };
                let cpu = if cold { 0.1 } else { slot.cost * rate * on_cost };
                slot.cpu.push(cpu);
                slot.rate.push(rate);
                slot.since_start[0].push(cpu);
                slot.since_start[1].push(rate);
            }
        }
    }

    /// Evicts the pods at these positions; their replacements are new, cold, and mostly healthy.
    pub fn evict(&mut self, pods: &[usize]) {
        for &pod in pods {
            let healthy = 1.0 / RATE_PER_POD;
            let relapses = self.slots[pod].cost > healthy && self.rng.f64() < self.shape.relapse;
            let cost = if relapses { self.slots[pod].cost } else { healthy };
            let since_start = std::mem::take(&mut self.slots[pod].since_start);
            self.slots[pod] = Slot { since_start, ..Slot::new(&mut self.rng, self.minute, cost) };
        }
        self.deal_anew(pods);
    }

    fn deal_anew(&mut self, pods: &[usize]) {
        let replacements = pods.iter().map(|pod| member(&mut self.rng, *pod)).collect();
        self.group.rotate(pods, replacements, self.shape.shape).expect("replacements join");
    }

    /// Number of the pods.
    pub fn pods(&self) -> usize {
        self.slots.len()
    }

    /// Whether a pod is sick.
    pub fn has_sick_pod(&self) -> bool {
        self.slots.iter().any(|slot| slot.cost > 1.0 / RATE_PER_POD)
    }

    /// Messages per second each pod is dealt, without noise.
    pub fn true_rates(&self) -> Vec<f64> {
        let all = self.group.partitions();
        let load = |partition: TopicPartition| {
            self.loads[all.binary_search(&partition).expect("the group owns what it was formed with")]
        };
        self.group.pod_loads(self.slots.len(), load)
    }

    /// Spread of the CPU of the pods without noise.
    pub fn true_cv(&self) -> f64 {
        let rates = self.true_rates();
        let cpu: Vec<f64> = self.slots.iter().zip(rates).map(|(slot, rate)| slot.cost * rate).collect();
        Spread::of(&cpu).map_or(0.0, |spread| spread.cv)
    }

    /// The pods as the cluster lists them.
    pub fn live(&self) -> Vec<LivePod> {
        let controller = Controller {
            group: None,
            kind: "ReplicaSet".to_owned(),
            name: "orders-consumer-7d9f".to_owned(),
            uid: "5f0c".to_owned(),
        };
        let age = |slot: &Slot| {
            Duration::from_secs(60 * u64::try_from(self.minute - slot.born).expect("no pod is born later"))
        };
        let pod = |slot: &Slot| LivePod {
            uid: slot.pod.clone(),
            age: Some(age(slot)),
            uptime: Some(age(slot)),
            controller: Some(controller.clone()),
            ..LivePod::assumed(&slot.pod)
        };
        self.slots.iter().map(pod).collect()
    }

    /// Seconds since the start.
    pub fn now_s(&self) -> f64 {
        60.0 * self.minute as f64
    }

    /// CPU in cores and messages per second of each pod at this minute; `None` before a pod's first.
    pub fn samples(&self) -> Vec<(&str, [Option<f64>; 2])> {
        let last = |slot: &Slot| [slot.cpu.last().copied(), slot.rate.last().copied()];
        self.slots.iter().map(|slot| (slot.pod.as_str(), last(slot))).collect()
    }

    /// CPU and rate of each pod over the last minutes of `grid`, a sample a minute.
    pub fn histories(&self, grid: Grid) -> [History; 2] {
        let mut histories = [History::new(grid), History::new(grid)];
        for slot in &self.slots {
            for (history, column) in histories.iter_mut().zip([&slot.cpu, &slot.rate]) {
                let tail = &column[column.len().saturating_sub(grid.steps)..];
                let first = grid.steps - tail.len();
                let samples = tail
                    .iter()
                    .enumerate()
                    .map(|(index, load)| (grid.start_s + 60.0 * (first + index) as f64, *load));
                history.add_series(&slot.pod, samples).expect("names differ and minutes are on the grid");
            }
        }
        histories
    }

    /// What the last replacement did to CPU and to the rates; `None` when there was none since the
    /// start, or its sides cannot be compared yet.
    pub fn last_replacement(&self) -> Option<[Replacement; 2]> {
        let newest = self.slots.iter().map(|slot| slot.born).max()?;
        let minutes = u64::try_from(self.minute - newest).ok().filter(|_| newest >= 0)?;
        let windows = Replacement::windows(&self.live())?;
        let ([before, after], length) = (windows.map(|window| self.means(window)), windows[0].length);
        let ago = Duration::from_secs(60 * minutes);
        let of = |metric, before, after| Replacement { metric, before, after, ago, length };
        let ([cpu, rate], [cpu_after, rate_after]) = (before, after);
        Some([of(Metric::Cpu, cpu, cpu_after), of(Metric::Rate, rate, rate_after)])
    }

    /// Mean CPU and mean rate of each replica over a window, or over the part of it since the start.
    pub fn means(&self, window: Window) -> [Vec<f64>; 2] {
        let minutes = |span: Duration| usize::try_from(span.as_secs() / 60).expect("days, not ages");
        let mean = |column: &[f64]| {
            let end = column.len().saturating_sub(minutes(window.ended));
            let samples = &column[end.saturating_sub(minutes(window.length))..end];
            samples.iter().sum::<f64>() / samples.len().max(1) as f64
        };
        [0, 1].map(|kind| self.slots.iter().map(|slot| mean(&slot.since_start[kind])).collect())
    }

    /// The load of each partition as a metrics server tells it, measured to 5 %.
    pub fn partitions(&mut self) -> Fact<Partitions> {
        let names: Vec<String> = self.slots.iter().map(|slot| slot.pod.clone()).collect();
        let live: Vec<&str> = names.iter().map(String::as_str).collect();
        let topics: Vec<String> =
            (0..self.shape.topics.len()).map(|topic| format!("topic-{topic:03}")).collect();
        let all = self.group.partitions();
        let mut samples = Vec::with_capacity(all.len());
        for (member, owned) in self.group.members() {
            for partition in owned {
                let place = all.binary_search(&partition).expect("the group owns what it was formed with");
                let load = self.loads[place] * (0.05 * normal(&mut self.rng)).exp();
                let (topic, partition) = (topics[partition.topic].as_str(), partition.number);
                samples.push(PartitionSample { pod: Some(live[member.pod]), topic, partition, load });
            }
        }
        Fact::from(Partitions::new(samples, &live))
    }
}

impl Slot {
    fn new(rng: &mut Rng, born: i64, cost: f64) -> Self {
        Self {
            pod: format!("orders-consumer-{:06x}", rng.u32(..1 << 24)),
            born,
            cost,
            noise: [normal(rng), normal(rng)],
            cpu: Vec::new(),
            rate: Vec::new(),
            since_start: Default::default(),
        }
    }
}

/// A dynamic member: the broker appends a random id to the client's name.
fn member(rng: &mut Rng, pod: usize) -> Member {
    Member::new(format!("consumer-orders-1-{:016x}", rng.u64(..)), pod)
}

/// Rates of `count` partitions that sum to the group's.
fn partition_loads(rng: &mut Rng, shape: &GroupShape, count: usize) -> Vec<f64> {
    let mut loads: Vec<f64> = (0..count)
        .map(|place| match shape.rates {
            Rates::LogNormal(sigma) => (sigma * normal(rng)).exp(),
            Rates::Zipf(power) => (place as f64 + 1.0).powf(-power),
            Rates::Hot(part) if place == 0 => part * (count - 1) as f64 / (1.0 - part),
            Rates::Even | Rates::Hot(_) => 1.0,
        })
        .collect();
    rng.shuffle(&mut loads);
    let scale = RATE_PER_POD * shape.pods as f64 / loads.iter().sum::<f64>();
    loads.into_iter().map(|load| load * scale).collect()
}
