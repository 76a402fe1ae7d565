//! Real servers for the tests: Prometheus, VictoriaMetrics, Thanos, a Kubernetes control plane, Kafka, and the
//! program itself as its users run it.
//!
//! `e2e/install` puts the servers on a machine; a test says with [`require!`] which it needs.
//! Everything listens on loopback, on free ports, and is gone when its value is dropped or the
//! test process dies. This is a harness: where a server fails, it panics with the server's log.
#![forbid(unsafe_code)]

mod binary;
mod browser;
mod control_plane;
mod fleet;
mod gate;
mod kafka;
mod lens;
mod metric_server;
mod process;
mod require;
mod sandbox;
mod series;
mod thanos;
mod tls;
mod webhook;

pub use binary::{Finished, Running, pod_rebalancer, released};
pub use browser::{Browser, Look};
pub use control_plane::{Access, Answer, Api, ControlPlane, Identity, Namespace, Pki, workload};
pub use fleet::{Fleet, Level, PodLoads};
pub use gate::Gate;
pub use kafka::{ConsumerPods, Consumers, Doors, Files, Kafka, Owned, TlsProxy};
pub use lens::{KubeLens, Lens, Scrapes};
pub use metric_server::{MetricServer, Release};
pub use process::{busy, forget_peak_memory, peak_memory};
pub use require::{Program, check, path_of};
pub use sandbox::{Sandbox, Server, free_port, wait_until};
pub use series::Series;
pub use thanos::{Sidecar, Thanos};
pub use webhook::Webhook;
