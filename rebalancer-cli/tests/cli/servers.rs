//! A metrics server and a cluster on loopback that hold the same twelve pods.

use rebalancer_sim::apiserver::{ApiServer, Fleet, SimRequest};
use rebalancer_sim::metrics_server::MetricsServer;

use crate::program::{Done, Running, command};

/// The pod of the recorded answers with the highest score.
pub const BUSIEST: &str = "orders-consumer-g5zn5h759-zcmj2";

/// The pod of the recorded answers with the lowest score.
pub const LEAST_BUSY: &str = "orders-consumer-g5zn5h759-lrvh2";

/// The pods of the recorded answers.
const PODS: [&str; 12] = [
    "orders-consumer-g5zn5h759-28w4l",
    "orders-consumer-g5zn5h759-5ntfp",
    "orders-consumer-g5zn5h759-c7qkt",
    "orders-consumer-g5zn5h759-cs5nx",
    "orders-consumer-g5zn5h759-hp9nk",
    "orders-consumer-g5zn5h759-hxqp7",
    "orders-consumer-g5zn5h759-jsjnd",
    LEAST_BUSY,
    "orders-consumer-g5zn5h759-vdxf5",
    "orders-consumer-g5zn5h759-vgmsz",
    "orders-consumer-g5zn5h759-w97xv",
    BUSIEST,
];

/// A settled Deployment with the pods of the recorded answers.
pub fn fleet() -> Fleet {
    Fleet { namespace: "tiny".to_owned(), ..Fleet::named("orders-consumer", &PODS) }
}

/// Both servers.
pub struct Servers {
    /// The metrics server.
    pub metrics: MetricsServer,
    /// The API server.
    pub cluster: ApiServer,
}

impl Servers {
    /// Starts both over a settled fleet.
    pub fn start() -> Self {
        Self::over(fleet())
    }

    /// Starts both over this fleet.
    pub fn over(fleet: Fleet) -> Self {
        Self { metrics: MetricsServer::start("orders-12-prometheus"), cluster: ApiServer::start(fleet) }
    }

    /// Runs the program against them to its end.
    pub fn run(&self, args: &[&str], env: &[(&str, &str)]) -> Done {
        self.begin(args, env).wait()
    }

    /// Starts the program against them.
    pub fn begin(&self, args: &[&str], env: &[(&str, &str)]) -> Running {
        let (endpoint, kubeconfig) = (self.metrics.url(), self.cluster.kubeconfig_path());
        let mut command = command(
            args,
            &[
                ("KUBE_LABEL_SELECTOR", "app=orders-consumer"),
                ("OUTPUT", "json"),
                ("METRICS_PRESET", "micrometer"),
            ],
        );
        command.env("PROMETHEUS_ENDPOINT", endpoint).env("KUBECONFIG", kubeconfig).envs(env.iter().copied());
        Running::start(&mut command)
    }

    /// The evictions and deletions asked of the cluster that were no dry-run, by pod.
    pub fn evictions(&self) -> Vec<String> {
        let ends = |request: &SimRequest| {
            let ends = request.method == "DELETE" || request.path().ends_with("/eviction");
            ends && !asks_dry_run(request)
        };
        self.cluster.requests().iter().filter(|request| ends(request)).map(pod_of).collect()
    }

    /// Everything asked of the cluster: method and path, below the namespace.
    pub fn asked(&self) -> Vec<String> {
        let line = |request: &SimRequest| {
            let dry_run = if asks_dry_run(request) { " (dry run)" } else { "" };
            let path = request.path().rsplit("/namespaces/tiny/").next().unwrap_or_default();
            format!("{} {path}{dry_run}", request.method)
        };
        self.cluster.requests().iter().map(line).collect()
    }

    /// The names of the pods there are now.
    pub fn pods(&self) -> Vec<String> {
        self.cluster.pods().into_iter().map(|pod| pod.name).collect()
    }

    /// Fails when anything was evicted, or asked to be, or is missing.
    #[track_caller]
    pub fn assert_untouched(&self) {
        assert_eq!(self.evictions(), Vec::<String>::new());
        assert!(self.pods().iter().any(|pod| pod == BUSIEST), "{:?}", self.pods());
        assert!(self.pods().iter().any(|pod| pod == LEAST_BUSY), "{:?}", self.pods());
    }
}

/// Whether a request says in its query or in its body that nothing is to be done.
fn asks_dry_run(request: &SimRequest) -> bool {
    request.query("dryRun").is_some() || String::from_utf8_lossy(&request.body).contains("dryRun")
}

fn pod_of(request: &SimRequest) -> String {
    let path = request.path().trim_end_matches("/eviction");
    path.rsplit('/').next().unwrap_or_default().to_owned()
}
