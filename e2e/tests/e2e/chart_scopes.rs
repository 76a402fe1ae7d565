//! The chart with a scope: its account may rotate what opted in there, on a real control plane, and nothing else.

use std::collections::BTreeSet;
use std::time::Duration;

use e2e::{ControlPlane, Fleet, MetricServer, Namespace, Release, Series, require, wait_until, workload};
use serde_json::{Value, json};

use crate::packages::{Account, CHART, accepted, granted, helm, named, run, text};

const LIMIT: Duration = Duration::from_secs(120);
const ACCOUNT: &str = "r-pod-rebalancer-all";

#[test]
fn the_account_of_namespaces_rotates_what_opted_in_there() {
    require!(ControlPlane, Kubectl, Helm, Prometheus);
    let scene = Scene::of("scope-namespace", 1);
    let namespaces = format!("namespaces={{{},{}}}", scene.home.name(), scene.other.name());
    let objects = scene.install(&["scope=namespace", &namespaces]);
    assert_eq!(objects.iter().filter(|it| it["kind"] == "Role").count(), 2, "one in each namespace");
    let permissions = granted(&objects, ACCOUNT);
    assert_eq!(permissions, needed(), "what is needed and no more");
    scene.rotates(&objects, 1);
    scene.refuses(403);
}

#[test]
fn the_account_of_the_cluster_rotates_what_opted_in_anywhere() {
    require!(ControlPlane, Kubectl, Helm, Prometheus);
    let scene = Scene::of("scope-cluster", 2);
    let in_namespaces = scene.render(&["scope=namespace"]);
    let objects = scene.install(&["scope=cluster"]);
    assert!(objects.iter().all(|it| it["kind"] != "Role"), "a ClusterRole in place of Roles");
    let name = format!("{ACCOUNT}.{}", scene.home.name());
    let rules = |kind: &str, name: &str, of: &[Value]| named(of, kind, name)["rules"].clone();
    let equal = rules("ClusterRole", &name, &objects) == rules("Role", ACCOUNT, &in_namespaces);
    assert!(equal, "the same permissions, in all namespaces");
    scene.rotates(&objects, 2);
    scene.refuses(422);
}

/// What `run --all` needs in a namespace, in the words of `check`.
fn needed() -> Vec<String> {
    let mut needed: Vec<String> = [
        "list pods",
        "get pods",
        "create pods/eviction",
        "list persistentvolumeclaims",
        "list poddisruptionbudgets.policy",
        "create events.events.k8s.io",
        "list events.events.k8s.io",
    ]
    .map(str::to_owned)
    .to_vec();
    for kind in ["replicasets", "deployments", "statefulsets"] {
        needed.extend(["get", "list"].map(|verb| format!("{verb} {kind}.apps")));
    }
    needed.sort();
    needed
}

/// Workloads of two namespaces that are equally uneven: of each a Deployment and a stateful set, of which one in each
/// namespace opted in.
struct Scene {
    plane: &'static ControlPlane,
    home: Namespace<'static>,
    other: Namespace<'static>,
    metrics: MetricServer,
    most: usize,
}

impl Scene {
    fn of(name: &str, most: usize) -> Self {
        let plane = ControlPlane::shared();
        let (home, other) = (plane.namespace(name), plane.namespace(&format!("{name}-other")));
        let opted_in = |mut manifest: Value| {
            manifest["metadata"]["annotations"] = json!({ "pod-rebalancer/enabled": "true" });
            manifest
        };
        home.apply(&opted_in(workload::deployment("orders", 5)));
        home.apply(&workload::stateful_set("ledger", 5));
        home.apply(&workload::bare_pod("alone", "alone"));
        other.apply(&opted_in(workload::stateful_set("ledger", 5)));
        other.apply(&workload::deployment("mail", 5));
        let mut series: Vec<Series> = Vec::new();
        for (namespace, app) in [(&home, "orders"), (&home, "ledger"), (&other, "ledger"), (&other, "mail")] {
            let selector = format!("app={app}");
            namespace.wait_ready(&selector, 5, LIMIT);
            let fleet = Fleet::of_pods(namespace.name(), namespace.pod_names(&selector));
            let of_pods = |series: &Series| series.labels.iter().any(|(label, _)| label == "pod");
            series.extend(fleet.busiest(3).least_busy(1).series().filter(of_pods));
        }
        let metrics = MetricServer::filled(Release::Prometheus, series, &[]);
        Self { plane, home, other, metrics, most }
    }

    /// The values of the release.
    fn values(&self) -> [String; 4] {
        [
            format!("image.repository=registry.example.com/x,prometheus.endpoint={}", self.metrics.url()),
            format!("settings.GUARDS=off,settings.MAX_ROTATIONS={}", self.most),
            "settings.METRICS_PRESET=micrometer,settings.STRATEGY=rotate_outliers".to_owned(),
            "dryRun=false,admissionPolicy.enabled=true".to_owned(),
        ]
    }

    /// The objects of the release.
    fn render(&self, values: &[&str]) -> Vec<Value> {
        let mut command = helm();
        command.args(["template", "r", CHART, "--kube-version=1.37", "--namespace", self.home.name()]);
        let own = self.values();
        for value in own.iter().map(String::as_str).chain(values.iter().copied()) {
            command.args(["--set", value]);
        }
        let rendered = run(&mut command, "");
        assert!(rendered.status.success(), "{}", text(&rendered));
        accepted(self.plane, &self.home, &String::from_utf8_lossy(&rendered.stdout))
    }

    fn install(&self, values: &[&str]) -> Vec<Value> {
        let objects = self.render(values);
        let mut command = helm();
        command.args(["install", "r", CHART, "--namespace", self.home.name()]);
        command.env("KUBECONFIG", self.plane.admin_kubeconfig(self.home.name()));
        let own = self.values();
        for value in own.iter().map(String::as_str).chain(values.iter().copied()) {
            command.args(["--set", value]);
        }
        let installed = run(&mut command, "");
        let notes = text(&installed);
        assert!(installed.status.success(), "{notes}");
        assert!(notes.contains("EVICTS up to two pods of each workload that opts in in "), "{notes}");
        objects
    }

    /// The account does what its `CronJob` does: so many rotations of what opted in.
    fn rotates(&self, objects: &[Value], rotations: usize) {
        let account = Account::new(self.plane, &self.home, ACCOUNT);
        let own = &self.home.pods("app=orders")[0];
        wait_until("the policy is in force", LIMIT, || account.is_refused(own));
        let before = self.uids();
        let container = |kind: &str, name: &str, path: &str| {
            let pod = named(objects, kind, name).pointer(path).cloned().unwrap_or_default();
            pod["containers"][0]["args"].clone()
        };
        let path = "/spec/jobTemplate/spec/template/spec";
        let arguments = container("CronJob", ACCOUNT, path);
        let arguments: Vec<&str> =
            arguments.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let check = container("Job", &format!("{ACCOUNT}-check"), "/spec/template/spec");
        let check: Vec<&str> = check.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let scan = account.program(objects, &check);
        assert_eq!(scan.code, Some(0), "{scan}");

        let done = account.program(objects, &arguments);
        assert_eq!(done.code, Some(0), "{done}");
        assert_eq!(done.json()["run"]["rotations"], rotations, "{done}");
        let ended = |now: &[BTreeSet<String>]| -> Vec<usize> {
            before.iter().zip(now).map(|(before, now)| before.difference(now).count()).collect()
        };
        wait_until("the pods are gone", LIMIT, || ended(&self.uids()).iter().sum::<usize>() == 2 * rotations);
        let ended = ended(&self.uids());
        assert_eq!((ended[1], ended[3]), (0, 0), "what has not opted in is left alone: {ended:?} {done}");
        assert!(ended.iter().all(|count| [0, 2].contains(count)), "{ended:?} {done}");
    }

    /// The UIDs of the pods that live: orders and ledger at home, ledger and mail in the other namespace.
    fn uids(&self) -> [BTreeSet<String>; 4] {
        let of = |namespace: &Namespace<'_>, app: &str| {
            let pods = namespace.pods(&format!("app={app}"));
            let alive = pods.iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
            alive.map(|pod| pod["metadata"]["uid"].to_string()).collect()
        };
        [
            of(&self.home, "orders"),
            of(&self.home, "ledger"),
            of(&self.other, "ledger"),
            of(&self.other, "mail"),
        ]
    }

    /// Neither a pod that no workload owns is evicted, nor, with `elsewhere`, one of a third namespace.
    fn refuses(&self, elsewhere: u16) {
        let account = Account::new(self.plane, &self.home, ACCOUNT);
        let alone = &self.home.pods("app=alone")[0];
        let by_uid = |pod: &Value| json!({ "uid": pod["metadata"]["uid"] });
        let (status, answer) = account.evict(alone, &by_uid(alone));
        assert_eq!(status, 422, "{answer}");
        assert!(
            answer.to_string().contains("may evict here only pods of Deployments and StatefulSets"),
            "{answer}"
        );
        let third = self.plane.namespace(&format!("{}-third", self.home.name()));
        third.apply(&workload::bare_pod("alone", "alone"));
        let pod = third.pods("app=alone").remove(0);
        let account = Account { namespace: &third, ..account };
        let (status, answer) = account.evict(&pod, &by_uid(&pod));
        assert_eq!(status, elsewhere, "{answer}");
    }
}
