//! Guards, strategies and the diagnosis through the program: what holds a run back, and what the
//! report says of it.

use std::time::{Duration, SystemTime};

use rebalancer_core::Metric;
use rebalancer_sim::apiserver::{Fleet, WorkloadKind};
use serde_json::{Value, json};

use crate::program::Done;
use crate::servers::{BUSIEST, LEAST_BUSY, Servers, fleet};

const RUN: [&str; 2] = ["run", "--yes"];

fn guard(report: &Value, name: &str) -> Value {
    let guards = report["guards"].as_array().expect("a report lists the guards");
    guards.iter().find(|guard| guard["name"] == name).cloned().unwrap_or_default()
}

/// The outcome of a run, the verdict of one guard, and proof that nothing was evicted.
#[track_caller]
fn assert_held(servers: &Servers, env: &[(&str, &str)], name: &str, verdict: &str) -> Done {
    let done = servers.run(&RUN, env);
    let report = done.json();
    assert_eq!(report["outcome"], "withheld", "{done}");
    assert_eq!(report["should_rebalance"], true, "{done}");
    assert_eq!(guard(&report, name)["verdict"], verdict, "{done}");
    assert!(report["reason"].as_str().is_some_and(|reason| reason.contains(name)), "{done}");
    servers.assert_untouched();
    done
}

fn aged(hours: u64, pods: impl Fn(usize) -> bool) -> Fleet {
    let mut fleet = fleet();
    for (position, pod) in fleet.pods.iter_mut().enumerate().filter(|(position, _)| pods(*position)) {
        pod.created = SystemTime::now() - Duration::from_secs(3600 * hours + 60 * position as u64);
    }
    fleet
}

#[test]
fn without_history_a_run_is_withheld_and_a_plan_says_so() {
    for body in [
        r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#,
        r#"{"status":"error","errorType":"execution","error":"query processing would load too many samples"}"#,
        "<html>",
    ] {
        let servers = Servers::start();
        servers.metrics.answer_ranges_with(body);
        let done = assert_held(&servers, &[], "persistence", "unknown");
        if body.contains("too many") {
            assert!(done.stdout.contains("would load too many samples"), "the server's own words: {done}");
        }
        let run = done.json();
        let done = servers.run(&["plan", "--detailed-exitcode"], &[]);
        let plan = done.json();
        for part in ["outcome", "reason", "targets", "outliers"] {
            assert_eq!(plan[part], run[part], "{part}: {plan}");
        }
        assert_eq!(done.code, Some(3), "{done}");
        assert_eq!(plan["targets"], json!([]), "nothing would go: {plan}");
        let ends = json!([{"pod": BUSIEST, "role": "busiest"}, {"pod": LEAST_BUSY, "role": "least_busy"}]);
        assert_eq!(plan["outliers"], ends, "{plan}");
        assert_eq!(servers.run(&["plan", "-o", "name"], &[]).stdout, "");
        let shown = servers.run(&["plan", "-o", "table"], &[]).stdout;
        assert!(shown.contains("Withheld: no action.") && !shown.contains("evict:"), "{shown}");
        for off in ["off", "window=0s", "percent=off", "factor=off,percent=90%"] {
            let dry = servers.run(&["run", "--dry-run"], &[("PERSISTENCE", off)]).json();
            assert_eq!(dry["outcome"], "planned", "{off}: {dry}");
            assert!(guard(&dry, "persistence").is_null(), "a guard that is off is not asked");
        }
    }
}

#[test]
fn each_guard_holds_a_run_by_itself_and_has_its_own_off() {
    let young = aged(0, |position| position == 3);
    let recent = aged(2, |position| position == 11);
    let churn = aged(5, |position| position < 4);
    let cases: [(Fleet, &str, &str, &str); 3] = [
        (young, "cooldown", "COOLDOWN", "0s"),
        (recent, "futility", "FUTILITY_AGE", "off"),
        (churn, "churn_budget", "CHURN_BUDGET", "off"),
    ];
    for (fleet, name, variable, off) in cases {
        let servers = Servers::over(fleet);
        // Around a replacement of this age the loads are as they were, which is told apart.
        assert_held(&servers, &[], name, "hold");
        let report = servers.run(&["plan"], &[(variable, off)]).json();
        assert!(guard(&report, name).is_null(), "{name}: {report}");
    }
}

#[test]
fn guards_off_is_the_plain_rule_and_the_diagnosis_is_told_and_not_obeyed() {
    let servers = Servers::over(fleet().of_kind(WorkloadKind::StatefulSet));
    let done = assert_held(&servers, &[], "diagnosis", "hold");
    assert_eq!(done.json()["diagnosis"]["cause"]["code"], "static_membership", "{done}");
    let report = servers.run(&["run", "--dry-run"], &[("GUARDS", "off")]).json();
    assert_eq!(report["outcome"], "planned", "{report}");
    assert_eq!(report["diagnosis"]["cause"]["code"], "static_membership", "{report}");
    let names: Vec<&str> = report["guards"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|guard| guard["name"].as_str())
        .collect();
    assert_eq!(names, ["coverage"], "coverage is part of the decision");
    let told = servers.run(&["plan", "-o", "table"], &[]).stdout;
    assert!(told.contains("Why: replacements come back under the old identity"), "{told}");
    assert!(told.contains("→ change the number of replicas"), "{told}");
    let own = servers.run(&["plan"], &[("STATIC_MEMBERSHIP", "false")]).json();
    assert_eq!(own["outcome"], "planned", "{own}");
}

#[test]
fn a_named_assignor_and_partitions_of_two_owners_hold_a_run() {
    let servers = Servers::start();
    let done = assert_held(&servers, &[("KAFKA_ASSIGNOR", "Range")], "diagnosis", "hold");
    assert_eq!(done.json()["diagnosis"]["cause"]["code"], "rank_invariant_assignor", "{done}");
    let verdict = guard(&done.json(), "diagnosis")["reason"].to_string();
    assert!(verdict.contains("rank_invariant: "), "{verdict}");
    let two = servers.run(&["plan"], &[("KAFKA_ASSIGNOR", "range"), ("CONSUMERS_PER_POD", "2")]).json();
    assert_eq!(two["outcome"], "planned", "ranks mix within pods: {two}");
    let claim = |pod: &str| {
        format!(
            r#"{{"metric":{{"pod":"{pod}","topic":"orders","partition":"0"}},"value":[1795410000,"10"]}}"#
        )
    };
    let pods = [BUSIEST, "orders-consumer-g5zn5h759-28w4l"].map(claim).join(",");
    let body = format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{pods}]}}}}"#);
    servers.metrics.answer_queries_with("per_partition", body);
    let env = [("QUERY_PARTITION_LOAD", "per_partition")];
    let done = assert_held(&servers, &env, "diagnosis", "hold");
    assert!(done.stdout.contains("1 partition has two owners"), "{done}");
}

/// What is optional and cannot be used is a warning and an unknown step.
#[test]
fn optional_inputs_that_are_malformed_are_told_and_hold_nothing_back() {
    let vector = |labels: &str, value: &str| {
        format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{{labels}}},"value":[1795410000,"{value}"]}}]}}}}"#
        )
    };
    let pod = format!(r#""pod":"{BUSIEST}""#);
    let cases = [
        (vector(&pod, "1"), "no label topic"),
        (vector(&format!(r#"{pod},"topic":"orders","partition":"x""#), "1"), "is no number"),
        (vector(&format!(r#"{pod},"topic":"orders","partition":"1""#), "NaN"), "is not a number"),
        (r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#.to_owned(), "a scalar"),
    ];
    for (body, expected) in cases {
        let servers = Servers::start();
        servers.metrics.answer_queries_with("per_partition", body);
        // What the query reads is fresh.
        servers.metrics.answer_queries_with("timestamp(per_partition", vector(&pod, "1"));
        let report = servers.run(&RUN, &[("QUERY_PARTITION_LOAD", "per_partition")]).json();
        assert_eq!(report["outcome"], "rotated", "{report}");
        let warnings = report["warnings"].to_string();
        assert!(warnings.contains("the load of each partition cannot be used"), "{warnings}");
        assert!(warnings.contains(expected), "{expected}: {warnings}");
    }
    // Who answers something else in the place of the server has not answered the query.
    let servers = Servers::start();
    servers.metrics.answer_queries_with("per_partition", "<html>login</html>");
    let report = servers.run(&RUN, &[("QUERY_PARTITION_LOAD", "per_partition")]).json();
    assert_eq!(report["outcome"], "withheld", "{report}");
    assert!(report["reason"].as_str().is_some_and(|reason| reason.contains("not JSON")), "{report}");
    let servers = Servers::start();
    servers
        .metrics
        .answer_queries_with("kminion_kafka_consumer_group_info", vector(r#""protocol":"lottery""#, "1"));
    let report = servers.run(&["plan"], &[("KAFKA_GROUP", "orders")]).json();
    assert!(report["warnings"].to_string().contains("lottery"), "{report}");
    assert!(report["diagnosis"]["assignor"].is_null(), "{report}");
}

#[test]
fn the_assignor_is_taken_from_kminion() {
    let servers = Servers::start();
    let body = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"protocol":"roundrobin"},"value":[1795410000,"1"]}]}}"#;
    servers.metrics.answer_queries_with("kminion_kafka_consumer_group_info", body);
    let report = servers.run(&["plan"], &[("KAFKA_GROUP", "orders")]).json();
    assert_eq!(report["diagnosis"]["assignor"], "roundrobin", "{report}");
    assert_eq!(report["outcome"], "withheld", "{report}");
}

/// A series for each client: two consumers in each pod, which share its partitions.
#[test]
fn consumers_and_partitions_of_each_pod_are_counted() {
    let servers = Servers::start();
    let series = |pod: &str, client: u8| {
        format!(r#"{{"metric":{{"pod":"{pod}","client_id":"consumer-{client}"}},"value":[1795410000,"1"]}}"#)
    };
    let pods = servers.pods();
    let all: Vec<String> = pods.iter().flat_map(|pod| [series(pod, 1), series(pod, 2)]).collect();
    let body =
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#, all.join(","));
    servers.metrics.answer_queries_with("client_id)", body);
    let report = servers.run(&["plan"], &[]).json();
    let steps = report["diagnosis"]["steps"].as_array().expect("a decision over a threshold lists its tests");
    let step = steps.iter().find(|step| step["name"] == "partitions_per_consumer").expect("it is asked");
    assert_eq!(step["reason"], "24 partitions for 24 consumers", "{report}");
    assert_eq!(report["diagnosis"]["cause"]["code"], "too_few_partitions", "{report}");
    assert_eq!(report["outcome"], "withheld", "{report}");
}

#[test]
fn a_strategy_of_earlier_versions_is_refused_with_what_to_set() {
    let servers = Servers::start();
    for strategy in ["planned_pair", "replace-outlier", "REPLACE_OUTLIER"] {
        let refused = servers.run(&RUN, &[("STRATEGY", strategy)]);
        assert!(refused.assert_one_error(64).contains("is no longer a strategy; set by_cause"), "{refused}");
    }
    servers.assert_untouched();
}

/// One pod at four times the CPU for the same messages is replaced alone.
#[test]
fn a_sick_pod_is_replaced_alone() {
    let servers = Servers::start();
    let vector = |value: &dyn Fn(&str) -> f64| {
        let series: Vec<String> = servers
            .pods()
            .iter()
            .map(|pod| {
                let value = value(pod);
                format!(r#"{{"metric":{{"namespace":"tiny","pod":"{pod}"}},"value":[1795410000,"{value}"]}}"#)
            })
            .collect();
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#, series.join(","))
    };
    servers.metrics.answer_body(Metric::Cpu, vector(&|pod| if pod == BUSIEST { 2.0 } else { 0.5 }));
    servers.metrics.answer_body(Metric::Rate, vector(&|_| 500.0));
    servers.metrics.answer_body(Metric::Lag, vector(&|_| 10.0));
    let done = servers.run(&RUN, &[("STRATEGY", "by_cause")]);
    let report = done.json();
    assert_eq!(report["outcome"], "rotated", "{done}");
    assert_eq!(report["strategy"], "by_cause", "{done}");
    assert_eq!(report["targets"], json!([{"pod": BUSIEST, "role": "ill"}]), "{done}");
    assert_eq!(report["diagnosis"]["remedy"], "replace_pod", "{done}");
    assert_eq!(report["alternative"]["strategy"], "rotate_outliers", "{done}");
    assert_eq!(guard(&report, "illness_age")["verdict"], "pass", "{done}");
    assert!(guard(&report, "persistence").is_null(), "an illness has its own proof: {done}");
    assert_eq!(servers.evictions(), [BUSIEST]);
    assert_eq!(report["diagnosis"]["cause"]["code"], "sick_pod", "{done}");
}

/// The spread of the fleet is below its threshold and one pod stands out lastingly: the plain rule's
/// answer stays what it is.
#[test]
fn the_outlier_trigger_adds_a_reason_to_act() {
    let servers = Servers::start();
    let env = [("CPU_VARIANCE_THRESHOLD", "9"), ("LAG_VARIANCE_THRESHOLD", "9")];
    let quiet = servers.run(&["plan"], &env).json();
    assert_eq!((&quiet["outcome"], &quiet["targets"]), (&json!("balanced"), &json!([])), "{quiet}");
    let with: Vec<(&str, &str)> = env.into_iter().chain([("OUTLIER_TRIGGER", "2.5")]).collect();
    let report = servers.run(&["plan"], &with).json();
    assert_eq!(report["outcome"], "planned", "{report}");
    assert_eq!(report["should_rebalance"], false, "{report}");
    assert_eq!(report["targets"][0]["pod"], BUSIEST, "{report}");
    assert!(report["reason"].as_str().is_some_and(|reason| reason.contains("stands out in cpu")), "{report}");
    let far: Vec<(&str, &str)> = env.into_iter().chain([("OUTLIER_TRIGGER", "100")]).collect();
    assert_eq!(servers.run(&["plan"], &far).json()["outcome"], "balanced");
}

/// A history with gaps, or of pods that are gone, is judged by what is there.
#[test]
fn a_history_with_too_few_samples_holds() {
    let servers = Servers::start();
    let body = format!(
        r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":{{"pod":"gone-1"}},"values":[]}},{{"metric":{{"pod":"{BUSIEST}"}},"values":[]}}]}}}}"#
    );
    servers.metrics.answer_ranges_with(body);
    let done = assert_held(&servers, &[], "persistence", "unknown");
    assert!(done.stdout.contains("has 0 samples, 30 are needed"), "{done}");
    let longer = [("PERSISTENCE", "2h")];
    let done = assert_held(&servers, &longer, "persistence", "unknown");
    assert!(done.stdout.contains("has 0 samples, 60 are needed"), "half of a window must be there: {done}");
}

/// A past of the twelve pods: each row gives the busiest its samples, the others are steady.
fn past(rows: &[&str]) -> String {
    let series: Vec<String> = rows.iter().map(|row| format!("{{{row}}}")).collect();
    format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{}]}}}}"#, series.join(","))
}

/// A query that forgets to add up containers gives each pod several pasts, none of which is its own.
#[test]
fn a_past_of_each_container_is_refused_and_holds() {
    let servers = Servers::start();
    let of =
        |container: &str| format!(r#""metric":{{"pod":"{BUSIEST}","container":"{container}"}},"values":[]"#);
    servers.metrics.answer_ranges_with(past(&[&of("app"), &of("sidecar")]));
    let done = assert_held(&servers, &[], "persistence", "unknown");
    assert!(done.stdout.contains("duplicate series for pod"), "{done}");
}

/// Of a day that is asked for, a server that keeps less has the last hours only.
#[test]
fn a_window_longer_than_what_is_kept_is_told_and_holds() {
    let servers = Servers::start();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock after 1970").as_secs();
    servers.metrics.answer_ranges_with(past(&[]));
    assert_held(&servers, &[("PERSISTENCE", "24h")], "persistence", "unknown");
    let asked = servers.metrics.requests();
    let range = asked.iter().find(|request| request.path().ends_with("query_range")).expect("a range");
    let number = |name: &str| -> f64 {
        range
            .parameter(name)
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| panic!("{name}: {range:?}"))
    };
    assert!(number("end") - number("start") > 80_000.0 && number("end") <= now as f64 + 60.0);
    // The last two hours of the grid that was asked for.
    let (end, step) = (number("end"), number("step"));
    let kept = (0..).map(|back| end - f64::from(back) * step).take_while(|time| end - time <= 7_200.0);
    let mut kept: Vec<String> = kept.map(|time| format!(r#"[{time},"9"]"#)).collect();
    kept.reverse();
    let row = format!(r#""metric":{{"pod":"{BUSIEST}"}},"values":[{}]"#, kept.join(","));
    servers.metrics.answer_ranges_with(past(&[&row]));
    let done = assert_held(&servers, &[("PERSISTENCE", "window=24h,percent=80%")], "persistence", "unknown");
    assert!(done.stdout.contains("are needed") || done.stdout.contains("history"), "{done}");
    let refused = servers.run(&RUN, &[("PERSISTENCE", "90d")]);
    assert!(refused.assert_one_error(64).contains("the window must be 1m to 7d"), "{refused}");
    servers.assert_untouched();
}
