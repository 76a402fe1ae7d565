//! Arbitrary bytes as the files of a snapshot folder: read or refused in words, and joined over all pods that they
//! name.

use std::fs;
use std::path::Path;
use std::time::Duration;

use arbitrary::Unstructured;
use jiff::Timestamp;
use rebalancer_core::{Freshness, LivePod, PerMetric};
use rebalancer_io::kubernetes::live_pods;
use rebalancer_io::prometheus::Wanted;
use rebalancer_io::snapshot::Snapshot;
use rebalancer_io::states::pod_states;

/// More than most inputs of a fuzzer, less than what one kilobyte of gzip may become.
const MAX_BYTES: u64 = 1 << 16;

/// Longest message: an excerpt of an answer, and the path of its file.
const MAX_WORDS: usize = 2_000;

/// Names of the files that one input may hold; a file in two forms is refused.
const FILES: [&str; 6] = ["cpu.json", "cpu.json.gz", "memory.json", "lag.json", "rate.json.gz", "pods.json"];

/// Writes files made of `data`, reads and joins the folder, and its list of pods.
///
/// # Panics
/// When a named pod is lost, or an error says nothing or too much.
pub fn folders(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(which) = input.arbitrary::<u8>() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let names: Vec<&str> =
        (0..FILES.len()).filter(|place| which >> place & 1 == 1).map(|place| FILES[place]).collect();
    let rest = input.take_rest();
    let piece = rest.len().div_ceil(names.len().max(1)).max(1);
    let mut pieces = rest.chunks(piece);
    for name in &names {
        fs::write(folder.path().join(name), pieces.next().unwrap_or_default()).expect("a temporary file");
    }
    read(folder.path(), names.contains(&"pods.json"));
    let at = Timestamp::UNIX_EPOCH;
    drop(live_pods(rest, at).map_err(|error| told(&error.to_string())));
    drop(pod_states(rest).map_err(|error| told(&error.to_string())));
}

fn read(folder: &Path, has_pods: bool) {
    let wanted = Wanted { pod_label: "pod", namespace: None, max_bytes: MAX_BYTES };
    let snapshot = match Snapshot::open(folder, &wanted) {
        Ok(snapshot) => snapshot,
        Err(error) => return told(&error.to_string()),
    };
    assert_eq!(snapshot.pods.is_some(), has_pods);
    let freshness = Freshness { warm_up: Duration::ZERO, max_sample_age: Duration::from_secs(180) };
    let is_asked = PerMetric::from_fn(|metric| snapshot.asked.contains(&metric));
    let named = snapshot.clone().with_named(freshness.max_sample_age);
    let named = named.expect("the decoder refuses two samples of a pod");
    let live: Vec<LivePod> = named.names.iter().map(LivePod::assumed).collect();
    let assumed = snapshot.with_live(&live, freshness).expect("as before");
    assert!(named.names == assumed.names && named.issues == assumed.issues);
    for (metric, issues) in named.issues.iter() {
        let missing = issues.missing.len();
        assert!(
            missing <= named.names.len() && (is_asked[metric] || missing == named.names.len()),
            "{metric}"
        );
        assert_eq!(issues.unknown_pods, 0, "{metric}");
    }
}

#[track_caller]
fn told(words: &str) {
    assert!(!words.is_empty() && words.len() <= MAX_WORDS, "{} letters: {words}", words.len());
}
