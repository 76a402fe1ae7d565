//! Controller kinds whose pods the user allows to be evicted.

use std::fmt;
use std::str::FromStr;

use rebalancer_core::Controller;
use thiserror::Error;

use super::fields::is_dns_name;

/// The kind of a controller with its API group, such as `CloneSet.apps.kruise.io`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerKind {
    kind: String,
    group: String,
}

/// Why a text is no kind that can be allowed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotAllowable {
    /// It is not a kind with its group.
    #[error(
        "{0:?} is no kind with its group, such as CloneSet.apps.kruise.io, as a pod's ownerReferences have it"
    )]
    Shape(String),
    /// It contains a version.
    #[error("{0:?} holds a version; leave it out, as in CloneSet.apps.kruise.io")]
    Version(String),
    /// Pods of this kind are never evicted.
    #[error("pods of {0} are never evicted: it does not replace them, or loses their work")]
    Never(String),
}

/// Kinds that are never allowed, whatever their group.
const NEVER: [&str; 5] = ["Job", "CronJob", "Pod", "DaemonSet", "Node"];

impl ControllerKind {
    /// Whether `controller` is of this kind.
    pub fn is_of(&self, controller: &Controller) -> bool {
        controller.kind == self.kind && controller.group.as_deref() == Some(&self.group)
    }
}

impl FromStr for ControllerKind {
    type Err = NotAllowable;

    /// Ignores surrounding white space; the text may come from a list.
    fn from_str(text: &str) -> Result<Self, NotAllowable> {
        let text = text.trim();
        let (kind, group) = text.split_once('.').unwrap_or((text, ""));
        let is_kind = kind.starts_with(|first: char| first.is_ascii_uppercase())
            && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_kind && (NEVER.contains(&kind) || (kind, group) == ("Deployment", "apps")) {
            return Err(NotAllowable::Never(text.to_owned()));
        }
        if !is_kind || !is_dns_name(group) {
            return Err(NotAllowable::Shape(text.to_owned()));
        }
        if group.split('.').next().is_some_and(is_version) {
            return Err(NotAllowable::Version(text.to_owned()));
        }
        Ok(Self { kind: kind.to_owned(), group: group.to_owned() })
    }
}

/// Whether the text looks like a version: `v1`, `v1alpha1`, `v2beta3`.
fn is_version(label: &str) -> bool {
    let Some(rest) = label.strip_prefix('v') else { return false };
    let number = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
    let stage = number.strip_prefix("alpha").or_else(|| number.strip_prefix("beta")).unwrap_or(number);
    number.len() < rest.len() && stage.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for ControllerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.kind, self.group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, NotAllowable> {
        text.parse().map(|kind: ControllerKind| kind.to_string())
    }

    #[test]
    fn a_kind_is_named_with_its_group() {
        for text in ["CloneSet.apps.kruise.io", "StatefulSet.apps.kruise.io", "Cluster.postgresql.cnpg.io"] {
            assert_eq!(parsed(text), Ok(text.to_owned()));
        }
        for text in
            ["", "CloneSet", "cloneset.apps.kruise.io", "CloneSet.", "CloneSet..io", "Clone Set.io", "A.B"]
        {
            assert_eq!(parsed(text), Err(NotAllowable::Shape(text.to_owned())), "{text}");
        }
        for text in ["CloneSet.v1alpha1.apps.kruise.io", "Rollout.v1.argoproj.io"] {
            assert_eq!(parsed(text), Err(NotAllowable::Version(text.to_owned())), "{text}");
        }
        assert!(parsed("Virtual.vmware.com").is_ok(), "a group that begins with a v");
    }

    #[test]
    fn what_loses_work_or_replaces_nothing_cannot_be_named() {
        for text in ["Pod", "Node", "Job.batch", "Job.batch.volcano.sh", "DaemonSet.apps", "Deployment.apps"]
        {
            assert_eq!(parsed(text), Err(NotAllowable::Never(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_kind_of_another_group_is_another_kind() {
        let kind: ControllerKind = "StatefulSet.apps.kruise.io".parse().expect("a kind");
        let of = |group: Option<&str>| Controller {
            group: group.map(str::to_owned),
            kind: "StatefulSet".to_owned(),
            name: "orders".to_owned(),
            uid: "1".to_owned(),
        };
        assert!(kind.is_of(&of(Some("apps.kruise.io"))));
        assert!(!kind.is_of(&of(Some("apps"))) && !kind.is_of(&of(None)));
    }
}
