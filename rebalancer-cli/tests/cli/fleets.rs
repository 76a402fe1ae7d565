//! A metrics server and a cluster on loopback with the same workloads, of several namespaces.

use std::collections::BTreeMap;
use std::process::Command;

use rebalancer_core::{Metric, PerMetric};
use rebalancer_sim::apiserver::{ApiServer, Fleet, SimRequest, WorkloadKind};
use rebalancer_sim::fleet::TYPICAL;
use rebalancer_sim::metrics_server::{MetricsServer, PodLoads};
use serde_json::{Value, json};

use crate::program::{Done, Running, command};

/// A workload, and how busy its pods are.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Its namespace.
    pub namespace: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: WorkloadKind,
    /// Cores of each pod; memory and lag are as uneven.
    pub cores: Vec<f64>,
    /// Its annotations below `pod-rebalancer/`.
    pub annotations: Vec<(&'static str, &'static str)>,
}

impl Spec {
    /// A Deployment.
    pub fn deployment(namespace: &'static str, name: &'static str, cores: Vec<f64>) -> Self {
        Self { namespace, name, kind: WorkloadKind::Deployment, cores, annotations: Vec::new() }
    }

    /// A stateful set.
    pub fn stateful_set(namespace: &'static str, name: &'static str, cores: Vec<f64>) -> Self {
        Self { kind: WorkloadKind::StatefulSet, ..Self::deployment(namespace, name, cores) }
    }

    /// The same with one more annotation.
    #[must_use]
    pub fn with(mut self, annotation: &'static str, value: &'static str) -> Self {
        self.annotations.push((annotation, value));
        self
    }

    fn fleet(&self) -> Fleet {
        let annotations: BTreeMap<String, String> = self
            .annotations
            .iter()
            .map(|(name, value)| (format!("pod-rebalancer/{name}"), (*value).to_owned()))
            .collect();
        let fleet = Fleet {
            namespace: self.namespace.to_owned(),
            annotations,
            ..Fleet::deployment(self.name, self.cores.len())
        };
        fleet.of_kind(self.kind)
    }

    /// The names of its pods.
    pub fn pods(&self) -> Vec<String> {
        self.fleet().pods.into_iter().map(|pod| pod.name).collect()
    }

    fn loads(&self, of: Loads) -> impl Iterator<Item = PodLoads> {
        let pods = self.pods().into_iter().zip(self.cores.clone());
        pods.map(move |(pod, cores)| PodLoads {
            namespace: self.namespace.to_owned(),
            pod,
            loads: PerMetric::from_fn(|metric| of(metric, cores)),
        })
    }
}

/// Queries of a scan of which nothing is over a threshold: the known series, each metric, the origin, the number of partitions.
pub const QUERIES_OF_A_SCAN: usize = Metric::ALL.len() + 3;

/// The loads of a pod by its cores.
pub type Loads = fn(Metric, f64) -> Option<f64>;

/// All as uneven as CPU, and no rate.
fn usual(metric: Metric, cores: f64) -> Option<f64> {
    match metric {
        Metric::Cpu => Some(cores),
        Metric::Rate => None,
        metric => Some(TYPICAL[metric] * cores),
    }
}

/// Makes a Deployment the canary of the one that is called `app`: its pods have the label of that one, and one more.
pub fn make_canary(fleet: &mut Fleet, app: &str) {
    let labels =
        BTreeMap::from([("app", app), ("track", "canary")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    fleet.pods.iter_mut().for_each(|pod| pod.labels = labels.clone());
    let (name, pods) = (&fleet.name, fleet.pods.len());
    let deployment = json!({
        "kind": "Deployment", "apiVersion": "apps/v1",
        "metadata": {"name": name, "namespace": fleet.namespace, "generation": 1,
                     "uid": "00000000-0000-4000-9000-000000000002"},
        "spec": {"replicas": pods, "selector": {"matchLabels": labels}},
        "status": {"observedGeneration": 1, "replicas": pods, "readyReplicas": pods, "updatedReplicas": pods},
    });
    fleet.objects.insert(format!("deployments/{name}"), deployment);
}

/// The address of the pod at a place in the workload at a place.
pub fn address(workload: usize, pod: usize) -> String {
    format!("10.{workload}.0.{pod}")
}

/// So many pods, of which the one in the middle is much busier.
pub fn hot(pods: usize, cores: f64) -> Vec<f64> {
    let mut all = vec![0.5; pods];
    all[pods / 2] = cores;
    all
}

/// Both servers.
pub struct Fleets {
    /// The API server.
    pub cluster: ApiServer,
    /// The metrics server.
    pub metrics: MetricsServer,
}

impl Fleets {
    /// Starts both; the kubeconfig is for the namespace of the first workload.
    pub fn of(specs: &[Spec]) -> Self {
        Self::changed(specs, |_| {})
    }

    /// The same after a change of the first workload.
    pub fn changed(specs: &[Spec], change: impl FnOnce(&mut Fleet)) -> Self {
        let metrics = MetricsServer::start("orders-12-prometheus");
        metrics.hold_loads(specs.iter().flat_map(|spec| spec.loads(usual)).collect());
        let mut fleets: Vec<Fleet> = specs.iter().map(Spec::fleet).collect();
        for (number, fleet) in fleets.iter_mut().enumerate() {
            for (place, pod) in fleet.pods.iter_mut().enumerate() {
                pod.ip = Some(address(number, place));
            }
        }
        change(&mut fleets[0]);
        Self { cluster: ApiServer::start_all(fleets), metrics }
    }

    /// The same with these loads.
    #[must_use]
    pub fn loaded(self, specs: &[Spec], of: Loads) -> Self {
        self.metrics.hold_loads(specs.iter().flat_map(|spec| spec.loads(of)).collect());
        self
    }

    /// Runs the program against them to its end.
    pub fn run(&self, args: &[&str], env: &[(&str, &str)]) -> Done {
        Running::start(&mut self.command(args, &[&[("OUTPUT", "json")], env].concat())).wait()
    }

    /// The program with these arguments and settings.
    pub fn command(&self, args: &[&str], env: &[(&str, &str)]) -> Command {
        let mut command = command(args, env);
        command.env("PROMETHEUS_ENDPOINT", self.metrics.url());
        command.env("KUBECONFIG", self.cluster.kubeconfig_path());
        command
    }

    /// Method and path of everything asked of the cluster.
    pub fn asked(&self) -> Vec<String> {
        let path = |target: &str| target.split(['?', '&']).next().unwrap_or_default().to_owned();
        let requests = self.cluster.requests();
        requests.iter().map(|request| format!("{} {}", request.method, path(&request.target))).collect()
    }

    /// The evictions that were no dry run, as `NAMESPACE/POD`, in the order in which they were asked for.
    pub fn evictions(&self) -> Vec<String> {
        let is_real = |request: &&SimRequest| {
            let body = String::from_utf8_lossy(&request.body);
            let ends = request.method == "DELETE" || request.path().ends_with("/eviction");
            ends && request.query("dryRun").is_none() && !body.contains("dryRun")
        };
        let name = |request: &SimRequest| {
            let path = request.path().trim_start_matches("/api/v1/namespaces/").trim_end_matches("/eviction");
            path.replace("/pods/", "/")
        };
        self.cluster.requests().iter().filter(is_real).map(name).collect()
    }
}

/// The rows of a report about many workloads.
pub fn rows(done: &Done) -> Vec<Value> {
    done.json()["workloads"].as_array().cloned().unwrap_or_default()
}

/// Namespace, name and outcome of each row.
pub fn told(done: &Done) -> Vec<String> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap_or("null").to_owned();
    let row =
        |row: &Value| format!("{}/{} {}", text(row, "namespace"), text(row, "name"), text(row, "outcome"));
    rows(done).iter().map(row).collect()
}
