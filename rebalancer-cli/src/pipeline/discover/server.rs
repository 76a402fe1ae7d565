//! The metrics server: at the address that is set, behind the Service that is named, or looked for among the
//! Services of the cluster.

use std::sync::Arc;
use std::time::Duration;

use rebalancer_io::clock::ServerClock;
use rebalancer_io::kafka::NoServer;
use rebalancer_io::kubernetes::{
    Cluster, FoundServer, Searched, ServiceAddress, ServiceTransport, known_servers,
};
use rebalancer_io::metrics::{MetricQuery, MetricsSource as _};
use rebalancer_io::prometheus::{
    Auth, Endpoint, ErrorKind, HttpTransport, PrometheusClient, PrometheusConfig, QueryError, Server,
    Transport as _,
};

use crate::cli::args::PrometheusArgs;
use crate::failure::Failure;
use crate::pipeline::clocks::now;
use crate::report::FoundReport;
use crate::settings::servers::{self, WantedServer, unnamed_endpoint};

/// Most Services that are asked whether they are a metrics server. A cluster with more has to be told anyway
/// which one is meant.
const MOST_ASKED: usize = 8;

/// Longest time that a Service may take to say that it is a metrics server.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);

/// The setting that names the server.
const SETTING: &str = "PROMETHEUS_ENDPOINT";

/// A metrics server and the way to it.
pub struct MetricsServer {
    config: PrometheusConfig,
    way: Way,
    found: Option<FoundReport>,
}

/// The way to a metrics server.
enum Way {
    /// By its address.
    Direct,
    /// Through the API server.
    Proxied(Arc<Cluster>, ServiceAddress),
    /// There is none.
    None,
}

impl MetricsServer {
    /// The server that the settings name, or the one that is found in the cluster.
    ///
    /// # Errors
    /// A setting that is wrong; no server or several of them in the cluster; a cluster that cannot be asked.
    pub fn choose(args: &PrometheusArgs, cluster: &Arc<Cluster>) -> Result<Self, Failure> {
        match servers::wanted_server(args)? {
            WantedServer::At(endpoint) => Self::new(args, endpoint, Way::Direct),
            WantedServer::Service(address) => Self::behind(&address, args, cluster),
            WantedServer::Any => Self::search(args, cluster),
        }
    }

    /// No server: what Kafka itself tells is all that is known.
    ///
    /// # Errors
    /// A setting that is wrong.
    pub fn none(args: &PrometheusArgs) -> Result<Self, Failure> {
        Self::new(args, unnamed_endpoint(), Way::None)
    }

    fn new(args: &PrometheusArgs, endpoint: Endpoint, way: Way) -> Result<Self, Failure> {
        Ok(Self { config: servers::prometheus(args, endpoint)?, way, found: None })
    }

    /// Whether there is one.
    pub const fn is_there(&self) -> bool {
        !matches!(self.way, Way::None)
    }

    /// The server behind a Service: by DNS for a pod of the cluster, else through the API server.
    fn behind(
        address: &ServiceAddress,
        args: &PrometheusArgs,
        cluster: &Arc<Cluster>,
    ) -> Result<Self, Failure> {
        if cluster.is_inside() {
            return Self::new(args, address.dns_name().map_err(Failure::usage)?, Way::Direct);
        }
        let way = Way::Proxied(Arc::clone(cluster), address.clone());
        let server = Self::new(args, unnamed_endpoint(), way)?;
        if !matches!(server.config.auth, Auth::None) || server.config.tls.client_cert_file.is_some() {
            return Err(Failure::usage(format!(
                "{SETTING}={address} is asked through the API server, which hands on no credentials for the \
                 metrics server: unset the PROMETHEUS_ settings of token, user or client certificate, or give an \
                 address that this machine reaches"
            )));
        }
        Ok(server)
    }

    fn search(args: &PrometheusArgs, cluster: &Arc<Cluster>) -> Result<Self, Failure> {
        let config = servers::prometheus(args, unnamed_endpoint())?;
        if !matches!(config.auth, Auth::None) || !config.headers.is_empty() || !config.extra_params.is_empty()
        {
            return Err(Failure::usage(format!(
                "{SETTING} is not set, and credentials, headers or parameters for it are: they are sent only to an \
                 address that is named, such as kube:NAMESPACE/SERVICE:PORT"
            )));
        }
        let (services, searched) = cluster.metrics_servers().map_err(|error| unknown_server(error.into()))?;
        if services.is_empty() {
            return Err(Failure::usage(nothing_found(&searched)));
        }
        if services.len() > MOST_ASKED {
            return Err(several(&services.iter().map(words).collect::<Vec<String>>()));
        }
        let (mut others, mut possible) = (Vec::new(), Vec::new());
        for service in services {
            let mut server = Self::behind(&service.address, args, cluster)?;
            match server.ask()? {
                Said::Yes => possible.push((service, server, None)),
                Said::Nothing(error) => possible.push((service, server, Some(error))),
                Said::No(why) => {
                    let (place, service) = (service.address.to_string(), words(&service));
                    tracing::warn!(
                        event = "metrics_server.other",
                        url.full = place,
                        "{service}: its labels say metrics server, and it is none: {why}"
                    );
                    others.push(format!("{service}: {why}"));
                }
            }
        }
        one_of(possible, &others)
    }

    /// Asks whether this is a metrics server.
    fn ask(&mut self) -> Result<Said, Failure> {
        let patience = self.config.timeout;
        self.config.timeout = patience.min(ASK_TIMEOUT);
        let client = PrometheusClient::over(self.transport(Arc::default())?, self.max_response_bytes());
        self.config.timeout = patience;
        let question = MetricQuery::new("is it a metrics server", "vector(1)");
        Ok(match client.labelled(&question, &["__name__"], now()) {
            Ok(answer) if answer.len() == 1 => Said::Yes,
            Ok(_) => Said::No("it answers vector(1) with something else than one sample".to_owned()),
            Err(error) if is_of_another_kind(&error.kind) => Said::No(error.kind.to_string()),
            Err(error) => Said::Nothing(error),
        })
    }

    /// Address of the server, without credentials.
    pub fn place(&self) -> String {
        match &self.way {
            Way::Direct => self.config.endpoint.to_string(),
            Way::Proxied(_, address) => address.to_string(),
            Way::None => NoServer.place().to_owned(),
        }
    }

    /// What was found, if it was looked for.
    pub const fn found(&self) -> Option<&FoundReport> {
        self.found.as_ref()
    }

    /// What to say about the address that was given, if it was corrected.
    pub fn hint(&self) -> Option<&str> {
        match self.way {
            Way::Direct => self.config.endpoint.hint(),
            Way::Proxied(..) | Way::None => None,
        }
    }

    /// Largest answer that is accepted, in bytes.
    pub const fn max_response_bytes(&self) -> u64 {
        self.config.max_response_bytes
    }

    /// A connection that lets `clock` know what the answers tell of the server's clock.
    ///
    /// # Errors
    /// A certificate that cannot be used.
    pub fn transport(&self, clock: Arc<ServerClock>) -> Result<Box<dyn Server>, Failure> {
        Ok(match &self.way {
            Way::Direct => {
                let transport =
                    HttpTransport::new(&self.config).map_err(|error| Failure::Usage(error.into()))?;
                Box::new(transport.noting(clock))
            }
            Way::Proxied(cluster, address) => {
                let transport = ServiceTransport::new(Arc::clone(cluster), address.clone(), &self.config);
                Box::new(transport.noting(clock))
            }
            Way::None => Box::new(NoServer),
        })
    }
}

/// What a Service said.
enum Said {
    /// It is a metrics server.
    Yes,
    /// It is something else.
    No(String),
    /// It did not answer, or refused to: it may be one.
    Nothing(QueryError),
}

/// Whether only something else than a metrics server answers so.
fn is_of_another_kind(kind: &ErrorKind) -> bool {
    match kind {
        ErrorKind::Http { status, .. } => !matches!(status, 401 | 403 | 407 | 408 | 429 | 500..),
        ErrorKind::NotJson { .. }
        | ErrorKind::Malformed { .. }
        | ErrorKind::NotAnAnswer { .. }
        | ErrorKind::NotUtf8 { .. }
        | ErrorKind::Redirect { .. } => true,
        _ => false,
    }
}

/// A Service that may be the metrics server, the way to it, and why it did not answer.
type Possible = (FoundServer, MetricsServer, Option<QueryError>);

/// The one server among those that may be it. One that did not answer may be the right one, so that the choice would differ
/// from run to run. `others` are none, in words.
fn one_of(mut possible: Vec<Possible>, others: &[String]) -> Result<MetricsServer, Failure> {
    if possible.len() > 1 {
        let named = possible.iter().map(|(service, _, silent)| match silent {
            None => words(service),
            Some(error) => format!("{}, which does not answer now: {}", words(service), error.kind),
        });
        return Err(several(&named.collect::<Vec<String>>()));
    }
    let Some((service, mut server, silent)) = possible.pop() else {
        return Err(Failure::usage(format!(
            "{SETTING} is not set, and what looks like a metrics server is none: {}; set {SETTING}",
            others.join("; ")
        )));
    };
    if let Some(error) = silent {
        let found = format!("the metrics server that was found, {}, cannot be asked", words(&service));
        return Err(Failure::Run(anyhow::Error::new(error).context(found)));
    }
    let (place, family) = (service.address.to_string(), service.family);
    tracing::info!(
        event = "metrics_server.found",
        url.full = place,
        "metrics server {place}, found by the labels of its Service: {family}"
    );
    server.found = Some(FoundReport::new(SETTING, &place, &format!("Service of {family}")));
    Ok(server)
}

fn words(service: &FoundServer) -> String {
    format!("{} ({})", service.address, service.family)
}

fn several(named: &[String]) -> Failure {
    Failure::usage(format!(
        "{SETTING} is not set, and {} Services look like the metrics server, so that none is chosen: {}; set \
         {SETTING} to the one that has the metrics of these pods",
        named.len(),
        named.join("; ")
    ))
}

fn nothing_found(searched: &Searched) -> String {
    let place = match searched {
        Searched::Everywhere => "the cluster".to_owned(),
        Searched::Namespace(namespace) => format!(
            "namespace {namespace} (those of other namespaces may not be listed: that needs list services)"
        ),
    };
    format!(
        "{SETTING} is not set, and no metrics server was found among the Services of {place}; looked for by labels: {}; set \
         {SETTING} to the base URL of Prometheus or VictoriaMetrics, such as http://prometheus:9090, or to \
         kube:NAMESPACE/SERVICE:PORT (flag --prometheus-endpoint)",
        known_servers()
    )
}

/// The cluster could not say which Services there are.
fn unknown_server(error: anyhow::Error) -> Failure {
    let is_forbidden = error.to_string().contains("cannot list resource");
    let error = error.context(format!("{SETTING} is not set, and the metrics server cannot be looked for"));
    if is_forbidden {
        return Failure::Usage(error.context("set it, or grant list services"));
    }
    Failure::Run(error)
}
