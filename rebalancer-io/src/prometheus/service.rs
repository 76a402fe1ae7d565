//! What is in the way where the API server is asked to hand a query on to a Service.

use thiserror::Error;

/// Why the API server did not hand a request on to the Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ServiceProblem {
    /// The Service does not exist.
    #[error("there is no such Service")]
    Absent,
    /// Nothing is behind it, or nothing at this port.
    #[error("no pod that is Ready is behind the Service")]
    NoEndpoints,
    /// The API server does not know who asks.
    #[error("the API server does not accept the credentials")]
    Unauthorized,
    /// Who asks may not use the proxy.
    #[error("the API server's proxy to Services is forbidden")]
    Forbidden,
    /// The API server got no answer from behind the Service.
    #[error("the API server cannot reach what is behind the Service")]
    Unreachable,
}

impl ServiceProblem {
    /// What to do about it, in words that end a message.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Absent => "correct PROMETHEUS_ENDPOINT: kube:NAMESPACE/SERVICE:PORT",
            Self::NoEndpoints => {
                "see whether the pods of the metrics server run and are Ready, and whether the Service has this port"
            }
            Self::Unauthorized => "sign in again, or choose another context",
            Self::Forbidden => {
                "grant get on services/proxy in the namespace of the Service, and create for long queries; or give \
                 an address that this machine reaches as PROMETHEUS_ENDPOINT"
            }
            Self::Unreachable => {
                "see whether the metrics server runs, whether the port is right (https:SERVICE:PORT for TLS), and \
                 whether a network policy lets the API server reach it"
            }
        }
    }
}
