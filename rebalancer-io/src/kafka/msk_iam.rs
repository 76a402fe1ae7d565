//! The message of signing in by `AWS_MSK_IAM`: a signed request (Signature Version 4) that is never sent, as JSON.

use jiff::Timestamp;
use reqsign_aws_v4::Credential;
use ring::digest::{SHA256, digest};
use ring::hmac;
use serde_json::Value;

use crate::prometheus::hex;
use crate::secrets::form;

/// The name of the service in signatures.
const SERVICE: &str = "kafka-cluster";
const ACTION: &str = "kafka-cluster:Connect";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// For how long the signature holds, in seconds: as long as Amazon's own client asks for.
const EXPIRES_S: &str = "900";

/// The message to the broker at `host` of `region`.
pub(super) fn message(credential: &Credential, host: &str, region: &str, now: Timestamp) -> Vec<u8> {
    let at = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let scope = format!("{}/{region}/{SERVICE}/aws4_request", &at[..8]);
    let who = format!("{}/{scope}", credential.access_key_id);
    let token = credential.session_token.as_deref();
    let mut query = vec![
        ("Action", ACTION),
        ("X-Amz-Algorithm", ALGORITHM),
        ("X-Amz-Credential", &who),
        ("X-Amz-Date", &at),
        ("X-Amz-Expires", EXPIRES_S),
    ];
    query.extend(token.map(|token| ("X-Amz-Security-Token", token)));
    query.push(("X-Amz-SignedHeaders", "host"));
    let nothing = hex(digest(&SHA256, b"").as_ref());
    let request = format!("GET\n/\n{}\nhost:{host}\n\nhost\n{nothing}", form(query.iter().copied()));
    let text = format!("{ALGORITHM}\n{at}\n{scope}\n{}", hex(digest(&SHA256, request.as_bytes()).as_ref()));
    let signature = hex(signed(&signing_key(credential, &scope), &text).as_ref());
    let others = [
        ("version", "2020_10_22"),
        ("host", host),
        ("user-agent", "pod-rebalancer"),
        ("x-amz-signature", &signature),
    ];
    let message = query.into_iter().chain(others).map(|(name, value)| (name.to_lowercase(), value.into()));
    Value::Object(message.collect()).to_string().into_bytes()
}

/// The key of a day, region and service.
fn signing_key(credential: &Credential, scope: &str) -> Vec<u8> {
    let secret = format!("AWS4{}", credential.secret_access_key).into_bytes();
    scope.split('/').fold(secret, |key, part| signed(&key, part).as_ref().to_vec())
}

fn signed(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Signatures that were computed by another program.
    #[test]
    fn the_signature_is_that_of_another_implementation() {
        let at: Timestamp = "2026-11-23T05:00:00Z".parse().expect("a time");
        for (token, signature) in [
            (None, "a0e7c9097bf812c5351b497ea46b4939de9e84700addb23eb0bdb3a096a92adc"),
            (
                Some("IQoJb3JpZ2luX2VjEA+/=="),
                "ce51a4258222fa1481712cd19bec3d45f044436a32f0e01b28f26e9ec4fd4da2",
            ),
        ] {
            let credential = Credential {
                access_key_id: "AKIDEXAMPLE".to_owned(),
                secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
                session_token: token.map(str::to_owned),
                expires_in: None,
            };
            let host = "b-1.shop.abcde1.c2.kafka.eu-west-1.amazonaws.com";
            let message = message(&credential, host, "eu-west-1", at);
            let message: Value = serde_json::from_slice(&message).expect("JSON");
            assert_eq!(message["x-amz-signature"], signature);
            assert_eq!(message["x-amz-date"], "20261123T050000Z");
            assert_eq!(
                message["x-amz-credential"],
                "AKIDEXAMPLE/20261123/eu-west-1/kafka-cluster/aws4_request"
            );
            assert_eq!(message["x-amz-security-token"].as_str(), token);
        }
    }
}
