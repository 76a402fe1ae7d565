//! Tells somebody else of a finished run: one POST of a JSON text to an address that is a secret.

use std::path::Path;
use std::time::Duration;

use http::Uri;
use http::header::CONTENT_TYPE;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use ureq::Agent;

use crate::pem::PemFile;
use crate::prometheus::{ConfigError, Endpoint, SecretSource};
use crate::push::{SEE_THE_LOG, SendError, Undelivered, agent, send};
use crate::secrets::Secrets;

/// The setting that holds the address.
const VARIABLE: &str = "WEBHOOK_URL";

/// An address of the kind.
const EXAMPLE: &str = "https://hooks.example.com/services/T0/B0/x";

/// Shortest part of the path that is taken for a secret: shorter ones are words such as `services`, of which
/// a message may need one.
const SHORTEST_PART: usize = 12;

/// Sends texts to one address. Nobody is told the address: its path, as a rule, is the only thing that keeps
/// others from writing there.
#[derive(Debug)]
pub struct Webhook {
    agent: Agent,
    url: SecretString,
    /// Scheme, host and port, which may be told.
    server: Endpoint,
    timeout: Duration,
}

impl Webhook {
    /// Prepares to send: reads the address and the certificate file, but opens no connection. `ca_file` is a
    /// PEM file in place of the public authorities, `timeout` the longest time that sending may take.
    ///
    /// # Errors
    /// An address or a file that cannot be read or used; the address is not repeated.
    pub fn new(url: &SecretSource, ca_file: Option<&Path>, timeout: Duration) -> Result<Self, ConfigError> {
        let unusable = |reason: String| ConfigError::PushUrl { variable: VARIABLE, reason, example: EXAMPLE };
        let url = url.read().map_err(|error| unusable(error.to_string()))?;
        let uri: Uri = url.expose_secret().parse().map_err(|_| unusable("it is no address".into()))?;
        let origin = uri.scheme_str().zip(uri.authority());
        let Some((scheme, authority)) = origin.filter(|(_, authority)| !authority.as_str().contains('@'))
        else {
            return Err(unusable("it is no address, or holds a user name or password".into()));
        };
        let server = Endpoint::parse(&format!("{scheme}://{authority}")).map_err(|error| match error {
            ConfigError::Endpoint { reason } => unusable(reason),
            other => other,
        })?;
        let agent = agent(ca_file.map(|path| PemFile { variable: "WEBHOOK_CA_FILE", path }), timeout)?;
        Ok(Self { agent, url, server, timeout })
    }

    /// Sends `json` once, and does not follow redirects.
    ///
    /// # Errors
    /// When it is not accepted within the time limit.
    pub fn post(&self, json: &str) -> Result<(), Undelivered> {
        let request = self.agent.post(self.url.expose_secret()).header(CONTENT_TYPE, "application/json");
        let sent = send(request, json, &self.server, self.timeout, &self.secrets());
        sent.map_err(|error| self.undelivered(error))
    }

    fn undelivered(&self, error: SendError) -> Undelivered {
        let mut error = error.at(format!("{}/…", self.server), "WEBHOOK", refused);
        error.words = self.secrets().masked(&error.words);
        error
    }

    /// The parts of the address that no message may show.
    fn secrets(&self) -> Secrets {
        let url = self.url.expose_secret();
        let mut secrets = Secrets::default();
        secrets.add(url);
        let path = url.strip_prefix(self.server.as_str()).unwrap_or(url);
        secrets.add(path);
        let parts = path.split(['/', '?', '&', '=', '#']).filter(|part| part.len() >= SHORTEST_PART);
        for part in parts {
            secrets.add(part);
            secrets.add(&percent_decode_str(part).decode_utf8_lossy());
        }
        secrets
    }
}

/// What to do about a text that is refused.
const fn refused(status: u16, _: &str) -> &'static str {
    match status {
        300..=399 | 401 | 403 | 404 | 405 | 410 => "check WEBHOOK_URL: it may be revoked",
        400 => "check WEBHOOK_FORMAT",
        _ => SEE_THE_LOG,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(url: &str) -> Result<Webhook, ConfigError> {
        Webhook::new(&SecretSource::Value(SecretString::from(url)), None, Duration::from_millis(200))
    }

    #[test]
    fn an_address_that_cannot_be_used_is_refused_and_not_repeated() {
        for url in [
            "hooks.example.com/hunter2",
            "ftp://hunter2/x",
            "https://ada:hunter2@x/y",
            "hunter2 x",
            "/hunter2",
        ] {
            let error = webhook(url).expect_err(url).to_string();
            assert!(error.starts_with("WEBHOOK_URL: ") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn no_message_shows_more_than_the_server() {
        let webhook = webhook("http://127.0.0.1:9/services/T0/hunter2hunter2?sig=another%2Bhunter2")
            .expect("an address");
        let error = webhook.post("{}").expect_err("nobody listens").to_string();
        assert!(error.starts_with("http://127.0.0.1:9/…: ") && !error.contains("hunter2"), "{error}");
        for words in ["no hunter2hunter2 in /services/T0", "no sig another+hunter2 here"] {
            let said = SendError::Refused { status: 404, words: words.to_owned() };
            assert!(!webhook.undelivered(said).to_string().contains("hunter2"), "{words}");
        }
        assert!(!format!("{webhook:?}").contains("hunter2"), "{webhook:?}");
    }
}
