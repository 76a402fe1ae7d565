//! The identity of a workload or machine in Azure (Microsoft Entra ID), for Azure Monitor.

use std::path::PathBuf;

use percent_encoding::utf8_percent_encode;
use secrecy::ExposeSecret as _;

use super::proof::{Variables, given};
use super::tokens::{TokenIdentity, TokenService};
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
///
/// It is the one that the usual variables tell: `AZURE_TENANT_ID` and `AZURE_CLIENT_ID` with
/// `AZURE_FEDERATED_TOKEN_FILE` (a workload, set by Azure's webhook) or `AZURE_CLIENT_SECRET`; without a tenant
/// the machine's own, of which `AZURE_CLIENT_ID` chooses one. `AZURE_AUTHORITY_HOST` names another cloud.
///
/// # Errors
/// A tenant without a client, or without a token or secret.
pub fn azure_identity(variables: &Variables) -> Result<TokenIdentity, String> {
    let client_id = given(variables, "AZURE_CLIENT_ID");
    match (given(variables, "AZURE_TENANT_ID"), client_id) {
        (Some(tenant), Some(client_id)) => of_an_application(variables, &tenant, client_id),
        (Some(_), None) => Err("AZURE_TENANT_ID is set without AZURE_CLIENT_ID".to_owned()),
        (None, client_id) => Ok(of_the_machine(variables, client_id.as_deref())),
    }
}

/// The identity by the token endpoint of a tenant.
fn of_an_application(
    variables: &Variables,
    tenant: &str,
    client_id: String,
) -> Result<TokenIdentity, String> {
    let file = given(variables, "AZURE_FEDERATED_TOKEN_FILE").map(PathBuf::from);
    // Whether the proof is a token of the ServiceAccount, which Kubernetes renews in its file, and not the application's secret.
    let is_token = file.is_some();
    let secret = || given(variables, "AZURE_CLIENT_SECRET").map(|secret| SecretSource::Value(secret.into()));
    let proof = file
        .map(SecretSource::File)
        .or_else(secret)
        .ok_or("AZURE_TENANT_ID is set without AZURE_FEDERATED_TOKEN_FILE or AZURE_CLIENT_SECRET")?;
    let host = given(variables, "AZURE_AUTHORITY_HOST").unwrap_or_else(|| AUTHORITY.to_owned());
    let tenant = utf8_percent_encode(tenant, IN_AN_ADDRESS);
    let address = format!("{}/{tenant}/oauth2/v2.0/token", host.trim_end_matches('/'));
    let service = TokenService { whose: "Azure", is_local: false };
    Ok(TokenIdentity::new(service, move |service, server| {
        let secret = proof.read()?;
        let secret = secret.expose_secret();
        let scope = format!("{}/.default", audience(server));
        let mut fields =
            vec![("client_id", client_id.as_str()), ("scope", &scope), ("grant_type", "client_credentials")];
        if is_token {
            let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
            fields.extend([("client_assertion_type", kind), ("client_assertion", secret)]);
        } else {
            fields.push(("client_secret", secret));
        }
        service.form(&address, &fields, &[secret])
    }))
}

/// The identity by the machine's own endpoint; `client_id` says which of its identities is meant.
fn of_the_machine(variables: &Variables, client_id: Option<&str>) -> TokenIdentity {
    let host = given(variables, "AZURE_POD_IDENTITY_AUTHORITY_HOST").unwrap_or_else(|| MACHINE.to_owned());
    let encoded = |text: &str| utf8_percent_encode(text, IN_AN_ADDRESS).to_string();
    let client = client_id.map(|id| format!("&client_id={}", encoded(id))).unwrap_or_default();
    let service = TokenService { whose: "Azure", is_local: true };
    TokenIdentity::new(service, move |service, server| {
        let address = format!(
            "{}/metadata/identity/oauth2/token?api-version=2018-02-01&resource={}{client}",
            host.trim_end_matches('/'),
            encoded(audience(server))
        );
        service.get(&address, "Metadata", "true")
    })
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
