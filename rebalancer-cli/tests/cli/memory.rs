//! Memory: whatever a server answers and whatever a file holds, it is bounded.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use rebalancer_core::Metric;
use rebalancer_sim::apiserver::Fleet;
use tempfile::TempDir;

use crate::program::{Done, Running, command, root};
use crate::servers::Servers;

/// The cap of these tests: a fourth of the default one, because this build of the program is slow.
const CAP: usize = 8 << 20;

/// What this build of the program takes itself, in bytes: it is not optimised, and has 17 MB before it does anything.
const OWN: usize = 28 << 20;

/// The memory that the chart allows, in bytes.
fn allowed() -> usize {
    let values = fs::read_to_string(root().join("deploy/helm/pod-rebalancer/values.yaml")).expect("values");
    let limits = values.split_once("  limits:").expect("the chart has limits").1;
    let memory = limits.split_once("memory: ").expect("one of memory").1.split("Mi").next();
    memory.and_then(|text| text.parse::<usize>().ok()).expect("a number of mebibytes") << 20
}

/// Runs a command to its end; also the most memory that it held at once, in bytes.
fn measured(command: &mut Command) -> (Done, usize) {
    let running = Running::start(command);
    let status = format!("/proc/{}/status", running.id());
    let watch = thread::spawn(move || {
        let mut peak = 0;
        // A process that has ended has no memory.
        while let Some(kilobytes) = fs::read_to_string(&status).ok().and_then(|text| peak_of(&text)) {
            peak = kilobytes * 1024;
            thread::sleep(Duration::from_millis(1));
        }
        peak
    });
    let done = running.wait();
    (done, watch.join().expect("the watch does not panic"))
}

fn peak_of(status: &str) -> Option<usize> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

/// What is repeated until the answer has the size of the cap.
fn filled(head: &str, unit: impl Fn(usize) -> String, tail: &str) -> String {
    let mut text = head.to_owned();
    let mut number = 0;
    while text.len() + tail.len() + 200 < CAP {
        if number > 0 {
            text.push(',');
        }
        text.push_str(&unit(number));
        number += 1;
    }
    text + tail
}

/// Answers of the worst kinds that pass the cap.
fn answers() -> Vec<(&'static str, String)> {
    const VECTOR: &str = r#"{"status":"success","data":{"resultType":"vector","result":["#;
    let spaced = VECTOR.replace(':', ": ");
    vec![
        (
            "tiny series",
            filled(VECTOR, |n| format!(r#"{{"metric":{{"pod":"{n}"}},"value":[{n},"1"]}}"#), "]}}"),
        ),
        (
            "tiny series in another form",
            filled(&spaced, |n| format!(r#"{{"metric":{{"pod": "{n}"}},"value":[1,"1"]}}"#), "]}}"),
        ),
        (
            "one string",
            filled(r#"{"status":"success","data":{"resultType":""#, |_| "x".repeat(1000), r#""}}"#),
        ),
        (
            "a label",
            filled(
                &format!(r#"{VECTOR}{{"metric":{{"pod":""#),
                |_| "x".repeat(1000),
                r#""},"value":[1,"1"]}]}}"#,
            ),
        ),
        ("warnings", filled(r#"{"status":"success","warnings":["#, |_| r#""""#.to_owned(), "]}")),
        ("a list that is no answer", filled(r#"{"status":"success","other":["#, |_| "[]".to_owned(), "]}")),
        (
            "a label set",
            filled(
                &format!(r#"{VECTOR}{{"metric":{{"#),
                |n| format!(r#""l{n}":"""#),
                r#"},"value":[1,"1"]}]}}"#,
            ),
        ),
    ]
}

#[test]
fn four_answers_of_the_worst_kind_fit_into_the_memory_of_the_chart() {
    let share = CAP * 4 / (32 << 20);
    assert_eq!(share, 1, "four of these are as large as one of the default");
    let limit = (allowed() - OWN) / 4 + OWN;
    for (kind, body) in answers() {
        assert!(body.len() < CAP, "{kind}: {}", body.len());
        let servers = Servers::start();
        for metric in Metric::ALL {
            servers.metrics.answer_body(metric, body.clone());
        }
        let (done, peak) = measured(&mut asking(&servers));
        assert!(done.code.is_some_and(|code| code < 2), "{kind}: {done}");
        eprintln!("{kind}: {} MB, {}", peak >> 20, done.stderr.lines().last().unwrap_or_default());
        assert!(peak > 1 << 20 && peak < limit, "{kind}: {peak} bytes of {limit}: {done}");
    }
}

fn asking(servers: &Servers) -> Command {
    let mut command = command(&["plan"], &[("KUBE_LABEL_SELECTOR", "app=orders-consumer")]);
    command
        .env("PROMETHEUS_ENDPOINT", servers.metrics.url())
        .env("KUBECONFIG", servers.cluster.kubeconfig_path())
        .env("PROMETHEUS_MAX_RESPONSE", CAP.to_string())
        .stdin(Stdio::null());
    command
}

/// A row of a history: one series with samples without end, and series without end.
#[test]
fn a_history_of_the_worst_kind_fits_too() {
    const MATRIX: &str = r#"{"status":"success","data":{"resultType":"matrix","result":["#;
    let limit = (allowed() - OWN) / 4 + OWN;
    let row = filled(
        &format!(r#"{MATRIX}{{"metric":{{"pod":"a"}},"values":["#),
        |_| r#"[0,"0"]"#.to_owned(),
        "]}]}}",
    );
    let rows = filled(MATRIX, |n| format!(r#"{{"metric":{{"pod":"{n}"}},"values":[[0,"0"]]}}"#), "]}}");
    for (kind, body) in [("one row", row), ("many rows", rows)] {
        let servers = Servers::start();
        servers.metrics.answer_ranges_with(body);
        let (done, peak) = measured(&mut asking(&servers));
        eprintln!("{kind}: {} MB", peak >> 20);
        assert!(peak > 1 << 20 && peak < limit, "{kind}: {peak} bytes of {limit}: {done}");
    }
}

/// The hour of 10,000 pods is 600,000 samples a metric: 30 MB for three of them. Six means a pod are kept,
/// and the plan that the past allows names its pods: 11 MB more, half of what the samples would take.
#[test]
fn the_hour_behind_ten_thousand_pods_is_reduced_while_it_is_read() {
    const MOST_GROWTH: usize = 16_000_000;
    let names: Vec<String> = (0..10_000).map(|pod| format!("orders-consumer-6d5f9b7c8-{pod:05}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let servers =
        Servers::over(Fleet { namespace: "tiny".to_owned(), ..Fleet::named("orders-consumer", &names) });
    let sample = |(number, pod): (usize, &&str)| {
        let load = if number == 7 { "900.5" } else { "1.234567890123" };
        format!(r#"{{"metric":{{"pod":"{pod}"}},"value":[1795410000,"{load}"]}}"#)
    };
    let samples: Vec<String> = names.iter().enumerate().map(sample).collect();
    let body = format!(
        r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#,
        samples.join(",")
    );
    for metric in Metric::ALL {
        servers.metrics.answer_body(metric, body.clone());
    }
    let peak = |threshold: &str| {
        let mut plan = asking(&servers);
        plan.env_remove("PROMETHEUS_MAX_RESPONSE").env("OUTPUT", "json").env("RUN_TIMEOUT", "5m");
        plan.env("PROMETHEUS_TIMEOUT", "60s");
        plan.env("CPU_VARIANCE_THRESHOLD", threshold).env("LAG_VARIANCE_THRESHOLD", threshold);
        let (done, peak) = measured(&mut plan);
        (done.json()["outcome"].as_str().unwrap_or_default().to_owned(), done, peak)
    };
    let ((_, _, without), (outcome, done, with)) = (peak("99"), peak("0.05"));
    eprintln!("{outcome}: {} MB without the past, {} MB with it", without / 1_000_000, with / 1_000_000);
    let asked = servers.metrics.requests();
    let ranges = asked.iter().filter(|request| request.path().ends_with("/query_range")).count();
    assert_eq!(ranges, 3, "one a metric: {done}");
    assert!(with < without + MOST_GROWTH, "{with} bytes, {without} without the past");
}

/// What is asked first where no preset is set has an answer for each pod: 200 bytes of memory each, if it were kept.
#[test]
fn the_search_for_the_preset_keeps_no_answer_of_each_pod() {
    const MOST_GROWTH: usize = 1_000_000;
    let row = |pod: usize| {
        let series = "kafka_consumer_fetch_manager_records_lag";
        format!(
            r#"{{"metric":{{"series":"{series}","pod":"orders-consumer-g5zn5h759-{pod:05}"}},"value":[1,"1"]}}"#
        )
    };
    let rows: Vec<String> = (0..40_000).map(row).collect();
    let servers = Servers::start();
    let body =
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#, rows.join(","));
    servers.metrics.answer_queries_with("count by (series, pod)", body);
    let peak = |preset: &str| {
        let mut plan = asking(&servers);
        plan.env_remove("PROMETHEUS_MAX_RESPONSE").env("METRICS_PRESET", preset);
        let (done, peak) = measured(&mut plan);
        assert_eq!(done.code, Some(0), "{done}");
        peak
    };
    let (named, found) = (peak("none"), peak("auto"));
    eprintln!("{named} bytes with a preset, {found} without");
    assert!(found < named + MOST_GROWTH, "{found} bytes, {named} with a preset");
}

/// Small files that are large once they are decompressed, and larger still once they are understood.
#[test]
fn a_small_file_does_not_take_all_memory() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let head = r#"{"format":"pod-rebalancer/recording/v1","tool_version":"1","recorded_at":"2026-01-01T00:00:00Z","evaluation_time":"2026-01-01T00:00:00Z","config":"#;
    let zeros = |count: usize| "0,".repeat(count);
    let bombs = [
        (
            "report.json.gz",
            "report",
            format!(r#"{{"api_version":"pod-rebalancer/v1","pods":[{}"#, zeros(20 << 20)),
        ),
        (
            "values.json.gz",
            "report",
            format!(r#"{{"api_version":"pod-rebalancer/v1","pods":[{}0]}}"#, zeros(3 << 20)),
        ),
        ("config.jsonl.gz", "replay", format!("{head}[{}0]}}\n", zeros(3 << 20))),
        (
            "facts.jsonl.gz",
            "replay",
            format!("{head}{{}}}}\n{{\"type\":\"workload\",\"facts\":[{}0]}}\n", zeros(3 << 20)),
        ),
        ("states.json.gz", "replay", format!("[{}1]", r#"{"name":"a"},"#.repeat(4_300_000))),
    ];
    for (name, verb, text) in bombs {
        let file = folder.path().join(name);
        let mut gzip = GzEncoder::new(fs::File::create(&file).expect("a file of ours"), Compression::fast());
        gzip.write_all(text.as_bytes()).and_then(|()| gzip.finish().map(drop)).expect("a file of ours");
        drop(text);
        let path = file.to_str().expect("a path of ours");
        let (done, peak) = measured(&mut command(&[verb, path], &[]));
        eprintln!("{name}: {} MB", peak >> 20);
        assert!(matches!(done.code, Some(1 | 64)), "{name}: {done}");
        assert!(done.stderr.contains("values") || done.stderr.contains("larger than"), "{name}: {done}");
        assert!(peak < 600 << 20, "{name}: {peak} bytes: {done}");
    }
}
