//! Queries a server that implements the Prometheus HTTP API, and explains failures in plain words.
//!
//! A [`PrometheusClient`] turns a query into pods and numbers. Its calls go through a [`Transport`]:
//! [`HttpTransport`] for a live server, or the recorder and the replay of [`crate::recording`].

mod auth;
mod client;
mod config;
mod decode;
mod error;
mod identity;
mod secret_source;
mod service;
mod stoppable;
mod transport;
mod words;

pub use auth::Auth;
pub use client::{MetricQuery, PrometheusClient, RequestCounts};
pub use config::{ConfigError, Endpoint, Header, Method, PrometheusConfig, Tls};
pub use decode::instant as decode_instant;
pub use decode::{LabelledSample, Point, RawSample, Sample, Samples, Series, Wanted};
pub(crate) use decode::{
    instant_by_sample as decode_instant_by_sample, labelled as decode_labelled,
    labelled_by_sample as decode_labelled_by_sample, one_a_pod, range as decode_range,
    range_by_series as decode_range_by_series, raw as decode_raw, seconds,
};
pub use error::{ErrorKind, QueryError, TransportError};
pub(crate) use identity::hex;
pub use identity::{
    AwsCredentials, AwsIdentity, Identity, TokenIdentity, Variables, azure_identity, google_identity,
};
pub use secrecy::SecretString;
pub use secret_source::SecretSource;
pub use service::ServiceProblem;
pub use stoppable::StoppableTransport;
pub use transport::{ApiRequest, ApiResponse, HttpTransport, Server, TimeRange, Transport, When};

pub(crate) use transport::{Calls, GRACE, Params, proxy_for, root_certs};
pub(crate) use words::{cause, shortened, tls_error, tls_words, words};
