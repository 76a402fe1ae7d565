//! Live pods joined with samples: who is eligible, what is known of each, and what is wrong.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::metric::{Metric, PerMetric};
use crate::pod::{Load, PodState};
use crate::workload::{LivePod, Phase};

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
    pods: Vec<PodState>,
    /// Names of all live pods in order, each with its row in `pods` when the pod is eligible.
    rows: Vec<(&'a str, Option<usize>)>,
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
        let mut pods = Vec::with_capacity(live.len());
        let mut rows = Vec::with_capacity(live.len());
        let mut set_aside = Vec::new();
        for pod in live {
            if let Some(reason) = set_aside_reason(pod, rules.warm_up) {
                set_aside.push(SetAside { pod: pod.name.clone(), reason });
                rows.push((pod.name.as_str(), None));
            } else {
                rows.push((pod.name.as_str(), Some(pods.len())));
                pods.push(PodState::new(pod.name.as_str()));
            }
        }
        rows.sort_unstable();
        Self { rules, pods, rows, set_aside, issues: PerMetric::default() }
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
        let mut seen = alloc::vec![false; self.pods.len()];
        let mut hint = 0;
        for sample in samples {
            let Some(found) = self.find(sample.pod, hint) else {
                self.issues[metric].unknown_pods += 1;
                continue;
            };
            hint = found + 1;
            let Some(row) = self.rows[found].1 else { continue };
            if core::mem::replace(&mut seen[row], true) {
                return Err(DuplicateSample { metric, pod: sample.pod.to_string() });
            }
            self.place(metric, row, &sample);
        }
        Ok(())
    }

    /// Ends the join; metrics never added are missing for every pod.
    pub fn finish(mut self) -> Joined {
        for metric in Metric::ALL {
            let missing =
                self.pods.iter().filter(|pod| pod.load(metric).is_none()).map(|pod| pod.name.clone());
            let issues = &mut self.issues[metric];
            issues.missing = missing.collect();
            // The order of an answer means nothing, and must not show.
            for names in [&mut issues.missing, &mut issues.invalid, &mut issues.stale] {
                names.sort_unstable();
            }
        }
        Joined { pods: self.pods, set_aside: self.set_aside, issues: self.issues }
    }

    /// Where `name` stands in `rows`. Servers that sort their answers hit the hint every time.
    fn find(&self, name: &str, hint: usize) -> Option<usize> {
        if self.rows.get(hint).is_some_and(|(row, _)| *row == name) {
            return Some(hint);
        }
        self.rows.binary_search_by(|(row, _)| (*row).cmp(name)).ok()
    }

    fn place(&mut self, metric: Metric, row: usize, sample: &Sample<'_>) {
        let distance_s = libm::fabs(self.rules.now_s - sample.timestamp_s);
        let fresh = distance_s <= self.rules.max_sample_age.as_secs_f64();
        let load = Load::from_sample(sample.value);
        if !fresh {
            self.issues[metric].stale.push(sample.pod.to_string());
        } else if load.is_none() {
            self.issues[metric].invalid.push(sample.pod.to_string());
        } else {
            *self.pods[row].slot(metric) = load;
        }
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
