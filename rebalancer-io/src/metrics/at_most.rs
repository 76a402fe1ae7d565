//! Limits concurrent queries to a source, which has other users too.

use std::sync::{Condvar, Mutex, MutexGuard};

use jiff::Timestamp;

use super::source::MetricsSource;
use crate::prometheus::{LabelledSample, MetricQuery, QueryError, RawSample, Samples, Series, TimeRange};

/// Limits concurrent queries to another source; callers over the limit block.
pub struct AtMost<'a> {
    source: &'a dyn MetricsSource,
    free: Mutex<usize>,
    freed: Condvar,
}

impl<'a> AtMost<'a> {
    /// Allows `count` queries at once, at least one.
    pub fn new(source: &'a dyn MetricsSource, count: usize) -> Self {
        Self { source, free: Mutex::new(count.max(1)), freed: Condvar::new() }
    }

    fn enter(&self) -> Permit<'_> {
        let free = lock(&self.free);
        let waited = self.freed.wait_while(free, |free| *free == 0);
        *waited.expect("no thread panics while it holds the lock") -= 1;
        Permit { free: &self.free, freed: &self.freed }
    }
}

/// Permission to send one query; dropping it lets the next caller continue.
struct Permit<'a> {
    free: &'a Mutex<usize>,
    freed: &'a Condvar,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *lock(self.free) += 1;
        self.freed.notify_one();
    }
}

fn lock(count: &Mutex<usize>) -> MutexGuard<'_, usize> {
    count.lock().expect("no thread panics while it holds the lock")
}

impl MetricsSource for AtMost<'_> {
    fn instant(&self, query: &MetricQuery, at: Timestamp) -> Result<Samples, QueryError> {
        let _permit = self.enter();
        self.source.instant(query, at)
    }

    fn labelled(
        &self,
        query: &MetricQuery,
        labels: &[&str],
        at: Timestamp,
    ) -> Result<Vec<LabelledSample>, QueryError> {
        let _permit = self.enter();
        self.source.labelled(query, labels, at)
    }

    fn raw(&self, query: &MetricQuery, at: Timestamp) -> Result<Vec<RawSample>, QueryError> {
        let _permit = self.enter();
        self.source.raw(query, at)
    }

    fn range(&self, query: &MetricQuery, range: TimeRange) -> Result<Vec<Series>, QueryError> {
        let _permit = self.enter();
        self.source.range(query, range)
    }

    fn range_by_series(
        &self,
        query: &MetricQuery,
        range: TimeRange,
        each: &mut dyn FnMut(Series),
    ) -> Result<(), QueryError> {
        let _permit = self.enter();
        self.source.range_by_series(query, range, each)
    }
}
