//! The identity of a workload or machine in AWS, which signs each request (Signature Version 4), for Amazon
//! Managed Service for Prometheus.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, Uri};
use reqsign_aws_v4::{Credential, DefaultCredentialProvider, RequestSigner};
use reqsign_core::{Context, Error, FileRead, HttpSend, Result as SignResult, Signer, StaticEnv};
use ring::digest::{SHA256, digest};
use tokio::runtime::{Builder, Runtime};

use super::proof::{Identity, Variables, given};
use super::tokens::TokenService;
use crate::prometheus::error::TransportError;

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
    /// Polls the library's futures, which wait for blocking calls.
    runtime: Mutex<Runtime>,
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
    ///
    /// # Panics
    /// If the system refuses what a runtime needs.
    pub fn new(
        host: &str,
        region: Option<&str>,
        service: Option<&str>,
        variables: &Variables,
    ) -> Result<Self, String> {
        let of_variables =
            || given(variables, "AWS_REGION").or_else(|| given(variables, "AWS_DEFAULT_REGION"));
        let region = region.map(str::to_owned).or_else(|| region_of(host)).or_else(of_variables);
        let region = region
            .ok_or("the host name tells no AWS region: set PROMETHEUS_AWS_REGION, such as eu-west-1")?;
        let home_dir = given(variables, "HOME").map(PathBuf::from);
        let environment = StaticEnv { home_dir, envs: variables.clone() };
        let refusal = Refusal::default();
        let services = Services(Arc::clone(&refusal));
        let context = Context::new().with_file_read(Files).with_http_send(services).with_env(environment);
        let credentials = DefaultCredentialProvider::builder().no_sso().no_process().build();
        let signer =
            Signer::new(context, credentials, RequestSigner::new(service.unwrap_or(SERVICE), &region));
        let runtime = Builder::new_current_thread().build().expect("a runtime without drivers needs nothing");
        Ok(Self { signer, runtime: Mutex::new(runtime), refusal })
    }
}

impl Identity for AwsIdentity {
    fn prove(&self, request: &mut Parts, body: &[u8]) -> Result<(), TransportError> {
        let hash = HeaderValue::try_from(hex(digest(&SHA256, body).as_ref()));
        request.headers.insert(BODY_HASH, hash.expect("hexadecimal digits can be sent"));
        let runtime = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        let signed = runtime.block_on(self.signer.sign(request, None));
        signed.map_err(|error| {
            let refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
            let refusal = refusal.as_ref().map(|words| format!("; {words}")).unwrap_or_default();
            let looked =
                "looked in the environment, the profile, the web identity, the container and the machine";
            TransportError::Identity { whose: WHOSE, words: format!("{}{refusal}; {looked}", words(&error)) }
        })
    }
}

fn hex(bytes: &[u8]) -> String {
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

/// The region in the name of a host of AWS, such as `aps-workspaces.eu-west-1.amazonaws.com`.
fn region_of(host: &str) -> Option<String> {
    let is_of_aws =
        ["amazonaws.com", "amazonaws.com.cn", "api.aws"].iter().any(|domain| host.ends_with(domain));
    let is_region = |part: &&str| {
        let parts: Vec<&str> = part.split('-').collect();
        let [area, .., number] = parts.as_slice() else { return false };
        parts.len() >= 3
            && area.len() == 2
            && area.bytes().all(|byte| byte.is_ascii_lowercase())
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    host.split('.').filter(|_| is_of_aws).find(is_region).map(str::to_owned)
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
        let place = request.uri().clone();
        let answer = service.send(request.map(|body| body.to_vec()));
        let refusal = match &answer {
            Ok(answer) if answer.status().is_success() => None,
            // It may repeat the token that it was asked with.
            Ok(answer) => Some(format!("{place} answered HTTP {}", answer.status().as_u16())),
            Err(error) => Some(error.reason()),
        };
        if refusal.is_some() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
        }
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
