//! A certificate authority of a test's own, and what it signs.

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD as STANDARD, BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SigningKey as _, date_time_ymd,
};
use serde_json::{Value, json};

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

    /// The authority's certificate as objects of the API carry it.
    pub fn ca_bundle(&self) -> String {
        STANDARD.encode(&self.ca_pem)
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

/// A token of these claims, signed with the private key of [`token_keys`].
pub(super) fn token(private_key: &str, claims: &Value) -> String {
    let key = KeyPair::from_pem(private_key).expect("a key of ours");
    let header = json!({ "alg": "ES256", "typ": "JWT" });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(claims));
    let signature = key.sign(signed.as_bytes()).expect("a key of ours signs");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(fixed_length(&signature)))
}

/// An ECDSA signature as tokens carry it, 32 bytes of each number, from its DER form: a sequence of
/// two integers, each with its length.
fn fixed_length(der: &[u8]) -> Vec<u8> {
    let mut rest = &der[2..];
    let mut fixed: Vec<u8> = Vec::new();
    for _ in 0..2 {
        let (number, after) = rest[2..].split_at(usize::from(rest[1]));
        let digits = &number[number.len().saturating_sub(32)..];
        fixed.extend(std::iter::repeat_n(0, 32 - digits.len()));
        fixed.extend(digits);
        rest = after;
    }
    fixed
}

fn client_params(user: &str, group: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, user);
    params.distinguished_name.push(DnType::OrganizationName, group);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}
