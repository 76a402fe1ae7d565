//! A certificate authority of a test's own, and what it signs.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

const GENERATED: &str = "keys and certificates of fixed parameters can be generated";

/// A certificate authority.
#[derive(Debug)]
pub struct Pki {
    issuer: Issuer<'static, KeyPair>,
    ca_pem: String,
}

/// A certificate and its private key, in PEM.
#[derive(Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

impl Pki {
    /// A fresh authority.
    ///
    /// # Panics
    /// When the machine has no source of randomness.
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "pod-rebalancer test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect(GENERATED);
        let ca_pem = params.self_signed(&key).expect(GENERATED).pem();
        Self { issuer: Issuer::new(params, key), ca_pem }
    }

    /// The authority's certificate, in PEM.
    pub fn ca(&self) -> &str {
        &self.ca_pem
    }

    /// A certificate for a server on loopback.
    ///
    /// # Panics
    /// When the machine has no source of randomness.
    pub fn server(&self) -> Identity {
        let names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
        let mut params = CertificateParams::new(names.map(str::to_owned)).expect(GENERATED);
        params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
        params.distinguished_name.push(DnType::CommonName, "loopback");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// A client's certificate: the API server takes the common name for the user and the
    /// organisation for a group.
    ///
    /// # Panics
    /// When the machine has no source of randomness.
    pub fn client(&self, user: &str, group: &str) -> Identity {
        self.sign(client_params(user, group))
    }

    /// A client's certificate whose time is over.
    ///
    /// # Panics
    /// When the machine has no source of randomness.
    pub fn expired_client(&self, user: &str, group: &str) -> Identity {
        let mut params = client_params(user, group);
        params.not_after = date_time_ymd(2020, 1, 1);
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Identity {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate().expect(GENERATED);
        let certificate = params.signed_by(&key, &self.issuer).expect(GENERATED).pem();
        Identity { certificate, key: key.serialize_pem() }
    }
}

impl Default for Pki {
    fn default() -> Self {
        Self::new()
    }
}

/// A key pair for signing the tokens of service accounts: (private, public), in PEM.
pub(super) fn token_keys() -> (String, String) {
    let key = KeyPair::generate().expect(GENERATED);
    (key.serialize_pem(), key.public_key_pem())
}

fn client_params(user: &str, group: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, user);
    params.distinguished_name.push(DnType::OrganizationName, group);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}
