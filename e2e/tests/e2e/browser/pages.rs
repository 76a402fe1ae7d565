//! Pages that the program makes of real and of hostile data.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use e2e::{Finished, Sandbox, pod_rebalancer};
use serde_json::{Value, json};

/// Names that would do something if they were anything but text.
pub const HOSTILE: [&str; 6] = [
    "<img src=x onerror=\"window.broken=1\">",
    "</title></style><script>window.broken=1</script>",
    "\"><svg onload=window.broken=1>",
    "red\u{1b}[31m\u{7}\u{0}bell",
    "\u{202e}desrever",
    "&lt;b&gt;twice",
];

/// A page with what it is made of.
pub struct Page {
    /// The file.
    pub file: PathBuf,
    /// The report.
    pub report: Value,
    _sandbox: Arc<Sandbox>,
}

impl Page {
    /// A page of the recording in the repository.
    pub fn of_recording() -> Self {
        let recording = root().join("testdata/recordings/orders-12-live.jsonl");
        Self::of(&Sandbox::new(), &recording, &[])
    }

    /// A page of pods with hostile names, most of which carry no load of note.
    pub fn of_hostile_names() -> Self {
        let sandbox = Sandbox::new();
        let names = HOSTILE.into_iter().map(str::to_owned).chain((0..6).map(|pod| format!("orders-{pod}")));
        let pods: Vec<Value> = names
            .enumerate()
            .map(|(place, name)| {
                let load = if place == 0 { 9.0 } else { 1.0 / (place as f64) };
                json!({"name": name, "cpu_usage": load, "kafka_lag": 1e4 * load, "memory_usage": 1e9, "message_rate": 100.0})
            })
            .collect();
        let file = sandbox.write("pods.json", Value::from(pods).to_string());
        Self::of(&sandbox, &file, &["--guards=off"])
    }

    /// A page of a day of a backtest, made of its JSON report.
    pub fn of_backtest() -> Self {
        Self::of_moments(96)
    }

    /// A page of a week of it.
    pub fn of_a_week() -> Self {
        Self::of_moments(672)
    }

    /// A page of so many pods.
    pub fn of_pods(count: usize) -> Self {
        let sandbox = Sandbox::new();
        let pods: Vec<Value> = (0..count)
            .map(|place| {
                let load = 0.5 + (place * 7_919 % 1_000) as f64 / 1_000.0;
                json!({"name": format!("orders-6d5f9c7b84-{place:05}"), "cpu_usage": load, "kafka_lag": 1e4 * load, "memory_usage": 1e9 * load, "message_rate": 100.0 * load})
            })
            .collect();
        let file = sandbox.write("pods.json", Value::from(pods).to_string());
        Self::of(&sandbox, &file, &[])
    }

    fn of_moments(moments: i64) -> Self {
        let sandbox = Sandbox::new();
        let decision = |moment: i64| {
            let time = jiff::Timestamp::from_second(1_795_400_000 + 900 * moment).expect("a time");
            let cv = 0.2 + 0.3 * ((moment * 7 % 11) as f64 / 11.0);
            let over = cv > 0.3;
            let outcome = if !over {
                "balanced"
            } else if moment % 2 == 0 {
                "withheld"
            } else {
                "planned"
            };
            json!({"time": time.to_string(), "cpu_threshold": 0.3, "lag_threshold": 0.5, "outcome": outcome,
                "should_rebalance": over, "pods": 12, "cpu_cv": cv, "lag_cv": 0.1, "targets": if over { json!([HOSTILE[0], "orders-1"]) } else { json!([]) },
                "cause": if over { "uneven_deal" } else { "balanced" }, "held_by": if outcome == "withheld" { json!(["persistence"]) } else { json!([]) }})
        };
        let report = json!({"api_version": "pod-rebalancer/v1", "kind": "BacktestReport", "from": "2026-11-23T00:00:00Z",
            "to": "2026-11-24T00:00:00Z", "every_seconds": 900.0, "workload": {"namespace": "streams", "selector": "app=orders", "owner": null, "context": null, "pods": 12},
            "moments": moments, "skipped": 0, "thresholds": [{"cpu": 0.3, "lag": 0.5, "current": true, "over_threshold": 0.5,
                "outcomes": {"planned": 20, "withheld": 20, "balanced": 56}, "held_by": {"persistence": 20}, "evictions_per_day": 40.0, "still_over_next": 0.4}],
            "decisions": (0..moments).map(decision).collect::<Vec<Value>>()});
        let file = sandbox.write("backtest.json", report.to_string());
        let page = sandbox.path().join("page.html");
        let made = Finished::of(pod_rebalancer(["report"]).arg(&file).arg(&page));
        assert_eq!(made.code, Some(0), "{made}");
        Self { file: page, report, _sandbox: sandbox }
    }

    /// A page of so many workloads, the worst of which have a section, made of its JSON report.
    pub fn of_scan(count: usize) -> Self {
        let sandbox = Sandbox::new();
        let recording = root().join("testdata/recordings/orders-12-live.jsonl");
        let made = Finished::of(pod_rebalancer(["replay"]).arg(&recording).args(["--output", "json"]));
        let mut held = made.json();
        let why = "the newest pod is 4 minutes old, and a rotation waits until it is 30";
        held["outcome"] = "withheld".into();
        held["guards"] =
            json!([{"name": "cooldown", "verdict": "hold", "value": 240.0, "limit": 1800.0, "reason": why}]);
        let row = |number: usize| {
            let is_worst = number < count.div_ceil(20);
            json!({"namespace": format!("team-{}-of-the-platform", number % 7), "kind": if number.is_multiple_of(3) { "StatefulSet" } else { "Deployment" },
                "name": if number == 1 { HOSTILE[0].to_owned() } else { format!("orders-consumer-of-region-{number:04}") }, "pods": 3 + number % 40,
                "outcome": if is_worst { "withheld" } else { "balanced" }, "should_rebalance": is_worst, "cpu_cv": 2.0 / (1.0 + number as f64),
                "lag_cv": if number.is_multiple_of(4) { Value::Null } else { json!(0.4) }, "over": 1.0, "cause": if is_worst { "uneven_but_noisy" } else { "balanced" },
                "evidence": "", "remedy": if is_worst { "change_assignor" } else { "none" }, "best_cv": 0.05, "targets": [], "reason": "",
                "report": if is_worst { held.clone() } else { Value::Null }})
        };
        let report = json!({"api_version": "pod-rebalancer/v1", "kind": "ScanReport", "evaluation_time": "2026-11-29T19:00:00Z", "context": "prod-eu-1",
            "namespaces": null, "selector": null, "found": [], "run": null, "pods": 12 * count, "workloads": (0..count).map(row).collect::<Vec<Value>>(),
            "unlisted": ["pods of namespace payments cannot be listed: forbidden"], "warnings": [], "requests": {}});
        let file = sandbox.write("scan.json", report.to_string());
        let page = sandbox.path().join("page.html");
        let made = Finished::of(pod_rebalancer(["report"]).arg(&file).arg(&page));
        assert_eq!(made.code, Some(0), "{made}");
        Self { file: page, report, _sandbox: sandbox }
    }

    /// A page of a run of so many workloads, made of its JSON report: one was rotated, one is left for the next run, one has
    /// a wrong annotation, and the others are even.
    pub fn of_run_all(count: usize) -> Self {
        let sandbox = Sandbox::new();
        let pods: Vec<Value> = (0..8)
            .map(|place| {
                let load = if place == 4 { 6.0 } else { 1.0 + 0.01 * f64::from(place) };
                json!({"name": format!("consumer-{place}"), "cpu_usage": 0.4 * load, "kafka_lag": 3e3 * load, "memory_usage": 4e8, "message_rate": 300.0})
            })
            .collect();
        let pods = sandbox.write("pods.json", Value::from(pods).to_string());
        let decided = Finished::of(pod_rebalancer(["replay", "-o", "json"]).arg(&pods)).json();
        let targets = ["consumer-4", "consumer-0"];
        let mut rotated = decided.clone();
        (rotated["outcome"], rotated["kind"], rotated["dry_run"]) =
            ("rotated".into(), "RunReport".into(), "none".into());
        rotated["rotation"] = json!({"outcome": "rotated", "reason": {"code": "done", "message": "both pods were evicted"},
            "attempted": targets, "deleted": targets, "skipped": {}, "errors": {}, "unclaimed": null, "steps": []});
        let mut left = decided;
        let why = "this run has made its one rotation (MAX_ROTATIONS)";
        (left["outcome"], left["kind"], left["dry_run"], left["targets"]) =
            ("withheld".into(), "RunReport".into(), "none".into(), json!([]));
        left["guards"] =
            json!([{"name": "max_rotations", "verdict": "hold", "value": null, "limit": 1.0, "reason": why}]);
        let row = |number: usize| {
            let namespace = if number.is_multiple_of(2) { "shop" } else { "team-logistics-of-the-platform" };
            let (outcome, cause, report) = match number {
                0 => (json!("rotated"), "sick_pod", rotated.clone()),
                1 => (json!("withheld"), "sick_pod", left.clone()),
                2 => (Value::Null, "unknown", Value::Null),
                _ => (json!("balanced"), "balanced", left.clone()),
            };
            json!({"namespace": namespace, "kind": if number.is_multiple_of(3) { "StatefulSet" } else { "Deployment" },
                "name": format!("ledger-of-the-european-shop-{number}"), "pods": 8, "outcome": outcome, "should_rebalance": number < 2,
                "cpu_cv": 1.04, "lag_cv": 0.99, "over": 3.0, "cause": cause, "evidence": "", "remedy": if number < 2 { "replace_pod" } else { "none" },
                "best_cv": null, "targets": if number == 0 { json!(targets) } else { json!([]) },
                "reason": if number == 2 { "its annotation pod-rebalancer/cooldown is \"soon\"" } else { why }, "report": report})
        };
        let report = json!({"api_version": "pod-rebalancer/v1", "kind": "RunAllReport", "evaluation_time": "2026-11-29T19:00:00.123456789Z",
            "context": "prod-eu-1", "namespaces": null, "selector": null, "found": [], "pods": 8 * count,
            "run": {"dry_run": "none", "max_rotations": 1, "rotations": 1, "not_opted_in": 14},
            "workloads": (0..count).map(row).collect::<Vec<Value>>(), "unlisted": [], "warnings": [], "requests": {}});
        let file = sandbox.write("run.json", report.to_string());
        let page = sandbox.path().join("page.html");
        let made = Finished::of(pod_rebalancer(["report"]).arg(&file).arg(&page));
        assert_eq!(made.code, Some(0), "{made}");
        Self { file: page, report, _sandbox: sandbox }
    }

    /// A page of replacements, made of its JSON report.
    pub fn of_history() -> Self {
        let sandbox = Sandbox::new();
        let spread = json!({"before": 0.52, "after": 0.11, "noise": 0.03, "moved": 0.2, "pods_before": 12, "pods_after": 12, "trend": "fell"});
        let replacement = |hour: i64| {
            let time = jiff::Timestamp::from_second(1_795_400_000 + 3600 * hour).expect("a time").to_string();
            json!({"began": time, "ended": time, "slack_seconds": 0.0, "gone": [HOSTILE[0], "orders-6d5f9c7b84-x7k2p"],
                "came": ["orders-6d5f9c7b84-aaaaa", "orders-6d5f9c7b84-bbbbb"], "restarted": [], "by": "this_program",
                "by_evidence": format!("the Event Rotated by {}", HOSTILE[1]), "cure": hour % 2 == 0, "helped": "yes",
                "sentence": "It helped: the CPU spread fell from 0.52 to 0.11.",
                "spreads": {"cpu": spread, "memory": null, "lag": null, "rate": null},
                "compared": {"before": time, "after": time, "seconds": 3600.0}})
        };
        let report = json!({"api_version": "pod-rebalancer/v1", "kind": "HistoryReport", "from": "2026-11-23T00:00:00Z",
            "to": "2026-11-24T00:00:00Z", "workload": {"namespace": "streams", "selector": "app=orders", "owner": null, "context": null, "pods": 12},
            "remembered_from": "2026-11-23T05:00:00Z", "events_from": null, "created": null, "forgotten": 0, "step_seconds": 60.0,
            "replacements": (0..5).map(replacement).collect::<Vec<Value>>(), "left_out": 3, "not_had": ["the Events of the namespace: forbidden"]});
        let file = sandbox.write("history.json", report.to_string());
        let page = sandbox.path().join("page.html");
        let made = Finished::of(pod_rebalancer(["report"]).arg(&file).arg(&page));
        assert_eq!(made.code, Some(0), "{made}");
        Self { file: page, report, _sandbox: sandbox }
    }

    fn of(sandbox: &Arc<Sandbox>, saved: &Path, settings: &[&str]) -> Self {
        let page = sandbox.path().join("page.html");
        let made = Finished::of(pod_rebalancer(["report"]).args(settings).arg(saved).arg(&page));
        assert_eq!(made.code, Some(0), "{made}");
        let decided = pod_rebalancer(["replay", "-o", "json"]).args(settings).arg(saved).output();
        let decided = decided.expect("the program runs");
        let report = serde_json::from_slice(&decided.stdout).expect("a report");
        Self { file: page, report, _sandbox: Arc::clone(sandbox) }
    }

    /// Its pods that have a metric, by the key of the report.
    pub fn having(&self, key: &str) -> usize {
        self.report["pods"].as_array().expect("pods").iter().filter(|pod| pod[key].is_number()).count()
    }
}

/// The folder of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the repository").to_owned()
}
