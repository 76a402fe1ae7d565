//! The report of a backtest: every decision, and sums at each pair of thresholds.

use std::collections::BTreeMap;
use std::time::Duration;

use rebalancer_core::Metric;
use rebalancer_core::guard::Standing;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::version::API_VERSION;
use crate::report::{Outcome, Report, WorkloadReport};
use crate::settings::decision::DecisionSettings;

/// The result of a backtest.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct BacktestReport {
    /// Version of the report's shape.
    #[schemars(extend("const" = API_VERSION))]
    pub api_version: String,
    /// `BacktestReport`.
    #[schemars(extend("const" = "BacktestReport"))]
    pub kind: String,
    /// First moment, RFC 3339; null without any.
    pub from: Option<String>,
    /// Last moment, RFC 3339.
    pub to: Option<String>,
    /// Time between two moments; null for recordings.
    pub every_seconds: Option<f64>,
    /// Which pods.
    pub workload: WorkloadReport,
    /// Moments that were decided.
    pub moments: usize,
    /// Moments without data.
    pub skipped: usize,
    /// What the metrics server did not give even in small pieces; these moments are skipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_had: Vec<String>,
    /// Sums at each pair of thresholds.
    pub thresholds: Vec<Sums>,
    /// Every decision, by time and then by threshold.
    pub decisions: Vec<Decision>,
}

/// Sums of the decisions at one pair of thresholds.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Sums {
    /// Threshold of the spread of CPU.
    pub cpu: f64,
    /// Threshold of the spread of lag.
    pub lag: f64,
    /// Whether these are the thresholds that are set.
    pub current: bool,
    /// Share of the moments over a threshold, 0 to 1; null without moments.
    pub over_threshold: Option<f64>,
    /// Moments by outcome.
    pub outcomes: BTreeMap<String, usize>,
    /// How often each guard held something back.
    pub held_by: BTreeMap<String, usize>,
    /// Stretches of moments over a threshold; moments without data end none. Older reports do not say.
    #[serde(default)]
    #[schemars(with = "usize")]
    pub episodes: Option<usize>,
    /// Rotations that would have begun if the first one of an episode cures it: the episodes in which
    /// one would have begun at all.
    #[serde(default)]
    #[schemars(with = "usize")]
    pub rotations_if_cured: Option<usize>,
    /// Rotations that would have begun if none of them changes the loads: the moments that would act,
    /// each with the pods of those before it young. Which of both numbers is nearer history cannot show.
    #[serde(default)]
    #[schemars(with = "usize")]
    pub rotations: Option<usize>,
    /// Pods that these rotations would have evicted in a day; null for recordings.
    pub evictions_per_day: Option<f64>,
    /// Share of the moments over a threshold after which the next one was over it too, without any
    /// eviction; null without such moments.
    pub still_over_next: Option<f64>,
}

/// What one moment came to at one pair of thresholds.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// When, RFC 3339.
    pub time: String,
    /// The threshold of the spread of CPU.
    pub cpu_threshold: f64,
    /// The threshold of the spread of lag.
    pub lag_threshold: f64,
    /// What a plan would have come to after the rotations that this backtest would have begun before.
    pub outcome: Outcome,
    /// Whether a threshold is passed by the plain rule, as history has the loads.
    pub should_rebalance: bool,
    /// Pods of the workload.
    pub pods: usize,
    /// Spread of CPU; null where it is not usable.
    pub cpu_cv: Option<f64>,
    /// Spread of lag; null where it is not usable.
    pub lag_cv: Option<f64>,
    /// The pods that would have been evicted; empty where nothing would have been.
    #[serde(default)]
    pub targets: Vec<String>,
    /// The cause that was seen, as its code.
    #[serde(default)]
    pub cause: String,
    /// The guards that held it back, or had no data to let it go.
    #[serde(default)]
    pub held_by: Vec<String>,
}

impl Decision {
    /// The decision of a report.
    pub fn of(report: &Report) -> Self {
        let cv = |metric| report.statistics[metric].as_ref().map(|statistics| statistics.cv);
        let held = report.guards.iter().filter(|guard| guard.verdict != Standing::Pass);
        Self {
            time: report.evaluation_time.clone().unwrap_or_default(),
            cpu_threshold: report.thresholds.cpu,
            lag_threshold: report.thresholds.lag,
            outcome: report.outcome,
            should_rebalance: report.should_rebalance,
            pods: report.workload.pods,
            cpu_cv: cv(Metric::Cpu),
            lag_cv: cv(Metric::Lag),
            targets: report.targets.iter().map(|target| target.pod.clone()).collect(),
            cause: report.diagnosis.cause.code.into_str().to_owned(),
            held_by: held.map(|guard| guard.name.clone()).collect(),
        }
    }
}

impl BacktestReport {
    /// Sums up; `decided` holds a decision for each of `variants` in turn, `every` is the time
    /// between two of them.
    pub fn new(
        settings: &DecisionSettings,
        variants: &[DecisionSettings],
        workload: WorkloadReport,
        every: Option<Duration>,
        decided: Vec<Option<Vec<Decision>>>,
    ) -> Self {
        let moments: Vec<Option<&[Decision]>> = decided.iter().map(Option::as_deref).collect();
        let sums = variants.iter().enumerate().map(|(place, variant)| {
            let column: Vec<Option<&Decision>> =
                moments.iter().map(|moment| moment.and_then(|moment| moment.get(place))).collect();
            let current = (variant.thresholds.cpu, variant.thresholds.lag)
                == (settings.thresholds.cpu, settings.thresholds.lag);
            Sums::of(variant, current, &column, every)
        });
        let sums = sums.collect();
        let skipped = decided.iter().filter(|moment| moment.is_none()).count();
        let moments = decided.len() - skipped;
        let decisions: Vec<Decision> = decided.into_iter().flatten().flatten().collect();
        Self {
            api_version: API_VERSION.to_owned(),
            kind: "BacktestReport".to_owned(),
            from: decisions.first().map(|decision| decision.time.clone()),
            to: decisions.last().map(|decision| decision.time.clone()),
            every_seconds: every.map(|every| every.as_secs_f64()),
            workload,
            moments,
            skipped,
            not_had: Vec::new(),
            thresholds: sums,
            decisions,
        }
    }

    /// The sums at the thresholds that are set, else at the first ones.
    pub fn shown(&self) -> Option<&Sums> {
        self.thresholds.iter().find(|sums| sums.current).or_else(|| self.thresholds.first())
    }
}

impl Sums {
    /// Whether a decision was made at these thresholds.
    pub fn is_of(&self, decision: &Decision) -> bool {
        (self.cpu, self.lag) == (decision.cpu_threshold, decision.lag_threshold)
    }

    /// How many moments came to an outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.outcomes.get(outcome.into_str()).copied().unwrap_or_default()
    }

    /// From the fewest to the most rotations that would have begun, such as `1 to 16`.
    pub fn rotations_in_words(&self) -> String {
        let most = self.count(Outcome::Planned);
        match self.rotations_if_cured {
            Some(fewest) if fewest != most => format!("{fewest} to {most}"),
            _ => most.to_string(),
        }
    }

    fn of(
        variant: &DecisionSettings,
        current: bool,
        column: &[Option<&Decision>],
        every: Option<Duration>,
    ) -> Self {
        let known: Vec<&Decision> = column.iter().flatten().copied().collect();
        let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
        let mut held_by: BTreeMap<String, usize> = BTreeMap::new();
        for decision in &known {
            *outcomes.entry(decision.outcome.into_str().to_owned()).or_default() += 1;
            for guard in &decision.held_by {
                *held_by.entry(guard.clone()).or_default() += 1;
            }
        }
        let planned = || known.iter().filter(|decision| decision.outcome == Outcome::Planned);
        let evictions: usize = planned().map(|decision| decision.targets.len()).sum();
        let (episodes, rotations_if_cured) = counted(&known);
        let days = every.map(|every| every.as_secs_f64() * known.len() as f64 / 86_400.0);
        let over = |decision: &&Decision| decision.should_rebalance;
        let followed = column.windows(2).filter_map(|pair| Some((pair[0]?, pair[1]?)));
        let (first, still) = followed
            .filter(|(now, _)| over(now))
            .fold((0, 0), |(first, still), (_, next)| (first + 1, still + usize::from(over(&next))));
        Self {
            cpu: variant.thresholds.cpu,
            lag: variant.thresholds.lag,
            current,
            over_threshold: share(known.iter().copied().filter(over).count(), known.len()),
            outcomes,
            held_by,
            episodes: Some(episodes),
            rotations_if_cured: Some(rotations_if_cured),
            rotations: Some(planned().count()),
            evictions_per_day: days.filter(|days| *days > 0.0).map(|days| evictions as f64 / days),
            still_over_next: share(still, first),
        }
    }
}

/// The stretches of moments over a threshold, of decisions at one pair of thresholds. Moments without data end
/// none.
pub fn episodes<'a, 'd>(known: &'a [&'d Decision]) -> impl Iterator<Item = &'a [&'d Decision]> {
    let is_over = |decision: &Decision| decision.should_rebalance || decision.outcome == Outcome::Planned;
    let stretches = known.chunk_by(move |one, next| is_over(one) == is_over(next));
    stretches.filter(move |stretch| stretch.first().is_some_and(|first| is_over(first)))
}

/// How many episodes there are, and in how many of them a rotation begins.
fn counted(known: &[&Decision]) -> (usize, usize) {
    episodes(known).fold((0, 0), |(count, acting), episode| {
        let acts = episode.iter().any(|decision| decision.outcome == Outcome::Planned);
        (count + 1, acting + usize::from(acts))
    })
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
