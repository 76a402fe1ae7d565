//! Identities of clouds: a metrics server that checks each request as the cloud's own would, and token services
//! on this machine.

use std::fs;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rebalancer_io::metrics::{MetricQuery, MetricsSource as _};
use rebalancer_io::prometheus::{
    Auth, AwsIdentity, Identity, Method, PrometheusClient, QueryError, Variables, azure_identity,
    google_identity,
};
use ring::digest::{SHA256, digest};
use ring::hmac::{HMAC_SHA256, Key, sign};
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;

use super::stub::{ONE_POD, Piece, Request, Stub, json, reply};

/// The credentials of AWS' own examples; not real ones.
const ACCESS_KEY: &str = "AKIDEXAMPLE";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn variables(given: &[(&str, &str)]) -> Variables {
    given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn ask(stub: &Stub, identity: &Arc<dyn Identity>, method: Method) -> Result<usize, QueryError> {
    let mut config = stub.config();
    config.auth = Auth::Identity(Arc::clone(identity));
    config.method = method;
    config.headers = vec!["X-Scope-OrgID:  a tenant ".parse().expect("a header")];
    let client = PrometheusClient::new(&config).expect("a client");
    let at = Timestamp::from_millisecond(1_795_410_000_619).expect("a time");
    client.instant(&MetricQuery::new("cpu", "sum by (pod) (up{a=\"b c+ü\"})"), at).map(|answer| answer.len())
}

/// What a signature of version 4 signs, by AWS' description of it.
struct Signed<'a> {
    method: &'a str,
    path: &'a str,
    /// Pairs as they stand in the address, sorted.
    query: &'a str,
    /// A line each, sorted by name.
    headers: &'a str,
    names: &'a str,
    body_hash: &'a str,
    /// Date, region and service.
    scope: [&'a str; 3],
    at: &'a str,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<String>>().concat()
}

fn signature(secret_key: &str, signed: &Signed<'_>) -> String {
    let Signed { method, path, query, headers, names, body_hash, scope, at } = signed;
    let request = format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{body_hash}");
    let hash = hex(digest(&SHA256, request.as_bytes()).as_ref());
    let text = format!("AWS4-HMAC-SHA256\n{at}\n{}/aws4_request\n{hash}", scope.join("/"));
    let mut key = format!("AWS4{secret_key}").into_bytes();
    for part in scope.iter().chain(&["aws4_request"]) {
        key = sign(&Key::new(HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec();
    }
    hex(sign(&Key::new(HMAC_SHA256, &key), text.as_bytes()).as_ref())
}

/// Of AWS' published test suite for signatures: `get-vanilla`, `get-vanilla-query-order-key-case` and
/// `post-header-key-sort`.
#[test]
fn the_signatures_that_aws_published_are_found_here() {
    let vanilla = Signed {
        method: "GET",
        path: "/",
        query: "",
        headers: "host:example.amazonaws.com\nx-amz-date:20150830T123600Z\n",
        names: "host;x-amz-date",
        body_hash: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        scope: ["20150830", "us-east-1", "service"],
        at: "20150830T123600Z",
    };
    let expected = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
    assert_eq!(signature(SECRET_KEY, &vanilla), expected);
    let ordered = Signed { query: "Param1=value1&Param2=value2", ..vanilla };
    let expected = "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500";
    assert_eq!(signature(SECRET_KEY, &ordered), expected);
    let posted = Signed {
        method: "POST",
        query: "",
        headers: "host:example.amazonaws.com\nmy-header1:value1\nx-amz-date:20150830T123600Z\n",
        names: "host;my-header1;x-amz-date",
        ..ordered
    };
    let expected = "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c";
    assert_eq!(signature(SECRET_KEY, &posted), expected);
}

/// The signature that a request carries, and the one that it must carry.
fn signatures(request: &Request, region: &str, service: &str) -> (String, String) {
    let header = |name: &str| request.header(name).unwrap_or_else(|| panic!("no {name}: {request:?}"));
    let authorization = header("authorization");
    let part = |name: &str| {
        let (_, rest) =
            authorization.split_once(name).unwrap_or_else(|| panic!("no {name}: {authorization}"));
        rest.split(',').next().expect("a part").to_owned()
    };
    let (names, at) = (part("SignedHeaders="), header("x-amz-date"));
    assert_eq!(part("Credential="), format!("{ACCESS_KEY}/{}/{region}/{service}/aws4_request", &at[..8]));
    for needed in ["host", "x-amz-date", "x-amz-content-sha256"] {
        assert!(names.split(';').any(|name| name == needed), "{needed} is not signed: {names}");
    }
    let trimmed = |text: &str| text.split_whitespace().collect::<Vec<&str>>().join(" ");
    let headers: Vec<String> =
        names.split(';').map(|name| format!("{name}:{}\n", trimmed(header(name)))).collect();
    let headers = headers.concat();
    let mut words = request.line.split(' ');
    let (method, address) = (words.next().expect("a method"), words.next().expect("an address"));
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_unstable();
    let body_hash = hex(digest(&SHA256, request.body.as_bytes()).as_ref());
    assert_eq!(header("x-amz-content-sha256"), body_hash);
    let signed = Signed {
        method,
        path,
        query: &pairs.join("&"),
        headers: &headers,
        names: &names,
        body_hash: &body_hash,
        scope: [&at[..8], region, service],
        at,
    };
    (part("Signature="), signature(SECRET_KEY, &signed))
}

fn of_aws(
    stub: &Stub,
    region: Option<&str>,
    service: Option<&str>,
    given: &[(&str, &str)],
) -> Arc<dyn Identity> {
    let identity = AwsIdentity::new(stub.config().endpoint.host(), region, service, &variables(given));
    Arc::new(identity.expect("a region"))
}

#[test]
fn aws_finds_every_request_signed() {
    let stub = Stub::start(|_| json(ONE_POD));
    let keys = [
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ("AWS_REGION", "eu-west-1"),
    ];
    for method in [Method::Post, Method::Get] {
        assert_eq!(ask(&stub, &of_aws(&stub, None, None, &keys), method), Ok(1));
        let (carried, right) = signatures(&stub.request(), "eu-west-1", "aps");
        assert_eq!(carried, right, "{method:?}");
    }
    let mut with_token = keys.to_vec();
    with_token.push(("AWS_SESSION_TOKEN", "session-hunter2"));
    let identity = of_aws(&stub, Some("us-east-2"), Some("execute-api"), &with_token);
    assert_eq!(ask(&stub, &identity, Method::Post), Ok(1));
    let request = stub.request();
    assert_eq!(request.header("x-amz-security-token"), Some("session-hunter2"));
    let (carried, right) = signatures(&request, "us-east-2", "execute-api");
    assert_eq!(carried, right);
    assert!(!format!("{identity:?}").contains("hunter2"));
}

#[test]
fn aws_credentials_come_from_a_profile_or_the_pod_identity_agent() {
    let stub = Stub::start(|_| json(ONE_POD));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("credentials");
    let profile = format!("[ops]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n");
    fs::write(&file, profile).expect("a profile");
    let file = file.to_str().expect("text");
    let given = [("AWS_SHARED_CREDENTIALS_FILE", file), ("AWS_PROFILE", "ops"), ("AWS_REGION", "eu-west-1")];
    assert_eq!(ask(&stub, &of_aws(&stub, None, None, &given), Method::Post), Ok(1));
    let (carried, right) = signatures(&stub.request(), "eu-west-1", "aps");
    assert_eq!(carried, right);

    let body = format!(
        r#"{{"AccessKeyId":"{ACCESS_KEY}","SecretAccessKey":"{SECRET_KEY}","Token":"t-hunter2","Expiration":"2999-01-01T00:00:00Z"}}"#
    );
    let agent = Stub::start(move |_| json(&body));
    let token = folder.path().join("token");
    fs::write(&token, "of-the-pod").expect("a token");
    let address = format!("{}/v1/credentials", agent.address);
    let given = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", address.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.to_str().expect("text")),
        ("AWS_REGION", "eu-west-1"),
    ];
    let identity = of_aws(&stub, None, None, &given);
    for _ in 0..2 {
        assert_eq!(ask(&stub, &identity, Method::Post), Ok(1));
        let request = stub.request();
        assert_eq!(request.header("x-amz-security-token"), Some("t-hunter2"));
        let (carried, right) = signatures(&request, "eu-west-1", "aps");
        assert_eq!(carried, right);
    }
    let asked = agent.request();
    assert_eq!(
        (asked.line.as_str(), asked.header("authorization")),
        ("GET /v1/credentials HTTP/1.1\r\n", Some("of-the-pod"))
    );
    assert!(agent.is_quiet(), "the credentials are asked for once");
}

#[test]
fn without_credentials_or_a_region_nothing_is_sent() {
    let stub = Stub::start(|_| json(ONE_POD));
    let error =
        AwsIdentity::new(stub.config().endpoint.host(), None, None, &variables(&[])).expect_err("no region");
    assert!(error.contains("PROMETHEUS_AWS_REGION"), "{error}");
    let given = [("AWS_REGION", "eu-west-1"), ("AWS_EC2_METADATA_DISABLED", "true")];
    let error =
        ask(&stub, &of_aws(&stub, None, None, &given), Method::Post).expect_err("no credentials").to_string();
    assert!(error.contains("no identity from AWS") && error.contains("web identity"), "{error}");
    let refusing =
        Stub::start(|_| reply("403 Forbidden", &[], br#"{"message":"no role for hunter2-of-the-pod"}"#));
    let address = format!("{}/v1/credentials", refusing.address);
    let given = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", address.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hunter2-of-the-pod"),
    ];
    let error =
        ask(&stub, &of_aws(&stub, None, None, &given), Method::Post).expect_err("refused").to_string();
    assert!(error.contains("403") && error.contains(&address) && !error.contains("hunter2"), "{error}");
    assert!(stub.is_quiet(), "nothing was asked without a proof");
}

/// A token service that gives out numbered tokens.
fn tokens(lifetime: &'static str) -> Stub {
    let count = std::sync::atomic::AtomicU32::new(0);
    Stub::start(move |_| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        json(&format!(r#"{{"access_token":"token-{number}","expires_in":{lifetime},"token_type":"Bearer"}}"#))
    })
}

fn bearer(stub: &Stub, identity: &Arc<dyn Identity>) -> String {
    assert_eq!(ask(stub, identity, Method::Post), Ok(1));
    stub.request().header("authorization").expect("a token").to_owned()
}

#[test]
fn a_workload_in_azure_trades_the_token_of_its_service_account() {
    let stub = Stub::start(|_| json(ONE_POD));
    let service = tokens("\"3599\"");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    fs::write(&file, "assertion-hunter2\n").expect("a token");
    let given = [
        ("AZURE_TENANT_ID", "a tenant"),
        ("AZURE_CLIENT_ID", "client-1"),
        ("AZURE_AUTHORITY_HOST", service.address.as_str()),
        ("AZURE_FEDERATED_TOKEN_FILE", file.to_str().expect("text")),
    ];
    let identity: Arc<dyn Identity> = Arc::new(azure_identity(&variables(&given)).expect("complete"));
    assert_eq!([bearer(&stub, &identity), bearer(&stub, &identity)], ["Bearer token-0", "Bearer token-0"]);
    let asked = service.request();
    assert_eq!(asked.line, "POST /a%20tenant/oauth2/v2.0/token HTTP/1.1\r\n");
    assert_eq!(
        asked.body,
        "client_id=client-1&scope=https%3A%2F%2Fprometheus.monitor.azure.com%2F.default&grant_type=client_credentials\
         &client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer\
         &client_assertion=assertion-hunter2"
    );
    assert!(service.is_quiet(), "the token is kept");
}

#[test]
fn a_machine_in_azure_asks_for_its_own_identity_and_again_when_the_token_expires() {
    let stub = Stub::start(|_| json(ONE_POD));
    let service = tokens("60");
    let given =
        [("AZURE_POD_IDENTITY_AUTHORITY_HOST", service.address.as_str()), ("AZURE_CLIENT_ID", "client-1")];
    let identity: Arc<dyn Identity> = Arc::new(azure_identity(&variables(&given)).expect("complete"));
    assert_eq!([bearer(&stub, &identity), bearer(&stub, &identity)], ["Bearer token-0", "Bearer token-1"]);
    let asked = service.request();
    let path = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fprometheus.monitor.azure.com&client_id=client-1";
    assert_eq!(asked.line, format!("GET {path} HTTP/1.1\r\n"));
    assert_eq!(asked.header("metadata"), Some("true"));
}

#[test]
fn a_refusal_is_told_in_the_services_own_words_without_the_secret() {
    let stub = Stub::start(|_| json(ONE_POD));
    let refusals: [(&'static str, &'static str, &str); 4] = [
        (
            "401 Unauthorized",
            r#"{"error":"invalid_client","error_description":"AADSTS7000215: the secret secret-hunter2 is not right"}"#,
            "HTTP 401: AADSTS7000215: the secret ************** is not right",
        ),
        ("400 Bad Request", r#"{"error":"invalid_scope"}"#, "HTTP 400: invalid_scope"),
        ("502 Bad Gateway", "<html>secret-hunter2</html>", "HTTP 502: <html>**************</html>"),
        (
            "200 OK",
            r#"{"access_token":"secret-hunter2"}"#,
            "HTTP 200, and no token with a lifetime in the answer",
        ),
    ];
    for (status, body, words) in refusals {
        let service = Stub::start(move |_| reply(status, &[], body.as_bytes()));
        let given = [
            ("AZURE_TENANT_ID", "tenant"),
            ("AZURE_CLIENT_ID", "client-1"),
            ("AZURE_CLIENT_SECRET", "secret-hunter2"),
            ("AZURE_AUTHORITY_HOST", service.address.as_str()),
        ];
        let identity: Arc<dyn Identity> = Arc::new(azure_identity(&variables(&given)).expect("complete"));
        let error = ask(&stub, &identity, Method::Post).expect_err("refused").to_string();
        let expected =
            format!("no identity from Azure: {}/tenant/oauth2/v2.0/token: {words}", service.address);
        assert!(error.contains(&expected), "{error}\n{expected}");
        assert!(!format!("{error} {identity:?}").contains("hunter2"));
    }
    let gone = Stub::start(|_| vec![Piece::Bytes(Vec::new())]);
    let given = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", gone.address.as_str())];
    let identity: Arc<dyn Identity> = Arc::new(azure_identity(&variables(&given)).expect("complete"));
    ask(&stub, &identity, Method::Post).expect_err("the connection was closed");
    assert!(stub.is_quiet(), "nothing was asked without a proof");
    for half in [&[("AZURE_TENANT_ID", "t")][..], &[("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c")]] {
        azure_identity(&variables(half)).expect_err("half an identity");
    }
}

#[test]
fn a_pod_in_google_cloud_asks_the_metadata_service() {
    let stub = Stub::start(|_| json(ONE_POD));
    let service = tokens("3599");
    let host = service.address.trim_start_matches("http://");
    let identity: Arc<dyn Identity> =
        Arc::new(google_identity(&variables(&[("GCE_METADATA_HOST", host)])).expect("an identity"));
    assert_eq!([bearer(&stub, &identity), bearer(&stub, &identity)], ["Bearer token-0", "Bearer token-0"]);
    let asked = service.request();
    let path = "/computeMetadata/v1/instance/service-accounts/default/token?scopes=https://www.googleapis.com/auth/monitoring.read";
    assert_eq!(asked.line, format!("GET {path} HTTP/1.1\r\n"));
    assert_eq!(asked.header("metadata-flavor"), Some("Google"));
}

#[test]
fn a_service_account_of_google_signs_its_claim() {
    let stub = Stub::start(|_| json(ONE_POD));
    let service = tokens("3599");
    let folder = tempfile::tempdir().expect("a folder");
    let pem = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/identity/rsa-key.pem"))
        .expect("a key of the tests");
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).expect("PEM");
    let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).expect("an RSA key");
    let file = folder.path().join("key.json");
    let credentials = serde_json::json!({
        "type": "service_account",
        "client_email": "rebalancer@project.iam.gserviceaccount.com",
        "private_key": pem,
        "token_uri": format!("{}/token", service.address),
    });
    fs::write(&file, credentials.to_string()).expect("a file");
    let given = [("GOOGLE_APPLICATION_CREDENTIALS", file.to_str().expect("text"))];
    let identity: Arc<dyn Identity> = Arc::new(google_identity(&variables(&given)).expect("an identity"));
    assert_eq!(bearer(&stub, &identity), "Bearer token-0");
    let body = service.request().body;
    let claim = body
        .strip_prefix("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=")
        .unwrap_or_else(|| panic!("{body}"));
    let (signed, signature) = claim.rsplit_once('.').expect("a signature");
    let decoded = |text: &str| URL_SAFE_NO_PAD.decode(text).expect("base64");
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key());
    public.verify(signed.as_bytes(), &decoded(signature)).expect("the signature of the key");
    let (_, claims) = signed.split_once('.').expect("claims");
    let claims: serde_json::Value = serde_json::from_slice(&decoded(claims)).expect("JSON");
    assert_eq!(claims["iss"], "rebalancer@project.iam.gserviceaccount.com");
    assert_eq!(claims["aud"], format!("{}/token", service.address));
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/monitoring.read");
    let [from, until] = ["iat", "exp"].map(|name| claims[name].as_i64().expect("seconds"));
    assert_eq!(until - from, 3600);
}

#[test]
fn files_of_google_that_cannot_be_used_are_refused_and_not_quoted() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("key.json");
    let path = file.to_str().expect("text");
    for (text, reason) in [
        ("{\"type\": \"service_account\", \"private_key\": \"hunter2\"}", "not a file of credentials"),
        (
            "{\"type\": \"service_account\", \"client_email\": \"a\", \"private_key\": \"hunter2\"}",
            "private_key",
        ),
        (
            "{\"type\": \"external_account\", \"audience\": \"hunter2\"}",
            "neither service_account nor authorized_user",
        ),
        ("hunter2", "not a file of credentials"),
    ] {
        fs::write(&file, text).expect("a file");
        let error = google_identity(&variables(&[("GOOGLE_APPLICATION_CREDENTIALS", path)])).expect_err(text);
        assert!(error.contains(reason) && error.contains(path) && !error.contains("hunter2"), "{error}");
    }
    let gone = variables(&[("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/file")]);
    assert!(google_identity(&gone).expect_err("no file").contains("/no/such/file"));
}
