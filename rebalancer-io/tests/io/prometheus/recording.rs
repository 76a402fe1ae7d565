//! A run recorded and replayed: the same answers from the same bytes, and files that are damaged.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use flate2::read::GzDecoder;
use jiff::Timestamp;
use rebalancer_io::metrics::{MetricQuery, MetricsSource};
use rebalancer_io::prometheus::{
    Auth, ErrorKind, HttpTransport, PrometheusClient, QueryError, SecretSource, SecretString, TimeRange,
    TransportError, Wanted,
};
use rebalancer_io::recording::{Recorder, Recording, Replay};
use rebalancer_io::snapshot::Snapshot;
use serde_json::json;

use super::stub::{self, Stub, reply, testdata};

const MAX_BYTES: u64 = 1 << 20;

fn at() -> Timestamp {
    Timestamp::from_second(1_795_410_000).expect("a time")
}

fn queries() -> [MetricQuery; 5] {
    ["cpu", "memory", "lag", "rate", "broken"]
        .map(|name| MetricQuery::new(name, format!("sum by (pod) ({name})")))
}

/// Asks for everything, one answer after the other.
fn ask(source: &dyn MetricsSource) -> Vec<Result<String, QueryError>> {
    let instants = queries().map(|query| source.instant(&query, at()).map(|answer| format!("{answer:?}")));
    let range = source.range(
        &MetricQuery::new("history", "h"),
        TimeRange { start: at(), end: at(), step: Duration::from_secs(60) },
    );
    instants.into_iter().chain([range.map(|answer| format!("{answer:?}"))]).collect()
}

/// Records real answers, an error page, and a body that is not UTF-8.
fn record() -> (Recording, Vec<Result<String, QueryError>>) {
    let stub = Stub::start(|request| {
        let file = |name: &str| fs::read(testdata("prometheus").join(name)).expect(name);
        let ok = |name: &str| reply("200 OK", &[("Content-Type", "application/json")], &file(name));
        let asked = |name: &str| request.body.contains(name);
        match ["cpu", "memory", "lag", "rate", "broken"]
            .into_iter()
            .find(|name| asked(&format!("%28{name}%29")))
        {
            Some("cpu") => ok("prom/instant_cpu_12.json"),
            Some("memory") => ok("prom/instant_memory_12.json"),
            Some("lag") => ok("vm/edge_invalid_utf8.json"),
            Some("rate") => reply("502 Bad Gateway", &[], &file("nginx/html_502_bad_gateway.html")),
            Some(_) => reply("200 OK", &[("Content-Length", "999")], b"{\"status\":"),
            None => ok("prom/range_cpu_12_1h_60s.json"),
        }
    });
    let mut config = stub.config();
    config.auth = Auth::Bearer(SecretSource::Value(SecretString::from("hunter2")));
    config.headers = vec!["X-Scope-OrgID: hunter2".parse().expect("a header")];
    config.extra_params = vec![("key".into(), SecretString::from("hunter2"))];
    let transport = HttpTransport::new(&config).expect("a transport");
    let client = PrometheusClient::over(Recorder::new(transport, MAX_BYTES), MAX_BYTES);
    let answers = ask(&client);
    let recording = Recording {
        tool_version: "0.1.0".into(),
        recorded_at: at(),
        evaluation_time: at(),
        config: json!({"namespace": "tiny"}),
        exchanges: client.transport().exchanges(),
        workload: Some(json!({"pods": ["a"]})),
    };
    (recording, answers)
}

#[test]
fn a_replay_gives_the_same_answers_and_errors() {
    let (recording, answers) = record();
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["run.jsonl", "run.jsonl.gz"] {
        let path = folder.path().join(name);
        recording.write(&path).expect("it is written");
        let read = Recording::read(&path).expect("it is read");
        assert_eq!(read, recording, "{name}");
        let replayed = ask(&PrometheusClient::over(Replay::new(&read, name), MAX_BYTES));
        for (replayed, recorded) in replayed.iter().zip(&answers) {
            match (replayed, recorded) {
                (Err(replayed), Err(recorded)) => assert_eq!(replayed.kind, recorded.kind),
                _ => assert_eq!(replayed, recorded),
            }
        }
    }
    let left: Vec<_> = fs::read_dir(folder.path()).expect("a folder").collect();
    assert_eq!(left.len(), 2, "nothing partial is left behind: {left:?}");
}

#[test]
fn a_recording_holds_no_secret_and_is_compressed_by_its_name() {
    let (recording, _) = record();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.jsonl.gz");
    recording.write(&path).expect("it is written");
    let mut text = String::new();
    GzDecoder::new(fs::File::open(&path).expect("a file")).read_to_string(&mut text).expect("a gzip file");
    assert!(text.starts_with(r#"{"format":"pod-rebalancer/recording/v1","tool_version":"0.1.0""#), "{text}");
    assert!(text.contains(r#"{"type":"workload","facts":{"pods":["a"]}}"#));
    for secret in ["hunter2", "uthorization", "X-Scope"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[test]
fn what_was_not_recorded_is_not_made_up() {
    let (recording, _) = record();
    assert_eq!(recording.promql("cpu"), Some("sum by (pod) (cpu)"));
    let client = PrometheusClient::over(Replay::new(&recording, "run.jsonl"), MAX_BYTES);
    let [cpu, ..] = queries();
    let later = at() + Duration::from_secs(1);
    for (query, at) in [
        (&cpu, later),
        (&MetricQuery::new("cpu", "other"), at()),
        (&MetricQuery::new("x", &cpu.promql), at()),
    ] {
        let error = client.instant(query, at).expect_err("no such exchange");
        assert!(matches!(*error.kind, ErrorKind::Transport(TransportError::NotRecorded(_))), "{error}");
        assert_eq!(error.place, "run.jsonl");
    }
}

#[test]
fn damaged_recordings_are_refused_with_file_and_line() {
    let (recording, _) = record();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.jsonl");
    recording.write(&path).expect("it is written");
    let good = fs::read_to_string(&path).expect("text");
    let lines: Vec<&str> = good.lines().collect();
    let last = lines.len();
    let cases = [
        (String::new(), "line 1: the file is empty"),
        ("hello".into(), "line 1: this is not a recording of pod-rebalancer"),
        ("[]\n".into(), "line 1: this is not a recording of pod-rebalancer"),
        (r#"{"format":"x"}"#.into(), "line 1: this is \"x\", not pod-rebalancer/recording/v1"),
        (
            good.replace("/v1\"", "/v2\""),
            "line 1: the recording is pod-rebalancer/recording/v2, this program reads pod-rebalancer/recording/v1; replay with a newer version",
        ),
        (good.replacen("\"time\":\"2026", "\"time\":\"20x6", 1), "is not a time"),
        (good.replacen("\"status\":200", "\"status\":\"200\"", 1), "line 2: invalid type"),
        (
            good.replacen("\"type\":\"exchange\"", "\"type\":\"letter\"", 1),
            "line 2: unknown variant `letter`",
        ),
        (good.replacen("\"body\":", "\"corpse\":", 1), "one of body, body_base64 and body_matrix"),
        (good.replacen("\"body_base64\":\"", "\"body_base64\":\"!", 1), "body_base64: "),
        (good.replacen(&format!("{}\n", lines[2]), "", 1), "the recording had 6 exchanges, 5 are left"),
        (lines[..last - 1].join("\n") + "\n", "the recording is truncated here"),
        (good.clone() + "x", "there is more behind the end of the recording"),
    ];
    for (text, expected) in cases {
        fs::write(&path, &text).expect("a file");
        let error = Recording::read(&path).expect_err(expected).to_string();
        assert!(error.starts_with(&path.display().to_string()), "{error}");
        assert!(error.contains(expected), "{error} does not say {expected}");
    }
    for length in (0..good.len()).filter(|length| good.is_char_boundary(*length)).step_by(97) {
        fs::write(&path, &good[..length]).expect("a file");
        assert!(Recording::read(&path).is_err(), "cut at {length}");
    }
}

#[test]
fn a_cut_gzip_file_and_a_bomb_are_refused() {
    let (recording, _) = record();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.jsonl.gz");
    recording.write(&path).expect("it is written");
    let bytes = fs::read(&path).expect("a file");
    fs::write(&path, &bytes[..bytes.len() / 2]).expect("a file");
    let error = Recording::read(&path).expect_err("half a file");
    assert!(error.reason.contains("truncated"), "{error}");
    fs::write(&path, &bytes[..bytes.len() - 1]).expect("a file");
    let error = Recording::read(&path).expect_err("all but the last byte");
    assert!(error.reason.contains("truncated"), "{error}");
    // The checksum stands in front of the length, which has four bytes.
    let mut damaged = bytes;
    let place = damaged.len() - 5;
    damaged[place] ^= 1;
    fs::write(&path, &damaged).expect("a file");
    let error = Recording::read(&path).expect_err("something in it was changed");
    assert!(error.reason.contains("checksum"), "{error}");
    let mut encoder =
        flate2::write::GzEncoder::new(fs::File::create(&path).expect("a file"), flate2::Compression::fast());
    std::io::copy(&mut std::io::repeat(b'a').take(300 << 20), &mut encoder).expect("a bomb");
    encoder.finish().expect("a bomb");
    let error = Recording::read(&path).expect_err("a bomb");
    assert!(error.reason.contains("larger than"), "{error}");
}

#[test]
fn a_recording_that_cannot_be_written_leaves_what_was_there() {
    let (recording, _) = record();
    let error = recording.write(Path::new("/no-such-folder/run.jsonl")).expect_err("no folder");
    assert!(error.to_string().starts_with("/no-such-folder/run.jsonl: cannot write: "), "{error}");
    let missing = Recording::read(Path::new("/no-such-folder/run.jsonl")).expect_err("no file");
    assert_eq!(missing.line, None);
}

#[test]
fn a_body_over_the_limit_is_the_same_error_when_replayed() {
    let stub = Stub::start(|_| stub::json(stub::ONE_POD));
    let transport = HttpTransport::new(&stub.config()).expect("a transport");
    let client = PrometheusClient::over(Recorder::new(transport, 10), 10);
    let [cpu, ..] = queries();
    let too_large = ErrorKind::TooLarge { max_bytes: 10 };
    assert_eq!(*client.instant(&cpu, at()).expect_err("too large").kind, too_large);
    let exchanges = client.transport().exchanges();
    assert_eq!(exchanges[0].body.len(), 11, "no more is kept than it takes to know");
}

#[test]
fn the_recordings_of_testdata_replay_the_answers_they_were_made_of() {
    for (file, pods, suffix) in [("orders-12.jsonl", 12, ""), ("streams-1000.jsonl.gz", 1000, ".gz")] {
        let recording = Recording::read(&testdata("recordings").join(file)).expect(file);
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["cpu", "memory", "lag", "rate"] {
            let answer = testdata("prometheus").join(format!("prom/instant_{name}_{pods}.json{suffix}"));
            fs::copy(answer, folder.path().join(format!("{name}.json"))).expect(name);
        }
        let wanted = Wanted { pod_label: "pod", namespace: None, max_bytes: MAX_BYTES };
        let snapshot = Snapshot::open(folder.path(), &wanted).expect("a snapshot");
        assert_eq!(snapshot.at, Some(recording.evaluation_time));
        let joined = snapshot.clone().with_named(Duration::from_secs(180)).expect("a sample a pod");
        let client = PrometheusClient::over(Replay::new(&recording, file), MAX_BYTES);
        for metric in snapshot.asked {
            let name = metric.name();
            let query = MetricQuery::new(name, recording.promql(name).expect("a query"));
            let replayed = client.instant(&query, recording.evaluation_time).expect(name);
            let replayed: BTreeMap<&str, f64> =
                replayed.iter().map(|sample| (sample.pod, sample.value)).collect();
            let loads = joined.names.iter().zip(joined.loads[metric].iter().copied());
            let read: BTreeMap<&str, f64> = loads.filter(|(_, load)| !load.is_nan()).collect();
            assert_eq!(read, replayed, "{file} {name}");
        }
    }
}

/// In a page a recording is the same to the byte, or the past has fewer digits and all else is the same.
#[test]
fn a_page_holds_a_whole_recording_or_a_slim_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/recordings/orders-12-live.jsonl");
    let recording = Recording::read(&path).expect("the recording of the repository");
    let place = Path::new("page.html");
    let whole = recording.to_page(None).expect("it fits");
    assert_eq!(Recording::from_page(&whole, place).expect("a recording"), recording);
    let slim = recording.to_page(Some(3)).expect("it fits");
    assert!(slim.len() < whole.len(), "{} of {}", slim.len(), whole.len());
    let back = Recording::from_page(&slim, place).expect("a recording");
    assert_eq!(back.exchanges.len(), recording.exchanges.len());
    for (cut, exchange) in back.exchanges.iter().zip(&recording.exchanges) {
        let is_past = exchange.name.ends_with("_history");
        assert_eq!(cut.body == exchange.body, !is_past, "{}", exchange.name);
        assert_eq!((&cut.query, cut.when, cut.status), (&exchange.query, exchange.when, exchange.status));
    }
    let again = back.to_page(Some(3)).expect("it fits");
    assert_eq!(again, slim, "what was cut is not cut again");
    assert!(Recording::from_page(&whole[..whole.len() / 2 / 4 * 4], place).is_err(), "half of it");
}
