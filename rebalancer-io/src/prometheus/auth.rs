//! How a request authenticates to a metrics server.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use secrecy::ExposeSecret as _;

use super::error::TransportError;
use super::identity::Identity;
use super::secret_source::SecretSource;

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
