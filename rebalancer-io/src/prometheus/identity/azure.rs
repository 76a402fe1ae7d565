//! The identity of a workload or machine in Azure (Microsoft Entra ID), for Azure Monitor.

use std::path::PathBuf;

use http::Request;
use http::request::Parts;
use percent_encoding::utf8_percent_encode;
use secrecy::ExposeSecret as _;

use super::proof::{Identity, Variables, given};
use super::tokens::{Kept, Token, TokenService, form};
use crate::prometheus::error::TransportError;
use crate::prometheus::secret_source::SecretSource;
use crate::secrets::IN_AN_ADDRESS;

/// The service whose data is asked for: Azure Monitor's query endpoints in the cloud of this host, which are public,
/// of the government of the United States, or in China.
fn audience(host: &str) -> &'static str {
    match host.rsplit('.').next() {
        Some("us") => "https://prometheus.monitor.azure.us",
        Some("cn") => "https://prometheus.monitor.azure.cn",
        _ => "https://prometheus.monitor.azure.com",
    }
}

/// Microsoft's public cloud.
const AUTHORITY: &str = "https://login.microsoftonline.com";

/// The address at which a machine in Azure asks for its own identity.
const MACHINE: &str = "http://169.254.169.254";

/// An identity in Azure: of a workload (by a token of its `ServiceAccount`), of an application (by a secret), or of
/// the machine.
#[derive(Debug)]
pub struct AzureIdentity {
    source: Source,
    kept: Kept,
}

#[derive(Debug)]
enum Source {
    /// The token endpoint of a tenant.
    Application {
        address: String,
        client_id: String,
        proof: SecretSource,
        /// Whether the proof is a token of the `ServiceAccount`, which Kubernetes renews in its file, and not the
        /// application's secret.
        is_token: bool,
    },
    /// The machine's own endpoint, and which of its identities is meant.
    Machine { address: String, client_id: Option<String> },
}

impl AzureIdentity {
    /// The identity that the usual variables tell: `AZURE_TENANT_ID` and `AZURE_CLIENT_ID` with
    /// `AZURE_FEDERATED_TOKEN_FILE` (a workload, set by Azure's webhook) or `AZURE_CLIENT_SECRET`; without a tenant
    /// the machine's own, of which `AZURE_CLIENT_ID` chooses one. `AZURE_AUTHORITY_HOST` names another cloud.
    ///
    /// # Errors
    /// A tenant without a client, or without a token or secret.
    pub fn new(variables: &Variables) -> Result<Self, String> {
        let client_id = given(variables, "AZURE_CLIENT_ID");
        let Some(tenant) = given(variables, "AZURE_TENANT_ID") else {
            let machine = given(variables, "AZURE_POD_IDENTITY_AUTHORITY_HOST");
            let address = machine.unwrap_or_else(|| MACHINE.to_owned());
            return Ok(Self { source: Source::Machine { address, client_id }, kept: Kept::default() });
        };
        let Some(client_id) = client_id else {
            return Err("AZURE_TENANT_ID is set without AZURE_CLIENT_ID".to_owned());
        };
        let file = given(variables, "AZURE_FEDERATED_TOKEN_FILE").map(PathBuf::from);
        let is_token = file.is_some();
        let proof = match (file, given(variables, "AZURE_CLIENT_SECRET")) {
            (Some(file), _) => SecretSource::File(file),
            (None, Some(secret)) => SecretSource::Value(secret.into()),
            (None, None) => {
                return Err(
                    "AZURE_TENANT_ID is set without AZURE_FEDERATED_TOKEN_FILE or AZURE_CLIENT_SECRET".into(),
                );
            }
        };
        let host = given(variables, "AZURE_AUTHORITY_HOST").unwrap_or_else(|| AUTHORITY.to_owned());
        let tenant = utf8_percent_encode(&tenant, IN_AN_ADDRESS);
        let address = format!("{}/{tenant}/oauth2/v2.0/token", host.trim_end_matches('/'));
        let source = Source::Application { address, client_id, proof, is_token };
        Ok(Self { source, kept: Kept::default() })
    }

    fn fetch(&self, audience: &str) -> Result<Token, TransportError> {
        match &self.source {
            Source::Application { address, client_id, proof, is_token } => {
                let service = TokenService { whose: "Azure", is_local: false };
                let secret = proof.read()?;
                let secret = secret.expose_secret();
                let scope = format!("{audience}/.default");
                let mut fields = vec![
                    ("client_id", client_id.as_str()),
                    ("scope", &scope),
                    ("grant_type", "client_credentials"),
                ];
                if *is_token {
                    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                    fields.extend([("client_assertion_type", kind), ("client_assertion", secret)]);
                } else {
                    fields.push(("client_secret", secret));
                }
                let request =
                    form(address, &fields).map_err(|error| service.failed(address, error.to_string()))?;
                service.token(request, &[secret])
            }
            Source::Machine { address, client_id } => {
                let service = TokenService { whose: "Azure", is_local: true };
                let encoded = |text: &str| utf8_percent_encode(text, IN_AN_ADDRESS).to_string();
                let client =
                    client_id.as_deref().map(|id| format!("&client_id={}", encoded(id))).unwrap_or_default();
                let address = format!(
                    "{}/metadata/identity/oauth2/token?api-version=2018-02-01&resource={}{client}",
                    address.trim_end_matches('/'),
                    encoded(audience)
                );
                let request = Request::get(&address).header("Metadata", "true").body(Vec::new());
                service.token(request.map_err(|error| service.failed(&address, error.to_string()))?, &[])
            }
        }
    }
}

impl Identity for AzureIdentity {
    fn prove(&self, request: &mut Parts, _: &[u8]) -> Result<(), TransportError> {
        let audience = audience(request.uri.host().unwrap_or_default());
        self.kept.prove(request, || self.fetch(audience))
    }
}

#[cfg(test)]
mod tests {
    use super::audience;

    #[test]
    fn the_audience_is_that_of_the_cloud_of_the_endpoint() {
        for (host, found) in [
            ("shop-ab12.eastus.prometheus.monitor.azure.com", "https://prometheus.monitor.azure.com"),
            ("shop-ab12.usgovvirginia.prometheus.monitor.azure.us", "https://prometheus.monitor.azure.us"),
            ("shop-ab12.chinanorth3.prometheus.monitor.azure.cn", "https://prometheus.monitor.azure.cn"),
            ("127.0.0.1", "https://prometheus.monitor.azure.com"),
        ] {
            assert_eq!(audience(host), found, "{host}");
        }
    }
}
