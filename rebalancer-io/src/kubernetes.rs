//! The Kubernetes side: which pods live, who owns them, what protects them, and how two of them
//! are evicted.

mod pods;
mod protections;

pub use pods::{MAX_PODS_BYTES, PodsError, live_pods};
pub use protections::DO_NOT_EVICT;
