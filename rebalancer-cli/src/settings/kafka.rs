//! Turns the settings of Kafka into the adapter's configuration.

use rebalancer_io::kafka::{BrokerAddress, KafkaConfig, KafkaTls, Sasl, ScramHash};
use rebalancer_io::metrics::KafkaPreset;
use rebalancer_io::prometheus::{AwsCredentials, SecretSource};

use crate::cli::args::{KafkaArgs, PresetChoice, SaslMechanism};
use crate::cli::secrets;
use crate::failure::Failure;
use crate::settings::servers::{one_of, variables};

/// Whether the group is asked directly: chosen by the preset, or by the brokers where the preset is left to the program.
pub const fn is_asked(args: &KafkaArgs, preset: PresetChoice) -> bool {
    match preset {
        PresetChoice::Named(preset) => matches!(preset, KafkaPreset::Kafka),
        PresetChoice::Auto => args.kafka_bootstrap_servers.is_some(),
    }
}

/// Where Kafka is, and how to sign in.
///
/// # Errors
/// A setting that is missing, wrong, or contradicts another.
pub fn config(args: &KafkaArgs) -> Result<KafkaConfig, Failure> {
    let Some(text) = args.kafka_bootstrap_servers.as_deref() else {
        return Err(Failure::usage(
            "METRICS_PRESET=kafka needs KAFKA_BOOTSTRAP_SERVERS, which is not set: name the brokers to ask, such as \
             kafka:9092",
        ));
    };
    let named = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let servers: Result<Vec<BrokerAddress>, _> = named.map(str::parse).collect();
    let servers = servers.map_err(|error| Failure::usage(format!("KAFKA_BOOTSTRAP_SERVERS: {error}")))?;
    if servers.is_empty() {
        return Err(Failure::usage(format!("KAFKA_BOOTSTRAP_SERVERS is {text:?}: it names no broker")));
    }
    let config = KafkaConfig { servers, tls: tls(args)?, sasl: sasl(args)? };
    if let Some(server) = config.servers.iter().find(|server| !config.is_safe(server)) {
        let mechanism = config.sasl.as_ref().map_or("SASL", Sasl::mechanism);
        return Err(Failure::usage(format!(
            "KAFKA_SASL_MECHANISM={mechanism} would send the secret to {server} unencrypted: set KAFKA_TLS=true"
        )));
    }
    Ok(config)
}

fn tls(args: &KafkaArgs) -> Result<Option<KafkaTls>, Failure> {
    let client = match (&args.kafka_client_cert, &args.kafka_client_key) {
        (None, None) => None,
        (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
        _ => return Err(Failure::usage("KAFKA_CLIENT_CERT and KAFKA_CLIENT_KEY are only of use together")),
    };
    if !args.kafka_tls && (client.is_some() || args.kafka_ca_file.is_some()) {
        return Err(Failure::usage(
            "certificates for Kafka are set, and KAFKA_TLS is not: set KAFKA_TLS=true",
        ));
    }
    Ok(args.kafka_tls.then(|| KafkaTls { ca_file: args.kafka_ca_file.clone(), client }))
}

fn sasl(args: &KafkaArgs) -> Result<Option<Sasl>, Failure> {
    let password =
        one_of((secrets::KAFKA_PASSWORD, args.kafka_password_file.as_ref()), "KAFKA_PASSWORD_FILE")?;
    let Some(mechanism) = args.kafka_sasl_mechanism else {
        let is_unused =
            password.is_some() || args.kafka_username.is_some() || args.kafka_token_file.is_some();
        return if is_unused {
            Err(Failure::usage("credentials for Kafka are set, and KAFKA_SASL_MECHANISM is not"))
        } else {
            Ok(None)
        };
    };
    if mechanism == SaslMechanism::AwsMskIam {
        return Ok(Some(Sasl::AwsMskIam(AwsCredentials::new(variables()))));
    }
    if mechanism == SaslMechanism::Oauthbearer {
        let token = args.kafka_token_file.clone().map(SecretSource::File);
        let missing = || Failure::usage("KAFKA_SASL_MECHANISM=oauthbearer needs KAFKA_TOKEN_FILE");
        return Ok(Some(Sasl::OauthBearer { token: token.ok_or_else(missing)? }));
    }
    let (Some(username), Some(password)) = (args.kafka_username.clone(), password) else {
        return Err(Failure::usage(
            "KAFKA_SASL_MECHANISM is set without a user or without a password: set KAFKA_USERNAME, and \
             KAFKA_PASSWORD_FILE or KAFKA_PASSWORD",
        ));
    };
    let scram = |hash| Sasl::Scram { hash, username: username.clone(), password: password.clone() };
    Ok(Some(match mechanism {
        SaslMechanism::ScramSha256 => scram(ScramHash::Sha256),
        SaslMechanism::ScramSha512 => scram(ScramHash::Sha512),
        SaslMechanism::Plain | SaslMechanism::Oauthbearer | SaslMechanism::AwsMskIam => {
            Sasl::Plain { username, password }
        }
    }))
}
