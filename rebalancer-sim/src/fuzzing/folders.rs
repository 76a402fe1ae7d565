//! Arbitrary bytes as the files of a snapshot folder: read or refused in words, and both ways of reading it
//! find the same samples.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use arbitrary::Unstructured;
use jiff::Timestamp;
use rebalancer_core::Metric;
use rebalancer_io::kubernetes::live_pods;
use rebalancer_io::prometheus::Wanted;
use rebalancer_io::snapshot::{Snapshot, join_named_pods, newest_sample};
use rebalancer_io::states::pod_states;

/// More than most inputs of a fuzzer, less than what one kilobyte of gzip may become.
const MAX_BYTES: u64 = 1 << 16;

/// Longest message: an excerpt of an answer, and the path of its file.
const MAX_WORDS: usize = 2_000;

/// Names of the files that one input may hold; a file in two forms is refused.
const FILES: [&str; 6] = ["cpu.json", "cpu.json.gz", "memory.json", "lag.json", "rate.json.gz", "pods.json"];

/// Writes files made of `data`, reads the folder in both ways, and its list of pods.
///
/// # Panics
/// When the two ways disagree, or an error says nothing or too much.
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
    let (whole, named) =
        (Snapshot::open(folder, &wanted), join_named_pods(folder, &wanted, Duration::from_secs(180)));
    let (whole, named) = match (whole, named) {
        (Ok(whole), Ok(named)) => (whole, named),
        (one, other) => {
            for error in one.err().iter().chain(other.as_ref().err()) {
                told(&error.to_string());
            }
            // With a list of pods the second way leaves the answers unread.
            assert!(other.is_err() || (has_pods && other.is_ok_and(|named| named.is_none())));
            return;
        }
    };
    let Some((named, asked)) = named else { return assert!(whole.pods.is_some_and(|_| has_pods)) };
    assert!(!has_pods && whole.pods.is_none());
    assert_eq!(newest_sample(&named), whole.evaluation_time());
    for metric in Metric::ALL {
        assert_eq!(asked.contains(&metric), whole.answers[metric].is_some(), "{metric}");
        let Some(answer) = &whole.answers[metric] else { continue };
        let samples: BTreeMap<&str, u64> =
            answer.iter().map(|sample| (sample.pod, sample.value.to_bits())).collect();
        assert_eq!(samples.len(), answer.len(), "{metric}: a pod has two samples");
    }
}

#[track_caller]
fn told(words: &str) {
    assert!(!words.is_empty() && words.len() <= MAX_WORDS, "{} letters: {words}", words.len());
}
