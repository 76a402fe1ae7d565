//! Joins live pods with samples: which pods take part, the loads of each, and problems with the samples.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::input::live_pod::{LivePod, Phase};
use crate::input::metric::{Metric, PerMetric};
use crate::input::names::NameList;
use crate::input::pod::{Load, PodState};

/// One sample of an instant answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample<'a> {
    /// Name of the pod.
    pub pod: &'a str,
    /// The value as the server sent it; may be NaN, infinite or negative.
    pub value: f64,
    /// Seconds since the Unix epoch at which the value holds.
    pub timestamp_s: f64,
}

/// Which pods and samples count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// Sets aside pods that have worked for less than this: a new pod looks idle. Zero turns it off.
    pub warm_up: Duration,
    /// Treats samples whose time differs more than this from that of the answers as missing.
    pub max_sample_age: Duration,
}

/// Joins answers with the live pods. The list of live pods, not the metrics server, decides which pods exist.
///
/// ```
/// use core::time::Duration;
/// use rebalancer_core::{Freshness, Join, LivePod, Metric, Sample};
///
/// let live = [LivePod::assumed("orders-0"), LivePod::assumed("orders-1")];
/// let freshness = Freshness { warm_up: Duration::ZERO, max_sample_age: Duration::from_secs(180) };
/// let mut join = Join::new(&live, freshness, 1_000.0)?;
/// join.add(Metric::Cpu, [Sample { pod: "orders-1", value: 0.5, timestamp_s: 1_000.0 }])?;
/// let joined = join.finish();
/// assert_eq!(joined.loads.cpu[1], 0.5);
/// assert_eq!(joined.issues.cpu.missing, ["orders-0"]);
/// # Ok::<(), rebalancer_core::JoinError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Join<'a> {
    max_sample_age: Duration,
    now_s: f64,
    /// The place of each live pod. The hash has no secret seed, because the core uses no randomness.
    places: HashMap<&'a str, Place, FixedState>,
    joined: Joined,
}

/// Where the samples of a pod go.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// The row among the pods that take part.
    Row(usize),
    SetAside,
}

/// The result of a join.
#[derive(Debug, Clone, Default)]
pub struct Joined {
    /// The pods that take part: the eligible live pods, in their order.
    pub names: NameList,
    /// The load of each, NaN if missing: the input of [`crate::Engine::analyze_joined`].
    pub loads: PerMetric<Vec<f64>>,
    /// Live pods that take no part, each with the first reason.
    pub set_aside: Vec<SetAside>,
    /// The problems of each metric.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[strum(serialize_all = "lowercase")]
pub enum SetAsideReason {
    /// Its deletion has been asked for.
    Terminating,
    /// Its phase is not `Running`.
    #[strum(to_string = "not running")]
    NotRunning,
    /// Its condition `Ready` is not true.
    #[strum(to_string = "not ready")]
    NotReady,
    /// It has worked for less than the warm-up.
    #[strum(to_string = "warming up")]
    WarmingUp,
}

/// Problems with the samples of one metric.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct MetricIssues {
    /// Eligible pods without a usable sample. This list and the following are sorted by name.
    pub missing: Vec<String>,
    /// Those of them whose sample is no load: NaN, infinite, negative or absurdly large.
    pub invalid: Vec<String>,
    /// Those of them whose sample is from another time.
    pub stale: Vec<String>,
    /// Number of samples of pods that are not live in this workload.
    pub unknown_pods: usize,
}

/// Why pods and samples cannot be joined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// Two live pods have the same name.
    #[error("pod {pod:?} is listed twice")]
    DuplicatePod {
        /// The name.
        pod: String,
    },
    /// Two samples of one metric for one pod: the query does not return one sample per pod.
    #[error("the {metric} answer has more than one sample for pod {pod:?}")]
    DuplicateSample {
        /// The metric.
        metric: Metric,
        /// The pod.
        pod: String,
    },
}

impl<'a> Join<'a> {
    /// Starts with the live pods of the workload, at the time of all answers (seconds since the Unix epoch).
    ///
    /// # Errors
    /// Two live pods with the same name.
    pub fn new(live: &'a [LivePod], freshness: Freshness, now_s: f64) -> Result<Self, JoinError> {
        let mut join = Self::of_named_pods([], freshness.max_sample_age, now_s);
        for pod in live {
            let reason = set_aside_reason(pod, freshness.warm_up);
            let row = Place::Row(join.joined.names.len());
            let place = if reason.is_none() { row } else { Place::SetAside };
            if join.places.insert(&pod.name, place).is_some() {
                return Err(JoinError::DuplicatePod { pod: pod.name.clone() });
            }
            match reason {
                None => join.joined.names.push(&pod.name),
                Some(reason) => join.joined.set_aside.push(SetAside { pod: pod.name.clone(), reason }),
            }
        }
        Ok(join)
    }

    /// Starts without a list of live pods: all pods of these names count as live, Ready and warm, in the order of
    /// first mention.
    pub fn of_named_pods(
        names: impl IntoIterator<Item = &'a str>,
        max_sample_age: Duration,
        now_s: f64,
    ) -> Self {
        let mut join = Self { max_sample_age, now_s, places: HashMap::default(), joined: Joined::default() };
        let mut next = 0;
        for name in names {
            next = if let Some(Place::Row(row)) = join.place(name, next) {
                row + 1
            } else {
                join.places.insert(name, Place::Row(join.joined.names.len()));
                join.joined.names.push(name);
                join.joined.names.len()
            };
        }
        join
    }

    /// Adds the whole answer for one metric; call it once for each metric that was asked for.
    ///
    /// Samples of pods that are not live are counted; samples of pods set aside are ignored.
    ///
    /// # Errors
    /// Two samples for one eligible pod. The join must then be discarded.
    pub fn add<'s>(
        &mut self,
        metric: Metric,
        samples: impl IntoIterator<Item = Sample<'s>>,
    ) -> Result<(), JoinError> {
        let max_age_s = self.max_sample_age.as_secs_f64();
        let mut loads = alloc::vec![f64::NAN; self.joined.names.len()];
        let mut issues = MetricIssues::default();
        let mut seen = alloc::vec![false; loads.len()];
        let mut next = 0;
        for Sample { pod, value, timestamp_s } in samples {
            let row = match self.place(pod, next) {
                Some(Place::Row(row)) => row,
                Some(Place::SetAside) => continue,
                None => {
                    issues.unknown_pods += 1;
                    continue;
                }
            };
            next = row + 1;
            if mem::replace(&mut seen[row], true) {
                return Err(JoinError::DuplicateSample { metric, pod: pod.to_string() });
            }
            let is_fresh = libm::fabs(self.now_s - timestamp_s) <= max_age_s;
            match Load::from_sample(value) {
                _ if !is_fresh => issues.stale.push(pod.to_string()),
                None => issues.invalid.push(pod.to_string()),
                Some(load) => loads[row] = load.value(),
            }
        }
        (self.joined.loads[metric], self.joined.issues[metric]) = (loads, issues);
        Ok(())
    }

    /// The place of a pod; `None` if it is not known. Answers nearly always name the pods in one order, so the row after
    /// the last one is looked at first.
    fn place(&self, pod: &str, next: usize) -> Option<Place> {
        let names = &self.joined.names;
        if next < names.len() && names.get(next) == pod {
            return Some(Place::Row(next));
        }
        self.places.get(pod).copied()
    }

    /// Ends the join. Metrics without an answer are missing for every pod.
    pub fn finish(self) -> Joined {
        let mut joined = self.joined;
        for metric in Metric::ALL {
            let (loads, issues) = (&mut joined.loads[metric], &mut joined.issues[metric]);
            loads.resize(joined.names.len(), f64::NAN);
            let missing = joined.names.iter().zip(loads).filter(|(_, load)| load.is_nan());
            issues.missing = missing.map(|(pod, _)| pod.to_string()).collect();
            for list in [&mut issues.missing, &mut issues.invalid, &mut issues.stale] {
                list.sort_unstable();
            }
        }
        joined
    }
}

impl Joined {
    /// The pods that take part, as one [`PodState`] each.
    pub fn pods(&self) -> Vec<PodState> {
        let pod = |(row, name): (usize, &str)| {
            Metric::ALL
                .into_iter()
                .fold(PodState::new(name), |pod, metric| pod.with(metric, self.loads[metric][row]))
        };
        self.names.iter().enumerate().map(pod).collect()
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
