//! Plain requests to the API server, for arranging a test and looking at what came of it.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use serde_json::Value;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Error};

/// Longer than the API server lets a request take (60 s).
const REQUEST_LIMIT: Duration = Duration::from_secs(70);
/// A list of 5,000 whole pods is about 25 MB.
const BODY_LIMIT_BYTES: u64 = 256 * 1024 * 1024;
const JSON: &str = "application/json";

/// A client of the API server with one bearer token.
#[derive(Debug, Clone)]
pub struct Api {
    agent: Agent,
    server: String,
    token: String,
}

/// What the API server answered.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body; null when it is not JSON.
    pub body: Value,
}

impl Answer {
    /// The body of a success.
    ///
    /// # Panics
    /// With the server's words, when it is none.
    #[track_caller]
    pub fn success(self) -> Value {
        assert!(self.status < 300, "the API server answered {}: {}", self.status, self.body);
        self.body
    }
}

impl Api {
    pub(super) fn new(server: &str, ca_pem: &str, token: &str) -> Self {
        let ca = Certificate::from_pem(ca_pem.as_bytes()).expect("the authority's certificate was just made");
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[ca])).build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(REQUEST_LIMIT))
            .tls_config(tls)
            .build();
        Self { agent: config.into(), server: server.to_owned(), token: token.to_owned() }
    }

    /// GET a path.
    ///
    /// # Panics
    /// When the server cannot be reached.
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        reached(path, self.try_get(path))
    }

    /// POST a JSON body.
    ///
    /// # Panics
    /// When the server cannot be reached.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        reached(path, self.try_post(path, body))
    }

    /// PATCH with a JSON merge patch.
    ///
    /// # Panics
    /// When the server cannot be reached.
    #[track_caller]
    pub fn merge(&self, path: &str, change: &Value) -> Answer {
        reached(path, self.try_patch(path, "application/merge-patch+json", change))
    }

    /// DELETE with `DeleteOptions`.
    ///
    /// # Panics
    /// When the server cannot be reached.
    #[track_caller]
    pub fn delete(&self, path: &str, options: &Value) -> Answer {
        reached(path, self.try_delete(path, options))
    }

    pub(super) fn try_get(&self, path: &str) -> Result<Answer, Error> {
        read(self.agent.get(self.url(path)).header("authorization", self.bearer()).call()?)
    }

    pub(super) fn try_post(&self, path: &str, body: &Value) -> Result<Answer, Error> {
        let request =
            self.agent.post(self.url(path)).header("authorization", self.bearer()).content_type(JSON);
        read(request.send(body.to_string())?)
    }

    pub(super) fn try_patch(&self, path: &str, kind: &str, change: &Value) -> Result<Answer, Error> {
        let request =
            self.agent.patch(self.url(path)).header("authorization", self.bearer()).content_type(kind);
        read(request.send(change.to_string())?)
    }

    pub(super) fn try_delete(&self, path: &str, options: &Value) -> Result<Answer, Error> {
        let request = self.agent.delete(self.url(path)).header("authorization", self.bearer());
        read(request.force_send_body().content_type(JSON).send(options.to_string())?)
    }

    /// The lines of a watch, as they come.
    pub(super) fn watch(&self, path: &str) -> Result<impl BufRead + use<>, Error> {
        let answer = self.agent.get(self.url(path)).header("authorization", self.bearer()).call()?;
        Ok(BufReader::new(answer.into_body().into_reader()))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }
}

#[track_caller]
fn reached(path: &str, answer: Result<Answer, Error>) -> Answer {
    answer.unwrap_or_else(|error| panic!("{path}: the API server did not answer: {error}"))
}

fn read(mut answer: ureq::http::Response<Body>) -> Result<Answer, Error> {
    let text = answer.body_mut().with_config().limit(BODY_LIMIT_BYTES).read_to_string()?;
    Ok(Answer { status: answer.status().as_u16(), body: serde_json::from_str(&text).unwrap_or_default() })
}
