//! The identity of a workload or machine in AWS, which signs each request (Signature Version 4), for Amazon
//! Managed Service for Prometheus; and its credentials, for Amazon MSK.

use std::fmt::{self, Write as _};
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, Uri};
use regex::Regex;
use reqsign_aws_v4::{Credential, DefaultCredentialProvider, RequestSigner};
use reqsign_core::{
    Context, Error, FileRead, HttpSend, ProvideCredential as _, Result as SignResult, Signer, StaticEnv,
};
use ring::digest::{SHA256, digest};
use tokio::runtime::Builder;

use super::proof::{Identity, Variables, given};
use super::tokens::TokenService;
use crate::prometheus::error::TransportError;
use crate::prometheus::words::{MAX_WORDS, shortened};

/// Amazon Managed Service for Prometheus, by its name in signatures.
const SERVICE: &str = "aps";

/// Whose identity it is, in messages.
const WHOSE: &str = "AWS";

/// The header with the hash of the body, which is signed.
const BODY_HASH: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// An identity in AWS. Its credentials are looked for, in this order, in the environment, a profile, a web identity
/// (EKS' role for a `ServiceAccount`), a container's endpoint (EKS Pod Identity, ECS) and the machine.
#[derive(Debug)]
pub struct AwsIdentity {
    signer: Signer<Credential>,
    /// What a service that gives credentials said last, if it gave none: the library does not repeat it.
    refusal: Refusal,
}

type Refusal = Arc<Mutex<Option<String>>>;

impl AwsIdentity {
    /// An identity for `service` (`aps` unless given) at `host`, of `region`: unless given that in the host's name,
    /// else that of `AWS_REGION` or `AWS_DEFAULT_REGION`.
    ///
    /// # Errors
    /// A region that nothing tells.
    pub fn new(
        host: &str,
        region: Option<&str>,
        service: Option<&str>,
        variables: &Variables,
    ) -> Result<Self, String> {
        let region = region.map(str::to_owned).or_else(|| region_by(host, variables));
        let region = region
            .ok_or("the host name tells no AWS region: set PROMETHEUS_AWS_REGION, such as eu-west-1")?;
        let refusal = Refusal::default();
        let request_signer = RequestSigner::new(service.unwrap_or(SERVICE), &region);
        let signer = Signer::new(context(variables, &refusal), provider(), request_signer);
        Ok(Self { signer, refusal })
    }
}

impl Identity for AwsIdentity {
    fn prove(&self, request: &mut Parts, body: &[u8]) -> Result<(), TransportError> {
        let hash = HeaderValue::try_from(hex(digest(&SHA256, body).as_ref()));
        request.headers.insert(BODY_HASH, hash.expect("hexadecimal digits can be sent"));
        let signed = polled(self.signer.sign(request, None));
        signed.map_err(|error| no_identity(&words(&error), &self.refusal))
    }
}

/// The credentials of an identity in AWS, looked for as [`AwsIdentity`] does, each time anew.
#[derive(Clone)]
pub struct AwsCredentials {
    context: Context,
    variables: Variables,
    refusal: Refusal,
}

impl fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The variables may hold a key.
        f.write_str("AwsCredentials")
    }
}

impl AwsCredentials {
    /// Credentials that these variables lead to.
    pub fn new(variables: Variables) -> Self {
        let refusal = Refusal::default();
        Self { context: context(&variables, &refusal), variables, refusal }
    }

    /// The region of `host`, as its name tells, else that of `AWS_REGION` or `AWS_DEFAULT_REGION`.
    pub(crate) fn region(&self, host: &str) -> Option<String> {
        region_by(host, &self.variables)
    }

    /// Reads or fetches the credentials.
    pub(crate) fn load(&self) -> Result<Credential, TransportError> {
        let provider = provider();
        match polled(provider.provide_credential(&self.context)) {
            Ok(Some(credential)) => Ok(credential),
            Ok(None) => Err(no_identity("there are no credentials", &self.refusal)),
            Err(error) => Err(no_identity(&words(&error), &self.refusal)),
        }
    }
}

fn context(variables: &Variables, refusal: &Refusal) -> Context {
    let home_dir = given(variables, "HOME").map(PathBuf::from);
    let environment = StaticEnv { home_dir, envs: variables.clone() };
    let services = Services(Arc::clone(refusal));
    Context::new().with_file_read(Files).with_http_send(services).with_env(environment)
}

fn provider() -> DefaultCredentialProvider {
    DefaultCredentialProvider::builder().no_sso().no_process().build()
}

/// Polls a future of the library, which waits for blocking calls: on a thread of its own, because that of the caller may
/// run a runtime already.
fn polled<T: Send>(future: impl Future<Output = T> + Send) -> T {
    let poll = || {
        let runtime = Builder::new_current_thread().build().expect("a runtime without drivers needs nothing");
        runtime.block_on(future)
    };
    thread::scope(|scope| scope.spawn(poll).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

fn no_identity(why: &str, refusal: &Refusal) -> TransportError {
    let why = shortened(why, MAX_WORDS);
    let refusal = refusal.lock().unwrap_or_else(PoisonError::into_inner);
    let refusal = refusal.as_ref().map(|words| format!("; {words}")).unwrap_or_default();
    let looked = "looked in the environment, the profile, the web identity, the container and the machine";
    TransportError::Identity { whose: WHOSE, words: format!("{why}{refusal}; {looked}") }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes every text");
        text
    })
}

/// What the library says went wrong, without the names of its types.
fn words(error: &Error) -> String {
    let text = error.to_string();
    let text = text.split("; credential_type").next().unwrap_or_default().to_owned();
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    format!("{text}{source}")
}

/// The region of a host, as its name tells, else as the variables do.
fn region_by(host: &str, variables: &Variables) -> Option<String> {
    let of_variables = || given(variables, "AWS_REGION").or_else(|| given(variables, "AWS_DEFAULT_REGION"));
    region_of(host).or_else(of_variables)
}

/// The region in the name of a host of AWS, such as `aps-workspaces.eu-west-1.amazonaws.com`.
fn region_of(host: &str) -> Option<String> {
    let is_of_aws =
        ["amazonaws.com", "amazonaws.com.cn", "api.aws"].iter().any(|domain| host.ends_with(domain));
    let region = Regex::new("^[a-z]{2}(-[a-z]+)+-[0-9]+$").expect("the pattern is valid");
    host.split('.').filter(|_| is_of_aws).find(|part| region.is_match(part)).map(str::to_owned)
}

/// Reads the files that the credentials lie in.
#[derive(Debug)]
struct Files;

impl FileRead for Files {
    async fn file_read(&self, path: &str) -> SignResult<Vec<u8>> {
        fs::read(path).map_err(|error| Error::unexpected(format!("{path}: {error}")))
    }
}

/// Asks the services that give credentials.
#[derive(Debug)]
struct Services(Refusal);

impl HttpSend for Services {
    async fn http_send(&self, request: Request<Bytes>) -> SignResult<Response<Bytes>> {
        let service = TokenService { whose: WHOSE, is_local: is_local(request.uri()) };
        // Without its query, which may hold a token.
        let place = request.uri().to_string().split('?').next().unwrap_or_default().to_owned();
        let answer = service.send(request.map(|body| body.to_vec()));
        let refusal = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            // It may repeat the token that it was asked with.
            Ok(answer) => Some(format!("{place} answered HTTP {}", answer.status().as_u16())),
            Err(error) => Some(error.reason()),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
        answer.map(|answer| answer.map(Bytes::from)).map_err(|error| Error::unexpected(error.reason()))
    }
}

/// Whether the address is one of the machine's own network: of EKS, ECS and EC2.
fn is_local(address: &Uri) -> bool {
    let host = address.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    match host.parse() {
        Ok(IpAddr::V4(ip)) => ip.is_link_local() || ip.is_loopback(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.segments()[..2] == [0xfd00, 0xec2],
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_read_from_the_names_of_aws_alone() {
        let regions = [
            ("aps-workspaces.eu-west-1.amazonaws.com", Some("eu-west-1")),
            ("aps-workspaces.us-gov-west-1.amazonaws.com", Some("us-gov-west-1")),
            ("vpce-0a1b2c-x.aps-workspaces.ap-southeast-2.vpce.amazonaws.com", Some("ap-southeast-2")),
            ("aps-workspaces.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("aps-workspaces.eu-west-1.example.com", None),
            ("amazonaws.com", None),
            ("prometheus", None),
        ];
        for (host, region) in regions {
            assert_eq!(region_of(host).as_deref(), region, "{host}");
        }
    }
}
