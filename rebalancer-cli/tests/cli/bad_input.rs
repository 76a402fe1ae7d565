//! Answers that are malformed, contradictory or of something else: one clear message and a
//! documented exit code each, never a panic.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use rebalancer_sim::transcript::Transcript;
use tempfile::TempDir;

use crate::program::{Done, root, run};

/// A folder with these files.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().expect("a folder for temporary files");
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).expect("a file in a folder of ours");
    }
    folder
}

fn replay(path: &Path) -> Done {
    run(&["replay", path.to_str().expect("a path of ours"), "-o", "json"], &[])
}

/// What a replay of these files says: the message of an error, else the outcome and why.
fn ends(files: &[(&str, &[u8])]) -> String {
    let folder = folder(files);
    let done = replay(folder.path());
    let said = if done.stdout.is_empty() {
        done.assert_one_error(1).to_owned()
    } else {
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done}");
        let report = done.json();
        let (outcome, reason) = (report["outcome"].as_str(), report["reason"].as_str());
        let warnings: Vec<&str> = report["warnings"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|warning| warning.as_str())
            .collect();
        format!("{}: {}; {}", outcome.unwrap_or_default(), reason.unwrap_or_default(), warnings.join("; "))
    };
    said.replace(folder.path().to_str().expect("a path of ours"), "FOLDER")
}

/// A vector of these pods and values, at the moment of the recorded answers.
fn vector(samples: &[(&str, &str)]) -> String {
    vector_at(1_795_410_000, samples)
}

fn vector_at(time_s: u64, samples: &[(&str, &str)]) -> String {
    let sample = |(pod, value): &(&str, &str)| {
        format!(r#"{{"metric":{{"namespace":"shop","pod":"{pod}"}},"value":[{time_s},"{value}"]}}"#)
    };
    let samples: Vec<String> = samples.iter().map(sample).collect();
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#, samples.join(","))
}

fn recorded(file: &str) -> Vec<u8> {
    fs::read(root().join("testdata/prometheus").join(file)).expect(file)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("a vector takes all bytes");
    encoder.finish().expect("a vector takes all bytes")
}

const THREE: [(&str, &str); 3] = [("a", "1"), ("b", "2"), ("c", "9")];

#[test]
fn answers_that_are_none() {
    let deep_array = format!(r#"{{"status":"success","data":{{"result":{}"#, "[".repeat(1 << 18));
    let deep_object = format!(r#"{{"status":"success","x":{}"#, r#"{"a":"#.repeat(1 << 18));
    let good = vector(&THREE);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty file", Vec::new()),
        ("not JSON", b"up 1\n".to_vec()),
        ("JSON of something else", br#"{"hello":"world"}"#.to_vec()),
        ("an array", b"[]".to_vec()),
        ("truncated", good.as_bytes()[..good.len() - 30].to_vec()),
        ("more behind the end", format!("{good}{good}").into_bytes()),
        ("nested arrays without end", deep_array.into_bytes()),
        ("nested objects without end", deep_object.into_bytes()),
        ("bytes that are no text", vec![0xfe, 0x00, 0x80, 0xff]),
        ("login page of a proxy", recorded("nginx/html_200_login.html")),
        ("error page of a proxy", recorded("nginx/html_502_bad_gateway.html")),
        ("error of the server", recorded("prom/err_exec_dup_series.json")),
        ("answer cut by a proxy", recorded("nginx/truncated_upstream.json")),
        ("warnings", recorded("prom-remote-read-dead/warnings_cpu_12.json")),
        ("isPartial", good.replace(r#""data""#, r#""isPartial":true,"data""#).into_bytes()),
        ("histograms", recorded("prom/edge_native_histogram_mixed.json")),
        ("scalar", recorded("prom/edge_scalar.json")),
        ("matrix", recorded("prom/edge_matrix_from_instant.json")),
        ("unknown resultType", good.replace("vector", "tensor").into_bytes()),
        ("no pod label", recorded("prom/edge_no_pod_label.json")),
        ("two containers a pod", recorded("prom/edge_dup_pods_two_containers.json")),
        ("a label that is not UTF-8", recorded("vm/edge_invalid_utf8.json")),
        ("a value that is no number", good.replace(r#""9""#, r#""nine""#).into_bytes()),
        ("the same pod in two clusters", two_clusters().into_bytes()),
    ];
    let mut said = String::new();
    for (name, body) in cases {
        writeln!(said, "{name}\n    {}", ends(&[("cpu.json", &body)])).expect("a String takes every write");
    }
    insta::assert_snapshot!("answers_that_are_none", said);
}

fn two_clusters() -> String {
    let series = |cluster: &str| {
        format!(
            r#"{{"metric":{{"cluster":"{cluster}","namespace":"shop","pod":"a"}},"value":[1795410000,"1"]}}"#
        )
    };
    let series = [series("east"), series("west")].join(",");
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{series}]}}}}"#)
}

#[test]
fn values_that_are_no_load_are_missing() {
    let values =
        [("a", "NaN"), ("b", "+Inf"), ("c", "-Inf"), ("d", "-1"), ("e", "1"), ("f", "5"), ("g", "3")];
    let folder = folder(&[("lag.json", vector(&values).as_bytes())]);
    let report = run(
        &[
            "replay",
            folder.path().to_str().expect("a path"),
            "-o",
            "json",
            "--min-coverage",
            "0",
            "--floors",
            "lag=0",
        ],
        &[],
    )
    .json();
    for (position, pod) in report["pods"].as_array().expect("a list").iter().enumerate() {
        let missing = position < 4;
        assert_eq!(pod["kafka_lag"].is_null(), missing, "{pod}");
        assert_eq!(pod["composite_score"].is_null(), missing, "{pod}");
        assert_eq!(pod["verdict"] == "missing_metrics", missing, "{pod}");
    }
    assert_eq!(report["statistics"]["lag"]["count"], 3);
    assert_eq!(report["outcome"], "planned");
    assert_eq!(report["targets"][0]["pod"], "f");
    assert_eq!(report["targets"][1]["pod"], "e");
}

#[test]
fn answers_that_are_whole_and_decide_nothing() {
    let cases: [(&str, Vec<(&str, String)>); 5] = [
        ("no sample", vec![("cpu.json", vector(&[]))]),
        ("one pod", vec![("cpu.json", vector(&THREE[..1]))]),
        ("two pods", vec![("cpu.json", vector(&THREE[1..]))]),
        ("every value NaN", vec![("cpu.json", vector(&[("a", "NaN"), ("b", "NaN"), ("c", "NaN")]))]),
        (
            "cpu an hour older than lag",
            vec![
                ("cpu.json", vector_at(1_795_406_400, &THREE)),
                ("lag.json", vector(&[("a", "5000"), ("b", "5000"), ("c", "5001")])),
            ],
        ),
    ];
    let mut said = String::new();
    for (name, files) in &cases {
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, body)| (*name, body.as_bytes())).collect();
        writeln!(said, "{name}\n    {}", ends(&files)).expect("a String takes every write");
    }
    insta::assert_snapshot!("answers_that_are_whole_and_decide_nothing", said);
}

#[test]
fn lists_of_pods_that_are_none() {
    let good = vector(&THREE);
    let status = Transcript::named("314_sa_lister_list_other_ns_403").body;
    let table = Transcript::named("019_list_table").body;
    let cases: [(&str, &[u8]); 9] = [
        ("empty file", b""),
        ("malformed", br#"{"kind":"PodList","items":[{"metadata""#),
        ("an array", b"[]"),
        ("a Table", &table),
        ("a Status", &status),
        (
            "a list of something else",
            br#"{"kind":"List","items":[{"kind":"Service","metadata":{"name":"a"}}]}"#,
        ),
        ("a pod without a name", br#"{"kind":"PodList","items":[{"metadata":{}}]}"#),
        (
            "a pod twice",
            br#"{"kind":"PodList","items":[{"metadata":{"name":"a"}},{"metadata":{"name":"a"}}]}"#,
        ),
        ("no pods", br#"{"kind":"PodList","items":[]}"#),
    ];
    let mut said = String::new();
    for (name, pods) in cases {
        let end = ends(&[("cpu.json", good.as_bytes()), ("pods.json", pods)]);
        writeln!(said, "{name}\n    {end}").expect("a String takes every write");
    }
    insta::assert_snapshot!("lists_of_pods_that_are_none", said);
}

#[test]
fn folders_that_cannot_be_replayed() {
    let good = vector(&THREE);
    let packed = gzip(good.as_bytes());
    let mut said = String::new();
    let mut case = |name: &str, files: &[(&str, &[u8])]| {
        writeln!(said, "{name}\n    {}", ends(files)).expect("a String takes every write");
    };
    case("empty folder", &[]);
    case("only pods", &[("pods.json", br#"{"kind":"PodList","items":[]}"#)]);
    case("plain and compressed", &[("cpu.json", good.as_bytes()), ("cpu.json.gz", &packed)]);
    case("cut gzip", &[("cpu.json.gz", &packed[..packed.len() / 2])]);
    case("compressed under a plain name", &[("cpu.json", &packed)]);
    let folder = folder(&[]);
    fs::create_dir(folder.path().join("cpu.json")).expect("a folder in a folder of ours");
    let done = replay(folder.path());
    let message = done.assert_one_error(1).replace(folder.path().to_str().expect("a path"), "FOLDER");
    writeln!(said, "a folder of the name\n    {message}").expect("a String takes every write");
    insta::assert_snapshot!("folders_that_cannot_be_replayed", said);
}

#[test]
fn files_that_cannot_be_replayed() {
    let deep = format!(r#"[{{"name":"a","x":{}"#, "[".repeat(1 << 18));
    let cases: [(&str, &[u8]); 8] = [
        ("empty.json", b""),
        ("words.json", b"hello"),
        ("object.json", br#"{"hello":"world"}"#),
        ("answer.json", br#"{"status":"success","data":{"resultType":"vector","result":[]}}"#),
        ("twice.json", br#"[{"name":"a"},{"name":"a"}]"#),
        ("nameless.json", br#"[{"cpu_usage":1}]"#),
        ("cut.json", br#"[{"name":"a""#),
        ("deep.json", deep.as_bytes()),
    ];
    let mut said = String::new();
    let folder = folder(&cases);
    let shown = folder.path().to_str().expect("a path of ours");
    for (name, _) in cases {
        let done = replay(&folder.path().join(name));
        let message = done.assert_one_error(1).replace(shown, "FOLDER");
        writeln!(said, "{message}").expect("a String takes every write");
    }
    let done = replay(&folder.path().join("absent.json"));
    writeln!(said, "{}", done.assert_one_error(64).replace(shown, "FOLDER"))
        .expect("a String takes every write");
    insta::assert_snapshot!("files_that_cannot_be_replayed", said);
}

/// Thirty million bytes of other labels are passed over, and a number of pods far above any fleet is
/// decided on.
#[test]
fn large_answers_are_decided_on() {
    let label = |number: usize| format!(r#""l{number}":"{}","#, "x".repeat(100 << 10));
    let padding = format!(r#""namespace":"shop",{}"#, (0..300).map(label).collect::<String>());
    let large = vector(&THREE).replacen(r#""namespace":"shop","#, &padding, 1);
    assert!(large.len() > 29 << 20);
    assert!(ends(&[("cpu.json", large.as_bytes())]).starts_with("planned"));
    let names: Vec<String> = (0..50_000).map(|number| format!("pod-{number}")).collect();
    let samples: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    assert!(ends(&[("cpu.json", vector(&samples).as_bytes())]).starts_with("balanced"));
}

#[cfg(unix)]
#[test]
fn a_path_that_is_not_utf_8_is_replayed() {
    use std::os::unix::ffi::OsStringExt;

    use crate::program::{Running, command};

    let folder = folder(&[]);
    let recording = root().join("testdata/recordings/orders-12-live.jsonl");
    let odd = folder.path().join(std::ffi::OsString::from_vec(b"odd-\xff.jsonl".to_vec()));
    fs::copy(recording, &odd).expect("a file in a folder of ours");
    let mut replay = command(&["replay", "-o", "name", "--"], &[]);
    let done = Running::start(replay.arg(&odd)).wait();
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(done.stdout.lines().count(), 2, "{done}");
}
