//! What is shipped beside the program installs: chart, Kustomize base, alerts, dashboard, image.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use e2e::{
    Api, ControlPlane, Finished, Fleet, MetricServer, Namespace, Program, Sandbox, path_of, pod_rebalancer,
    require, wait_until, workload,
};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);
pub(crate) const CHART: &str = "deploy/helm/pod-rebalancer";

#[test]
fn the_chart_passes_the_linter() {
    require!(Helm);
    let output = run(helm().args(["lint", "--strict", CHART, "--values", &everything()]), "");
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
fn values_that_make_no_sense_are_refused() {
    require!(Helm);
    let cases = [
        ("targets[0].name=Orders", "/targets/0/name"),
        ("targets[0].selector=", "/targets/0/selector"),
        ("targets[0].replicas=3", "'replicas' not allowed"),
        ("settings.WEBHOOK_FORMAT=teams", "/settings/WEBHOOK_FORMAT"),
        ("settings.WEBHOOK_URL=https://hooks.example.com/x", "WEBHOOK_URL"),
        ("targets[0].schedule=sometimes", "/targets/0/schedule"),
        ("targets[0].workload=daemonset/orders", "/targets/0/workload"),
        ("dryRun=perhaps", "/dryRun"),
        ("targets[1].dryRun=yess", "/targets/1/dryRun"),
        ("settings.CPU_VARIANCE_THRESHOLD=-1", "/settings/CPU_VARIANCE_THRESHOLD"),
        ("settings.MIN_PODS_REQUIRED=1", "/settings/MIN_PODS_REQUIRED"),
        ("settings.STRATEGY=replace_outlier", "/settings/STRATEGY"),
        ("settings.cpuThreshold=1", "cpuThreshold"),
        ("settings.WARMPU=5m", "'WARMPU' not allowed"),
        ("settings.WARMUP=5", "/settings/WARMUP"),
        ("targets[0].settings.PACING=slow", "/targets/0/settings/PACING"),
        ("targets[1].name=orders", "two targets are called orders"),
        ("metrics.existingSecret=", "/metrics"),
        ("networkPolicy.apiServerPorts[0]=0", "/networkPolicy/apiServerPorts/0"),
        ("nameOverride=Up_Case", "/nameOverride"),
        ("settings.DRY_RUN=none", "DRY_RUN"),
        ("settings.PROMETHEUS_PASSWORD=hunter2", "PROMETHEUS_PASSWORD"),
        ("prometheus.endpoint=prometheus:9090", "/prometheus/endpoint"),
        ("prometheus.existingSecret=", "/prometheus"),
        ("prometheus.endpoint=", "prometheus.endpoint is needed"),
        ("image.repository=", "image.repository is needed"),
        ("image.digest=sha256:123", "/image/digest"),
        ("startingDeadlineSeconds=5", "/startingDeadlineSeconds"),
        ("serviceAccount.create=false", "serviceAccount.name is needed"),
        ("targets[0].workload=", "/targets/0/workload"),
        (
            "targets[2].name=mail,targets[2].selector=app=mail",
            "admissionPolicy needs workload of target mail",
        ),
        ("settings.EVICTION_METHOD=delete", "EVICTION_METHOD=delete asks for no eviction"),
        (
            "targets[0].workload=deployment/a-name-that-is-much-too-long-for-the-names-of-its-pods",
            "more than 46 characters",
        ),
    ];
    for (value, words) in cases {
        let refused = run(helm().args(["template", "r", CHART, "--kube-version=1.37"]).args(set(value)), "");
        assert!(!refused.status.success(), "{value} was accepted");
        let said = text(&refused);
        assert!(said.contains(words), "{value}: {said:?} does not say {words:?}");
    }
}

#[test]
fn every_manifest_is_accepted_by_a_real_api_server() {
    require!(ControlPlane, Kubectl, Helm);
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("payments");
    warn_of_unrestricted_pods(&namespace, plane.admin());
    define_prometheus_rules(plane);

    let chart = accepted(plane, &namespace, &render("payments", &[]));
    let policies = ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"];
    let expected = [
        "ConfigMap",
        "CronJob",
        "Job",
        "NetworkPolicy",
        "PrometheusRule",
        "Role",
        "RoleBinding",
        "ServiceAccount",
    ]
    .into_iter();
    assert_eq!(kinds(&chart), expected.chain(policies).collect::<Vec<_>>());
    assert_eq!(chart.iter().filter(|it| it["kind"] == "CronJob").count(), 2, "a CronJob for each target");

    for folder in ["deploy/kustomize/base", "deploy/kustomize/overlays/acting"] {
        let manifests = run(kubectl().args(["kustomize", folder]), "");
        assert!(manifests.status.success(), "{}", text(&manifests));
        let objects = accepted(plane, &namespace, &String::from_utf8_lossy(&manifests.stdout));
        assert_eq!(kinds(&objects), ["ConfigMap", "CronJob", "Role", "RoleBinding", "ServiceAccount"]);
    }

    // The server does warn of a pod that is not restricted: the silence above means something.
    let careless =
        render("payments", &["securityContext.readOnlyRootFilesystem=false", "podSecurityContext=null"]);
    let warned = run(&mut dry_run(plane, &namespace), &careless);
    assert!(text(&warned).contains("would violate PodSecurity"), "{}", text(&warned));
}

#[test]
fn the_environment_of_a_target_is_the_settings_of_all_with_its_own() {
    require!(ControlPlane, Kubectl, Helm);
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("environment");
    define_prometheus_rules(plane);
    let targets = ["targets[0].namespace=environment", "targets[1].namespace=environment"];
    let objects = accepted(plane, &namespace, &render("environment", &targets));
    let orders = environment(&objects, "r-pod-rebalancer-orders");
    let ledger = environment(&objects, "r-pod-rebalancer-ledger");

    for (name, value) in [
        ("PROMETHEUS_ENDPOINT", "https://prometheus.example.com"),
        ("KUBE_NAMESPACE", "environment"),
        ("KUBE_LABEL_SELECTOR", "app=orders,tier!=canary"),
        ("DRY_RUN", "none"),
        ("CPU_VARIANCE_THRESHOLD", "30%"),
        ("FLOORS", "lag=2000000"),
        ("PROMETHEUS_MAX_RESPONSE", "2000000"),
        ("WEBHOOK_FORMAT", "slack"),
        ("WARMUP", "off"),
        ("PROMETHEUS_BEARER_TOKEN_FILE", "/etc/pod-rebalancer/prometheus/token"),
        ("METRICS_USERNAME", "pusher"),
        ("METRICS_PASSWORD_FILE", "/etc/pod-rebalancer/metrics/password"),
        ("KAFKA_GROUP", "orders"),
    ] {
        assert_eq!(setting(&orders, name), Some(value), "{name} of orders");
    }
    assert_eq!(setting(&ledger, "DRY_RUN"), Some("client"));
    assert_eq!(setting(&ledger, "CPU_VARIANCE_THRESHOLD"), Some("0.4"));
    assert_eq!(setting(&ledger, "WARMUP"), None);
    assert_eq!(
        [&orders, &ledger].map(|of| setting(of, "STRATEGY")),
        [Some("by_cause"); 2],
        "what the chart sets"
    );
}

#[test]
fn the_account_of_the_chart_rotates_under_its_policy_and_can_do_nothing_else() {
    require!(ControlPlane, Kubectl, Helm, Prometheus);
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("policy");
    for manifest in [
        workload::deployment("orders", 12),
        workload::deployment("orders-retry", 1),
        workload::stateful_set("ledger", 1),
    ] {
        namespace.apply(&manifest);
    }
    for (selector, pods) in [("app=orders", 12), ("app=orders-retry", 1), ("app=ledger", 1)] {
        namespace.wait_ready(selector, pods, LIMIT);
    }
    let pods = namespace.pod_names("app=orders");
    let fleet = Fleet::of_pods(namespace.name(), pods.clone()).busiest(7).least_busy(3);
    let metrics = MetricServer::prometheus(&fleet, &[]);
    let objects = install(plane, &namespace, metrics.url());
    let account = Account::new(plane, &namespace, "r-pod-rebalancer-orders");

    refuses_what_it_must(plane, &account);

    let run = account.program(&objects, &["run", "--strategy", "rotate_outliers"]);
    assert_eq!(run.code, Some(0), "{run}");
    assert_eq!(run.json()["outcome"], "rotated", "{run}");
    wait_until("the two outliers are gone", LIMIT, || {
        let now = namespace.pod_names("app=orders");
        !now.contains(&pods[7]) && !now.contains(&pods[3])
    });

    let check = account.program(&objects, &["check"]);
    let granted = granted(&objects, "r-pod-rebalancer-orders");
    // Only workloads of other kinds, and pods with claims, make use of these.
    let of_other_owners =
        ["get replicationcontrollers", "get rollouts.argoproj.io", "list persistentvolumeclaims"]
            .map(str::to_owned);
    let mut used = [allowed(&check.json()), of_other_owners.to_vec()].concat();
    used.sort();
    assert_eq!(used, granted, "all that is used, and no more: {check}");
}

/// The policy lets the account evict pods of its workload by UID, and nothing else.
fn refuses_what_it_must(plane: &ControlPlane, account: &Account<'_>) {
    let namespace = account.namespace;
    let own = &namespace.pods("app=orders")[0];
    wait_until("the policy is in force", LIMIT, || account.is_refused(own));

    let (_, answer) = account.evict(own, &Value::Null);
    assert!(message(&answer).contains("needs the UID of the pod as a precondition"), "{answer}");
    let by_uid = |pod: &Value| json!({ "uid": pod["metadata"]["uid"] });
    for selector in ["app=orders-retry", "app=ledger"] {
        let foreign = &namespace.pods(selector)[0];
        let (status, answer) = account.evict(foreign, &by_uid(foreign));
        assert_eq!(status, 422, "{answer}");
        assert!(message(&answer).contains("may evict here only pods of deployment/orders"), "{answer}");
    }
    let name = own["metadata"]["name"].as_str().expect("a pod has a name");
    let deleted = account.api.delete(&namespace.path("v1", &format!("pods/{name}")), &json!({}));
    assert_eq!(deleted.status, 403, "{}", deleted.body);

    let dry = Account::new(plane, namespace, "r-pod-rebalancer-ledger");
    let (status, answer) = dry.evict(own, &by_uid(own));
    assert_eq!(status, 403, "the account of a dry run has no right to evict: {answer}");
    // Whom the policy does not name, it does not hold.
    let foreign = &namespace.pods("app=ledger")[0];
    let (status, answer) = evict(plane.admin(), namespace, foreign, &json!({}));
    assert_eq!(status, 201, "{answer}");
}

/// What `check` was told that it may do, sorted.
fn allowed(check: &Value) -> Vec<String> {
    let categories = check["categories"].as_array().expect("check has categories");
    let checks = categories.iter().flat_map(|category| category["checks"].as_array().into_iter().flatten());
    let mut allowed: Vec<String> = checks
        .filter(|it| it["result"] == "success")
        .filter_map(|it| it["description"].as_str()?.strip_prefix("may ").map(str::to_owned))
        .collect();
    allowed.sort();
    allowed
}

#[test]
fn the_alerts_fire_when_they_should() {
    require!(Prometheus);
    let checked = run(promtool().args(["check", "rules", "deploy/prometheus/alerts.yaml"]), "");
    assert!(checked.status.success(), "{}", text(&checked));
    let tested = run(promtool().args(["test", "rules", "deploy/prometheus/alerts.test.yaml"]), "");
    assert!(tested.status.success(), "{}", text(&tested));
}

#[test]
fn the_alerts_of_the_chart_know_the_period_of_the_schedule() {
    require!(ControlPlane, Kubectl, Helm, Prometheus);
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("alerts");
    define_prometheus_rules(plane);
    let targets = ["targets[0].namespace=alerts", "targets[1].namespace=alerts"];
    let objects = accepted(plane, &namespace, &render("alerts", &targets));
    let rule = objects.iter().find(|it| it["kind"] == "PrometheusRule").expect("prometheusRule is enabled");
    let spec = rule["spec"].to_string();
    assert_eq!(spec.matches("> 5400").count(), 2, "{spec}");
    assert!(spec.contains("[3600s]"), "{spec}");
    assert!(spec.contains("https://docs.example.com/operating.md#") && !spec.contains("github"), "{spec}");
    assert!(!spec.contains("> 1800") && !spec.contains("[20m]"), "{spec}");
    assert!(spec.contains("{{ $labels.target_namespace }}"), "{spec}");

    let sandbox = Sandbox::new();
    let file = sandbox.write("rules.yaml", spec);
    let checked = run(promtool().args(["check", "rules"]).arg(file), "");
    assert!(checked.status.success(), "{}", text(&checked));
}

/// A long name of a release cuts `pod-rebalancer` out of the names of its `CronJob`s.
#[test]
fn the_first_alert_of_the_chart_looks_for_its_own_cronjobs() {
    require!(Helm);
    for release in ["r", "a-release-with-a-long-name-of-its-own"] {
        let mut command = helm();
        command.args(["template", release, CHART, "--kube-version=1.37"]);
        let rendered = run(everything_on(&mut command, "tools", &[]), "");
        assert!(rendered.status.success(), "{}", text(&rendered));
        let manifests = String::from_utf8(rendered.stdout).expect("manifests are UTF-8");
        let (_, cronjob) = manifests.split_once("kind: CronJob\nmetadata:\n  name: ").expect("a CronJob");
        let name = cronjob.lines().next().and_then(|name| name.strip_suffix("-orders")).expect("of orders");
        let expected = format!(r#"{{namespace="tools", cronjob=~"{name}-.+"}}"#);
        assert_eq!(manifests.matches(&expected).count(), 2, "{release}: {manifests}");
        assert!(!manifests.contains(".*pod-rebalancer.*"), "{release}");
    }
}

#[test]
fn every_query_of_the_dashboard_answers() {
    require!(Prometheus, VictoriaMetrics);
    let sample = read("testdata/metrics/rotated.prom");
    // A second workload, whose run was held back.
    let other = read("testdata/metrics/withheld.prom").replace("orders-consumer", "ledger");
    for sample in [&sample, &other] {
        let linted = run(promtool().args(["check", "metrics"]), sample);
        assert!(linted.status.success(), "{}", text(&linted));
    }

    let queries = dashboard_queries();
    assert_eq!(queries.len(), 14);
    let rules: Vec<Value> = queries.iter().map(|query| json!({ "record": "x", "expr": query })).collect();
    let sandbox = Sandbox::new();
    // promtool complains of rules of one name and one expression; each has its own here.
    let groups: Vec<Value> = rules
        .into_iter()
        .enumerate()
        .map(|(number, rule)| json!({ "name": number.to_string(), "rules": [rule] }))
        .collect();
    let file = sandbox.write("queries.yaml", json!({ "groups": groups }).to_string());
    let parsed = run(promtool().args(["check", "rules", "--lint=none"]).arg(file), "");
    assert!(parsed.status.success(), "{}", text(&parsed));

    let server = MetricServer::victoria_metrics(&Fleet::even("payments", "orders", 1), &[]);
    let import = "/api/v1/import/prometheus";
    for (path, body) in [(import, sample.as_str()), (import, &other), ("/internal/force_flush", "")] {
        let posted = ureq::post(format!("{}{path}", server.url())).send(body);
        posted.unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    for query in queries {
        wait_until(&format!("{query} answers"), LIMIT, || count(&server, &query) > 0);
    }
}

/// A `ServiceAccount` of the chart with a token of an hour.
pub(crate) struct Account<'a> {
    pub(crate) namespace: &'a Namespace<'a>,
    pub(crate) name: String,
    pub(crate) api: Api,
    pub(crate) kubeconfig: PathBuf,
}

impl<'a> Account<'a> {
    pub(crate) fn new(plane: &ControlPlane, namespace: &'a Namespace<'a>, name: &str) -> Self {
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": { "audiences": [] },
        });
        let path = namespace.path("v1", &format!("serviceaccounts/{name}/token"));
        let answer = plane.admin().post(&path, &request).success();
        let token = answer["status"]["token"].as_str().expect("a TokenRequest answers with a token");
        let kubeconfig = plane.kubeconfig(namespace.name(), token);
        Self { namespace, name: name.to_owned(), api: plane.api(token), kubeconfig }
    }

    pub(crate) fn evict(&self, pod: &Value, preconditions: &Value) -> (u16, Value) {
        evict(&self.api, self.namespace, pod, &json!({ "preconditions": preconditions }))
    }

    /// Whether a policy refuses an eviction that is only tried.
    pub(crate) fn is_refused(&self, pod: &Value) -> bool {
        evict(&self.api, self.namespace, pod, &json!({ "dryRun": ["All"] })).0 == 422
    }

    /// The program as the `CronJob` of the account starts it, with its environment, and a report
    /// that a test can read.
    pub(crate) fn program(&self, objects: &[Value], arguments: &[&str]) -> Finished {
        let mut command = pod_rebalancer(arguments);
        for variable in environment(objects, &self.name) {
            if let (Some(name), Some(value)) = (variable["name"].as_str(), variable["value"].as_str()) {
                command.env(name, value);
            }
        }
        // As every container has it: a run in a cluster asks nobody.
        command.env("KUBERNETES_SERVICE_HOST", "127.0.0.1");
        Finished::of(command.env("KUBECONFIG", &self.kubeconfig).args(["--output", "json"]))
    }
}

/// Installs the chart for `orders`, which acts, and `ledger`, which does not; answers its objects.
fn install(plane: &ControlPlane, namespace: &Namespace<'_>, endpoint: &str) -> Vec<Value> {
    let name = namespace.name();
    let values = [
        format!("targets[0].namespace={name},targets[1].namespace={name},targets[0].selector=app=orders"),
        format!("prometheus.endpoint={endpoint},prometheus.existingSecret=,prometheus.bearerTokenKey="),
        "prometheus.caKey=,prometheus.headersKey=,metrics.pushUrl=".to_owned(),
        "metrics.existingSecret=,metrics.username=,metrics.passwordKey=".to_owned(),
        "targets[0].settings.GUARDS=off,prometheusRule.enabled=false".to_owned(),
    ];
    let values = values.each_ref().map(String::as_str);
    let objects = accepted(plane, namespace, &render(name, &values));
    let mut command = helm();
    command.args(["install", "r", CHART]).env("KUBECONFIG", plane.admin_kubeconfig(name));
    let installed = run(everything_on(&mut command, name, &values), "");
    assert!(installed.status.success(), "{}", text(&installed));
    let notes = text(&installed);
    for line in [
        "orders: EVICTS up to two pods of app=orders in namespace policy, at ",
        "ledger: DRY RUN (client) for app=ledger in namespace policy, at 5 * * * * once it is no longer suspended. Nothing is \
         evicted.",
        "Run it now and EVICT, if it decides so; read what it did. To see first what it would do, set dryRun=true:",
        "Run it now and read what it would do:",
        "kubectl --namespace policy create job ledger-now --from=cronjob/r-pod-rebalancer-ledger",
    ] {
        assert!(notes.contains(line), "{notes}");
    }
    objects
}

fn evict(api: &Api, namespace: &Namespace<'_>, pod: &Value, options: &Value) -> (u16, Value) {
    let name = pod["metadata"]["name"].as_str().expect("a pod has a name");
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": { "name": name, "namespace": namespace.name() },
        "deleteOptions": options,
    });
    let answer = api.post(&namespace.path("v1", &format!("pods/{name}/eviction")), &eviction);
    (answer.status, answer.body)
}

/// What a Role grants, in the words of `check`: `get deployments.apps`, `create pods/eviction`.
pub(crate) fn granted(objects: &[Value], name: &str) -> Vec<String> {
    let role = named(objects, "Role", name);
    let strings = |list: &Value| -> Vec<String> {
        let all = list.as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect()
    };
    let mut granted: Vec<String> = Vec::new();
    for rule in role["rules"].as_array().expect("a Role has rules") {
        let group = strings(&rule["apiGroups"]).concat();
        for verb in strings(&rule["verbs"]) {
            for resource in strings(&rule["resources"]) {
                let dot = if group.is_empty() { "" } else { "." };
                granted.push(format!("{verb} {resource}{dot}{group}"));
            }
        }
    }
    granted.sort();
    granted
}

/// Every expression of the dashboard, with its variables filled in as Grafana does.
fn dashboard_queries() -> Vec<String> {
    let dashboard: Value =
        serde_json::from_str(&read("deploy/grafana/pod-rebalancer.json")).expect("the dashboard is JSON");
    let panels = dashboard["panels"].as_array().expect("a dashboard has panels").iter();
    panels
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten())
        .map(|target| {
            let query = target["expr"].as_str().expect("a target has an expression");
            query
                .replace("$__range", "24h")
                .replace("$target_namespace", ".*")
                .replace("$target_name", "orders-consumer|ledger")
        })
        .collect()
}

fn count(server: &MetricServer, query: &str) -> usize {
    let answer = ureq::get(format!("{}/api/v1/query", server.url())).query("query", query).call();
    let body = answer
        .and_then(|mut answer| answer.body_mut().read_to_string())
        .unwrap_or_else(|error| panic!("{query}: {error}"));
    let body: Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{query}: {error}: {body}"));
    body["data"]["result"].as_array().map_or(0, Vec::len)
}

/// The manifests of the chart as release `r` with everything turned on, and these values.
pub(crate) fn render(namespace: &str, values: &[&str]) -> String {
    let mut command = helm();
    command.args(["template", "r", CHART, "--kube-version=1.37"]);
    let rendered = run(everything_on(&mut command, namespace, values), "");
    assert!(rendered.status.success(), "{}", text(&rendered));
    String::from_utf8(rendered.stdout).expect("manifests are UTF-8")
}

fn everything_on<'a>(command: &'a mut Command, namespace: &str, values: &[&str]) -> &'a mut Command {
    command.args(["--namespace", namespace, "--values", &everything()]);
    for value in values {
        command.args(["--set", value]);
    }
    command
}

/// The objects as the server would store them; fails on what it refuses or warns of.
pub(crate) fn accepted(plane: &ControlPlane, namespace: &Namespace<'_>, manifests: &str) -> Vec<Value> {
    let output = run(dry_run(plane, namespace).args(["--output", "json"]), manifests);
    assert!(output.status.success(), "{}", text(&output));
    let warnings = String::from_utf8_lossy(&output.stderr);
    assert!(warnings.is_empty(), "{warnings}");
    let list: Value = serde_json::from_slice(&output.stdout).expect("kubectl answers JSON");
    list["items"].as_array().expect("several manifests are a list").clone()
}

fn dry_run(plane: &ControlPlane, namespace: &Namespace<'_>) -> Command {
    let mut command = kubectl();
    command.env("KUBECONFIG", plane.admin_kubeconfig(namespace.name()));
    command.args(["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"]);
    command
}

fn warn_of_unrestricted_pods(namespace: &Namespace<'_>, admin: &Api) {
    let labels = json!({ "pod-security.kubernetes.io/warn": "restricted" });
    let path = format!("/api/v1/namespaces/{}", namespace.name());
    admin.merge(&path, &json!({ "metadata": { "labels": labels } })).success();
}

/// The kind of the Prometheus operator that the chart uses, as far as the chart uses it.
fn define_prometheus_rules(plane: &ControlPlane) {
    let text = json!({ "type": "string" });
    let map = json!({ "type": "object", "additionalProperties": text });
    let rule = json!({ "type": "object", "properties": {
        "alert": text, "expr": text, "for": text, "labels": map, "annotations": map } });
    let group = json!({ "type": "object", "properties": {
        "name": text, "rules": { "type": "array", "items": rule } } });
    let spec = json!({ "type": "object", "properties": { "groups": { "type": "array", "items": group } } });
    let schema = json!({ "openAPIV3Schema": { "type": "object", "properties": { "spec": spec } } });
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "prometheusrules.monitoring.coreos.com" },
        "spec": {
            "group": "monitoring.coreos.com", "scope": "Namespaced",
            "names": { "kind": "PrometheusRule", "plural": "prometheusrules" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": schema }],
        },
    });
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let answer = plane.admin().post(path, &definition);
    // Another test of the process may have been first.
    assert!(matches!(answer.status, 201 | 409), "{}", answer.body);
    wait_until("the API server knows PrometheusRule", LIMIT, || {
        plane.admin().get("/apis/monitoring.coreos.com/v1/prometheusrules").status == 200
    });
}

/// The environment of the container of a `CronJob`.
fn environment(objects: &[Value], name: &str) -> Vec<Value> {
    let job = named(objects, "CronJob", name);
    let container = &job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0];
    container["env"].as_array().expect("the container has an environment").clone()
}

fn setting<'a>(environment: &'a [Value], name: &str) -> Option<&'a str> {
    environment.iter().find(|it| it["name"] == name).and_then(|it| it["value"].as_str())
}

pub(crate) fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|it| it["kind"] == kind && it["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn kinds(objects: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<&str> = objects.iter().filter_map(|it| it["kind"].as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn message(status: &Value) -> &str {
    status["message"].as_str().unwrap_or_default()
}

/// The values that turn everything on.
pub(crate) fn everything() -> String {
    format!("{CHART}/ci/values.yaml")
}

fn set(value: &str) -> [String; 4] {
    ["--values".to_owned(), everything(), "--set".to_owned(), value.to_owned()]
}

pub(crate) fn helm() -> Command {
    tool(Program::Helm, "helm")
}

fn kubectl() -> Command {
    tool(Program::Kubectl, "kubectl")
}

fn promtool() -> Command {
    tool(Program::Prometheus, "promtool")
}

fn tool(program: Program, file: &str) -> Command {
    let mut command = Command::new(path_of(program, file));
    command.current_dir(repository());
    command
}

pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("e2e lies in the repository")
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(crate) fn run(command: &mut Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut pipe = child.stdin.take().expect("stdin is piped");
    let input = input.to_owned();
    // Beside the reading, or two full pipes wait for each other.
    let writer = std::thread::spawn(move || pipe.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("a child of ours can be waited for");
    // Who reads nothing may close the pipe early.
    let _ = writer.join().expect("the writer does not panic");
    output
}

pub(crate) fn text(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    write!(text, "{}", String::from_utf8_lossy(&output.stderr)).expect("a String takes every line");
    text
}
