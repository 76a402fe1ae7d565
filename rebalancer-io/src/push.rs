//! Pushes the metrics of a finished run to a Pushgateway or to VictoriaMetrics' import API.

use std::borrow::Cow;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use ureq::tls::TlsConfig;
use ureq::typestate::WithBody;
use ureq::{Agent, RequestBuilder};

use crate::pem::PemFile;
use crate::prometheus::{Auth, ConfigError, Endpoint, TransportError, proxy_for, root_certs, words};
use crate::secrets::Secrets;

/// Content type of the text format that every receiver understands.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Where VictoriaMetrics and vmagent take metrics.
const IMPORT_PATH: &str = "/api/v1/import/prometheus";

/// Addresses as they are expected.
const EXAMPLE: &str =
    "http://pushgateway.monitoring:9091, or http://victoria-metrics.monitoring:8428/api/v1/import/prometheus";

/// How to push metrics.
#[derive(Debug, Clone)]
pub struct PushConfig {
    /// Credentials sent with every push.
    pub auth: Auth,
    /// The setting that names a PEM file, and the file: its certificate authorities are trusted instead of
    /// the public ones.
    pub ca_file: Option<(&'static str, PathBuf)>,
    /// Longest time for one push.
    pub timeout: Duration,
}

/// The receiver of the metrics: a Pushgateway, which keeps the last push of each group for ever, or VictoriaMetrics or
/// vmagent, which store the metrics with the time of their arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    base: Endpoint,
    is_import: bool,
}

impl Receiver {
    /// The receiver at the address in the setting `variable`: VictoriaMetrics or vmagent if it ends in
    /// `/api/v1/import/prometheus`, else a Pushgateway.
    ///
    /// # Errors
    /// An address that is unusable or contains a credential; it is not repeated.
    pub fn at(variable: &'static str, url: &str) -> Result<Self, ConfigError> {
        let is_import = url.trim_end_matches('/').ends_with(IMPORT_PATH);
        let unusable =
            |reason: &str| ConfigError::PushUrl { variable, reason: reason.to_owned(), example: EXAMPLE };
        if url.contains('?') {
            return Err(unusable("it holds a query"));
        }
        let base = Endpoint::parse(url).map_err(|error| match error {
            ConfigError::Endpoint { reason } => unusable(&reason),
            ConfigError::EndpointCredentials => unusable(
                "it holds a user name or password, which go into METRICS_USERNAME and METRICS_PASSWORD",
            ),
            other => other,
        })?;
        Ok(Self { base, is_import })
    }

    /// The address, which holds no credential.
    pub fn address(&self) -> String {
        self.base.to_string()
    }

    fn url(&self, group: &[(&str, &str)]) -> String {
        let base = &self.base;
        if self.is_import {
            return format!("{base}{IMPORT_PATH}");
        }
        let path: String = group.iter().map(|(label, value)| grouping(label, value)).collect();
        format!("{base}/metrics{path}")
    }
}

/// One label of a grouping key as part of the path. A value that a path cannot contain is encoded in base64.
fn grouping(label: &str, value: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    match value {
        // The only way to encode an empty value.
        "" => format!("/{label}@base64/="),
        plain if plain.bytes().all(is_plain) => format!("/{label}/{plain}"),
        other => format!("/{label}@base64/{}", URL_SAFE.encode(other)),
    }
}

/// Which metrics of the group a push replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaces {
    /// All of them (PUT).
    Group,
    /// Only metrics with the same names (POST); the others stay.
    SameNames,
}

/// An agent that sends once, within `timeout`, and follows no redirect. `ca_file` is used in place of the public
/// authorities.
///
/// # Errors
/// When the file cannot be read or used.
pub(crate) fn agent(ca_file: Option<PemFile<'_>>, timeout: Duration) -> Result<Agent, ConfigError> {
    let mut tls = TlsConfig::builder();
    if let Some(file) = ca_file {
        tls = tls.root_certs(root_certs(file)?);
    }
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(timeout))
        .user_agent(concat!("pod-rebalancer/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls.build())
        .build();
    Ok(Agent::new_with_config(config))
}

/// Sends metrics.
#[derive(Debug)]
pub struct Pusher {
    agent: Agent,
    auth: Auth,
    timeout: Duration,
}

impl Pusher {
    /// Prepares pushes: reads the certificate file, but opens no connection.
    ///
    /// # Errors
    /// If the certificate file cannot be read or used.
    pub fn new(config: PushConfig) -> Result<Self, ConfigError> {
        let PushConfig { auth, ca_file, timeout } = config;
        let ca_file = ca_file.as_ref().map(|(variable, path)| PemFile { variable, path });
        Ok(Self { agent: agent(ca_file, timeout)?, auth, timeout })
    }

    /// Sends `metrics` once, in the text format. `group` is a Pushgateway's grouping key and begins with the
    /// label `job`; other receivers ignore it.
    ///
    /// # Errors
    /// If the receiver does not accept them within the time limit.
    pub fn push(
        &self,
        to: &Receiver,
        group: &[(&str, &str)],
        replaces: Replaces,
        metrics: &str,
    ) -> Result<(), Undelivered> {
        let url = to.url(group);
        let is_put = replaces == Replaces::Group && !to.is_import;
        let request = if is_put { self.agent.put(&url) } else { self.agent.post(&url) };
        let sent = self.auth.authorization().map_err(SendError::from).and_then(|credential| {
            let mut request = request.header(CONTENT_TYPE, TEXT_FORMAT);
            let mut secrets = Secrets::default();
            if let Some(value) = credential {
                secrets.add_credential(&value);
                request = request.header(AUTHORIZATION, value);
            }
            send(request, metrics, &to.base, self.timeout, &secrets)
        });
        sent.map_err(|error| error.at(url, "METRICS", refused))
    }
}

/// Sends a request to `server` once. A refusal is quoted without these secrets.
///
/// # Errors
/// If it is not accepted within the time limit.
pub(crate) fn send(
    request: RequestBuilder<WithBody>,
    body: &str,
    server: &Endpoint,
    timeout: Duration,
    secrets: &Secrets,
) -> Result<(), SendError> {
    let proxy = proxy_for(server).map_err(|error| TransportError::Proxy(error.to_string()))?;
    let answer = request.config().proxy(proxy).build().send(body);
    let answer = answer.map_err(|error| TransportError::from_ureq(error, timeout))?;
    let status = answer.status().as_u16();
    if (200..300).contains(&status) {
        return Ok(());
    }
    let mut said: Vec<u8> = Vec::new();
    // The status is known anyway; the reason is quoted as far as it can be read.
    let _whole = secrets.masking(status, answer.into_body().into_reader()).read_to_end(&mut said);
    Err(SendError::Refused { status, words: words(&String::from_utf8_lossy(&said)) })
}

/// What to do about metrics that are refused.
fn refused(status: u16, words: &str) -> &'static str {
    match status {
        401 | 403 => {
            "give credentials: METRICS_BEARER_TOKEN_FILE, or METRICS_USERNAME and METRICS_PASSWORD_FILE"
        }
        _ if words.contains("unsupported path") => {
            "that of VictoriaMetrics ends in /api/v1/import/prometheus"
        }
        300..=399 | 404 | 405 => "check the path of the address",
        400 => "the metrics contradict what the server holds of this group; delete the group there",
        _ => SEE_THE_LOG,
    }
}

/// What to do where nothing better is known.
pub(crate) const SEE_THE_LOG: &str = "see the server's log";

/// Metrics or a text that did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {words}; {advice}")]
pub struct Undelivered {
    /// Where it was sent; never contains a credential.
    pub place: String,
    /// The HTTP status, if there is one.
    pub http_status: Option<u16>,
    /// The kind of error, for programs: the HTTP status, or else a stable word.
    pub kind: Cow<'static, str>,
    pub(crate) words: String,
    advice: String,
}

/// Why a request was not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// No complete HTTP answer arrived.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The receiver refused it, with a status that is never 2xx and its words, cut to 200 characters.
    #[error("HTTP {status}: {words}")]
    Refused { status: u16, words: String },
}

impl SendError {
    /// What could not be sent to `place`. The names of its settings begin with `settings`, and `refused` tells what to do
    /// about a refusal.
    pub(crate) fn at(
        self,
        place: String,
        settings: &str,
        refused: fn(u16, &str) -> &'static str,
    ) -> Undelivered {
        let (http_status, kind) = match &self {
            Self::Refused { status, .. } => (Some(*status), status.to_string().into()),
            Self::Transport(error) => (None, error.code().into()),
        };
        let advice = match &self {
            Self::Transport(TransportError::Timeout(_)) => {
                format!("raise {settings}_TIMEOUT or see why the server is slow")
            }
            Self::Transport(TransportError::HostNotFound | TransportError::Connect(_)) => {
                "check the address, that the server runs, and network policies between".to_owned()
            }
            Self::Transport(TransportError::Tls(_)) => format!("check {settings}_CA_FILE"),
            Self::Transport(TransportError::Credentials { .. }) => {
                "mount the file or correct its path".to_owned()
            }
            Self::Transport(TransportError::Proxy(_)) => "check HTTPS_PROXY and NO_PROXY".to_owned(),
            Self::Transport(_) => SEE_THE_LOG.to_owned(),
            Self::Refused { status, words } => refused(*status, words).to_owned(),
        };
        Undelivered { place, http_status, kind, words: self.to_string(), advice }
    }
}

#[cfg(test)]
mod tests {
    use super::{ConfigError, Receiver};

    #[test]
    fn a_group_is_a_path_that_any_value_fits_into() {
        let gateway = Receiver::at("METRICS_PUSH_URL", "http://gateway:9091/").expect("an address");
        let group = [("job", "pod-rebalancer"), ("target_namespace", ""), ("target", "app=a/b,c in (d)")];
        let expected = "http://gateway:9091/metrics/job/pod-rebalancer/target_namespace@base64/=\
                        /target@base64/YXBwPWEvYixjIGluIChkKQ==";
        assert_eq!(gateway.url(&group), expected);
    }

    #[test]
    fn the_path_of_an_address_tells_the_import_api() {
        let import = "http://vm:8480/insert/0/prometheus/api/v1/import/prometheus";
        for given in [import.to_owned(), format!("{import}/")] {
            let receiver = Receiver::at("METRICS_PUSH_URL", &given).expect("an address");
            assert_eq!(receiver.url(&[]), import, "{given}");
        }
        let gateway = Receiver::at("METRICS_PUSH_URL", "http://proxy/gateway").expect("an address");
        assert_eq!(gateway.url(&[("job", "a")]), "http://proxy/gateway/metrics/job/a");
    }

    #[test]
    fn an_address_that_cannot_be_used_is_refused_by_its_setting_and_not_repeated() {
        for given in [
            "gateway:9091",
            "http://ada:hunter2@gateway",
            "http://gateway?authKey=hunter2",
            "ftp://hunter2",
            "",
        ] {
            let error = Receiver::at("METRICS_PUSH_URL", given).expect_err(given);
            assert!(matches!(error, ConfigError::PushUrl { .. }), "{given}: {error:?}");
            let words = error.to_string();
            assert!(words.starts_with("METRICS_PUSH_URL: "), "{given}: {words}");
            assert!(!words.contains("hunter2"), "{words}");
        }
    }
}
