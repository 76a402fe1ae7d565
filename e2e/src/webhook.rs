//! An admission webhook: an HTTPS server of the test that decides about requests to the API server.

use std::io::{self, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::control_plane::{Namespace, Pki};
use crate::lens::request_body;
use crate::tls::server_config;

/// A listening webhook; its thread ends with the test process.
#[derive(Debug)]
pub struct Webhook {
    url: String,
    denial_code: Arc<AtomicU16>,
}

impl Webhook {
    /// Listens with a certificate of this authority. `decide` is given each `AdmissionRequest` and
    /// answers nothing to allow it, or the reason for a refusal; it may take its time.
    ///
    /// # Panics
    /// When no port is free.
    pub fn start(pki: &Pki, decide: impl Fn(&Value) -> Result<(), String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let (config, decide) = (server_config(&pki.server()), Arc::new(decide));
        let denial_code = Arc::new(AtomicU16::new(403));
        let code = Arc::clone(&denial_code);
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let (config, decide, code) = (Arc::clone(&config), Arc::clone(&decide), Arc::clone(&code));
                // The API server sees an exchange that fails, and says so to its client.
                thread::spawn(move || drop(serve(connection, config, &*decide, &code)));
            }
        });
        Self { url: format!("https://127.0.0.1:{port}/"), denial_code }
    }

    /// Denies with this code from now on; with 403 before.
    pub fn deny_with(&self, code: u16) {
        self.denial_code.store(code, Ordering::Relaxed);
    }

    /// The configuration by which the API server asks this webhook about every eviction in the
    /// namespace, and goes by `failure_policy` (`Fail` or `Ignore`) where it gets no answer.
    pub fn of_evictions(&self, namespace: &Namespace<'_>, pki: &Pki, failure_policy: &str) -> Value {
        let selector = json!({ "matchLabels": { "kubernetes.io/metadata.name": namespace.name() } });
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": { "name": namespace.name() },
            "webhooks": [{
                "name": "evictions.example.test",
                "clientConfig": { "url": self.url, "caBundle": pki.ca_bundle() },
                "rules": [{
                    "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                    "resources": ["pods/eviction"],
                }],
                "namespaceSelector": selector,
                "failurePolicy": failure_policy, "sideEffects": "None", "timeoutSeconds": 20,
                "admissionReviewVersions": ["v1"],
            }],
        })
    }
}

/// Answers one review and closes.
fn serve(
    connection: TcpStream,
    config: Arc<ServerConfig>,
    decide: &(dyn Fn(&Value) -> Result<(), String> + Send + Sync),
    denial_code: &AtomicU16,
) -> io::Result<()> {
    let tls = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(tls, connection));
    let review: Value = serde_json::from_slice(&request_body(&mut stream)?)?;
    let request = &review["request"];
    let mut response = json!({ "uid": request["uid"], "allowed": true });
    if let Err(reason) = decide(request) {
        response["allowed"] = false.into();
        response["status"] = json!({ "code": denial_code.load(Ordering::Relaxed), "message": reason });
    }
    let answer = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response,
    })
    .to_string();
    let stream = stream.get_mut();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{answer}",
        answer.len()
    )?;
    stream.conn.send_close_notify();
    stream.flush()
}
