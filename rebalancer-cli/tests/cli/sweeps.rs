//! Every recorded error of both kinds of server at every place of a run: an exit code that is written
//! down, one message, no hang, and no eviction that was not cleared by both preflights.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rebalancer_core::Metric;
use rebalancer_sim::apiserver::{Effect, Fault};
use rebalancer_sim::metrics_server::{RecordedAnswer, recorded_answers};
use rebalancer_sim::transcript::Transcript;

use crate::program::Done;
use crate::servers::{BUSIEST, LEAST_BUSY, Servers};

/// Threads that share the work of a sweep; the program mostly waits.
const WORKERS: usize = 4;

/// Ends of all items, each worked on once.
fn sweep<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let ends: Mutex<Vec<(usize, R)>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let position = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(position) else { return };
                    let end = work(item);
                    ends.lock().expect("no worker panics while it holds the ends").push((position, end));
                }
            });
        }
    });
    let mut ends = ends.into_inner().expect("no worker panics while it holds the ends");
    ends.sort_by_key(|(position, _)| *position);
    ends.into_iter().map(|(_, end)| end).collect()
}

/// Exit code and outcome in a few words.
fn end(done: &Done, named: &str) -> String {
    assert!(!done.stderr.contains("panicked"), "{named}: {done}");
    let code = done.code.unwrap_or_else(|| panic!("{named}: {done}"));
    if done.stdout.is_empty() {
        done.assert_one_error(code);
        return format!("exit {code}, error");
    }
    assert_eq!(done.told(), Vec::<&str>::new(), "{named}: {done}");
    format!("exit {code}, {}", done.json()["outcome"].as_str().expect("an outcome"))
}

/// The items that ended alike, by how they ended.
fn grouped(ends: Vec<(String, String)>) -> String {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, end) in ends {
        groups.entry(end).or_default().push(name);
    }
    let mut said = String::new();
    for (end, names) in groups {
        writeln!(said, "{end}\n    {}", names.join("\n    ")).expect("a String takes every write");
    }
    said
}

#[test]
fn every_recorded_answer_of_a_metrics_server() {
    let answers = recorded_answers();
    assert!(answers.len() > 150, "{}", answers.len());
    let ends = sweep(&answers, |RecordedAnswer { file, answer, .. }| {
        let servers = Servers::start();
        servers.metrics.answer(Metric::Lag, answer.clone());
        let done = servers.run(&["run", "--yes"], &[("LAG_VARIANCE_THRESHOLD", "0.3")]);
        let end = end(&done, file);
        if end.contains("error") {
            assert_eq!(done.code, Some(1), "{file}: {done}");
            assert!(done.told()[0].contains("lag: "), "{file}: {done}");
            assert!(servers.cluster.requests().iter().all(|request| request.method == "GET"), "{file}");
        }
        (file.clone(), end)
    });
    insta::assert_snapshot!("metrics_answers", grouped(ends));
}

/// A call of a run, by the request that makes it and how many like it come before.
const CALLS: [(&str, &str, &str, usize); 15] = [
    ("list", "GET", "/pods?", 0),
    ("get of the replica set", "GET", "/replicasets/", 0),
    ("get of the deployment", "GET", "/deployments/", 0),
    ("list of claims", "GET", "/events", 0),
    ("second list", "GET", "/pods?", 1),
    ("second get of the replica set", "GET", "/replicasets/", 1),
    ("second get of the deployment", "GET", "/deployments/", 1),
    ("list of budgets", "GET", "/poddisruptionbudgets", 0),
    ("first preflight", "POST", "/eviction", 0),
    ("second preflight", "POST", "/eviction", 1),
    ("claim", "POST", "/events", 0),
    ("first eviction", "POST", "/eviction", 2),
    ("list between", "GET", "/pods?", 2),
    ("second eviction", "POST", "/eviction", 3),
    ("event", "POST", "/events", 1),
];

/// The calls whose failure leaves evictions made or to be made.
const MAY_EVICT: [&str; 4] = ["first eviction", "list between", "second eviction", "event"];

/// Every recorded answer of an API server that is an error or none at all.
fn errors() -> Vec<(String, Effect)> {
    let recorded = Transcript::names("").into_iter().filter_map(|name| {
        let transcript = Transcript::named(&name);
        let effect = if transcript.code == 0 { Effect::Hangup } else { Effect::Answer(transcript.clone()) };
        (transcript.code == 0 || transcript.code >= 400).then_some((name, effect))
    });
    recorded.chain([("cut short".to_owned(), Effect::Truncate)]).collect()
}

#[test]
fn every_recorded_error_of_an_api_server_at_every_call() {
    let errors = errors();
    assert!(errors.len() > 50, "{}", errors.len());
    let cases: Vec<_> = CALLS.iter().flat_map(|call| errors.iter().map(move |error| (call, error))).collect();
    let ends = sweep(&cases, |((call, method, path, before), (name, effect))| {
        let named = format!("{call}: {name}");
        let servers = Servers::start();
        servers.cluster.inject(Fault::on(method, path, effect.clone()).after(*before).times(1));
        let done = servers.run(&["run", "--yes"], &[("RUN_TIMEOUT", "20s"), ("KUBE_TIMEOUT", "5s")]);
        assert_cleared(&servers, &named, MAY_EVICT.contains(call));
        (name.clone(), end(&done, &named))
    });
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for ((call, ..), ends) in CALLS.iter().zip(ends.chunks(errors.len())) {
        let end = grouped(ends.to_vec());
        match groups.iter_mut().find(|(known, _)| *known == end) {
            Some((_, calls)) => calls.push(call),
            None => groups.push((end, vec![call])),
        }
    }
    let said: Vec<String> =
        groups.iter().map(|(end, calls)| format!("== {}\n{end}", calls.join(", "))).collect();
    insta::assert_snapshot!("api_errors", said.join("\n"));
}

/// Nothing but the pair is evicted, each once and in order, and only where the error came later than
/// the preflights.
fn assert_cleared(servers: &Servers, named: &str, may_evict: bool) {
    let evicted = servers.evictions();
    if !may_evict {
        assert_eq!(evicted, Vec::<String>::new(), "{named}");
        return;
    }
    assert!(
        [BUSIEST, LEAST_BUSY].starts_with(&evicted.iter().map(String::as_str).collect::<Vec<&str>>()),
        "{named}: {evicted:?}"
    );
    if evicted.is_empty() {
        return;
    }
    let asked = servers.asked();
    let dry_runs = asked.iter().take_while(|line| !line.ends_with("/eviction"));
    assert_eq!(dry_runs.filter(|line| line.ends_with("(dry run)")).count(), 2, "{named}: {asked:?}");
}
