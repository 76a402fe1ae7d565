//! The time of a run, and the signals that stop it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::failure::Failure;

/// When a run began, and whether a stop was asked for.
pub struct Watch {
    /// True once a stop was asked for.
    pub stop: Arc<AtomicBool>,
    started: Cell<Instant>,
    listens: Cell<bool>,
}

impl Watch {
    /// Begins now; a signal ends the process at once.
    pub fn begin() -> Self {
        Self { stop: Arc::default(), started: Cell::new(Instant::now()), listens: Cell::new(false) }
    }

    /// When the run began, without the time in which a person thought.
    pub fn started(&self) -> Instant {
        self.started.get()
    }

    /// Whether a stop was asked for.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
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
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&self.stop))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&self.stop)))
                .context("cannot listen for signals")?;
        }
        Ok(())
    }
}
