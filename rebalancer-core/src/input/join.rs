//! Joins live pods with samples: which pods take part, the loads of each, and problems with the samples.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use crate::input::live_pod::{LivePod, Phase};
use crate::input::metric::{Metric, PerMetric};
use crate::input::names::{NameList, Names};
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
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JoinRules {
    /// Sets aside pods that have worked for less than this: a new pod looks idle. Zero turns it off.
    pub warm_up: Duration,
    /// Treats samples whose time differs more than this from `now_s` as missing.
    pub max_sample_age: Duration,
    /// The time of all answers, in seconds since the Unix epoch.
    pub now_s: f64,
}

/// Joins answers with the live pods. The list of live pods, not the metrics server, decides which pods exist.
///
/// ```
/// use core::time::Duration;
/// use rebalancer_core::{Join, JoinRules, LivePod, Metric, Sample};
///
/// let live = [LivePod::assumed("orders-0"), LivePod::assumed("orders-1")];
/// let rules = JoinRules { warm_up: Duration::ZERO, max_sample_age: Duration::from_secs(180), now_s: 1_000.0 };
/// let mut join = Join::new(&live, rules)?;
/// join.add(Metric::Cpu, [Sample { pod: "orders-1", value: 0.5, timestamp_s: 1_000.0 }])?;
/// let joined = join.finish();
/// assert_eq!(joined.loads.cpu[1], 0.5);
/// assert_eq!(joined.issues.cpu.missing, ["orders-0"]);
/// # Ok::<(), rebalancer_core::JoinError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Join {
    max_sample_age: Duration,
    /// `None`: the time of the newest sample.
    now_s: Option<f64>,
    names: Names,
    /// Whether each row takes part; rows beyond the end do.
    eligible: Vec<bool>,
    /// Whether an unknown pod is added.
    grows: bool,
    columns: PerMetric<Column>,
    set_aside: Vec<SetAside>,
}

/// The samples of one metric by row, each with its time; rows beyond the end have none.
#[derive(Debug, Clone, Default)]
struct Column {
    samples: Vec<Option<(f64, f64)>>,
    unknown_pods: usize,
}

/// Takes the answer for one metric, sample by sample.
#[derive(Debug)]
pub struct MetricAnswer<'a> {
    names: &'a mut Names,
    eligible: &'a [bool],
    grows: bool,
    column: &'a mut Column,
    /// Number of samples so far.
    samples: usize,
    repeated: Vec<String>,
}

/// The result of a join.
#[derive(Debug, Clone)]
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

impl Join {
    /// Starts with the live pods of the workload.
    ///
    /// # Errors
    /// Two live pods with the same name.
    pub fn new(live: &[LivePod], rules: JoinRules) -> Result<Self, JoinError> {
        let mut join = Self::of_named_pods(rules.max_sample_age);
        join.now_s = Some(rules.now_s);
        join.grows = false;
        for pod in live {
            if let (_, true) = join.names.find_or_add(&pod.name, usize::MAX) {
                return Err(JoinError::DuplicatePod { pod: pod.name.clone() });
            }
            let reason = set_aside_reason(pod, rules.warm_up);
            join.eligible.push(reason.is_none());
            join.set_aside.extend(reason.map(|reason| SetAside { pod: pod.name.clone(), reason }));
        }
        Ok(join)
    }

    /// Starts without a list of live pods: every pod that an answer names counts as live, Ready and warm, in
    /// the order of first mention. The time is that of the newest sample.
    ///
    /// ```
    /// use core::time::Duration;
    /// use rebalancer_core::{Join, Metric};
    ///
    /// let mut join = Join::of_named_pods(Duration::from_secs(180));
    /// let mut cpu = join.answer(Metric::Cpu);
    /// cpu.take("orders-1", 0.5, 1_000.0);
    /// cpu.take("orders-0", 0.25, 1_000.0);
    /// assert!(cpu.repeated().is_empty());
    /// let joined = join.finish();
    /// assert!(joined.names.iter().eq(["orders-1", "orders-0"]));
    /// assert_eq!(joined.loads.cpu, [0.5, 0.25]);
    /// ```
    pub fn of_named_pods(max_sample_age: Duration) -> Self {
        Self {
            max_sample_age,
            now_s: None,
            names: Names::default(),
            eligible: Vec::new(),
            grows: true,
            columns: PerMetric::default(),
            set_aside: Vec::new(),
        }
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
        let mut answer = self.answer(metric);
        for Sample { pod, value, timestamp_s } in samples {
            answer.take(pod, value, timestamp_s);
            if let Some(pod) = answer.repeated.pop() {
                return Err(JoinError::DuplicateSample { metric, pod });
            }
        }
        Ok(())
    }

    /// Begins the answer for `metric`; its samples are then added one by one.
    pub fn answer(&mut self, metric: Metric) -> MetricAnswer<'_> {
        let Self { names, eligible, grows, columns, .. } = self;
        MetricAnswer {
            names,
            eligible,
            grows: *grows,
            column: &mut columns[metric],
            samples: 0,
            repeated: Vec::new(),
        }
    }

    /// The time of the newest sample, in seconds since the Unix epoch; `None` without samples.
    pub fn newest_s(&self) -> Option<f64> {
        let samples = self.columns.iter().flat_map(|(_, column)| column.samples.iter().flatten());
        samples.map(|(_, time_s)| *time_s).max_by(f64::total_cmp)
    }

    /// Ends the join. Metrics without an answer are missing for every pod.
    pub fn finish(self) -> Joined {
        let now_s = self.now_s.or_else(|| self.newest_s()).unwrap_or_default();
        let max_age_s = self.max_sample_age.as_secs_f64();
        let is_fresh = |time_s: f64| libm::fabs(now_s - time_s) <= max_age_s;
        let Self { names, eligible, columns, set_aside, .. } = self;
        let names = names.into_list();
        let takes_part = |row: &usize| eligible.get(*row) != Some(&false);
        let rows: Vec<usize> = (0..names.len()).filter(takes_part).collect();
        let mut issues: PerMetric<MetricIssues> = PerMetric::default();
        let loads =
            PerMetric::from_fn(|metric| columns[metric].finish(&names, &rows, is_fresh, &mut issues[metric]));
        let names =
            if rows.len() == names.len() { names } else { rows.iter().map(|row| names.get(*row)).collect() };
        Joined { names, loads, set_aside, issues }
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

impl MetricAnswer<'_> {
    /// Adds a sample; the time is in seconds since the Unix epoch. A pod's second sample is ignored and
    /// reported by [`MetricAnswer::repeated`].
    pub fn take(&mut self, pod: &str, value: f64, timestamp_s: f64) {
        let guess = self.samples;
        self.samples += 1;
        let known =
            if self.grows { Some(self.names.find_or_add(pod, guess).0) } else { self.names.find(pod, guess) };
        let Some(row) = known else {
            self.column.unknown_pods += 1;
            return;
        };
        if self.eligible.get(row) == Some(&false) {
            return;
        }
        let samples = &mut self.column.samples;
        if row >= samples.len() {
            samples.resize(row + 1, None);
        }
        if samples[row].is_some() {
            self.repeated.push(pod.to_string());
        } else {
            samples[row] = Some((value, timestamp_s));
        }
    }

    /// The eligible pods that had a sample before, once for each repetition. If there are any, discard the
    /// answer and its join.
    pub fn repeated(&self) -> &[String] {
        &self.repeated
    }
}

impl Column {
    /// The loads of `rows`, NaN if missing or stale.
    fn finish(
        &self,
        names: &NameList,
        rows: &[usize],
        is_fresh: impl Fn(f64) -> bool,
        issues: &mut MetricIssues,
    ) -> Vec<f64> {
        issues.unknown_pods = self.unknown_pods;
        let mut loads = Vec::with_capacity(rows.len());
        for &row in rows {
            let name = || names.get(row).to_string();
            let sample = self.samples.get(row).copied().flatten();
            let load = match sample {
                Some((_, time_s)) if !is_fresh(time_s) => {
                    issues.stale.push(name());
                    None
                }
                Some((value, _)) => {
                    let load = Load::from_sample(value);
                    issues.invalid.extend(load.is_none().then(name));
                    load
                }
                None => None,
            };
            issues.missing.extend(load.is_none().then(name));
            loads.push(load.map_or(f64::NAN, Load::value));
        }
        for list in [&mut issues.missing, &mut issues.invalid, &mut issues.stale] {
            list.sort_unstable();
        }
        loads
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
