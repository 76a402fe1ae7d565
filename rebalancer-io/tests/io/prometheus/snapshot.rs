//! Folders of saved answers: what is there, what is not, and what is broken.

use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::Metric;
use rebalancer_io::prometheus::Wanted;
use rebalancer_io::snapshot::{Snapshot, SnapshotError};
use tempfile::TempDir;

use super::stub::testdata;

const WANTED: Wanted<'_> = Wanted { pod_label: "pod", namespace: None, max_bytes: 64 << 20 };

/// A folder with copies of recorded answers.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, recorded) in files {
        fs::copy(testdata("prometheus").join(recorded), folder.path().join(name)).expect(recorded);
    }
    folder
}

fn open(folder: &TempDir) -> Result<Snapshot, SnapshotError> {
    Snapshot::open(folder.path(), &WANTED)
}

#[test]
fn answers_are_found_by_name_plain_or_compressed() {
    let folder = folder(&[
        ("cpu.json", "prom/instant_cpu_12.json"),
        ("lag.json.gz", "prom/instant_lag_1000.json.gz"),
        // Compressed, though its name does not say so.
        ("rate.json", "vm/instant_rate_1000.json.gz"),
    ]);
    fs::write(folder.path().join("pods.json"), "{}").expect("a file");
    let snapshot = open(&folder).expect("a snapshot");
    assert_eq!(snapshot.asked, [Metric::Cpu, Metric::Lag, Metric::Rate]);
    assert_eq!(snapshot.pods.as_deref(), Some(&b"{}"[..]));
    assert_eq!(snapshot.at, Timestamp::from_second(1_795_410_000).ok());
    let joined = snapshot.with_named(Duration::from_secs(180)).expect("a sample a pod");
    let having = |metric| joined.names.len() - joined.issues[metric].missing.len();
    assert_eq!(Metric::ALL.map(having), [12, 0, 989, 988]);
}

#[test]
fn the_newest_sample_is_the_moment() {
    let early = ("cpu.json", "prom/instant_cpu_12_fractional_time.json");
    let moment = |files: &[(&str, &str)]| open(&folder(files)).expect("a snapshot").at;
    assert_eq!(moment(&[early]), Timestamp::from_millisecond(1_795_409_940_123).ok());
    let late = ("lag.json", "vm/instant_lag_12.json");
    assert_eq!(moment(&[early, late]), Timestamp::from_second(1_795_410_000).ok());
}

#[test]
fn an_empty_answer_is_no_error_and_has_no_moment() {
    let folder = tempfile::tempdir().expect("a folder");
    let empty = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
    fs::write(folder.path().join("cpu.json"), empty).expect("a file");
    assert_eq!(open(&folder).expect("a snapshot").at, None);
}

#[test]
fn times_in_milliseconds_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let answer = r#"{"status":"success","data":{"resultType":"vector","result":[
        {"metric":{"pod":"orders-0"},"value":[1795410000000,"0.5"]}]}}"#;
    fs::write(folder.path().join("cpu.json"), answer).expect("a file");
    let wrong = "the times of the samples are out of range; the query API writes seconds";
    let error = open(&folder).expect_err("no time").to_string();
    assert_eq!(error, format!("{}: {wrong}", folder.path().display()));
}

#[test]
fn a_broken_file_is_named() {
    for (recorded, expected) in [
        ("nginx/html_200_login.html", "the answer is not JSON but other text: Sign in"),
        ("prom/err_unknown_function.json", "the server answered bad_data: "),
        ("prom-remote-read-dead/warnings_cpu_12.json", "the answer is partial: "),
        ("nginx/truncated_upstream.json", "the answer is truncated: it ends after 104 bytes"),
        ("vm/edge_invalid_utf8.json", "not valid UTF-8"),
        ("prom/edge_scalar.json", "returns a scalar, not a vector"),
        ("prom/edge_values_all.json", "duplicate series for pod "),
    ] {
        let folder = folder(&[("cpu.json", "prom/instant_cpu_12.json"), ("lag.json", recorded)]);
        let error = open(&folder).expect_err(recorded).to_string();
        let file = folder.path().join("lag.json");
        assert!(error.starts_with(&format!("lag: {}: ", file.display())), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_cut_gzip_file_is_truncated() {
    let folder = folder(&[("cpu.json.gz", "prom/instant_cpu_1000.json.gz")]);
    let file = folder.path().join("cpu.json.gz");
    let bytes = fs::read(&file).expect("a file");
    fs::write(&file, &bytes[..bytes.len() / 2]).expect("a file");
    let error = open(&folder).expect_err("half a file").to_string();
    assert!(error.contains("the answer is truncated"), "{error}");
}

#[test]
fn folders_that_hold_nothing_or_too_much_are_refused() {
    let empty = tempfile::tempdir().expect("a folder");
    assert!(matches!(open(&empty), Err(SnapshotError::Empty { .. })));
    assert!(matches!(
        Snapshot::open(Path::new("/no-such-folder"), &WANTED),
        Err(SnapshotError::Empty { .. })
    ));
    let both =
        folder(&[("cpu.json", "prom/instant_cpu_12.json"), ("cpu.json.gz", "prom/instant_cpu_1000.json.gz")]);
    assert!(matches!(open(&both), Err(SnapshotError::Ambiguous { .. })));
    let large =
        folder(&[("cpu.json", "prom/instant_cpu_12.json"), ("pods.json", "prom/instant_cpu_raw_12.json")]);
    let small = Wanted { max_bytes: 2000, ..WANTED };
    let error = Snapshot::open(large.path(), &small).expect_err("too large").to_string();
    assert!(error.contains("pods.json") && error.contains("is larger than"), "{error}");
}
