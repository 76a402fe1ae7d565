//! The identity of a workload, a machine or a person in Google Cloud, for Managed Service for Prometheus.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Request;
use http::request::Parts;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::proof::{Identity, Variables, given};
use super::tokens::{Kept, Token, TokenService, form};
use crate::prometheus::error::TransportError;

/// What is asked for: to read metrics.
const SCOPE: &str = "https://www.googleapis.com/auth/monitoring.read";

/// Google's token service, for credentials that name none.
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// The name at which a pod or machine in Google Cloud asks for its own identity.
const METADATA: &str = "metadata.google.internal";

/// Lifetime of a signed claim, in seconds; Google takes at most an hour.
const CLAIM_SECONDS: i64 = 3600;

/// Where `gcloud auth application-default login` puts a person's credentials, below the home folder.
const OF_A_PERSON: &str = ".config/gcloud/application_default_credentials.json";

/// An identity in Google Cloud: of a service account (by its key), of a person, or of the pod or machine.
#[derive(Debug)]
pub struct GoogleIdentity {
    source: Source,
    kept: Kept,
}

#[derive(Debug)]
enum Source {
    ServiceAccount {
        email: String,
        key: Box<RsaKeyPair>,
        token_uri: String,
    },
    Person {
        client_id: String,
        client_secret: SecretString,
        refresh_token: SecretString,
        token_uri: String,
    },
    /// The host of the metadata service.
    Metadata {
        host: String,
    },
}

/// A file of credentials, of which `type` tells the kind.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum File {
    ServiceAccount {
        client_email: String,
        private_key: String,
        token_uri: Option<String>,
    },
    AuthorizedUser {
        client_id: String,
        client_secret: String,
        refresh_token: String,
    },
    #[serde(other)]
    Other,
}

impl GoogleIdentity {
    /// The identity by Google's own order ("application default credentials"): the file that
    /// `GOOGLE_APPLICATION_CREDENTIALS` names, that of `gcloud auth application-default login`, else the metadata
    /// service (of a pod with Workload Identity, or a machine), whose host `GCE_METADATA_HOST` can change.
    ///
    /// # Errors
    /// A file that cannot be read, or is of a kind that is not supported.
    pub fn new(variables: &Variables) -> Result<Self, String> {
        let named = given(variables, "GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from);
        let of_a_person = || {
            let path = PathBuf::from(given(variables, "HOME")?).join(OF_A_PERSON);
            path.is_file().then_some(path)
        };
        let source = if let Some(path) = named.or_else(of_a_person) {
            from_file(&path)
                .map_err(|reason| format!("the Google credentials in {}: {reason}", path.display()))?
        } else {
            Source::Metadata {
                host: given(variables, "GCE_METADATA_HOST").unwrap_or_else(|| METADATA.to_owned()),
            }
        };
        Ok(Self { source, kept: Kept::default() })
    }

    fn fetch(&self) -> Result<Token, TransportError> {
        let service =
            TokenService { whose: "Google", is_local: matches!(self.source, Source::Metadata { .. }) };
        let (address, request, secrets) = match &self.source {
            Source::Metadata { host } => {
                let address = format!(
                    "http://{host}/computeMetadata/v1/instance/service-accounts/default/token?scopes={SCOPE}"
                );
                let request = Request::get(&address).header("Metadata-Flavor", "Google").body(Vec::new());
                (address, request, Vec::new())
            }
            Source::ServiceAccount { email, key, token_uri } => {
                let claim = claim(email, key, token_uri, Timestamp::now().as_second())
                    .map_err(|words| service.failed(token_uri, words))?;
                let fields = [
                    ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                    ("assertion", claim.as_str()),
                ];
                (token_uri.clone(), form(token_uri, &fields), vec![claim])
            }
            Source::Person { client_id, client_secret, refresh_token, token_uri } => {
                let (secret, refresh) = (client_secret.expose_secret(), refresh_token.expose_secret());
                let fields = [
                    ("grant_type", "refresh_token"),
                    ("client_id", client_id.as_str()),
                    ("client_secret", secret),
                    ("refresh_token", refresh),
                ];
                (token_uri.clone(), form(token_uri, &fields), vec![secret.to_owned(), refresh.to_owned()])
            }
        };
        let request = request.map_err(|error| service.failed(&address, error.to_string()))?;
        service.token(request, &secrets.iter().map(String::as_str).collect::<Vec<&str>>())
    }
}

impl Identity for GoogleIdentity {
    fn prove(&self, request: &mut Parts, _: &[u8]) -> Result<(), TransportError> {
        self.kept.prove(request, || self.fetch())
    }
}

/// Reads a file of credentials. Messages quote nothing of it.
fn from_file(path: &Path) -> Result<Source, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let file: File = serde_json::from_str(&text).map_err(|error| {
        format!("not a file of credentials: line {}, column {}", error.line(), error.column())
    })?;
    match file {
        File::ServiceAccount { client_email, private_key, token_uri } => {
            let der = PrivatePkcs8KeyDer::from_pem_slice(private_key.as_bytes())
                .map_err(|_| "its private_key is no PEM of a PKCS #8 key".to_owned())?;
            let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())
                .map_err(|error| format!("its private_key cannot be used: {error}"))?;
            let token_uri = token_uri.unwrap_or_else(|| TOKEN_URI.to_owned());
            Ok(Source::ServiceAccount { email: client_email, key: Box::new(key), token_uri })
        }
        File::AuthorizedUser { client_id, client_secret, refresh_token } => {
            let [client_secret, refresh_token] = [client_secret, refresh_token].map(SecretString::from);
            Ok(Source::Person { client_id, client_secret, refresh_token, token_uri: TOKEN_URI.to_owned() })
        }
        File::Other => {
            Err("its type is neither service_account nor authorized_user; in a cluster, Workload Identity \
             needs no file"
                .into())
        }
    }
}

/// A signed claim by which a service account asks for a token (RFC 7523, with RS256 of RFC 7518).
fn claim(email: &str, key: &RsaKeyPair, audience: &str, now_s: i64) -> Result<String, String> {
    let header = json!({ "alg": "RS256", "typ": "JWT" });
    let claims =
        json!({ "iss": email, "scope": SCOPE, "aud": audience, "iat": now_s, "exp": now_s + CLAIM_SECONDS });
    let encoded = |part: &serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encoded(&header), encoded(&claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| "its key cannot sign".to_owned())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
