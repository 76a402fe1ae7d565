//! A namespace of a test's own on a control plane that others may share.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::ControlPlane;
use super::api::Api;
use crate::sandbox::wait_until;

/// How long a new Role may take to be granted.
const ROLE_LIMIT: Duration = Duration::from_secs(30);

/// A namespace; a test works in its own.
#[derive(Debug)]
pub struct Namespace<'a> {
    plane: &'a ControlPlane,
    name: String,
}

/// What a `ServiceAccount` needs to reach the API server.
#[derive(Debug)]
pub struct Access {
    /// A kubeconfig file with the token, for `KUBECONFIG`.
    pub kubeconfig: PathBuf,
    /// The same as a client of the harness.
    pub api: Api,
}

impl<'a> Namespace<'a> {
    pub(super) fn create(plane: &'a ControlPlane, name: &str) -> Self {
        let manifest = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        plane.admin().post("/api/v1/namespaces", &manifest).success();
        Self { plane, name: name.to_owned() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A client of the API server that may do everything.
    pub fn admin(&self) -> &Api {
        self.plane.admin()
    }

    /// The path of a kind of object here, or of one: `path("apps/v1", "deployments/orders")`.
    pub fn path(&self, api_version: &str, resource: &str) -> String {
        let root = if api_version.contains('/') { "apis" } else { "api" };
        format!("/{root}/{api_version}/namespaces/{}/{resource}", self.name)
    }

    /// Creates the object of a manifest and answers what the server made of it.
    ///
    /// # Panics
    /// With the server's words, when it refuses.
    #[track_caller]
    pub fn apply(&self, manifest: &Value) -> Value {
        let kind = manifest["kind"].as_str().expect("a manifest has a kind");
        let api_version = manifest["apiVersion"].as_str().expect("a manifest has an apiVersion");
        let path = self.path(api_version, &format!("{}s", kind.to_lowercase()));
        self.plane.admin().post(&path, manifest).success()
    }

    /// The pods of a label selector.
    ///
    /// # Panics
    /// When the server does not list them.
    #[track_caller]
    pub fn pods(&self, selector: &str) -> Vec<Value> {
        let path = self.path("v1", &format!("pods?labelSelector={}", selector.replace('=', "%3D")));
        let mut list = self.plane.admin().get(&path).success();
        match list["items"].take() {
            Value::Array(pods) => pods,
            other => panic!("a list of pods without items: {other}"),
        }
    }

    /// Waits until the selector has exactly `count` pods, all Ready and none terminating, and the
    /// objects that own them say the same.
    ///
    /// # Panics
    /// When `limit` passes first.
    #[track_caller]
    pub fn wait_ready(&self, selector: &str, count: usize, limit: Duration) {
        wait_until(&format!("{count} pods of {selector} Ready in {}", self.name), limit, || {
            // What owners report is small, and of a large workload the pods are not.
            self.owners_settled(selector) && {
                let pods = self.pods(selector);
                pods.len() == count && pods.iter().all(is_ready)
            }
        });
    }

    /// The names of the pods of a label selector, sorted.
    ///
    /// # Panics
    /// When the server does not list them.
    #[track_caller]
    pub fn pod_names(&self, selector: &str) -> Vec<String> {
        let pods = self.pods(selector);
        let mut names: Vec<String> =
            pods.iter().filter_map(|pod| pod["metadata"]["name"].as_str()).map(str::to_owned).collect();
        names.sort_unstable();
        names
    }

    /// A `ServiceAccount` here that may do what the rules of a Role say, with a token of an hour. The API
    /// server grants a new Role only after it has read it back, so this waits until it does.
    ///
    /// # Panics
    /// With the server's words when it refuses, or when it does not grant the Role within 30 seconds.
    #[track_caller]
    pub fn service_account(&self, name: &str, rules: &Value) -> Access {
        const RBAC: &str = "rbac.authorization.k8s.io";
        let rbac = format!("{RBAC}/v1");
        let metadata = json!({ "name": name });
        let subject = json!({ "kind": "ServiceAccount", "name": name, "namespace": self.name });
        self.apply(&json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata }));
        self.apply(&json!({ "apiVersion": rbac, "kind": "Role", "metadata": metadata, "rules": rules }));
        self.apply(&json!({
            "apiVersion": rbac, "kind": "RoleBinding", "metadata": metadata, "subjects": [subject],
            "roleRef": { "apiGroup": RBAC, "kind": "Role", "name": name },
        }));
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": { "expirationSeconds": 3600, "audiences": [] },
        });
        let path = self.path("v1", &format!("serviceaccounts/{name}/token"));
        let answer = self.plane.admin().post(&path, &request).success();
        let token = answer["status"]["token"].as_str().expect("a TokenRequest answers with a token");
        let api = self.plane.api(token);
        let granted = || rules.as_array().into_iter().flatten().all(|rule| self.grants(&api, rule));
        wait_until(&format!("{name} is granted its role in {}", self.name), ROLE_LIMIT, granted);
        Access { kubeconfig: self.plane.kubeconfig(&self.name, token), api }
    }

    /// Whether the API server allows what a rule says first to the account that `api` signs in with.
    fn grants(&self, api: &Api, rule: &Value) -> bool {
        let first = |list: &str| rule[list][0].as_str().unwrap_or_default();
        let (resource, subresource) = first("resources").split_once('/').unwrap_or((first("resources"), ""));
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": {
                "namespace": self.name, "group": first("apiGroups"), "resource": resource,
                "subresource": subresource, "verb": first("verbs"), "name": first("resourceNames"),
            } },
        });
        let answer = api.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", &review);
        answer.status == 201 && answer.body["status"]["allowed"] == true
    }

    /// Whether Deployments and `StatefulSet`s of the selector report as many ready as they want.
    fn owners_settled(&self, selector: &str) -> bool {
        ["deployments", "statefulsets"].iter().all(|resource| {
            let path = format!("{resource}?labelSelector={}", selector.replace('=', "%3D"));
            let list = self.plane.admin().get(&self.path("apps/v1", &path)).success();
            list["items"].as_array().is_some_and(|owners| owners.iter().all(is_settled))
        })
    }
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    pod["metadata"]["deletionTimestamp"].is_null() && conditions.is_some_and(|all| all.iter().any(ready))
}

fn is_settled(owner: &Value) -> bool {
    let (status, wanted) = (&owner["status"], owner["spec"]["replicas"].as_u64());
    status["observedGeneration"] == owner["metadata"]["generation"]
        && status["readyReplicas"].as_u64() == wanted
        && status["updatedReplicas"].as_u64() == wanted
        && status["replicas"].as_u64() == wanted
}
