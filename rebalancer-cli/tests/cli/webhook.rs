//! The webhook that is told of a run: what it gets, when, and that it changes nothing.

use std::fs;
use std::time::{Duration, Instant};

use rebalancer_core::Metric;
use rebalancer_sim::apiserver::{Effect, Fault};
use rebalancer_sim::receiver::Receiver;
use rebalancer_sim::transcript::Transcript;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::Done;
use crate::servers::{BUSIEST, LEAST_BUSY, Servers};

const RUN: [&str; 2] = ["run", "--yes"];
const PATH: &str = "/services/T0001/B0002/hunter2hunter2";

/// Runs against a webhook that accepts; the run and the bodies that were posted.
fn told(servers: &Servers, args: &[&str], env: &[(&str, &str)]) -> (Done, Vec<Value>) {
    let receiver = Receiver::answering(200, "ok");
    let url = format!("{}{PATH}", receiver.url());
    let env: Vec<(&str, &str)> = env.iter().copied().chain([("WEBHOOK_URL", url.as_str())]).collect();
    let done = servers.run(args, &env);
    let posted = receiver.requests();
    for request in &posted {
        assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", PATH));
        assert_eq!(request.header("content-type"), Some("application/json"));
    }
    assert!(!format!("{done}").contains("hunter2"), "{done}");
    let bodies = posted.iter().map(|request| serde_json::from_slice(&request.body).expect("JSON"));
    (done, bodies.collect())
}

#[test]
fn the_report_of_a_run_is_posted_once() {
    let (done, posted) = told(&Servers::start(), &RUN, &[]);
    assert_eq!(posted, [done.json()], "{done}");
    assert_eq!(posted[0]["outcome"], "rotated");
}

#[test]
fn the_text_form_is_what_slack_takes() {
    let (done, posted) = told(&Servers::start(), &RUN, &[("WEBHOOK_FORMAT", "slack")]);
    let text = posted[0]["text"].as_str().unwrap_or_default();
    assert!(text.starts_with("*rotated* Deployment/orders-consumer in tiny\n"), "{text}");
    for words in [BUSIEST, LEAST_BUSY, "cause: ", "remedy: ", "&gt; 0."] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains('>') && posted[0].as_object().is_some_and(|body| body.len() == 1), "{done}");
    let env = [("WEBHOOK_FORMAT", "slack"), ("DRY_RUN", "client")];
    let (_, posted) = told(&Servers::start(), &["run"], &env);
    let text = posted[0]["text"].as_str().unwrap_or_default();
    assert!(
        text.starts_with("*planned* ") && text.contains(", dry run\n") && text.contains("would evict: "),
        "{text}"
    );
}

/// Who reads the text alone learns which pod is gone and which is not.
#[test]
fn the_text_tells_what_became_of_each_pod() {
    let servers = Servers::start();
    let refusal = Transcript::named("312_sa_lister_evict_403");
    // Two dry runs come first, and the first eviction.
    servers.cluster.inject(Fault::on("POST", "/eviction", Effect::Answer(refusal)).after(3).times(1));
    let (done, posted) = told(&servers, &RUN, &[("WEBHOOK_FORMAT", "slack")]);
    assert_eq!(done.json()["outcome"], "partial", "{done}");
    let text = posted[0]["text"].as_str().unwrap_or_default();
    let line = |word: &str| text.lines().find(|line| line.starts_with(word)).unwrap_or_default();
    assert_eq!(line("evicted: "), format!("evicted: {BUSIEST} (busiest)"), "{text}");
    assert!(line("failed: ").starts_with(&format!("failed: {LEAST_BUSY}: ")), "{text}");
}

#[test]
fn what_is_balanced_is_not_told_and_outcomes_can_be_chosen() {
    let balanced = [("CPU_VARIANCE_THRESHOLD", "9"), ("LAG_VARIANCE_THRESHOLD", "9")];
    let (done, posted) = told(&Servers::start(), &RUN, &balanced);
    assert_eq!((done.json()["outcome"].clone(), posted.len()), ("balanced".into(), 0));
    let chosen = [balanced[0], balanced[1], ("WEBHOOK_OUTCOMES", "rotated, Balanced")];
    assert_eq!(told(&Servers::start(), &RUN, &chosen).1.len(), 1);
    assert_eq!(told(&Servers::start(), &RUN, &[("WEBHOOK_OUTCOMES", "failed")]).1.len(), 0);
    assert_eq!(told(&Servers::start(), &["plan"], &[]).1.len(), 0, "only a run tells");
    let (done, _) = told(&Servers::start(), &RUN, &[("WEBHOOK_OUTCOMES", "rotten")]);
    assert!(done.assert_one_error(64).contains("balanced, insufficient_data"), "{done}");
}

#[test]
fn a_run_that_fails_is_told_with_its_error() {
    let servers = Servers::start();
    servers.metrics.answer_body(Metric::Cpu, "{");
    for format in ["json", "slack"] {
        let (done, posted) = told(&servers, &RUN, &[("WEBHOOK_FORMAT", format)]);
        assert_eq!((done.code, posted.len()), (Some(1), 1), "{done}");
        let body = &posted[0];
        if format == "slack" {
            let text = body["text"].as_str().unwrap_or_default();
            assert!(text.starts_with("*failed* Deployment/orders-consumer in tiny\n"), "{text}");
            assert!(text.contains("cannot read the metrics"), "{text}");
            continue;
        }
        assert_eq!((&body["kind"], &body["outcome"]), (&"RunFailure".into(), &"failed".into()));
        assert_eq!(body["error_type"], "truncated");
        assert_eq!(body["workload"]["owner"], "Deployment/orders-consumer");
    }
    let (done, posted) = told(&servers, &RUN, &[("COOLDOWN", "soon")]);
    assert_eq!((done.code, posted.len()), (Some(64), 1), "a wrong setting is told too: {done}");
}

#[test]
fn a_webhook_that_hangs_or_refuses_changes_nothing_but_the_log() {
    let echo = format!("<html>no such hook {PATH}</html>");
    let cases = [
        (Receiver::silent(), "timeout"),
        (Receiver::answering(404, &echo), "404"),
        (Receiver::answering(500, "hunter2hunter2 is broken"), "500"),
        (Receiver::answering(302, ""), "302"),
    ];
    for (receiver, code) in cases {
        let folder = TempDir::new().expect("a folder for temporary files");
        let page = folder.path().join("page.html");
        let url = format!("{}{PATH}", receiver.url());
        let page_path = page.to_str().expect("a path of ours");
        let env = [("WEBHOOK_URL", url.as_str()), ("WEBHOOK_TIMEOUT", "400ms"), ("REPORT_FILE", page_path)];
        let servers = Servers::start();
        let begun = Instant::now();
        let done = servers.run(&RUN, &env);
        assert!(begun.elapsed() < Duration::from_secs(20), "{code}");
        assert_eq!((done.code, done.json()["outcome"].clone()), (Some(0), "rotated".into()), "{done}");
        assert_eq!(done.told(), Vec::<&str>::new(), "{done}");
        let lines = done.stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let warnings: Vec<Value> = lines.filter(|line| line["event"] == "webhook.failed").collect();
        assert_eq!(warnings.len(), 1, "{done}");
        assert_eq!(
            (&warnings[0]["level"], &warnings[0]["error.type"]),
            (&"WARN".into(), &code.into()),
            "{done}"
        );
        assert!(!done.stderr.contains("hunter2") && !done.stderr.contains("T0001/"), "{done}");
        assert_eq!(receiver.requests().len(), 1, "one attempt");
        assert!(fs::metadata(&page).is_ok_and(|page| page.len() > 1000), "the page is there");
    }
}

/// The report is on standard output while the webhook still hangs.
#[test]
fn a_webhook_that_hangs_does_not_delay_the_report() {
    let (servers, receiver) = (Servers::start(), Receiver::silent());
    let (folder, url) = (TempDir::new().expect("a folder"), format!("{}{PATH}", receiver.url()));
    let page = folder.path().join("page.html");
    let page_path = page.to_str().expect("a path of ours");
    let env = [("WEBHOOK_URL", url.as_str()), ("WEBHOOK_TIMEOUT", "3s"), ("REPORT_FILE", page_path)];
    let running = servers.begin(&RUN, &env);
    let begun = Instant::now();
    while receiver.requests().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "nobody was told");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(page.is_file(), "the page is written before anybody is told");
    assert_eq!(running.wait().json()["outcome"], "rotated");
}

#[test]
fn the_address_is_a_secret_from_the_environment_or_a_file() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("url");
    let receiver = Receiver::answering(204, "");
    fs::write(&file, format!("{}{PATH}\n", receiver.url())).expect("a file of ours");
    let path = file.to_str().expect("a path of ours");
    let done = Servers::start().run(&RUN, &[("WEBHOOK_URL_FILE", path)]);
    assert_eq!((done.code, receiver.requests().len()), (Some(0), 1), "{done}");
    let url = format!("{}{PATH}", receiver.url());
    let shown = Servers::start().run(&["config", "-o", "wide"], &[("WEBHOOK_URL", &url)]);
    assert!(shown.stdout.contains("WEBHOOK_URL") && !shown.stdout.contains("hunter2"), "{shown}");
    for env in [
        vec![("WEBHOOK_URL", "hooks.example.com/hunter2")],
        vec![("WEBHOOK_URL", "https://ada:hunter2@hooks.example.com/x")],
        vec![("WEBHOOK_URL", url.as_str()), ("WEBHOOK_URL_FILE", path)],
        vec![("WEBHOOK_URL_FILE", "/nowhere/url")],
        vec![("WEBHOOK_URL", url.as_str()), ("WEBHOOK_CA_FILE", "/nowhere/ca.pem")],
    ] {
        let servers = Servers::start();
        let done = servers.run(&RUN, &env);
        assert!(!done.assert_one_error(64).contains("hunter2"), "{done}");
        servers.assert_untouched();
    }
}
