//! Turns arguments into the adapters' configuration, and reports missing settings.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rebalancer_io::kubernetes::{ConnectOptions, Selector, ServiceAddress, TargetName, is_namespace_name};
use rebalancer_io::prometheus::{
    Auth, AwsIdentity, Endpoint, Header, HttpTransport, Identity, PrometheusConfig, SecretSource,
    SecretString, Tls, Variables, azure_identity, google_identity,
};
use rebalancer_io::push::{PushConfig, Receiver};
use rebalancer_io::webhook::Webhook;

use crate::cli::args::{self, KubernetesArgs, PrometheusArgs, PushArgs, WebhookArgs};
use crate::cli::secrets;
use crate::failure::Failure;

/// Where the metrics server is, as far as the settings tell.
#[derive(Debug)]
pub enum WantedServer {
    /// At this address.
    At(Endpoint),
    /// Behind this Service.
    Service(ServiceAddress),
    /// It is looked for.
    Any,
}

/// Where the metrics server is, as far as the settings tell.
///
/// # Errors
/// A text that is no address.
pub fn wanted_server(args: &PrometheusArgs) -> Result<WantedServer, Failure> {
    match args.prometheus_endpoint.as_deref() {
        None => Ok(WantedServer::Any),
        Some(text) if ServiceAddress::is_meant_by(text) => {
            text.parse().map(WantedServer::Service).map_err(Failure::usage)
        }
        Some(text) => Endpoint::parse(text).map(WantedServer::At).map_err(Failure::usage),
    }
}

/// Checks the settings of the metrics server, certificates included, before anything is asked.
///
/// # Errors
/// A setting that is missing, unreadable or contradicts another.
pub fn check(args: &PrometheusArgs) -> Result<(), Failure> {
    let endpoint = match wanted_server(args)? {
        WantedServer::At(endpoint) => endpoint,
        WantedServer::Service(_) | WantedServer::Any => unnamed_endpoint(),
    };
    let config = prometheus(args, endpoint)?;
    HttpTransport::new(&config).map(drop).map_err(|error| Failure::Usage(error.into()))
}

/// Stands in the configuration of a server that is asked through the API server, or is not known yet.
pub fn unnamed_endpoint() -> Endpoint {
    Endpoint::parse("http://metrics-server").expect("a constant that is an address")
}

/// How to reach the metrics server at `endpoint`.
///
/// # Errors
/// A setting that is missing, contradicts another or cannot be read.
pub fn prometheus(args: &PrometheusArgs, endpoint: Endpoint) -> Result<PrometheusConfig, Failure> {
    let mut config = PrometheusConfig::new(endpoint);
    let signed_in = auth(
        "PROMETHEUS",
        (secrets::BEARER_TOKEN, args.prometheus_bearer_token_file.as_ref()),
        args.prometheus_username.clone(),
        (secrets::PASSWORD, args.prometheus_password_file.as_ref()),
    )?;
    config.auth = match (signed_in, args.prometheus_auth) {
        (auth, args::Cloud::None) => auth,
        (Auth::None, cloud) => Auth::Identity(identity(cloud, args, &config.endpoint)?),
        _ => {
            return Err(Failure::usage(
                "both PROMETHEUS_AUTH and a token or a user are set: unset PROMETHEUS_AUTH, or \
                 PROMETHEUS_BEARER_TOKEN(_FILE), PROMETHEUS_USERNAME and PROMETHEUS_PASSWORD(_FILE)",
            ));
        }
    };
    config.headers = headers()?;
    config.tls = Tls {
        ca_file: args.prometheus_ca_file.clone(),
        client_cert_file: args.prometheus_client_cert.clone(),
        client_key_file: args.prometheus_client_key.clone(),
        server_name: args.prometheus_tls_server_name.clone(),
        insecure_skip_verify: args.prometheus_insecure_skip_tls_verify,
    };
    config.extra_params = params(args.prometheus_query_params.as_deref())?;
    config.method = args.prometheus_method;
    config.timeout = args.prometheus_timeout;
    config.max_response_bytes = args.prometheus_max_response;
    config.refuse_partial = args.prometheus_strict_params;
    Ok(config)
}

/// The identity that a cloud gives this program.
fn identity(
    cloud: args::Cloud,
    args: &PrometheusArgs,
    endpoint: &Endpoint,
) -> Result<Arc<dyn Identity>, Failure> {
    let variables = variables();
    let of_aws = || {
        let (region, service) =
            (args.prometheus_aws_region.as_deref(), args.prometheus_aws_service.as_deref());
        AwsIdentity::new(endpoint.host(), region, service, &variables)
    };
    let identity: Result<Arc<dyn Identity>, String> = match cloud {
        args::Cloud::Google => google_identity(&variables).map(|found| Arc::new(found) as _),
        args::Cloud::Azure => azure_identity(&variables).map(|found| Arc::new(found) as _),
        args::Cloud::Aws | args::Cloud::None => of_aws().map(|found| Arc::new(found) as _),
    };
    identity.map_err(|reason| Failure::usage(format!("PROMETHEUS_AUTH: {reason}")))
}

/// The variables by which a cloud tells who this program is.
pub fn variables() -> Variables {
    // What is no text is no variable of a cloud.
    let text =
        |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    env::vars_os().filter_map(text).collect()
}

/// Where the metrics of a run are pushed; an unusable address is an error in its place.
pub fn receivers(args: &PushArgs) -> Vec<Result<Receiver, Failure>> {
    let receivers = args.metrics_push_url.iter().map(|url| Receiver::at("METRICS_PUSH_URL", url.trim()));
    receivers.map(|receiver| receiver.map_err(Failure::usage)).collect()
}

/// How the metrics of a run are pushed.
///
/// # Errors
/// Settings that contradict each other.
pub fn push(args: &PushArgs) -> Result<PushConfig, Failure> {
    Ok(PushConfig {
        auth: auth(
            "METRICS",
            (secrets::METRICS_BEARER_TOKEN, args.metrics_bearer_token_file.as_ref()),
            args.metrics_username.clone(),
            (secrets::METRICS_PASSWORD, args.metrics_password_file.as_ref()),
        )?,
        ca_file: args.metrics_ca_file.clone().map(|path| ("METRICS_CA_FILE", path)),
        timeout: args.metrics_timeout,
    })
}

/// The webhook that is told of a run; `None` where there is none.
///
/// # Errors
/// An address or a file that cannot be used.
pub fn webhook(args: &WebhookArgs) -> Result<Option<Webhook>, Failure> {
    let url = one_of((secrets::WEBHOOK_URL, args.webhook_url_file.as_ref()), "WEBHOOK_URL_FILE")?;
    let Some(url) = url else { return Ok(None) };
    let webhook = Webhook::new(&url, args.webhook_ca_file.as_deref(), args.webhook_timeout);
    webhook.map(Some).map_err(|error| Failure::Usage(error.into()))
}

/// How to sign in to one server. The names of its settings begin with `of`.
fn auth(
    of: &str,
    bearer: Secret<'_>,
    username: Option<String>,
    password: Secret<'_>,
) -> Result<Auth, Failure> {
    let bearer = one_of(bearer, &format!("{of}_BEARER_TOKEN_FILE"))?;
    let password = one_of(password, &format!("{of}_PASSWORD_FILE"))?;
    let wrong = match (bearer, username, password) {
        (None, None, None) => return Ok(Auth::None),
        (Some(token), None, None) => return Ok(Auth::Bearer(token)),
        (None, Some(username), Some(password)) => return Ok(Auth::Basic { username, password }),
        (None, Some(_), None) => {
            format!("{of}_USERNAME is set without a password: set {of}_PASSWORD_FILE or {of}_PASSWORD")
        }
        (None, None, Some(_)) => {
            format!("{of}_PASSWORD or {of}_PASSWORD_FILE is set without a user: set {of}_USERNAME")
        }
        (Some(_), _, _) => format!(
            "both a bearer token and basic authentication are set: unset {of}_BEARER_TOKEN(_FILE), \
             or {of}_USERNAME and {of}_PASSWORD(_FILE)"
        ),
    };
    Err(Failure::usage(wrong))
}

/// A secret of the environment, and the file that may hold it instead.
type Secret<'a> = (secrets::Secret, Option<&'a PathBuf>);

/// The secret from the environment or from a file.
///
/// # Errors
/// Both are set.
pub fn one_of((secret, file): Secret<'_>, file_variable: &str) -> Result<Option<SecretSource>, Failure> {
    match (secret.value(), file) {
        (None, None) => Ok(None),
        (Some(value), None) => Ok(Some(SecretSource::Value(SecretString::from(value.trim())))),
        (None, Some(file)) => Ok(Some(SecretSource::File(file.clone()))),
        (Some(_), Some(_)) => {
            Err(Failure::usage(format!("both {} and {file_variable} are set: unset one", secret.variable)))
        }
    }
}

fn headers() -> Result<Vec<Header>, Failure> {
    let Some(text) = secrets::HEADERS.value() else { return Ok(Vec::new()) };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| line.parse().map_err(Failure::usage)).collect()
}

fn params(text: Option<&str>) -> Result<Vec<(String, SecretString)>, Failure> {
    // The text may hold a credential, so it is not repeated.
    let wrong = || Failure::usage("PROMETHEUS_QUERY_PARAMS: expected name=value, joined by '&'");
    let pair = |text: &str| match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), SecretString::from(value.trim())))
        }
        _ => Err(wrong()),
    };
    text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

/// How to reach the cluster. The time limit of the run starts here, and `stop` ends all waiting.
pub fn cluster(args: &KubernetesArgs, metrics_window: Duration, stop: Arc<AtomicBool>) -> ConnectOptions {
    ConnectOptions {
        kubeconfig: args.kubeconfig.clone(),
        context: args.context.clone(),
        namespace: args.namespace.clone(),
        impersonate_user: args.impersonate.clone(),
        impersonate_groups: args.impersonate_groups.clone(),
        call_timeout: args.kube_timeout,
        deadline: Instant::now().checked_add(args.run_timeout),
        metrics_window,
        allowed_controllers: args.allowed_controllers.clone(),
        refuse_local_storage: args.local_storage == args::LocalStorage::Refuse,
        stop,
    }
}

/// The label selector of the workload; a workload given by its name is asked for it. A name that was typed
/// counts before the variable; `selector_is_typed` where the selector was typed too.
///
/// # Errors
/// No selector or an empty one, which would mean every pod of the namespace; a selector and a name that were
/// both typed, of which only one can be meant.
pub fn selector(args: &KubernetesArgs, selector_is_typed: bool) -> Result<Wanted, Failure> {
    match (&args.target, args.selector.as_deref()) {
        (Some(target), Some(selector)) if selector_is_typed => Err(Failure::usage(format!(
            "both {target} and --selector {selector:?} name the workload: leave one out"
        ))),
        (Some(target), _) => Ok(Wanted::Named(target.clone())),
        (None, Some(selector)) => Selector::new(selector).map(Wanted::Selected).map_err(|error| {
            Failure::usage(format!("KUBE_LABEL_SELECTOR is {selector:?}: {error} (flag --selector)"))
        }),
        (None, None) => Err(Failure::usage(
            "KUBE_LABEL_SELECTOR is not set: name the labels of the workload's pods, such as app=orders \
             (flag --selector), or the workload itself, such as deployment/orders",
        )),
    }
}

/// Which pods a look at all workloads is about: every one, unless labels are given.
///
/// # Errors
/// A name of one workload, or a selector that is wrong.
pub fn selector_of_all(args: &KubernetesArgs) -> Result<Wanted, Failure> {
    match (&args.target, args.selector.as_deref()) {
        (Some(target), _) => Err(Failure::usage(format!(
            "{target} is one workload, and all are looked at: leave it out, or call `plan {target}`"
        ))),
        (None, None) => Ok(Wanted::Selected(Selector::everything())),
        (None, Some(_)) => selector(args, true),
    }
}

/// The namespaces that a look at all workloads is about, separated by commas; none where the context tells.
///
/// # Errors
/// A list that names none, or something that is no name.
pub fn namespaces(args: &KubernetesArgs) -> Result<Vec<String>, Failure> {
    let Some(listed) = &args.namespace else { return Ok(Vec::new()) };
    let mut names: Vec<String> =
        listed.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    match names.iter().find(|name| !is_namespace_name(name)) {
        None if !names.is_empty() => Ok(names),
        wrong => Err(Failure::usage(format!(
            "KUBE_NAMESPACE is {listed:?}: {:?} is no name of a namespace; name one, or several separated by commas \
             (flag --namespace)",
            wrong.unwrap_or(listed)
        ))),
    }
}

/// How the workload was given.
#[derive(Debug)]
pub enum Wanted {
    /// By the labels of its pods.
    Selected(Selector),
    /// By its name.
    Named(TargetName),
}
