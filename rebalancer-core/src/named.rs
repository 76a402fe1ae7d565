//! Answers without a list of live pods: every pod they name is taken for one, and its samples go
//! straight into columns.

use alloc::string::ToString;
use alloc::vec::Vec;

use crate::join::{JoinRules, JoinedColumns, MetricIssues};
use crate::metric::{Metric, PerMetric};
use crate::names::{Cursor, Names};
use crate::pod::Load;

/// The bits of a place without a sample: a NaN that is no result of parsing or arithmetic.
const ABSENT: u64 = 0x7ff8_0000_006f_6f6e;

/// The answers of one moment, by the pods they name.
///
/// ```
/// use core::time::Duration;
/// use rebalancer_core::{JoinRules, Metric, NamedPods};
///
/// let mut pods = NamedPods::default();
/// let mut cpu = pods.answer(Metric::Cpu);
/// assert!(cpu.take("orders-1", 0.5, 1_000_000));
/// assert!(cpu.take("orders-0", 0.25, 1_000_000));
/// assert!(!cpu.take("orders-1", 0.5, 1_000_000), "it has a sample already");
/// let rules = JoinRules { warm_up: Duration::ZERO, max_sample_age: Duration::from_secs(180), now_s: 1_000.0 };
/// let joined = pods.join(&rules);
/// assert_eq!(joined.names, ["orders-1", "orders-0"]);
/// assert_eq!(joined.loads.cpu, [0.5, 0.25]);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NamedPods {
    names: Names,
    columns: PerMetric<Column>,
}

/// The samples of one metric by row; shorter than the names where the last ones have none.
#[derive(Debug, Clone, PartialEq, Default)]
struct Column {
    values: Vec<f64>,
    /// The time of the first sample: nearly always that of all.
    moment_ms: Option<i64>,
    /// The time of each row, once there is another one.
    times_ms: Vec<i64>,
}

/// Takes the answer for one metric.
#[derive(Debug)]
pub struct NamedAnswer<'a> {
    names: &'a mut Names,
    cursor: Cursor,
    column: &'a mut Column,
}

impl NamedPods {
    /// Begins the answer for `metric`; one a metric.
    pub fn answer(&mut self, metric: Metric) -> NamedAnswer<'_> {
        let column = &mut self.columns[metric];
        // Nearly every pod is named by every answer.
        column.values.reserve_exact(self.names.len());
        NamedAnswer { names: &mut self.names, cursor: Cursor::default(), column }
    }

    /// The time of the newest sample, in milliseconds since the Unix epoch; `None` without samples.
    pub fn newest_ms(&self) -> Option<i64> {
        let times =
            self.columns.iter().flat_map(|(_, column)| column.moment_ms.iter().chain(&column.times_ms));
        times.copied().max()
    }

    /// The pods in the order in which they were first named, with their loads, which move out; as
    /// [`crate::Join`] over [`crate::LivePod::assumed`] pods would have it.
    pub fn join(&mut self, rules: &JoinRules) -> JoinedColumns<'_> {
        let mut issues: PerMetric<MetricIssues> = PerMetric::default();
        let loads = PerMetric::from_fn(|metric| {
            let column = core::mem::take(&mut self.columns[metric]);
            column.into_loads(&self.names, rules, &mut issues[metric])
        });
        JoinedColumns { names: self.names.iter().collect(), loads, set_aside: Vec::new(), issues }
    }
}

impl NamedAnswer<'_> {
    /// Takes a sample of a moment in milliseconds since the Unix epoch; `false`, and nothing is taken,
    /// when the pod has one already.
    pub fn take(&mut self, pod: &str, value: f64, timestamp_ms: i64) -> bool {
        let row = self.names.find_or_add(pod, &mut self.cursor);
        self.column.put(row, value, timestamp_ms)
    }
}

impl Column {
    fn put(&mut self, row: usize, value: f64, timestamp_ms: i64) -> bool {
        // Another NaN than the one of absence.
        let value = if value.is_nan() { f64::NAN } else { value };
        if row >= self.values.len() {
            self.values.resize(row, f64::from_bits(ABSENT));
            self.values.push(value);
        } else if self.values[row].to_bits() == ABSENT {
            self.values[row] = value;
        } else {
            return false;
        }
        let moment_ms = *self.moment_ms.get_or_insert(timestamp_ms);
        if moment_ms != timestamp_ms || !self.times_ms.is_empty() {
            self.times_ms.resize(self.values.len(), moment_ms);
            self.times_ms[row] = timestamp_ms;
        }
        true
    }

    fn into_loads(mut self, names: &Names, rules: &JoinRules, issues: &mut MetricIssues) -> Vec<f64> {
        self.values.resize(names.len(), f64::from_bits(ABSENT));
        let mut loads = self.values;
        // Milliseconds of any year are far below 2^53.
        let fresh = |time_ms: &i64| rules.is_fresh(*time_ms as f64 / 1000.0);
        let all_fresh = self.moment_ms.as_ref().is_some_and(fresh);
        for (row, value) in loads.iter_mut().enumerate() {
            let fresh = self.times_ms.get(row).map_or(all_fresh, fresh);
            let load = Load::from_sample(*value).filter(|_| fresh);
            if load.is_none() {
                let name = || names.get(row).to_string();
                match value.to_bits() {
                    ABSENT => {}
                    _ if fresh => issues.invalid.push(name()),
                    _ => issues.stale.push(name()),
                }
                issues.missing.push(name());
            }
            *value = load.map_or(f64::NAN, Load::value);
        }
        issues.sort();
        loads
    }
}
