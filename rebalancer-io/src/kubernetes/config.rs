//! Finds the API server and the user: kubeconfig, context, namespace, impersonation.

use core::time::Duration;
use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use kube::Config;
use kube::config::Kubeconfig;
use thiserror::Error;

use super::controller_kind::ControllerKind;
use super::fields::is_dns_name;
use super::kubeconfig;

/// Longest time to connect. A server answers within milliseconds, or within seconds behind a slow tunnel.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How to reach a cluster. What is not set is found like `kubectl` does.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// The kubeconfig; else `$KUBECONFIG`, else `~/.kube/config`, else the pod's own service account.
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; else its current one.
    pub context: Option<String>,
    /// Namespace of the workload; else that of the context or of the service account.
    pub namespace: Option<String>,
    /// User to act as.
    pub impersonate_user: Option<String>,
    /// Groups to act as; needs [`ConnectOptions::impersonate_user`].
    pub impersonate_groups: Vec<String>,
    /// Longest time for one request with its whole answer, and for an exec plugin to provide credentials. The
    /// server itself may take ten seconds for a contested eviction.
    pub call_timeout: Duration,
    /// Moment by which the run must be over. A request that starts near or after it gets the remaining time,
    /// but at least five seconds: learning whether an eviction happened is worth being late.
    pub deadline: Option<Instant>,
    /// How far back the metrics of the decision reach. A resize of the workload within this time is reported;
    /// zero reports none.
    pub metrics_window: Duration,
    /// Kinds whose pods may be evicted, besides the kinds known to replace their pods.
    pub allowed_controllers: Vec<ControllerKind>,
    /// Whether to spare pods whose data is, or may be, on their node.
    pub refuse_local_storage: bool,
    /// Once true, requests end. Only the answer to an eviction or deletion already sent is awaited, for five
    /// seconds.
    pub stop: Arc<AtomicBool>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            namespace: None,
            impersonate_user: None,
            impersonate_groups: Vec::new(),
            call_timeout: Duration::from_secs(30),
            deadline: None,
            metrics_window: Duration::ZERO,
            allowed_controllers: Vec::new(),
            refuse_local_storage: false,
            stop: Arc::default(),
        }
    }
}

/// Why there is no connection to a cluster. No server has been contacted yet.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// No configuration anywhere.
    #[error(
        "found no cluster: $KUBECONFIG is not set, there is no ~/.kube/config, and this is not a pod; \
         name a kubeconfig with --kubeconfig"
    )]
    NoConfiguration,
    /// The kubeconfig, the service account of the pod, or a credential cannot be used.
    #[error("{origin}: {problem}")]
    Unusable {
        /// The kubeconfig and context, or the service account.
        origin: String,
        /// What is wrong.
        problem: String,
    },
    /// The namespace is not a DNS label.
    #[error(
        "{0:?} is no name of a namespace: lower-case letters, digits and '-', at most 63; give it by KUBE_NAMESPACE"
    )]
    Namespace(String),
    /// Groups to act as were given without a user.
    #[error("groups to act as need a user to act as: add --as")]
    GroupsWithoutUser,
    /// The system provided no resources for a connection.
    #[error("cannot set up input and output")]
    Runtime(#[source] io::Error),
}

/// A configuration, and its name in errors.
pub(super) struct Located {
    pub config: Config,
    /// Such as `kubeconfig /home/ada/.kube/config, context prod`.
    pub origin: String,
    /// The context of the kubeconfig; `None` for the service account of a pod.
    pub context: Option<String>,
}

/// Finds the configuration; only reads files.
pub(super) fn locate(options: &ConnectOptions) -> Result<Located, ConnectError> {
    if options.impersonate_user.is_none() && !options.impersonate_groups.is_empty() {
        return Err(ConnectError::GroupsWithoutUser);
    }
    let files = files_of(options.kubeconfig.as_deref(), env::var_os("KUBECONFIG"), env::home_dir());
    let mut located = match files {
        Some(files) => from_kubeconfig(options, &files)?,
        None => in_cluster(options)?,
    };
    let config = &mut located.config;
    if config.default_namespace.is_empty() {
        "default".clone_into(&mut config.default_namespace);
    }
    if let Some(namespace) = &options.namespace {
        config.default_namespace.clone_from(namespace);
    }
    if !is_namespace_name(&config.default_namespace) {
        return Err(ConnectError::Namespace(config.default_namespace.clone()));
    }
    if let Some(user) = &options.impersonate_user {
        config.auth_info.impersonate = Some(user.clone());
        config.auth_info.impersonate_groups = Some(options.impersonate_groups.clone());
    }
    // The library would resend an eviction refused by a budget, sixteen times in five minutes.
    config.default_retry = false;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.write_timeout = Some(options.call_timeout);
    config.reset_reader_on_write = true;
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(USER_AGENT)));
    Ok(located)
}

/// The name shown in the server's audit log.
const USER_AGENT: &str = concat!("pod-rebalancer/", env!("CARGO_PKG_VERSION"));

/// The files that make up the kubeconfig. Earlier files take precedence.
///
/// Files of `$KUBECONFIG` that do not exist are skipped, as in `kubectl`. If none exists, the first one is
/// reported as missing.
fn files_of(named: Option<&Path>, listed: Option<OsString>, home: Option<PathBuf>) -> Option<Vec<PathBuf>> {
    if let Some(file) = named {
        return Some(vec![file.to_owned()]);
    }
    let listed: Vec<PathBuf> =
        env::split_paths(&listed.unwrap_or_default()).filter(|file| !file.as_os_str().is_empty()).collect();
    if let Some(first) = listed.first() {
        let found: Vec<PathBuf> = listed.iter().filter(|file| file.exists()).cloned().collect();
        return Some(if found.is_empty() { vec![first.clone()] } else { found });
    }
    let own = home?.join(".kube/config");
    own.exists().then(|| vec![own])
}

fn from_kubeconfig(options: &ConnectOptions, files: &[PathBuf]) -> Result<Located, ConnectError> {
    let named = |files: &[PathBuf], context: Option<&String>| {
        let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        let context = context.map(|context| format!(", context {context}")).unwrap_or_default();
        format!("kubeconfig {}{context}", files.join(", "))
    };
    let mut merged = Kubeconfig::default();
    for file in files {
        let added = kubeconfig::read(file).and_then(|next| kubeconfig::merge(merged, next));
        merged = added.map_err(|problem| {
            let origin = named(slice::from_ref(file), options.context.as_ref());
            ConnectError::Unusable { origin, problem }
        })?;
    }
    let current = merged.current_context.clone().filter(|name| !name.is_empty());
    let context = options.context.clone().or(current);
    let origin = named(files, context.as_ref());
    let found = kubeconfig::configuration(merged, context.as_deref()).and_then(|config| {
        let namespace = &config.default_namespace;
        if options.namespace.is_none() && !namespace.is_empty() && !is_namespace_name(namespace) {
            return Err("`namespace` of this context is no name of a namespace".to_owned());
        }
        Ok(config)
    });
    match found {
        Ok(config) => Ok(Located { config, origin, context }),
        Err(problem) => Err(ConnectError::Unusable { origin, problem }),
    }
}

fn in_cluster(options: &ConnectOptions) -> Result<Located, ConnectError> {
    if options.context.is_some() || env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
        return Err(ConnectError::NoConfiguration);
    }
    let origin = "the service account of this pod".to_owned();
    match Config::incluster() {
        Ok(config) => Ok(Located { config, origin, context: None }),
        Err(error) => Err(ConnectError::Unusable { origin, problem: error.to_string() }),
    }
}

/// Whether a namespace may have this name: that of a DNS label.
pub fn is_namespace_name(name: &str) -> bool {
    name.len() <= 63 && !name.contains('.') && is_dns_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_cannot_lead_out_of_its_path() {
        for name in ["shop", "a", "team-1"] {
            assert!(is_namespace_name(name), "{name}");
        }
        for name in ["", "Shop", "a/b", "..", "-a", "a-", "a?limit=1", &"a".repeat(64)] {
            assert!(!is_namespace_name(name), "{name}");
        }
    }

    #[test]
    fn the_kubeconfig_is_looked_for_where_kubectl_looks() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let own = folder.path().join(".kube/config");
        let home = || Some(folder.path().to_owned());
        let listed = || Some(env::join_paths([Path::new(""), &one, &two]).expect("plain paths"));

        assert_eq!(files_of(None, None, home()), None, "nothing there");
        std::fs::create_dir(folder.path().join(".kube")).expect("a folder");
        std::fs::write(&own, "").expect("a file");
        assert_eq!(files_of(None, None, home()), Some(vec![own.clone()]));
        assert_eq!(files_of(None, Some(OsString::new()), home()), Some(vec![own]), "empty is unset");
        assert_eq!(files_of(None, listed(), home()), Some(vec![one.clone()]), "named as missing");
        std::fs::write(&two, "").expect("a file");
        assert_eq!(files_of(None, listed(), home()), Some(vec![two.clone()]));
        std::fs::write(&one, "").expect("a file");
        assert_eq!(files_of(None, listed(), home()), Some(vec![one.clone(), two.clone()]));
        let named = Path::new("/nonexistent");
        assert_eq!(files_of(Some(named), listed(), home()), Some(vec![named.to_owned()]));
    }
}
