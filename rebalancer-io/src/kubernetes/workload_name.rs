//! A workload given by kind and name, and the label selector of its pods.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use rebalancer_core::{ApiFailure, FailureKind};
use thiserror::Error;

use super::cluster::{Cluster, ClusterError};
use super::fields::is_dns_name;
use super::owners::{Object, WorkloadKind, WorkloadRef};
use super::selector::Selector;

/// A workload as `kubectl` users write it: `deployment/orders`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadName {
    /// Its kind: `deployment`, `deployments`, `deploy`, `statefulset`, `statefulsets`, `sts`, each also with `.apps`, or
    /// `rollout`, `rollouts`, `ro` of Argo, each also with `.argoproj.io`.
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

/// The text is no workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "expected deployment/NAME, statefulset/NAME or rollout/NAME, or the NAME of a Deployment or StatefulSet"
)]
pub struct NotAWorkload;

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
        if is_dns_name(name) { Ok(Self { kind, name: name.to_owned() }) } else { Err(NotAWorkload) }
    }
}

impl FromStr for TargetName {
    type Err = NotAWorkload;

    fn from_str(text: &str) -> Result<Self, NotAWorkload> {
        match text.contains('/') {
            true => text.parse().map(Self::Named),
            false if is_dns_name(text) => Ok(Self::Bare(text.to_owned())),
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

impl fmt::Display for WorkloadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.name().to_ascii_lowercase(), self.name)
    }
}

/// A selector in the syntax of `kubectl -l`: `app=orders,tier in (a,b),!canary`.
fn words(selector: LabelSelector) -> Result<String, String> {
    let selector = kube::core::Selector::try_from(selector).map_err(|error| error.to_string())?;
    Ok(selector.to_string())
}

/// What a workload tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenWorkload {
    /// The labels by which it finds its own pods.
    pub selector: Selector,
    /// Its annotations that are of this program.
    pub annotations: BTreeMap<String, String>,
}

/// Why a workload's selector is unknown.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UnknownSelector {
    /// It does not exist.
    #[error("{0}")]
    Absent(String),
    /// It cannot be used: it selects everything, or two workloads have the name.
    #[error("{0}")]
    Unusable(String),
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
            let (namespace, server) = (self.namespace(), self.server());
            UnknownSelector::Absent(format!(
                "there is no {workload} in namespace {namespace} of {server}; give another by --namespace"
            ))
        };
        let Object { metadata, spec, .. } = self.named(workload)?.ok_or_else(absent)?;
        let selector = match (spec.selector, spec.workload_ref) {
            (None, Some(WorkloadRef { kind, name })) if kind == "Deployment" => {
                let of = WorkloadName { kind: WorkloadKind::Deployment, name };
                self.named(&of)?.ok_or_else(absent)?.spec.selector
            }
            (selector, _) => selector,
        };
        let unusable = |words| self.unread(workload, ApiFailure::new(FailureKind::UnreadableAnswer, words));
        let selector = selector
            .ok_or_else(|| unusable(format!("{workload} has no selector; give one by --selector")))?;
        let selector = Selector::new(&words(selector).map_err(unusable)?)
            .map_err(|error| UnknownSelector::Unusable(format!("{workload}: {error}")))?;
        Ok(SeenWorkload { selector, annotations: metadata.annotations })
    }

    /// The workload that is called by its name alone.
    ///
    /// # Errors
    /// None of this name, a Deployment and a `StatefulSet` of this name, or no permission to read both kinds.
    pub fn workload_named(&self, name: &str) -> Result<WorkloadName, UnknownSelector> {
        let namespace = self.namespace();
        let mut found: Vec<WorkloadName> = Vec::new();
        for kind in [WorkloadKind::Deployment, WorkloadKind::StatefulSet] {
            let workload = WorkloadName { kind, name: name.to_owned() };
            found.extend(self.named(&workload)?.map(|_| workload));
        }
        match (found.pop(), found.pop()) {
            (Some(workload), None) => Ok(workload),
            (Some(_), Some(_)) => Err(UnknownSelector::Unusable(format!(
                "both deployment/{name} and statefulset/{name} are in namespace {namespace}: name the one that is meant"
            ))),
            (None, _) => Err(UnknownSelector::Absent(format!(
                "there is no deployment and no statefulset {name} in namespace {namespace} of {}; give another \
                 namespace by --namespace, or another kind as rollout/{name}",
                self.server()
            ))),
        }
    }

    fn named(&self, workload: &WorkloadName) -> Result<Option<Object>, ClusterError> {
        self.object(workload.kind, &workload.name).map_err(|failure| self.unread(workload, failure))
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
