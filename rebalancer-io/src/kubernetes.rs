//! The Kubernetes side: which pods live, who owns them, what protects them, and how two of them
//! are evicted.
//!
//! ```no_run
//! use rebalancer_io::kubernetes::{Cluster, ConnectOptions, Selector};
//!
//! let cluster = Cluster::connect(&ConnectOptions::default())?;
//! let workload = cluster.observer(Selector::new("app=orders")?).workload()?;
//! println!("{} pods, {} requests", workload.pods.len(), cluster.requests());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod access;
mod allowed;
mod answer;
mod budgets;
mod claims;
mod cluster;
mod config;
mod events;
mod evict;
mod fields;
mod kubeconfig;
mod list;
mod owner;
mod plugin;
mod pods;
mod protections;
mod selector;
mod sign_in;
mod target;
mod volumes;
mod workload;

pub use access::{OF_OTHER_OWNERS, Permission, TO_CLAIM, TO_DELETE, TO_EVICT, TO_PLAN, to_run};
pub use allowed::{ControllerKind, NotAllowable};
pub use cluster::{Cluster, ClusterError};
pub use config::{ConnectError, ConnectOptions};
pub use events::Notice;
pub use pods::{MAX_PODS_BYTES, PodsError, live_pods};
pub use protections::DO_NOT_EVICT;
pub use selector::{Selector, SelectorError};
pub use target::{NotAWorkload, UnknownSelector, WorkloadKind, WorkloadName};
pub use workload::{Evictor, Observer};
