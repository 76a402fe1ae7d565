//! Reads certificates and keys from the PEM files that settings name.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};

/// A certificate or key file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: {path}: {reason}", path = .path.display())]
pub struct PemError {
    /// The setting that names the file.
    pub variable: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

/// A file, and the setting that names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PemFile<'a> {
    pub variable: &'static str,
    pub path: &'a Path,
}

/// Certificate and key of a client.
pub(crate) struct Pair {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    /// The key as it is in its file.
    pub key_pem: Vec<u8>,
}

impl PemFile<'_> {
    /// The certificates in the file, at least one, each of which could be an authority's.
    pub(crate) fn certificates(self) -> Result<Vec<CertificateDer<'static>>, PemError> {
        Ok(authorities(&self.bytes()?).map_err(|reason| self.unusable(reason))?.0)
    }

    /// The authorities in the file, at least one.
    pub(crate) fn authorities(self) -> Result<RootCertStore, PemError> {
        Ok(authorities(&self.bytes()?).map_err(|reason| self.unusable(reason))?.1)
    }

    /// The client's certificate in this file with its key in that one. What TLS does not accept as a pair is an error.
    pub(crate) fn with_key(self, key: Self) -> Result<Pair, PemError> {
        let chain = self.certificates()?;
        let key_pem = key.bytes()?;
        let private = PrivateKeyDer::from_pem_slice(&key_pem)
            .map_err(|_| key.unusable("it holds no PEM private key"))?;
        trusting(RootCertStore::empty())
            .with_client_auth_cert(chain.clone(), private.clone_key())
            .map_err(|error| key.unusable(error))?;
        Ok(Pair { chain, key: private, key_pem })
    }

    fn bytes(self) -> Result<Vec<u8>, PemError> {
        fs::read(self.path).map_err(|error| self.unusable(error))
    }

    pub(crate) fn unusable(self, reason: impl Display) -> PemError {
        PemError { variable: self.variable, path: self.path.to_owned(), reason: reason.to_string() }
    }
}

/// The certificates in a text, at least one, and the authorities that they are.
pub(crate) fn authorities(pem: &[u8]) -> Result<(Vec<CertificateDer<'static>>, RootCertStore), String> {
    let found: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found = found.map_err(|error| error.to_string())?;
    if found.is_empty() {
        return Err("it holds no PEM certificate".to_owned());
    }
    let mut authorities = RootCertStore::empty();
    for certificate in &found {
        authorities.add(certificate.clone()).map_err(|error| error.to_string())?;
    }
    Ok((found, authorities))
}

/// The beginning of a configuration of TLS that trusts these authorities.
pub(crate) fn trusting(authorities: RootCertStore) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("the provider has the suites of the default versions")
        .with_root_certificates(authorities)
}
