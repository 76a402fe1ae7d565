//! Runs against two live servers, over HTTP: what is asked, what is evicted, what is reported.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rebalancer_core::Metric;
use rebalancer_sim::apiserver::{Effect, Fault, Fleet, SimRequest};
use rebalancer_sim::metrics_server::MetricsServer;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Done, Running, root};
use crate::servers::{BUSIEST, LEAST_BUSY, Servers, fleet};

const RUN: [&str; 2] = ["run", "--yes"];

/// Outcome and exit code of a run.
fn end(done: &Done) -> (Value, Option<i32>) {
    (done.json()["outcome"].clone(), done.code)
}

/// Waits until `is_true`, and fails when that takes too long.
#[track_caller]
fn wait_until(is_true: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < Duration::from_secs(30), "it never came to it");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_plan_names_the_pair_and_only_reads() {
    let servers = Servers::start();
    let done = servers.run(&["plan"], &[]);
    assert_eq!(end(&done), ("planned".into(), Some(0)), "{done}");
    let report = done.json();
    assert_eq!(report["kind"], "Plan");
    assert_eq!(report["should_rebalance"], true);
    assert_eq!(report["targets"][0]["pod"], BUSIEST);
    assert_eq!(report["targets"][0]["role"], "busiest");
    assert_eq!(report["targets"][1]["pod"], LEAST_BUSY);
    assert_eq!(report["targets"][1]["role"], "least_busy");
    assert_eq!(report["workload"]["owner"], "Deployment/orders-consumer");
    assert_eq!(
        servers.asked(),
        [
            "GET pods",
            "GET replicasets/orders-consumer-58db4d5fb7",
            "GET deployments/orders-consumer",
            "GET poddisruptionbudgets"
        ]
    );
}

#[test]
fn all_metrics_are_asked_for_at_one_moment_by_post() {
    let servers = Servers::start();
    let report = servers.run(&["plan"], &[]).json();
    let all = servers.metrics.requests();
    let asked = &all[..4];
    let times: Vec<Option<String>> = asked.iter().map(|request| request.parameter("time")).collect();
    assert!(times[0].is_some() && times.iter().all(|time| *time == times[0]), "{times:?}");
    let ranges: Vec<&SimRequest> = all.iter().filter(|request| request.path().ends_with("_range")).collect();
    assert_eq!(ranges.len(), 3, "one for the history of each of cpu, lag and rate");
    let seconds = |text: Option<String>| text.and_then(|text| text.parse::<f64>().ok()).expect("a time");
    let minute = (seconds(times[0].clone()) / 60.0).floor() * 60.0;
    let ends: Vec<f64> = ranges.iter().map(|request| seconds(request.parameter("end"))).collect();
    assert_eq!(ends, [minute; 3], "on the whole minute, for servers that align ranges");
    for request in asked {
        assert_eq!((request.method.as_str(), request.path()), ("POST", "/api/v1/query"));
        assert_eq!(request.query("query"), None, "a long query has no place in an address");
        assert!(request.parameter("query").is_some_and(|query| query.contains("tiny")), "{request:?}");
    }
    assert_eq!(report["requests"]["prometheus"], all.len());
    assert_eq!(report["requests"]["kubernetes"], 4, "the workload, its two owners, and the budgets");
}

#[test]
fn a_run_evicts_exactly_the_pair_after_both_preflights() {
    let servers = Servers::start();
    let done = servers.run(&RUN, &[]);
    assert_eq!(end(&done), ("rotated".into(), Some(0)), "{done}");
    let pods = servers.pods();
    assert!(!pods.iter().any(|pod| pod == BUSIEST || pod == LEAST_BUSY), "{pods:?}");
    assert_eq!(pods.len(), 12, "both are replaced");
    let seen = ["GET pods", "GET replicasets/orders-consumer-58db4d5fb7", "GET deployments/orders-consumer"];
    let acted = [
        "GET poddisruptionbudgets".to_owned(),
        format!("POST pods/{BUSIEST}/eviction (dry run)"),
        format!("POST pods/{LEAST_BUSY}/eviction (dry run)"),
        "POST events".to_owned(),
        format!("POST pods/{BUSIEST}/eviction"),
    ];
    let last =
        [format!("POST pods/{LEAST_BUSY}/eviction"), "POST events".to_owned(), "POST events".to_owned()];
    let seen = seen.map(str::to_owned);
    let expected = [seen.as_slice(), &["GET events".to_owned()], &seen, &acted, &seen, &last].concat();
    assert_eq!(servers.asked(), expected);
    let report = done.json();
    assert_eq!(report["requests"]["kubernetes"], 18, "the report counts what the server saw");
    assert_eq!(report["rotation"]["deleted"], serde_json::json!([BUSIEST, LEAST_BUSY]));
    assert_eq!(report["rotation"]["attempted"], report["rotation"]["deleted"]);
}

#[test]
fn an_eviction_is_written_byte_for_byte_with_its_precondition() {
    let servers = Servers::start();
    servers.run(&RUN, &[]);
    let requests = servers.cluster.requests();
    let evictions: Vec<&SimRequest> =
        requests.iter().filter(|request| request.path().ends_with("/eviction")).collect();
    let body = |uid: u32, pod: &str| {
        format!(
            r#"{{"apiVersion":"policy/v1","kind":"Eviction","deleteOptions":{{"preconditions":{{"uid":"00000000-0000-4000-8000-{uid:012}"}}}},"metadata":{{"name":"{pod}","namespace":"tiny"}}}}"#
        )
    };
    let bodies: Vec<String> =
        evictions.iter().map(|request| String::from_utf8_lossy(&request.body).into_owned()).collect();
    let pair = [body(11, BUSIEST), body(7, LEAST_BUSY)];
    assert_eq!(bodies, [pair.as_slice(), &pair].concat(), "a preflight asks for the very same eviction");
    let dry_run = evictions.iter().map(|request| request.query("dryRun"));
    assert_eq!(dry_run.collect::<Vec<_>>(), [Some("All".to_owned()), Some("All".to_owned()), None, None]);
}

#[test]
fn events_tell_of_the_claim_and_of_both_pods_on_the_workload() {
    let servers = Servers::start();
    servers.run(&RUN, &[]);
    let mut events = Vec::new();
    servers.cluster.change(|fleet| events.clone_from(&fleet.events));
    assert_eq!(events.len(), 3);
    assert_eq!((&events[0]["reason"], &events[0]["type"]), (&"RotationStarted".into(), &"Normal".into()));
    assert_eq!(events[0]["regarding"], events[1]["regarding"]);
    let claim = events[0]["note"].as_str().unwrap_or_default();
    assert!([BUSIEST, LEAST_BUSY, "spread"].iter().all(|word| claim.contains(word)), "{claim}");
    for (event, pod) in events[1..].iter().zip([BUSIEST, LEAST_BUSY]) {
        assert_eq!(event["reason"], "Rotated");
        assert_eq!(event["type"], "Normal");
        assert_eq!(event["regarding"]["kind"], "Deployment");
        assert_eq!(event["regarding"]["name"], "orders-consumer");
        assert_eq!(event["related"]["name"], pod);
        assert!(event["note"].as_str().is_some_and(|note| note.contains("spread")), "{event}");
    }
}

#[test]
fn a_dry_run_of_the_client_only_reads() {
    let servers = Servers::start();
    for args in [&["run", "--dry-run"][..], &["run", "--dry-run=client", "--yes"]] {
        let done = servers.run(args, &[]);
        assert_eq!(end(&done), ("planned".into(), Some(0)), "{done}");
        assert_eq!(done.json()["dry_run"], "client");
    }
    let done = servers.run(&["run"], &[("DRY_RUN", "true")]);
    assert_eq!(end(&done), ("planned".into(), Some(0)), "{done}");
    assert!(servers.cluster.requests().iter().all(|request| request.method == "GET"));
}

#[test]
fn a_dry_run_of_the_server_asks_whether_it_would_and_evicts_nothing() {
    let servers = Servers::start();
    let done = servers.run(&["run", "--dry-run=server"], &[]);
    assert_eq!(end(&done), ("planned".into(), Some(0)), "{done}");
    let posts: Vec<String> = servers.asked().into_iter().filter(|asked| !asked.starts_with("GET")).collect();
    assert_eq!(
        posts,
        [BUSIEST, LEAST_BUSY].map(|pod| format!("POST pods/{pod}/eviction (dry run)")),
        "no Event either"
    );
    servers.assert_untouched();
}

#[test]
fn outside_a_cluster_nothing_is_evicted_without_consent() {
    let servers = Servers::start();
    let done = servers.run(&["run"], &[]);
    assert!(done.assert_one_error(64).contains("--yes"), "{done}");
    assert!(servers.cluster.requests().is_empty() && servers.metrics.requests().is_empty());
}

#[test]
fn a_balanced_fleet_is_left_alone() {
    let servers = Servers::start();
    let done = servers.run(&RUN, &[("CPU_VARIANCE_THRESHOLD", "9"), ("LAG_VARIANCE_THRESHOLD", "9")]);
    assert_eq!(end(&done), ("balanced".into(), Some(0)), "{done}");
    assert!(servers.cluster.requests().iter().all(|request| request.method == "GET"));
}

#[test]
fn names_are_those_of_what_was_evicted() {
    let servers = Servers::start();
    let done = servers.run(&["run", "--yes", "-o", "name"], &[]);
    assert_eq!(done.stdout, format!("{BUSIEST}\n{LEAST_BUSY}\n"), "{done}");
    let servers = Servers::over(fleet().with_budget("orders-pdb", 1));
    let done = servers.run(&["run", "--yes", "-o", "name"], &[]);
    assert_eq!(done.stdout, "", "{done}");
}

#[test]
fn detailed_exit_codes_tell_acting_from_holding_back() {
    let detailed = [("DETAILED_EXITCODE", "true")];
    let servers = Servers::over(fleet().with_budget("orders-pdb", 0));
    assert_eq!(servers.run(&["plan"], &detailed).code, Some(2));
    assert_eq!(servers.run(&RUN, &detailed).code, Some(3), "blocked");
    servers.cluster.change(|fleet| fleet.budgets.clear());
    assert_eq!(servers.run(&RUN, &detailed).code, Some(2), "rotated");
}

/// A stop between the two evictions: the second never happens, and the report says what did.
#[test]
fn a_stop_while_waiting_ends_before_the_second_eviction() {
    let servers = Servers::over(Fleet { startup: Duration::from_secs(600), ..fleet() });
    let running = servers.begin(&["run", "--yes", "--pacing", "wait-ready"], &[]);
    wait_until(|| !servers.evictions().is_empty());
    let process = Pid::from_raw(i32::try_from(running.id()).expect("a process id")).expect("a process id");
    kill_process(process, Signal::TERM).expect("the program still runs");
    let done = running.wait();
    assert_eq!(end(&done), ("partial".into(), Some(1)), "{done}");
    assert_eq!(servers.evictions(), [BUSIEST]);
    assert_eq!(done.json()["rotation"]["deleted"], serde_json::json!([BUSIEST]));
    assert!(done.json()["reason"].as_str().is_some_and(|reason| reason.contains("stop")), "{done}");
}

/// Sends SIGTERM once `is_under_way`, and tells how the run ended and how long that took.
#[track_caller]
fn stopped(running: Running, is_under_way: impl Fn() -> bool) -> (Done, Duration) {
    wait_until(is_under_way);
    let process = Pid::from_raw(i32::try_from(running.id()).expect("a process id")).expect("a process id");
    kill_process(process, Signal::TERM).expect("the program still runs");
    let begun = Instant::now();
    (running.wait(), begun.elapsed())
}

/// Requests that hang for longer than the run may take: a stop does not wait for them.
#[test]
fn a_stop_ends_a_request_that_hangs() {
    for (method, path, part) in [
        ("GET", "/pods?", "GET pods"),
        ("GET", "/poddisruptionbudgets", "GET poddisruptionbudgets"),
        ("POST", "/eviction", "(dry run)"),
        ("POST", "/events", "POST events"),
    ] {
        let servers = Servers::start();
        servers.cluster.inject(Fault::on(method, path, Effect::Stall(Duration::from_secs(40))).times(1));
        let running = servers.begin(&RUN, &[("GUARDS", "off")]);
        let (done, took) = stopped(running, || servers.asked().iter().any(|asked| asked.contains(part)));
        assert!(took < Duration::from_secs(10), "{method} {path}: {took:?}");
        assert_eq!(done.code, Some(1), "{done}");
        assert!(done.to_string().contains("a stop was asked for"), "{done}");
        servers.assert_untouched();
    }
    let servers = Servers::start();
    servers.metrics.hold();
    let (done, took) = stopped(servers.begin(&RUN, &[]), || !servers.metrics.requests().is_empty());
    servers.metrics.release();
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert!(done.assert_one_error(1).contains("a stop was asked for"), "{done}");
    servers.assert_untouched();
}

/// The eviction was sent: its answer is waited for, and where it does not come, the pod is looked at.
#[test]
fn a_stop_during_an_eviction_is_told_what_became_of_it() {
    for stall_s in [2, 40] {
        let servers = Servers::start();
        let late = Effect::Stall(Duration::from_secs(stall_s));
        servers.cluster.inject(Fault::on("POST", "/eviction", late).after(2).times(1));
        let running = servers.begin(&RUN, &[("GUARDS", "off")]);
        let (done, took) = stopped(running, || !servers.evictions().is_empty());
        assert!(took < Duration::from_secs(20), "{took:?}");
        assert_eq!(end(&done), ("partial".into(), Some(1)), "{done}");
        assert_eq!(done.json()["rotation"]["deleted"], serde_json::json!([BUSIEST]), "{done}");
        assert_eq!(servers.evictions(), [BUSIEST]);
        assert!(done.json()["reason"].as_str().is_some_and(|reason| reason.contains("a stop")), "{done}");
    }
}

#[test]
fn the_second_eviction_waits_for_the_first_replacement() {
    let servers = Servers::over(Fleet { startup: Duration::from_millis(300), ..fleet() });
    let done = servers.run(&["run", "--yes", "--pacing", "wait-ready"], &[]);
    assert_eq!(end(&done), ("rotated".into(), Some(0)), "{done}");
    let asked = servers.asked();
    let position = |pod: &str| asked.iter().position(|line| *line == format!("POST pods/{pod}/eviction"));
    let (first, second) = (position(BUSIEST).expect("asked"), position(LEAST_BUSY).expect("asked"));
    let between = &asked[first + 1..second];
    assert!(between.iter().any(|line| line == "GET pods"), "the replacement is looked for: {asked:?}");
}

/// A recording on the way changes nothing about a run.
#[test]
fn a_run_can_be_recorded() {
    let servers = Servers::start();
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("run.jsonl.gz");
    let path = file.to_str().expect("a path of ours");
    let done = servers.run(&["run", "--yes", "--record", path], &[]);
    assert_eq!(end(&done), ("rotated".into(), Some(0)), "{done}");
    assert!(fs::metadata(&file).is_ok_and(|facts| facts.len() > 100));
}

/// Both see the same fleet before either evicts; each may evict only what it saw.
#[test]
fn two_runs_at_once_evict_at_most_one_pair() {
    for guards in ["standard", "off"] {
        for termination in [Duration::ZERO, Duration::from_secs(5)] {
            let servers = Servers::over(Fleet { termination, ..fleet() });
            let both_listed = Effect::Stall(Duration::from_millis(400));
            servers.cluster.inject(Fault::on("GET", "/replicasets/", both_listed).times(2));
            let runs = [(); 2].map(|()| servers.begin(&["run", "--yes", "--guards", guards], &[]));
            let ends = runs.map(|run| end(&run.wait()));
            let evicted = servers.evictions();
            assert!(evicted.iter().all(|pod| pod == BUSIEST || pod == LEAST_BUSY), "{guards}: {evicted:?}");
            let mut replaced = 0;
            servers.cluster.change(|fleet| replaced = fleet.replaced);
            assert_eq!(replaced, 2, "{guards}: {ends:?}");
            assert!(ends.iter().any(|(outcome, _)| outcome == "rotated"), "{guards}: {ends:?}");
        }
    }
}

/// The same answers with the names of both targets exchanged for those of two other pods.
fn another_view() -> MetricsServer {
    let server = MetricsServer::start("orders-12-prometheus");
    for metric in Metric::ALL {
        let file = root().join(format!("testdata/snapshots/orders-12-prometheus/{metric}.json"));
        let mut body = fs::read_to_string(file).expect("a recorded answer");
        for (target, other) in
            [(BUSIEST, "orders-consumer-g5zn5h759-vgmsz"), (LEAST_BUSY, "orders-consumer-g5zn5h759-cs5nx")]
        {
            body = body.replace(target, "exchanged").replace(other, target).replace("exchanged", other);
        }
        server.answer_body(metric, body);
    }
    server
}

/// The second run looks before the first one acts and has another pair in mind: it sees what has
/// happened when it looks again.
#[test]
fn a_run_that_planned_another_pair_evicts_nothing_after_the_first_run() {
    let other = another_view();
    for guards in ["standard", "off"] {
        let servers = Servers::start();
        let slow = Effect::Stall(Duration::from_secs(3));
        servers.cluster.inject(Fault::on("GET", "/deployments/", slow).times(1));
        let second = servers.begin(&RUN, &[("PROMETHEUS_ENDPOINT", &other.url()), ("GUARDS", guards)]);
        wait_until(|| servers.asked().len() == 3);
        let first = servers.run(&RUN, &[("GUARDS", guards)]);
        assert_eq!(end(&first), ("rotated".into(), Some(0)), "{first}");
        let second = second.wait();
        assert_eq!(end(&second), ("withheld".into(), Some(0)), "{second}");
        assert_eq!(second.json()["outliers"][0]["pod"], "orders-consumer-g5zn5h759-vgmsz", "{second}");
        assert_eq!(second.json()["outliers"][1]["pod"], "orders-consumer-g5zn5h759-cs5nx", "{second}");
        assert_eq!(servers.evictions(), [BUSIEST, LEAST_BUSY]);
    }
}
