//! TLS for the servers that a test plays.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::control_plane::Identity;

const OURS: &str = "a certificate that was just made can be served";

/// Serves this certificate to everybody.
pub(crate) fn server_config(identity: &Identity) -> Arc<ServerConfig> {
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).expect(OURS);
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect(OURS);
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has ciphers for the default versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect(OURS);
    Arc::new(config)
}
