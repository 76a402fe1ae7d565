//! The names of all variables, for the search for names that are nearly theirs: to take them from the
//! definition would need that of every command.

/// The variables that have a flag, sorted.
pub const VARIABLES: [&str; 78] = [
    "ALLOWED_CONTROLLERS",
    "ALLOW_MULTIPLE_CONTROLLERS",
    "CHURN_BUDGET",
    "CLAIM",
    "CONSUMERS_PER_POD",
    "CONTAINER",
    "COOLDOWN",
    "CPU_FLOOR",
    "CPU_VARIANCE_THRESHOLD",
    "DETAILED_EXITCODE",
    "DRY_RUN",
    "EVICTION_METHOD",
    "FUTILITY_AGE",
    "GRACE_PERIOD",
    "GUARDS",
    "KAFKA_ASSIGNOR",
    "KAFKA_GROUP",
    "KUBE_AS",
    "KUBE_CONTEXT",
    "KUBE_LABEL_SELECTOR",
    "KUBE_NAMESPACE",
    "KUBE_TIMEOUT",
    "LAG_FLOOR",
    "LAG_VARIANCE_THRESHOLD",
    "LOCAL_STORAGE",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "MAX_SAMPLE_AGE",
    "MEMORY_FLOOR",
    "METRICS_BEARER_TOKEN_FILE",
    "METRICS_CA_FILE",
    "METRICS_IMPORT_URL",
    "METRICS_PASSWORD_FILE",
    "METRICS_PRESET",
    "METRICS_PUSHGATEWAY_URL",
    "METRICS_TEXTFILE",
    "METRICS_TIMEOUT",
    "METRICS_USERNAME",
    "MIN_COVERAGE",
    "MIN_PODS_REQUIRED",
    "OUTLIER_TRIGGER",
    "OUTPUT",
    "PACING",
    "PERSISTENCE_FACTOR",
    "PERSISTENCE_PERCENT",
    "PERSISTENCE_WINDOW",
    "POD_LABEL",
    "PROMETHEUS_BEARER_TOKEN_FILE",
    "PROMETHEUS_CA_FILE",
    "PROMETHEUS_CLIENT_CERT",
    "PROMETHEUS_CLIENT_KEY",
    "PROMETHEUS_ENDPOINT",
    "PROMETHEUS_INSECURE_SKIP_TLS_VERIFY",
    "PROMETHEUS_MATCHERS",
    "PROMETHEUS_MAX_RESPONSE",
    "PROMETHEUS_METHOD",
    "PROMETHEUS_PASSWORD_FILE",
    "PROMETHEUS_QUERY_PARAMS",
    "PROMETHEUS_STRICT_PARAMS",
    "PROMETHEUS_TIMEOUT",
    "PROMETHEUS_TLS_SERVER_NAME",
    "PROMETHEUS_USERNAME",
    "QUERY_ASSIGNED_PARTITIONS",
    "QUERY_CPU",
    "QUERY_LAG",
    "QUERY_MEMORY",
    "QUERY_PARTITION_LOAD",
    "QUERY_RATE",
    "RATE_FLOOR",
    "RECORD_FILE",
    "REDACT_KEY_FILE",
    "REPORT_FILE",
    "RUN_TIMEOUT",
    "SCORE_WEIGHTS",
    "STATIC_MEMBERSHIP",
    "STRATEGY",
    "WARMUP",
    "WINDOW",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Arg;

    use super::*;
    use crate::cli::usage;

    #[test]
    fn the_names_are_those_of_the_definition() {
        let command = usage::defined();
        let arguments = command.get_subcommands().flat_map(clap::Command::get_arguments);
        let defined = arguments.filter_map(Arg::get_env).filter_map(|name| name.to_str());
        let defined: BTreeSet<&str> = defined.collect();
        let defined: Vec<&str> = defined.into_iter().collect();
        assert_eq!(VARIABLES[..], defined);
    }
}
