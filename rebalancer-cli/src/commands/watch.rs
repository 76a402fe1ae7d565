//! The time of a run, and the signals that stop it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rebalancer_core::LAST_LOOK;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::failure::Failure;

/// When a run began, and whether a stop was asked for.
pub struct Watch {
    /// True once whatever still waits is to end: a signal came, or the time of the run is over.
    pub stop: Arc<AtomicBool>,
    /// True once a signal came.
    signalled: Arc<AtomicBool>,
    limit: Duration,
    started: Cell<Instant>,
    listens: Cell<bool>,
}

impl Watch {
    /// Begins a run that may take `limit`; a signal ends the process at once.
    pub fn begin(limit: Duration) -> Self {
        let (stop, signalled) = (Arc::default(), Arc::default());
        Self { stop, signalled, limit, started: Cell::new(Instant::now()), listens: Cell::new(false) }
    }

    /// When the run began, without the time in which a person thought.
    pub fn started(&self) -> Instant {
        self.started.get()
    }

    /// Whether a stop was asked for.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether it was stopped because its time is over.
    pub fn is_over(&self) -> bool {
        self.is_stopped() && !self.signalled.load(Ordering::Relaxed)
    }

    /// Why it failed, and that its time was over if that is why.
    pub fn explained(&self, failure: Failure) -> Failure {
        let over = || format!("the time of this run is over: {} s (RUN_TIMEOUT)", self.limit.as_secs());
        match failure {
            Failure::Run(error) if self.is_over() => Failure::Run(error.context(over())),
            failure => failure,
        }
    }

    /// Does not count this time, in which a person thought.
    pub fn put_off(&self, by: Duration) {
        self.started.set(self.started.get() + by);
    }

    /// From now on the first SIGTERM or SIGINT asks for a stop. A second signal ends the process at once.
    ///
    /// # Errors
    /// If the system does not let it listen.
    pub fn listen(&self) -> Result<(), Failure> {
        if self.listens.replace(true) {
            return Ok(());
        }
        for signal in [SIGTERM, SIGINT] {
            signal_hook::flag::register_conditional_shutdown(
                signal,
                128 + signal,
                Arc::clone(&self.signalled),
            )
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&self.signalled)))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&self.stop)))
            .context("cannot listen for signals")?;
        }
        Ok(())
    }

    /// The same for a run for which nobody waits, which is also stopped once its time and that of a last look are over: each
    /// request alone may end in time, and all together too late.
    ///
    /// # Errors
    /// As [`Watch::listen`].
    pub fn listen_until_over(&self) -> Result<(), Failure> {
        self.listen()?;
        let (stop, ends) = (Arc::clone(&self.stop), self.limit.saturating_add(LAST_LOOK));
        thread::spawn(move || {
            thread::sleep(ends);
            stop.store(true, Ordering::Relaxed);
        });
        Ok(())
    }
}
