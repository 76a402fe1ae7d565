//! What the benchmarks share: their sizes, their fleet, and a transport without a network.

pub mod stages;

use std::io::Cursor;
use std::sync::Arc;

use rebalancer_core::PodState;
use rebalancer_io::prometheus::{ApiRequest, ApiResponse, Transport, TransportError};
use rebalancer_sim::fleet::{FleetShape, fleet};

/// Pods in a fleet: a small one, a large one, the largest that Kubernetes is made for and more.
pub const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];

/// The moment all answers are about, in seconds since the Unix epoch.
pub const NOW_S: u32 = 1_795_410_000;

/// The fleet of every benchmark: one hot pod, one idle pod, 30 % jitter, all loads known.
pub fn pods(count: usize) -> Vec<PodState> {
    fleet(20_261_123, &FleetShape::skewed(count))
}

/// Answers every call with the same body.
#[derive(Debug, Clone)]
pub struct Canned(Arc<[u8]>);

impl Canned {
    /// Answers with `body`.
    pub fn new(body: &str) -> Self {
        Self(body.as_bytes().into())
    }
}

impl Transport for Canned {
    fn send(&self, _: &ApiRequest<'_>) -> Result<ApiResponse, TransportError> {
        let body = Box::new(Cursor::new(Arc::clone(&self.0)));
        Ok(ApiResponse { status: 200, content_type: None, location: None, body })
    }

    fn place(&self) -> &'static str {
        "memory"
    }
}
