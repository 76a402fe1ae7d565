//! A look at all workloads against real metric servers: its joint queries give each workload the verdict of `plan`.

use std::time::Duration;

use e2e::{Finished, Fleet, MetricServer, Release, Series, on_each_metric_server, pod_rebalancer};
use rebalancer_sim::apiserver::{ApiServer, Fleet as Workload};
use serde_json::{Value, json};

on_each_metric_server!(every_workload_has_the_verdict_of_plan);

/// Who tells the lag of a workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Micrometer in its pods, and `kafka_exporter`.
    Clients,
    /// klag alone, whose members are called as the pods are.
    Names,
    /// klag alone, which knows the addresses of the pods.
    Addresses,
    /// Nobody: it reads no Kafka.
    Nobody,
}

/// A workload with a group of its own.
struct Case {
    name: String,
    fleet: Fleet,
    told: Told,
}

impl Case {
    fn new(name: &str, mut fleet: Fleet, told: Told) -> Self {
        fleet.group = format!("{}.{name}", fleet.namespace);
        Self { name: name.to_owned(), fleet, told }
    }

    fn series(&self) -> Vec<Series> {
        let of_containers = |series: &Series| series.name.starts_with("container_");
        match self.told {
            Told::Clients => self.fleet.series().collect(),
            Told::Nobody => self.fleet.series().filter(of_containers).collect(),
            Told::Names | Told::Addresses => {
                self.fleet.series().flat_map(|series| self.by_klag(series)).collect()
            }
        }
    }

    /// What klag tells of a partition; for each pod its address too.
    fn by_klag(&self, series: Series) -> Vec<Series> {
        let name = match series.name.as_str() {
            "kafka_consumergroup_lag" => "klag_consumer_lag",
            "kafka_consumergroup_current_offset" => "klag_consumer_committed_offset",
            "container_memory_working_set_bytes" => return self.with_address(series),
            name if name.starts_with("container_") => return vec![series],
            _ => return Vec::new(),
        };
        let value = |wanted: &str| {
            let label = series.labels.iter().find(|(label, _)| label == wanted);
            label.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let partition: usize = value("partition").parse().expect("a number");
        let position = partition / self.fleet.pods[0].partitions as usize;
        let (client, host) = match self.told {
            Told::Names => (self.fleet.pods[position].name.clone(), String::new()),
            _ => ("consumer".to_owned(), format!("/{}", self.address(position))),
        };
        let labels = [
            ("consumer_group", self.fleet.group.clone()),
            ("topic", value("topic")),
            ("partition", value("partition")),
            ("client_id", client),
            ("member_host", host),
        ];
        vec![Series::new(name, &labels, series.samples)]
    }

    /// The series of a whole pod, and what kube-state-metrics tells of the pod.
    fn with_address(&self, series: Series) -> Vec<Series> {
        if series.labels.iter().any(|(label, _)| label == "container") {
            return vec![series];
        }
        let (_, pod) = series.labels.iter().find(|(label, _)| label == "pod").expect("a pod");
        let position = self.fleet.pods.iter().position(|known| known.name == *pod).expect("a pod of ours");
        let of_pod = [("namespace", self.fleet.namespace.clone()), ("pod", pod.clone())];
        let told = |name: &str, more: &[(&str, String)]| {
            let ones = series.samples.iter().map(|(time_ms, _)| (*time_ms, 1.0)).collect();
            Series::new(name, &[&of_pod, more].concat(), ones)
        };
        let info = [("pod_ip", self.address(position)), ("host_network", "false".to_owned())];
        let phase = told("kube_pod_status_phase", &[("phase", "Running".to_owned())]);
        vec![told("kube_pod_info", &info), phase, series]
    }

    /// The address of a pod: no two have the same.
    fn address(&self, position: usize) -> String {
        let part = self.name.bytes().fold(0_u8, |sum, letter| sum.wrapping_mul(31).wrapping_add(letter));
        format!("10.{}.{part}.{}", self.fleet.namespace.len(), position + 1)
    }
}

/// Two of one name and with pods of one name, one whose name begins as another, and an ill one.
fn cases() -> Vec<Case> {
    let mut stuck = Fleet::even("billing", "stuck", 6);
    (stuck.history, stuck.pods[2].stuck) =
        (Duration::from_secs(2 * 3600), Some(Duration::from_secs(30 * 60)));
    vec![
        Case::new("orders", Fleet::even("streams", "orders", 12).busiest(7).least_busy(3), Told::Clients),
        Case::new("orders-api", Fleet::even("streams", "orders-api", 4), Told::Clients),
        Case::new("orders", Fleet::even("billing", "orders", 6), Told::Clients),
        Case::new("pair", Fleet::even("billing", "pair", 2), Told::Clients),
        Case::new("stuck", stuck, Told::Clients),
        Case::new("audit", Fleet::even("streams", "audit", 5).busiest(2), Told::Names),
        Case::new("ledger", Fleet::even("billing", "ledger", 5).busiest(1), Told::Addresses),
        Case::new("web", Fleet::even("billing", "web", 4).busiest(0), Told::Nobody),
    ]
}

/// So many more, even ones.
fn others(count: usize) -> Vec<Case> {
    let told = [Told::Clients, Told::Names, Told::Addresses, Told::Clients];
    let other = |(number, told): (usize, Told)| {
        let name = format!("other-{number}");
        let namespace = if number.is_multiple_of(2) { "streams" } else { "billing" };
        Case::new(&name, Fleet::even(namespace, &name, 4), told)
    };
    told.into_iter().cycle().take(count).enumerate().map(other).collect()
}

fn workload_of(Case { name, fleet, .. }: &Case) -> Workload {
    let names: Vec<&str> = fleet.pods.iter().map(|pod| pod.name.as_str()).collect();
    Workload { namespace: fleet.namespace.clone(), ..Workload::named(name, &names) }
}

fn cluster_of<'c>(cases: impl Iterator<Item = &'c Case>) -> ApiServer {
    ApiServer::start_all(cases.map(workload_of).collect())
}

fn every_workload_has_the_verdict_of_plan(release: Release) {
    let (cases, others) = (cases(), others(16));
    let series: Vec<Series> = cases.iter().chain(&others).flat_map(Case::series).collect();
    let server = MetricServer::filled(release, series, &[]);
    let cluster = cluster_of(cases.iter());
    let scan = program(&cluster, &server, &["scan", "--all-namespaces", "--details"]);
    assert_eq!(scan.code, Some(0), "{scan}");
    let report = scan.json();
    let rows = report["workloads"].as_array().expect("rows");
    assert_eq!(rows.len(), cases.len(), "{scan}");
    for row in rows {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let target = format!("deployment/{}", text("name"));
        let plan = program(&cluster, &server, &["plan", &target, "--namespace", &text("namespace")]);
        assert_same(&row["report"], &plan.json(), &format!("{}/{target}", text("namespace")));
    }
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).expect("a row");
    assert_eq!(row("stuck")["cause"], "stuck_partition", "{scan}");
    for name in ["audit", "ledger"] {
        assert!(
            row(name)["lag_cv"].as_f64().is_some_and(|cv| cv > 0.5),
            "klag tells the lag of {name}: {scan}"
        );
    }
    assert_eq!(row("web")["lag_cv"], Value::Null, "{scan}");
    a_cure_is_blocked_by_local_storage(&cases, &server);

    // More workloads of the same kinds are asked about by as many queries, but for one that their names make too long.
    let asked = |more: usize| {
        let cluster = cluster_of(cases.iter().chain(&others[..more]));
        let scan = program(&cluster, &server, &["scan", "--all-namespaces"]);
        assert_eq!(scan.json()["workloads"].as_array().map(Vec::len), Some(cases.len() + more), "{scan}");
        scan.json()["requests"]["prometheus"].as_u64().unwrap_or_default()
    };
    let (of_more, of_few) = (asked(16), asked(8));
    assert!((of_few..=of_few + 1).contains(&of_more), "{of_more} and {of_few}");
}

/// A stuck partition below every threshold, in a pod whose volume lies on its node.
fn a_cure_is_blocked_by_local_storage(cases: &[Case], server: &MetricServer) {
    let case = cases.iter().find(|case| case.name == "stuck").expect("a case");
    let mut workload = workload_of(case);
    workload.volumes = vec![json!({"name": "data", "persistentVolumeClaim": {"claimName": "data"}})];
    let objects = [
        (
            "persistentvolumeclaims/data",
            json!({"metadata": {"name": "data"}, "spec": {"volumeName": "pv-1"}}),
        ),
        (
            "persistentvolumes/pv-1",
            json!({"metadata": {"name": "pv-1"}, "spec": {"local": {"path": "/mnt"}}}),
        ),
    ];
    workload.objects.extend(objects.map(|(path, object)| (path.to_owned(), object)));
    let cluster = ApiServer::start_all(vec![workload]);
    let quiet = ["--strategy=by_cause", "--cpu-variance-threshold=9", "--lag-variance-threshold=9"];
    let namespace = case.fleet.namespace.as_str();
    let look = |arguments: &[&str], storage: &str| {
        let storage = format!("--local-storage={storage}");
        program(&cluster, server, &[arguments, &["-n", namespace, storage.as_str()], &quiet].concat())
    };
    for (storage, outcome) in [("allow", "planned"), ("refuse", "blocked")] {
        let scan = look(&["scan", "--details"], storage);
        let plan = look(&["plan", "deployment/stuck"], storage);
        assert_eq!(plan.json()["outcome"], outcome, "{plan}");
        assert_same(&scan.json()["workloads"][0]["report"], &plan.json(), "stuck");
    }
}

/// Two reports of one workload, a moment apart.
fn assert_same(scanned: &Value, planned: &Value, target: &str) {
    for part in ["outcome", "should_rebalance", "targets", "outliers", "coverage", "obstacles"] {
        assert_eq!(scanned[part], planned[part], "{target}: {part}");
    }
    let guards = |report: &Value| -> Vec<Value> {
        let all = report["guards"].as_array().into_iter().flatten();
        all.flat_map(|guard| [guard["name"].clone(), guard["verdict"].clone()]).collect()
    };
    assert_eq!(guards(scanned), guards(planned), "{target}");
    assert_eq!(scanned["diagnosis"]["cause"]["code"], planned["diagnosis"]["cause"]["code"], "{target}");
    assert_eq!(scanned["diagnosis"]["remedy"], planned["diagnosis"]["remedy"], "{target}");
    for metric in ["cpu", "memory", "lag", "rate"] {
        let cv = |report: &Value| report["statistics"][metric]["cv"].as_f64();
        match (cv(scanned), cv(planned)) {
            (Some(one), Some(other)) => {
                assert!((one - other).abs() < 1e-3, "{target}: {metric} {one} {other}");
            }
            (one, other) => assert_eq!(one, other, "{target}: {metric}"),
        }
    }
}

fn program(cluster: &ApiServer, server: &MetricServer, arguments: &[&str]) -> Finished {
    let mut command = pod_rebalancer(arguments);
    command
        .args(["--output", "json", "--kubeconfig"])
        .arg(cluster.kubeconfig_path())
        .env("PROMETHEUS_ENDPOINT", server.url());
    Finished::of(&mut command)
}
