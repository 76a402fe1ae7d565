//! Secret settings. They are environment variables without a flag, because flags are visible in process lists
//! and pod specs.

/// A secret setting.
#[derive(Debug, Clone, Copy)]
pub struct Secret {
    /// The environment variable.
    pub variable: &'static str,
    /// What it is, for the configuration table.
    pub help: &'static str,
}

/// Bearer token of the metrics server.
pub const BEARER_TOKEN: Secret = secret("PROMETHEUS_BEARER_TOKEN", "Bearer token for the metrics server");
/// Password of basic authentication.
pub const PASSWORD: Secret = secret("PROMETHEUS_PASSWORD", "Password for basic authentication");
/// Extra headers.
pub const HEADERS: Secret =
    secret("PROMETHEUS_HEADERS", "Extra headers, one on each line, such as `X-Scope-OrgID: tenant`");
/// Password for the brokers of Kafka.
pub const KAFKA_PASSWORD: Secret = secret("KAFKA_PASSWORD", "Password of KAFKA_USERNAME");
/// Bearer token for pushing metrics.
pub const METRICS_BEARER_TOKEN: Secret =
    secret("METRICS_BEARER_TOKEN", "Bearer token for the Pushgateway or VictoriaMetrics");
/// Password for pushing metrics.
pub const METRICS_PASSWORD: Secret = secret("METRICS_PASSWORD", "Password of METRICS_USERNAME");
/// Address of the webhook.
pub const WEBHOOK_URL: Secret = secret(
    "WEBHOOK_URL",
    "Address of the webhook, which gets one POST for each run; anyone who knows it can post there",
);

const fn secret(variable: &'static str, help: &'static str) -> Secret {
    Secret { variable, help }
}

/// All secret settings.
pub const ALL: [Secret; 7] =
    [BEARER_TOKEN, PASSWORD, HEADERS, KAFKA_PASSWORD, METRICS_BEARER_TOKEN, METRICS_PASSWORD, WEBHOOK_URL];

impl Secret {
    /// The value; an empty variable counts as unset.
    pub fn value(self) -> Option<String> {
        std::env::var(self.variable).ok().filter(|value| !value.trim().is_empty())
    }

    /// Whether it is set to bytes that are not UTF-8, which [`Secret::value`] treats as unset.
    pub fn is_garbled(self) -> bool {
        std::env::var_os(self.variable).is_some_and(|value| value.to_str().is_none())
    }

    /// Whether there is a value.
    pub fn is_set(self) -> bool {
        self.value().is_some()
    }
}
