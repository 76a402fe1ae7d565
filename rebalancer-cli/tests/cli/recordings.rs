//! A recording replays to the very decision that was made.

use std::fs;
use std::path::Path;

use rebalancer_core::Metric;
use rebalancer_sim::apiserver::Fleet;
use rebalancer_sim::metrics_server::recorded_answers;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{check, root, run};
use crate::servers::{Servers, fleet};

const RECORDING: &str = "testdata/recordings/orders-12-live.jsonl";

/// A report without what a replay cannot know or did not do.
fn decision(report: &Value) -> Value {
    let mut decision = report.clone();
    let fields = decision.as_object_mut().expect("a report");
    for key in ["kind", "requests", "rotation", "dry_run"] {
        fields.remove(key);
    }
    fields["workload"].as_object_mut().expect("a workload").remove("context");
    decision
}

fn path(file: &Path) -> &str {
    file.to_str().expect("a path of ours")
}

fn replayed(file: &Path, args: &[&str], env: &[(&str, &str)]) -> Value {
    let args: Vec<&str> =
        ["replay", path(file), "-o", "json"].into_iter().chain(args.iter().copied()).collect();
    decision(&run(&args, env).json())
}

#[test]
fn what_was_recorded_is_decided_again() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let settings: [&[(&str, &str)]; 6] = [
        &[],
        &[("CPU_VARIANCE_THRESHOLD", "2"), ("LAG_VARIANCE_THRESHOLD", "9")],
        &[("GUARDS", "off"), ("MIN_PODS_REQUIRED", "4"), ("SCORE_WEIGHTS", "lag=1")],
        &[("METRICS_PRESET", "none"), ("WARMUP", "2h")],
        &[("FLOORS", "cpu=50,lag=1M"), ("PERSISTENCE", "factor=1.5"), ("MAX_SAMPLE_AGE", "1h")],
        &[("CPU_FLOOR", "50"), ("PERSISTENCE_WINDOW", "off")],
    ];
    for (number, env) in settings.into_iter().enumerate() {
        let servers = Servers::start();
        for ending in ["jsonl", "jsonl.gz"] {
            let file = folder.path().join(format!("run-{number}.{ending}"));
            let planned = servers.run(&["plan", "--record", path(&file)], env).json();
            assert_eq!(replayed(&file, &[], &[]), decision(&planned), "{env:?}");
        }
    }
}

#[test]
fn record_and_a_run_leave_the_same_recording_as_a_plan() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("run.jsonl");
    let servers = Servers::start();
    let done = servers.run(&["record", path(&file)], &[]);
    assert_eq!(done.code, Some(0), "{done}");
    let answers = Metric::ALL.len() + 9;
    assert!(done.stdout.starts_with(&format!("recorded 12 pods and {answers} answers at ")), "{done}");
    let recorded = replayed(&file, &[], &[]);
    assert_eq!(recorded["outcome"], "planned");
    let ran = servers.run(&["run", "--dry-run", "--record", path(&file)], &[]).json();
    assert_eq!(replayed(&file, &[], &[]), decision(&ran));
    assert_eq!(recorded["targets"], ran["targets"]);
}

/// What was set when it was recorded holds, unless something else is set now.
#[test]
fn a_setting_of_now_wins_over_a_recorded_one() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("run.jsonl");
    let servers = Servers::start();
    servers.run(&["record", path(&file)], &[("CPU_VARIANCE_THRESHOLD", "1.7"), ("MIN_PODS_REQUIRED", "5")]);
    let cpu = |args: &[&str], env: &[(&str, &str)]| replayed(&file, args, env)["thresholds"]["cpu"].clone();
    assert_eq!(cpu(&[], &[]), 1.7);
    assert_eq!(cpu(&[], &[("CPU_VARIANCE_THRESHOLD", "0.9")]), 0.9);
    assert_eq!(cpu(&["--cpu-variance-threshold", "0.8"], &[("CPU_VARIANCE_THRESHOLD", "0.9")]), 0.8);
    assert_eq!(cpu(&[], &[("CPU_VARIANCE_THRESHOLD", "")]), 1.7, "empty is unset");
    assert_eq!(replayed(&file, &[], &[])["thresholds"]["min_pods"], 5);
    let behind = run(&["replay", "-o", "json", "--", path(&file)], &[]);
    assert_eq!(behind.json()["thresholds"]["cpu"], 1.7, "{behind}");
}

/// A setting that is given by an earlier name is given all the same.
#[test]
fn a_setting_of_now_by_an_earlier_name_wins_over_a_recorded_one() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("run.jsonl");
    Servers::start().run(&["record", path(&file)], &[("FLOORS", "cpu=7,lag=8")]);
    let floors = |env: &[(&str, &str)]| replayed(&file, &[], env)["thresholds"]["score_floors"].clone();
    assert_eq!((&floors(&[])["cpu"], &floors(&[])["lag"]), (&json!(7.0), &json!(8.0)));
    let given = floors(&[("CPU_FLOOR", "0.2")]);
    assert_eq!((&given["cpu"], &given["lag"]), (&json!(0.2), &json!(1000.0)), "FLOORS=cpu=0.2");
}

/// A later version may decide by what this one has not.
#[test]
fn settings_of_a_recording_that_are_not_known_are_told() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let recording = fs::read_to_string(root().join(RECORDING)).expect("a recording of the repository");
    let known = r#""--strategy":"#;
    let file = folder.path().join("newer.jsonl");
    fs::write(&file, recording.replacen(known, &format!(r#""--moon-phase":"full",{known}"#), 1))
        .expect("a file in a folder of ours");
    let told = |file: &Path| {
        let warnings = replayed(file, &[], &[])["warnings"].to_string();
        warnings.contains("settings that this version does not know and does not decide by: --moon-phase")
    };
    assert!(told(&file) && !told(&root().join(RECORDING)));
}

/// A workload that live would have been left alone is left alone in the replay too.
#[test]
fn a_recording_with_a_strategy_of_earlier_versions_is_read() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let recording = fs::read_to_string(root().join(RECORDING)).expect("a recording of the repository");
    let now = r#""--strategy":"rotate_outliers""#;
    assert!(recording.contains(now), "the recording has its strategy");
    for strategy in ["planned_pair", "replace-outlier"] {
        let file = folder.path().join("old.jsonl");
        let old = recording.replace(now, &format!(r#""--strategy":"{strategy}""#));
        fs::write(&file, old).expect("a file in a folder of ours");
        assert_eq!(replayed(&file, &[], &[])["strategy"], "by_cause", "{strategy}");
    }
}

#[test]
fn the_state_of_the_workload_is_replayed() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let unsettled: [(&str, Fleet); 3] = [
        ("rollout", Fleet { updated_replicas: Some(7), ..fleet() }),
        ("scaling", Fleet { replicas: 20, ..fleet() }),
        ("unobserved", Fleet { generation: 2, ..fleet() }),
    ];
    for (name, fleet) in unsettled {
        let servers = Servers::over(fleet);
        let file = folder.path().join(format!("{name}.jsonl"));
        let planned = servers.run(&["plan", "--record", path(&file)], &[]).json();
        assert_eq!(planned["outcome"], "withheld", "{name}: {planned}");
        assert_eq!(replayed(&file, &[], &[]), decision(&planned), "{name}");
    }
}

/// Half of the pods belong to another Deployment of the same size.
fn of_two_controllers(recording: &str, allowed: bool) -> String {
    let mut lines: Vec<Value> =
        recording.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    lines[0]["config"]["allow_multiple_controllers"] = allowed.into();
    for line in lines.iter_mut().filter(|line| line["type"] == "workload") {
        let owners = line["facts"]["owners"].as_array_mut().expect("a list");
        for count in ["current_replicas", "desired_replicas", "updated_replicas"] {
            owners[0][count] = 6.into();
        }
        let mut other = owners[0].clone();
        other["controller"]["uid"] = "another-uid".into();
        other["top"]["uid"] = "the-uid-of-its-deployment".into();
        let controller = other["controller"].clone();
        owners.push(other);
        for pod in line["facts"]["pods"].as_array_mut().expect("a list").iter_mut().take(6) {
            pod["controller"] = controller.clone();
        }
    }
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    lines.join("\n") + "\n"
}

#[test]
fn whether_several_controllers_were_accepted_is_replayed() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("run.jsonl");
    let recording = fs::read_to_string(root().join(RECORDING)).expect("the recording of the repository");
    for (allowed, outcome) in [(true, "planned"), (false, "withheld")] {
        fs::write(&file, of_two_controllers(&recording, allowed)).expect("a file in a folder of ours");
        assert_eq!(replayed(&file, &[], &[])["outcome"], outcome);
    }
}

/// What a failed run saw is what one wants to look at most.
#[test]
fn a_failed_run_is_recorded_and_fails_again_in_the_same_words() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let failing = [
        "prom/err_timeout_503.json",
        "nginx/html_502_bad_gateway.html",
        "prom/edge_native_histogram_mixed.json",
    ];
    for (number, file) in failing.into_iter().enumerate() {
        let answers = recorded_answers();
        let answer = answers.into_iter().find(|recorded| recorded.file == file).expect(file).answer;
        let servers = Servers::start();
        servers.metrics.answer(Metric::Lag, answer);
        let recording = folder.path().join(format!("{number}.jsonl"));
        let words = |message: &str, place: &str| {
            let said = message.split_once(&format!("lag: {place}: ")).map(|(_, words)| words.to_owned());
            said.unwrap_or_else(|| panic!("{message}"))
        };
        let failed = servers.run(&["record", path(&recording)], &[]);
        let failed = words(failed.assert_one_error(1), &servers.metrics.url());
        let again = run(&["replay", path(&recording)], &[]);
        assert_eq!(words(again.assert_one_error(1), path(&recording)), failed);
    }
}

#[test]
fn a_damaged_recording_is_told_from_a_whole_one() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let whole = fs::read_to_string(root().join(RECORDING)).expect("the recording of the repository");
    let file = folder.path().join("damaged.jsonl");
    let lines: Vec<&str> = whole.lines().collect();
    let before_cpu = lines.iter().take_while(|line| !line.contains(r#""name":"cpu","#)).count() - 1;
    let damaged = [
        whole[..whole.len() / 2].to_owned(),
        lines[..lines.len() - 1].join("\n") + "\n",
        format!("{whole}{whole}"),
        whole.replacen("recording/v1", "recording/v9", 1),
        whole.replacen(r#"\"status\":\"success\""#, r#"\"status\":\"succ"#, before_cpu + 1),
        lines[1..].join("\n") + "\n",
    ];
    for text in damaged {
        assert_ne!(text, whole);
        fs::write(&file, text).expect("a file in a folder of ours");
        let done = run(&["replay", path(&file)], &[]);
        assert!(done.assert_one_error(1).contains("damaged.jsonl"), "{done}");
    }
}

#[test]
fn a_recording_cannot_be_written_where_there_is_no_folder() {
    let servers = Servers::start();
    let done = servers.run(&["record", "/nowhere/run.jsonl"], &[]);
    assert!(done.assert_one_error(1).contains("/nowhere/run.jsonl"), "{done}");
}

/// A run that was to be recorded and could not be does not evict unrecorded.
#[test]
fn a_run_that_cannot_be_recorded_evicts_nothing() {
    let servers = Servers::start();
    let done = servers.run(&["run", "--yes", "--record", "/nowhere/run.jsonl"], &[]);
    done.assert_one_error(1);
    servers.assert_untouched();
}

/// The recording of the repository, made by this program against the recorded answers:
/// `UPDATE_RECORDING=1 cargo test -p rebalancer-cli recordings` makes it anew.
#[test]
fn the_recording_of_the_repository() {
    if std::env::var_os("UPDATE_RECORDING").is_some() {
        let servers = Servers::start();
        let file = root().join(RECORDING);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder of the repository");
        let done = servers.run(&["record", path(&file)], &[]);
        assert_eq!(done.code, Some(0), "{done}");
    }
    insta::assert_snapshot!("recording", check(&["replay", RECORDING], &[]));
    insta::assert_snapshot!("recording-json", check(&["replay", RECORDING, "-o", "json"], &[]));
}
