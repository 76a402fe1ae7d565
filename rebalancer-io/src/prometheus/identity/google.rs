//! The identity of a workload, a machine or a person in Google Cloud, for Managed Service for Prometheus.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::json;

use super::proof::{Variables, given};
use super::tokens::{TokenIdentity, TokenService};

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

/// An identity in Google Cloud: of a service account (by its key), of a person, or of the pod or machine.
///
/// It is the one by Google's own order ("application default credentials"): the file that
/// `GOOGLE_APPLICATION_CREDENTIALS` names, that of `gcloud auth application-default login`, else the metadata
/// service (of a pod with Workload Identity, or a machine), whose host `GCE_METADATA_HOST` can change.
///
/// # Errors
/// A file that cannot be read, or is of a kind that is not supported.
pub fn google_identity(variables: &Variables) -> Result<TokenIdentity, String> {
    let named = given(variables, "GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from);
    let of_a_person = || {
        let path = PathBuf::from(given(variables, "HOME")?).join(OF_A_PERSON);
        path.is_file().then_some(path)
    };
    if let Some(path) = named.or_else(of_a_person) {
        let found = from_file(&path);
        return found.map_err(|reason| format!("the Google credentials in {}: {reason}", path.display()));
    }
    let host = given(variables, "GCE_METADATA_HOST").unwrap_or_else(|| METADATA.to_owned());
    let address =
        format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token?scopes={SCOPE}");
    let service = TokenService { whose: "Google", is_local: true };
    Ok(TokenIdentity::new(service, move |service, _| service.get(&address, "Metadata-Flavor", "Google")))
}

/// The identity that a file of credentials gives. Messages quote nothing of it.
fn from_file(path: &Path) -> Result<TokenIdentity, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let file: File = serde_json::from_str(&text).map_err(|error| {
        format!("not a file of credentials: line {}, column {}", error.line(), error.column())
    })?;
    let service = TokenService { whose: "Google", is_local: false };
    Ok(match file {
        File::ServiceAccount { client_email, private_key, token_uri } => {
            let der = PrivatePkcs8KeyDer::from_pem_slice(private_key.as_bytes())
                .map_err(|_| "its private_key is no PEM of a PKCS #8 key".to_owned())?;
            let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())
                .map_err(|error| format!("its private_key cannot be used: {error}"))?;
            let token_uri = token_uri.unwrap_or_else(|| TOKEN_URI.to_owned());
            TokenIdentity::new(service, move |service, _| {
                let claim = claim(&client_email, &key, &token_uri, Timestamp::now().as_second())
                    .map_err(|words| service.failed(&token_uri, words))?;
                let fields = [
                    ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                    ("assertion", claim.as_str()),
                ];
                service.form(&token_uri, &fields, &[&claim])
            })
        }
        File::AuthorizedUser { client_id, client_secret, refresh_token } => {
            let [secret, refresh] = [client_secret, refresh_token].map(SecretString::from);
            TokenIdentity::new(service, move |service, _| {
                let (secret, refresh) = (secret.expose_secret(), refresh.expose_secret());
                let fields = [
                    ("grant_type", "refresh_token"),
                    ("client_id", client_id.as_str()),
                    ("client_secret", secret),
                    ("refresh_token", refresh),
                ];
                service.form(TOKEN_URI, &fields, &[secret, refresh])
            })
        }
        File::Other => {
            return Err(
                "its type is neither service_account nor authorized_user; in a cluster, Workload Identity \
             needs no file"
                    .into(),
            );
        }
    })
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
