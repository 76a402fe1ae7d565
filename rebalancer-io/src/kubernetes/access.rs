//! Asks the server what this program may do, before it is needed.

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Resource;
use rebalancer_core::{ApiFailure, Method};
use std::fmt;

use super::cluster::{Cluster, ClusterError};
use super::requests::{Effect, create, get};

/// One verb on one resource, as a Role grants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// Such as `list`.
    pub verb: &'static str,
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Such as `pods`.
    pub resource: &'static str,
    /// Such as `eviction`; empty for the resource itself.
    pub subresource: &'static str,
}

impl Permission {
    /// A verb on a resource of a group.
    pub const fn new(verb: &'static str, group: &'static str, resource: &'static str) -> Self {
        Self { verb, group, resource, subresource: "" }
    }

    /// The same verb on a subresource.
    #[must_use]
    pub const fn of(self, subresource: &'static str) -> Self {
        Self { subresource, ..self }
    }
}

/// As an RBAC refusal writes it: `create pods/eviction`, `get deployments.apps`.
impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        if !self.subresource.is_empty() {
            write!(f, "/{}", self.subresource)?;
        }
        Ok(())
    }
}

/// What planning needs, whatever owns the pods.
pub const TO_PLAN: [Permission; 5] = [
    Permission::new("list", "", "pods"),
    Permission::new("list", "policy", "poddisruptionbudgets"),
    Permission::new("get", "apps", "replicasets"),
    Permission::new("get", "apps", "deployments"),
    Permission::new("get", "apps", "statefulsets"),
];

/// What planning needs besides [`TO_PLAN`] for pods with these owners.
pub const OF_OTHER_OWNERS: [Permission; 2] =
    [Permission::new("get", "", "replicationcontrollers"), Permission::new("get", "argoproj.io", "rollouts")];

/// What evicting needs besides [`TO_PLAN`]: the eviction, the look at a pod whose eviction failed, and
/// Events, one of which is the claim.
pub const TO_EVICT: [Permission; 3] = [
    Permission::new("create", "", "pods").of("eviction"),
    Permission::new("get", "", "pods"),
    Permission::new("create", "events.k8s.io", "events"),
];

/// What deleting needs instead of the eviction.
pub const TO_DELETE: Permission = Permission::new("delete", "", "pods");

/// What only a claim needs: finding the claims of other runs.
pub const TO_CLAIM: Permission = Permission::new("list", "events.k8s.io", "events");

/// All that a run needs to remove pods by `method`, with or without a claim. Without a claim its Events are
/// only for people to read.
pub fn to_run(method: Method, claim: bool) -> Vec<Permission> {
    let end = match method {
        Method::Evict => TO_EVICT[0],
        Method::Delete => TO_DELETE,
    };
    let to_claim: &[Permission] = if claim { &[TO_CLAIM] } else { &[] };
    [TO_PLAN.as_slice(), &[end], &TO_EVICT[1..], to_claim].concat()
}

impl Cluster {
    /// Asks for each permission in the namespace and returns those that are missing.
    ///
    /// # Errors
    /// If the request fails: the server does not recognise the caller.
    pub fn missing_permissions(&self, wanted: &[Permission]) -> Result<Vec<Permission>, ClusterError> {
        let mut missing: Vec<Permission> = Vec::new();
        for permission in wanted {
            let allowed = self
                .may(*permission)
                .map_err(|failure| self.error(format!("asking for permission to {permission}"), failure))?;
            if !allowed {
                missing.push(*permission);
            }
        }
        Ok(missing)
    }

    /// The user the server sees, including impersonation; `None` for a server before 1.28.
    ///
    /// # Errors
    /// If the request fails: the credentials are not accepted, or the impersonation is not allowed.
    pub fn user(&self) -> Result<Option<String>, ClusterError> {
        let review = || {
            let path = SelfSubjectReview::url_path(&(), None);
            let reply = self.exchange(create(path, &SelfSubjectReview::default(), Effect::Real)?)?;
            if reply.status == 404 {
                return Ok(None);
            }
            let reviewed: SelfSubjectReview = reply.read()?;
            Ok(reviewed.status.and_then(|myself| myself.user_info?.username))
        };
        review().map_err(|failure| self.error("asking who this is".to_owned(), failure))
    }

    /// Whether the namespace exists; `None` if that may not be read. A list of pods cannot show it: it is
    /// empty for a namespace that does not exist.
    pub fn has_namespace(&self) -> Option<bool> {
        let reply = self.exchange(get("/api/v1/namespaces", self.namespace()).ok()?).ok()?;
        if reply.is_absent("namespaces") {
            return Some(false);
        }
        reply.is_success().then_some(true)
    }

    fn may(&self, permission: Permission) -> Result<bool, ApiFailure> {
        let text = |word: &str| (!word.is_empty()).then(|| word.to_owned());
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    group: text(permission.group),
                    namespace: Some(self.namespace().to_owned()),
                    resource: text(permission.resource),
                    subresource: text(permission.subresource),
                    verb: text(permission.verb),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let path = SelfSubjectAccessReview::url_path(&(), None);
        let reply = self.exchange(create(path, &review, Effect::Real)?)?;
        let reviewed: SelfSubjectAccessReview = reply.read()?;
        Ok(reviewed.status.is_some_and(|verdict| verdict.allowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_reads_as_in_a_refusal() {
        assert_eq!(TO_EVICT[0].to_string(), "create pods/eviction");
        assert_eq!(TO_PLAN[3].to_string(), "get deployments.apps");
    }

    #[test]
    fn a_run_needs_the_verb_of_its_method_and_not_the_other() {
        let words = |method| to_run(method, true).iter().map(ToString::to_string).collect::<Vec<String>>();
        let (evict, delete) = (words(Method::Evict), words(Method::Delete));
        assert_eq!(evict.len(), delete.len());
        assert!(to_run(Method::Evict, true).contains(&TO_CLAIM));
        assert!(!to_run(Method::Evict, false).contains(&TO_CLAIM), "without a claim no Event is looked for");
        assert!(
            evict.contains(&"create pods/eviction".to_owned()) && !evict.contains(&"delete pods".to_owned())
        );
        assert!(
            delete.contains(&"delete pods".to_owned())
                && !delete.contains(&"create pods/eviction".to_owned())
        );
    }
}
