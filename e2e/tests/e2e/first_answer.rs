//! The first answer: with a kubeconfig and no setting at all, `scan` names the right cause of each of eight workloads, and
//! `run --all` cures the one that it may and leaves the others.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use e2e::{
    ControlPlane, Finished, Fleet, KubeLens, Lens, Level, MetricServer, Namespace, Series, pod_rebalancer,
    require, wait_until, workload,
};
use serde_json::{Value, json};

use super::discover::serve;

const LIMIT: Duration = Duration::from_secs(60);
const PODS: u32 = 6;
/// The pod that is not as the others.
const CASE: usize = 2;
/// Through the lens an hour and a half: longer than every guard looks back.
const WATCHED: Duration = Duration::from_secs(180);

/// The workloads, each by what is wrong with it, and the cause that must be named.
const WORKLOADS: [(&str, &str); 8] = [
    ("balanced", "balanced"),
    ("sick", "sick_pod"),
    ("stalled", "stalled_pod"),
    ("stuck", "stuck_partition"),
    ("hot", "hot_partition"),
    ("idle", "nearly_idle"),
    ("noisy", "uneven_but_noisy"),
    ("pair", "unknown"),
];

/// Ill too, and for people to cure: these opted in with a dry run.
const OF_PEOPLE: [&str; 2] = ["stalled", "stuck"];

#[test]
fn a_kubeconfig_is_enough_to_name_the_cause_of_each_workload_and_to_cure_one() {
    require!(ControlPlane, Prometheus);
    // One of its own: on the shared one other tests have Services of metrics servers too.
    let plane = ControlPlane::start(&[]);
    let namespace = plane.namespace("first-answer");
    let begun = Instant::now();
    for (name, _) in WORKLOADS {
        namespace.apply(&opted_in(name));
    }
    let pods: BTreeMap<&str, Vec<String>> =
        WORKLOADS.into_iter().map(|(name, _)| (name, pods(&namespace, name))).collect();
    thread::sleep(WATCHED.saturating_sub(begun.elapsed()));
    let series = WORKLOADS.into_iter().flat_map(|(name, _)| series(&namespace, name, &pods[name]));
    let metrics = MetricServer::filled(e2e::Release::Prometheus, series.collect::<Vec<Series>>(), &[]);
    serve(&namespace, metrics.url());

    let lens = KubeLens::before(namespace.admin(), Lens::now());
    let kubeconfig = lens.kubeconfig(namespace.name());
    let ask = |arguments: &[&str]| {
        let mut program = pod_rebalancer(arguments);
        program.env("KUBECONFIG", &kubeconfig);
        Finished::of(&mut program)
    };
    // The API server learns of the new Service through a watch.
    let begun = Instant::now();
    let mut scan = ask(&["scan", "-o", "json"]);
    while scan.code != Some(0) && begun.elapsed() < LIMIT {
        scan = ask(&["scan", "-o", "json"]);
    }
    assert_eq!(scan.code, Some(0), "{scan}");
    let report = scan.json();
    let rows = report["workloads"].as_array().expect("rows");
    let causes: BTreeMap<&str, &str> = rows
        .iter()
        .map(|row| (row["name"].as_str().unwrap_or_default(), row["cause"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(causes, WORKLOADS.into_iter().collect(), "{scan}");

    let run = ask(&["run", "--all", "--yes", "--strategy", "by_cause", "--max-rotations", "9", "-o", "json"]);
    assert_cured(&run, &namespace, &pods);
}

/// The run has replaced the sick pod and no other, as the API server shows.
fn assert_cured(run: &Finished, namespace: &Namespace<'_>, pods: &BTreeMap<&str, Vec<String>>) {
    let sick = pods["sick"][CASE].clone();
    assert_eq!(run.code, Some(0), "{run}");
    let report = run.json();
    let rows = report["workloads"].as_array().expect("rows");
    let outcome = |name: &str| {
        let row = rows.iter().find(|row| row["name"] == name);
        row.map_or(Value::Null, |row| row["outcome"].clone())
    };
    assert_eq!((rows.len(), &outcome("sick")), (WORKLOADS.len(), &"rotated".into()), "{run}");
    for name in OF_PEOPLE {
        assert_eq!(outcome(name), "planned", "{name} opted in with a dry run: {run}");
    }
    wait_until("the sick pod is gone", LIMIT, || !namespace.pod_names("app=sick").contains(&sick));
    for (name, _) in WORKLOADS {
        namespace.wait_ready(&format!("app={name}"), count(name) as usize, LIMIT);
        let after = namespace.pod_names(&format!("app={name}"));
        let gone: Vec<&String> = pods[name].iter().filter(|pod| !after.contains(pod)).collect();
        let expected = if name == "sick" { vec![&sick] } else { Vec::new() };
        assert_eq!(gone, expected, "the pods of {name} on the API server: {run}");
    }
}

/// A Deployment that `run --all` may act on.
fn opted_in(name: &str) -> Value {
    let mut deployment = workload::deployment(name, count(name));
    let mut annotations = json!({ "pod-rebalancer/enabled": "true" });
    if OF_PEOPLE.contains(&name) {
        annotations["pod-rebalancer/dry-run"] = "client".into();
    }
    deployment["metadata"]["annotations"] = annotations;
    deployment
}

fn count(name: &str) -> u32 {
    if name == "pair" { 2 } else { PODS }
}

fn pods(namespace: &Namespace<'_>, name: &str) -> Vec<String> {
    let selector = format!("app={name}");
    namespace.wait_ready(&selector, count(name) as usize, LIMIT);
    namespace.pod_names(&selector)
}

/// The loads of a workload: even ones, changed by what is wrong with it.
fn series(namespace: &Namespace<'_>, name: &str, pods: &[String]) -> Vec<Series> {
    let mut fleet = Fleet::of_pods(namespace.name(), pods.to_vec());
    name.clone_into(&mut fleet.group);
    fleet.history = Duration::from_secs(2 * 3600);
    let half_an_hour = Duration::from_secs(30 * 60);
    match name {
        "sick" => fleet.pods[CASE].cpu = Some(Level::from(0.8)),
        "stalled" => {
            let pod = &mut fleet.pods[CASE];
            pod.cpu = Some(Level::from(0.25).then(half_an_hour, 0.01));
            pod.rate = Some(Level::from(400.0).then(half_an_hour, 0.0));
            pod.lag = Some(Level::from(1500.0).then(half_an_hour, 300_000.0));
        }
        "stuck" => fleet.pods[CASE].stuck = Some(half_an_hour),
        "hot" => {
            let pod = &mut fleet.pods[CASE];
            pod.cpu = Some(Level::from(1.25));
            (pod.rate, pod.lag) = (Some(Level::from(2000.0)), Some(Level::from(20_000.0)));
            pod.first_share = 0.9;
        }
        "idle" => {
            for (position, pod) in fleet.pods.iter_mut().enumerate() {
                let load = 1.0 + (position * 5 % PODS as usize) as f64;
                pod.cpu = Some(Level::from(0.001 * load));
                (pod.rate, pod.lag) = (Some(Level::from(1.6 * load)), Some(Level::from(3.0 * load * load)));
            }
        }
        "noisy" => {
            let mut random = fastrand::Rng::with_seed(7);
            for pod in &mut fleet.pods {
                let loads: Vec<f64> = (0..24).map(|_| 0.05 + 0.55 * random.f64()).collect();
                let level = |times: f64| {
                    let steps = loads.iter().enumerate();
                    steps.fold(Level::from(0.3 * times), |level, (step, load)| {
                        level.then(Duration::from_secs(300 * (24 - step as u64)), load * times)
                    })
                };
                (pod.cpu, pod.rate) = (Some(level(1.0)), Some(level(1600.0)));
            }
        }
        _ => {}
    }
    fleet.series().collect()
}
