//! Authenticates to the API server: by a token, a password, a token file, a certificate or an exec plugin.
//!
//! Every credential is checked before a library gets it, and each request gets its header here.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use kube::client::ClientBuilder;
use kube::config::{AuthInfo, AuthProviderConfig};
use kube::{Client, Config};
use secrecy::{ExposeSecret as _, SecretString};

use super::kubeconfig;
use super::plugin::{Credential, Plugin, bearer};
use crate::prometheus::{Auth, SecretSource};
use crate::secrets::Secrets;

/// A credential that expires sooner than this is renewed: an answer may take half a minute, and clocks
/// differ.
const RENEW_BEFORE: SignedDuration = SignedDuration::from_secs(60);

/// The caller's credentials, and what has been sent of them so far.
pub(super) struct SignIn {
    /// The header `Authorization`; requests have none where there is only a client certificate.
    header: Option<HeaderValue>,
    renewal: Renewal,
    /// What was sent so far; masked in every quoted answer.
    pub(super) sent: Secrets,
}

/// How the header changes.
enum Renewal {
    Never,
    /// A file whose token is renewed in place. It may be removed after it was read.
    File(Auth),
    Plugin {
        plugin: Box<Plugin>,
        expires: Timestamp,
    },
}

/// A header, and how it changes.
type Source = (Option<HeaderValue>, Renewal);

impl SignIn {
    /// Takes the credential out of `user`; the rest is for the transport. This may run a plugin.
    ///
    /// # Errors
    /// A credential that is unavailable or cannot be sent; it is not quoted.
    pub(super) fn new(user: &mut AuthInfo, limit: Duration, stop: &AtomicBool) -> Result<Self, String> {
        kubeconfig::check_identity(user)?;
        let (header, renewal) = Self::source(user, limit, stop)?;
        (user.token, user.token_file, user.username, user.password) = (None, None, None, None);
        (user.exec, user.auth_provider) = (None, None);
        Ok(Self { header, renewal, sent: Secrets::default() })
    }

    /// In the order of `kubectl`.
    fn source(user: &mut AuthInfo, limit: Duration, stop: &AtomicBool) -> Result<Source, String> {
        if let Some(provider) = &user.auth_provider {
            return token_of(provider).and_then(|token| fixed("`auth-provider`", token));
        }
        if let (Some(name), Some(password)) = (&user.username, &user.password) {
            let pair = STANDARD.encode(format!("{name}:{}", password.expose_secret()));
            let header = HeaderValue::try_from(format!("Basic {pair}"));
            let header = header.map_err(|_| "`password` cannot be sent".to_owned())?;
            return Ok((Some(header), Renewal::Never));
        }
        if let Some(token) = &user.token {
            return fixed("`token`", token.expose_secret());
        }
        if let Some(file) = user.token_file.take().filter(|file| !file.is_empty()) {
            return token_file(file.into());
        }
        let Some(exec) = user.exec.take() else { return Ok((None, Renewal::Never)) };
        let plugin = Plugin::new(exec)?;
        let Credential { bearer, certificate, expires } = plugin.run(limit, stop)?;
        if let Some((chain, key)) = certificate {
            user.client_certificate_data = Some(STANDARD.encode(chain));
            user.client_key_data = Some(SecretString::from(STANDARD.encode(key.expose_secret())));
        }
        let renewal = match expires.filter(|_| bearer.is_some()) {
            Some(expires) => Renewal::Plugin { plugin: Box::new(plugin), expires },
            None => Renewal::Never,
        };
        Ok((bearer, renewal))
    }

    /// The header `Authorization` of the next request. A plugin whose credential expires soon runs again.
    ///
    /// # Errors
    /// If the plugin provides no other.
    pub(super) fn header(
        &mut self,
        limit: Duration,
        stop: &AtomicBool,
    ) -> Result<Option<HeaderValue>, String> {
        match &mut self.renewal {
            Renewal::File(file) => {
                if let Ok(Some(header)) = file.authorization() {
                    self.header = Some(header);
                }
            }
            Renewal::Plugin { plugin, expires } if Timestamp::now() + RENEW_BEFORE >= *expires => {
                let renewed = plugin.run(limit, stop)?;
                self.header = Some(renewed.bearer.ok_or("the exec plugin printed no token any more")?);
                *expires = renewed.expires.unwrap_or(Timestamp::MAX);
            }
            Renewal::Plugin { .. } | Renewal::Never => {}
        }
        self.header.iter().for_each(|header| self.sent.add_credential(header));
        Ok(self.header.clone())
    }
}

fn fixed(key: &str, token: &str) -> Result<Source, String> {
    let header =
        bearer(token.trim()).ok_or_else(|| format!("{key} has characters that a header cannot carry"))?;
    Ok((Some(header), Renewal::Never))
}

/// The token in a kubeconfig from the time before exec plugins.
fn token_of(provider: &AuthProviderConfig) -> Result<&str, String> {
    let token = provider.config.get("id-token").filter(|_| provider.name == "oidc");
    let words =
        "`auth-provider` is not supported, or has no `id-token`; sign in by an exec plugin or a token";
    token.map(String::as_str).ok_or_else(|| words.to_owned())
}

fn token_file(path: PathBuf) -> Result<Source, String> {
    let file = Auth::Bearer(SecretSource::File(path));
    match file.authorization() {
        Ok(Some(header)) => Ok((Some(header), Renewal::File(file))),
        Ok(None) => Err("the token file is empty".to_owned()),
        Err(error) => Err(format!("the token file cannot be used: {}", error.reason())),
    }
}

/// A client for a configuration whose only credential may be a client certificate.
///
/// # Errors
/// A certificate, or an impersonated name, that cannot be used.
pub(super) fn client(config: Config) -> Result<Client, String> {
    let client = ClientBuilder::try_from(config).map(ClientBuilder::build);
    client.map_err(|error| match error {
        kube::Error::RustlsTls(_) => {
            "`client-certificate` or `client-key` holds no PEM of its kind, or they do not belong together"
                .to_owned()
        }
        kube::Error::HttpError(_) => "a name to act as has characters that a header cannot carry".to_owned(),
        _ => "no client can be made of them".to_owned(),
    })
}
