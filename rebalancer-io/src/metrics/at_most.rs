//! Limits concurrent queries to a source, which has other users too.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;

use super::source::{MetricsSource, Relay};
use crate::prometheus::MetricQuery;

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

impl Relay for AtMost<'_> {
    fn hand_on<A>(&self, _: &MetricQuery, ask: impl FnOnce(&dyn MetricsSource) -> A) -> A {
        let _permit = self.enter();
        ask(self.source)
    }
}

/// Most queries that one look at a server sends at once: as many as a run has metrics.
pub(crate) const AT_ONCE: usize = 4;

/// The answers of `ask` to all of `queries`, in their order, asked in parallel by as many threads as may ask at once.
pub(crate) fn in_threads<Q: Sync, A: Send>(queries: &[Q], ask: impl Fn(&Q) -> A + Sync) -> Vec<A> {
    let next = AtomicUsize::new(0);
    let answer = || {
        let mut answers: Vec<(usize, A)> = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(query) = queries.get(place) else { return answers };
            answers.push((place, ask(query)));
        }
    };
    let mut answers: Vec<(usize, A)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..queries.len().min(AT_ONCE)).map(|_| scope.spawn(answer)).collect();
        let answers = threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a thread that panics aborts the program"));
        answers.collect()
    });
    answers.sort_by_key(|(place, _)| *place);
    answers.into_iter().map(|(_, answer)| answer).collect()
}
