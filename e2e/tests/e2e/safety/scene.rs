//! A workload on a real control plane, metrics that show two of its pods as outliers, and an account
//! that may do what the program needs and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use e2e::{ControlPlane, Finished, Namespace, Running, pod_rebalancer, wait_until};
use rebalancer_core::Metric;
use rebalancer_sim::metrics_server::MetricsServer;
use serde_json::{Value, json};

/// For anything a control plane does on a machine whose cores are busy.
pub const LIMIT: Duration = Duration::from_secs(120);

/// The recorded answers that all scenes show, and their pods: busiest, least busy, the others.
const SNAPSHOT: &str = "orders-12-prometheus";
const RECORDED: [&str; 12] = [
    "zcmj2", "lrvh2", "vdxf5", "c7qkt", "vgmsz", "w97xv", "hxqp7", "cs5nx", "jsjnd", "hp9nk", "28w4l",
    "5ntfp",
];

/// A settled workload of at most twelve pods labelled `app=orders`.
pub struct Scene<'a> {
    /// Where it runs.
    pub plane: &'a ControlPlane,
    /// The namespace, named after the scene.
    pub namespace: Namespace<'a>,
    /// Shows [`Scene::busiest`] and [`Scene::least_busy`] as outliers.
    pub metrics: MetricsServer,
    kubeconfig: PathBuf,
    /// Name and UID of the pods at the start.
    pods: Vec<(String, String)>,
}

impl<'a> Scene<'a> {
    /// Creates the workload of this manifest and waits until `replicas` pods of it are Ready.
    pub fn of(plane: &'a ControlPlane, name: &str, replicas: usize, manifests: &[Value]) -> Self {
        let namespace = plane.namespace(name);
        let access = namespace.service_account("rebalancer", &least_role());
        for manifest in manifests {
            namespace.apply(manifest);
        }
        namespace.wait_ready("app=orders", replicas, LIMIT);
        let metrics = MetricsServer::start(SNAPSHOT);
        let mut scene = Self { plane, namespace, metrics, kubeconfig: access.kubeconfig, pods: Vec::new() };
        scene.look();
        scene
    }

    /// Takes the pods there are now for the pods of the scene.
    pub fn look(&mut self) {
        let mut pods: Vec<(String, String)> = self
            .namespace
            .pods("app=orders")
            .iter()
            .map(|pod| (text(pod, "name"), text(pod, "uid")))
            .collect();
        pods.sort_unstable();
        // The busiest is not the first by name: a tie or an order that decided would show.
        pods.rotate_left(1);
        self.pods = pods;
        self.show(&self.metrics, &self.names());
    }

    /// Makes a metrics server show these pods, the busiest first, then the least busy.
    pub fn show(&self, metrics: &MetricsServer, names: &[String]) {
        for metric in Metric::ALL {
            let path = format!("../testdata/snapshots/{SNAPSHOT}/{metric}.json");
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
            let recorded = fs::read_to_string(&path).expect("a recorded answer of this repository");
            // Series of other namespaces are none of the program's concern.
            let recorded = recorded.replace("\"tiny\"", &format!("{:?}", self.namespace.name()));
            let body = RECORDED.iter().zip(names).fold(recorded, |body, (recorded, name)| {
                body.replace(&format!("orders-consumer-g5zn5h759-{recorded}"), name)
            });
            metrics.answer_body(metric, body);
        }
    }

    /// The names of the pods at the start, the busiest first, then the least busy.
    pub fn names(&self) -> Vec<String> {
        self.pods.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The pod that the metrics show as the busiest.
    pub fn busiest(&self) -> &str {
        &self.pods[0].0
    }

    /// The pod that the metrics show as the least busy.
    pub fn least_busy(&self) -> &str {
        &self.pods[1].0
    }

    /// The program, told where everything is. Pods are new here, so guards are off.
    pub fn program(&self, arguments: &[&str]) -> Command {
        let mut program = pod_rebalancer(arguments);
        program
            .env("PROMETHEUS_ENDPOINT", self.metrics.url())
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBE_LABEL_SELECTOR", "app=orders")
            .env("GUARDS", "off")
            .env("RUN_TIMEOUT", "120s")
            .env("OUTPUT", "json");
        program
    }

    /// `run --yes`, not yet started.
    pub fn eviction(&self) -> Command {
        self.program(&["run", "--yes"])
    }

    /// Runs `run --yes` to its end.
    pub fn run(&self) -> Finished {
        Finished::of(&mut self.eviction())
    }

    /// Starts `run --yes` and waits until it has listed the pods and is kept waiting for metrics.
    pub fn run_until_planned(&self) -> Running {
        self.metrics.hold();
        let asked = self.metrics.requests().len();
        let run = Running::start(&mut self.eviction());
        wait_until("the run asks for metrics", LIMIT, || self.metrics.requests().len() > asked);
        run
    }

    /// The pods of the start that are gone, replaced or being terminated, in the order of
    /// [`Scene::names`].
    pub fn ended(&self) -> Vec<String> {
        let alive: BTreeMap<String, bool> = self
            .namespace
            .pods("app=orders")
            .iter()
            .map(|pod| (text(pod, "uid"), pod["metadata"]["deletionTimestamp"].is_null()))
            .collect();
        let ended = |(_, uid): &&(String, String)| !alive.get(uid).copied().unwrap_or_default();
        self.pods.iter().filter(ended).map(|(name, _)| name.clone()).collect()
    }

    /// Waits until the pods of the start that have ended are these.
    #[track_caller]
    pub fn wait_ended(&self, expected: &[&str]) {
        wait_until(&format!("{expected:?} have ended"), LIMIT, || self.ended() == expected);
    }

    /// The Events about the workload, oldest first.
    pub fn events(&self) -> Vec<Value> {
        let list = self.plane.admin().get(&self.namespace.path("events.k8s.io/v1", "events")).success();
        let ours = |event: &&Value| event["reportingController"] == "pod-rebalancer/pod-rebalancer";
        let mut events: Vec<Value> =
            list["items"].as_array().expect("a list").iter().filter(ours).cloned().collect();
        events.sort_by_key(|event| event["eventTime"].to_string());
        events
    }

    /// Changes a pod by a merge patch.
    #[track_caller]
    pub fn patch_pod(&self, name: &str, change: &Value) {
        self.plane.admin().merge(&self.namespace.path("v1", &format!("pods/{name}")), change).success();
    }

    /// Sets how many pods the workload of this kind asks for.
    #[track_caller]
    pub fn scale(&self, kind: &str, replicas: usize) {
        let resource = format!("{}s/orders/scale", kind.to_lowercase());
        let change = json!({ "spec": { "replicas": replicas } });
        self.plane.admin().merge(&self.namespace.path("apps/v1", &resource), &change).success();
    }
}

/// The outcome and the exit code of a run that found a threshold passed and evicted nothing: every
/// pod is the one it was, and none is being terminated.
#[track_caller]
pub fn assert_untouched(scene: &Scene<'_>, run: &Finished, outcome: &str, code: i32) {
    assert_eq!((run.json()["outcome"].as_str(), run.code), (Some(outcome), Some(code)), "{run}");
    assert_eq!(run.json()["should_rebalance"], true, "{run}");
    assert_eq!(scene.ended(), Vec::<String>::new(), "{run}");
}

/// Whether the report gives this among its reasons.
#[track_caller]
pub fn assert_says(run: &Finished, words: &str) {
    let reason = run.json()["reason"].to_string();
    assert!(reason.contains(words), "not said: {words:?}\n{run}");
}

/// The namespaced Role of the program, without a verb to spare.
pub fn least_role() -> Value {
    json!([
        { "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"] },
        { "apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"] },
        { "apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": ["list"] },
        { "apiGroups": ["apps"], "resources": ["replicasets", "deployments", "statefulsets"], "verbs": ["get"] },
        { "apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "list"] },
    ])
}

/// The manifest with these annotations on its pods.
pub fn annotated(mut manifest: Value, annotations: &Value) -> Value {
    manifest["spec"]["template"]["metadata"]["annotations"] = annotations.clone();
    manifest
}

fn text(pod: &Value, field: &str) -> String {
    pod["metadata"][field].as_str().unwrap_or_default().to_owned()
}
