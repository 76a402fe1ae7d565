//! Decisions over the past: they are those of a plan at the same moment.

use std::fs;

use jiff::Timestamp;
use rebalancer_core::Metric;
use rebalancer_sim::fleet::TYPICAL;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fleets::{Fleets, Spec};
use crate::program::{root, run};
use crate::servers::{BUSIEST, LEAST_BUSY, Servers};

/// Runs a backtest against the servers.
fn backtest(servers: &Servers, args: &[&str]) -> Value {
    let args: Vec<&str> = ["backtest"].into_iter().chain(args.iter().copied()).collect();
    let done = servers.run(&args, &[]);
    assert_eq!(done.code, Some(0), "{done}");
    done.json()
}

/// Not the text of it, which has fewer digits where the milliseconds end in zeros.
fn time(decision: &Value) -> Timestamp {
    let text = decision["time"].as_str().expect("each decision has its time");
    text.parse().expect("a time of RFC 3339")
}

fn decisions(report: &Value) -> &Vec<Value> {
    report["decisions"].as_array().expect("a backtest lists its decisions")
}

#[test]
fn a_backtest_at_a_moment_and_a_plan_at_that_moment_agree() {
    for env in
        [&[][..], &[("GUARDS", "off")], &[("CPU_VARIANCE_THRESHOLD", "9"), ("LAG_VARIANCE_THRESHOLD", "9")]]
    {
        let servers = Servers::start();
        let plan = servers.run(&["plan"], env).json();
        let at: Timestamp = plan["evaluation_time"].as_str().expect("a moment").parse().expect("a time");
        let minute = Timestamp::from_second(at.as_second() - at.as_second() % 60).expect("a time");
        let to = at.to_string();
        // One moment: a rotation of an earlier one would be remembered.
        let from = minute.to_string();
        let done = servers.run(&["backtest", "--from", &from, "--to", &to, "--every", "1m"], env);
        let report = done.json();
        let last = decisions(&report).last().expect("the last moment");
        assert_eq!(last["time"], minute.to_string(), "{done}");
        for key in ["outcome", "should_rebalance"] {
            assert_eq!(last[key], plan[key], "{key}: {done}");
        }
        assert_eq!(last["cause"], plan["diagnosis"]["cause"]["code"], "{done}");
        assert_eq!(last["cpu_cv"], plan["statistics"]["cpu"]["cv"], "{done}");
        assert_eq!(last["lag_cv"], plan["statistics"]["lag"]["cv"], "{done}");
        let targets: Value =
            plan["targets"].as_array().into_iter().flatten().map(|target| target["pod"].clone()).collect();
        assert_eq!(last["targets"], targets, "{done}");
        let holds = |guard: &&Value| guard["verdict"] != "pass";
        let held: Value = plan["guards"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(holds)
            .map(|guard| guard["name"].clone())
            .collect();
        assert_eq!(last["held_by"], held, "{done}");
    }
}

#[test]
fn the_past_is_asked_in_ranges_and_nothing_is_changed() {
    let servers = Servers::start();
    let report = backtest(
        &servers,
        &["--from", "6h", "--every", "15m", "--cpu-variance-threshold", "9", "--lag-variance-threshold", "9"],
    );
    assert_eq!((&report["moments"], &report["skipped"]), (&json!(25), &json!(0)));
    assert_eq!(report["thresholds"][0]["outcomes"], json!({"balanced": 25}));
    let asked = servers.metrics.requests();
    let ranges = asked.iter().filter(|request| request.path() == "/api/v1/query_range").count();
    assert_eq!(ranges, Metric::ALL.len(), "a range for each metric");
    assert_eq!(asked.len(), ranges + 1, "and whose series they are, but nothing more where nothing is over");
    assert!(servers.cluster.requests().iter().all(|request| request.method == "GET"));
}

/// Every moment is over a threshold and has an hour behind it, which its neighbours share.
#[test]
fn the_hours_behind_the_moments_are_asked_in_blocks() {
    let servers = Servers::start();
    let report = backtest(&servers, &["--from", "6h", "--every", "15m"]);
    assert_eq!(report["thresholds"][0]["over_threshold"], 1.0, "{report}");
    let asked = servers.metrics.requests();
    let ranges = asked.iter().filter(|request| request.path() == "/api/v1/query_range").count();
    assert!((7..=13).contains(&ranges), "four of the moments, and blocks of six hours of three: {ranges}");
    let alone = servers.run(&["plan"], &[]).json();
    let first = decisions(&report).first().expect("a moment");
    assert_eq!(
        (&first["outcome"], &first["cause"]),
        (&alone["outcome"], &alone["diagnosis"]["cause"]["code"])
    );
}

/// One imbalance that lasts a day is one episode. Every rotation makes two pods young, which the guards
/// see at the moments after it, so that a day of quarters of an hour has few rotations.
#[test]
fn the_rotations_of_a_backtest_are_carried_forward() {
    let servers = Servers::start();
    let count = |env: &[(&str, &str)]| {
        let done = servers.run(&["backtest", "--from", "24h", "--every", "15m"], env);
        let report = done.json();
        let sums = report["thresholds"][0].clone();
        let planned = decisions(&report).iter().filter(|decision| decision["outcome"] == "planned").count();
        assert_eq!((&sums["episodes"], &sums["rotations_if_cured"]), (&json!(1), &json!(1)), "{done}");
        assert_eq!(sums["rotations"], planned, "{done}");
        let still = decisions(&report).iter().filter(|decision| decision["should_rebalance"] == true);
        assert_eq!(report["moments"], still.count(), "history knows nothing of the rotations: {done}");
        (planned, sums["held_by"].clone())
    };
    let off = [("CHURN_BUDGET", "off"), ("COOLDOWN", "off"), ("FUTILITY_AGE", "off"), ("WARMUP", "off")];
    let (all, _) = count(&off);
    assert!(all > 90, "{all}");
    let (cooled, held) = count(&[("FUTILITY_AGE", "off"), ("COOLDOWN", "60m")]);
    assert_eq!(cooled, all.div_ceil(4), "every hour, where every quarter of an hour was: {held}");
    assert_eq!(held["cooldown"], all - cooled, "{held}");
    let (futile, held) = count(&[("COOLDOWN", "off"), ("FUTILITY_AGE", "6h")]);
    assert_eq!(futile, all.div_ceil(24), "the busiest pod is a replacement for six hours: {held}");
    assert_eq!(held["futility"], all - futile, "{held}");
    // While two warm up the next two go, until four are young.
    let (budgeted, held) = count(&[("COOLDOWN", "off"), ("FUTILITY_AGE", "off"), ("WARMUP", "20m")]);
    assert!(budgeted < all / 4, "{budgeted}: {held}");
    assert_eq!(held["churn_budget"], all - budgeted, "{held}");
    let told = servers.run(&["backtest", "--from", "4h", "-o", "table"], &[]).stdout;
    assert!(told.contains("1 to ") && told.contains("if no rotation changes the loads"), "{told}");
}

#[test]
fn a_sweep_decides_each_moment_at_each_threshold() {
    let servers = Servers::start();
    let report = backtest(
        &servers,
        &["--from", "30m", "--sweep", "cpu=0.8..1.2/0.2", "--sweep", "lag=9..9/1", "--guards", "off"],
    );
    let rows = report["thresholds"].as_array().expect("a row for each threshold");
    let seen: Vec<(&Value, &Value)> = rows.iter().map(|row| (&row["cpu"], &row["over_threshold"])).collect();
    let [over, under] = [json!(1.0), json!(0.0)];
    assert_eq!(seen, [(&json!(0.8), &over), (&json!(1.0), &over), (&json!(1.2), &under)]);
    assert_eq!(decisions(&report).len(), 9);
    assert_eq!(rows[0]["still_over_next"], 1.0);
    // Without guards two pods at each of three moments, each of which stands for a quarter of an hour.
    assert_eq!(rows[0]["evictions_per_day"], 192.0);
    assert_eq!(decisions(&report)[0]["targets"], json!([BUSIEST, LEAST_BUSY]));
}

#[test]
fn it_is_written_for_people_and_for_spreadsheets() {
    let servers = Servers::start();
    let args = ["backtest", "--from", "30m", "--sweep", "cpu=0.9..1.1/0.2", "--guards", "off"];
    let shown = |format: &str| servers.run(&[&args[..], &["-o", format]].concat(), &[]).stdout;
    let table = shown("table");
    assert!(
        table.contains("CPU")
            && table.contains("ROTATIONS")
            && table.contains("EPISODES")
            && table.contains("not benefits"),
        "{table}"
    );
    assert_eq!(table.lines().filter(|line| line.trim_start().starts_with("0.90")).count(), 1, "{table}");
    let csv = shown("csv");
    assert_eq!(csv.lines().count(), 1 + 3 * 2, "{csv}");
    assert!(csv.starts_with("time,cpu_threshold,lag_threshold,outcome,"), "{csv}");
    assert!(csv.lines().all(|line| line.split(',').count() == 11), "{csv}");
    assert_eq!(shown("name").lines().count(), 12, "two pods in each of six decisions: lag is over anyway");
    let progress = servers.run(&args, &[]).stderr;
    assert!(!progress.contains("moments"), "a bar is for terminals: {progress}");
}

#[test]
fn recordings_are_decided_over_without_any_server() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let servers = Servers::start();
    for name in ["a.jsonl", "b.jsonl.gz"] {
        let file = folder.path().join(name);
        let done = servers.run(&["record", file.to_str().expect("a path of ours")], &[]);
        assert_eq!(done.code, Some(0), "{done}");
    }
    fs::write(folder.path().join("notes.txt"), "no recording").expect("a file in a folder of ours");
    drop(servers);
    let path = folder.path().to_str().expect("a path of ours");
    let done = run(&["backtest", "--recordings", path, "-o", "json"], &[]);
    let report = done.json();
    assert_eq!(report["moments"], 2, "{done}");
    assert!(
        report["every_seconds"].is_null() && report["thresholds"][0]["evictions_per_day"].is_null(),
        "{done}"
    );
    // The two were made within seconds: the rotation of the first holds the second back.
    assert_eq!(report["thresholds"][0]["outcomes"], json!({"planned": 1, "withheld": 1}), "{done}");
    assert!(decisions(&report).is_sorted_by_key(time), "{done}");
    let repository = root().join("testdata/recordings");
    let repository = repository.to_str().expect("a path of ours");
    assert_eq!(run(&["backtest", "--recordings", repository], &[]).code, Some(0));
}

#[test]
fn a_backtest_over_a_recording_and_its_replay_agree() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("a.jsonl.gz");
    let [folder, file] = [folder.path(), &file].map(|path| path.to_str().expect("a path of ours"));
    let done = Servers::start().run(&["record", file], &[]);
    assert_eq!(done.code, Some(0), "{done}");
    for env in
        [&[][..], &[("GUARDS", "off")], &[("KAFKA_ASSIGNOR", "range")], &[("CPU_VARIANCE_THRESHOLD", "9")]]
    {
        let done = run(&["backtest", "--recordings", folder, "-o", "json"], env);
        let (report, replay) = (done.json(), run(&["replay", file, "-o", "json"], env).json());
        let decision = &decisions(&report)[0];
        assert_eq!(decision["time"], replay["evaluation_time"], "{done}");
        assert_eq!(decision["outcome"], replay["outcome"], "{done}");
        assert_eq!(decision["cause"], replay["diagnosis"]["cause"]["code"], "{done}");
        assert_eq!(decision["cpu_cv"], replay["statistics"]["cpu"]["cv"], "{done}");
        let targets = replay["targets"].as_array().into_iter().flatten().map(|target| &target["pod"]);
        assert_eq!(decision["targets"], json!(targets.collect::<Vec<&Value>>()), "{done}");
    }
}

/// A run would find the cure of the run before among the Events, and a pod that has no past of its own yet.
#[test]
fn a_backtest_cures_a_pod_of_a_stateful_set_once_a_day() {
    let mut cores = vec![0.5; 20];
    cores[7] = 1.0;
    let specs = [Spec::stateful_set("shop", "orders", cores)];
    let fleets = Fleets::of(&specs).loaded(&specs, |metric, cores| match metric {
        Metric::Cpu => Some(cores),
        metric => Some(TYPICAL[metric]),
    });
    let folder = TempDir::new().expect("a folder for temporary files");
    for name in ["a.jsonl", "b.jsonl"] {
        let file = folder.path().join(name).display().to_string();
        let done = fleets.run(&["record", "-n", "shop", "statefulset/orders", &file], &[]);
        assert_eq!(done.code, Some(0), "{done}");
    }
    let folder = folder.path().display().to_string();
    let off = ["WARMUP", "COOLDOWN", "CHURN_BUDGET", "FUTILITY_AGE"].map(|guard| (guard, "off"));
    let env = [&[("OUTPUT", "json"), ("STRATEGY", "by_cause")][..], &off].concat();
    let done = run(&["backtest", "--recordings", &folder], &env);
    let report = done.json();
    let [first, second] = decisions(&report).as_slice() else { panic!("two moments: {done}") };
    assert_eq!((&first["outcome"], &first["cause"]), (&json!("planned"), &json!("sick_pod")), "{done}");
    assert_eq!((&second["outcome"], &second["targets"]), (&json!("balanced"), &json!([])), "{done}");
}

#[test]
fn moments_without_data_are_skipped_and_counted() {
    let servers = Servers::start();
    let nothing = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
    for metric in Metric::ALL {
        servers.metrics.answer_body(metric, nothing);
    }
    let report = backtest(&servers, &["--from", "1h"]);
    assert_eq!((&report["moments"], &report["skipped"]), (&json!(0), &json!(5)));
    assert!(report["thresholds"][0]["over_threshold"].is_null());
}

#[test]
fn bounds_of_nonsense_are_refused_before_anything_is_asked() {
    let servers = Servers::start();
    let cases: [(&[&str], &str); 12] = [
        (&[], "--from"),
        (&["--from", "yesterday"], "expected a time such as"),
        (&["--from", "1h", "--to", "2h"], "which is not before --to"),
        (&["--from", "1h", "--to", "2199-01-01T00:00:00Z"], "in the future"),
        (&["--from", "1h", "--every", "0s"], "1s or longer"),
        (&["--from", "365d", "--every", "1s"], "take a longer --every"),
        (&["--from", "9999999d"], "--from"),
        (&["--from", "1h", "--sweep", "cpu=0.6..0.2/0.1"], "before it begins"),
        (&["--from", "1h", "--sweep", "cpu=0.2..0.6/0"], "step must be above 0"),
        (&["--from", "1h", "--sweep", "disk=0.2..0.6/0.1"], "only cpu and lag"),
        (&["--from", "1h", "--sweep", "cpu=0..1/0.1", "--sweep", "cpu=0..1/0.1"], "twice"),
        (&["--from", "1h", "--recordings", "."], "--recordings"),
    ];
    for (args, expected) in cases {
        let args: Vec<&str> = ["backtest"].into_iter().chain(args.iter().copied()).collect();
        let done = servers.run(&args, &[]);
        assert_eq!(done.code, Some(64), "{args:?}: {done}");
        assert!(done.stderr.contains(expected), "{args:?}: {done}");
    }
    assert_eq!(servers.metrics.requests().len(), 0);
    let csv = servers.run(&["plan", "-o", "csv"], &[]);
    assert_eq!(
        csv.assert_one_error(64),
        "error: --output csv (variable OUTPUT) is for backtest, scan and run --all only"
    );
}

#[test]
fn a_server_that_answers_other_moments_is_not_believed() {
    let servers = Servers::start();
    let shifted = format!(
        r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":{{"pod":"{BUSIEST}"}},"values":[[1795410000,"1"]]}}]}}}}"#
    );
    servers.metrics.answer_body(Metric::Lag, shifted);
    let done = servers.run(&["backtest", "--from", "1h"], &[]);
    assert!(done.assert_one_error(1).contains("for another moment"), "{done}");
}

/// A range has the moments that were asked for, whatever the age of what it was computed of.
#[test]
fn a_backtest_says_what_it_cannot_hold_own_queries_to() {
    let servers = Servers::start();
    let own = "sum by (pod) (rate(container_cpu_usage_seconds_total[5m]))";
    let args = ["backtest", "--from", "1h", "--every", "15m"];
    let done = servers.run(&args, &[("QUERY_CPU", own)]);
    let lacking = done.json()["not_had"].as_array().cloned().unwrap_or_default();
    assert_eq!(lacking.len(), 1, "{done}");
    assert!(lacking[0].as_str().is_some_and(|said| said.contains("own query of cpu")), "{done}");
    let preset = servers.run(&args, &[]).json();
    assert!(preset["not_had"].as_array().is_none_or(Vec::is_empty), "{preset}");
}

#[test]
fn a_backtest_by_a_wrong_clock_is_refused() {
    let servers = Servers::start();
    servers.metrics.set_clock(Some(-9_000));
    let done = servers.run(&["backtest", "--from", "1h", "--every", "15m"], &[]);
    assert_eq!(done.code, Some(1), "{done}");
    assert!(done.stderr.contains("behind this machine's"), "{done}");
}

/// A recording may come from anyone: a name in it turns no letters around.
#[test]
fn names_of_a_recording_are_printed_without_hidden_characters() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let recording = fs::read_to_string(root().join("testdata/recordings/orders-12-live.jsonl"));
    let hostile = recording.expect("the test data is there").replace(BUSIEST, "orders\u{202e}x");
    fs::write(folder.path().join("a.jsonl"), hostile).expect("a file in a folder of ours");
    let path = folder.path().to_str().expect("a path of ours");
    for format in ["name", "table", "wide", "csv"] {
        let done = run(&["backtest", "--recordings", path, "-o", format], &[("GUARDS", "off")]);
        assert_eq!(done.code, Some(0), "{done}");
        assert!(!done.stdout.contains('\u{202e}'), "{format}: {:?}", done.stdout);
        assert!(format == "table" || done.stdout.contains("orders\u{fffd}x"), "{format}: {done}");
    }
}
