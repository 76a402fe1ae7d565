//! A workload given by kind and name, and the label selector of its pods.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use rebalancer_core::{ApiFailure, FailureKind};
use serde::Deserialize;
use thiserror::Error;

use super::cluster::{Cluster, ClusterError};
use super::owners::{Kind, Meta};
use super::requests::get;
use super::selector::{Selector, SelectorError};

/// A workload as `kubectl` users write it: `deployment/orders`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadName {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: String,
}

/// A workload as it was typed: by kind and name, or by its name alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetName {
    /// `deployment/orders`.
    Named(WorkloadName),
    /// `orders`: the Deployment or the `StatefulSet` of this name.
    Bare(String),
}

/// The kinds of workloads that can be given by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkloadKind {
    /// `deployment`, `deployments`, `deploy`, each also with `.apps`.
    Deployment,
    /// `statefulset`, `statefulsets`, `sts`, each also with `.apps`.
    StatefulSet,
    /// `rollout`, `rollouts`, `ro` of Argo, each also with `.argoproj.io`.
    Rollout,
}

/// The text is no workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "expected deployment/NAME, statefulset/NAME or rollout/NAME, or the NAME of a Deployment or StatefulSet"
)]
pub struct NotAWorkload;

impl WorkloadKind {
    /// The word used in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::Rollout => "rollout",
        }
    }

    const fn kind(self) -> Kind {
        match self {
            Self::Deployment => Kind::Deployment,
            Self::StatefulSet => Kind::StatefulSet,
            Self::Rollout => Kind::Rollout,
        }
    }
}

impl FromStr for WorkloadName {
    type Err = NotAWorkload;

    fn from_str(text: &str) -> Result<Self, NotAWorkload> {
        let (kind, name) = text.split_once('/').ok_or(NotAWorkload)?;
        let kind = kind.to_ascii_lowercase();
        let (kind, group) = kind.split_once('.').unwrap_or((&kind, ""));
        let kind = match (kind, group) {
            ("deployment" | "deployments" | "deploy", "" | "apps") => WorkloadKind::Deployment,
            ("statefulset" | "statefulsets" | "sts", "" | "apps") => WorkloadKind::StatefulSet,
            ("rollout" | "rollouts" | "ro", "" | "argoproj.io") => WorkloadKind::Rollout,
            _ => return Err(NotAWorkload),
        };
        if is_name(name) { Ok(Self { kind, name: name.to_owned() }) } else { Err(NotAWorkload) }
    }
}

impl FromStr for TargetName {
    type Err = NotAWorkload;

    fn from_str(text: &str) -> Result<Self, NotAWorkload> {
        match text.contains('/') {
            true => text.parse().map(Self::Named),
            false if is_name(text) => Ok(Self::Bare(text.to_owned())),
            false => Err(NotAWorkload),
        }
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(workload) => workload.fmt(f),
            Self::Bare(name) => f.write_str(name),
        }
    }
}

/// Whether the API takes this for the name of a workload, so that it cannot lead out of its path.
fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    (1..=253).contains(&name.len())
        && name.bytes().all(letter)
        && !name.starts_with(['-', '.'])
        && !name.ends_with(['-', '.'])
        && !name.contains("..")
}

impl fmt::Display for WorkloadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.name(), self.name)
    }
}

/// A selector in the syntax of `kubectl -l`: `app=orders,tier in (a,b),!canary`.
fn words(selector: LabelSelector) -> Result<String, String> {
    let selector = kube::core::Selector::try_from(selector).map_err(|error| error.to_string())?;
    Ok(selector.to_string())
}

/// The parts of the workload that are read.
#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    metadata: Meta,
    spec: Spec,
}

/// What a workload tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenWorkload {
    /// The labels by which it finds its own pods.
    pub selector: Selector,
    /// Its annotations that are of this program.
    pub annotations: BTreeMap<String, String>,
}

/// A `Rollout` may take its pod template, and then its selector too, from another workload.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    selector: Option<LabelSelector>,
    workload_ref: Option<WorkloadRef>,
}

#[derive(Deserialize)]
struct WorkloadRef {
    kind: String,
    name: String,
}

/// Why a workload's selector is unknown.
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
    /// No Deployment and no `StatefulSet` has the name.
    #[error(
        "there is no deployment and no statefulset {name} in namespace {namespace} of {server}; give another \
         namespace by --namespace, or another kind as rollout/{name}"
    )]
    NoneOfThisName {
        /// The name.
        name: String,
        /// Where it was looked for.
        namespace: String,
        /// URL of the API server.
        server: String,
    },
    /// A Deployment and a `StatefulSet` have the name.
    #[error(
        "both deployment/{name} and statefulset/{name} are in namespace {namespace}: name the one that is meant"
    )]
    TwoOfThisName {
        /// The name.
        name: String,
        /// Where they are.
        namespace: String,
    },
    /// It cannot be used: it selects everything.
    #[error("{workload}: {error}")]
    Unusable {
        /// The workload.
        workload: WorkloadName,
        /// What is wrong with the selector.
        error: SelectorError,
    },
    /// It cannot be read.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
}

impl Cluster {
    /// The workload as it is now.
    ///
    /// # Errors
    /// No such workload in the namespace, no permission to read it, or no answer.
    pub fn look_at(&self, workload: &WorkloadName) -> Result<SeenWorkload, UnknownSelector> {
        let absent = || {
            let (namespace, server) = (self.namespace().to_owned(), self.server().to_owned());
            UnknownSelector::Absent { workload: workload.clone(), namespace, server }
        };
        let Object { metadata, spec } = self.read_object(workload)?.ok_or_else(absent)?;
        let selector = match (spec.selector, spec.workload_ref) {
            (None, Some(WorkloadRef { kind, name })) if kind == "Deployment" => {
                let of = WorkloadName { kind: WorkloadKind::Deployment, name };
                self.read_object(&of)?.ok_or_else(absent)?.spec.selector
            }
            (selector, _) => selector,
        };
        let unusable = |words| self.unread(workload, ApiFailure::new(FailureKind::UnreadableAnswer, words));
        let selector = selector
            .ok_or_else(|| unusable(format!("{workload} has no selector; give one by --selector")))?;
        let selector = Selector::new(&words(selector).map_err(unusable)?)
            .map_err(|error| UnknownSelector::Unusable { workload: workload.clone(), error })?;
        Ok(SeenWorkload { selector, annotations: metadata.annotations })
    }

    /// The workload that is called by its name alone.
    ///
    /// # Errors
    /// None of this name, a Deployment and a `StatefulSet` of this name, or no permission to read both kinds.
    pub fn workload_named(&self, name: &str) -> Result<WorkloadName, UnknownSelector> {
        let (namespace, name) = (self.namespace().to_owned(), name.to_owned());
        let mut found: Vec<WorkloadName> = Vec::new();
        for kind in [WorkloadKind::Deployment, WorkloadKind::StatefulSet] {
            let workload = WorkloadName { kind, name: name.clone() };
            found.extend(self.read_object(&workload)?.map(|_| workload));
        }
        match (found.pop(), found.pop()) {
            (Some(workload), None) => Ok(workload),
            (Some(_), Some(_)) => Err(UnknownSelector::TwoOfThisName { name, namespace }),
            (None, _) => {
                let server = self.server().to_owned();
                Err(UnknownSelector::NoneOfThisName { name, namespace, server })
            }
        }
    }

    fn read_object(&self, workload: &WorkloadName) -> Result<Option<Object>, ClusterError> {
        let kind = workload.kind.kind();
        let read = || {
            let reply = self.exchange(get(kind.path(Some(self.namespace())), &workload.name)?)?;
            if reply.is_absent(kind.plural()) { Ok(None) } else { reply.read().map(Some) }
        };
        read().map_err(|failure| self.unread(workload, failure))
    }

    fn unread(&self, workload: &WorkloadName, failure: ApiFailure) -> ClusterError {
        self.error(format!("reading {workload} of namespace {}", self.namespace()), failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selector_is_written_as_it_is_typed() {
        let selector = serde_json::from_str(
            r#"{"matchLabels": {"tier": "backend", "app": "orders"}, "matchExpressions": [
                {"key": "zone", "operator": "In", "values": ["a", "b"]},
                {"key": "track", "operator": "NotIn", "values": ["canary"]},
                {"key": "team", "operator": "Exists"}, {"key": "old", "operator": "DoesNotExist"}]}"#,
        )
        .expect("a selector");
        let expected = "app=orders,tier=backend,zone in (a,b),track notin (canary),team,!old";
        assert_eq!(words(selector), Ok(expected.to_owned()));
    }

    #[test]
    fn a_name_alone_is_of_a_kind_that_is_not_known_yet() {
        let target: Result<TargetName, NotAWorkload> = "orders.v2".parse();
        assert_eq!(target, Ok(TargetName::Bare("orders.v2".to_owned())));
        let target: Result<TargetName, NotAWorkload> = "sts/ledger".parse();
        assert_eq!(target.map(|target| target.to_string()), Ok("statefulset/ledger".to_owned()));
        for text in ["", "..", "Orders", "a b", "app=orders", "daemonset/orders"] {
            let target: Result<TargetName, NotAWorkload> = text.parse();
            assert_eq!(target, Err(NotAWorkload), "{text}");
        }
    }

    #[test]
    fn a_workload_is_called_as_kubectl_calls_it() {
        for text in ["deployment/orders", "Deploy/orders", "deployments.apps/orders"] {
            let parsed: WorkloadName = text.parse().expect(text);
            assert_eq!(parsed.to_string(), "deployment/orders");
        }
        let ledger: Result<WorkloadName, NotAWorkload> = "sts/ledger.v2".parse();
        assert_eq!(ledger.map(|name| name.to_string()), Ok("statefulset/ledger.v2".to_owned()));
        let rollout: Result<WorkloadName, NotAWorkload> = "Rollouts.argoproj.io/orders".parse();
        assert_eq!(rollout.map(|name| name.to_string()), Ok("rollout/orders".to_owned()));
        for text in [
            "rollout.apps/orders",
            "deployment.argoproj.io/orders",
            "orders",
            "daemonset/orders",
            "deployment/",
            "deployment/a/b",
            "deployment/..",
            "sts/A",
        ] {
            let parsed: Result<WorkloadName, NotAWorkload> = text.parse();
            assert_eq!(parsed, Err(NotAWorkload), "{text}");
        }
    }
}
