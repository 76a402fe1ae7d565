//! Joins live pods with samples: which pods take part, the loads of each, and problems with the samples.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use crate::input::live_pod::{LivePod, Phase};
use crate::input::metric::{Metric, PerMetric};
use crate::input::names::{NameList, NameTable};
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
/// It collects the answers first, whatever their order, so that an answer need not be kept once it was added.
///
/// ```
/// use core::time::Duration;
/// use rebalancer_core::{Freshness, Join, LivePod, Metric, Sample};
///
/// let mut join = Join::default();
/// join.add(Metric::Cpu, [Sample { pod: "orders-1", value: 0.5, timestamp_s: 1_000.0 }]);
/// let live = [LivePod::assumed("orders-0"), LivePod::assumed("orders-1")];
/// let freshness = Freshness { warm_up: Duration::ZERO, max_sample_age: Duration::from_secs(180) };
/// let joined = join.with_live(&live, freshness, 1_000.0)?;
/// assert_eq!(joined.loads.cpu[1], 0.5);
/// assert_eq!(joined.issues.cpu.missing, ["orders-0"]);
/// # Ok::<(), rebalancer_core::JoinError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Join {
    /// The pods that the answers name, in order of first mention.
    pods: NameTable,
    columns: PerMetric<Column>,
}

/// The samples of one metric, by the row of their pod.
#[derive(Debug, Clone, Default)]
struct Column {
    /// NaN where there is no load. It may end before the last pod.
    loads: Vec<f64>,
    times: Times,
    /// Rows whose sample is no load.
    invalid: Vec<usize>,
    /// The row of each sample that is not the first of its pod.
    repeated: Vec<usize>,
}

/// The times of the samples of one metric, in seconds since the Unix epoch.
#[derive(Debug, Clone, Default)]
enum Times {
    /// There is no sample.
    #[default]
    None,
    /// All have the same, as nearly always.
    Same(f64),
    /// The time of each row.
    Each(Vec<f64>),
}

/// What a known pod is to the workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// It is no live pod of it.
    Unknown,
    SetAside,
    /// It takes part.
    Eligible,
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

impl Join {
    /// Adds the whole answer for one metric; call it once for each metric that was asked for.
    pub fn add<'s>(&mut self, metric: Metric, samples: impl IntoIterator<Item = Sample<'s>>) {
        let samples = samples.into_iter();
        self.pods.reserve(samples.size_hint().0);
        let mut adding = self.adding(metric);
        samples.for_each(|sample| adding.push(sample));
    }

    /// Begins the answer for one metric, whose samples are then added one by one.
    pub fn adding(&mut self, metric: Metric) -> Adding<'_> {
        let known = self.pods.names().len();
        let column = &mut self.columns[metric];
        *column = Column { loads: Vec::with_capacity(known), ..Column::default() };
        Adding { pods: &mut self.pods, column, seen: alloc::vec![false; known], next: 0 }
    }

    /// The pods with more than one sample of a metric, one entry for each further one.
    pub fn repeated(&self, metric: Metric) -> Vec<&str> {
        self.columns[metric].repeated.iter().map(|row| self.pods.names().get(*row)).collect()
    }

    /// Ends the join with the live pods of the workload, at the time of all answers (seconds since the Unix epoch).
    ///
    /// Samples of pods that are not live are counted; samples of pods set aside are ignored. Metrics without an answer
    /// are missing for every pod.
    ///
    /// # Errors
    /// Two live pods with the same name, or two samples of one metric for one eligible pod.
    pub fn with_live(
        mut self,
        live: &[LivePod],
        freshness: Freshness,
        now_s: f64,
    ) -> Result<Joined, JoinError> {
        let mut parts = alloc::vec![Part::Unknown; self.pods.names().len()];
        let (mut rows, mut names, mut set_aside) = (Vec::new(), NameList::default(), Vec::new());
        for pod in live {
            let next = rows.last().map_or(0, |row| row + 1);
            let row = self.pods.row(&pod.name, next);
            parts.resize(self.pods.names().len(), Part::Unknown);
            let reason = set_aside_reason(pod, freshness.warm_up);
            let part = if reason.is_none() { Part::Eligible } else { Part::SetAside };
            if mem::replace(&mut parts[row], part) != Part::Unknown {
                return Err(JoinError::DuplicatePod { pod: pod.name.clone() });
            }
            if let Some(reason) = reason {
                set_aside.push(SetAside { pod: pod.name.clone(), reason });
            } else {
                rows.push(row);
                names.push(&pod.name);
            }
        }
        let pods = self.pods.into_names();
        let settled =
            Settling { pods: &pods, parts: &parts, max_sample_age: freshness.max_sample_age, now_s };
        let (loads, issues) = settled.all(self.columns, &rows.iter().copied())?;
        Ok(Joined { names, loads, set_aside, issues })
    }

    /// Ends the join without a list of live pods: all pods that the answers name count as live, Ready and warm.
    ///
    /// # Errors
    /// Two samples of one metric for one pod.
    pub fn with_named(self, max_sample_age: Duration, now_s: f64) -> Result<Joined, JoinError> {
        let names = self.pods.into_names();
        let parts = alloc::vec![Part::Eligible; names.len()];
        let settled = Settling { pods: &names, parts: &parts, max_sample_age, now_s };
        let (loads, issues) = settled.all(self.columns, &(0..names.len()))?;
        Ok(Joined { names, loads, set_aside: Vec::new(), issues })
    }
}

/// Adds the samples of one metric one by one; see [`Join::adding`].
#[derive(Debug)]
pub struct Adding<'j> {
    pods: &'j mut NameTable,
    column: &'j mut Column,
    /// The rows that have a sample.
    seen: Vec<bool>,
    /// The row after the last one: answers nearly always name the pods in one order.
    next: usize,
}

impl Adding<'_> {
    /// Adds a sample.
    pub fn push(&mut self, Sample { pod, value, timestamp_s }: Sample<'_>) {
        let row = self.pods.row(pod, self.next);
        self.next = row + 1;
        if row >= self.seen.len() {
            self.seen.resize(row + 1, false);
        }
        if mem::replace(&mut self.seen[row], true) {
            self.column.repeated.push(row);
        } else {
            self.column.put(row, value, timestamp_s);
        }
    }
}

impl Column {
    /// The first sample of a pod.
    fn put(&mut self, row: usize, value: f64, timestamp_s: f64) {
        if row >= self.loads.len() {
            self.loads.resize(row + 1, f64::NAN);
        }
        match Load::from_sample(value) {
            Some(load) => self.loads[row] = load.value(),
            None => self.invalid.push(row),
        }
        match &mut self.times {
            Times::Same(time) if *time == timestamp_s => {}
            Times::None => self.times = Times::Same(timestamp_s),
            Times::Same(time) => {
                let mut each = alloc::vec![*time; self.loads.len()];
                each[row] = timestamp_s;
                self.times = Times::Each(each);
            }
            Times::Each(each) => {
                each.resize(self.loads.len(), timestamp_s);
                each[row] = timestamp_s;
            }
        }
    }
}

impl Times {
    /// The time of a row that has a sample.
    fn of(&self, row: usize) -> f64 {
        match self {
            Self::None => f64::NAN,
            Self::Same(time) => *time,
            Self::Each(each) => each[row],
        }
    }
}

/// What decides which samples count, once the pods and the time are known.
struct Settling<'a> {
    /// The name of each row.
    pods: &'a NameList,
    /// The part of each row.
    parts: &'a [Part],
    max_sample_age: Duration,
    now_s: f64,
}

/// The loads of the eligible pods, and the problems of each metric.
type Settled = (PerMetric<Vec<f64>>, PerMetric<MetricIssues>);

impl Settling<'_> {
    /// All metrics, with the loads of these rows.
    fn all(
        &self,
        columns: PerMetric<Column>,
        rows: &(impl Iterator<Item = usize> + Clone),
    ) -> Result<Settled, JoinError> {
        let (mut loads, mut issues) = Settled::default();
        for (metric, column) in columns.into_pairs() {
            if let Some(row) = column.repeated.iter().find(|row| self.is(Part::Eligible, **row)) {
                return Err(JoinError::DuplicateSample { metric, pod: self.name(*row) });
            }
            (loads[metric], issues[metric]) = self.one(&column, rows.clone());
        }
        Ok((loads, issues))
    }

    /// One metric, with the loads of these rows.
    fn one(&self, column: &Column, rows: impl Iterator<Item = usize>) -> (Vec<f64>, MetricIssues) {
        let mut issues = MetricIssues { unknown_pods: self.unknown(column), ..MetricIssues::default() };
        let fresh_load = |row: usize| {
            let load = column.loads.get(row).copied().unwrap_or(f64::NAN);
            if !load.is_nan() && !self.is_fresh(column.times.of(row)) {
                issues.stale.push(self.name(row));
            } else if !load.is_nan() {
                return load;
            }
            issues.missing.push(self.name(row));
            f64::NAN
        };
        let loads = rows.map(fresh_load).collect();
        for row in column.invalid.iter().copied().filter(|row| self.is(Part::Eligible, *row)) {
            let is_fresh = self.is_fresh(column.times.of(row));
            let list = if is_fresh { &mut issues.invalid } else { &mut issues.stale };
            list.push(self.name(row));
        }
        for list in [&mut issues.missing, &mut issues.invalid, &mut issues.stale] {
            list.sort_unstable();
        }
        (loads, issues)
    }

    /// Number of samples of pods that are not live.
    fn unknown(&self, column: &Column) -> usize {
        if !self.parts.contains(&Part::Unknown) {
            return 0;
        }
        let is_unknown = |row: &usize| self.is(Part::Unknown, *row);
        let with_load = (0..column.loads.len()).filter(|row| !column.loads[*row].is_nan());
        let others = column.invalid.iter().chain(&column.repeated).copied();
        with_load.chain(others).filter(is_unknown).count()
    }

    fn is(&self, part: Part, row: usize) -> bool {
        self.parts[row] == part
    }

    fn is_fresh(&self, timestamp_s: f64) -> bool {
        libm::fabs(self.now_s - timestamp_s) <= self.max_sample_age.as_secs_f64()
    }

    fn name(&self, row: usize) -> String {
        self.pods.get(row).to_string()
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
