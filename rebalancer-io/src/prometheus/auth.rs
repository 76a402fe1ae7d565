//! How a request authenticates to a metrics server, and where the secret comes from.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

use super::error::TransportError;
use super::identity::Identity;

/// Largest credential file that is read, in bytes: every server refuses headers of this size.
const MAX_BYTES: u64 = 1 << 20;

/// Where a secret comes from.
#[derive(Debug, Clone)]
pub enum SecretSource {
    /// Given as a value, usually by an environment variable.
    Value(SecretString),
    /// A file. It is read again for every request, because mounted tokens are renewed in place. Surrounding
    /// white space is not part of the secret.
    File(PathBuf),
}

impl SecretSource {
    pub(crate) fn read(&self) -> Result<SecretString, TransportError> {
        let path = match self {
            Self::Value(secret) => return Ok(secret.clone()),
            Self::File(path) => path,
        };
        let wrong = |reason: String| TransportError::Credentials { path: path.clone(), reason };
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text));
        read.map_err(|error| wrong(error.to_string()))?;
        if text.len() as u64 > MAX_BYTES {
            return Err(wrong("the file is too large for a credential".into()));
        }
        let secret = text.trim();
        if secret.is_empty() {
            return Err(wrong("the file is empty".into()));
        }
        Ok(SecretString::from(secret))
    }

    /// The error for a credential that a header cannot contain. It does not quote the credential.
    fn unsendable(&self) -> TransportError {
        let path = match self {
            Self::File(path) => path.clone(),
            Self::Value(_) => "the environment".into(),
        };
        TransportError::Credentials { path, reason: "it has characters that a header cannot carry".into() }
    }
}

/// How a request authenticates.
#[derive(Debug, Clone, Default)]
pub enum Auth {
    /// It does not.
    #[default]
    None,
    /// `Authorization: Bearer TOKEN`.
    Bearer(SecretSource),
    /// `Authorization: Basic base64(USERNAME:PASSWORD)`.
    Basic {
        /// The user, for Grafana Cloud the instance id.
        username: String,
        /// The password, for Grafana Cloud a token.
        password: SecretSource,
    },
    /// By the identity that a cloud gave this program.
    Identity(Arc<dyn Identity>),
}

impl Auth {
    /// The value of the header `Authorization` if it is the same for every request; `None` for [`Auth::None`] and
    /// [`Auth::Identity`]. Reads the secret.
    ///
    /// # Errors
    /// A secret that cannot be read or sent.
    pub(crate) fn authorization(&self) -> Result<Option<HeaderValue>, TransportError> {
        let (source, text) = match self {
            Self::None | Self::Identity(_) => return Ok(None),
            Self::Bearer(token) => (token, format!("Bearer {}", token.read()?.expose_secret())),
            Self::Basic { username, password } => {
                let pair = format!("{username}:{}", password.read()?.expose_secret());
                (password, format!("Basic {}", STANDARD.encode(pair)))
            }
        };
        let mut value = HeaderValue::try_from(text).map_err(|_| source.unsendable())?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}
