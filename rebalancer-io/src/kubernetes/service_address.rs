//! The address of a metrics server by its Service: `kube:NAMESPACE/SERVICE:PORT`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::config::is_namespace_name as is_dns_label;
use crate::prometheus::Endpoint;

/// What such an address begins with.
const SCHEME: &str = "kube:";

/// A Service and the path of the query API behind it.
///
/// ```
/// use rebalancer_io::kubernetes::ServiceAddress;
///
/// let address: ServiceAddress = "kube:monitoring/vmselect:8481/select/0/prometheus".parse()?;
/// assert_eq!(address.dns_name()?.as_str(), "http://vmselect.monitoring.svc:8481/select/0/prometheus");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceAddress {
    /// Namespace of the Service.
    pub namespace: String,
    /// Its name.
    pub service: String,
    /// Number or name of the port.
    pub port: String,
    /// Whether the port speaks TLS.
    pub is_https: bool,
    /// What stands in front of `/api/v1`, with its leading slash; mostly empty.
    pub path: String,
}

/// The text is no address of a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "PROMETHEUS_ENDPOINT begins with kube: and is not of the form kube:NAMESPACE/SERVICE:PORT, such as \
     kube:monitoring/prometheus-server:80; https:SERVICE:PORT where the port speaks TLS, and a path may follow"
)]
pub struct NotAService;

/// Inside the cluster the name of a port does not lead to its number.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}: inside the cluster, give the number of the port in place of its name")]
pub struct NamedPort(ServiceAddress);

impl ServiceAddress {
    /// Whether a text is meant to be such an address.
    pub fn is_meant_by(text: &str) -> bool {
        text.trim_start().starts_with(SCHEME)
    }

    /// The address by the cluster's DNS, for pods of the cluster.
    ///
    /// # Errors
    /// A port that is given by its name.
    pub fn dns_name(&self) -> Result<Endpoint, NamedPort> {
        let named = || NamedPort(self.clone());
        let _: u16 = self.port.parse().map_err(|_| named())?;
        self.endpoint(&self.port).map_err(|_| named())
    }

    /// Path of the API server's proxy to the query API.
    pub(super) fn proxy_path(&self) -> String {
        let Self { namespace, service, port, is_https, path } = self;
        let scheme = if *is_https { "https:" } else { "" };
        format!("/api/v1/namespaces/{namespace}/services/{scheme}{service}:{port}/proxy{path}")
    }

    fn endpoint(&self, port: &str) -> Result<Endpoint, NotAService> {
        let Self { namespace, service, is_https, path, .. } = self;
        let scheme = if *is_https { "https" } else { "http" };
        let url = format!("{scheme}://{service}.{namespace}.svc:{port}{path}");
        Endpoint::parse(&url).map_err(|_| NotAService)
    }
}

impl fmt::Display for ServiceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, service, port, is_https, path } = self;
        let scheme = if *is_https { "https:" } else { "" };
        write!(f, "{SCHEME}{namespace}/{scheme}{service}:{port}{path}")
    }
}

impl FromStr for ServiceAddress {
    type Err = NotAService;

    fn from_str(text: &str) -> Result<Self, NotAService> {
        let rest = text.trim().strip_prefix(SCHEME).ok_or(NotAService)?;
        let (namespace, rest) = rest.split_once('/').ok_or(NotAService)?;
        let (place, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (is_https, place) = match place.split_once(':') {
            Some(("https", place)) if place.contains(':') => (true, place),
            Some(("http", place)) if place.contains(':') => (false, place),
            _ => (false, place),
        };
        let (service, port) = place.split_once(':').ok_or(NotAService)?;
        let number: Option<u16> = port.parse().ok();
        let is_port = if port.bytes().all(|byte| byte.is_ascii_digit()) {
            number.is_some_and(|number| number > 0)
        } else {
            is_dns_label(port)
        };
        if !is_dns_label(namespace) || !is_dns_label(service) || !is_port {
            return Err(NotAService);
        }
        let [namespace, service, port] = [namespace, service, port].map(str::to_owned);
        let given = Self { namespace, service, port, is_https, path: path.to_owned() };
        // As of other addresses, what was pasted behind the base address is cut off. The port does not matter.
        let base = given.endpoint("1")?;
        let path = base.as_str().split_once(":1").map_or("", |(_, path)| path).to_owned();
        Ok(Self { path, ..given })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_it_is_read() {
        for text in [
            "kube:monitoring/prometheus-server:80",
            "kube:monitoring/https:thanos-querier:web",
            "kube:vm/vmselect-main:8481/select/0/prometheus",
        ] {
            let address: ServiceAddress = text.parse().expect(text);
            assert_eq!(address.to_string(), text);
        }
        let pasted: ServiceAddress =
            "kube:m/p:9090/prom/api/v1/query?query=up".parse().expect("what people paste");
        assert_eq!(pasted.to_string(), "kube:m/p:9090/prom");
    }

    #[test]
    fn an_address_cannot_lead_out_of_its_path() {
        for text in [
            "kube:",
            "kube:monitoring",
            "kube:monitoring/prometheus",
            "kube:monitoring/prometheus:",
            "kube:monitoring/prometheus:0",
            "kube:monitoring/prometheus:70000",
            "kube:../prometheus:9090",
            "kube:monitoring/..:9090",
            "kube:monitoring/a b:9090",
            "kube:monitoring/user:secret@prometheus:9090",
            "kube:monitoring/prometheus:9090/a b",
            "kube:monitoring/prometheus:9090?x=y",
            "http://prometheus:9090",
        ] {
            let parsed: Result<ServiceAddress, NotAService> = text.parse();
            assert_eq!(parsed, Err(NotAService), "{text}");
        }
    }

    #[test]
    fn a_proxied_path_and_a_name_of_the_dns_lead_to_the_same_server() {
        let address: ServiceAddress = "kube:vm/https:vmselect:8481/select/0/prometheus".parse().expect("one");
        assert_eq!(
            address.proxy_path(),
            "/api/v1/namespaces/vm/services/https:vmselect:8481/proxy/select/0/prometheus"
        );
        let dns = address.dns_name().map(|endpoint| endpoint.as_str().to_owned());
        assert_eq!(dns, Ok("https://vmselect.vm.svc:8481/select/0/prometheus".to_owned()));
        let named: ServiceAddress = "kube:m/p:web".parse().expect("a named port");
        assert!(named.dns_name().is_err_and(|error| error.to_string().contains("the number of the port")));
    }
}
