//! The queries about the past of the group's partitions: their offsets from exporters and clients, who owned
//! them, and what other groups have committed for them.
//!
//! A range answer has one label, that of the pod. So topic, partition and the rest are combined in it: see
//! [`Place`].

use std::collections::BTreeSet;

use rebalancer_core::OffsetKind;

use super::exporter::Exporter;
use super::kafka_direct;
use super::origin::MEMBER;
use super::preset::{all_of, fresh, joined as joined_labels, select};
use super::settings::{KafkaPreset, QuerySettings};
use crate::prometheus::MetricQuery;
use crate::promql::{literal, regex};

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

    /// Name of the query over an hour, in messages and recordings.
    const fn name(self) -> &'static str {
        match self {
            Self::Offset(OffsetKind::Committed) => "offset_committed",
            Self::Offset(OffsetKind::End) => "offset_end",
            Self::Offset(OffsetKind::Start) => "offset_start",
            Self::Offset(OffsetKind::Lead) => "offset_lead",
            Self::Owners => "offset_owners",
            Self::Watched => "offset_watched",
        }
    }

    /// Name of the query over a day.
    fn name_of_day(self) -> String {
        format!("{}_day", self.name())
    }
}

/// Names of the queries over an hour.
pub(crate) const COMMITTED: &str = Past::Offset(OffsetKind::Committed).name();
pub(crate) const END: &str = Past::Offset(OffsetKind::End).name();
pub(crate) const START: &str = Past::Offset(OffsetKind::Start).name();
pub(crate) const LEAD: &str = Past::Offset(OffsetKind::Lead).name();
pub(crate) const OWNED: &str = Past::Owners.name();

/// Names of the other queries.
const ELSEWHERE: &str = "offset_elsewhere";
pub(crate) const REBALANCE: &str = "group_in_rebalance";
const WATCHED: &str = Past::Watched.name();
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
        // No topic, number or pod contains a slash.
        let mut parts = label.splitn(3, '/');
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
    Recorded(Vec<MetricQuery>),
}

impl OffsetQueries {
    /// Name of the query for the number of partitions.
    pub(crate) const COUNT: &str = "offset_partitions";

    /// The queries of a recorded run: `promql` returns the query recorded under a name, `None` if there was
    /// none.
    pub(super) fn recorded<'r>(promql: impl Fn(&str) -> Option<&'r str>) -> Self {
        let ranges = Past::ALL.into_iter().flat_map(|past| [past.name().to_owned(), past.name_of_day()]);
        let names = ranges.chain([Self::COUNT, ELSEWHERE, REBALANCE, WATCH_NEEDED].map(str::to_owned));
        Self::Recorded(
            names.filter_map(|name| Some(MetricQuery::new(name.as_str(), promql(&name)?))).collect(),
        )
    }

    /// Queries `past` for all partitions, or for a `few` over a day.
    pub(crate) fn past(&self, past: Past, few: Option<&Few>) -> Option<MetricQuery> {
        let name = if few.is_some() { past.name_of_day() } else { past.name().to_owned() };
        self.query(&name, |settings| settings.past(past, few))
    }

    /// Queries the number of partitions.
    pub(crate) fn count(&self) -> Option<MetricQuery> {
        self.query(Self::COUNT, |settings| {
            let kinds = [OffsetKind::Committed, OffsetKind::Lead];
            let counts = kinds.into_iter().filter_map(|kind| settings.past(Past::Offset(kind), None));
            joined(counts.map(|places| format!("count({places})")))
        })
    }

    /// Queries what other groups have committed for a few partitions.
    pub(crate) fn elsewhere(&self, few: &Few) -> Option<MetricQuery> {
        self.query(ELSEWHERE, |settings| {
            let group = literal(settings.group.as_deref()?);
            let exporters = settings.preset.exporters().iter();
            joined(
                exporters.map(|exporter| exporter.placed(&exporter.elsewhere(&group, few, settings), true)),
            )
        })
    }

    /// Asks whether the group is in a rebalance: one sample if so, else none.
    pub(crate) fn rebalance(&self) -> Option<MetricQuery> {
        self.query(REBALANCE, |settings| {
            joined(settings.rebalances().map(|(_, state)| format!("count({state})")))
        })
    }

    /// Queries for how many seconds a partition must be watched before it counts as standing.
    pub(crate) fn watch_needed(&self) -> Option<MetricQuery> {
        self.query(WATCH_NEEDED, |_| None)
    }

    /// Asks which of the groups of `settings` are in a rebalance, by name.
    pub(super) fn rebalances(settings: &QuerySettings) -> Option<MetricQuery> {
        let promql = joined(settings.rebalances().map(|(group, state)| {
            format!("count by (pod) (label_replace({state}, \"pod\", \"$1\", \"{group}\", \"(.+)\"))")
        }))?;
        Some(MetricQuery::new(REBALANCE, promql))
    }

    fn query(&self, name: &str, write: impl FnOnce(&QuerySettings) -> Option<String>) -> Option<MetricQuery> {
        match self {
            Self::Live(settings) if settings.preset == KafkaPreset::Kafka => {
                Some(MetricQuery::new(name, asked_of_kafka(name)?))
            }
            Self::Live(settings) => Some(MetricQuery::new(name, write(settings)?)),
            Self::Recorded(queries) => queries.iter().find(|query| query.name == name).cloned(),
        }
    }
}

/// What stands for the query of this name where Kafka itself was asked, which knows no past but that of the ends.
fn asked_of_kafka(name: &str) -> Option<&'static str> {
    Some(match name {
        COMMITTED => kafka_direct::COMMITTED,
        END => kafka_direct::END,
        START => kafka_direct::START,
        OWNED => kafka_direct::OFFSET_OWNERS,
        WATCHED => kafka_direct::WATCHED,
        OffsetQueries::COUNT => kafka_direct::COUNT,
        REBALANCE => kafka_direct::REBALANCE,
        WATCH_NEEDED => kafka_direct::WATCH_NEEDED,
        _ => return None,
    })
}

/// Of several sources, the first that has data counts.
fn joined(sources: impl Iterator<Item = String>) -> Option<String> {
    let sources: Vec<String> = sources.collect();
    (!sources.is_empty()).then(|| sources.join(" or "))
}

impl KafkaPreset {
    /// How far clients are past the oldest message of each of their partitions, as they know it themselves.
    pub(crate) fn leads(self, settings: &QuerySettings) -> Option<String> {
        QuerySettings { preset: self, ..settings.clone() }.leads("")
    }
}

impl QuerySettings {
    /// The states of groups that are in a rebalance, each with the label that names the group.
    fn rebalances(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.preset.exporters().iter().filter_map(|exporter| {
            let labels = all_of(&[&self.of_groups(exporter.group)?, "state=~\"(?i).*rebalanc.*\""]);
            let state = select(exporter.state?, &labels, self);
            Some((exporter.group, fresh(&state, &state, self)))
        })
    }

    fn past(&self, past: Past, few: Option<&Few>) -> Option<String> {
        match past {
            Past::Offset(OffsetKind::Lead) => self.lead(few),
            Past::Offset(kind) => self.exported(kind, few),
            Past::Owners => self.owners(few),
            Past::Watched => None,
        }
    }

    /// An offset from exporters.
    fn exported(&self, kind: OffsetKind, few: Option<&Few>) -> Option<String> {
        joined(self.preset.exporters().iter().filter_map(|exporter| {
            let group = self.of_groups(exporter.group)?;
            let of_topics = |metric| exporter.placed(&exporter.of_topics(metric, &group, few, self), false);
            Some(match kind {
                OffsetKind::End => of_topics(exporter.end),
                OffsetKind::Start => of_topics(exporter.start),
                _ => exporter.placed(&exporter.committed(&group, few, self), true),
            })
        }))
    }

    /// The lead reported by clients.
    fn lead(&self, few: Option<&Few>) -> Option<String> {
        Some(placed(&self.leads(&selected(few, "topic", "partition"))?, &["topic", "partition"]))
    }

    fn leads(&self, labels: &str) -> Option<String> {
        Some(self.preset.client()?.lead(labels, self))
    }

    /// One series per partition and pod that owned it.
    fn owners(&self, few: Option<&Few>) -> Option<String> {
        let labels = selected(few, "topic", "partition");
        let owners = match self.preset.named_members() {
            Some(named) => {
                let lag = self.preset.group_lag(&all_of(&[named, &labels]), self).ok()?;
                self.preset.partitions_by_pod(&fresh(&lag, &lag, self), self)
            }
            None => self.preset.client()?.owners_of(&labels, self),
        };
        Some(placed(&owners, &["topic", "partition", "pod"]))
    }
}

impl Exporter {
    /// The committed offsets of groups. Lag and end must come from the same scrape.
    fn committed(&self, group: &str, few: Option<&Few>, settings: &QuerySettings) -> String {
        let few = selected(few, self.topic, self.partition);
        let labels = all_of(&[group, &few]);
        if let Some(metric) = self.committed {
            let offset = select(metric, &labels, settings);
            return fresh(&offset, &offset, settings);
        }
        let (lag, end) = (select(self.lag, &labels, settings), select(self.end, &few, settings));
        let lag = fresh(&lag, &lag, settings);
        format!("({end} - ignoring ({}) group_right () {lag})", self.group)
    }

    /// The offsets that groups other than `group` have committed, of the Kafka cluster of `group`.
    fn elsewhere(&self, group: &str, few: &Few, settings: &QuerySettings) -> String {
        let others = self.committed(&format!("{}!=\"{group}\"", self.group), Some(few), settings);
        let few = selected(Some(few), self.topic, self.partition);
        let own = select(
            self.committed.unwrap_or(self.lag),
            &all_of(&[&format!("{}=\"{group}\"", self.group), &few]),
            settings,
        );
        format!("({others} and ignoring ({}, {}) {own})", self.group, MEMBER.join(", "))
    }

    /// The series of `metric` for the topics that the group reads.
    fn of_topics(&self, metric: &str, group: &str, few: Option<&Few>, settings: &QuerySettings) -> String {
        let few = selected(few, self.topic, self.partition);
        if self.ends_by_group {
            let offset = select(metric, &all_of(&[group, &few]), settings);
            return fresh(&offset, &offset, settings);
        }
        let read = select(self.committed.unwrap_or(self.lag), group, settings);
        let offset = select(metric, &few, settings);
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
    let joined = joined_labels(series, "place", "/", labels);
    format!("max by (pod) (label_replace({joined}, \"pod\", \"$1\", \"place\", \"(.+)\"))")
}

/// Matches the topics and numbers of these partitions, or of all; topics in both spellings.
fn selected(few: Option<&Few>, topic: &str, partition: &str) -> String {
    let Some(few) = few else { return String::new() };
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
        assert_eq!(
            selected(Some(&few), "topic", "partition"),
            "topic=~\"a[._]b[._]c|d\", partition=~\"10|4\""
        );
    }
}
