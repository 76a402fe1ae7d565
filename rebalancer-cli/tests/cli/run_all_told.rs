//! What a run over all workloads tells: the past of those that had their turn, and what it could not list.

use std::fs;
use std::time::Duration;

use rebalancer_sim::receiver::Receiver;
use tempfile::TempDir;

use crate::fleets::{Fleets, Spec, hot, told};
use crate::run_all::{run_all, workloads};

/// The section of a workload that had its turn ends with its past, which is read after everything is done.
#[test]
fn the_page_tells_what_earlier_replacements_of_those_that_had_their_turn_changed() {
    let fleets = Fleets::of(&workloads());
    let folder = TempDir::new().expect("a folder for temporary files");
    let path = folder.path().join("all.html");
    let done = run_all(&fleets, &["--report", path.to_str().expect("a path of ours")], &[]);
    assert_eq!(done.code, Some(0), "{done}");
    let page = fs::read_to_string(&path).expect("the page");
    let sections: Vec<&str> = page.split("<details class=\"workload\"").skip(1).collect();
    let told: Vec<bool> = sections
        .iter()
        .map(|section| {
            section.contains("What earlier replacements changed") && section.contains("until this decision")
        })
        .collect();
    assert_eq!(told, [true, false, false], "orders had a turn, the ledger and the API had none");
    assert!(sections[0].contains("orders: rotated"), "{}", &sections[0][..200]);
    let asked = fleets.asked();
    let last = |part: &str| asked.iter().rposition(|request| request.contains(part));
    assert!(last("/eviction").is_some() && last("/eviction") < last("/replicasets"), "{asked:#?}");
}

/// Such a run ends with an error, so whoever wants to know of failures is told, although what was listed is fine.
#[test]
fn the_webhook_is_told_of_what_may_not_be_listed() {
    let even = Spec::deployment("shop", "orders-api", vec![0.4, 0.41, 0.4, 0.39]).with("enabled", "true");
    let fleets =
        Fleets::of(&[even, Spec::deployment("warehouse", "orders", hot(8, 9.0)).with("enabled", "true")]);
    fleets.cluster.deny("list pods in *");
    fleets.cluster.deny("list pods in warehouse");
    for (format, outcomes, posts) in [("slack", "failed", 1), ("json", "failed", 1), ("slack", "rotated", 0)]
    {
        let webhook = Receiver::answering(200, "ok");
        let url = webhook.url();
        let env = [("WEBHOOK_URL", url.as_str()), ("WEBHOOK_FORMAT", format), ("WEBHOOK_OUTCOMES", outcomes)];
        let done = run_all(&fleets, &[], &env);
        assert_eq!(
            (told(&done), done.code),
            (vec!["shop/orders-api balanced".to_owned()], Some(1)),
            "{done}"
        );
        let posted = webhook.requests();
        assert_eq!(posted.len(), posts, "{format} {outcomes}: {done}");
        for post in posted {
            let body = String::from_utf8(post.body).expect("text");
            assert!(body.contains("pods of namespace warehouse"), "{body}");
        }
    }
}

/// What is delivered afterwards may not outlast the deadline of the job.
#[test]
fn a_slow_receiver_gets_what_fits_into_its_time() {
    const NAMES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    const WORKLOADS: usize = NAMES.len();
    let even = |name| Spec::deployment("shop", name, vec![0.4, 0.41, 0.4, 0.39]).with("enabled", "true");
    let fleets = Fleets::of(&NAMES.map(even));
    let gateway = Receiver::answering_after(Duration::from_millis(700), 200, "");
    let url = gateway.url();
    let done = run_all(&fleets, &[], &[("METRICS_PUSH_URL", url.as_str()), ("METRICS_TIMEOUT", "1s")]);
    let pushed = gateway.requests().len();
    assert!((2..WORKLOADS).contains(&pushed), "{pushed}: {done}");
    let (before, _) = done
        .stderr
        .split_once(&format!(
            "s for the metrics of {pushed} of {WORKLOADS} workloads; the others are left out"
        ))
        .unwrap_or_else(|| panic!("{done}"));
    let (_, taken) = before.rsplit_once("took ").unwrap_or_else(|| panic!("{done}"));
    // The limit is 6 s, and the last push may begin just before it.
    assert!(done.code == Some(0) && taken.parse().is_ok_and(|seconds: u32| seconds >= 6), "{done}");
}
