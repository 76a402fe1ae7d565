//! Fetches bearer tokens from the token services of clouds, and keeps them until they expire.

use std::fmt;
use std::io::Read as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Request};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::Value;
use ureq::{Agent, Proxy};

use super::proof::Identity;
use crate::prometheus::error::TransportError;
use crate::prometheus::words::{MAX_WORDS, shortened};
use crate::proxies;
use crate::secrets::{self, Secrets};

/// Longest time for a token service. Those beside a pod answer at once, and an address without a cloud behind it
/// never does.
const LIMIT: Duration = Duration::from_secs(5);

/// Most bytes read of its answer: tokens have a few kilobytes.
const MAX_BYTES: u64 = 256 << 10;

/// A token is renewed this long before it expires, so that it holds for the request it is fetched for.
const SPARE: Duration = Duration::from_secs(60);

/// A service that gives out tokens or credentials.
#[derive(Debug, Clone, Copy)]
pub(super) struct TokenService {
    /// Whose identity it gives, such as `Azure`.
    pub whose: &'static str,
    /// Whether it lies on this machine or its own network, and no proxy leads to it.
    pub is_local: bool,
}

/// A token, and until when it can be used.
#[derive(Debug, Clone)]
struct Token {
    value: SecretString,
    until: Instant,
}

/// An answer of OAuth 2.0 (RFC 6749, sections 5.1 and 5.2). Azure writes the lifetime as text.
#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    expires_in: Option<Value>,
    error: Option<String>,
    error_description: Option<String>,
}

impl TokenService {
    /// Sends a request and returns status and body.
    ///
    /// # Errors
    /// If no answer arrives.
    pub(super) fn send(&self, request: Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, TransportError> {
        let place = request.uri().to_string();
        let proxy = if self.is_local { None } else { proxies::of(request.uri()) };
        let proxy = proxy.map(|proxy| {
            let unusable = format!("{} is no address of a proxy", proxy.variable);
            Proxy::new(&proxy.address).map_err(|_| self.failed(&place, unusable))
        });
        let proxy = proxy.transpose()?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(LIMIT))
            .proxy(proxy)
            .build();
        let agent = Agent::new_with_config(config);
        let answer = if request.method() == http::Method::GET {
            agent.run(request.map(|_| ()))
        } else {
            agent.run(request)
        };
        let failed =
            |error: ureq::Error| self.failed(&place, TransportError::from_ureq(error, LIMIT).to_string());
        let (parts, body) = answer.map_err(failed)?.into_parts();
        let mut bytes = Vec::new();
        let read = body.into_reader().take(MAX_BYTES).read_to_end(&mut bytes);
        read.map_err(|error| self.failed(&place, error.to_string()))?;
        Ok(http::Response::from_parts(parts, bytes))
    }

    /// Fetches a token.
    ///
    /// # Errors
    /// A refusal, in the service's own words, or no answer.
    fn token(&self, Asked { request, secrets }: Asked) -> Result<Token, TransportError> {
        let place = request.uri().to_string();
        let mut masked = Secrets::default();
        for secret in &secrets {
            masked.add(secret);
        }
        let now = Instant::now();
        let answer = self.send(request)?;
        let status = answer.status().as_u16();
        let body = answer.into_body();
        let read: Option<Answer> = serde_json::from_slice(&body).ok();
        let token = read.as_ref().and_then(|read| {
            let lifetime = read.expires_in.as_ref()?;
            let lifetime = lifetime.as_u64().or_else(|| lifetime.as_str()?.parse().ok());
            let lifetime = Duration::from_secs(lifetime?);
            let value = SecretString::from(read.access_token.clone().filter(|token| !token.is_empty())?);
            Some(Token { value, until: now.checked_add(lifetime.saturating_sub(SPARE))? })
        });
        if let (200..300, Some(token)) = (status, token) {
            return Ok(token);
        }
        let said = read.and_then(|read| read.error_description.or(read.error));
        let words = match (status, said) {
            // What is no refusal may hold a token.
            (200..300, _) => format!("HTTP {status}, and no token with a lifetime in the answer"),
            (_, said) => {
                let said = said.unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned());
                format!("HTTP {status}: {}", shortened(&masked.masked(&said), MAX_WORDS))
            }
        };
        Err(self.failed(&place, words))
    }

    /// The error of this service at an address; what follows `?` in it is left out.
    pub(super) fn failed(&self, place: &str, words: impl fmt::Display) -> TransportError {
        let place = place.split('?').next().unwrap_or_default();
        TransportError::Identity { whose: self.whose, words: format!("{place}: {words}") }
    }
}

/// The request for a token.
pub(super) struct Asked {
    request: Request<Vec<u8>>,
    /// What is in it, and is in no message.
    secrets: Vec<String>,
}

impl TokenService {
    /// Asks with this header.
    pub(super) fn get(&self, address: &str, name: &str, value: &str) -> Result<Asked, TransportError> {
        let request = Request::get(address).header(name, value).body(Vec::new());
        let request = request.map_err(|error| self.failed(address, error))?;
        Ok(Asked { request, secrets: Vec::new() })
    }

    /// Asks with a form of these fields, some of whose values are secrets.
    pub(super) fn form(
        &self,
        address: &str,
        fields: &[(&str, &str)],
        secrets: &[&str],
    ) -> Result<Asked, TransportError> {
        let body = secrets::form(fields.iter().copied()).into_bytes();
        let request =
            Request::post(address).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        let request = request.map_err(|error| self.failed(address, error))?;
        Ok(Asked { request, secrets: secrets.iter().copied().map(str::to_owned).collect() })
    }
}

/// How a token for a metrics server, which is given by its host, is asked for.
type Ask = dyn Fn(&TokenService, &str) -> Result<Asked, TransportError> + Send + Sync;

/// An identity that is proved by a token, which a service of its cloud gives out for some time.
pub struct TokenIdentity {
    service: TokenService,
    ask: Box<Ask>,
    /// The token that was fetched last.
    kept: Mutex<Option<Token>>,
}

impl TokenIdentity {
    pub(super) fn new(
        service: TokenService,
        ask: impl Fn(&TokenService, &str) -> Result<Asked, TransportError> + Send + Sync + 'static,
    ) -> Self {
        Self { service, ask: Box::new(ask), kept: Mutex::default() }
    }
}

impl fmt::Debug for TokenIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.service.fmt(f)
    }
}

impl Identity for TokenIdentity {
    /// Sends the token that is kept with a request, or a new one. Requests that come together wait for one fetch.
    fn prove(&self, request: &mut Parts, _: &[u8]) -> Result<(), TransportError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let host = request.uri.host().unwrap_or_default();
        let fetch = || self.service.token((self.ask)(&self.service, host)?);
        let known = kept.take().filter(|token| token.until > Instant::now());
        let token = kept.insert(known.map_or_else(fetch, Ok)?);
        let value = HeaderValue::try_from(format!("Bearer {}", token.value.expose_secret()));
        let mut value = value.map_err(|_| {
            TransportError::Other("the token of the cloud has characters that a header cannot carry".into())
        })?;
        value.set_sensitive(true);
        request.headers.insert(AUTHORIZATION, value);
        Ok(())
    }
}
