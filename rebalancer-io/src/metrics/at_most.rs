//! Limits concurrent queries to a source, which has other users too.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::source::{MetricsSource, Relay};
use crate::prometheus::MetricQuery;

/// Limits concurrent queries to another source; callers over the limit block.
pub struct AtMost<'a> {
    source: &'a dyn MetricsSource,
    /// Holds as many items as queries are being answered.
    asking: SyncSender<()>,
    asked: Mutex<Receiver<()>>,
}

impl<'a> AtMost<'a> {
    /// Allows `count` queries at once, at least one.
    pub fn new(source: &'a dyn MetricsSource, count: usize) -> Self {
        let (asking, asked) = sync_channel(count.max(1));
        Self { source, asking, asked: Mutex::new(asked) }
    }
}

impl Relay for AtMost<'_> {
    fn hand_on<A>(&self, _: &MetricQuery, ask: impl FnOnce(&dyn MetricsSource) -> A) -> A {
        self.asking.send(()).expect("the other end lives as long");
        let _place = Place(&self.asked);
        ask(self.source)
    }
}

/// A place among the queries that are being answered, which is given back when this is dropped: also by a panic.
struct Place<'a>(&'a Mutex<Receiver<()>>);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // It holds the item of this place, so that this waits for nothing.
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).recv();
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
