//! What was asked about all workloads at one moment, by the places of its rows.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};

use jiff::Timestamp;

use super::places::Placed;
use crate::facts::{Question, WITH_A_PAST, history_name};
use crate::metrics::detect::{BY_TOPIC, plain_topic};
use crate::metrics::{
    ASSIGNED, ASSIGNOR, COMMITTED, KafkaPreset, LOAD, MetricQuery, MetricsSource, OF_MEMBERS, OWNED, OWNERS,
    Place, REBALANCE, of_members,
};
use crate::prometheus::{LabelledSample, Point, RawSample, Sample, Samples, Series, TimeRange, When};

/// A query by its name, and where what it asks about comes from.
pub(super) type Key = (KafkaPreset, String);

/// The time that a question is about, its text, and the label that names the pod.
pub(super) type ToldKey = (When, String, String);

/// The key of the answer to `query` about `when`.
pub(super) fn told_key(query: &MetricQuery, when: When) -> ToldKey {
    (when, query.promql.clone(), query.pod_label.clone())
}

/// What is asked about now of suspects only.
pub(super) const OF_SUSPECTS: [&str; 4] = [OWNERS, ASSIGNED, LOAD, ASSIGNOR];

/// Whether any of these is asked only where a decision looks at history.
pub fn look_at_history(questions: &[Question]) -> bool {
    let histories = WITH_A_PAST.map(|metric| history_name(metric.name()));
    let is_one = |name: &String| histories.contains(name) || OF_SUSPECTS.contains(&name.as_str());
    questions.iter().any(|(query, _)| is_one(&query.name))
}

/// The answers.
pub(super) struct Tables<'a> {
    pub(super) source: &'a dyn MetricsSource,
    pub(super) at: Timestamp,
    /// Which of the known series the server has, without those of clients in pods.
    pub(super) series: Option<Vec<LabelledSample>>,
    pub(super) instants: BTreeMap<Key, Placed<Point>>,
    pub(super) ranges: BTreeMap<Key, Ranged>,
    /// Whether what a decision on history asks about is known too.
    pub(super) has_history: bool,
    /// Answers to questions of single workloads, such as users' own queries and means over windows; `None` where the server did
    /// not answer those of several together.
    pub(super) told: BTreeMap<ToldKey, Option<Placed<Vec<Point>>>>,
    /// Whole answers by the text of the query: workloads share the alerts that fire.
    pub(super) raw: Mutex<BTreeMap<String, Vec<RawSample>>>,
}

/// A range that was asked for, or is when it is needed.
pub(super) struct Ranged {
    pub(super) query: MetricQuery,
    pub(super) range: TimeRange,
    /// `None` where the server did not answer.
    rows: OnceLock<Option<Placed<Vec<Point>>>>,
}

impl Ranged {
    /// It is asked for when its rows are needed.
    pub(super) const fn new(query: MetricQuery, range: TimeRange) -> Self {
        Self { query, range, rows: OnceLock::new() }
    }

    /// Takes the rows that were answered to it as a part of another query.
    pub(super) fn take(&self, rows: impl IntoIterator<Item = (String, Vec<Point>)>) {
        let _ = self.rows.set(Some(self.placed(rows)));
    }

    /// The rows by place.
    pub(super) fn rows(&self, source: &dyn MetricsSource) -> Option<&Placed<Vec<Point>>> {
        let ask = || {
            let series = source.range(&self.query, self.range).ok()?;
            Some(self.placed(series.into_iter().map(|Series { pod, points }| (pod, points))))
        };
        self.rows.get_or_init(ask).as_ref()
    }

    fn placed(&self, rows: impl IntoIterator<Item = (String, Vec<Point>)>) -> Placed<Vec<Point>> {
        let row = |(label, points): (String, Vec<Point>)| {
            Some((place(&self.query.name, &label)?.into_owned(), points))
        };
        rows.into_iter().filter_map(row).collect()
    }
}

impl<'a> Tables<'a> {
    pub(super) fn new(source: &'a dyn MetricsSource, at: Timestamp) -> Self {
        Self {
            source,
            at,
            series: None,
            instants: BTreeMap::new(),
            ranges: BTreeMap::new(),
            has_history: false,
            told: BTreeMap::new(),
            raw: Mutex::default(),
        }
    }

    /// The rows of an instant query.
    pub(super) fn instant(&self, preset: KafkaPreset, name: &str) -> Option<&Placed<Point>> {
        self.instants.get(&(preset, name.to_owned()))
    }

    /// The rows of a range, and when it ended in milliseconds.
    pub(super) fn range(&self, preset: KafkaPreset, name: &str) -> Option<(&Placed<Vec<Point>>, i64)> {
        let ranged = self.ranges.get(&(preset, name.to_owned()))?;
        Some((ranged.rows(self.source)?, ranged.range.end.as_millisecond()))
    }

    /// The rows of a range, if it was asked for over this range.
    pub(super) fn range_over(
        &self,
        preset: KafkaPreset,
        name: &str,
        range: TimeRange,
    ) -> Option<&Placed<Vec<Point>>> {
        let ranged = self.ranges.get(&(preset, name.to_owned())).filter(|ranged| ranged.range == range)?;
        ranged.rows(self.source)
    }

    /// Whether a range of this name was asked about many workloads and not answered.
    pub(super) fn has_failed(&self, name: &str) -> bool {
        let of_members = of_members(name);
        self.ranges.values().any(|ranged| {
            let is_it = ranged.query.name == name || ranged.query.name == of_members;
            is_it && ranged.rows.get().is_some_and(Option::is_none)
        })
    }
}

/// The rows of the answer to a query by their places.
pub(super) fn rows_of<'r>(name: &str, rows: impl Iterator<Item = (&'r str, Point)>) -> Placed<Point> {
    rows.filter_map(|(label, row)| Some((place(name, label)?, row))).collect()
}

/// The rows of an answer by their labels.
pub(super) fn labelled(samples: &Samples) -> impl Iterator<Item = (&str, Point)> {
    samples.iter().map(|Sample { pod, value, timestamp_ms }| (pod, Point { timestamp_ms, value }))
}

/// The place of a row. It begins with what the row is looked up by: that of a group with the group's name and a newline.
fn place<'l>(name: &str, label: &'l str) -> Option<Cow<'l, str>> {
    Some(match name {
        COMMITTED | LOAD => {
            let Place { topic, partition, of } = Place::parse(label)?;
            format!("{of}\n{topic}/{partition}").into()
        }
        ASSIGNOR => {
            let (group, protocol) = label.rsplit_once('/')?;
            format!("{group}\n{protocol}").into()
        }
        REBALANCE => format!("{label}\n").into(),
        BY_TOPIC => {
            let (topic, group) = label.split_once('/')?;
            format!("{}/{group}", plain_topic(topic)).into()
        }
        name if name.ends_with(OF_MEMBERS) => {
            let (member, rest) = label.split_once('/')?;
            match Place::parse(rest).filter(|_| is_of_partitions(name)) {
                Some(Place { topic, partition, of }) => format!("{of}\n{member}/{topic}/{partition}").into(),
                None => format!("{rest}\n{member}").into(),
            }
        }
        _ => label.into(),
    })
}

/// Whether a query about members is about their partitions.
fn is_of_partitions(name: &str) -> bool {
    [OWNED, LOAD].iter().any(|of_partitions| name.starts_with(of_partitions))
}

/// The preset under which answers about the groups of `preset` are known: presets that ask the same about groups share them.
pub(super) const fn exporters_of(preset: KafkaPreset) -> KafkaPreset {
    match preset {
        KafkaPreset::JmxDefault | KafkaPreset::OtelJava => KafkaPreset::Micrometer,
        KafkaPreset::ClientId => KafkaPreset::KlagIp,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{QuerySettings, Reach, group_queries};

    #[test]
    fn presets_that_share_answers_ask_the_same() {
        let settings = QuerySettings::new("shop");
        let asked = |preset| group_queries(preset, Reach::of_groups(["g"], &settings.matchers), &settings);
        for preset in KafkaPreset::of_series() {
            assert_eq!(asked(preset), asked(exporters_of(preset)), "{preset}");
        }
    }
}
