//! The closed loop: the real decision, run by a simulated `CronJob` on a simulated consumer group
//! that its rotations change.

use std::collections::BTreeMap;
use std::time::Duration;

use rebalancer_core::guard::{Check, GuardSettings, Persistence, Standing};
use rebalancer_core::kafka::Assignor;
use rebalancer_core::{
    Analysis, Assessment, AssignorChoice, DEFAULT_FLOORS, Engine, Fact, Facts, Freshness, Join, Joined,
    LivePod, Metric, PastSpread, Sample, Spread, Strategy, Thresholds, assess,
};

use crate::consumer_group::{ConsumerGroup, GroupShape};

/// How the decision is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// The guards, and with any of them on the trigger floors.
    pub guards: GuardSettings,
    /// Which pods are taken.
    pub strategy: Strategy,
    /// What is known of the group.
    pub knowledge: Knowledge,
}

/// What is known of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Knowledge {
    /// CPU of the pods.
    Cpu,
    /// And their message rate.
    Pods,
    /// And the name of the assignor.
    Assignor,
    /// And the load and owner of each partition.
    Partitions,
}

impl Policy {
    /// The plain rule: `GUARDS=off`.
    pub const PLAIN: Self =
        Self { guards: GuardSettings::OFF, strategy: Strategy::RotateOutliers, knowledge: Knowledge::Pods };

    /// All guards at their defaults: `GUARDS=standard`.
    pub const STANDARD: Self = Self { guards: GuardSettings::STANDARD, ..Self::PLAIN };

    /// The same policy knowing more or less.
    #[must_use]
    pub const fn knowing(self, knowledge: Knowledge) -> Self {
        Self { knowledge, ..self }
    }

    /// The same policy taking other pods.
    #[must_use]
    pub const fn with(self, strategy: Strategy) -> Self {
        Self { strategy, ..self }
    }

    fn thresholds(&self) -> Thresholds {
        let plain = Thresholds::default();
        let floors = if self.guards == GuardSettings::OFF { plain.trigger_floors } else { DEFAULT_FLOORS };
        Thresholds { trigger_floors: floors, ..plain }
    }
}

/// When the job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Number of runs.
    pub runs: usize,
    /// Minutes between two.
    pub every_minutes: usize,
}

impl Schedule {
    /// Fifty runs ten minutes apart, the first after ninety minutes of history.
    pub const FIFTY: Self = Self { runs: 50, every_minutes: 10 };
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// Runs in which a threshold was passed.
    pub triggered: usize,
    /// Runs that evicted.
    pub rotations: usize,
    /// Pods evicted.
    pub evictions: usize,
    /// Whether no pod was sick at the end.
    pub cured: bool,
    /// Spread of the CPU without noise at the start.
    pub cv_before: f64,
    /// The same at the end.
    pub cv_after: f64,
    /// Whether the sorted loads were the same after every rotation, exactly.
    pub sorted_loads_unchanged: bool,
    /// Runs held back, by the first guard or step of the diagnosis that did.
    pub withheld: BTreeMap<String, usize>,
    /// Runs over a threshold, by the cause that was named.
    pub causes: BTreeMap<String, usize>,
}

/// Runs the job on a group. The same seed gives the same group whatever the policy.
pub fn run(seed: u64, shape: &GroupShape, policy: &Policy, schedule: Schedule) -> Outcome {
    let mut group = ConsumerGroup::new(seed, shape);
    let mut outcome =
        Outcome { cv_before: group.true_cv(), sorted_loads_unchanged: true, ..Outcome::default() };
    group.advance(90);
    for _ in 0..schedule.runs {
        group.advance(schedule.every_minutes);
        let evicted = decide(&mut group, shape.assignor, policy, &mut outcome);
        if evicted.is_empty() {
            continue;
        }
        let before = sorted(group.true_rates());
        group.evict(&evicted);
        outcome.rotations += 1;
        outcome.evictions += evicted.len();
        outcome.sorted_loads_unchanged &= sorted(group.true_rates()) == before;
    }
    outcome.cv_after = group.true_cv();
    outcome.cured = !group.has_sick_pod();
    outcome
}

/// One run of the job: the positions of the pods to evict.
fn decide(
    group: &mut ConsumerGroup,
    assignor: Assignor,
    policy: &Policy,
    outcome: &mut Outcome,
) -> Vec<usize> {
    let live = group.live();
    let joined = join(group, &live, policy);
    let analysis =
        Engine::new(policy.thresholds()).analyze_joined(&joined).expect("pods have names of their own");
    let facts = facts(group, &live, assignor, policy.knowledge);
    let assessment = assess(&analysis, &joined.set_aside, &facts, &policy.guards, policy.strategy);
    note(&analysis, &assessment, outcome);
    let Some(selection) = assessment.rotation() else { return Vec::new() };
    let place = |position: &usize| live.iter().position(|pod| pod.name == analysis.name(*position));
    selection.pods.iter().filter_map(place).collect()
}

fn join(group: &ConsumerGroup, live: &[LivePod], policy: &Policy) -> Joined {
    let now_s = group.now_s();
    let warm_up = policy.guards.warm_up.unwrap_or(Duration::ZERO);
    let freshness = Freshness { warm_up, max_sample_age: Duration::from_secs(180) };
    let mut join = Join::default();
    for (kind, metric) in metrics(policy.knowledge).iter().enumerate() {
        let samples = group
            .samples()
            .into_iter()
            .filter_map(|(pod, loads)| Some(Sample { pod, value: loads[kind]?, timestamp_s: now_s }));
        join.add(*metric, samples);
    }
    join.with_live(live, freshness, now_s).expect("pods have names of their own, and a sample each")
}

const fn metrics(knowledge: Knowledge) -> &'static [Metric] {
    match knowledge {
        Knowledge::Cpu => &[Metric::Cpu],
        _ => &[Metric::Cpu, Metric::Rate],
    }
}

fn facts<'a>(
    group: &mut ConsumerGroup,
    live: &'a [LivePod],
    assignor: Assignor,
    knowledge: Knowledge,
) -> Facts<'a> {
    let mut facts = Facts::new(live);
    facts.asked = metrics(knowledge).to_vec();
    let histories = group.histories(Persistence::STANDARD.grid(group.now_s()));
    for (metric, history) in metrics(knowledge).iter().zip(histories) {
        facts.past[*metric] = Fact::Known(history);
    }
    if let Some([cpu, rate]) = group.last_replacement() {
        facts.last_replacement = Fact::Known(if knowledge == Knowledge::Cpu { cpu } else { rate });
    }
    if let Some(window) = PastSpread::window(live, None) {
        let [cpu, _] = group.means(window);
        let cv = Spread::of(&cpu).map_or(0.0, |spread| spread.cv);
        facts.past_spread.cpu = Fact::Known(PastSpread { cv, ago: window.ended });
    }
    if knowledge >= Knowledge::Assignor {
        facts.assignor = AssignorChoice::Is(assignor);
    }
    if knowledge == Knowledge::Partitions {
        facts.partitions = group.partitions();
    }
    facts
}

fn note(analysis: &Analysis<'_>, assessment: &Assessment, outcome: &mut Outcome) {
    if !analysis.should_rebalance() {
        return;
    }
    outcome.triggered += 1;
    let cause = serde_json::to_value(&assessment.diagnosis.cause).expect("a cause serializes");
    let code = cause["code"].as_str().expect("a cause has a code").to_owned();
    *outcome.causes.entry(code).or_default() += 1;
    let Some(verdict) = assessment.held_by().next() else { return };
    let step = assessment.diagnosis.steps.iter().find(|step| step.standing == Standing::Hold);
    let by = match (verdict.check, step) {
        (Check::Diagnosis, Some(step)) => step.check,
        (check, _) => check,
    };
    *outcome.withheld.entry(by.to_string()).or_default() += 1;
}

fn sorted(mut loads: Vec<f64>) -> Vec<f64> {
    loads.sort_by(f64::total_cmp);
    loads
}
