//! The metrics of a run on their way: pushed to a real Pushgateway that a real Prometheus scrapes,
//! and to a real VictoriaMetrics, then asked for by the dashboard and the alert rules.

use std::fs;
use std::path::Path;
use std::time::Duration;

use e2e::{Finished, Fleet, MetricServer, Release, pod_rebalancer, require, wait_until};
use rebalancer_sim::apiserver::{ApiServer, Fleet as Workload};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(60);
const LAST_SUCCESS: &str = "pod_rebalancer_last_success_timestamp_seconds";

/// The servers around three workloads: `orders` that is rotated, `ledger` that is held back, `mail`
/// whose second run fails.
struct Scene {
    loads: MetricServer,
    gateway: MetricServer,
    victoria: MetricServer,
    fleet: Fleet,
}

impl Scene {
    fn start(prometheus: Release, victoria: Release) -> Self {
        let fleet = Fleet::even("streams", "orders", 12).busiest(7).least_busy(3);
        Self {
            loads: MetricServer::start(prometheus, &fleet, &[]),
            gateway: MetricServer::pushgateway(),
            // Without the flag it hides what came in the last half minute.
            victoria: MetricServer::start(
                victoria,
                &Fleet::even("none", "none", 1),
                &["-search.latencyOffset=0s"],
            ),
            fleet,
        }
    }

    /// One run for the workload of this name; all have the pods of the same fleet.
    fn run(&self, workload: &str, env: &[(&str, &str)]) -> Finished {
        let names: Vec<&str> = self.fleet.pods.iter().map(|pod| pod.name.as_str()).collect();
        let mut cluster = Workload::named(workload, &names);
        cluster.namespace.clone_from(&self.fleet.namespace);
        let cluster = ApiServer::start(cluster);
        let mut command = pod_rebalancer(["run", "--yes", "--output=json", "--namespace=streams"]);
        command
            .arg(format!("--selector=app={workload}"))
            .arg("--kubeconfig")
            .arg(cluster.kubeconfig_path())
            .env("PROMETHEUS_ENDPOINT", self.loads.url())
            .env(
                "METRICS_PUSH_URL",
                format!("{},{}/api/v1/import/prometheus", self.gateway.url(), self.victoria.url()),
            )
            .envs(env.iter().copied());
        let run = Finished::of(&mut command);
        assert!(!run.stderr.contains("push_failed"), "{run}");
        run
    }
}

#[test]
fn what_is_pushed_can_be_asked_for() {
    require!(Prometheus, VictoriaMetrics, Pushgateway);
    can_be_asked_for(Release::Prometheus, Release::VictoriaMetrics);
}

#[test]
fn what_is_pushed_can_be_asked_for_of_the_newest_servers() {
    require!(NewestPrometheus, NewestVictoriaMetrics, Pushgateway);
    can_be_asked_for(Release::NewestPrometheus, Release::NewestVictoriaMetrics);
}

fn can_be_asked_for(prometheus: Release, victoria: Release) {
    let scene = Scene::start(prometheus, victoria);
    let rotated = scene.run("orders", &[("GUARDS", "off")]);
    assert_eq!(rotated.json()["outcome"], "rotated", "{rotated}");
    let withheld = scene.run("ledger", &[("PERSISTENCE", "off"), ("COOLDOWN", "10000h")]);
    assert_eq!(withheld.json()["outcome"], "withheld", "{withheld}");
    let fine = scene.run("mail", &[("DRY_RUN", "client"), ("GUARDS", "off")]);
    assert_eq!(fine.json()["outcome"], "planned", "{fine}");

    let scraper = MetricServer::prometheus_of(prometheus, &scene.gateway);
    let success = format!("{LAST_SUCCESS}{{target=\"app=mail\"}}");
    wait_until("Prometheus has scraped the Pushgateway", LIMIT, || !scraper.vector(&success).is_empty());
    let succeeded = value(&scraper, &success);
    let failed = scene.run("mail", &[("PROMETHEUS_ENDPOINT", "http://127.0.0.1:9")]);
    assert_eq!(failed.code, Some(1), "{failed}");
    let outcome = "pod_rebalancer_last_run_outcome{target=\"app=mail\"} == 1";
    wait_until("the failure is scraped", LIMIT, || label(&scraper, outcome, "outcome") == "failed");
    assert!((value(&scraper, &success) - succeeded).abs() < 1e-3, "the last success survives a failure");
    let ended = value(&scraper, "pod_rebalancer_last_run_timestamp_seconds{target=\"app=mail\"}");
    assert!(ended > succeeded, "{ended} > {succeeded}");

    for server in [&scraper, &scene.victoria] {
        wait_until("the failure is there", LIMIT, || {
            let failing = format!("last_over_time({}) == 1", outcome.replace(" == 1", "[20m]"));
            server.vector(&failing).iter().any(|sample| sample["metric"]["outcome"] == "failed")
        });
        wait_until("all three are there", LIMIT, || {
            server.vector("count by (target) (pod_rebalancer_build_info)").len() == 3
        });
        assert_eq!(
            label(server, "pod_rebalancer_last_run_outcome{target=\"app=orders\"} == 1", "outcome"),
            "rotated"
        );
        assert_eq!(
            server
                .vector("pod_rebalancer_last_run_withheld{target=\"app=ledger\", reason=\"cooldown\"} == 1")
                .len(),
            1
        );
        assert!(
            (value(server, "pod_rebalancer_last_run_evictions{target=\"app=orders\", result=\"evicted\"}")
                - 2.0)
                .abs()
                < f64::EPSILON
        );
        let spread = rotated.json()["statistics"]["lag"]["cv_compared"].as_f64().expect("lag has a spread");
        let shown = value(server, "pod_rebalancer_imbalance_ratio{target=\"app=orders\", metric=\"lag\"}");
        assert!((shown - spread).abs() < 1e-9, "{shown} is {spread}");
        for query in dashboard_queries() {
            wait_until(&format!("{query} answers"), LIMIT, || !server.vector(&query).is_empty());
        }
        the_alerts_see(server);
    }
}

/// Every rule over these metrics selects what it is about, and nothing else.
#[track_caller]
fn the_alerts_see(server: &MetricServer) {
    let rules = read("deploy/prometheus/alerts.yaml");
    let rules: Value = serde_saphyr::from_str(&rules).expect("the rules are YAML");
    let rules = rules["groups"][0]["rules"].as_array().expect("a group has rules").clone();
    let mut seen = Vec::new();
    for rule in rules {
        let name = rule["alert"].as_str().expect("a rule has a name").to_owned();
        // What a run just now cannot show: minutes without a success.
        let query = rule["expr"].as_str().expect("a rule has an expression").replace("> 1800", "> 0");
        let found = server.vector(&query);
        let targets: Vec<&str> =
            found.iter().filter_map(|sample| sample["metric"]["target"].as_str()).collect();
        if !targets.is_empty() {
            seen.push((name, targets.iter().map(ToString::to_string).collect::<Vec<String>>()));
        }
    }
    let target = |name: &str| {
        seen.iter().find(|(known, _)| known == name).map(|(_, targets)| {
            let mut targets = targets.clone();
            targets.sort_unstable();
            targets.dedup();
            targets.join(" ")
        })
    };
    assert_eq!(target("PodRebalancerNotSucceeded").as_deref(), Some("app=ledger app=mail app=orders"));
    assert_eq!(target("PodRebalancerFailing").as_deref(), Some("app=mail"));
    assert_eq!(target("PodRebalancerAlwaysOverThreshold").as_deref(), Some("app=orders"));
    assert_eq!(target("PodRebalancerBlockedByPDB"), None);
    assert_eq!(target("PodRebalancerPartialData"), None);
}

fn value(server: &MetricServer, query: &str) -> f64 {
    let found = server.vector(query);
    assert_eq!(found.len(), 1, "{query}: {found:?}");
    found[0]["value"][1].as_str().and_then(|value| value.parse().ok()).expect("a sample has a number")
}

/// A label of the one sample of a query; empty while there is none.
#[track_caller]
fn label(server: &MetricServer, query: &str, label: &str) -> String {
    let found = server.vector(query);
    assert!(found.len() < 2, "{query}: {found:?}");
    found.first().and_then(|sample| sample["metric"][label].as_str()).unwrap_or_default().to_owned()
}

/// Every expression of the dashboard, with its variables filled in as Grafana does.
fn dashboard_queries() -> Vec<String> {
    let dashboard: Value =
        serde_json::from_str(&read("deploy/grafana/pod-rebalancer.json")).expect("it is JSON");
    let panels = dashboard["panels"].as_array().expect("a dashboard has panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let query = |target: &Value| {
        let query = target["expr"].as_str().expect("a target has an expression");
        query.replace("$__range", "24h").replace("$target_namespace", ".*").replace("$target_name", ".*")
    };
    targets.map(query).collect()
}

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("e2e lies in the repository");
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
