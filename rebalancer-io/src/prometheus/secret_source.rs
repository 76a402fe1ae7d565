//! Where a secret comes from: a value or a file.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use secrecy::SecretString;

use super::error::TransportError;

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
    pub(crate) fn unsendable(&self) -> TransportError {
        let path = match self {
            Self::File(path) => path.clone(),
            Self::Value(_) => "the environment".into(),
        };
        TransportError::Credentials { path, reason: "it has characters that a header cannot carry".into() }
    }
}
