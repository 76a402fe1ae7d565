//! The Kubernetes side: which pods are live, who owns them, what protects them, and how they are evicted.
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
mod alike;
mod answer;
mod budgets;
mod claims;
mod cluster;
mod config;
mod controller_kind;
mod events;
mod evict;
mod fields;
mod kubeconfig;
mod owners;
mod plugin;
mod pods;
mod protections;
mod requests;
mod revisions;
mod selector;
mod service_address;
mod service_proxy;
mod services;
mod sign_in;
mod volumes;
mod workload;
mod workload_name;
mod workloads;

pub use access::{OF_OTHER_OWNERS, Permission, TO_CLAIM, TO_DELETE, TO_EVICT, TO_PLAN, to_run};
pub use cluster::{Cluster, ClusterError};
pub use config::{ConnectError, ConnectOptions, is_namespace_name};
pub use controller_kind::{ControllerKind, NotAllowable};
pub use events::{Incident, Incidents, Notice, StoodAt};
pub use owners::WorkloadKind;
pub use pods::{MAX_PODS_BYTES, PodsError, live_pods};
pub use protections::DO_NOT_EVICT;
pub use revisions::Revision;
pub use selector::{Selector, SelectorError};
pub use service_address::{NamedPort, NotAService, ServiceAddress};
pub use service_proxy::ServiceTransport;
pub use services::{FoundServer, Searched, known_servers};
pub use workload::{Evictor, Observer};
pub use workload_name::{NotAWorkload, SeenWorkload, TargetName, UnknownSelector, WorkloadName};
pub use workloads::{Found, Namespaces, OwnedWorkload, Unlisted};
