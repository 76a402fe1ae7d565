//! A Kubernetes control plane on loopback: etcd, API server, controller manager, and a kubelet
//! that is played.

mod api;
mod kubelet;
mod namespace;
mod pki;
pub mod workload;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::require::{Program, path_of};
use crate::sandbox::{Sandbox, Server, free_port, wait_until};
use kubelet::Kubelet;

pub use api::{Answer, Api};
pub use namespace::{Access, Namespace};
pub use pki::{Identity, Pki};

/// On a machine whose cores are busy with a build.
const START_LIMIT: Duration = Duration::from_secs(120);
const ISSUER: &str = "https://kubernetes.default.svc";
const ADMIN_TOKEN: &str = "admin-of-the-tests";
const CONTROLLERS_TOKEN: &str = "controllers-of-the-tests";
/// Users of the API server's static token file.
const TOKENS: &str = "admin-of-the-tests,admin,admin,system:masters\n\
                      controllers-of-the-tests,system:kube-controller-manager,controllers,\n";

/// A running control plane; ends with its value.
#[derive(Debug)]
pub struct ControlPlane {
    // Fields end in this order: those who ask before those who answer.
    _kubelet: Kubelet,
    controller_manager: Server,
    apiserver: Server,
    etcd: Server,
    sandbox: Arc<Sandbox>,
    pki: Pki,
    url: String,
    admin: Api,
}

impl ControlPlane {
    /// Starts one of the test's own, with further flags for the API server.
    ///
    /// # Panics
    /// When it is not installed or does not start.
    pub fn start(apiserver_flags: &[&str]) -> Self {
        let sandbox = Sandbox::new();
        let pki = Pki::new();
        let url = format!("https://127.0.0.1:{}", free_port());
        let admin = Api::new(&url, pki.ca(), ADMIN_TOKEN);
        write_secrets(&sandbox, &pki);
        write_kubeconfig(&sandbox, &url, "controllers", "default", CONTROLLERS_TOKEN);

        let (etcd, etcd_url) = start_etcd(&sandbox);
        let mut apiserver = start_apiserver(&sandbox, &url, &etcd_url, apiserver_flags);
        apiserver.wait_ready(START_LIMIT, || is_serving(&admin));
        let mut controller_manager = start_controller_manager(&sandbox);
        let account = "/api/v1/namespaces/default/serviceaccounts/default";
        controller_manager.wait_ready(START_LIMIT, || admin.get(account).status == 200);
        let kubelet = Kubelet::start(admin.clone());
        Self { _kubelet: kubelet, controller_manager, apiserver, etcd, sandbox, pki, url, admin }
    }

    /// The one that the tests of a process share, each in a namespace of its own. Who stops or
    /// freezes servers starts one of their own.
    ///
    /// # Panics
    /// When it is not installed or does not start.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<ControlPlane> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(&[]))
    }

    /// Makes a namespace.
    ///
    /// # Panics
    /// When there is one of that name.
    #[track_caller]
    pub fn namespace(&self, name: &str) -> Namespace<'_> {
        Namespace::create(self, name)
    }

    /// Where the API server listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A client that may do everything.
    pub fn admin(&self) -> &Api {
        &self.admin
    }

    /// A client with a token.
    pub fn api(&self, token: &str) -> Api {
        Api::new(&self.url, self.pki.ca(), token)
    }

    /// The authority that the API server trusts, and that signed its certificate.
    pub fn pki(&self) -> &Pki {
        &self.pki
    }

    /// The file of the authority's certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.sandbox.path().join("ca.crt")
    }

    /// The folder for files of a test.
    pub fn folder(&self) -> &Path {
        self.sandbox.path()
    }

    /// Writes a kubeconfig with this namespace and token.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn kubeconfig(&self, namespace: &str, token: &str) -> PathBuf {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("user-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        write_kubeconfig(&self.sandbox, &self.url, &name, namespace, token)
    }

    /// A token of a `ServiceAccount` that ends `lasts_s` seconds from now, or ended before.
    ///
    /// # Panics
    /// When there is no such account.
    #[track_caller]
    pub fn token(&self, namespace: &Namespace<'_>, account: &str, lasts_s: i64) -> String {
        let path = namespace.path("v1", &format!("serviceaccounts/{account}"));
        let object = self.admin.get(&path).success();
        let ends_s = Timestamp::now().as_second() + lasts_s;
        let subject = format!("system:serviceaccount:{}:{account}", namespace.name());
        let bound = json!({ "name": account, "uid": object["metadata"]["uid"] });
        let claims = json!({
            "iss": ISSUER, "aud": [ISSUER], "sub": subject,
            "iat": ends_s - 3600, "nbf": ends_s - 3600, "exp": ends_s,
            "kubernetes.io": { "namespace": namespace.name(), "serviceaccount": bound },
        });
        let key = fs::read_to_string(self.sandbox.path().join("accounts.key"));
        pki::token(&key.expect("it was written at the start"), &claims)
    }

    /// Writes a kubeconfig of a user who may do everything.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn admin_kubeconfig(&self, namespace: &str) -> PathBuf {
        self.kubeconfig(namespace, ADMIN_TOKEN)
    }

    /// etcd; frozen, the API server hangs.
    pub fn etcd(&self) -> &Server {
        &self.etcd
    }

    /// The controller manager; frozen, no pod is replaced and no budget is counted.
    pub fn controller_manager(&self) -> &Server {
        &self.controller_manager
    }

    /// The API server, to freeze or kill it.
    pub fn apiserver(&mut self) -> &mut Server {
        &mut self.apiserver
    }

    /// Starts the API server again and waits until it serves.
    ///
    /// # Panics
    /// When it does not.
    pub fn restart_apiserver(&mut self) {
        self.apiserver.restart();
        self.apiserver.wait_ready(START_LIMIT, || is_serving(&self.admin));
    }

    /// Waits until the status of a budget counts its pods: `disruptionsAllowed` is `allowed`.
    ///
    /// # Panics
    /// When it does not come to that.
    #[track_caller]
    pub fn wait_budget(&self, namespace: &Namespace<'_>, name: &str, allowed: u64) {
        let path = namespace.path("policy/v1", &format!("poddisruptionbudgets/{name}"));
        wait_until(&format!("budget {name} allows {allowed}"), START_LIMIT, || {
            let budget = self.admin.get(&path).success();
            budget["status"]["observedGeneration"] == budget["metadata"]["generation"]
                && budget["status"]["disruptionsAllowed"].as_u64() == Some(allowed)
        });
    }
}

fn start_etcd(sandbox: &Arc<Sandbox>) -> (Server, String) {
    let client = format!("http://127.0.0.1:{}", free_port());
    let peer = format!("http://127.0.0.1:{}", free_port());
    let mut command = Command::new(path_of(Program::ControlPlane, "etcd"));
    command.args(["--data-dir", "etcd"]);
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.arg(format!("--initial-cluster=default={peer}"));
    let mut etcd = Server::start(sandbox, "etcd", command);
    etcd.wait_ready(START_LIMIT, || ureq::get(format!("{client}/health")).call().is_ok());
    (etcd, client)
}

fn start_apiserver(sandbox: &Arc<Sandbox>, url: &str, etcd_url: &str, flags: &[&str]) -> Server {
    let port = url.rsplit(':').next().expect("the URL ends with its port");
    let mut command = Command::new(path_of(Program::ControlPlane, "kube-apiserver"));
    command
        .arg(format!("--etcd-servers={etcd_url}"))
        .arg(format!("--secure-port={port}"))
        // It refuses to advertise loopback; nobody asks the endpoint of the service.
        .args([
            "--bind-address=127.0.0.1",
            "--advertise-address=10.255.255.254",
            "--endpoint-reconciler-type=none",
        ])
        .args(["--tls-cert-file=apiserver.crt", "--tls-private-key-file=apiserver.key"])
        .args(["--client-ca-file=ca.crt", "--token-auth-file=tokens.csv", "--authorization-mode=RBAC"])
        .arg(format!("--service-account-issuer={ISSUER}"))
        .args(["--service-account-key-file=accounts.pub", "--service-account-signing-key-file=accounts.key"])
        .args(["--service-cluster-ip-range=10.96.0.0/16", "--shutdown-delay-duration=0s"])
        .args(flags);
    Server::start(sandbox, "kube-apiserver", command)
}

fn start_controller_manager(sandbox: &Arc<Sandbox>) -> Server {
    let mut command = Command::new(path_of(Program::ControlPlane, "kube-controller-manager"));
    command
        .arg(format!("--secure-port={}", free_port()))
        .args(["--kubeconfig=controllers.kubeconfig", "--bind-address=127.0.0.1", "--cert-dir=."])
        .args(["--leader-elect=false", "--use-service-account-credentials=true"])
        .args(["--root-ca-file=ca.crt", "--service-account-private-key-file=accounts.key"])
        // Nodes send no heartbeats here.
        .arg("--controllers=*,-node-lifecycle-controller,-taint-eviction-controller")
        .args(["--kube-api-qps=1000", "--kube-api-burst=2000", "--concurrent-replicaset-syncs=10"]);
    Server::start(sandbox, "kube-controller-manager", command)
}

fn write_secrets(sandbox: &Sandbox, pki: &Pki) {
    let serving = pki.server();
    let (private, public) = pki::token_keys();
    sandbox.write("ca.crt", pki.ca());
    sandbox.write("apiserver.crt", serving.certificate);
    sandbox.write("apiserver.key", serving.key);
    sandbox.write("accounts.key", private);
    sandbox.write("accounts.pub", public);
    sandbox.write("tokens.csv", TOKENS);
}

/// A kubeconfig is YAML, and so JSON too.
fn write_kubeconfig(sandbox: &Sandbox, url: &str, name: &str, namespace: &str, token: &str) -> PathBuf {
    let cluster = json!({ "server": url, "certificate-authority": sandbox.path().join("ca.crt") });
    let context = json!({ "cluster": "test", "user": "test", "namespace": namespace });
    let config: Value = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{ "name": "test", "cluster": cluster }],
        "contexts": [{ "name": "test", "context": context }],
        "users": [{ "name": "test", "user": { "token": token } }],
    });
    sandbox.write(&format!("{name}.kubeconfig"), config.to_string())
}

fn is_serving(api: &Api) -> bool {
    api.try_get("/readyz").is_ok_and(|answer| answer.status == 200)
}
