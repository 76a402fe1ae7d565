//! `check`: whether a run could act, without trying one.

use jiff::Timestamp;
use rebalancer_core::Metric;
use rebalancer_sim::apiserver::{Effect, Fault, Fleet};
use rebalancer_sim::transcript::Transcript;
use serde_json::{Value, json};

use crate::program::{Done, command};
use crate::pty::{Session, visible};
use crate::servers::{BUSIEST, Servers, fleet};

/// Result and hint of the check whose description contains `words`.
#[track_caller]
fn found(done: &Done, words: &str) -> (String, String) {
    let report = done.json();
    let checks = report["categories"].as_array().into_iter().flatten();
    let mut checks = checks.flat_map(|category| category["checks"].as_array().into_iter().flatten());
    let said = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    let check = checks.find(|check| said(check, "description").contains(words));
    let check = check.unwrap_or_else(|| panic!("nothing is said of {words}: {done}"));
    (said(check, "result"), said(check, "hint"))
}

#[test]
fn a_run_that_would_work_passes_and_nothing_is_changed() {
    let servers = Servers::start();
    let done = servers.run(&["check"], &[]);
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(done.json()["success"], true);
    assert_eq!(found(&done, "12 pods, 12 of them Ready").0, "success");
    assert_eq!(found(&done, "Deployment/orders-consumer").0, "success");
    assert_eq!(found(&done, "lag: 11 series, 11 of 12 live pods").0, "warning");
    assert_eq!(found(&done, "no rollout").0, "success");
    assert_eq!(found(&done, "no PodDisruptionBudget").0, "success");
    assert_eq!(found(&done, "history of cpu: 60 of 60 minutes").0, "success");
    assert_eq!(found(&done, "partition owners: 0 series (optional)").0, "warning");
    let (result, _) = found(&done, "the server would evict orders-consumer");
    assert_eq!(result, "success");
    let harmless = ["selfsubjectaccessreviews", "selfsubjectreviews", "(dry run)"];
    let changing = servers.asked().into_iter().filter(|asked| !asked.starts_with("GET"));
    assert!(changing.into_iter().all(|asked| harmless.iter().any(|words| asked.contains(words))));
    servers.assert_untouched();
}

#[test]
fn the_missing_permission_is_named() {
    let servers = Servers::start();
    servers.cluster.deny("create pods/eviction");
    let done = servers.run(&["check"], &[]);
    assert_eq!(done.code, Some(1), "{done}");
    let (result, hint) = found(&done, "may not create pods/eviction");
    assert_eq!(result, "error", "{done}");
    assert!(hint.contains("tiny"), "{hint}");
    assert!(!done.stdout.contains("dry run"), "what may not be done is not tried: {done}");
    // A dry run does without it.
    let done = servers.run(&["check"], &[("DRY_RUN", "client")]);
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(found(&done, "may not create pods/eviction").0, "warning", "{done}");
}

/// A quota, a webhook or a proxy may be in the way of Events that the Role allows.
#[test]
fn check_tries_whether_the_workload_can_be_claimed() {
    let servers = Servers::start();
    let done = servers.run(&["check"], &[]);
    assert_eq!(found(&done, "the workload can be claimed").0, "success", "{done}");
    servers.cluster.change(|fleet| assert!(fleet.events.is_empty(), "it is a try: {:?}", fleet.events));
    for (method, code, body) in [("GET", 200, "{}"), ("POST", 403, "exceeded quota")] {
        let servers = Servers::start();
        let answer = Transcript { code, headers: Vec::new(), body: body.into() };
        servers.cluster.inject(Fault::on(method, "/events", Effect::Answer(answer)));
        let done = servers.run(&["check"], &[]);
        assert_eq!(done.code, Some(1), "{done}");
        let (result, hint) = found(&done, "the workload cannot be claimed");
        assert!(result == "error" && hint.contains("CLAIM=off"), "{done}");
        assert_eq!(servers.run(&["check"], &[("CLAIM", "off")]).code, Some(0));
    }
}

#[test]
fn the_right_to_events_is_needed_to_claim() {
    for permission in ["list events.events.k8s.io", "create events.events.k8s.io"] {
        let servers = Servers::start();
        servers.cluster.deny(permission);
        let done = servers.run(&["check"], &[]);
        let (result, hint) = found(&done, &format!("may not {permission}"));
        assert!(result == "error" && hint.contains("CLAIM=off"), "{done}");
        assert_eq!(done.code, Some(1), "{done}");
        assert_eq!(servers.run(&["check"], &[("CLAIM", "off")]).code, Some(0), "{permission}");
    }
}

#[test]
fn a_budget_is_held_against_what_a_rotation_takes() {
    for (allowed, settings, result, words) in [
        (2, &[][..], "success", ""),
        (1, &[], "warning", "PACING=wait-ready"),
        (1, &[("PACING", "wait-ready")], "success", ""),
        (0, &[], "warning", "blocked until it allows more"),
    ] {
        let servers = Servers::over(fleet().with_budget("orders", allowed));
        let done = servers.run(&["check"], settings);
        assert_eq!(done.code, Some(0), "warnings never fail it: {done}");
        let (found, hint) = found(&done, "PodDisruptionBudget orders covers 12 of 12 pods");
        assert_eq!(found, result, "{done}");
        assert!(hint.contains(words), "{done}");
        let tried = if allowed > 0 { "the server would evict" } else { "the server would not evict" };
        assert!(done.stdout.contains(tried), "{done}");
        servers.assert_untouched();
    }
    let servers = Servers::over(fleet().with_budget("a", 5).with_budget("b", 5));
    let done = servers.run(&["check"], &[]);
    assert_eq!(found(&done, "covered by more than one PodDisruptionBudget").0, "warning", "{done}");
}

#[test]
fn what_holds_every_run_back_is_told() {
    let mut rolling = fleet();
    rolling.updated_replicas = Some(4);
    let servers = Servers::over(rolling);
    let done = servers.run(&["check"], &[]);
    assert_eq!(found(&done, "Deployment orders-consumer is in a rollout").0, "warning", "{done}");

    let mut opted_out = fleet();
    let annotation = ("pod-rebalancer/do-not-evict".to_owned(), "true".to_owned());
    opted_out.pod(BUSIEST).annotations.extend([annotation]);
    let done = Servers::over(opted_out).run(&["check"], &[("MIN_PODS_REQUIRED", "20")]);
    assert_eq!(done.code, Some(1), "{done}");
    assert_eq!(found(&done, "12 pods, 12 of them Ready").0, "error", "{done}");
    assert_eq!(found(&done, &format!("1 of 12 pods are never evicted: {BUSIEST} opts out")).0, "warning");
    assert!(found(&done, "12 pods, 12 of them Ready").1.contains("MIN_PODS_REQUIRED"), "{done}");
}

/// Green means that a run could act.
#[test]
fn what_no_run_could_act_on_fails() {
    let servers = Servers::start();
    let done = servers.run(&["check"], &[("KUBE_LABEL_SELECTOR", "app=nothing")]);
    let (result, hint) = found(&done, "selector app=nothing matches no pod in namespace tiny");
    assert_eq!((done.code, result.as_str()), (Some(1), "error"), "{done}");
    assert!(hint.contains("KUBE_LABEL_SELECTOR"), "{hint}");
    assert!(!done.stdout.contains("0 of 0"), "{done}");
    assert_eq!(found(&done, "the server answers; the metrics could not be checked").0, "warning", "{done}");

    let done = servers.run(&["check"], &[("KUBE_NAMESPACE", "nowhere")]);
    let (result, hint) = found(&done, "namespace nowhere does not exist");
    assert_eq!((done.code, result.as_str()), (Some(1), "error"), "{done}");
    assert!(hint.contains("KUBE_NAMESPACE"), "{hint}");

    let mut opted_out = fleet();
    for pod in &mut opted_out.pods {
        pod.annotations.insert("pod-rebalancer/do-not-evict".to_owned(), "true".to_owned());
    }
    let done = Servers::over(opted_out).run(&["check"], &[]);
    assert_eq!(done.code, Some(1), "{done}");
    assert_eq!(found(&done, "12 of 12 pods are never evicted").0, "error", "{done}");

    for metric in [Metric::Cpu, Metric::Lag] {
        servers.metrics.answer_body(metric, NOTHING);
    }
    let done = servers.run(&["check"], &[]);
    assert_eq!(done.code, Some(1), "{done}");
    assert_eq!(found(&done, "neither cpu nor lag can be used").0, "error", "{done}");
    let (_, hint) = found(&done, "cpu: 0 series");
    assert!(hint.contains("cAdvisor") && hint.contains("QUERY_CPU"), "{hint}");
    assert!(!hint.contains("METRICS_PRESET"), "that has nothing to do with CPU: {hint}");
    assert!(found(&done, "lag: 0 series").1.contains("METRICS_PRESET"), "{done}");
}

/// 0.28 of 25 pods are 7, though `0.28 * 25.0` is slightly more.
#[test]
fn check_counts_the_pods_with_a_metric_as_a_run_does() {
    let more = (0..13).map(|number| format!("orders-consumer-g5zn5h759-more{number}"));
    let names: Vec<String> = fleet().pods.into_iter().map(|pod| pod.name).chain(more).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let servers =
        Servers::over(Fleet { namespace: "tiny".to_owned(), ..Fleet::named("orders-consumer", &names) });
    let sample = |pod: &&str| json!({"metric": {"pod": pod}, "value": [1795410000, "1"]});
    let seven: Vec<Value> = names.iter().take(7).map(sample).collect();
    let seven = json!({"status": "success", "data": {"resultType": "vector", "result": seven}});
    servers.metrics.answer_body(Metric::Cpu, seven.to_string());
    servers.metrics.answer_body(Metric::Lag, NOTHING);
    let env = [("MIN_COVERAGE", "0.28"), ("MAX_SAMPLE_AGE", "100000d")];
    assert_eq!(servers.run(&["plan"], &env).json()["coverage"]["cpu"]["usable"], true);
    let done = servers.run(&["check"], &env);
    assert!(!done.stdout.contains("neither cpu nor lag can be used"), "{done}");
}

/// What the cluster refuses stands before what follows from it.
#[test]
fn a_refused_list_of_pods_comes_first() {
    let servers = Servers::start();
    servers.cluster.deny("list pods");
    let done = servers.run(&["check"], &[]);
    assert_eq!(done.code, Some(1), "{done}");
    let (refused, metrics) =
        (done.stdout.find("forbidden"), done.stdout.find("the metrics could not be checked"));
    assert!(refused.is_some() && refused < metrics, "{done}");
    assert!(!done.stdout.contains("0 of 0"), "{done}");
}

#[test]
fn a_wrong_group_is_told_with_the_groups_there_are() {
    let servers = Servers::start();
    let groups = ["payments", "orders"]
        .map(|group| format!(r#"{{"metric":{{"consumergroup":"{group}"}},"value":[1795410000,"3"]}}"#));
    let body =
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{}]}}}}"#, groups.join(","));
    servers.metrics.answer_queries_with("count by (consumergroup) (", body);
    servers.metrics.answer_body(Metric::Lag, NOTHING);
    servers.metrics.answer_queries_with("time() - max(timestamp(kafka", NOTHING);
    let env = [("METRICS_PRESET", "kafka-exporter"), ("KAFKA_GROUP", "ordres")];
    let (_, hint) = found(&servers.run(&["check"], &env), "lag: 0 series");
    assert!(hint.contains("KAFKA_GROUP=ordres is no group it knows; it knows orders, payments"), "{hint}");
    let env = [("METRICS_PRESET", "kafka-exporter"), ("KAFKA_GROUP", "orders")];
    let (_, hint) = found(&servers.run(&["check"], &env), "lag: 0 series");
    assert!(hint.contains("METRICS_PRESET"), "{hint}");
}

/// What exporters do not see of a group is told with its reason.
#[test]
fn what_is_missing_of_a_group_of_kip_848_is_told_with_the_reason() {
    let servers = Servers::start();
    let env = [("METRICS_PRESET", "klag-ip"), ("KAFKA_GROUP", "g")];
    servers.metrics.answer_queries_with("klag_consumer_lag", NOTHING);
    servers
        .metrics
        .answer_queries_with("count(klag_consumer_lag{consumer_group=\"g\", member_host=\"\"})", sample("6"));
    servers.metrics.answer_queries_with("background_event_queue_size", NOTHING);
    let (_, hint) = found(&servers.run(&["check"], &env), "lag: 0 series");
    assert!(
        hint.contains("names no member for 6 partitions of the group: either nobody reads, or"),
        "{hint}"
    );
    assert!(hint.contains("METRICS_PRESET=micrometer finds it for 11 of 12 live pods"), "{hint}");
    servers.metrics.answer_queries_with("background_event_queue_size", sample("4"));
    let done = servers.run(&["check"], &env);
    let (_, hint) = found(&done, "lag: 0 series");
    assert!(hint.contains("the pods' clients have the protocol of KIP-848, and the exporter"), "{hint}");
    let (_, hint) = found(&done, "assignor: 0 series");
    assert!(hint.contains("KIP-848: the brokers deal") && hint.contains("KAFKA_ASSIGNOR=uniform"), "{hint}");
}

#[test]
fn offsets_are_checked_and_a_group_is_asked_for() {
    let servers = Servers::start();
    let done = servers.run(&["check"], &[]);
    assert!(found(&done, "offsets: no query (optional)").1.contains("KAFKA_GROUP is not set"), "{done}");
    servers.metrics.answer_queries_with("kafka_consumergroup_current_offset", sample("68"));
    let done = servers.run(&["check"], &[("KAFKA_GROUP", "g")]);
    assert_eq!(found(&done, "offset committed: 1 series (optional)").0, "success", "{done}");
    let (result, hint) = found(&done, "offset lead: 0 series (optional)");
    assert!(result == "warning" && hint.contains("a partition that stands"), "{hint}");
}

/// An answer of one sample without labels.
fn sample(value: &str) -> String {
    format!(
        r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{}},"value":[1795410000,"{value}"]}}]}}}}"#
    )
}

const NOTHING: &str = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;

#[test]
fn the_age_of_the_newest_sample_is_asked_for() {
    let servers = Servers::start();
    servers.metrics.answer_queries_with("time() - max(timestamp(container_cpu", sample("11.2"));
    servers.metrics.answer_queries_with("time() - max(timestamp(container_memory", sample("240"));
    let done = servers.run(&["check"], &[]);
    assert_eq!(found(&done, "cpu: 12 series, 12 of 12 live pods, newest sample 11 s old").0, "success");
    let (result, hint) = found(&done, "memory: 12 series, 12 of 12 live pods, newest sample 240 s old");
    assert_eq!(result, "warning");
    assert!(hint.contains("MAX_SAMPLE_AGE (180 s)"), "{hint}");

    // Nothing there is told from nothing that fits.
    servers.metrics.answer_body(Metric::Lag, NOTHING);
    let done = servers.run(&["check"], &[]);
    assert!(found(&done, "lag: 0 series").1.contains("METRICS_PRESET"), "{done}");
    servers.metrics.answer_queries_with("time() - max(timestamp(kafka", sample("15"));
    let done = servers.run(&["check"], &[]);
    assert!(found(&done, "lag: 0 series").1.contains("labels"), "{done}");
}

#[test]
fn pods_in_exported_pod_are_named() {
    let servers = Servers::start();
    servers.metrics.answer_body(Metric::Lag, NOTHING);
    servers.metrics.answer_queries_with("exported_namespace=\"tiny\"", sample("12"));
    let done = servers.run(&["check"], &[]);
    let (result, hint) = found(&done, "lag: 0 series, 0 of 12 live pods");
    assert_eq!(result, "warning");
    assert!(hint.contains("exported_pod") && hint.contains("honorLabels: true"), "{hint}");
    let done = servers.run(&["check"], &[("METRICS_PRESET", "klag-ip"), ("KAFKA_GROUP", "g")]);
    assert!(found(&done, "lag: 0 series").1.starts_with("klag_consumer_lag names the pods"), "{done}");
}

#[test]
fn a_history_that_is_too_short_is_told() {
    let servers = Servers::start();
    let minute = Timestamp::now().as_second() / 60 * 60 - 60;
    servers.metrics.answer_ranges_with(format!(
        r#"{{"status":"success","data":{{"resultType":"matrix","result":[
            {{"metric":{{"namespace":"tiny","pod":"{BUSIEST}"}},"values":[[{minute},"1"]]}}]}}}}"#
    ));
    let done = servers.run(&["check"], &[]);
    assert_eq!(done.code, Some(0), "{done}");
    assert!(found(&done, "history of cpu: 1 of 60 minutes").1.contains("PERSISTENCE=off"), "{done}");
    let done = servers.run(&["check"], &[("PERSISTENCE", "off")]);
    assert!(!done.stdout.contains("history"), "{done}");
}

#[test]
fn a_server_that_cannot_be_reached_is_waited_for_once() {
    let servers = Servers::start();
    let done = servers.run(&["check", "--prometheus-endpoint", "http://127.0.0.1:9"], &[]);
    assert_eq!(done.code, Some(1), "{done}");
    assert!(found(&done, "cpu query").1.contains("127.0.0.1:9"), "{done}");
    for unasked in ["memory query", "lag query", "history"] {
        assert!(!done.stdout.contains(unasked), "{done}");
    }
    assert_eq!(found(&done, "12 pods").0, "success");
}

#[test]
fn another_account_is_tried() {
    let account = "system:serviceaccount:tiny:pod-rebalancer";
    let servers = Servers::start();
    let done = servers.run(&["check", "--as", account], &[]);
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stdout.contains(&format!("as {account}")), "{done}");
    let requests = servers.cluster.requests();
    assert!(requests.iter().all(|request| request.header("impersonate-user") == Some(account)));
}

#[test]
fn short_leaves_out_what_is_good() {
    let servers = Servers::start();
    let done = servers.run(&["check", "-o", "short", "--as", "ada"], &[("CPU_VARIENCE_THRESHOLD", "0.1")]);
    assert_eq!(done.code, Some(0), "{done}");
    assert!(!done.stdout.contains('✓') && done.stdout.contains("! lag: 11 series"), "{done}");
    let told = "CPU_VARIENCE_THRESHOLD is set but unknown; did you mean CPU_VARIANCE_THRESHOLD?";
    assert!(done.stdout.contains(told), "{done}");
    let refused = servers.run(&["plan", "-o", "short"], &[]);
    assert!(refused.assert_one_error(64).contains("check only"), "{refused}");
}

/// As a person reads it, in 80 columns and in 40.
#[test]
fn the_checks_are_read_on_a_terminal() {
    let servers = Servers::over(fleet().with_budget("orders", 1));
    servers.metrics.answer_queries_with("time() - max(", sample("11"));
    servers.cluster.deny("create events.events.k8s.io");
    servers.cluster.deny("get pods");
    for columns in [40, 80] {
        let set = [
            ("TERM", "xterm"),
            ("KUBE_LABEL_SELECTOR", "app=orders-consumer"),
            ("METRICS_PRESET", "micrometer"),
        ];
        let mut check = command(&["check"], &set);
        check
            .env("PROMETHEUS_ENDPOINT", servers.metrics.url())
            .env("KUBECONFIG", servers.cluster.kubeconfig_path());
        let (code, screen) = Session::start(columns, &mut check).end();
        assert_eq!(code, Some(1), "{screen}");
        let screen = visible(&screen)
            .replace(&servers.metrics.url(), "http://127.0.0.1:9090")
            .replace(&servers.cluster.url(), "http://127.0.0.1:8080");
        let took = screen.split_once(" ms").and_then(|(before, _)| before.rsplit([' ', '\n']).next());
        let took = took.expect("the time of the first query").to_owned();
        insta::assert_snapshot!(format!("check-{columns}"), screen.replace(&format!("{took} ms"), "9 ms"));
    }
}

#[test]
fn each_side_is_checked_though_the_other_fails() {
    let servers = Servers::start();
    servers.metrics.answer_body(Metric::Cpu, "<html>Sign in</html>");
    let done = servers.run(&["check"], &[]);
    assert_eq!(done.code, Some(1), "{done}");
    assert_eq!(found(&done, "cpu").0, "error");
    assert_eq!(found(&done, "lag: 11").0, "warning");
    assert_eq!(found(&done, "12 pods").0, "success");
    servers.cluster.expire_token();
    let done = servers.run(&["check"], &[]);
    assert_eq!(done.code, Some(1), "{done}");
    assert!(found(&done, "list the workload").1.contains("Unauthorized"), "{done}");
}
