//! A look at all workloads: the verdicts of `plan`, by a handful of requests.

use std::fs;

use rebalancer_core::Metric;
use rebalancer_sim::apiserver::{Effect, Fault};
use rebalancer_sim::fleet::TYPICAL;
use rebalancer_sim::transcript::Transcript;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fleets::{Fleets, QUERIES_OF_A_SCAN, Spec, hot, make_canary, rows, told};

/// Workloads of two namespaces, some of one name.
fn workloads() -> Vec<Spec> {
    vec![
        Spec::deployment("shop", "orders", hot(8, 6.0)),
        Spec::deployment("shop", "orders-api", vec![0.4, 0.41, 0.4, 0.39]),
        Spec::stateful_set("shop", "ledger", hot(6, 2.0)),
        Spec::deployment("shop", "pair", vec![0.1, 0.9]),
        Spec::deployment("shop", "web", vec![0.2]),
        Spec::deployment("warehouse", "orders", vec![0.5; 8]),
        Spec::deployment("warehouse", "idle", vec![0.001, 0.009, 0.002]),
    ]
}

fn start() -> Fleets {
    Fleets::of(&workloads())
}

/// What a decision is, without what passes with time.
pub fn verdict(report: &Value) -> Value {
    let guards = report["guards"].as_array().cloned().unwrap_or_default();
    let guards: Vec<Value> = guards.iter().map(|guard| json!([guard["name"], guard["verdict"]])).collect();
    let parts = ["outcome", "should_rebalance", "statistics", "coverage", "targets", "outliers", "obstacles"];
    let mut verdict: Vec<Value> = parts.iter().map(|part| report[part].clone()).collect();
    let diagnosis = ["cause", "evidence", "remedy", "spread", "advice"];
    verdict.extend(diagnosis.iter().map(|part| report["diagnosis"][part].clone()));
    let mut workload = report["workload"].clone();
    // What a command looked for is its own affair.
    workload.as_object_mut().map(|workload| workload.remove("found"));
    verdict.extend([guards.into(), report["alternative"].clone(), workload]);
    verdict.into()
}

#[test]
fn the_verdict_on_each_workload_is_the_one_of_plan() {
    let fleets = start();
    for env in [
        &[][..],
        &[("STRATEGY", "by_cause")],
        &[("GUARDS", "off"), ("METRICS_PRESET", "none")],
        &[("OUTLIER_TRIGGER", "on"), ("CPU_VARIANCE_THRESHOLD", "9"), ("LAG_VARIANCE_THRESHOLD", "9")],
        &[("QUERY_CPU", "sum by (namespace, pod) (rate(container_cpu_usage_seconds_total[5m]))")],
    ] {
        assert_eq!(as_plan(&fleets, env).len(), workloads().len());
    }
}

/// The rows of a scan, each with the verdict of `plan`.
#[track_caller]
fn as_plan(fleets: &Fleets, env: &[(&str, &str)]) -> Vec<Value> {
    let scan = fleets.run(&["scan", "-A", "--details"], env);
    assert_eq!(scan.code, Some(0), "{scan}");
    for row in rows(&scan) {
        let text = |key: &str| row[key].as_str().expect("a text").to_owned();
        let target = format!("{}/{}", text("kind").to_lowercase(), text("name"));
        let plan = fleets.run(&["plan", &target, "-n", &text("namespace")], env);
        assert_eq!(plan.code, Some(0), "{plan}");
        assert_eq!(verdict(&row["report"]), verdict(&plan.json()), "{target}: {env:?}");
        assert_eq!(
            (&row["outcome"], &row["cpu_cv"]),
            (&plan.json()["outcome"], &plan.json()["statistics"]["cpu"]["cv"])
        );
    }
    rows(&scan)
}

/// Series of single partitions, as those of the lag, are often dropped before they are stored.
#[test]
fn clients_that_tell_only_their_rate_have_the_verdict_of_plan() {
    let fleets = start().loaded(&workloads(), |metric, cores| match metric {
        Metric::Cpu => Some(cores),
        Metric::Rate => Some(500.0 / cores),
        metric => (metric != Metric::Lag).then_some(TYPICAL[metric]),
    });
    let found = as_plan(&fleets, &[("GUARDS", "off")]);
    assert!(found[0]["report"]["statistics"]["rate"]["cv"].is_number(), "{}", found[0]);
}

/// A sick pod needs neither a threshold that is passed nor a consumer group that is known.
#[test]
fn the_volumes_of_a_sick_pod_count_as_in_plan() {
    let mut cores = vec![0.5; 20];
    cores[7] = 1.0;
    let specs = [Spec::deployment("shop", "orders", cores)];
    let fleets = Fleets::changed(&specs, |orders| {
        orders.volumes = vec![json!({"name": "data", "persistentVolumeClaim": {"claimName": "data"}})];
        let claim = json!({"metadata": {"name": "data"}, "spec": {"volumeName": "pv-1"}});
        orders.objects.insert("persistentvolumeclaims/data".to_owned(), claim);
        let volume = json!({"metadata": {"name": "pv-1"}, "spec": {"local": {"path": "/mnt"}}});
        orders.objects.insert("persistentvolumes/pv-1".to_owned(), volume);
    });
    let fleets = fleets.loaded(&specs, |metric, cores| match metric {
        Metric::Cpu => Some(cores),
        metric => Some(TYPICAL[metric]),
    });
    let by_cause = ("STRATEGY", "by_cause");
    let found = as_plan(&fleets, &[by_cause]);
    assert_eq!((&found[0]["outcome"], &found[0]["cause"]), (&json!("planned"), &json!("sick_pod")));
    assert!(found[0]["report"]["warnings"].to_string().contains("claim data"), "{}", found[0]);
    let found = as_plan(&fleets, &[by_cause, ("LOCAL_STORAGE", "refuse")]);
    assert_eq!(found[0]["outcome"], "blocked", "{}", found[0]);
}

/// A canary has the labels of the workload beside which it runs, and one more.
#[test]
fn pods_of_others_that_the_labels_select_too_count_as_in_plan() {
    let canary = Spec::deployment("shop", "orders-canary", hot(4, 3.0));
    let specs = [canary, Spec::deployment("shop", "orders", hot(8, 6.0))];
    let fleets = Fleets::changed(&specs, |canary| make_canary(canary, "orders"));
    for guards in ["off", "standard"] {
        let found = as_plan(&fleets, &[("GUARDS", guards)]);
        let of = |name: &str| found.iter().find(|row| row["name"] == name).expect("a row");
        assert_eq!((&of("orders")["outcome"], &of("orders")["pods"]), (&json!("withheld"), &json!(12)));
        assert_eq!(of("orders-canary")["pods"], 4);
    }
    let done = fleets.run(&["scan", "-l", "track=canary"], &[]);
    assert_eq!(told(&done).len(), 1, "the other owns none of these pods: {done}");
}

#[test]
fn the_worst_comes_first_and_pods_of_one_name_are_told_apart() {
    let fleets = start();
    let done = fleets.run(&["scan", "-A"], &[("GUARDS", "off")]);
    let told = told(&done);
    let uneven = ["shop/orders planned", "warehouse/idle planned", "shop/ledger planned"];
    assert_eq!(told[..3], uneven, "by the spread over the threshold: {done}");
    assert!(told.contains(&"warehouse/orders balanced".to_owned()), "{done}");
    assert!(told.contains(&"shop/pair insufficient_data".to_owned()), "{done}");
    let first = &rows(&done)[0];
    assert_eq!(first["targets"], json!(["orders-4", "orders-0"]), "{first}");
    assert_eq!(first["report"], Value::Null, "the whole report is for who asks");
    assert_eq!(done.json()["namespaces"], Value::Null);
}

#[test]
fn what_was_found_for_all_is_said_first() {
    let fleets = start();
    let done = fleets.run(&["scan", "-A"], &[]);
    assert_eq!(done.json()["found"][0]["setting"], "METRICS_PRESET", "{done}");
    let done = fleets.run(&["scan", "-A"], &[("OUTPUT", "table")]);
    assert!(done.stdout.starts_with("Found: METRICS_PRESET=micrometer"), "{done}");
}

#[test]
fn all_workloads_are_asked_about_at_once() {
    let fleets = start();
    let quiet = [("CPU_VARIANCE_THRESHOLD", "9"), ("LAG_VARIANCE_THRESHOLD", "9")];
    let done = fleets.run(&["scan", "-A"], &quiet);
    assert_eq!(done.code, Some(0), "{done}");
    let apps = "GET /apis/apps/v1";
    let lists = ["replicasets", "deployments", "statefulsets"].map(|kind| format!("{apps}/{kind}"));
    assert_eq!(fleets.asked(), [&["GET /api/v1/pods".to_owned()], lists.as_slice()].concat());
    assert_eq!(fleets.metrics.requests().len(), QUERIES_OF_A_SCAN);
    assert_eq!(done.json()["requests"], json!({"kubernetes": 4, "prometheus": QUERIES_OF_A_SCAN}));
    let query = fleets.metrics.requests()[1].parameter("query").unwrap_or_default();
    assert!(query.contains("namespace=~\"shop|warehouse\""), "{query}");
}

/// Six hundred workloads of 1,800 pods: four pages of pods, two of each kind of owner, and as many queries as for seven.
#[test]
fn many_workloads_are_asked_about_by_as_many_queries() {
    let specs = (0..600).map(|number: usize| {
        let name: &'static str = format!("workload-{number}").leak();
        Spec::deployment(["shop", "warehouse"][number % 2], name, vec![0.4, 0.41, 0.4])
    });
    let fleets = Fleets::of(&specs.collect::<Vec<Spec>>());
    let done = fleets.run(&["scan", "-A"], &[]);
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(rows(&done).len(), 600);
    let asked = fleets.asked();
    let count = |path: &str| asked.iter().filter(|asked| asked.ends_with(path)).count();
    let lists = ["/pods", "/replicasets", "/deployments", "/statefulsets"].map(count);
    assert_eq!((lists, asked.len()), ([4, 2, 2, 1], 9), "{asked:?}");
    assert_eq!(done.json()["requests"], json!({"kubernetes": 9, "prometheus": QUERIES_OF_A_SCAN}));
}

#[test]
fn the_past_of_all_that_are_uneven_is_asked_for_together() {
    let fleets = start();
    fleets.run(&["scan", "-n", "shop"], &[]);
    let requests = fleets.metrics.requests();
    let ranges: Vec<String> = requests
        .iter()
        .filter(|request| request.path().ends_with("_range"))
        .filter_map(|request| request.parameter("query"))
        .collect();
    assert_eq!(ranges.len(), 3, "CPU, lag and rate: {ranges:?}");
    assert!(ranges.iter().all(|query| query.contains("pod=~\"(?:ledger-|orders-).+\"")), "{ranges:?}");
    let windows = requests.iter().filter_map(|request| request.parameter("query"));
    let windows: Vec<String> = windows.filter(|query| query.contains("avg_over_time((")).collect();
    assert_eq!(windows.len(), 1, "before and after the last replacement of both: {windows:?}");
    assert_eq!(
        windows[0].matches("avg_over_time((").count(),
        6,
        "rate after, CPU after and before: {windows:?}"
    );
}

/// Some are uneven, all read partitions of which clients tell: as many queries, however many are even.
#[test]
fn uneven_workloads_that_read_kafka_are_asked_about_by_a_fixed_number_of_queries() {
    for more in [0, 40] {
        let mut specs = workloads();
        specs.extend((0..more).map(|number: usize| {
            Spec::deployment("shop", format!("more-{number}").leak(), vec![0.4, 0.41, 0.4])
        }));
        let fleets = Fleets::of(&specs).loaded(&specs, |metric, cores| match metric {
            Metric::Cpu => Some(cores),
            metric => Some(TYPICAL[metric] * cores),
        });
        let mut counts: Vec<Value> = Vec::new();
        for spec in &specs {
            for pod in spec.pods() {
                let labels = json!({"place": format!("{}/{pod}", spec.namespace)});
                counts.push(json!({"metric": labels, "value": [1_795_410_000, "2"]}));
            }
        }
        let vector = |rows: &[Value]| {
            json!({"status": "success", "data": {"resultType": "vector", "result": rows}}).to_string()
        };
        let of_all = "count by (namespace, pod) (max by (namespace, pod, topic, partition)";
        fleets.metrics.answer_queries_with(of_all, vector(&counts));
        let of_one = json!({"metric": {}, "value": [1_795_410_000, "2"]});
        fleets.metrics.answer_queries_with("count(max by (pod) (", vector(&[of_one]));
        let done = fleets.run(&["scan", "-A"], &[]);
        let asked = fleets.metrics.requests();
        let texts: Vec<String> = asked.iter().filter_map(|asked| asked.parameter("query")).collect();
        assert_eq!(done.json()["requests"]["prometheus"], QUERIES_OF_A_SCAN + 5, "{texts:#?}");
        let ranges: Vec<String> = asked
            .iter()
            .filter(|asked| asked.path().ends_with("_range"))
            .filter_map(|asked| asked.parameter("query"))
            .collect();
        assert_eq!(ranges.len(), 4, "CPU, lag, rate, partitions: {ranges:#?}");
        assert!(
            ranges.iter().any(|query| query.contains("records_lead") && query.contains("query_part")),
            "{ranges:#?}"
        );
        if more == 0 {
            as_plan(&fleets, &[]);
        }
    }
}

#[test]
fn what_may_not_be_listed_is_named_and_the_rest_is_looked_at() {
    let fleets = start();
    fleets.cluster.deny("list pods in *");
    fleets.cluster.deny("list pods in warehouse");
    fleets.cluster.deny("list statefulsets.apps");
    let done = fleets.run(&["scan", "-A"], &[]);
    assert_eq!(done.code, Some(0), "{done}");
    let told = told(&done);
    assert_eq!(told.len(), 4, "{done}");
    assert!(told.iter().all(|row| row.starts_with("shop/") && !row.contains("ledger")), "{done}");
    let unlisted: Vec<String> =
        done.json()["unlisted"].as_array().into_iter().flatten().map(ToString::to_string).collect();
    assert!(unlisted[0].contains("statefulsets of namespace shop cannot be listed"), "{unlisted:?}");
    assert!(unlisted[1].contains("pods of namespace warehouse cannot be listed"), "{unlisted:?}");
    let alone = fleets.run(&["scan", "-n", "warehouse"], &[]);
    assert!(alone.assert_one_error(1).contains("listing the pods of namespace warehouse"), "{alone}");
}

#[test]
fn a_kind_whose_second_page_may_not_be_read_is_left_out() {
    let fleets = start();
    let page = json!({
        "kind": "StatefulSetList", "apiVersion": "apps/v1", "metadata": {"continue": "more"},
        "items": [{"metadata": {"name": "ledger", "namespace": "shop", "uid": "of-the-first-page"}}],
    });
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    let page = Transcript { code: 200, headers, body: page.to_string().into_bytes() };
    let refusal = Transcript::named("314_sa_lister_list_other_ns_403");
    fleets.cluster.inject(Fault::on("GET", "continue=more", Effect::Answer(refusal)));
    fleets.cluster.inject(Fault::on("GET", "/statefulsets?", Effect::Answer(page)).times(1));
    let done = fleets.run(&["scan", "-n", "shop"], &[]);
    let unlisted = done.json()["unlisted"].to_string();
    assert!(unlisted.contains("statefulsets of namespace shop cannot be listed"), "{done}");
    let told = told(&done);
    assert!(!told.is_empty() && told.iter().all(|row| !row.contains("ledger")), "{done}");
}

#[test]
fn several_namespaces_are_named_at_once() {
    let fleets = start();
    let done = fleets.run(&["scan", "-n", "warehouse, shop,shop"], &[]);
    assert_eq!(done.json()["namespaces"], json!(["shop", "warehouse"]), "{done}");
    assert_eq!(rows(&done).len(), workloads().len(), "{done}");
    assert!(fleets.asked().contains(&"GET /apis/apps/v1/namespaces/warehouse/deployments".to_owned()));
}

#[test]
fn what_is_no_name_of_a_namespace_is_asked_of_nobody() {
    let fleets = start();
    for names in [",", "shop,a/b", "Shop"] {
        let done = fleets.run(&["scan", "-n", names], &[]);
        assert!(done.assert_one_error(64).contains("KUBE_NAMESPACE"), "{done}");
    }
    assert_eq!(fleets.asked(), Vec::<String>::new());
}

#[test]
fn labels_select_the_pods() {
    let fleets = start();
    let done = fleets.run(&["scan", "-l", "app=orders"], &[]);
    assert_eq!(told(&done).len(), 1, "{done}");
    assert_eq!(rows(&done)[0]["name"], "orders", "{done}");
}

#[test]
fn a_table_shows_what_can_be_uneven_and_wide_shows_all() {
    let fleets = start();
    let off = [("GUARDS", "off")];
    let table = fleets.run(&["scan", "-o", "table"], &off).stdout;
    assert!(table.contains("deployment/orders ") && !table.contains("deployment/web"), "{table}");
    assert!(table.contains("1 workload with fewer than 2 pods"), "{table}");
    assert!(table.contains("Nothing has been changed"), "{table}");
    let wide = fleets.run(&["scan", "-o", "wide"], &off).stdout;
    assert!(wide.contains("deployment/web") && wide.contains("orders-4 orders-0"), "{wide}");
    let names = fleets.run(&["scan", "-o", "name"], &off).stdout;
    assert_eq!(names, "deployment/orders\nstatefulset/ledger\n");
    let names = fleets.run(&["scan", "-A", "-o", "name"], &off).stdout;
    assert_eq!(names, "shop/deployment/orders\nwarehouse/deployment/idle\nshop/statefulset/ledger\n");
    let csv = fleets.run(&["scan", "-A", "-o", "csv"], &off).stdout;
    assert_eq!(csv.lines().count(), 1 + workloads().len(), "{csv}");
    assert!(csv.starts_with("namespace,kind,name,pods,outcome,"), "{csv}");
    assert!(csv.contains("shop,Deployment,orders,8,planned,true,"), "{csv}");
}

/// The sections are those of workloads that deserve a look, each with names of its own.
#[test]
fn a_page_has_an_index_and_a_section_for_each_of_the_worst() {
    let fleets = start();
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("scan.html");
    let path = file.to_str().expect("a path of ours");
    let done = fleets.run(&["scan", "-A", "--report", path], &[("GUARDS", "off")]);
    assert_eq!(done.code, Some(0), "{done}");
    assert!(rows(&done).iter().all(|row| row["report"].is_null()), "the page alone holds the reports");
    let page = fs::read_to_string(&file).expect("the page");
    assert_eq!(page.matches("<details class=\"workload\"").count(), 3, "orders, idle and ledger");
    assert!(page.contains("<a href=\"#workload-0\">deployment/orders</a>"), "{page}");
    assert!(page.contains(">deployment/web<"), "the index has all");
    assert!(
        page.matches(" href=\"").count() == page.matches(" href=\"#workload-").count(),
        "nothing but the page"
    );
    let mut names: Vec<&str> =
        page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "each name stands once");
    let json = folder.path().join("scan.json");
    fs::write(&json, fleets.run(&["scan", "--details"], &[]).stdout).expect("the report");
    let again = fleets.run(&["report", json.to_str().expect("a path of ours")], &[("OUTPUT", "")]);
    assert!(again.stdout.contains("<table class=\"sortable\">"), "{again}");
}

#[test]
fn one_workload_is_for_plan() {
    let fleets = start();
    let done = fleets.run(&["scan", "deployment/orders"], &[]);
    assert!(done.assert_one_error(64).contains("plan deployment/orders"), "{done}");
    assert_eq!(fleets.asked(), Vec::<String>::new());
}

#[test]
fn an_empty_namespace_is_no_failure() {
    let fleets = start();
    let done = fleets.run(&["scan", "-n", "nowhere", "-o", "table"], &[]);
    assert_eq!(done.code, Some(0), "{done}");
    assert!(done.stdout.contains("No Deployment and no StatefulSet was found."), "{done}");
    assert!(fleets.metrics.requests().is_empty());
}

#[test]
fn a_metrics_server_that_fails_fails_the_scan() {
    let fleets = start();
    let answer = r#"{"status":"success","isPartial":true,"data":{"resultType":"vector","result":[]}}"#;
    fleets.metrics.answer_queries_with("container_memory", answer);
    let done = fleets.run(&["scan"], &[]);
    assert!(done.assert_one_error(1).contains("partial"), "{done}");
}
