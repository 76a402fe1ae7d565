//! Live pods joined with samples: who is eligible, what is known of each, and what is wrong.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::input::live_pod::{LivePod, Phase};
use crate::input::metric::{Metric, PerMetric};
use crate::input::names::{Cursor, Names};
use crate::input::pod::{Load, PodState};

/// One sample of an instant answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample<'a> {
    /// Name of the pod it is about.
    pub pod: &'a str,
    /// The value as the server wrote it; may be NaN, infinite or negative.
    pub value: f64,
    /// Seconds since the Unix epoch at which the value holds.
    pub timestamp_s: f64,
}

/// When a pod and a sample count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JoinRules {
    /// A pod that has worked for less than this is left out: a newborn looks idle. Zero turns it off.
    pub warm_up: Duration,
    /// A sample further than this from `now_s` is missing.
    pub max_sample_age: Duration,
    /// The one instant all answers are about, in seconds since the Unix epoch.
    pub now_s: f64,
}

impl JoinRules {
    /// Whether a sample of this time counts.
    pub(crate) fn is_fresh(&self, timestamp_s: f64) -> bool {
        libm::fabs(self.now_s - timestamp_s) <= self.max_sample_age.as_secs_f64()
    }
}

/// Joins answers with the pods that exist: the list of live pods, not the metrics server, says
/// what there is.
///
/// ```
/// use core::time::Duration;
/// use rebalancer_core::{Join, JoinRules, LivePod, Metric, Sample};
///
/// let live = [LivePod::assumed("orders-0"), LivePod::assumed("orders-1")];
/// let rules = JoinRules { warm_up: Duration::ZERO, max_sample_age: Duration::from_secs(180), now_s: 1_000.0 };
/// let mut join = Join::new(&live, rules);
/// join.add(Metric::Cpu, [Sample { pod: "orders-1", value: 0.5, timestamp_s: 1_000.0 }])?;
/// let joined = join.finish();
/// assert_eq!(joined.issues.cpu.missing, ["orders-0"]);
/// # Ok::<(), rebalancer_core::DuplicateSample>(())
/// ```
#[derive(Debug)]
pub struct Join<'a> {
    rules: JoinRules,
    max_sample_age_s: f64,
    live: &'a [LivePod],
    /// Their names.
    names: Names,
    /// Which of them are eligible.
    eligible: Vec<bool>,
    /// The loads of every live pod, NaN where none is known; of pods set aside none is.
    loads: PerMetric<Vec<f64>>,
    set_aside: Vec<SetAside>,
    issues: PerMetric<MetricIssues>,
}

/// What a join found.
#[derive(Debug, Clone, PartialEq)]
pub struct Joined {
    /// The eligible pods with what is known of each, in the order of the live pods.
    pub pods: Vec<PodState>,
    /// Live pods that take no part, with the first reason why.
    pub set_aside: Vec<SetAside>,
    /// What was wrong with each metric.
    pub issues: PerMetric<MetricIssues>,
}

/// What a join found, in columns.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinedColumns<'a> {
    /// The eligible pods, in the order of the live pods.
    pub names: Vec<&'a str>,
    /// The load of each, NaN where it is missing: what [`crate::Engine::analyze_columns`] takes.
    pub loads: PerMetric<Vec<f64>>,
    /// Live pods that take no part, with the first reason why.
    pub set_aside: Vec<SetAside>,
    /// What was wrong with each metric.
    pub issues: PerMetric<MetricIssues>,
}

impl AsRef<[SetAside]> for Joined {
    fn as_ref(&self) -> &[SetAside] {
        &self.set_aside
    }
}

impl AsRef<[SetAside]> for JoinedColumns<'_> {
    fn as_ref(&self) -> &[SetAside] {
        &self.set_aside
    }
}

/// A live pod that takes no part in the decision.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SetAside {
    /// Name of the pod.
    pub pod: String,
    /// Why.
    pub reason: SetAsideReason,
}

/// Why a live pod takes no part in the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum SetAsideReason {
    /// Its deletion has been asked for.
    Terminating,
    /// Its phase is not `Running`.
    NotRunning,
    /// Its condition `Ready` is not true.
    NotReady,
    /// It has worked for less than the warm-up.
    WarmingUp,
}

impl fmt::Display for SetAsideReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Terminating => "terminating",
            Self::NotRunning => "not running",
            Self::NotReady => "not ready",
            Self::WarmingUp => "warming up",
        })
    }
}

/// What was wrong with the samples of one metric.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct MetricIssues {
    /// Eligible pods without a usable sample, in order of name, as in the lists below.
    pub missing: Vec<String>,
    /// Of those, pods whose sample is no load: NaN, infinite, negative or absurdly large.
    pub invalid: Vec<String>,
    /// Of those, pods whose sample is of another moment.
    pub stale: Vec<String>,
    /// Number of samples of pods that are not alive in this workload.
    pub unknown_pods: usize,
}

impl MetricIssues {
    /// The order of an answer means nothing, and must not show.
    pub(crate) fn sort(&mut self) {
        for names in [&mut self.missing, &mut self.invalid, &mut self.stale] {
            names.sort_unstable();
        }
    }
}

/// Two samples of one metric for one pod: the query is not one sample a pod.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {metric} answer has more than one sample for pod {pod:?}")]
pub struct DuplicateSample {
    /// Of which metric.
    pub metric: Metric,
    /// Of which pod.
    pub pod: String,
}

impl<'a> Join<'a> {
    /// Starts with the live pods of the workload.
    pub fn new(live: &'a [LivePod], rules: JoinRules) -> Self {
        let mut eligible = Vec::with_capacity(live.len());
        let mut set_aside = Vec::new();
        for pod in live {
            let reason = set_aside_reason(pod, rules.warm_up);
            eligible.push(reason.is_none());
            set_aside.extend(reason.map(|reason| SetAside { pod: pod.name.clone(), reason }));
        }
        Self {
            rules,
            max_sample_age_s: rules.max_sample_age.as_secs_f64(),
            live,
            names: Names::of(live.iter().map(|pod| pod.name.as_str())),
            eligible,
            loads: PerMetric::from_fn(|_| alloc::vec![f64::NAN; live.len()]),
            set_aside,
            issues: PerMetric::default(),
        }
    }

    /// Adds the answer for one metric; call it once for each metric that was asked for.
    ///
    /// # Errors
    /// Two samples for one eligible pod. Samples of pods that are not alive are counted, those of
    /// pods set aside passed over.
    pub fn add<'s>(
        &mut self,
        metric: Metric,
        samples: impl IntoIterator<Item = Sample<'s>>,
    ) -> Result<(), DuplicateSample> {
        let Self { rules, max_sample_age_s, names, eligible, loads, issues, .. } = self;
        let (loads, issues) = (&mut loads[metric], &mut issues[metric]);
        // The eligible pods without a sample so far.
        let mut open = eligible.clone();
        let mut cursor = Cursor::default();
        for sample in samples {
            let Some(row) = names.find(sample.pod, &mut cursor) else {
                issues.unknown_pods += 1;
                continue;
            };
            if !core::mem::replace(&mut open[row], false) {
                if eligible[row] {
                    return Err(DuplicateSample { metric, pod: sample.pod.to_string() });
                }
                continue;
            }
            let fresh = libm::fabs(rules.now_s - sample.timestamp_s) <= *max_sample_age_s;
            match Load::from_sample(sample.value) {
                _ if !fresh => issues.stale.push(sample.pod.to_string()),
                None => issues.invalid.push(sample.pod.to_string()),
                Some(load) => loads[row] = load.value(),
            }
        }
        Ok(())
    }

    /// Ends the join; metrics never added are missing for every pod.
    pub fn finish(self) -> Joined {
        let JoinedColumns { names, loads, set_aside, issues } = self.finish_columns();
        let pods = names.into_iter().enumerate().map(|(row, name)| {
            let load = |metric: Metric| Load::from_sample(loads[metric][row]);
            PodState {
                name: name.to_string(),
                cpu_usage: load(Metric::Cpu),
                memory_usage: load(Metric::Memory),
                kafka_lag: load(Metric::Lag),
                message_rate: load(Metric::Rate),
                composite_score: None,
            }
        });
        Joined { pods: pods.collect(), set_aside, issues }
    }

    /// Ends the join without an object for each pod.
    pub fn finish_columns(self) -> JoinedColumns<'a> {
        let Self { live, eligible, mut loads, set_aside, mut issues, .. } = self;
        let mut names: Vec<&str> = live.iter().map(|pod| pod.name.as_str()).collect();
        if !set_aside.is_empty() {
            let mut rows = eligible.iter();
            names.retain(|_| rows.next() == Some(&true));
            for metric in Metric::ALL {
                let mut rows = eligible.iter();
                loads[metric].retain(|_| rows.next() == Some(&true));
            }
        }
        for metric in Metric::ALL {
            let issues = &mut issues[metric];
            let rows = names.iter().zip(&loads[metric]);
            issues.missing =
                rows.filter(|(_, load)| load.is_nan()).map(|(name, _)| (*name).to_string()).collect();
            issues.sort();
        }
        JoinedColumns { names, loads, set_aside, issues }
    }
}

fn set_aside_reason(pod: &LivePod, warm_up: Duration) -> Option<SetAsideReason> {
    if pod.terminating {
        return Some(SetAsideReason::Terminating);
    }
    if pod.phase != Phase::Running {
        return Some(SetAsideReason::NotRunning);
    }
    if !pod.ready {
        return Some(SetAsideReason::NotReady);
    }
    pod.warm_for().is_some_and(|warm| warm < warm_up).then_some(SetAsideReason::WarmingUp)
}
