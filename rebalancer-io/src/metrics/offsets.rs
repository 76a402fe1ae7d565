//! The queries about the past of the group's partitions: their offsets from exporters and clients, who owned
//! them, and what other groups have committed for them.
//!
//! A range answer has one label, that of the pod. So topic, partition and the rest are combined in it: see
//! [`Place`].

use std::collections::{BTreeMap, BTreeSet};

use rebalancer_core::OffsetKind;

use super::kafka::{partitions_by_client, partitions_by_pod_ip};
use super::kafka_direct;
use super::origin::MEMBER;
use super::otel;
use super::preset::{all_of, fresh, select};
use super::settings::{KafkaPreset, QuerySettings};
use crate::prometheus::MetricQuery;
use crate::promql::{literal, regex};

/// Separates the parts of a [`Place`]. No topic, number or pod contains it.
const BETWEEN: char = '/';

/// What is queried for each partition over a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Past {
    /// An offset.
    Offset(OffsetKind),
    /// Which pods owned it.
    Owners,
    /// For how many seconds it was watched, where the group itself was asked.
    Watched,
}

impl Past {
    pub(crate) const ALL: [Self; 6] = [
        Self::Offset(OffsetKind::Committed),
        Self::Offset(OffsetKind::End),
        Self::Offset(OffsetKind::Start),
        Self::Offset(OffsetKind::Lead),
        Self::Owners,
        Self::Watched,
    ];

    /// Name of the query, in messages and recordings.
    const fn name(self, span: Span) -> &'static str {
        match (self, span) {
            (Self::Offset(OffsetKind::Committed), Span::Hour) => "offset_committed",
            (Self::Offset(OffsetKind::End), Span::Hour) => "offset_end",
            (Self::Offset(OffsetKind::Start), Span::Hour) => "offset_start",
            (Self::Offset(OffsetKind::Lead), Span::Hour) => "offset_lead",
            (Self::Owners, Span::Hour) => "offset_owners",
            (Self::Offset(OffsetKind::Committed), Span::Day) => "offset_committed_day",
            (Self::Offset(OffsetKind::End), Span::Day) => "offset_end_day",
            (Self::Offset(OffsetKind::Start), Span::Day) => "offset_start_day",
            (Self::Offset(OffsetKind::Lead), Span::Day) => "offset_lead_day",
            (Self::Owners, Span::Day) => "offset_owners_day",
            (Self::Watched, _) => "offset_watched",
        }
    }
}

impl Past {
    const fn asked_of_kafka(self) -> Option<&'static str> {
        match self {
            Self::Offset(OffsetKind::Committed) => Some(kafka_direct::COMMITTED),
            Self::Offset(OffsetKind::End) => Some(kafka_direct::END),
            Self::Offset(OffsetKind::Start) => Some(kafka_direct::START),
            Self::Offset(OffsetKind::Lead) => None,
            Self::Owners => Some(kafka_direct::OFFSET_OWNERS),
            Self::Watched => Some(kafka_direct::WATCHED),
        }
    }
}

/// The range of a query: an hour for all partitions, or a day for a few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    Hour,
    Day,
}

/// Names of the queries over an hour.
pub(crate) const COMMITTED: &str = Past::Offset(OffsetKind::Committed).name(Span::Hour);
pub(crate) const END: &str = Past::Offset(OffsetKind::End).name(Span::Hour);
pub(crate) const START: &str = Past::Offset(OffsetKind::Start).name(Span::Hour);
pub(crate) const LEAD: &str = Past::Offset(OffsetKind::Lead).name(Span::Hour);
pub(crate) const OWNED: &str = Past::Owners.name(Span::Hour);

/// Names of the other queries.
const ELSEWHERE: &str = "offset_elsewhere";
pub(crate) const REBALANCE: &str = "group_in_rebalance";
const WATCH_NEEDED: &str = "offset_watch_needed";

/// The content of a series' label: the partition, then the group or the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: u32,
    /// The group or the pod; empty if there is none.
    pub(crate) of: &'a str,
}

impl<'a> Place<'a> {
    /// Parses a label; `None` if it does not begin with a topic and a number.
    pub(crate) fn parse(label: &'a str) -> Option<Self> {
        let mut parts = label.splitn(3, BETWEEN);
        let (topic, partition) = (parts.next()?, parts.next()?.parse().ok()?);
        (!topic.is_empty()).then(|| Self { topic, partition, of: parts.next().unwrap_or_default() })
    }
}

/// The partitions of a query that is not about all: topic and number.
pub(crate) type Few = BTreeSet<(String, u32)>;

/// The queries of a live run, or the recorded ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OffsetQueries {
    Live(Box<QuerySettings>),
    Recorded(BTreeMap<&'static str, MetricQuery>),
}

impl OffsetQueries {
    /// Name of the query for the number of partitions.
    pub(crate) const COUNT: &str = "offset_partitions";

    /// The queries of a recorded run: `promql` returns the query recorded under a name, `None` if there was
    /// none.
    pub(super) fn recorded<'r>(promql: impl Fn(&str) -> Option<&'r str>) -> Self {
        let ranges = Past::ALL.into_iter().flat_map(|past| [past.name(Span::Hour), past.name(Span::Day)]);
        let names = ranges.chain([Self::COUNT, ELSEWHERE, REBALANCE, WATCH_NEEDED]);
        Self::Recorded(names.filter_map(|name| Some((name, MetricQuery::new(name, promql(name)?)))).collect())
    }

    /// Queries `past` for all partitions, or for a `few` over a day.
    pub(crate) fn past(&self, past: Past, few: Option<&Few>) -> Option<MetricQuery> {
        let span = if few.is_some() { Span::Day } else { Span::Hour };
        self.query(past.name(span), |settings| settings.past(past, few))
    }

    /// Queries the number of partitions.
    pub(crate) fn count(&self) -> Option<MetricQuery> {
        self.query(Self::COUNT, |settings| {
            if settings.asks_kafka() {
                return Some(kafka_direct::COUNT.to_owned());
            }
            let kinds = [OffsetKind::Committed, OffsetKind::Lead];
            let counts = kinds.into_iter().filter_map(|kind| settings.past(Past::Offset(kind), None));
            joined(counts.map(|places| format!("count({places})")))
        })
    }

    /// Queries what other groups have committed for a few partitions.
    pub(crate) fn elsewhere(&self, few: &Few) -> Option<MetricQuery> {
        self.query(ELSEWHERE, |settings| {
            let group = literal(settings.0.group.as_deref()?);
            let exporters = settings.0.preset.exporters().iter();
            joined(
                exporters.map(|exporter| exporter.placed(&exporter.elsewhere(&group, few, settings.0), true)),
            )
        })
    }

    /// Asks whether the group is in a rebalance: one sample if so, else none.
    pub(crate) fn rebalance(&self) -> Option<MetricQuery> {
        self.query(REBALANCE, |settings| {
            if settings.asks_kafka() {
                return Some(kafka_direct::REBALANCE.to_owned());
            }
            joined(settings.rebalances().map(|(_, state)| format!("count({state})")))
        })
    }

    /// Queries for how many seconds a partition must be watched before it counts as standing.
    pub(crate) fn watch_needed(&self) -> Option<MetricQuery> {
        self.query(WATCH_NEEDED, |settings| {
            settings.asks_kafka().then(|| kafka_direct::WATCH_NEEDED.to_owned())
        })
    }

    /// Asks which of the groups of `settings` are in a rebalance, by name.
    pub(super) fn rebalances(settings: &QuerySettings) -> Option<MetricQuery> {
        let settings = Settings(settings);
        let promql = joined(settings.rebalances().map(|(group, state)| {
            format!("count by (pod) (label_replace({state}, \"pod\", \"$1\", \"{group}\", \"(.+)\"))")
        }))?;
        Some(MetricQuery::new(REBALANCE, promql))
    }

    fn query(
        &self,
        name: &'static str,
        write: impl FnOnce(&Settings<'_>) -> Option<String>,
    ) -> Option<MetricQuery> {
        match self {
            Self::Live(settings) => Some(MetricQuery::new(name, write(&Settings(settings))?)),
            Self::Recorded(queries) => queries.get(name).cloned(),
        }
    }
}

/// Of several sources, the first that has data counts.
fn joined(sources: impl Iterator<Item = String>) -> Option<String> {
    let sources: Vec<String> = sources.collect();
    (!sources.is_empty()).then(|| sources.join(" or "))
}

impl KafkaPreset {
    /// The exporters that may know the group.
    fn exporters(self) -> &'static [Exporter] {
        match self {
            Self::KafkaExporter => &[KAFKA_EXPORTER],
            Self::Kminion => &[KMINION],
            Self::KlagIp | Self::ClientId => &[KLAG],
            Self::KafkaLagExporterIp => &[KAFKA_LAG_EXPORTER],
            // Whichever of them is deployed beside the clients.
            Self::Micrometer | Self::JmxDefault | Self::OtelJava => &[KAFKA_EXPORTER, KMINION, KLAG],
            Self::Kafka | Self::None => &[],
        }
    }

    /// How far clients are past the oldest message of each of their partitions, as they know it themselves.
    pub(crate) fn leads(self, settings: &QuerySettings) -> Option<String> {
        Settings(&QuerySettings { preset: self, ..settings.clone() }).leads("")
    }

    /// The group label in `metric`, if that metric reports commits in an exporter of this preset.
    pub(super) fn committed(self, metric: &str) -> Option<&'static str> {
        let mut exporters = self.exporters().iter();
        exporters.find(|exporter| exporter.told == metric).map(|exporter| exporter.group)
    }
}

/// The settings of a live run.
struct Settings<'a>(&'a QuerySettings);

impl Settings<'_> {
    fn asks_kafka(&self) -> bool {
        self.0.preset == KafkaPreset::Kafka
    }

    /// The states of groups that are in a rebalance, each with the label that names the group.
    fn rebalances(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.0.preset.exporters().iter().filter_map(|exporter| {
            let labels = all_of(&[&self.0.of_groups(exporter.group)?, "state=~\"(?i).*rebalanc.*\""]);
            let state = select(exporter.state?, &labels, self.0);
            Some((exporter.group, fresh(&state, &state, self.0)))
        })
    }

    fn past(&self, past: Past, few: Option<&Few>) -> Option<String> {
        if self.asks_kafka() {
            // Kafka knows no past but that of the ends.
            return past.asked_of_kafka().filter(|_| few.is_none()).map(str::to_owned);
        }
        match past {
            Past::Offset(OffsetKind::Lead) => self.lead(few),
            Past::Offset(kind) => self.exported(kind, few),
            Past::Owners => self.owners(few),
            Past::Watched => None,
        }
    }

    /// An offset from exporters.
    fn exported(&self, kind: OffsetKind, few: Option<&Few>) -> Option<String> {
        joined(self.0.preset.exporters().iter().filter_map(|exporter| {
            let group = self.0.of_groups(exporter.group)?;
            Some(match kind {
                OffsetKind::End => {
                    exporter.placed(&exporter.of_topics(exporter.end, &group, few, self.0), false)
                }
                OffsetKind::Start => {
                    exporter.placed(&exporter.of_topics(exporter.start, &group, few, self.0), false)
                }
                _ => exporter.placed(&exporter.committed(&group, few, self.0), true),
            })
        }))
    }

    /// The lead reported by clients.
    fn lead(&self, few: Option<&Few>) -> Option<String> {
        let few = few.map(|few| selected(few, "topic", "partition")).unwrap_or_default();
        Some(placed(&self.leads(&few)?, &["topic", "partition"]))
    }

    fn leads(&self, labels: &str) -> Option<String> {
        Some(match self.0.preset {
            KafkaPreset::OtelJava => otel::lead(labels, self.0),
            _ => self.0.preset.client()?.lead(labels, self.0),
        })
    }

    /// One series per partition and pod that owned it.
    fn owners(&self, few: Option<&Few>) -> Option<String> {
        let labels = few.map(|few| selected(few, "topic", "partition")).unwrap_or_default();
        let owners = match self.0.preset {
            KafkaPreset::OtelJava => otel::owners_of(&labels, self.0),
            KafkaPreset::KlagIp | KafkaPreset::KafkaLagExporterIp | KafkaPreset::ClientId => {
                let is_by_client = self.0.preset == KafkaPreset::ClientId;
                let member = if is_by_client { "client_id!=\"\"" } else { "member_host!=\"\"" };
                let lag = self.0.preset.group_lag(&all_of(&[member, &labels]), self.0).ok()?;
                let members = fresh(&lag, &lag, self.0);
                if is_by_client {
                    partitions_by_client(&members)
                } else {
                    partitions_by_pod_ip(&members, self.0)
                }
            }
            _ => self.0.preset.client()?.owners_of(&labels, self.0),
        };
        Some(placed(&owners, &["topic", "partition", "pod"]))
    }
}

/// An exporter's names for the offsets of a group's partitions.
struct Exporter {
    group: &'static str,
    topic: &'static str,
    partition: &'static str,
    committed: Committed,
    /// A metric of the group's commits, which distinguishes two Kafka clusters.
    told: &'static str,
    end: &'static str,
    start: &'static str,
    /// Whether `end` and `start` have a group label too.
    ends_by_group: bool,
    /// The metric with the group's label `state`.
    state: Option<&'static str>,
}

/// How an exporter reports commits.
enum Committed {
    Offset(&'static str),
    /// Not directly, but the lag shows how far behind the end they are.
    Lag(&'static str),
}

const KAFKA_EXPORTER: Exporter = Exporter {
    group: "consumergroup",
    topic: "topic",
    partition: "partition",
    committed: Committed::Offset("kafka_consumergroup_current_offset"),
    told: "kafka_consumergroup_current_offset",
    end: "kafka_topic_partition_current_offset",
    start: "kafka_topic_partition_oldest_offset",
    ends_by_group: false,
    state: None,
};

const KMINION: Exporter = Exporter {
    group: "group_id",
    topic: "topic_name",
    partition: "partition_id",
    committed: Committed::Lag("kminion_kafka_consumer_group_topic_partition_lag"),
    told: "kminion_kafka_consumer_group_topic_offset_sum",
    end: "kminion_kafka_topic_partition_high_water_mark",
    start: "kminion_kafka_topic_partition_low_water_mark",
    ends_by_group: false,
    state: Some("kminion_kafka_consumer_group_info"),
};

const KLAG: Exporter = Exporter {
    group: "consumer_group",
    topic: "topic",
    partition: "partition",
    committed: Committed::Offset("klag_consumer_committed_offset"),
    told: "klag_consumer_committed_offset",
    end: "klag_partition_log_end_offset",
    start: "klag_partition_log_start_offset",
    ends_by_group: true,
    state: Some("klag_consumer_group_state"),
};

const KAFKA_LAG_EXPORTER: Exporter = Exporter {
    group: "group",
    topic: "topic",
    partition: "partition",
    committed: Committed::Offset("kafka_consumergroup_group_offset"),
    told: "kafka_consumergroup_group_offset",
    end: "kafka_partition_latest_offset",
    start: "kafka_partition_earliest_offset",
    ends_by_group: false,
    state: None,
};

impl Exporter {
    /// The committed offsets of groups. Lag and end must come from the same scrape.
    fn committed(&self, group: &str, few: Option<&Few>, settings: &QuerySettings) -> String {
        let few = few.map(|few| selected(few, self.topic, self.partition)).unwrap_or_default();
        let labels = all_of(&[group, &few]);
        match self.committed {
            Committed::Offset(metric) => {
                let offset = select(metric, &labels, settings);
                fresh(&offset, &offset, settings)
            }
            Committed::Lag(metric) => {
                let (lag, end) = (select(metric, &labels, settings), select(self.end, &few, settings));
                let lag = fresh(&lag, &lag, settings);
                format!("({end} - ignoring ({}) group_right () {lag})", self.group)
            }
        }
    }

    /// The offsets that groups other than `group` have committed, of the Kafka cluster of `group`.
    fn elsewhere(&self, group: &str, few: &Few, settings: &QuerySettings) -> String {
        let others = self.committed(&format!("{}!=\"{group}\"", self.group), Some(few), settings);
        let (Committed::Offset(read) | Committed::Lag(read)) = self.committed;
        let few = selected(few, self.topic, self.partition);
        let own = select(read, &all_of(&[&format!("{}=\"{group}\"", self.group), &few]), settings);
        format!("({others} and ignoring ({}, {}) {own})", self.group, MEMBER.join(", "))
    }

    /// The series of `metric` for the topics that the group reads.
    fn of_topics(&self, metric: &str, group: &str, few: Option<&Few>, settings: &QuerySettings) -> String {
        let few = few.map(|few| selected(few, self.topic, self.partition)).unwrap_or_default();
        if self.ends_by_group {
            let offset = select(metric, &all_of(&[group, &few]), settings);
            return fresh(&offset, &offset, settings);
        }
        let (Committed::Offset(read) | Committed::Lag(read)) = self.committed;
        let (offset, read) = (select(metric, &few, settings), select(read, group, settings));
        let offset = fresh(&offset, &offset, settings);
        beside_commits(&offset, &read, self.partition, self.group)
    }

    fn placed(&self, series: &str, by_group: bool) -> String {
        let labels = [self.topic, self.partition, self.group];
        placed(series, if by_group { &labels } else { &labels[..2] })
    }
}

/// Of an exporter's series about partitions, those of the topics that `read` says a group reads, by the same exporter: another
/// Kafka cluster in the server may have topics of the same names. Counted by topic; otherwise `VictoriaMetrics` compares each
/// partition with each.
pub(super) fn beside_commits(series: &str, read: &str, partition: &str, group: &str) -> String {
    let of_members = MEMBER.join(", ");
    format!(
        "({series} and ignoring ({partition}) count without ({partition}, {group}, {of_members}) ({read}))"
    )
}

/// The series by their [`Place`], built from these labels. If several exporters report one, the largest
/// offset is the newest. (`VictoriaMetrics` 1.79 corrupts a label that is joined into itself.)
pub(super) fn placed(series: &str, labels: &[&str]) -> String {
    let labels: Vec<String> = labels.iter().map(|label| format!("\"{label}\"")).collect();
    let joined = format!("label_join({series}, \"place\", \"{BETWEEN}\", {})", labels.join(", "));
    format!("max by (pod) (label_replace({joined}, \"pod\", \"$1\", \"place\", \"(.+)\"))")
}

/// Matches the topics and numbers of these partitions; topics in both spellings.
fn selected(few: &Few, topic: &str, partition: &str) -> String {
    let topics: BTreeSet<String> = few.iter().map(|(topic, _)| in_both_spellings(topic)).collect();
    let numbers: BTreeSet<String> = few.iter().map(|(_, number)| number.to_string()).collect();
    let any = |texts: BTreeSet<String>| literal(&texts.into_iter().collect::<Vec<String>>().join("|"));
    format!("{topic}=~\"{}\", {partition}=~\"{}\"", any(topics), any(numbers))
}

fn in_both_spellings(topic: &str) -> String {
    let parts: Vec<String> = topic.split(['.', '_']).map(regex).collect();
    parts.join("[._]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_topic_a_number_and_what_stands_behind_them() {
        let place = |topic, partition, of| Some(Place { topic, partition, of });
        assert_eq!(Place::parse("a.b/7/g/h"), place("a.b", 7, "g/h"));
        assert_eq!(Place::parse("a/0"), place("a", 0, ""));
        for text in ["", "a", "/1", "a/b/c", "a/-1"] {
            assert_eq!(Place::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_few_partitions_are_selected_in_both_spellings() {
        let few: Few = [("a.b_c".to_owned(), 4), ("d".to_owned(), 10)].into();
        assert_eq!(selected(&few, "topic", "partition"), "topic=~\"a[._]b[._]c|d\", partition=~\"10|4\"");
    }
}
