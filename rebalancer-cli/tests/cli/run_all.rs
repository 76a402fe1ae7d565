//! A run over all workloads that opted in: whose pods it evicts, in what order, how many at most, and what it says.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rebalancer_sim::apiserver::{Effect, Fault};
use rebalancer_sim::receiver::Receiver;
use rebalancer_sim::transcript::Transcript;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fleets::{Fleets, Spec, hot, make_canary, rows, told};
use crate::program::{Done, Running};
use crate::pty::Session;
use crate::scan::verdict;

const OFF: [(&str, &str); 1] = [("GUARDS", "off")];

/// Two that are uneven and opted in, the second the less; one that is even; and one uneven that did not opt in.
pub fn workloads() -> Vec<Spec> {
    vec![
        Spec::stateful_set("shop", "ledger", hot(6, 2.0)).with("enabled", "true"),
        Spec::deployment("shop", "orders", hot(8, 6.0)).with("enabled", "true"),
        Spec::deployment("shop", "orders-api", vec![0.4, 0.41, 0.4, 0.39]).with("enabled", "true"),
        Spec::deployment("shop", "mail", hot(8, 9.0)),
        Spec::deployment("warehouse", "orders", hot(8, 9.0)).with("enabled", "false"),
    ]
}

/// The pods of the two that are uneven, in the order of their turns.
const OF_ORDERS: [&str; 2] = ["shop/orders-4", "shop/orders-0"];
const OF_LEDGER: [&str; 2] = ["shop/ledger-3", "shop/ledger-0"];

pub fn run_all(fleets: &Fleets, args: &[&str], env: &[(&str, &str)]) -> Done {
    fleets.run(&[&["run", "--all", "-A", "--yes"], args].concat(), &[&OFF[..], env].concat())
}

/// The row of a workload.
fn row(done: &Done, name: &str) -> Value {
    let found = rows(done).into_iter().find(|row| row["name"] == name);
    found.unwrap_or_else(|| panic!("no row {name}: {done}"))
}

#[test]
fn one_rotation_is_made_and_the_next_is_withheld() {
    let fleets = Fleets::of(&workloads());
    let done = run_all(&fleets, &[], &[]);
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(fleets.evictions(), OF_ORDERS, "{done}");
    let told = told(&done);
    assert_eq!(told, ["shop/orders rotated", "shop/ledger withheld", "shop/orders-api balanced"], "{done}");
    let report = done.json();
    assert_eq!(report["kind"], "RunAllReport");
    let summary = json!({"dry_run": "none", "max_rotations": 1, "rotations": 1, "not_opted_in": 2});
    assert_eq!(report["run"], summary, "{done}");
    let ledger = row(&done, "ledger");
    assert!(ledger["reason"].as_str().is_some_and(|why| why.contains("MAX_ROTATIONS")), "{ledger}");
    assert_eq!((&ledger["targets"], &ledger["should_rebalance"]), (&json!([]), &json!(true)));
    let guards = ledger["report"]["guards"].as_array().expect("guards");
    assert!(guards.iter().any(|guard| guard["name"] == "max_rotations" && guard["verdict"] == "hold"));
    let orders = row(&done, "orders");
    assert_eq!(orders["report"]["kind"], "RunReport");
    assert_eq!(orders["report"]["rotation"]["deleted"], json!(["orders-4", "orders-0"]));
    assert_eq!(run_all(&Fleets::of(&workloads()), &["--detailed-exitcode"], &[]).code, Some(2));
}

#[test]
fn as_many_are_rotated_as_the_limit_allows_and_no_more() {
    for (limit, evictions) in [("2", 4), ("7", 4)] {
        let fleets = Fleets::of(&workloads());
        let done = run_all(&fleets, &["--max-rotations", limit], &[]);
        assert_eq!(done.code, Some(0), "{done}");
        assert_eq!(fleets.evictions(), [OF_ORDERS, OF_LEDGER].concat()[..evictions], "{done}");
        assert_eq!(done.json()["run"]["rotations"], 2, "{done}");
    }
    let refused = Fleets::of(&workloads());
    let done = run_all(&refused, &[], &[("MAX_ROTATIONS", "0")]);
    assert!(done.assert_one_error(64).contains("MAX_ROTATIONS is \"0\""), "{done}");
    assert_eq!(refused.asked(), Vec::<String>::new());
}

/// Each rotation has its own claim and Events, on the workload that it is about.
#[test]
fn each_rotation_has_a_claim_and_events() {
    let fleets = Fleets::of(&workloads());
    run_all(&fleets, &["--max-rotations=2"], &[]);
    let requests = fleets.cluster.requests();
    let events: Vec<Value> = requests
        .iter()
        .filter(|request| request.method == "POST" && request.path().ends_with("/events"))
        .map(|request| serde_json::from_slice(&request.body).expect("an Event"))
        .collect();
    let told: Vec<[&str; 3]> = events
        .iter()
        .map(|event| {
            let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            [text("/reason"), text("/regarding/kind"), text("/regarding/name")]
        })
        .collect();
    let of = |kind, name| [["RotationStarted", kind, name], ["Rotated", kind, name], ["Rotated", kind, name]];
    assert_eq!(told, [of("Deployment", "orders"), of("StatefulSet", "ledger")].concat());
}

#[test]
fn a_dry_run_plans_as_many_and_evicts_none() {
    for mode in ["client", "server"] {
        let fleets = Fleets::of(&workloads());
        let done = run_all(&fleets, &[], &[("DRY_RUN", mode)]);
        assert_eq!(done.code, Some(0), "{done}");
        assert_eq!(fleets.evictions(), Vec::<String>::new());
        let told = told(&done);
        assert_eq!(
            told,
            ["shop/orders planned", "shop/ledger withheld", "shop/orders-api balanced"],
            "{done}"
        );
        assert_eq!(row(&done, "orders")["report"]["dry_run"], mode, "{done}");
    }
}

/// What is not rotated has the verdict that `run` of it alone has, and settings by annotation are as those by variable.
#[test]
fn the_verdict_on_each_workload_is_the_one_of_run() {
    let own = ("lag-variance-threshold", "LAG_VARIANCE_THRESHOLD", "9");
    let strategy = ("strategy", "STRATEGY", "by_cause");
    let specs = workloads().into_iter().map(|spec| spec.with(own.0, own.2).with(strategy.0, strategy.2));
    let specs: Vec<Spec> = specs.collect();
    let fleets = Fleets::of(&specs);
    let env = [("DRY_RUN", "client"), ("MAX_ROTATIONS", "9"), ("GUARDS", "standard")];
    let all = run_all(&fleets, &[], &env);
    assert_eq!(rows(&all).len(), 3, "{all}");
    for row in rows(&all) {
        let text = |key: &str| row[key].as_str().expect("a text").to_owned();
        let target = format!("{}/{}", text("kind").to_lowercase(), text("name"));
        let env = [(own.1, own.2), (strategy.1, strategy.2), ("DRY_RUN", "client")];
        let run = fleets.run(&["run", &target, "-n", &text("namespace")], &env);
        assert_eq!(verdict(&row["report"]), verdict(&run.json()), "{target}: {all}\n{run}");
        assert_eq!(row["report"]["thresholds"]["lag"], 9.0, "{row}");
    }
}

#[test]
fn an_annotation_is_a_setting_of_one_workload() {
    let cases = [
        ("cpu-variance-threshold", "9", "lag-variance-threshold", "9", "balanced"),
        ("min-pods-required", "9", "cooldown", "off", "insufficient_data"),
        ("min-pods", "9", "cooldown", "", "insufficient_data"),
        ("guards", "standard", "cooldown", "100h", "withheld"),
        ("paused", "until Monday", "warmup", "1m", "withheld"),
        ("dry-run", "true", "kafka-group", "orders", "planned"),
    ];
    for (one, value, other, and, outcome) in cases {
        let own = Spec::deployment("shop", "orders", hot(8, 6.0)).with("enabled", "true");
        let own = own.with(one, value).with(other, and);
        let fleets = Fleets::of(&[own, workloads().remove(0)]);
        // Of the two, `orders` has the first turn; what evicts nothing takes the one rotation from nobody.
        let done = run_all(&fleets, &[], &[]);
        assert_eq!(row(&done, "orders")["outcome"], outcome, "{one}: {done}");
        assert_eq!(fleets.evictions(), OF_LEDGER, "{one}: the other has the settings of all: {done}");
        assert_eq!(done.json()["run"]["rotations"], 1, "{one}: {done}");
        assert_eq!(done.code, Some(0), "{done}");
    }
}

/// An annotation may make a dry run of a run; it may not make a run of a dry run.
#[test]
fn a_dry_run_stays_one_whatever_an_annotation_says() {
    let own = Spec::deployment("shop", "orders", hot(8, 6.0)).with("enabled", "true").with("dry-run", "none");
    let fleets = Fleets::of(&[own]);
    let done = run_all(&fleets, &[], &[("DRY_RUN", "server")]);
    assert_eq!(row(&done, "orders")["report"]["dry_run"], "server", "{done}");
    assert_eq!(fleets.evictions(), Vec::<String>::new());
}

/// What a person is asked.
pub const QUESTION: &str = "Only 'yes' will be accepted: ";

/// `run --all` with a person at a terminal.
fn at_a_terminal(fleets: &Fleets) -> Session {
    Session::start(160, &mut fleets.command(&["run", "--all", "-A", "-o", "wide"], &OFF))
}

#[test]
fn a_rotation_that_a_person_declines_leaves_its_turn_to_the_next() {
    let fleets = Fleets::of(&workloads());
    let mut session = at_a_terminal(&fleets);
    session.answer(QUESTION, "no");
    while session.screen().matches(QUESTION).count() < 2 {
        thread::sleep(Duration::from_millis(5));
    }
    session.answer(QUESTION, "yes");
    let (code, screen) = session.end();
    assert_eq!((code, fleets.evictions()), (Some(0), OF_LEDGER.map(str::to_owned).to_vec()), "{screen}");
    assert!(screen.contains("but the person at the terminal did not answer yes"), "{screen}");
}

/// What changes nothing is no question.
#[test]
fn nobody_is_asked_about_the_rehearsal_of_a_workload() {
    let mut specs = workloads();
    specs[1] =
        Spec::deployment("shop", "orders", hot(8, 6.0)).with("enabled", "true").with("dry-run", "server");
    let fleets = Fleets::of(&specs);
    let mut session = at_a_terminal(&fleets);
    session.answer(QUESTION, "yes");
    let (code, screen) = session.end();
    assert_eq!((code, fleets.evictions()), (Some(0), OF_LEDGER.map(str::to_owned).to_vec()), "{screen}");
    assert_eq!(screen.matches(QUESTION).count(), 1, "{screen}");
}

#[test]
fn a_signal_at_the_second_question_ends_the_run_in_order() {
    let fleets = Fleets::of(&workloads());
    let mut command = fleets.command(&["run", "--all", "-A", "-o", "wide", "--max-rotations=2"], &OFF);
    let mut session = Session::start(160, &mut command);
    session.answer(QUESTION, "yes");
    while session.screen().matches(QUESTION).count() < 2 {
        thread::sleep(Duration::from_millis(5));
    }
    session.terminate();
    let (code, screen) = session.end();
    assert_eq!((code, fleets.evictions()), (Some(0), OF_ORDERS.map(str::to_owned).to_vec()), "{screen}");
    assert!(screen.contains("but a signal asked the run to stop"), "{screen}");
}

#[test]
fn nonsense_in_an_annotation_skips_that_workload_and_names_it() {
    let cases = [
        ("cpu-variance-threshold", "lots", "pod-rebalancer/cpu-variance-threshold is \"lots\": expected"),
        ("strategy", "replace_all", "pod-rebalancer/strategy is \"replace_all\": "),
        ("guards", "maybe", "expected one of standard, off"),
        ("consumers-per-pod", "1000000000", "expected a whole number from 1 to 1000"),
        ("cpu-threshold", "0.3", "pod-rebalancer/cpu-threshold is no setting that a workload can have"),
        ("prometheus-endpoint", "http://x", "pod-rebalancer/prometheus-endpoint is no setting that"),
        ("claim", "off", "pod-rebalancer/claim is no setting that"),
        ("yes", "true", "pod-rebalancer/yes is no setting that"),
        ("metrics-preset", "kafka", "METRICS_PRESET=kafka needs KAFKA_BOOTSTRAP_SERVERS"),
    ];
    for (annotation, value, words) in cases {
        let own = Spec::deployment("shop", "orders", hot(8, 6.0)).with("enabled", "true");
        let fleets = Fleets::of(&[own.with(annotation, value), workloads().remove(0)]);
        let done = run_all(&fleets, &[], &[]);
        let orders = row(&done, "orders");
        assert_eq!(orders["outcome"], Value::Null, "{done}");
        assert!(orders["reason"].as_str().is_some_and(|why| why.contains(words)), "{words}: {orders}");
        assert_eq!(fleets.evictions(), OF_LEDGER, "the others go on: {done}");
        assert_eq!(done.code, Some(64), "{done}");
        assert_eq!(done.json()["pods"], 14, "those of both rows: {done}");
    }
    let twice = Spec::deployment("shop", "orders", hot(8, 6.0)).with("enabled", "true");
    let fleets = Fleets::of(&[twice.with("min-pods", "3").with("min-pods-required", "4")]);
    let done = run_all(&fleets, &[], &[]);
    assert!(row(&done, "orders")["reason"].to_string().contains("are the same setting"), "{done}");
    let unclear = Spec::deployment("shop", "orders", hot(8, 6.0)).with("enabled", "if you like");
    let done = run_all(&Fleets::of(&[unclear]), &[], &[]);
    assert!(row(&done, "orders")["reason"].to_string().contains("pod-rebalancer/enabled is"), "{done}");
    assert_eq!(done.code, Some(64), "{done}");
}

/// What happens between the lists and the turn of a workload is seen by a look at that workload.
#[test]
fn a_workload_that_has_changed_since_it_was_listed_is_left_alone() {
    let not_there = Transcript {
        code: 404,
        headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
        body: json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 404,
                     "reason": "NotFound", "message": "deployments.apps \"orders\" not found",
                     "details": {"name": "orders", "group": "apps", "kind": "deployments"}})
        .to_string()
        .into_bytes(),
    };
    let opted_out = Transcript {
        code: 200,
        body: json!({"kind": "Deployment", "apiVersion": "apps/v1",
                     "metadata": {"name": "orders", "uid": "d", "annotations": {}},
                     "spec": {"selector": {"matchLabels": {"app": "orders"}}}})
        .to_string()
        .into_bytes(),
        ..not_there.clone()
    };
    for (answer, words) in [(not_there, "was deleted"), (opted_out, "opted out")] {
        let fleets = Fleets::of(&workloads());
        fleets.cluster.inject(Fault::on("GET", "/deployments/orders", Effect::Answer(answer)));
        let done = run_all(&fleets, &[], &[]);
        let orders = row(&done, "orders");
        assert_eq!(orders["outcome"], "withheld", "{done}");
        assert!(orders["reason"].as_str().is_some_and(|why| why.contains(words)), "{orders}");
        assert_eq!(fleets.evictions(), OF_LEDGER, "the next one has its turn: {done}");
        assert_eq!(done.code, Some(0), "{done}");
    }
}

#[test]
fn pods_of_a_workload_that_did_not_opt_in_are_safe_from_the_labels_of_another() {
    // With pods of its own beside those of the canary, and, scaled to zero, with those of the canary alone.
    for own in [hot(8, 6.0), Vec::new()] {
        let canary = Spec::deployment("shop", "orders-canary", hot(4, 9.0));
        let orders = Spec::deployment("shop", "orders", own).with("enabled", "true");
        let specs = [canary, orders, workloads().remove(0)];
        let fleets = Fleets::changed(&specs, |canary| make_canary(canary, "orders"));
        let done = run_all(&fleets, &[], &[("ALLOW_MULTIPLE_CONTROLLERS", "true")]);
        let orders = row(&done, "orders");
        assert_eq!(orders["outcome"], "withheld", "{done}");
        assert!(orders["reason"].as_str().is_some_and(|why| why.contains("it does not own")), "{orders}");
        assert_eq!(fleets.evictions(), OF_LEDGER, "the next one has its turn: {done}");
    }
}

/// The look at all finds the pods of `orders` alone, and so does its turn.
#[test]
fn the_selector_of_a_run_of_all_holds_in_each_turn() {
    let canary = Spec::deployment("shop", "orders-canary", hot(4, 9.0));
    let orders = Spec::deployment("shop", "orders", hot(8, 6.0)).with("enabled", "true");
    let fleets = Fleets::changed(&[canary, orders], |canary| make_canary(canary, "orders"));
    let done = run_all(&fleets, &["-l", "track!=canary"], &[]);
    assert_eq!(fleets.evictions(), OF_ORDERS, "{done}");
}

#[test]
fn a_workload_that_is_blocked_leaves_its_turn_to_the_next() {
    let mut specs = workloads();
    specs.swap(0, 1);
    let fleets = Fleets::changed(&specs, |orders| *orders = orders.clone().with_budget("orders", 1));
    let done = run_all(&fleets, &[], &[]);
    assert_eq!(row(&done, "orders")["outcome"], "blocked", "{done}");
    assert_eq!(fleets.evictions(), OF_LEDGER, "{done}");
    assert_eq!(done.json()["run"]["rotations"], 1, "{done}");
    assert_eq!(done.code, Some(0), "{done}");
}

#[test]
fn after_an_eviction_that_failed_nothing_more_is_evicted() {
    let fleets = Fleets::of(&workloads());
    let refusal = Transcript::named("312_sa_lister_evict_403");
    // Two dry runs come first, and the first eviction.
    fleets.cluster.inject(Fault::on("POST", "/eviction", Effect::Answer(refusal)).after(3).times(1));
    let done = run_all(&fleets, &["--max-rotations=2"], &[]);
    assert_eq!(row(&done, "orders")["outcome"], "partial", "{done}");
    let ledger = row(&done, "ledger");
    assert_eq!(ledger["outcome"], "withheld", "{done}");
    assert!(ledger["reason"].as_str().is_some_and(|why| why.contains("nothing more is evicted")), "{ledger}");
    assert_eq!(fleets.evictions(), OF_ORDERS, "both were asked for, and no other: {done}");
    assert_eq!(done.code, Some(1), "{done}");
}

#[test]
fn what_may_not_be_listed_is_named_and_the_rest_is_acted_on() {
    let fleets = Fleets::of(&workloads());
    fleets.cluster.deny("list pods in *");
    fleets.cluster.deny("list pods in warehouse");
    let done = run_all(&fleets, &[], &[]);
    assert_eq!(fleets.evictions(), OF_ORDERS, "{done}");
    assert!(done.json()["unlisted"].to_string().contains("pods of namespace warehouse"), "{done}");
    assert_eq!(done.code, Some(1), "who opted in there would never be looked after: {done}");
}

#[test]
fn one_namespace_and_labels_choose_as_in_a_scan() {
    let fleets = Fleets::of(&workloads());
    let done = fleets.run(&["run", "--all", "--yes", "-n", "warehouse"], &OFF);
    assert_eq!((told(&done), done.code), (Vec::new(), Some(0)), "{done}");
    assert!(fleets.metrics.requests().is_empty(), "nobody is asked about");
    let done = fleets.run(&["run", "--all", "--yes", "-l", "app=ledger"], &OFF);
    assert_eq!(told(&done), ["shop/ledger rotated"], "{done}");
    assert_eq!(fleets.evictions(), OF_LEDGER);
}

#[test]
fn what_is_about_one_workload_is_refused() {
    let fleets = Fleets::of(&workloads());
    let cases = [
        (&["--plan", "plan.json"][..], "--plan"),
        (&["--record", "run.jsonl"], "--record"),
        (&["deployment/orders"], "deployment/orders is one workload"),
    ];
    for (args, words) in cases {
        let done = run_all(&fleets, args, &[]);
        assert!(done.assert_one_error(64).contains(words), "{done}");
    }
    let done = fleets.run(&["run", "--all"], &OFF);
    assert!(done.assert_one_error(64).contains("--yes"), "nobody can be asked: {done}");
    let done = fleets.run(&["run", "-A", "--yes"], &OFF);
    assert_eq!(done.code, Some(64), "-A without --all: {done}");
    assert_eq!(fleets.asked(), Vec::<String>::new());
}

#[test]
fn each_workload_has_a_line_of_log_and_a_set_of_metrics() {
    let fleets = Fleets::of(&workloads());
    let (gateway, webhook) = (Receiver::answering(202, ""), Receiver::answering(200, "ok"));
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("all.prom");
    let (push, told) = (gateway.url(), format!("{}/x", webhook.url()));
    let env = [
        ("METRICS_PUSH_URL", push.as_str()),
        ("WEBHOOK_URL", told.as_str()),
        ("METRICS_TEXTFILE", file.to_str().expect("a path of ours")),
    ];
    let done = run_all(&fleets, &[], &env);
    let lines: Vec<Value> = done.stderr.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |event: &str| lines.iter().filter(|line| line["event"] == event).collect::<Vec<&Value>>();
    let finished: Vec<_> = of("run.finished")
        .iter()
        .map(|line| {
            (line["selector"].as_str().unwrap_or_default(), line["outcome"].as_str().unwrap_or_default())
        })
        .collect();
    for line in [("app=orders", "rotated"), ("app=ledger", "withheld"), ("app=orders-api", "balanced")] {
        assert!(finished.contains(&line), "{finished:?}");
    }
    assert_eq!(finished.len(), 3, "{done}");
    let summary = of("run_all.finished");
    assert_eq!((&summary[0]["evicted"], &summary[0]["workloads"]), (&json!(2), &json!(3)), "{done}");

    let pushed: Vec<String> = gateway.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(pushed.len(), 3, "{pushed:?}");
    assert!(
        pushed.iter().all(|target| target.starts_with("/metrics/job/pod-rebalancer/target_namespace/shop/"))
    );
    let text = fs::read_to_string(&file).expect("the metrics");
    let outcome = "# TYPE pod_rebalancer_last_run_outcome gauge";
    assert_eq!(text.matches(outcome).count(), 1, "{text}");
    let held = "pod_rebalancer_last_run_withheld{target_namespace=\"shop\",target=\"app=ledger\",target_kind=\"StatefulSet\",target_name=\"ledger\",reason=\"max_rotations\"} 1";
    assert!(text.contains(held), "{text}");
    let rotated =
        "target=\"app=orders\",target_kind=\"Deployment\",target_name=\"orders\",outcome=\"rotated\"} 1";
    assert!(text.contains(rotated), "{text}");

    let posted = webhook.requests();
    assert_eq!(posted.len(), 1, "one message about all");
    let body: Value = serde_json::from_slice(&posted[0].body).expect("JSON");
    assert_eq!(body, done.json());
}

#[test]
fn a_receiver_that_refuses_is_asked_once() {
    let fleets = Fleets::of(&workloads());
    let gateway = Receiver::answering(500, "no");
    let url = gateway.url();
    let done = run_all(&fleets, &[], &[("METRICS_PUSH_URL", url.as_str())]);
    assert_eq!((gateway.requests().len(), done.code), (1, Some(0)), "{done}");
}

/// The lines about the last successes in a file of metrics.
fn successes(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).expect("the metrics");
    let line = |line: &&str| line.starts_with("pod_rebalancer_last_success_timestamp_seconds{");
    text.lines().filter(line).map(str::to_owned).collect()
}

/// The time of the last success of a workload that failed stays in the file, and is its own.
#[test]
fn the_last_success_of_each_workload_is_kept() {
    let fleets = Fleets::of(&workloads());
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("all.prom");
    let env = [("METRICS_TEXTFILE", file.to_str().expect("a path of ours")), ("DRY_RUN", "client")];
    run_all(&fleets, &[], &env);
    let before = successes(&file);
    assert_eq!(before.len(), 3, "{before:?}");
    let gone = Transcript::named("300_401_bad_token");
    fleets.cluster.inject(Fault::on("GET", "/deployments/orders", Effect::Answer(gone)));
    let done = run_all(&fleets, &[], &env);
    assert_eq!((row(&done, "orders")["outcome"].clone(), done.code), (Value::Null, Some(1)), "{done}");
    let of_orders = |lines: &[String]| {
        let found = lines.iter().find(|line| line.contains("target=\"app=orders\""));
        found.cloned().unwrap_or_default()
    };
    assert_eq!(of_orders(&before), of_orders(&successes(&file)));
    assert_eq!(successes(&file).len(), 3);
}

/// Also in a run in which one workload opted in.
#[test]
fn the_last_success_of_another_workload_is_not_kept() {
    let fleets = Fleets::of(&workloads());
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("all.prom");
    let env = [("METRICS_TEXTFILE", file.to_str().expect("a path of ours")), ("DRY_RUN", "client")];
    run_all(&fleets, &[], &env);
    let of_ledger: Vec<String> =
        successes(&file).into_iter().filter(|line| line.contains("target=\"app=ledger\"")).collect();
    let gone = Transcript::named("300_401_bad_token");
    // The turn of the ledger, which nobody else takes then.
    fleets.cluster.inject(Fault::on("GET", "/statefulsets/ledger", Effect::Answer(gone)));
    let done = run_all(&fleets, &["-l", "app=ledger"], &env);
    assert_eq!((row(&done, "ledger")["outcome"].clone(), done.code), (Value::Null, Some(1)), "{done}");
    assert_eq!((successes(&file), of_ledger.len()), (of_ledger, 1), "{done}");
}

#[test]
fn people_and_programs_read_the_same() {
    let fleets = Fleets::of(&workloads());
    let dry = [("DRY_RUN", "client")];
    let table = run_all(&fleets, &["-o", "table"], &dry).stdout;
    assert!(table.contains("3 workloads: 1 balanced, 1 withheld, 1 planned."), "{table}");
    assert!(table.contains("Nothing has been evicted. 2 others have not opted in."), "{table}");
    let names = run_all(&fleets, &["-o", "name"], &dry).stdout;
    assert_eq!(names, OF_ORDERS.join("\n") + "\n");
    let csv = run_all(&fleets, &["-o", "csv"], &dry).stdout;
    assert_eq!(csv.lines().count(), 4, "{csv}");
    let folder = TempDir::new().expect("a folder for temporary files");
    let path = folder.path().join("all.html");
    let page = path.to_str().expect("a path of ours");
    let done = run_all(&fleets, &["--report", page], &[]);
    let text = fs::read_to_string(&path).expect("the page");
    assert!(text.contains("run of all workloads · 2 pods were evicted"), "{text}");
    let json = folder.path().join("all.json");
    fs::write(&json, &done.stdout).expect("the report");
    let again = fleets.run(&["report", json.to_str().expect("a path of ours")], &[("OUTPUT", "")]);
    assert!(again.stdout.contains("run of all workloads"), "{again}");
    let none = run_all(&Fleets::of(&[workloads().remove(3)]), &["-o", "table"], &[]);
    assert!(none.stdout.contains("No workload has opted in"), "{none}");
}

#[test]
fn a_run_that_cannot_look_fails_and_tells_the_webhook_only() {
    let fleets = Fleets::of(&workloads());
    let answer = r#"{"status":"success","isPartial":true,"data":{"resultType":"vector","result":[]}}"#;
    fleets.metrics.answer_queries_with("container_memory", answer);
    let (gateway, webhook) = (Receiver::answering(202, ""), Receiver::answering(200, "ok"));
    let (push, told) = (gateway.url(), webhook.url());
    let env = [("METRICS_PUSH_URL", push.as_str()), ("WEBHOOK_URL", told.as_str())];
    let done = run_all(&fleets, &[], &env);
    assert!(done.assert_one_error(1).contains("partial"), "{done}");
    assert_eq!((gateway.requests().len(), webhook.requests().len()), (0, 1), "{done}");
    let wrong = run_all(&fleets, &[], &[&env[..], &[("MAX_ROTATIONS", "none")]].concat());
    assert_eq!((wrong.code, gateway.requests().len(), webhook.requests().len()), (Some(64), 0, 2), "{wrong}");
    assert_eq!(fleets.evictions(), Vec::<String>::new());
}

/// Three that are uneven, in the order of their turns.
fn three() -> Vec<Spec> {
    vec![
        Spec::deployment("shop", "mail", hot(8, 9.0)).with("enabled", "true"),
        Spec::deployment("shop", "orders", hot(8, 6.0)).with("enabled", "true"),
        Spec::stateful_set("shop", "ledger", hot(6, 2.0)).with("enabled", "true"),
    ]
}

const OF_MAIL: [&str; 2] = ["shop/mail-4", "shop/mail-0"];

/// What was done stays in the report, the turn that a signal interrupts fails, and what was not begun is told.
#[test]
fn a_stop_between_two_turns_loses_nothing() {
    let fleets = Fleets::of(&three());
    let look = "/deployments/orders";
    fleets.cluster.inject(Fault::on("GET", look, Effect::Stall(Duration::from_secs(40))).times(1));
    let env = [("GUARDS", "off"), ("MAX_ROTATIONS", "3"), ("OUTPUT", "json")];
    let running = Running::start(&mut fleets.command(&["run", "--all", "-A", "--yes"], &env));
    let begun = Instant::now();
    while !fleets.asked().iter().any(|asked| asked.ends_with(look)) {
        assert!(begun.elapsed() < Duration::from_secs(60), "the second turn does not begin");
        thread::sleep(Duration::from_millis(5));
    }
    let process = Pid::from_raw(i32::try_from(running.id()).expect("a process id")).expect("a process id");
    kill_process(process, Signal::TERM).expect("the program still runs");
    let (stopped, done) = (Instant::now(), running.wait());
    assert!(stopped.elapsed() < Duration::from_secs(10), "{done}");
    assert_eq!(fleets.evictions(), OF_MAIL, "{done}");
    let mail = row(&done, "mail");
    assert_eq!(mail["outcome"], "rotated", "{done}");
    assert_eq!(mail["report"]["rotation"]["deleted"], json!(["mail-4", "mail-0"]), "{done}");
    let reason = |name: &str| row(&done, name)["reason"].as_str().unwrap_or_default().to_owned();
    assert!(reason("orders").contains("a stop was asked for"), "{done}");
    assert_eq!(row(&done, "ledger")["outcome"], "withheld", "{done}");
    assert!(reason("ledger").contains("a signal asked the run to stop"), "{done}");
    assert_eq!((done.code, &done.json()["run"]["rotations"]), (Some(1), &json!(1)), "{done}");
}

#[test]
fn when_the_time_is_nearly_over_the_next_turn_is_not_begun() {
    let fleets = Fleets::of(&three());
    // The Events after both evictions of the first.
    let late = Effect::Stall(Duration::from_secs(40));
    fleets.cluster.inject(Fault::on("POST", "/events", late).after(2).times(1));
    let env = [("MAX_ROTATIONS", "3"), ("RUN_TIMEOUT", "16s"), ("KUBE_TIMEOUT", "8s")];
    let done = run_all(&fleets, &[], &env);
    assert_eq!(fleets.evictions(), OF_MAIL, "{done}");
    assert_eq!(row(&done, "mail")["outcome"], "rotated", "{done}");
    for name in ["orders", "ledger"] {
        let row = row(&done, name);
        assert_eq!(row["outcome"], "withheld", "{done}");
        assert!(row["reason"].as_str().is_some_and(|why| why.contains("RUN_TIMEOUT")), "{row}");
    }
}
