//! A report as a page: whole, small, silent towards outside, and a recording at the same time.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use jiff::Timestamp;
use rebalancer_io::prometheus::{TimeRange, When};
use rebalancer_io::recording::Recording;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{Done, root, run};
use crate::servers::{BUSIEST, LEAST_BUSY, Servers};

const RECORDING: &str = "testdata/recordings/orders-12-live.jsonl";

/// Most bytes of the page of a hundred pods.
const MOST_BYTES: usize = 150_000;

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of ours")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A report without what a replay cannot know or did not do.
fn decision(done: &Done) -> Value {
    let mut decision = done.json();
    let fields = decision.as_object_mut().expect("a report");
    for key in ["kind", "requests", "rotation", "dry_run"] {
        fields.remove(key);
    }
    fields["workload"].as_object_mut().expect("a workload").remove("context");
    decision
}

/// Fails where a page could ask for anything, run anything, or break out of its own text.
#[track_caller]
fn assert_self_contained(page: &str) {
    assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"), "{}", &page[..80]);
    for word in [" src=", " href=", "@import", "url(", "<link", "<iframe", "<object", " onclick"] {
        let found = page.find(word);
        assert_eq!(
            found,
            None,
            "{word} in {:?}",
            found.map(|at| &page[at.saturating_sub(60)..(at + 60).min(page.len())])
        );
    }
    assert_eq!(page.matches("<script").count(), 1 + usize::from(page.contains(" id=\"recording\"")));
    assert!(page.contains("default-src &apos;none&apos;") || page.contains("default-src 'none'"));
    let hidden = page.chars().find(|char| char.is_control() && *char != '\n' && *char != '\t');
    assert_eq!(hidden, None);
}

/// The elements of a page that are to be closed are closed, in their order.
#[track_caller]
fn assert_well_formed(page: &str) {
    const VOID: [&str; 2] = ["meta", "!DOCTYPE"];
    let mut open: Vec<&str> = Vec::new();
    let body = page
        .split_once("</style>")
        .map(|(head, rest)| [head.split_once("<style>").expect("a style begins").0, rest]);
    for part in body.expect("a page has a style") {
        for tag in part.split('<').skip(1) {
            let name = tag.split(['>', ' ']).next().expect("a tag has a name");
            match name.strip_prefix('/') {
                Some(closed) => assert_eq!(open.pop(), Some(closed), "before {tag:?}"),
                None if !VOID.contains(&name) => open.push(name),
                None => {}
            }
            // Its script is the last element, and no other text holds the sign.
            if name == "script" && tag.contains("for (const") {
                open.pop();
                break;
            }
        }
    }
    assert!(open.is_empty() || open == ["html", "body"], "{open:?}");
}

#[test]
fn a_page_is_a_recording_that_decides_the_same() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let page = folder.path().join("report.html");
    let servers = Servers::start();
    let settings: [&[(&str, &str)]; 3] =
        [&[], &[("CPU_VARIANCE_THRESHOLD", "2"), ("LAG_VARIANCE_THRESHOLD", "9")], &[("GUARDS", "off")]];
    for env in settings {
        let planned = servers.run(&["plan", "--report", text(&page)], env);
        assert_eq!(planned.code, Some(0), "{planned}");
        assert_self_contained(&read(&page));
        assert_well_formed(&read(&page));
        let again = run(&["replay", text(&page), "-o", "json"], &[]);
        assert_eq!(decision(&again), decision(&planned), "{env:?}");
        let other = run(&["replay", text(&page), "-o", "json"], &[("MIN_PODS_REQUIRED", "50")]);
        assert_eq!(other.json()["outcome"], "insufficient_data", "{other}");
    }
}

#[test]
fn the_same_recording_makes_the_same_page() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("report.html");
    let written = run(&["report", RECORDING, text(&file)], &[]);
    assert_eq!((written.code, written.stdout.as_str()), (Some(0), ""), "{written}");
    let printed = run(&["report", RECORDING], &[]);
    assert_eq!(printed.stderr, "");
    assert_eq!(read(&file), printed.stdout);
    assert!(!printed.stdout.contains(">Node<"), "the recording knows of no node");
    // The page of a page is that page.
    assert_eq!(run(&["report", text(&file)], &[]).stdout, printed.stdout);
    insta::assert_snapshot!("page", outline(&printed.stdout));
}

/// The headings of a page with the text below them, without style, script and recording.
fn outline(page: &str) -> String {
    let (_, body) = page.split_once("<main>").expect("a page has a main part");
    let mut outline = String::new();
    for tag in body.split('<') {
        let Some((element, text)) = tag.split_once('>') else { continue };
        let name = element.split(' ').next().unwrap_or_default();
        if name == "script" {
            continue;
        }
        if matches!(
            name,
            "h1" | "h2"
                | "h3"
                | "li"
                | "tr"
                | "p"
                | "div"
                | "pre"
                | "figcaption"
                | "svg"
                | "summary"
                | "footer"
        ) {
            let _ = write!(outline, "\n{name}:");
        }
        let _ = write!(outline, " {}", text.trim());
    }
    let lines = outline.lines().map(|line| line.split_whitespace().collect::<Vec<&str>>().join(" "));
    lines.filter(|line| line.split_once(": ").is_some()).collect::<Vec<String>>().join("\n")
}

#[test]
fn a_json_report_makes_a_page_too() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let (json, page) = (folder.path().join("plan.json"), folder.path().join("plan.html"));
    fs::write(&json, run(&["replay", RECORDING, "-o", "json"], &[]).stdout).expect("a file of ours");
    let done = run(&["report", text(&json), text(&page)], &[]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), ""), "{done}");
    let page_text = read(&page);
    assert_self_contained(&page_text);
    assert!(page_text.contains(BUSIEST) && page_text.contains(LEAST_BUSY));
    let again = run(&["replay", text(&page)], &[]);
    assert!(again.assert_one_error(1).contains("holds no recording"), "{again}");
}

/// Keys that were added within v1 are missing from older reports.
#[test]
fn an_older_report_makes_a_page_too() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("old.json");
    let mut report = run(&["replay", RECORDING, "-o", "json"], &[]).json();
    for key in ["outliers", "coverage", "requests", "warnings", "obstacles"] {
        report.as_object_mut().expect("a report is an object").remove(key);
    }
    report["diagnosis"].as_object_mut().expect("an object").remove("notes");
    fs::write(&file, report.to_string()).expect("a file of ours");
    let page = run(&["report", text(&file)], &[]);
    assert!(page.code == Some(0) && page.stdout.contains(BUSIEST), "{page}");

    let mut report = run(&["backtest", "--recordings", "testdata/recordings", "-o", "json"], &[]).json();
    for sums in report["thresholds"].as_array_mut().expect("sums at each threshold") {
        for key in ["episodes", "rotations", "rotations_if_cured"] {
            sums.as_object_mut().expect("an object").remove(key);
        }
    }
    fs::write(&file, report.to_string()).expect("a file of ours");
    let page = run(&["report", text(&file)], &[]);
    assert!(page.code == Some(0) && page.stdout.contains(">–</td>"), "{page}");
}

#[test]
fn what_makes_no_page_is_refused_in_words() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("saved");
    let of = |change: &dyn Fn(&mut Value)| {
        let mut report = run(&["replay", RECORDING, "-o", "json"], &[]).json();
        change(&mut report);
        report.to_string()
    };
    let cases = [
        (of(&|report| report["api_version"] = json!("pod-rebalancer/v9")), "use a newer version"),
        (of(&|report| report["kind"] = json!("CheckReport")), "has no page"),
        (of(&|report| drop(report["kind"].take())), "this is no report of pod-rebalancer"),
        (of(&|report| drop(report["statistics"].take())), "another shape"),
        ("<!DOCTYPE html><p>something else".to_owned(), "holds no recording"),
        ("<!DOCTYPE html><script id=\"recording\">%%%</script>".to_owned(), "is damaged"),
        ("nonsense".to_owned(), "neither a recording"),
    ];
    for (text_of_file, expected) in cases {
        fs::write(&file, text_of_file).expect("a file of ours");
        let done = run(&["report", text(&file)], &[]);
        let said = done.assert_one_error(1);
        assert!(said.contains(expected) && said.contains(text(&file)), "{said}");
    }
    run(&["report", "/nowhere/plan.json"], &[]).assert_one_error(64);
}

/// A dry run says so; what a run did stands in its page.
#[test]
fn a_run_leaves_a_page_of_what_it_did() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("run.html");
    let servers = Servers::start();
    let dry = servers.run(&["run", "--dry-run", "--report", text(&file)], &[]);
    assert_eq!(dry.code, Some(0), "{dry}");
    assert!(read(&file).contains("<strong>DRY RUN</strong>"));
    servers.assert_untouched();
    let done = servers.run(&["run", "--yes", "--report", text(&file)], &[]);
    assert_eq!(done.json()["outcome"], "rotated", "{done}");
    let page = read(&file);
    assert!(page.contains(&format!("evicted <b>{BUSIEST}</b>")) && !page.contains("DRY RUN"));
    assert!(page.contains("<th scope=\"col\">Node</th>") && page.contains("<td>node-1</td>"));
    let again = run(&["replay", text(&file), "-o", "json"], &[]).json();
    assert_eq!(again["targets"], done.json()["targets"]);
}

/// Arguments, environment and the outcome.
type Case = (&'static [&'static str], &'static [(&'static str, &'static str)], &'static str);

/// Whatever came of a run: its page has its recording, its queries and its settings.
#[test]
fn the_page_of_a_run_that_does_not_act_replays() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("run.html");
    let cases: [Case; 3] = [
        (&["--yes"], &[("CPU_VARIANCE_THRESHOLD", "9"), ("LAG_VARIANCE_THRESHOLD", "9")], "balanced"),
        (&["--yes"], &[("COOLDOWN", "100h")], "withheld"),
        (&["--dry-run"], &[], "planned"),
    ];
    for (args, env, outcome) in cases {
        let servers = Servers::start();
        let args = [&["run", "--report", text(&file)], args].concat();
        let done = servers.run(&args, env);
        assert_eq!(done.json()["outcome"], outcome, "{done}");
        servers.assert_untouched();
        let page = read(&file);
        assert!(page.contains("container_cpu_usage_seconds_total"), "{outcome}: the queries are in it");
        assert!(page.contains("PROMETHEUS_ENDPOINT"), "{outcome}: the settings are in it");
        let again = run(&["replay", text(&file), "-o", "json"], &[]);
        assert_eq!(again.json()["outcome"], outcome, "{again}");
        assert_eq!(again.json()["outliers"], done.json()["outliers"], "{again}");
    }
}

/// A metric that was asked for and is nowhere is seen to be, in every form of the report.
#[test]
fn a_metric_that_is_wholly_absent_is_seen() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("plan.html");
    let servers = Servers::start();
    let nothing = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
    servers.metrics.answer_body(rebalancer_core::Metric::Lag, nothing);
    let done = servers.run(&["plan", "--report", text(&file)], &[]);
    let lag = &done.json()["coverage"]["lag"];
    assert_eq!((&lag["asked"], &lag["having"], &lag["usable"]), (&json!(true), &json!(0), &json!(false)));
    assert!(done.json()["warnings"].to_string().contains("lag: asked for, and no pod has it"), "{done}");
    assert!(read(&file).contains("absent: no pod has it"));
    let table = servers.run(&["plan", "-o", "table"], &[]).stdout;
    assert!(table.contains("lag     ! absent") && table.contains("! lag: asked for, and no pod"), "{table}");
    assert!(table.lines().all(|line| !(line.contains('✓') && line.contains("lag"))), "{table}");
}

#[test]
fn a_page_that_has_no_folder_stops_a_run_before_it_begins() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let servers = Servers::start();
    for (path, expected) in
        [("/nowhere/run.html", "there is no folder /nowhere"), (text(folder.path()), "is a folder")]
    {
        let done = servers.run(&["run", "--yes"], &[("REPORT_FILE", path)]);
        let said = done.assert_one_error(64);
        assert!(said.contains(path) && said.contains(expected), "{said}");
    }
    servers.assert_untouched();
    assert!(servers.metrics.requests().is_empty());
}

/// What was done is told, whatever becomes of the page.
#[test]
fn a_page_that_cannot_be_written_in_the_end_hides_no_rotation() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let inner = folder.path().join("reports");
    fs::create_dir(&inner).expect("a folder of ours");
    let file = inner.join("run.html");
    let servers = Servers::start();
    servers.metrics.hold();
    let running = servers.begin(&["run", "--yes", "--report", text(&file)], &[]);
    while servers.metrics.requests().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    fs::remove_dir(&inner).expect("an empty folder of ours");
    servers.metrics.release();
    let done = running.wait();
    assert!(done.assert_one_error(1).contains(text(&file)), "{done}");
    assert_eq!(done.json()["outcome"], "rotated", "{done}");
    assert_eq!(servers.evictions(), [BUSIEST, LEAST_BUSY]);
}

#[test]
fn text_from_outside_stays_text() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("pods.json");
    let names = [
        "<img src=x onerror=alert(1)>",
        "</title><script>alert(1)</script>",
        "a\u{1b}[31m\u{0}b",
        "\u{202e}gnp.exe",
        "\"onload=x",
        "plain",
    ];
    let pods: Vec<Value> = names
        .iter()
        .zip([9.0, 1.0, 1.0, 1.0, 1.0, 0.1])
        .map(|(name, load)| json!({"name": name, "cpu_usage": load, "kafka_lag": load * 1e4}))
        .collect();
    fs::write(&file, Value::from(pods).to_string()).expect("a file of ours");
    let page = run(&["report", text(&file)], &[("GUARDS", "off")]).stdout;
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)"), "{page}");
    assert!(page.contains("a\u{fffd}[31m\u{fffd}b") && page.contains("\u{fffd}gnp.exe"), "{page}");
    assert!(!page.contains("<img") && !page.contains('\u{202e}') && !page.contains('\u{1b}'));
    assert_well_formed(&page);
}

/// A hundred pods whose past is as noisy as a real one: the worst there is to compress.
fn noisy(pods: usize) -> Recording {
    let path = root().join(RECORDING);
    let mut recording = Recording::read(&path).expect("the recording of the repository");
    let mut rng = fastrand::Rng::with_seed(7);
    let names: Vec<String> = (0..pods).map(|pod| format!("orders-consumer-58db4d5fb7-p{pod:04}")).collect();
    let mean = |pod: usize| {
        if pod == 3 {
            5.0
        } else if pod == 5 {
            0.05
        } else {
            1.0
        }
    };
    for exchange in &mut recording.exchanges {
        let name = exchange.name.as_str();
        if ["cpu", "memory", "lag", "rate"].iter().all(|metric| !name.starts_with(metric)) {
            continue;
        }
        let unit = if name.starts_with("memory") {
            4e8
        } else if name.starts_with("lag") {
            3e4
        } else if name.starts_with("rate") {
            300.0
        } else {
            0.3
        };
        let mut value = |pod: usize| {
            let value = unit * mean(pod) * (0.7 + 0.6 * rng.f64());
            if unit > 1e3 { value.round() } else { value }.to_string()
        };
        let labels = |pod: usize| json!({"namespace": "tiny", "pod": names[pod]});
        let (kind, series): (&str, Vec<Value>) = match exchange.when {
            When::Instant(at) => (
                "vector",
                (0..pods)
                    .map(|pod| json!({"metric": labels(pod), "value": [seconds(at), value(pod)]}))
                    .collect(),
            ),
            When::Range(TimeRange { start, .. }) => (
                "matrix",
                (0..pods)
                    .map(|pod| {
                        let values: Vec<Value> = (0..60)
                            .map(|step| json!([seconds(start) + 60.0 * f64::from(step), value(pod)]))
                            .collect();
                        json!({"metric": labels(pod), "values": values})
                    })
                    .collect(),
            ),
        };
        let body = json!({"status": "success", "data": {"resultType": kind, "result": series}});
        exchange.body = body.to_string().into_bytes().into();
    }
    let workload = recording.workload.as_mut().expect("a recorded workload");
    let list = workload["pods"].as_array().expect("a list of pods").clone();
    workload["pods"] = names
        .iter()
        .enumerate()
        .map(|(number, name)| {
            let mut pod = list[0].clone();
            pod["name"] = json!(name);
            pod["uid"] = json!(format!("{:032x}", rng.u128(..) ^ number as u128));
            pod
        })
        .collect();
    for key in ["current_replicas", "desired_replicas", "updated_replicas"] {
        workload["owners"][0][key] = json!(pods);
    }
    recording
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

#[test]
fn the_page_of_a_hundred_pods_is_small_and_decides_the_same() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let (file, page) = (folder.path().join("run.jsonl"), folder.path().join("run.html"));
    noisy(100).write(&file).expect("a file of ours");
    let whole = run(&["replay", text(&file), "--report", text(&page), "-o", "json"], &[]);
    assert_eq!(whole.json()["outcome"], "planned", "{whole}");
    let page_text = read(&page);
    println!("the page of 100 pods has {} bytes", page_text.len());
    assert!(page_text.len() < MOST_BYTES, "{}", page_text.len());
    assert!(page_text.contains("significant digits"), "the past is cut, and the page says so");
    for pod in 0..100 {
        assert!(
            page_text.contains(&format!("<th scope=\"row\">orders-consumer-58db4d5fb7-p{pod:04}</th>")),
            "{pod}"
        );
    }
    let (whole, again) = (whole.json(), run(&["replay", text(&page), "-o", "json"], &[]).json());
    for key in ["outcome", "should_rebalance", "targets", "reason", "statistics", "pods", "thresholds"] {
        assert_eq!(again[key], whole[key], "{key}");
    }
    let verdicts = |report: &Value| -> Vec<Value> {
        let checks = ["guards", "steps"].map(|key| report.get(key).or(report["diagnosis"].get(key)).cloned());
        checks
            .into_iter()
            .flatten()
            .flat_map(|checks| checks.as_array().cloned().unwrap_or_default())
            .map(|check| json!([check["name"], check["verdict"], check["limit"]]))
            .collect()
    };
    assert!(verdicts(&whole).len() > 10);
    assert_eq!(verdicts(&again), verdicts(&whole));
}

/// Of a large fleet the page leaves out what makes it large, and says so.
#[test]
fn the_page_of_a_large_fleet_says_what_it_leaves_out() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("run.jsonl");
    noisy(1900).write(&file).expect("a file of ours");
    let page = run(&["report", text(&file)], &[]).stdout;
    println!("the page of 1,900 pods has {} bytes", page.len());
    assert!(page.len() < 2_500_000, "{}", page.len());
    assert!(page.contains("1600 pods have no row in this page"), " {}", page.len());
    assert_well_formed(&page);
}

#[test]
fn a_backtest_has_a_timeline() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let (page, json) = (folder.path().join("backtest.html"), folder.path().join("backtest.json"));
    let servers = Servers::start();
    let arguments =
        ["backtest", "--from", "6h", "--every", "30m", "--sweep", "cpu=0.2..2/0.3", "--report", text(&page)];
    let done = servers.run(&arguments, &[]);
    assert_eq!(done.code, Some(0), "{done}");
    let page = read(&page);
    assert_self_contained(&page);
    assert_well_formed(&page);
    for words in ["CPU spread over time", "Outcomes over time", "Episodes over a threshold", "not benefits"] {
        assert!(page.contains(words), "{words}");
    }
    fs::write(&json, &done.stdout).expect("a file of ours");
    let again = run(&["report", text(&json)], &[]).stdout;
    let main =
        |page: &str| page.split_once("<section aria-labelledby=\"queries\"").map(|(main, _)| main.to_owned());
    assert!(again.starts_with(&main(&page).expect("a page with its queries")), "the same up to the queries");
}

/// The page of a saved report.
fn page_of(report: &Value) -> String {
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("report.json");
    fs::write(&file, report.to_string()).expect("a file in a folder of ours");
    let done = run(&["report", text(&file)], &[]);
    assert_eq!(done.code, Some(0), "{done}");
    done.stdout
}

/// A look at workloads none of which could be decided does not look like one at which all is well.
#[test]
fn the_title_of_a_scan_tells_what_is_not_decided_and_one_reason_stands_once() {
    let row = |name: &str| {
        json!({"namespace": "shop", "kind": "Deployment", "name": name, "pods": 3, "outcome": null, "should_rebalance": false,
            "cpu_cv": null, "lag_cv": null, "over": null, "cause": "unknown", "evidence": "", "remedy": "none", "best_cv": null,
            "targets": [], "reason": "the server answered 503"})
    };
    let scan = |rows: Vec<Value>, run: Value| {
        json!({"api_version": "pod-rebalancer/v1", "kind": if run.is_null() { "ScanReport" } else { "RunAllReport" },
            "evaluation_time": "2026-11-29T19:00:00Z", "context": null, "namespaces": null, "selector": null, "run": run,
            "pods": 15, "workloads": rows, "unlisted": [], "warnings": [], "requests": {}})
    };
    let rows: Vec<Value> = ["a", "b", "c", "d", "e"].map(row).to_vec();
    let page = page_of(&scan(rows, Value::Null));
    assert!(page.contains("<h1>5 workloads: 5 not decided.</h1>"), "{page}");
    let why = "shop/deployment/a, shop/deployment/b, shop/deployment/c and 2 more: the server answered 503";
    assert!(page.contains(why) && page.matches("503").count() == 1, "{page}");
    let none = page_of(&scan(Vec::new(), Value::Null));
    assert!(none.contains("<h1>No Deployment and no StatefulSet was found.</h1>"), "{none}");
    let run = json!({"dry_run": "none", "max_rotations": 1, "rotations": 0, "not_opted_in": 4});
    assert!(page_of(&scan(Vec::new(), run)).contains("<h1>No workload has opted in by the annotation"));
}

#[test]
fn a_change_of_size_is_no_replacement() {
    let time = "2026-11-23T06:00:00Z";
    let change = json!({"began": time, "ended": time, "slack_seconds": 0.0, "gone": [], "came": ["a"], "restarted": [],
        "by": "resize", "by_evidence": "the number of replicas changed", "cure": false, "helped": "unknown", "sentence": "Not known.",
        "spreads": {"cpu": null, "memory": null, "lag": null, "rate": null}, "compared": null});
    let history = |changes: Vec<Value>| {
        json!({"api_version": "pod-rebalancer/v1", "kind": "HistoryReport", "from": time, "to": time, "workload": {"pods": 3},
            "remembered_from": time, "events_from": null, "created": null, "forgotten": 0, "step_seconds": 60.0,
            "replacements": changes, "left_out": 1})
    };
    let page = page_of(&history(vec![change]));
    assert!(page.contains("<h1>No pod was replaced in this time; and 1 change of size.</h1>"), "{page}");
    assert!(page.contains("1 earlier change is left out"), "{page}");
    assert!(page_of(&history(Vec::new())).contains("<h1>No pod was replaced in this time.</h1>"));
}
