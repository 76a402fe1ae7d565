//! Thanos before one or more Prometheus: a sidecar each, a querier over all, and a query-frontend.

use std::iter;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::fleet::Fleet;
use crate::metric_server::{MetricServer, Release};
use crate::require::{Program, path_of};
use crate::sandbox::{Sandbox, Server, free_port, wait_until};
use crate::series::Series;

const START_LIMIT: Duration = Duration::from_secs(120);

/// What one Prometheus holds, and the external labels that its sidecar gives every series.
#[derive(Debug)]
pub struct Sidecar<'a> {
    /// Its series.
    pub fleet: &'a Fleet,
    /// Names and values, at least one: a sidecar refuses to start without.
    pub labels: &'a [(&'a str, &'a str)],
}

/// A running Thanos; ends with its value.
#[derive(Debug)]
pub struct Thanos {
    stores: Vec<Store>,
    querier: MetricServer,
    frontend: MetricServer,
}

/// What holds the series.
#[derive(Debug)]
struct Store {
    prometheus: MetricServer,
    sidecar: Server,
    /// Where the sidecar is asked.
    address: String,
}

impl Thanos {
    /// The newest Prometheus and a sidecar for each of these, a querier that knows all of them as
    /// `--endpoint-strict`, with further flags, and a query-frontend with its defaults.
    ///
    /// # Panics
    /// When a server is not installed or does not start, or the querier does not find every sidecar.
    pub fn start(sidecars: &[Sidecar<'_>], flags: &[&str]) -> Self {
        Self::over(sidecars.iter().map(|of| store(of.fleet.series(), of.labels)).collect(), flags)
    }

    /// The same over one Prometheus with these series.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn filled(series: impl IntoIterator<Item = Series>, labels: &[(&str, &str)]) -> Self {
        Self::over(vec![store(series, labels)], &[])
    }

    fn over(stores: Vec<Store>, flags: &[&str]) -> Self {
        let endpoints = stores.iter().map(|store| format!("--endpoint-strict={}", store.address));
        let sandbox = Sandbox::new();
        let (mut command, address) = thanos("query");
        command.arg(format!("--grpc-address=127.0.0.1:{}", free_port())).args(endpoints).args(flags);
        let querier = ready(&sandbox, "querier", command, &address);
        wait_until("the querier has found every sidecar", START_LIMIT, || found(&querier) == stores.len());

        let (mut command, address) = thanos("query-frontend");
        command.arg(format!("--query-frontend.downstream-url={}", querier.url()));
        let frontend = ready(&sandbox, "query-frontend", command, &address);
        Self { stores, querier, frontend }
    }

    /// What answers a query that the querier is asked: its own process first, then each Prometheus and its sidecar.
    pub fn processes(&mut self) -> Vec<u32> {
        let below = self.stores.iter_mut().flat_map(|of| [of.prometheus.server().pid(), of.sidecar.pid()]);
        iter::once(self.querier.server().pid()).chain(below).collect()
    }

    /// The querier.
    pub fn querier(&self) -> &MetricServer {
        &self.querier
    }

    /// The query-frontend, which moves the ends of a range query to whole steps.
    pub fn frontend(&self) -> &MetricServer {
        &self.frontend
    }

    /// Kills the sidecar at this position, as when its machine is lost.
    ///
    /// # Panics
    /// When there is none.
    pub fn kill_sidecar(&mut self, position: usize) {
        self.stores[position].sidecar.kill();
    }
}

/// A Prometheus with these series, and its sidecar.
fn store(series: impl IntoIterator<Item = Series>, labels: &[(&str, &str)]) -> Store {
    let sandbox = Sandbox::new();
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let labels = labels.join(", ");
    let config = format!("global: {{scrape_interval: 15s, external_labels: {{{labels}}}}}\n");
    let prometheus = MetricServer::prometheus_in(&sandbox, Release::NewestPrometheus, series, &config, &[]);
    let grpc = format!("127.0.0.1:{}", free_port());
    let (mut command, http) = thanos("sidecar");
    command
        .arg(format!("--grpc-address={grpc}"))
        .arg(format!("--prometheus.url={}", prometheus.url()))
        .arg(format!("--tsdb.path={}", sandbox.path().join("data").display()));
    let mut sidecar = Server::start(&sandbox, "sidecar", command);
    sidecar.wait_ready(START_LIMIT, || is_ready(&http));
    Store { prometheus, sidecar, address: grpc }
}

/// A component of Thanos that listens at the address.
fn thanos(component: &str) -> (Command, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(path_of(Program::Thanos, "thanos"));
    command.arg(component).arg(format!("--http-address={address}"));
    (command, address)
}

fn ready(sandbox: &Arc<Sandbox>, name: &str, command: Command, address: &str) -> MetricServer {
    MetricServer::ready(Server::start(sandbox, name, command), address, "/-/ready")
}

fn is_ready(address: &str) -> bool {
    ureq::get(format!("http://{address}/-/ready")).call().is_ok()
}

/// How many sidecars the querier asks.
fn found(querier: &MetricServer) -> usize {
    let body = ureq::get(format!("{}/api/v1/stores", querier.url()))
        .call()
        .and_then(|mut answer| answer.body_mut().read_to_string())
        .unwrap_or_default();
    let stores: Value = serde_json::from_str(&body).unwrap_or_default();
    let is_well = |store: &&Value| store["lastError"].is_null();
    stores["data"]["sidecar"].as_array().map_or(0, |sidecars| sidecars.iter().filter(is_well).count())
}
