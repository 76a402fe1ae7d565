//! Certificates: an authority of one's own, a client certificate, another name, and files that do not fit.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rebalancer_io::kubernetes::{Cluster, ConnectOptions, Selector};
use rebalancer_io::metrics::{MetricQuery, MetricsSource as _};
use rebalancer_io::prometheus::{ConfigError, ErrorKind, PrometheusClient, PrometheusConfig, TransportError};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;

use super::stub::{ONE_POD, Stub, json};

/// An authority, a server that carries `name`, and the files a client needs.
struct Pki {
    folder: TempDir,
    stub: Stub,
}

impl Pki {
    fn start(name: &str, asks_for_client: bool) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority");
        let signed = |name: &str| {
            let key = KeyPair::generate().expect("a key");
            let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
            (params.signed_by(&key, &authority).expect("a certificate"), key)
        };
        let (server, server_key) = signed(name);
        let (client, client_key) = signed("client");
        let folder = tempfile::tempdir().expect("a folder");
        for (file, text) in [
            ("ca.pem", authority.pem()),
            ("client.pem", client.pem()),
            ("client.key", client_key.serialize_pem()),
            ("other.key", server_key.serialize_pem()),
        ] {
            fs::write(folder.path().join(file), text).expect("a file");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("TLS versions");
        let builder = if asks_for_client {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der().clone()).expect("a root");
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
        let config = builder.with_single_cert(vec![server.der().clone()], key).expect("a server certificate");
        Self { folder, stub: Stub::with_tls(Some(Arc::new(config)), |_| json(ONE_POD)) }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self) -> PrometheusConfig {
        let mut config = self.stub.config();
        config.tls.ca_file = Some(self.file("ca.pem"));
        config
    }
}

fn ask(config: &PrometheusConfig) -> Result<usize, ErrorKind> {
    let client = PrometheusClient::new(config).expect("a client");
    let answer = client.instant(&MetricQuery::new("cpu", "up"), Timestamp::UNIX_EPOCH);
    answer.map(|answer| answer.len()).map_err(|error| *error.kind)
}

fn is_tls_error(outcome: &Result<usize, ErrorKind>) -> bool {
    matches!(outcome, Err(ErrorKind::Transport(TransportError::Tls(_))))
}

#[test]
fn only_a_trusted_authority_is_accepted() {
    let pki = Pki::start("127.0.0.1", false);
    assert_eq!(ask(&pki.config()), Ok(1));
    let mut config = pki.stub.config();
    assert!(is_tls_error(&ask(&config)), "{:?}", ask(&config));
    config.tls.insecure_skip_verify = true;
    assert_eq!(ask(&config), Ok(1));
}

/// As `openssl req -x509` makes it: a certificate of its own that calls itself an authority.
#[test]
fn a_certificate_that_is_its_own_authority_is_refused_in_words() {
    for (is_authority, expected) in [(true, Err("(CA:TRUE)")), (false, Ok(1))] {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
        if is_authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        } else {
            params.is_ca = IsCa::ExplicitNoCa;
        }
        let key = KeyPair::generate().expect("a key");
        let own = params.self_signed(&key).expect("a certificate");
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS versions")
            .with_no_client_auth()
            .with_single_cert(vec![own.der().clone()], private)
            .expect("a server certificate");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("own.pem");
        fs::write(&file, own.pem()).expect("a file");
        let stub = Stub::with_tls(Some(Arc::new(server)), |_| json(ONE_POD));
        let mut config = stub.config();
        config.tls.ca_file = Some(file.clone());
        match (ask(&config), expected) {
            (Err(kind), Err(words)) => {
                let said = kind.to_string();
                assert!(said.contains(words) && said.contains("basicConstraints=CA:FALSE"), "{said}");
                assert!(!said.contains("Error("), "{said}");
            }
            (answer, expected) => assert_eq!(answer.ok(), expected.ok()),
        }
        let kubeconfig = folder.path().join("config");
        rebalancer_sim::apiserver::write_kubeconfig(&kubeconfig, &stub.address, "shop");
        let trusting = format!("cluster: {{certificate-authority: {}, ", file.display());
        let text = fs::read_to_string(&kubeconfig)
            .expect("a file")
            .replace("cluster: {server", &format!("{trusting}server"));
        fs::write(&kubeconfig, text).expect("a file");
        let options = ConnectOptions { kubeconfig: Some(kubeconfig), ..ConnectOptions::default() };
        let cluster = Cluster::connect(&options).expect("a kubeconfig");
        let failure = cluster
            .observer(Selector::new("a=b").expect("a selector"))
            .workload()
            .expect_err("no pods")
            .failure;
        assert_eq!(failure.message.contains("(CA:TRUE)"), is_authority, "{failure:?}");
        assert!(!failure.message.contains("Error("), "{failure:?}");
    }
}

#[test]
fn the_server_may_carry_another_name() {
    let pki = Pki::start("prometheus.internal", false);
    let mut config = pki.config();
    assert!(is_tls_error(&ask(&config)), "{:?}", ask(&config));
    config.tls.server_name = Some("prometheus.internal".into());
    assert_eq!(ask(&config), Ok(1));
    let host = pki.stub.request().header("host").map(str::to_owned);
    assert_eq!(host.as_deref(), pki.stub.address.strip_prefix("https://"), "the host stays the endpoint's");
}

#[test]
fn a_client_certificate_is_presented() {
    let pki = Pki::start("127.0.0.1", true);
    let mut config = pki.config();
    assert!(ask(&config).is_err(), "the server asks for a certificate");
    config.tls.client_cert_file = Some(pki.file("client.pem"));
    config.tls.client_key_file = Some(pki.file("client.key"));
    assert_eq!(ask(&config), Ok(1));
}

#[test]
fn files_that_do_not_fit_are_named_before_anything_is_sent() {
    let pki = Pki::start("127.0.0.1", false);
    let error = |ca: &str, cert: Option<&str>, key: Option<&str>| {
        let mut config = pki.config();
        config.tls.ca_file = Some(pki.file(ca));
        config.tls.client_cert_file = cert.map(|name| pki.file(name));
        config.tls.client_key_file = key.map(|name| pki.file(name));
        PrometheusClient::new(&config).map(drop).expect_err("a file that does not fit")
    };
    fs::write(pki.folder.path().join("text.pem"), "not a certificate").expect("a file");
    fs::write(
        pki.folder.path().join("damaged.pem"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .expect("a file");
    let cases = [
        (error("missing.pem", None, None), "PROMETHEUS_CA_FILE"),
        (error("text.pem", None, None), "PROMETHEUS_CA_FILE"),
        (error("damaged.pem", None, None), "PROMETHEUS_CA_FILE"),
        (error("client.key", None, None), "PROMETHEUS_CA_FILE"),
        (error("ca.pem", Some("text.pem"), Some("client.key")), "PROMETHEUS_CLIENT_CERT"),
        (error("ca.pem", Some("client.pem"), Some("text.pem")), "PROMETHEUS_CLIENT_KEY"),
        (error("ca.pem", Some("client.pem"), Some("other.key")), "PROMETHEUS_CLIENT_KEY"),
    ];
    for (error, variable) in cases {
        assert!(error.to_string().starts_with(variable), "{error}");
    }
    assert_eq!(error("ca.pem", Some("client.pem"), None), ConfigError::TlsPair);
}
