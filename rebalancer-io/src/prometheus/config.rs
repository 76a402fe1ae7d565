//! The configuration of a server: address, credentials, TLS, limits.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Uri};
use secrecy::SecretString;

use super::auth::Auth;
use crate::pem::PemError;

/// How to reach and query one server. [`PrometheusConfig::new`] has the defaults.
#[derive(Debug, Clone)]
pub struct PrometheusConfig {
    /// Base address of the API.
    pub endpoint: Endpoint,
    /// Credentials sent with every request.
    pub auth: Auth,
    /// Further headers, for example the tenant.
    pub headers: Vec<Header>,
    /// Certificates and their verification.
    pub tls: Tls,
    /// Parameters added to every request; their values are treated as secrets.
    pub extra_params: Vec<(String, SecretString)>,
    /// How queries are sent.
    pub method: Method,
    /// Longest time for one request. The server gets the same limit.
    pub timeout: Duration,
    /// Largest answer accepted, in bytes after decompression.
    pub max_response_bytes: u64,
    /// Whether to request an error instead of partial data and to bypass result caches, with the parameters
    /// of Thanos and VictoriaMetrics. Servers that refuse unknown parameters need `false`; an answer marked
    /// as partial is an error either way.
    pub refuse_partial: bool,
}

impl PrometheusConfig {
    /// 30 s: the usual limit of other tools for one query.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

    /// 32 MiB: 200,000 aggregated series, or a week of minutes of 100 pods. Answers are decoded while they
    /// arrive; up to half of this may be kept of each, and four are read at a time: together they fit into
    /// the 128 MiB of the Helm chart.
    pub const DEFAULT_MAX_RESPONSE_BYTES: u64 = 32 << 20;

    /// 256 MiB: the limit for a saved answer, whatever the limit was when it was requested.
    pub const MAX_SAVED_BYTES: u64 = 256 << 20;

    /// A server without credentials, with all defaults.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            auth: Auth::None,
            headers: Vec::new(),
            tls: Tls::default(),
            extra_params: Vec::new(),
            method: Method::default(),
            timeout: Self::DEFAULT_TIMEOUT,
            max_response_bytes: Self::DEFAULT_MAX_RESPONSE_BYTES,
            refuse_partial: true,
        }
    }
}

/// How queries are sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Method {
    /// In a form; a query may be long.
    #[default]
    Post,
    /// In the address, for proxies that allow only this.
    Get,
}

/// Certificates. Without a CA file, Mozilla's roots are trusted.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// PEM file of the certificate authorities to trust instead of the public ones.
    pub ca_file: Option<PathBuf>,
    /// PEM file of the client's certificate and its chain; needs `client_key_file`.
    pub client_cert_file: Option<PathBuf>,
    /// PEM file of the client's private key; needs `client_cert_file`.
    pub client_key_file: Option<PathBuf>,
    /// Name that the server's certificate must carry, if it is not the endpoint's host. Then no proxy from
    /// the environment is used.
    pub server_name: Option<String>,
    /// Accepts any certificate.
    pub insecure_skip_verify: bool,
}

/// Base address of an API, without credentials, query or trailing slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    base: String,
    host: String,
    hint: Option<String>,
}

impl Endpoint {
    /// Parses an address as users paste it.
    ///
    /// The end of a pasted `/api/v1/query…` or `/graph` address is removed, and [`Endpoint::hint`] says so.
    ///
    /// # Errors
    /// If it is not an `http` or `https` address, or contains a user name or password.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let text = text.trim();
        let authority = text.split_once("://").map_or(text, |(_, rest)| rest).split(['/', '?', '#']).next();
        if authority.is_some_and(|authority| authority.contains('@')) {
            return Err(ConfigError::EndpointCredentials);
        }
        let uri: Uri = text
            .parse()
            .map_err(|error: http::uri::InvalidUri| ConfigError::Endpoint { reason: error.to_string() })?;
        let (Some(scheme @ ("http" | "https")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(ConfigError::Endpoint {
                reason: "it does not begin with http:// or https://".into(),
            });
        };
        if authority.host().is_empty() {
            return Err(ConfigError::Endpoint { reason: "it names no host".into() });
        }
        let (path, cut) = trim_pasted(uri.path_and_query().map_or("", PathAndQuery::path));
        let base = format!("{scheme}://{authority}{path}");
        let hint = if let Some(cut) = cut {
            Some(format!("{cut} is not part of the base address; using {base}"))
        } else if uri.query().is_some() {
            return Err(ConfigError::Endpoint {
                reason: "it holds a query; give parameters by PROMETHEUS_QUERY_PARAMS".into(),
            });
        } else {
            None
        };
        Ok(Self { base, host: authority.host().to_owned(), hint })
    }

    /// What was changed in the given address, for the user.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The address; it never contains a credential.
    pub fn as_str(&self) -> &str {
        &self.base
    }

    /// Its host, without the port.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

/// The path without the ending of a browser or `curl` address, and that ending.
fn trim_pasted(path: &str) -> (&str, Option<&str>) {
    let path = path.trim_end_matches('/');
    let api = path.rfind("/api/v1").filter(|at| {
        let rest = &path[at + "/api/v1".len()..];
        // A Service behind the proxy of a Kubernetes API is a base address.
        rest.is_empty() || (rest.starts_with('/') && !rest.starts_with("/namespaces/"))
    });
    let graph = path.len() - if path.ends_with("/graph") { "/graph".len() } else { 0 };
    let end = api.unwrap_or(graph);
    (path[..end].trim_end_matches('/'), (end < path.len()).then_some(&path[end..]))
}

/// A header sent with every request. Its value is a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub(crate) name: HeaderName,
    pub(crate) value: HeaderValue,
}

impl FromStr for Header {
    type Err = ConfigError;

    /// Parses `Name: value`.
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let (name, value) = text.split_once(':').ok_or(ConfigError::HeaderColon)?;
        let name: HeaderName =
            name.trim().parse().map_err(|_| ConfigError::HeaderName(name.trim().to_owned()))?;
        let mut value: HeaderValue =
            value.trim().parse().map_err(|_| ConfigError::HeaderValue(name.to_string()))?;
        value.set_sensitive(true);
        Ok(Self { name, value })
    }
}

/// An unusable setting. Messages never contain a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The address cannot be used.
    #[error("PROMETHEUS_ENDPOINT: {reason}; give a base address such as http://prometheus.monitoring:9090")]
    Endpoint {
        /// What is wrong with it.
        reason: String,
    },
    /// The address contains a user name or password.
    #[error(
        "PROMETHEUS_ENDPOINT holds a user name or password; give them by PROMETHEUS_USERNAME and PROMETHEUS_PASSWORD"
    )]
    EndpointCredentials,
    /// An address to push to cannot be used.
    #[error("{variable}: {reason}; give a base address such as {example}")]
    PushUrl {
        /// The setting that contains it.
        variable: &'static str,
        /// What is wrong with it; never the address itself.
        reason: String,
        /// An example of a valid address.
        example: &'static str,
    },
    /// A header without a colon.
    #[error("PROMETHEUS_HEADERS: a header has no colon; give one \"Name: value\" a line")]
    HeaderColon,
    /// Not a valid header name.
    #[error("PROMETHEUS_HEADERS: {0:?} is not a header name")]
    HeaderName(String),
    /// The value of this header has characters that headers cannot contain.
    #[error("PROMETHEUS_HEADERS: the value of {0} has characters that a header cannot carry")]
    HeaderValue(String),
    /// A certificate or key file cannot be used.
    #[error(transparent)]
    TlsFile(#[from] PemError),
    /// A client certificate without its key, or the key without the certificate.
    #[error("PROMETHEUS_CLIENT_CERT and PROMETHEUS_CLIENT_KEY go together; only one of them is set")]
    TlsPair,
    /// A proxy from the environment that is no address. It may contain a credential, so it is not repeated.
    #[error("{variable} is no address such as http://proxy:3128")]
    Proxy {
        /// The environment variable.
        variable: &'static str,
    },
    /// Not a name that a certificate can contain.
    #[error("PROMETHEUS_TLS_SERVER_NAME: {0:?} is not a host name")]
    TlsServerName(String),
}

#[cfg(test)]
mod tests {
    use super::{ConfigError, Endpoint, Header};

    #[test]
    fn endpoints_are_trimmed_to_their_base() {
        let cases = [
            ("http://prom:9090", "http://prom:9090", false),
            ("  http://prom:9090/ ", "http://prom:9090", false),
            ("https://vm/select/0/prometheus/", "https://vm/select/0/prometheus", false),
            ("http://prom:9090/api/v1/query?query=up", "http://prom:9090", true),
            ("http://prom:9090/api/v1", "http://prom:9090", true),
            ("http://gw/prom/api/v1/query_range", "http://gw/prom", true),
            ("http://prom:9090/graph?g0.expr=up", "http://prom:9090", true),
            ("http://[::1]:9090", "http://[::1]:9090", false),
            (
                "http://gw/v1/projects/p/location/global/prometheus",
                "http://gw/v1/projects/p/location/global/prometheus",
                false,
            ),
            ("http://gw/api/v10/prom", "http://gw/api/v10/prom", false),
            (
                "http://localhost:8001/api/v1/namespaces/a/services/prom:9090/proxy/",
                "http://localhost:8001/api/v1/namespaces/a/services/prom:9090/proxy",
                false,
            ),
            (
                "https://rancher/k8s/clusters/c/api/v1/namespaces/a/services/prom:9090/proxy/api/v1/query",
                "https://rancher/k8s/clusters/c/api/v1/namespaces/a/services/prom:9090/proxy",
                true,
            ),
        ];
        for (given, base, hinted) in cases {
            let endpoint = Endpoint::parse(given).expect(given);
            assert_eq!(endpoint.as_str(), base, "{given}");
            assert_eq!(endpoint.hint().is_some(), hinted, "{given}");
        }
    }

    #[test]
    fn endpoints_that_cannot_work_are_refused_without_printing_secrets() {
        for given in
            ["prom:9090", "ftp://prom", "http://", "", "http://prom:9090/?a=b", "http:///x", "http://a b"]
        {
            let error = Endpoint::parse(given).expect_err(given);
            assert!(error.to_string().starts_with("PROMETHEUS_ENDPOINT"), "{given}: {error}");
        }
        for given in [
            "http://user:hunter2@prom",
            "user:hunter2@prom",
            "http://hunter2@prom/x@y",
            "http://u:hun ter2@p",
        ] {
            let error = Endpoint::parse(given).expect_err(given);
            assert_eq!(error, ConfigError::EndpointCredentials, "{given}");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
        assert!(Endpoint::parse("http://prom/a@b").is_ok(), "an @ in the path is no credential");
    }

    #[test]
    fn headers_hide_their_value() {
        let header: Header = "X-Scope-OrgID: tenant-7".parse().expect("a header");
        assert_eq!(header.value, "tenant-7");
        assert!(!format!("{header:?}").contains("tenant-7"));
        let error = "X-Token: hunter2\u{1}".parse::<Header>().expect_err("a control character");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        assert_eq!("hunter2".parse::<Header>(), Err(ConfigError::HeaderColon));
    }
}
