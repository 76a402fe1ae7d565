//! Finds the metrics servers among the Services of a cluster, by the labels that charts and operators give
//! them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rebalancer_core::{ApiFailure, FailureKind};

use super::cluster::{Cluster, ClusterError};
use super::service_address::ServiceAddress;

/// Where Services were looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Searched {
    /// In every namespace.
    Everywhere,
    /// Only in this one: others may not be listed.
    Namespace(String),
}

/// A Service that looks like a metrics server. Whether it is one shows when it is asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundServer {
    /// Where it is.
    pub address: ServiceAddress,
    /// What its labels say that it is, such as `kube-prometheus-stack`.
    pub family: &'static str,
}

const NAME: &str = "app.kubernetes.io/name";
const COMPONENT: &str = "app.kubernetes.io/component";
const PART_OF: &str = "app.kubernetes.io/part-of";

/// Path of the first tenant of a VictoriaMetrics cluster.
const TENANT_0: &str = "/select/0/prometheus";

/// The name of a kind of metrics server, all of the labels by which its Service is known, and what stands in front of
/// `/api/v1`.
type Family = (&'static str, &'static [(&'static str, &'static str)], &'static str);

/// The kinds that are looked for; of several that fit a Service, the first.
const FAMILIES: [Family; 20] = [
    ("kube-prometheus-stack", &[("app", "kube-prometheus-stack-prometheus")], ""),
    ("kube-prometheus-stack", &[("app", "prometheus-operator-prometheus")], ""),
    ("Rancher monitoring", &[("app", "rancher-monitoring-prometheus")], ""),
    ("kube-prometheus", &[(PART_OF, "kube-prometheus"), (COMPONENT, "prometheus")], ""),
    (OPERATED, &[("operated-prometheus", "true")], ""),
    ("the Prometheus community chart", &[(NAME, "prometheus"), (COMPONENT, "server")], ""),
    ("the Prometheus community chart", &[("app", "prometheus"), ("component", "server")], ""),
    ("the Prometheus community chart", &[("app", "prometheus-server")], ""),
    ("VictoriaMetrics single", &[(NAME, "victoria-metrics-single")], ""),
    ("VictoriaMetrics operator (vmsingle)", &[(NAME, "vmsingle")], ""),
    ("VictoriaMetrics operator (vmselect)", &[(NAME, "vmselect")], TENANT_0),
    ("VictoriaMetrics cluster (vmselect)", &[("app", "vmselect")], TENANT_0),
    ("VictoriaMetrics cluster (vmselect)", &[(COMPONENT, "vmselect")], TENANT_0),
    ("Thanos query", &[(NAME, "thanos"), (COMPONENT, "query")], ""),
    ("Thanos query", &[(NAME, "thanos-query")], ""),
    ("Thanos query", &[("app", "thanos-query")], ""),
    ("Thanos query", &[("app", "thanos-querier")], ""),
    ("Mimir", &[(NAME, "mimir"), (COMPONENT, "gateway")], "/prometheus"),
    ("Mimir", &[(NAME, "mimir"), (COMPONENT, "nginx")], "/prometheus"),
    (MIMIR_FRONTEND, &[(NAME, "mimir"), (COMPONENT, "query-frontend")], "/prometheus"),
];

/// The Service that the operator makes for all servers of a namespace together.
const OPERATED: &str = "the Prometheus operator (prometheus-operated)";

/// Stands behind the gateway, where there is one.
const MIMIR_FRONTEND: &str = "Mimir (query-frontend)";

/// Names of the port of the query API, where a Service has several; the first that is there.
const PORTS: [&str; 7] = ["http-web", "web", "http", "http-metric", "http-metrics", "http-query", "https"];

/// The names of the kinds that are looked for, each once.
pub fn known_servers() -> String {
    let mut names: Vec<&str> = FAMILIES.map(|(name, ..)| name).to_vec();
    names.dedup();
    names.join(", ")
}

/// A Service that looks like a metrics server, and what tells whether another shows the same pods.
struct Match {
    found: FoundServer,
    is_headless: bool,
    selector: BTreeMap<String, String>,
}

impl Cluster {
    /// The Services of the cluster that look like metrics servers, by namespace and name; those of the own
    /// namespace where no others may be listed.
    ///
    /// # Errors
    /// As the server answered; that not even those of the own namespace may be listed.
    pub fn metrics_servers(&self) -> Result<(Vec<FoundServer>, Searched), ClusterError> {
        match self.services("/api/v1/services") {
            Ok(services) => Ok((metrics_servers(services), Searched::Everywhere)),
            Err(failure) if failure.kind == FailureKind::Forbidden => {
                let own = self.namespace();
                let services = self.services(&format!("/api/v1/namespaces/{own}/services"));
                let doing = format!("looking for a metrics server among the Services of namespace {own}");
                let services = services.map_err(|failure| self.error(doing, failure))?;
                Ok((metrics_servers(services), Searched::Namespace(own.to_owned())))
            }
            Err(failure) => {
                Err(self.error("looking for a metrics server among the Services".to_owned(), failure))
            }
        }
    }

    /// Of all Services only those that match are kept.
    fn services(&self, path: &str) -> Result<Vec<Service>, ApiFailure> {
        let mut services: Vec<Service> = Vec::new();
        self.list(path, None, |page: Vec<Service>| {
            services.extend(page.into_iter().filter(|service| family_of(service).is_some()));
            Ok(())
        })?;
        Ok(services)
    }
}

fn family_of(service: &Service) -> Option<&'static Family> {
    let labels = service.metadata.labels.as_ref()?;
    let has = |(key, value): &(&str, &str)| labels.get(*key).is_some_and(|label| label == value);
    FAMILIES.iter().find(|(_, labels, _)| labels.iter().all(has))
}

fn metrics_servers(services: Vec<Service>) -> Vec<FoundServer> {
    let mut matches: Vec<Match> = services.into_iter().filter_map(matched).collect();
    matches.sort_by(|a, b| a.found.cmp(&b.found));
    let is_wanted = |server: &&Match| !matches.iter().any(|better| server.yields_to(better));
    matches.iter().filter(is_wanted).map(|server| server.found.clone()).collect()
}

fn matched(service: Service) -> Option<Match> {
    let (family, _, path) = *family_of(&service)?;
    let (ObjectMeta { name, namespace, .. }, spec) = (service.metadata, service.spec?);
    if spec.type_.as_deref() == Some("ExternalName") {
        return None;
    }
    let ports = spec.ports.unwrap_or_default();
    let by_name = |name: &&str| ports.iter().find(|port| port.name.as_deref() == Some(*name));
    let port = match ports.as_slice() {
        [port] => port,
        ports => PORTS.iter().find_map(by_name).or(ports.first())?,
    };
    let speaks_tls = port.app_protocol.as_ref().is_some_and(|of| of.eq_ignore_ascii_case("https"));
    let address = ServiceAddress {
        namespace: namespace.unwrap_or_default(),
        service: name?,
        port: port.port.to_string(),
        is_https: speaks_tls || port.name.as_deref() == Some("https"),
        path: path.to_owned(),
    };
    Some(Match {
        found: FoundServer { address, family },
        is_headless: spec.cluster_ip.as_deref() == Some("None"),
        selector: spec.selector.unwrap_or_default(),
    })
}

impl Match {
    /// Whether `better` leads to the same pods and is to be named in its place. Charts and the operator make
    /// a headless Service beside the one for queries, and Mimir's query-frontend stands behind its gateway.
    fn yields_to(&self, better: &Self) -> bool {
        if self.found.address.namespace != better.found.address.namespace {
            return false;
        }
        if self.found.family == MIMIR_FRONTEND && better.found.family == "Mimir" {
            return true;
        }
        let is_wider = self.selector.iter().all(|(key, value)| better.selector.get(key) == Some(value));
        let is_same = self.selector == better.selector;
        let is_operated = self.found.family == OPERATED && better.found.family != OPERATED;
        match (self.is_headless, better.is_headless) {
            _ if self.selector.is_empty() || better.selector.is_empty() => false,
            (true, false) => is_same || is_operated && is_wider,
            (false, true) => false,
            _ => is_same && better.found < self.found,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn found(services: &Value) -> Vec<(String, &'static str)> {
        let services: Vec<Service> = serde_json::from_value(services.clone()).expect("Services");
        let services = services.into_iter().filter(|service| family_of(service).is_some()).collect();
        let found = metrics_servers(services);
        found.into_iter().map(|server| (server.address.to_string(), server.family)).collect()
    }

    fn service(namespace: &str, name: &str, labels: &Value, ports: &Value) -> Value {
        json!({"metadata": {"name": name, "namespace": namespace, "labels": labels},
               "spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1", "ports": ports,
                        "selector": {"app.kubernetes.io/name": name}}})
    }

    fn headless(mut service: Value, selector: &Value) -> Value {
        service["spec"]["clusterIP"] = json!("None");
        service["spec"]["selector"] = selector.clone();
        service
    }

    /// The labels are those that the charts and operators write.
    #[test]
    fn each_family_is_known_by_the_labels_of_its_chart() {
        let cases = [
            (
                "kube-prometheus-stack-prometheus",
                json!({"app": "kube-prometheus-stack-prometheus", "self-monitor": "true",
                       "app.kubernetes.io/part-of": "kube-prometheus-stack", "release": "mon"}),
                json!([{"name": "http-web", "port": 9090}, {"name": "reloader-web", "port": 8080}]),
                ":9090",
            ),
            (
                "prometheus-k8s",
                json!({"app.kubernetes.io/component": "prometheus", "app.kubernetes.io/instance": "k8s",
                       "app.kubernetes.io/name": "prometheus", "app.kubernetes.io/part-of": "kube-prometheus"}),
                json!([{"name": "web", "port": 9090}, {"name": "reloader-web", "port": 8080}]),
                ":9090",
            ),
            (
                "prometheus-operated",
                json!({"operated-prometheus": "true"}),
                json!([{"name": "web", "port": 9090}]),
                ":9090",
            ),
            (
                "prometheus-server",
                json!({"app.kubernetes.io/component": "server", "app.kubernetes.io/name": "prometheus",
                       "app.kubernetes.io/part-of": "prometheus"}),
                json!([{"name": "http", "port": 80, "targetPort": 9090}]),
                ":80",
            ),
            (
                "prometheus-server-old",
                json!({"app": "prometheus", "component": "server", "heritage": "Helm"}),
                json!([{"name": "http", "port": 80}]),
                ":80",
            ),
            (
                "vm-victoria-metrics-single-server",
                json!({"app": "server", "app.kubernetes.io/name": "victoria-metrics-single"}),
                json!([{"name": "http", "port": 8428}]),
                ":8428",
            ),
            (
                "vmsingle-main",
                json!({"app.kubernetes.io/name": "vmsingle", "managed-by": "vm-operator"}),
                json!([{"name": "http", "port": 8429}]),
                ":8429",
            ),
            (
                "vmselect-main",
                json!({"app.kubernetes.io/name": "vmselect", "managed-by": "vm-operator"}),
                json!([{"name": "http", "port": 8481}]),
                ":8481/select/0/prometheus",
            ),
            (
                "vmc-vmselect",
                json!({"app": "vmselect", "app.kubernetes.io/name": "victoria-metrics-cluster"}),
                json!([{"name": "http", "port": 8481}]),
                ":8481/select/0/prometheus",
            ),
            (
                "thanos-query",
                json!({"app.kubernetes.io/name": "thanos-query", "app.kubernetes.io/component": "query-layer"}),
                json!([{"name": "grpc", "port": 10901}, {"name": "http", "port": 9090}]),
                ":9090",
            ),
            (
                "mimir-gateway",
                json!({"app.kubernetes.io/name": "mimir", "app.kubernetes.io/component": "gateway"}),
                json!([{"name": "http-metric", "port": 80}]),
                ":80/prometheus",
            ),
        ];
        for (name, labels, ports, end) in cases {
            let found = found(&json!([service("m", name, &labels, &ports)]));
            assert_eq!(found.len(), 1, "{name}");
            assert_eq!(found[0].0, format!("kube:m/{name}{end}"));
        }
    }

    #[test]
    fn what_belongs_to_a_metrics_server_is_not_taken_for_it() {
        let port = json!([{"name": "http", "port": 9093}]);
        let others = [
            json!({"app.kubernetes.io/name": "prometheus", "app.kubernetes.io/component": "metrics"}),
            json!({"app.kubernetes.io/name": "alertmanager", "app.kubernetes.io/part-of": "kube-prometheus"}),
            json!({"app": "kube-prometheus-stack-alertmanager"}),
            json!({"operated-alertmanager": "true"}),
            json!({"app.kubernetes.io/name": "thanos", "app.kubernetes.io/component": "storegateway"}),
            json!({"app.kubernetes.io/name": "vminsert"}),
            json!({"app.kubernetes.io/name": "mimir", "app.kubernetes.io/component": "distributor"}),
            json!({}),
        ];
        for labels in others {
            assert_eq!(found(&json!([service("m", "other", &labels, &port)])), [], "{labels}");
        }
    }

    #[test]
    fn two_services_of_the_same_pods_are_one_server() {
        let ports = json!([{"name": "http-web", "port": 9090}]);
        let stack = service("m", "stack", &json!({"app": "kube-prometheus-stack-prometheus"}), &ports);
        let mut stack = stack;
        stack["spec"]["selector"] =
            json!({"app.kubernetes.io/name": "prometheus", "operator.prometheus.io/name": "stack"});
        let operated = service("m", "prometheus-operated", &json!({"operated-prometheus": "true"}), &ports);
        let operated = headless(operated, &json!({"app.kubernetes.io/name": "prometheus"}));
        assert_eq!(
            found(&json!([operated, stack])),
            [("kube:m/stack:9090".to_owned(), "kube-prometheus-stack")]
        );
        assert_eq!(found(&json!([operated])).len(), 1, "alone it is the server");
        let mut elsewhere = stack.clone();
        elsewhere["metadata"]["namespace"] = json!("other");
        assert_eq!(
            found(&json!([operated, elsewhere])).len(),
            2,
            "of another namespace it is another server"
        );

        let mimir = |component: &str| {
            let labels = json!({"app.kubernetes.io/name": "mimir", "app.kubernetes.io/component": component});
            service("m", &format!("mimir-{component}"), &labels, &json!([{"name": "http", "port": 8080}]))
        };
        let both = json!([mimir("query-frontend"), mimir("gateway")]);
        assert_eq!(found(&both), [("kube:m/mimir-gateway:8080/prometheus".to_owned(), "Mimir")]);
        assert_eq!(found(&json!([mimir("query-frontend")])).len(), 1);
    }

    #[test]
    fn services_as_no_chart_writes_them_are_no_reason_to_panic() {
        let labels = json!({"operated-prometheus": "true"});
        assert_eq!(found(&json!([service("m", "without-ports", &labels, &json!([]))])), []);
        assert_eq!(found(&json!([{"metadata": {"name": "a", "labels": null}, "spec": null}])), []);
        let mut outside = service("m", "outside", &labels, &json!([{"port": 9090}]));
        outside["spec"]["type"] = json!("ExternalName");
        assert_eq!(found(&json!([outside])), []);
    }
}
