//! Asks a server that speaks the Prometheus HTTP API, and says plainly what went wrong when it did.
//!
//! A [`PrometheusClient`] turns a query into pods and numbers; what carries its calls is a
//! [`Transport`]: [`HttpTransport`] for a live server, the recorder and the replay of
//! [`crate::recording`] around it.

mod auth;
mod client;
mod config;
mod decode;
mod error;
mod query;
mod stoppable;
mod transport;
mod words;

pub use auth::{Auth, SecretSource};
pub use client::{PrometheusClient, RequestCounts};
pub use config::{ConfigError, Endpoint, Header, Method, PrometheusConfig, Tls};
pub use decode::{
    Counts, InstantAnswer, LabelledAnswer, LabelledSample, Point, RangeAnswer, RawSample, Sample, Samples,
    Series, Wanted,
};
pub(crate) use decode::{Sink, instant_into};
pub use decode::{instant as decode_instant, labelled as decode_labelled, range as decode_range};
pub use error::{ErrorKind, QueryError, TransportError};
pub use query::MetricQuery;
pub use secrecy::SecretString;
pub use stoppable::StoppableTransport;
pub use transport::{ApiRequest, ApiResponse, HttpTransport, Transport, When};

pub(crate) use transport::{proxy_for, tls_config};
pub(crate) use words::{cause, tls_error, tls_words, words};
