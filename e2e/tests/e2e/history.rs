//! What replacements changed, by real metric servers that remember them: the numbers are those of the loads that the
//! servers were filled with.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use e2e::{
    Finished, Fleet, Level, MetricServer, PodLoads, Release, Sandbox, Series, on_each_metric_server,
    pod_rebalancer,
};
use rebalancer_sim::apiserver::{ApiServer, Fleet as Workload, WorkloadKind};
use serde_json::{Value, json};

on_each_metric_server!(
    a_rotation_and_a_replacement_in_vain_are_told_apart,
    the_page_of_a_decision_tells_of_both,
    pods_that_keep_their_names_are_told_by_their_creation
);

const MINUTE: Duration = Duration::from_secs(60);

/// When both pods were rotated, and when another was replaced.
const ROTATED: Duration = Duration::from_secs(200 * 60);
const DELETED: Duration = Duration::from_secs(90 * 60);

/// Largest difference of a spread from that of the loads: samples are 15 s apart.
const TOLERANCE: f64 = 0.02;

fn ago(time: Duration) -> SystemTime {
    SystemTime::now() - time
}

fn rfc3339(time: SystemTime) -> String {
    let time: jiff::Timestamp = time.try_into().expect("a time of this century");
    time.to_string()
}

/// Population standard deviation over mean.
fn cv(loads: &[f64]) -> f64 {
    let mean = loads.iter().sum::<f64>() / loads.len() as f64;
    let variance = loads.iter().map(|load| (load - mean) * (load - mean)).sum::<f64>() / loads.len() as f64;
    variance.sqrt() / mean
}

/// Ten pods, of which two were uneven until they were rotated, and one was replaced later without any effect. Six hours
/// are remembered.
fn fleet() -> Fleet {
    let names = |pods: &[&str]| -> Vec<String> {
        pods.iter().map(|pod| format!("orders-6d5f9c7b84-{pod}")).collect()
    };
    let even = names(&["aaaaa", "bbbbb", "ccccc", "ddddd", "eeeee", "fffff", "ggggg"]);
    let all = even.into_iter().chain(names(&["busyx", "idlex", "newaa", "newbb", "gonex", "again"]));
    let mut fleet = Fleet::of_pods("streams", all).busiest(7).least_busy(8);
    fleet.history = Duration::from_secs(6 * 3600);
    fleet.scrape_interval = Duration::from_secs(30);
    for (place, born, gone) in [
        (7, None, Some(ROTATED)),
        (8, None, Some(ROTATED)),
        (9, Some(ROTATED), None),
        (10, Some(ROTATED), None),
    ] {
        (fleet.pods[place].born, fleet.pods[place].gone) = (born, gone);
    }
    (fleet.pods[11].gone, fleet.pods[12].born) = (Some(DELETED), Some(DELETED));
    fleet
}

/// One load of a pod.
type Load = fn(&PodLoads) -> Option<Level>;

fn cpu(pod: &PodLoads) -> Option<Level> {
    pod.cpu.clone()
}

fn lag(pod: &PodLoads) -> Option<Level> {
    pod.lag.clone()
}

/// The loads of the pods that were there so long ago.
fn loads(fleet: &Fleet, at: Duration, load: Load) -> Vec<f64> {
    let is_there =
        |pod: &&PodLoads| pod.born.is_none_or(|born| born >= at) && pod.gone.is_none_or(|gone| gone <= at);
    let there = fleet.pods.iter().filter(is_there);
    there.filter_map(|pod| Some(load(pod)?.value_at(at))).collect()
}

/// The pods that are there now, as an API server lists them.
fn workload(fleet: &Fleet) -> Workload {
    let live: Vec<&PodLoads> = fleet.pods.iter().filter(|pod| pod.gone.is_none()).collect();
    let names: Vec<&str> = live.iter().map(|pod| pod.name.as_str()).collect();
    let mut workload = Workload { namespace: fleet.namespace.clone(), ..Workload::named("orders", &names) };
    for pod in live {
        if let Some(born) = pod.born {
            workload.pod(&pod.name).created = ago(born);
        }
    }
    workload
}

/// An Event as this program writes it on a Deployment.
fn rotated(pod: &str, at: SystemTime) -> Value {
    json!({
        "metadata": { "creationTimestamp": rfc3339(at) }, "eventTime": rfc3339(at), "reason": "Rotated",
        "reportingController": "pod-rebalancer/pod-rebalancer", "type": "Normal",
        "note": format!("evicted {pod}: cpu spread over its threshold"),
        "regarding": { "kind": "Deployment", "name": "orders" }, "related": { "kind": "Pod", "name": pod },
    })
}

fn history(cluster: &ApiServer, server: &MetricServer, args: &[&str]) -> Finished {
    program("history", cluster, server, args)
}

fn program(command: &str, cluster: &ApiServer, server: &MetricServer, args: &[&str]) -> Finished {
    let mut command = pod_rebalancer([command, "--selector=app=orders", "--namespace=streams"]);
    command
        .args(args)
        .arg("--kubeconfig")
        .arg(cluster.kubeconfig_path())
        .env("PROMETHEUS_ENDPOINT", server.url());
    Finished::of(&mut command)
}

#[track_caller]
fn assert_spread(spread: &Value, key: &str, expected: f64) {
    let found = spread[key].as_f64().unwrap_or_else(|| panic!("{spread} has no {key}"));
    assert!((found - expected).abs() < TOLERANCE, "{key}: {found} is not {expected}");
}

/// The cluster of the fleet, which knows that this program evicted the busy pod.
fn cluster(fleet: &Fleet) -> ApiServer {
    let mut workload = workload(fleet);
    workload.events.push(rotated(&fleet.pods[7].name, ago(ROTATED)));
    ApiServer::start(workload)
}

fn a_rotation_and_a_replacement_in_vain_are_told_apart(release: Release) {
    let fleet = fleet();
    let server = MetricServer::start(release, &fleet, &[]);
    let cluster = cluster(&fleet);
    let done = history(&cluster, &server, &["--from=3d", "--output=json"]);
    assert_eq!(done.code, Some(0), "{done}");
    let report = done.json();
    let changes = report["replacements"].as_array().expect("a list").clone();
    let [rotation, other] = &changes[..] else { panic!("{done}") };

    assert_eq!((&rotation["by"], &rotation["helped"]), (&"this_program".into(), &"yes".into()), "{done}");
    assert_eq!(rotation["gone"].as_array().map(Vec::len), Some(2), "{done}");
    assert_eq!(rotation["came"].as_array().map(Vec::len), Some(2), "{done}");
    for (metric, load) in [("cpu", cpu as Load), ("lag", lag)] {
        let spread = &rotation["spreads"][metric];
        assert_spread(spread, "before", cv(&loads(&fleet, ROTATED + MINUTE, load)));
        assert_spread(spread, "after", cv(&loads(&fleet, ROTATED.saturating_sub(MINUTE), load)));
        assert_eq!(spread["trend"], "fell", "{done}");
    }
    let began: jiff::Timestamp = rotation["began"].as_str().expect("a time").parse().expect("a time");
    let expected = ago(ROTATED).duration_since(UNIX_EPOCH).expect("past 1970").as_secs_f64();
    assert!((began.as_millisecond() as f64 / 1000.0 - expected).abs() < 30.0, "{began}");

    assert_eq!((&other["by"], &other["helped"]), (&"unknown".into(), &"was_even".into()), "{done}");
    assert_eq!(other["came"], json!(["orders-6d5f9c7b84-again"]), "{done}");
    let remembered: jiff::Timestamp =
        report["remembered_from"].as_str().expect("a time").parse().expect("a time");
    let hours = jiff::Timestamp::now().duration_since(remembered).as_secs_f64() / 3600.0;
    assert!((5.8..6.2).contains(&hours), "it remembers six of 72 hours: {hours}");

    let table = history(&cluster, &server, &["--since=3d"]);
    assert!(table.stdout.contains("2 replacements: 1 helped, 1 met an even load."), "{table}");
    assert!(table.stdout.contains("remembers pods of this workload only since"), "{table}");
    assert!(cluster.requests().iter().all(|request| request.method == "GET"), "it only reads");
}

fn the_page_of_a_decision_tells_of_both(release: Release) {
    let fleet = fleet();
    let server = MetricServer::start(release, &fleet, &[]);
    let cluster = cluster(&fleet);
    let folder = Sandbox::new();
    let file = folder.path().join("page.html");
    let report = format!("--report={}", file.display());
    let done = program("plan", &cluster, &server, &[&report, "--output=json"]);
    assert_eq!((done.code, &done.json()["outcome"]), (Some(0), &json!("balanced")), "{done}");
    let page = fs::read_to_string(&file).expect("the page");
    let mut sections = page.split("<section ");
    let section = sections.find(|section| section.contains("id=\"earlier\"")).expect("a section of the past");
    for words in [
        "2 replacements: 1 helped, 1 met an even load.",
        "remembers pods of this workload only since",
        "By this program: ",
        "Who did it is not known: ",
        "orders-6d5f9c7b84-busyx",
        "orders-6d5f9c7b84-again",
    ] {
        assert!(section.contains(words), "{words}: {section}");
    }
    // The rotation is the earlier one, and stands last.
    for (column, at) in [("Before", ROTATED + MINUTE), ("After", ROTATED.saturating_sub(MINUTE))] {
        let start = format!("data-n=\"{column}\">");
        let cells = section.split(&start).skip(1).filter_map(|cell| cell.split('<').next()?.parse().ok());
        let cells: Vec<f64> = cells.collect();
        let [.., of_cpu, of_lag] = cells[..] else { panic!("{column}: {section}") };
        for (told, load) in [(of_cpu, cpu as Load), (of_lag, lag)] {
            let expected = cv(&loads(&fleet, at, load));
            assert!((told - expected).abs() < TOLERANCE, "{column}: {told} is not {expected}");
        }
    }
}

/// The metrics of a run that evicted a pod of the stateful set and ended so long ago, for half an hour from then on.
fn metrics_of_a_run(ended: Duration) -> Vec<Series> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("past 1970");
    let moments = (0..30).map(|minute| now.saturating_sub(ended) + minute * MINUTE);
    let moments: Vec<i64> = moments.map(|at| i64::try_from(at.as_millis()).expect("a time")).collect();
    let series = |name: &str, result: Option<&str>, value: f64| {
        let mut labels = vec![
            ("target_namespace", "streams".to_owned()),
            ("target", "app=orders".to_owned()),
            ("target_kind", "StatefulSet".to_owned()),
            ("target_name", "orders".to_owned()),
        ];
        labels.extend(result.map(|result| ("result", result.to_owned())));
        Series::new(name, &labels, moments.iter().map(|at| (*at, value)).collect())
    };
    vec![
        series(
            "pod_rebalancer_last_run_timestamp_seconds",
            None,
            now.saturating_sub(ended).as_secs_f64().floor(),
        ),
        series("pod_rebalancer_last_run_evictions", Some("evicted"), 1.0),
        series("pod_rebalancer_last_run_evictions", Some("error"), 0.0),
    ]
}

/// A pod is replaced twice under its name: kube-state-metrics remembers the first time, the API server the second. The
/// metrics of a run tell who did it the first time.
fn pods_that_keep_their_names_are_told_by_their_creation(release: Release) {
    let mut fleet = Fleet::of_pods("streams", (0..6).map(|pod| format!("orders-{pod}")));
    fleet.history = Duration::from_secs(6 * 3600);
    fleet.scrape_interval = Duration::from_secs(30);
    // Pod 2 is slow until its second replacement.
    fleet.pods[2].cpu = Some(Level::from(1.5).then(DELETED, 0.25));
    let mut created: Vec<(i64, f64)> = Vec::new();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("past 1970");
    for minute in 0..360_u64 {
        let before = MINUTE * u32::try_from(360 - minute).expect("few");
        let at = now.saturating_sub(before);
        let of = if before > ROTATED { Duration::from_secs(50 * 3600) } else { ROTATED };
        let of = if before <= DELETED { DELETED } else { of };
        created.push((
            i64::try_from(at.as_millis()).expect("a time"),
            now.saturating_sub(of).as_secs_f64().floor(),
        ));
    }
    let labels = [("namespace", "streams".to_owned()), ("pod", "orders-2".to_owned())];
    let created = [Series::new("kube_pod_created", &labels, created)];
    let series = fleet.series().chain(created).chain(metrics_of_a_run(ROTATED.saturating_sub(MINUTE)));
    let server = MetricServer::filled(release, series, &[]);
    let names: Vec<&str> = fleet.pods.iter().map(|pod| pod.name.as_str()).collect();
    let mut workload = Workload::named("orders", &names).of_kind(WorkloadKind::StatefulSet);
    workload.namespace.clone_from(&fleet.namespace);
    workload.pod("orders-2").created = ago(DELETED);
    let cluster = ApiServer::start(workload);
    let done = history(&cluster, &server, &["--from=1d", "--output=json"]);
    assert_eq!(done.code, Some(0), "{done}");
    let report = done.json();
    let changes = report["replacements"].as_array().expect("a list").clone();
    let [first, second] = &changes[..] else { panic!("{done}") };
    for change in [first, second] {
        assert_eq!(
            (&change["gone"], &change["came"]),
            (&json!(["orders-2"]), &json!(["orders-2"])),
            "{done}"
        );
        assert_eq!(change["slack_seconds"], 0.0, "{done}");
    }
    assert_eq!((&first["helped"], &second["helped"]), (&"no".into(), &"yes".into()), "{done}");
    assert_eq!((&first["by"], &second["by"]), (&"this_program".into(), &"unknown".into()), "{done}");
    assert!(first["by_evidence"].as_str().is_some_and(|why| why.contains("as its metrics tell")), "{done}");
    let sentence = first["sentence"].as_str().unwrap_or_default();
    assert!(sentence.contains("the pods share the load as before"), "{done}");
    assert_spread(&second["spreads"]["cpu"], "before", cv(&loads(&fleet, DELETED + MINUTE, cpu)));
    assert_spread(
        &second["spreads"]["cpu"],
        "after",
        cv(&loads(&fleet, DELETED.saturating_sub(MINUTE), cpu)),
    );
}
