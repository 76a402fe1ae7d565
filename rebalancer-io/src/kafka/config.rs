//! Where Kafka is, and how to sign in.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::pem::{self, PemError, PemFile};
use crate::prometheus::{AwsCredentials, SecretSource};

/// The port of a broker whose address names none.
const PORT: u16 = 9092;

/// Where Kafka is, and how to sign in.
#[derive(Debug, Clone)]
pub struct KafkaConfig {
    /// The brokers to begin with; the cluster tells of the others.
    pub servers: Vec<BrokerAddress>,
    /// How connections are encrypted; `None` if they are not.
    pub tls: Option<KafkaTls>,
    /// How to sign in; `None` where the listener asks nobody.
    pub sasl: Option<Sasl>,
}

impl KafkaConfig {
    /// Whether nobody can read along at this broker; nor does that matter where no secret is sent.
    pub fn is_safe(&self, broker: &BrokerAddress) -> bool {
        let sends_secret = self.sasl.as_ref().is_some_and(Sasl::sends_secret);
        !sends_secret || self.tls.is_some() || broker.is_loopback()
    }

    /// Whether a password is proved over a connection that is not encrypted.
    pub fn proves_in_the_open(&self) -> bool {
        let proves = self.sasl.as_ref().is_some_and(|sasl| !sasl.sends_secret());
        proves && self.tls.is_none() && !self.servers.iter().all(BrokerAddress::is_loopback)
    }
}

/// Host and port of a broker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BrokerAddress {
    pub(super) host: String,
    pub(super) port: u16,
}

/// A text that is not the address of a broker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address of a broker, such as kafka:9092")]
pub struct NoBroker(String);

impl std::str::FromStr for BrokerAddress {
    type Err = NoBroker;

    /// Reads `host`, `host:port`, or an IPv6 address in brackets.
    fn from_str(text: &str) -> Result<Self, NoBroker> {
        let wrong = || NoBroker(text.to_owned());
        let text = text.trim();
        let (host, port) = match text.rsplit_once(':') {
            // The last group of an address without a port is in its brackets.
            Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| wrong())?),
            _ => (text, PORT),
        };
        let host = host.strip_prefix('[').map_or(Some(host), |host| host.strip_suffix(']'));
        let host = host.ok_or_else(wrong)?;
        let is_ip = host.parse::<std::net::Ipv6Addr>().is_ok();
        let is_name = !host.is_empty()
            && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        if port == 0 || !(is_ip || is_name) {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), port })
    }
}

impl BrokerAddress {
    /// Whether it is on this host, so that nothing sent to it leaves it.
    pub fn is_loopback(&self) -> bool {
        let ip = self.host.parse::<std::net::IpAddr>();
        ip.map_or_else(|_| self.host.eq_ignore_ascii_case("localhost"), |ip| ip.to_canonical().is_loopback())
    }
}

impl std::fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// How connections are encrypted.
#[derive(Debug, Clone, Default)]
pub struct KafkaTls {
    /// The authority of the brokers (PEM); `None` for those that browsers trust.
    pub ca_file: Option<PathBuf>,
    /// Certificate and key of the client (PEM).
    pub client: Option<(PathBuf, PathBuf)>,
}

/// How to sign in.
#[derive(Debug, Clone)]
pub enum Sasl {
    /// Name and password as they are. Only for encrypted connections, and for brokers on this host.
    Plain {
        /// The user.
        username: String,
        /// The password.
        password: SecretSource,
    },
    /// A proof of the password, which is not sent itself.
    Scram {
        /// The hash.
        hash: ScramHash,
        /// The user.
        username: String,
        /// The password.
        password: SecretSource,
    },
    /// A token of an identity provider. Only for encrypted connections, and for brokers on this host.
    OauthBearer {
        /// The token; a file is read again for each connection.
        token: SecretSource,
    },
    /// The identity of a workload or machine in AWS, for Amazon MSK. Its credentials are looked for anew for each
    /// connection. What is sent signs in whoever has it for a quarter of an hour: only for encrypted connections, and for
    /// brokers on this host.
    AwsMskIam(AwsCredentials),
}

/// The hash of SCRAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScramHash {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Sasl {
    /// Whether anyone who reads along can then sign in too.
    pub const fn sends_secret(&self) -> bool {
        !matches!(self, Self::Scram { .. })
    }

    /// The name of the mechanism.
    pub const fn mechanism(&self) -> &'static str {
        match self {
            Self::Plain { .. } => "PLAIN",
            Self::Scram { hash: ScramHash::Sha256, .. } => "SCRAM-SHA-256",
            Self::Scram { hash: ScramHash::Sha512, .. } => "SCRAM-SHA-512",
            Self::OauthBearer { .. } => "OAUTHBEARER",
            Self::AwsMskIam(_) => "AWS_MSK_IAM",
        }
    }
}

/// The variables that name the files.
const CA: &str = "KAFKA_CA_FILE";
const CERT: &str = "KAFKA_CLIENT_CERT";
const KEY: &str = "KAFKA_CLIENT_KEY";

impl KafkaTls {
    /// The configuration of a connection. Reads the files.
    pub(super) fn client_config(&self) -> Result<Arc<ClientConfig>, PemError> {
        let file = |variable, path| PemFile { variable, path };
        let authorities = match &self.ca_file {
            None => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
            Some(path) => file(CA, path).authorities()?,
        };
        let builder = pem::trusting(authorities);
        let config = match &self.client {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let pair = file(CERT, cert).with_key(file(KEY, key))?;
                builder
                    .with_client_auth_cert(pair.chain, pair.key)
                    .expect("the pair was accepted when it was read")
            }
        };
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_host_is_loopback() {
        for (address, is_loopback) in [
            ("127.0.0.1", true),
            ("127.1.2.3:9092", true),
            ("[::1]:9092", true),
            ("[::ffff:127.0.0.1]", true),
            ("localhost:9092", true),
            ("LocalHost", true),
            ("10.0.0.1", false),
            ("localhost.example", false),
            ("127.example", false),
        ] {
            let address: BrokerAddress = address.parse().expect("an address");
            assert_eq!(address.is_loopback(), is_loopback, "{address}");
        }
    }

    #[test]
    fn an_address_is_a_host_with_or_without_a_port() {
        let read = |text: &str| text.parse::<BrokerAddress>().map(|address| address.to_string());
        for (text, address) in [
            ("kafka", "kafka:9092"),
            (" kafka.shop.svc:9093", "kafka.shop.svc:9093"),
            ("10.0.0.1:1", "10.0.0.1:1"),
            ("[fd00::1]:9094", "[fd00::1]:9094"),
            ("[fd00::1]", "[fd00::1]:9092"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(address));
        }
        for text in ["", ":9092", "kafka:0", "kafka:x", "kafka:99999", "http://kafka:9092", "a b", "[fd00::1"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
