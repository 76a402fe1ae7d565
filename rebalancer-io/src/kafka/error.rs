//! What can go wrong with a broker, in words that say which broker, what it said, and what to do.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use super::wire::{MAX_ANSWER_BYTES, Malformed};
use crate::prometheus::{TransportError, shortened, tls_error, tls_words};

/// A question that was not answered.
#[derive(Debug, thiserror::Error)]
#[error("Kafka at {broker}: {kind}")]
pub struct KafkaError {
    /// Address of the broker.
    pub broker: String,
    /// What happened.
    pub kind: KafkaErrorKind,
}

/// What happened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KafkaErrorKind {
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// A stop was asked for, or the time of the run is over.
    #[error("the run ended while the answer was waited for")]
    Stopped,
    /// The connection was closed.
    #[error("the connection was closed before the answer was complete{}", hint(.0))]
    Closed(&'static str),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The handshake failed.
    #[error("TLS: {0}")]
    Tls(String),
    /// The answer says it has this many bytes.
    #[error(
        "an answer of {0} bytes is announced, and no more than {max} are read: is this Kafka, and is KAFKA_TLS right?",
        max = MAX_ANSWER_BYTES
    )]
    TooLarge(u32),
    /// The answer is not one of Kafka.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// The answer is to another question.
    #[error("the answer is to another question")]
    OtherAnswer,
    /// The broker has no version of this request that is understood.
    #[error("{0}")]
    Unsupported(String),
    /// The broker refused.
    #[error("{}", refusal(*.code, .about, .said.as_deref()))]
    Refused {
        /// What it was asked about, such as `group orders`.
        about: String,
        /// Its code.
        code: i16,
        /// Its own words.
        said: Option<String>,
    },
    /// Signing in failed.
    #[error("signing in by {mechanism} failed: {reason}")]
    SignIn {
        /// The mechanism.
        mechanism: &'static str,
        /// Why.
        reason: String,
    },
    /// A credential could not be read.
    #[error(transparent)]
    Credentials(#[from] TransportError),
    /// The group is not one that is understood.
    #[error("{0}")]
    Group(String),
}

impl KafkaErrorKind {
    /// An error of the connection, which may be one of these itself; and what may explain that it was closed.
    pub(super) fn of(error: io::Error, closed: &'static str) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(kind) => return kind,
            Err(error) => error,
        };
        if let Some(tls) = tls_error(&error) {
            return Self::Tls(format!("{}{}", shortened(&tls_words(tls), MAX_WORDS), tls_advice(tls)));
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::Closed(closed),
            _ => Self::Broken(error.to_string()),
        }
    }

    /// A refusal of what was asked about.
    pub(super) fn refused(code: i16, about: impl Display, said: Option<&str>) -> Self {
        let said = said.filter(|text| !text.is_empty()).map(|text| shortened(text, MAX_WORDS));
        Self::Refused { about: quoted(&about.to_string()), code, said }
    }

    pub(super) fn at(self, broker: impl Display) -> KafkaError {
        KafkaError { broker: broker.to_string(), kind: self }
    }
}

/// An error where the code of an answer is that of one.
pub(super) fn accepted(code: i16, about: impl Display, said: Option<&str>) -> Result<(), KafkaErrorKind> {
    if code == 0 { Ok(()) } else { Err(KafkaErrorKind::refused(code, about, said)) }
}

/// Longest quotation of a broker, in characters.
const MAX_WORDS: usize = 200;

/// Words of a broker, shortened.
pub(super) fn quoted(words: &str) -> String {
    shortened(words, MAX_WORDS)
}

/// What to do about a TLS error, if its own words do not say.
const fn tls_advice(error: &rustls::Error) -> &'static str {
    use rustls::{AlertDescription as Alert, CertificateError as Certificate, Error};
    match error {
        Error::InvalidCertificate(Certificate::UnknownIssuer) => {
            ": name the authority of the brokers in KAFKA_CA_FILE"
        }
        Error::InvalidMessage(_) => ": is this a listener with TLS?",
        Error::AlertReceived(
            Alert::CertificateRequired | Alert::BadCertificate | Alert::HandshakeFailure,
        ) => ": does the listener ask for a certificate (KAFKA_CLIENT_CERT)?",
        _ => "",
    }
}

fn hint(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(": {words}") }
}

fn refusal(code: i16, about: &str, said: Option<&str>) -> String {
    let (name, advice) = meaning(code, about);
    let name = name.map_or_else(|| format!("error {code}"), |name| format!("{name} ({code})"));
    let said = said.map(|text| format!(", \"{text}\"")).unwrap_or_default();
    let advice = advice.map(|text| format!(": {text}")).unwrap_or_default();
    format!("{about}: {name}{said}{advice}")
}

const MOVING: &str = "the cluster is moving it to another broker; the next run asks again";

/// Kafka's name of an error, and what to do about it.
fn meaning(code: i16, about: &str) -> (Option<&'static str>, Option<&'static str>) {
    let (name, advice) = match code {
        3 => ("UNKNOWN_TOPIC_OR_PARTITION", "there is none, or the user needs Describe on it"),
        5 => ("LEADER_NOT_AVAILABLE", "the partition has no leader now"),
        6 => ("NOT_LEADER_OR_FOLLOWER", MOVING),
        7 => ("REQUEST_TIMED_OUT", "the broker took too long"),
        14 => ("COORDINATOR_LOAD_IN_PROGRESS", MOVING),
        15 => ("COORDINATOR_NOT_AVAILABLE", "the group has no coordinator now; the next run asks again"),
        16 => ("NOT_COORDINATOR", MOVING),
        24 => ("INVALID_GROUP_ID", "KAFKA_GROUP is no name of a group"),
        29 => (
            "TOPIC_AUTHORIZATION_FAILED",
            "not authorised: the user needs Describe on every topic that the group reads",
        ),
        30 => ("GROUP_AUTHORIZATION_FAILED", "not authorised: the user needs Describe on it"),
        31 => ("CLUSTER_AUTHORIZATION_FAILED", "not authorised"),
        33 => ("UNSUPPORTED_SASL_MECHANISM", "set KAFKA_SASL_MECHANISM to one that the listener has"),
        34 => ("ILLEGAL_SASL_STATE", "the listener asks for no sign-in: unset KAFKA_SASL_MECHANISM"),
        35 => ("UNSUPPORTED_VERSION", "the broker does not have this version of the request"),
        58 if about.ends_with("OAUTHBEARER") => {
            ("SASL_AUTHENTICATION_FAILED", "is the token in KAFKA_TOKEN_FILE right, and still valid?")
        }
        58 if about.ends_with("AWS_MSK_IAM") => (
            "SASL_AUTHENTICATION_FAILED",
            "may this identity do kafka-cluster:Connect, and is it still valid?",
        ),
        58 => ("SASL_AUTHENTICATION_FAILED", "are KAFKA_USERNAME and KAFKA_PASSWORD right?"),
        69 => ("GROUP_ID_NOT_FOUND", "there is no such group"),
        72 => ("LISTENER_NOT_FOUND", "the leader has no listener of the name of this one"),
        78 => ("OFFSET_NOT_AVAILABLE", MOVING),
        _ => return (None, None),
    };
    (Some(name), Some(advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_who_refused_what_and_what_to_do() {
        let error = KafkaErrorKind::refused(30, "group orders", None).at("kafka-0:9092");
        assert_eq!(
            error.to_string(),
            "Kafka at kafka-0:9092: group orders: GROUP_AUTHORIZATION_FAILED (30): not authorised: the user needs \
             Describe on it"
        );
        for (mechanism, advice) in [
            ("AWS_MSK_IAM", "kafka-cluster:Connect"),
            ("OAUTHBEARER", "KAFKA_TOKEN_FILE"),
            ("PLAIN", "KAFKA_USERNAME"),
        ] {
            let said = KafkaErrorKind::refused(58, format!("signing in by {mechanism}"), None).to_string();
            assert!(said.contains(advice), "{said}");
        }
        let error = KafkaErrorKind::refused(999, "topic a", Some("no\u{1b}[2J")).at("k");
        assert_eq!(error.to_string(), "Kafka at k: topic a: error 999, \"no\\u{1b}[2J\"");
    }
}
