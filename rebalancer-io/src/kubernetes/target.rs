//! A workload called by kind and name, and the label selector that its specification gives its pods.

use std::fmt;
use std::str::FromStr;

use kube::api::GetParams;
use kube::core::Request;
use rebalancer_core::ApiFailure;
use serde::Deserialize;
use thiserror::Error;

use super::budgets::LabelSelector;
use super::cluster::{Cluster, ClusterError};
use super::list::unsendable;
use super::selector::{Selector, SelectorError};

/// A workload as `kubectl` users call it: `deployment/orders`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadName {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: String,
}

/// The kinds whose pods can be named by their workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkloadKind {
    /// `deployment`, `deployments`, `deploy`, each also with `.apps`.
    Deployment,
    /// `statefulset`, `statefulsets`, `sts`, each also with `.apps`.
    StatefulSet,
}

/// The text names no workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected deployment/NAME or statefulset/NAME")]
pub struct NotAWorkload;

impl WorkloadKind {
    /// The word in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
        }
    }

    const fn plural(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
        }
    }
}

impl FromStr for WorkloadName {
    type Err = NotAWorkload;

    fn from_str(text: &str) -> Result<Self, NotAWorkload> {
        let (kind, name) = text.split_once('/').ok_or(NotAWorkload)?;
        let kind = match kind.to_ascii_lowercase().trim_end_matches(".apps") {
            "deployment" | "deployments" | "deploy" => WorkloadKind::Deployment,
            "statefulset" | "statefulsets" | "sts" => WorkloadKind::StatefulSet,
            _ => return Err(NotAWorkload),
        };
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
        let is_name = (1..=253).contains(&name.len())
            && name.bytes().all(letter)
            && !name.starts_with(['-', '.'])
            && !name.ends_with(['-', '.'])
            && !name.contains("..");
        if is_name { Ok(Self { kind, name: name.to_owned() }) } else { Err(NotAWorkload) }
    }
}

impl fmt::Display for WorkloadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.name(), self.name)
    }
}

/// The part of the workload that is read.
#[derive(Deserialize)]
struct Object {
    spec: Spec,
}

#[derive(Deserialize)]
struct Spec {
    selector: LabelSelector,
}

/// Why a workload's selector is not known.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UnknownSelector {
    /// It does not exist.
    #[error("there is no {workload} in namespace {namespace} of {server}; give another by --namespace")]
    Absent {
        /// The workload.
        workload: WorkloadName,
        /// Where it was looked for.
        namespace: String,
        /// URL of the API server.
        server: String,
    },
    /// It cannot be used: it selects everything.
    #[error("{workload}: {error}")]
    Unusable {
        /// The workload.
        workload: WorkloadName,
        /// What is wrong with that.
        error: SelectorError,
    },
    /// It cannot be read.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl Cluster {
    /// The selector by which a workload finds its own pods.
    ///
    /// # Errors
    /// No such workload in the namespace, no permission to read it, or no answer.
    pub fn selector_of(&self, workload: &WorkloadName) -> Result<Selector, UnknownSelector> {
        let read = self.read_selector(workload).map_err(|failure| {
            let doing = format!("reading {workload} of namespace {}", self.namespace());
            self.error(doing, failure)
        })?;
        let Some(selector) = read else {
            let (namespace, server) = (self.namespace().to_owned(), self.server().to_owned());
            return Err(UnknownSelector::Absent { workload: workload.clone(), namespace, server });
        };
        Selector::new(&selector.to_string())
            .map_err(|error| UnknownSelector::Unusable { workload: workload.clone(), error })
    }

    fn read_selector(&self, workload: &WorkloadName) -> Result<Option<LabelSelector>, ApiFailure> {
        let plural = workload.kind.plural();
        let path = format!("/apis/apps/v1/namespaces/{}/{plural}", self.namespace());
        let request = Request::new(path).get(&workload.name, &GetParams::default());
        let reply = self.exchange(request.map_err(|error| unsendable(&error))?)?;
        if reply.is_absent(plural) {
            return Ok(None);
        }
        let object: Object = reply.read()?;
        Ok(Some(object.spec.selector))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_called_as_kubectl_calls_it() {
        for text in ["deployment/orders", "Deploy/orders", "deployments.apps/orders"] {
            let parsed: WorkloadName = text.parse().expect(text);
            assert_eq!(parsed.to_string(), "deployment/orders");
        }
        let ledger: Result<WorkloadName, NotAWorkload> = "sts/ledger.v2".parse();
        assert_eq!(ledger.map(|name| name.to_string()), Ok("statefulset/ledger.v2".to_owned()));
        for text in ["orders", "daemonset/orders", "deployment/", "deployment/a/b", "deployment/..", "sts/A"]
        {
            let parsed: Result<WorkloadName, NotAWorkload> = text.parse();
            assert_eq!(parsed, Err(NotAWorkload), "{text}");
        }
    }
}
