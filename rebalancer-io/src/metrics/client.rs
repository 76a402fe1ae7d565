//! Metrics of the Kafka client inside a pod: lag, rate, and its partitions. They carry the pod's name, or, from the
//! OpenTelemetry agent, that of a process.

use super::members::of_the_group;
use super::otel;
use super::preset::{all_of, fresh, fresh_times, in_namespace, newest, select};
use super::settings::{KafkaPreset, QuerySettings};
use super::topic::one_spelling;
use crate::promql::duration;

/// Labels that identify a client. JMX rules write `clientid` too.
const CLIENT: &str = "namespace, pod, client_id, clientid";

/// Labels that identify a partition of a client. A pod that reads a topic in two groups has it twice.
const PARTITION: &str = "namespace, pod, topic, partition, client_id, clientid";

/// Labels that identify a topic of a client.
const TOPIC: &str = "namespace, pod, topic, client_id, clientid";

/// How an exporter inside the pod names the client's metrics.
pub(super) struct Client {
    /// Whether it is the agent, whose series name no pod.
    pub(super) is_agent: bool,
    pub(super) lag: &'static str,
    lead: &'static str,
    /// Its counter, under each name that versions of the exporter use.
    pub(super) consumed: &'static [&'static str],
    /// Exists even at zero, so it distinguishes an idle member from a pod that is not scraped.
    pub(super) assigned: &'static str,
}

/// The names used by Micrometer.
pub(super) const MICROMETER: Client = Client {
    is_agent: false,
    lag: "kafka_consumer_fetch_manager_records_lag",
    lead: "kafka_consumer_fetch_manager_records_lead",
    consumed: &["kafka_consumer_fetch_manager_records_consumed_total"],
    assigned: "kafka_consumer_coordinator_assigned_partitions",
};

/// The JMX exporter's default names. Since 1.0 it drops `_total` from what it considers a gauge.
pub(super) const JMX_DEFAULT: Client = Client {
    is_agent: false,
    lag: "kafka_consumer_consumer_fetch_manager_metrics_records_lag",
    lead: "kafka_consumer_consumer_fetch_manager_metrics_records_lead",
    consumed: &[
        "kafka_consumer_consumer_fetch_manager_metrics_records_consumed_total",
        "kafka_consumer_consumer_fetch_manager_metrics_records_consumed",
    ],
    assigned: "kafka_consumer_consumer_coordinator_metrics_assigned_partitions",
};

/// The names used by the OpenTelemetry agent, with underscores.
pub(super) const OTEL: Client = Client {
    is_agent: true,
    lag: "kafka_consumer_records_lag",
    lead: "kafka_consumer_records_lead",
    consumed: &["kafka_consumer_records_consumed_total"],
    assigned: "kafka_consumer_assigned_partitions",
};

impl KafkaPreset {
    /// How the client inside the pod names its metrics, if the preset reads them.
    pub(super) const fn client(self) -> Option<&'static Client> {
        match self {
            Self::Micrometer | Self::KafkaExporter | Self::Kminion => Some(&MICROMETER),
            Self::JmxDefault => Some(&JMX_DEFAULT),
            Self::OtelJava => Some(&OTEL),
            Self::KafkaLagExporterIp | Self::KlagIp | Self::ClientId | Self::Kafka | Self::None => None,
        }
    }
}

impl Client {
    /// Lag by pod, as reported by its clients. `NaN` and `-1` mean unknown and are left out.
    pub(super) fn lag(&self, settings: &QuerySettings) -> String {
        if self.is_agent {
            return self.or_idle(&otel::lag(self.lag, settings), settings);
        }
        let partitions = one_spelling(PARTITION, |topic| {
            let lag = in_namespace(self.lag, topic, settings);
            newest(&format!("{lag} >= 0"), &lag, PARTITION, settings)
        });
        self.or_idle(&format!("sum by (namespace, pod) ({partitions})"), settings)
    }

    /// Messages per second by pod. If a client reports both a total and its topics, the topics count; JMX
    /// rules write both under one name.
    pub(super) fn rate(&self, settings: &QuerySettings) -> String {
        if self.is_agent {
            return self.or_idle(&otel::rate(self.consumed[0], settings), settings);
        }
        let rate = |topic: &str| {
            let rates = self.consumed.iter().map(|name| {
                let consumed = in_namespace(name, topic, settings);
                fresh(&format!("rate({consumed}[{}])", duration(settings.window)), &consumed, settings)
            });
            rates.collect::<Vec<String>>().join(" or ")
        };
        let topics = one_spelling(TOPIC, |topic| format!("max by ({TOPIC}) ({})", rate(topic)));
        let totals = rate("topic=\"\"");
        let clients = format!("sum by ({CLIENT}) ({topics}) or max by ({CLIENT}) ({totals})");
        self.or_idle(&format!("sum by (namespace, pod) ({clients})"), settings)
    }

    /// `expression` by pod, and zero for a pod whose clients are members without partitions.
    fn or_idle(&self, expression: &str, settings: &QuerySettings) -> String {
        let assigned = self.in_pods(&self.fresh(self.assigned, "", "", settings), settings);
        format!("{expression} or 0 * (sum by ({}) ({assigned}) == 0)", self.pod())
    }

    /// Number of partitions of each of the group's clients.
    pub(super) fn assigned_to_the_group(&self, settings: &QuerySettings) -> String {
        self.of_the_group(self.assigned, "", "", settings)
    }

    /// One series per partition that a client of the group fetches, of those that `labels` select, in each spelling of its
    /// topic. A partition that the client has lost stays for minutes, or is `NaN`; an unknown lag is -1.
    /// (`VictoriaMetrics` creates a series in `group` even without a value.)
    pub(super) fn owners_of(&self, labels: &str, settings: &QuerySettings) -> String {
        format!("0 * max by ({}, topic, partition) ({}) + 1", self.pod(), self.claims(labels, settings))
    }

    /// The same with all labels of the clients, and their lag.
    pub(super) fn claims(&self, labels: &str, settings: &QuerySettings) -> String {
        self.of_the_group(self.lag, labels, " >= -1", settings)
    }

    /// How far each client of the group is past the oldest message of the partitions that `labels` select.
    pub(super) fn lead(&self, labels: &str, settings: &QuerySettings) -> String {
        self.of_the_group(self.lead, labels, "", settings)
    }

    /// A zero for each partition, labelled with the one pod that fetches it for the group; the topic is
    /// spelled with underscores. If several pods claim the partition, the newest claim counts.
    pub(super) fn owner(&self, settings: &QuerySettings) -> String {
        const OWNER: &str = "namespace, pod, topic, partition";
        let selector = |client: &str| in_namespace(self.lag, client, settings);
        let claims = of_the_group(settings, selector, |client| {
            one_spelling(OWNER, |topic| {
                let lag = in_namespace(self.lag, &all_of(&[topic, client]), settings);
                format!("max by ({OWNER}) ({} and {lag} >= -1)", fresh_times(&lag, settings))
            })
        });
        format!("(0 * topk by (topic, partition) (1, {claims}))")
    }

    /// Number of partitions of each client of a pod. If two scrape jobs report a client, `max` takes one.
    pub(super) fn assigned(&self, settings: &QuerySettings) -> String {
        let mut assigned = self.assigned_to_the_group(settings);
        if !self.is_agent {
            assigned = format!(r#"label_replace({assigned}, "client_id", "$1", "clientid", "(.+)")"#);
        }
        format!("max by ({}, client_id) ({assigned})", self.pod())
    }

    /// The labels that name a pod.
    const fn pod(&self) -> &'static str {
        if self.is_agent { "pod" } else { "namespace, pod" }
    }

    /// The fresh series of `metric` that `labels` select and for which `condition` holds.
    fn fresh(&self, metric: &str, labels: &str, condition: &str, settings: &QuerySettings) -> String {
        let series = |selector: &str| fresh(&format!("{selector}{condition}"), selector, settings);
        if self.is_agent {
            otel::both(metric, labels, settings, series)
        } else {
            series(&in_namespace(metric, labels, settings))
        }
    }

    /// The same of the group's clients, by pod: see [`of_the_group`]. Not every server can match a dotted label, so with dots
    /// all clients count.
    fn of_the_group(&self, metric: &str, labels: &str, condition: &str, settings: &QuerySettings) -> String {
        let selector = |client: &str| {
            let select = if self.is_agent { select } else { in_namespace };
            self.in_pods(&select(metric, client, settings), settings)
        };
        let series = |client: &str| self.fresh(metric, &all_of(&[labels, client]), condition, settings);
        self.in_pods(&of_the_group(settings, selector, series), settings)
    }

    /// Series by the workload's pods.
    fn in_pods(&self, series: &str, settings: &QuerySettings) -> String {
        if self.is_agent { otel::with_pod(series, settings) } else { series.to_owned() }
    }
}
