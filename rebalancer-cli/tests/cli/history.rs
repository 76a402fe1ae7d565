//! What the replacements of the last days changed, against servers on loopback that remember a steady past.

use std::fs;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rebalancer_core::Metric;
use rebalancer_sim::apiserver::{Effect, Fault, WorkloadKind};
use rebalancer_sim::transcript::Transcript;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{Done, run};
use crate::servers::{BUSIEST, Servers, fleet};

/// The servers of a stateful set whose busiest pod is three hours old, so that it has replaced another.
fn replaced() -> Servers {
    let servers = Servers::over(fleet().of_kind(WorkloadKind::StatefulSet));
    servers.cluster.change(|fleet| {
        for pod in &mut fleet.pods {
            pod.created = SystemTime::now() - Duration::from_secs(30 * 24 * 3600);
        }
        fleet.pod(BUSIEST).created = SystemTime::now() - Duration::from_secs(3 * 3600);
    });
    servers
}

fn history(servers: &Servers, args: &[&str]) -> Done {
    let args: Vec<&str> = ["history", "--from", "1d"].into_iter().chain(args.iter().copied()).collect();
    let done = servers.run(&args, &[]);
    assert_eq!(done.code, Some(0), "{done}");
    done
}

fn one(done: &Done) -> Value {
    let report = done.json();
    let all = report["replacements"].as_array().expect("a list").clone();
    assert_eq!(all.len(), 1, "{done}");
    all[0].clone()
}

#[test]
fn a_pod_that_was_replaced_under_its_name_is_found_and_did_not_help() {
    let servers = replaced();
    let done = history(&servers, &[]);
    let change = one(&done);
    assert_eq!((&change["gone"], &change["came"]), (&json!([BUSIEST]), &json!([BUSIEST])), "{done}");
    assert_eq!((&change["helped"], &change["by"]), (&"no".into(), &"unknown".into()), "{done}");
    let sentence = change["sentence"].as_str().unwrap_or_default();
    assert!(sentence.starts_with("It did not help: the CPU spread was 1.0"), "{done}");
    assert!(sentence.ends_with("the pods share the load as before."), "{done}");
    assert_eq!(change["compared"]["seconds"], 3600.0, "{done}");
    assert!(servers.cluster.requests().iter().all(|request| request.method == "GET"), "it only reads");
    servers.assert_untouched();
}

#[test]
fn who_did_it_is_told_by_the_claim_of_a_run() {
    let servers = replaced();
    let at = jiff::Timestamp::now() - Duration::from_secs(3 * 3600 + 5);
    let claim = json!({
        "metadata": { "creationTimestamp": at.to_string() }, "eventTime": null, "reason": "RotationStarted",
        "reportingController": "pod-rebalancer/pod-rebalancer",
        "note": format!("evicting pod {BUSIEST} (busiest): cpu spread 1.05"),
        "regarding": { "kind": "StatefulSet", "name": "orders-consumer" },
    });
    servers.cluster.change(|fleet| fleet.events.push(claim));
    let done = history(&servers, &[]);
    assert_eq!(one(&done)["by"], "this_program", "{done}");
    assert_eq!(done.json()["events_from"], at.to_string(), "{done}");
}

#[test]
fn without_rights_to_events_and_versions_it_goes_on_and_says_so() {
    let servers = replaced();
    servers.cluster.deny("list events.events.k8s.io");
    servers.cluster.deny("list controllerrevisions.apps");
    let done = history(&servers, &[]);
    let change = one(&done);
    assert_eq!(change["by"], "unknown", "{done}");
    assert!(
        change["by_evidence"].as_str().is_some_and(|why| why.contains("Events cannot be read")),
        "{done}"
    );
    let lacking = done.json()["not_had"].as_array().cloned().unwrap_or_default();
    assert_eq!(lacking.len(), 2, "{done}");
    let table = history(&servers, &["-o", "table"]);
    assert!(table.stdout.contains("missing: the Events of the namespace"), "{table}");
}

#[test]
fn answers_that_are_no_events_are_no_reason_to_say_there_are_none() {
    let servers = replaced();
    let nonsense =
        Transcript { code: 200, headers: Vec::new(), body: br#"{"kind": "Cat", "items": []}"#.to_vec() };
    servers.cluster.inject(Fault::on("GET", "/events", Effect::Answer(nonsense)));
    let done = history(&servers, &[]);
    assert!(
        one(&done)["by_evidence"].as_str().is_some_and(|why| why.contains("Events cannot be read")),
        "{done}"
    );
}

#[test]
fn a_replacement_of_a_moment_ago_is_not_judged_yet() {
    let servers = replaced();
    servers.cluster.change(|fleet| {
        fleet.pod(BUSIEST).created = SystemTime::now() - Duration::from_secs(600);
    });
    let done = history(&servers, &[]);
    let change = one(&done);
    assert_eq!(change["helped"], "unknown", "{done}");
    assert!(change["sentence"].as_str().is_some_and(|words| words.contains("25 are needed")), "{done}");
    assert!(change["compared"].is_null() && change["spreads"]["cpu"].is_null(), "{done}");
}

#[test]
fn nothing_happened_where_the_pods_are_older_than_the_time() {
    let done = history(&Servers::start(), &["-o", "table"]);
    assert!(done.stdout.contains("No pod was replaced in this time."), "{done}");
    let pods = history(&replaced(), &["-o", "name"]);
    assert_eq!(pods.stdout, format!("{BUSIEST}\n"));
}

#[test]
fn a_server_that_does_not_answer_the_spreads_leaves_the_change_in_the_report() {
    let servers = replaced();
    servers.metrics.answer_body(Metric::Lag, "no JSON");
    let done = history(&servers, &[]);
    let change = one(&done);
    assert_eq!(change["helped"], "unknown", "{done}");
    assert!(change["sentence"].as_str().is_some_and(|words| words.contains("lag")), "{done}");
}

#[test]
fn bounds_of_nonsense_are_refused_before_anything_is_asked() {
    let servers = Servers::start();
    let cases: [(&[&str], &str); 4] = [
        (&["--from", "yesterday"], "expected a time such as"),
        (&["--from", "1h", "--to", "2h"], "which is not before --to"),
        (&["--since", "1h", "--to", "2199-01-01T00:00:00Z"], "in the future"),
        (&["-o", "csv"], "is for backtest, scan and run --all only"),
    ];
    for (args, expected) in cases {
        let args: Vec<&str> = ["history"].into_iter().chain(args.iter().copied()).collect();
        let done = servers.run(&args, &[]);
        assert_eq!(done.code, Some(64), "{args:?}: {done}");
        assert!(done.stderr.contains(expected), "{args:?}: {done}");
    }
    assert_eq!(servers.metrics.requests().len(), 0);
}

#[test]
fn the_page_says_the_same() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let page = folder.path().join("history.html");
    let servers = replaced();
    let done = history(&servers, &["--report", page.to_str().expect("a path of ours")]);
    let text = fs::read_to_string(&page).expect("the page");
    let sentence = one(&done)["sentence"].as_str().unwrap_or_default().to_owned();
    assert_eq!(text.matches(&sentence).count(), 1, "the sentence once");
    assert!(text.contains("1 replacement: 1 did not help."), "{text}");
}

/// The page of a decision, and the run that wrote it.
fn page_of(servers: &Servers, args: &[&str]) -> (Done, String) {
    let folder = TempDir::new().expect("a folder for temporary files");
    let page = folder.path().join("page.html");
    let file = page.to_str().expect("a path of ours");
    let args: Vec<&str> = args.iter().copied().chain(["--report", file]).collect();
    let done = servers.run(&args, &[("GUARDS", "off")]);
    assert_eq!(done.code, Some(0), "{done}");
    (done, fs::read_to_string(&page).expect("the page"))
}

const SECTION: &str = "What earlier replacements changed";

#[test]
fn the_page_of_a_decision_tells_what_earlier_replacements_changed() {
    let servers = replaced();
    let sentence = one(&history(&servers, &[]))["sentence"].as_str().unwrap_or_default().to_owned();
    for command in [&["plan"][..], &["run", "--dry-run=server"]] {
        let (done, page) = page_of(&servers, command);
        assert_eq!(page.matches(SECTION).count(), 1, "{done}");
        assert_eq!(page.matches(&sentence).count(), 1, "{sentence}");
        assert!(page.contains("1 replacement: 1 did not help."), "{page}");
    }
    servers.assert_untouched();
    let asked = || servers.metrics.requests().len();
    let before = asked();
    let without = servers.run(&["plan"], &[("GUARDS", "off")]);
    assert_eq!(without.code, Some(0), "{without}");
    let usual = asked() - before;
    let (_, page) = page_of(&servers, &["plan"]);
    assert!(asked() - before > 2 * usual, "only a page asks for the past");
    let folder = TempDir::new().expect("a folder for temporary files");
    let saved = folder.path().join("page.html");
    fs::write(&saved, page).expect("a file of ours");
    let again = run(&["report", saved.to_str().expect("a path of ours")], &[]);
    assert_eq!(again.code, Some(0), "{again}");
    assert!(!again.stdout.contains(SECTION), "a recording holds no past of the pods");
}

#[test]
fn a_run_looks_back_only_after_it_has_acted() {
    let servers = replaced();
    let (done, page) = page_of(&servers, &["run", "--yes"]);
    assert_eq!(done.json()["outcome"], "rotated", "{done}");
    assert!(page.contains(SECTION) && page.contains("1 replacement: 1 did not help."), "{page}");
    let asked = servers.asked();
    let versions = asked.iter().position(|request| request.contains("controllerrevisions"));
    let evicted = asked.iter().rposition(|request| request.ends_with("/eviction"));
    assert!(evicted.is_some() && evicted < versions, "{asked:#?}");
}

#[test]
fn a_past_that_cannot_be_read_is_a_sentence_on_the_page() {
    let servers = replaced();
    let presence = "max by (namespace, pod) (container_cpu_usage_seconds_total";
    servers.metrics.answer_queries_with(presence, "no JSON");
    let (done, page) = page_of(&servers, &["run", "--yes"]);
    assert_eq!(done.json()["outcome"], "rotated", "{done}");
    assert!(page.contains("This is not known: cannot read the history of the pods"), "{page}");
}

/// What was done is told and delivered, and the run ends, however long the metrics server takes to tell of the past.
#[test]
fn a_server_that_hangs_after_the_evictions_holds_no_run_up() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let page = folder.path().join("page.html");
    let servers = replaced();
    let args = ["run", "--yes", "--report", page.to_str().expect("a path of ours")];
    let running = servers.begin(&args, &[("GUARDS", "off")]);
    while servers.evictions().len() < 2 {
        thread::yield_now();
    }
    servers.metrics.hold();
    let held = Instant::now();
    let done = running.wait();
    servers.metrics.release();
    assert_eq!((done.code, &done.json()["outcome"]), (Some(0), &json!("rotated")), "{done}");
    assert!(held.elapsed() < Duration::from_secs(60), "{:?}", held.elapsed());
    let page = fs::read_to_string(&page).expect("the page");
    assert!(page.contains("This is not known: it could not be read within 20 s."), "{page}");
}
