//! Answers without a list of live pods: every pod they name is taken for one, and its samples go
//! straight into columns.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::input::join::{JoinRules, JoinedColumns, MetricIssues};
use crate::input::metric::{Metric, PerMetric};
use crate::input::name_list::NameList;
use crate::input::names::{Cursor, Names};
use crate::input::pod::Load;

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
/// cpu.take("orders-1", 0.5, 1_000_000);
/// cpu.take("orders-0", 0.25, 1_000_000);
/// assert!(cpu.repeated().is_empty());
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
    /// Whether any of them is no load.
    odd: bool,
    /// The time of the first sample: nearly always that of all.
    moment_ms: Option<i64>,
    /// The time of each row, once there is another one.
    times_ms: Vec<i64>,
}

/// Takes the answer for one metric.
#[derive(Debug)]
pub struct NamedAnswer<'a> {
    names: &'a mut Names,
    column: &'a mut Column,
    order: Order,
    /// Pods that came again, of an answer that is not the first.
    again: Vec<String>,
}

/// How an answer finds the rows of its pods.
#[derive(Debug)]
enum Order {
    /// It is the first and makes them: whether a pod comes again is looked at when all are there.
    New,
    /// By the rows there are.
    Known(Cursor),
}

impl NamedPods {
    /// Begins the answer for `metric`; one a metric.
    pub fn answer(&mut self, metric: Metric) -> NamedAnswer<'_> {
        let Self { names, columns } = self;
        let column = &mut columns[metric];
        column.values.resize(names.list().len(), f64::from_bits(ABSENT));
        let order = if names.list().is_empty() { Order::New } else { Order::Known(Cursor::default()) };
        NamedAnswer { names, column, order, again: Vec::new() }
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
            column.into_loads(self.names.list(), rules, &mut issues[metric])
        });
        JoinedColumns { names: self.names.list().iter().collect(), loads, set_aside: Vec::new(), issues }
    }
}

impl NamedAnswer<'_> {
    /// Takes a sample of a moment in milliseconds since the Unix epoch. Whether its pod had one before is
    /// told by [`NamedAnswer::repeated`], which is to be asked when all are taken.
    #[inline]
    pub fn take(&mut self, pod: &str, value: f64, timestamp_ms: i64) {
        let row = match &mut self.order {
            Order::New => {
                self.names.push(pod);
                self.column.values.len()
            }
            Order::Known(cursor) => self.names.find_or_add(pod, cursor),
        };
        if !self.column.put(row, value, timestamp_ms) {
            self.take_again(pod);
        }
    }

    #[cold]
    fn take_again(&mut self, pod: &str) {
        self.again.push(pod.to_string());
    }

    /// The pods that were taken again, once for each time after the first. An answer with such pods is
    /// of no use, and neither is what was taken of it.
    pub fn repeated(&self) -> Vec<&str> {
        match self.order {
            Order::New => self.names.list().repeated(),
            Order::Known(_) => self.again.iter().map(String::as_str).collect(),
        }
    }
}

impl Column {
    /// Puts a value into a row without one; `false`, and nothing is put, where there is one. A row there
    /// is not yet is the next one.
    #[inline]
    fn put(&mut self, row: usize, value: f64, timestamp_ms: i64) -> bool {
        let value = Load::from_sample(value).map_or_else(|| self.keep_odd(value), Load::value);
        match self.values.get_mut(row) {
            Some(place) if place.to_bits() == ABSENT => *place = value,
            Some(_) => return false,
            None => self.values.push(value),
        }
        if self.moment_ms != Some(timestamp_ms) || !self.times_ms.is_empty() {
            self.put_time(row, timestamp_ms);
        }
        true
    }

    /// What stands for a value that is no load.
    #[cold]
    fn keep_odd(&mut self, value: f64) -> f64 {
        self.odd = true;
        // Another NaN than the one of absence.
        if value.is_nan() { f64::NAN } else { value }
    }

    /// Keeps a time that is the first one, or not that of all rows before.
    #[cold]
    fn put_time(&mut self, row: usize, timestamp_ms: i64) {
        let moment_ms = *self.moment_ms.get_or_insert(timestamp_ms);
        if moment_ms != timestamp_ms || !self.times_ms.is_empty() {
            self.times_ms.resize(self.values.len(), moment_ms);
            self.times_ms[row] = timestamp_ms;
        }
    }

    fn into_loads(mut self, names: &NameList, rules: &JoinRules, issues: &mut MetricIssues) -> Vec<f64> {
        self.values.resize(names.len(), f64::from_bits(ABSENT));
        let mut loads = self.values;
        // Milliseconds of any year are far below 2^53.
        let fresh = |time_ms: &i64| rules.is_fresh(*time_ms as f64 / 1000.0);
        let all_fresh = self.moment_ms.as_ref().is_some_and(fresh);
        let sound = all_fresh && self.times_ms.is_empty() && !self.odd;
        for (row, value) in loads.iter_mut().enumerate() {
            if sound && value.to_bits() != ABSENT {
                continue;
            }
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

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    #[test]
    fn a_sample_that_looks_like_none_is_one() {
        let mut pods = NamedPods::default();
        let mut cpu = pods.answer(Metric::Cpu);
        cpu.take("a", f64::from_bits(ABSENT), 0);
        cpu.take("b", 1.0, 0);
        let mut memory = pods.answer(Metric::Memory);
        memory.take("a", f64::from_bits(ABSENT), 0);
        memory.take("a", 1.0, 0);
        assert_eq!(memory.repeated(), ["a"]);
        let rules =
            JoinRules { warm_up: Duration::ZERO, max_sample_age: Duration::from_secs(180), now_s: 0.0 };
        let issues = pods.join(&rules).issues;
        assert_eq!((&*issues.cpu.invalid, &*issues.cpu.missing), (&["a".into()][..], &["a".into()][..]));
        assert_eq!((&*issues.memory.invalid, issues.memory.missing.len()), (&["a".into()][..], 2));
    }
}
