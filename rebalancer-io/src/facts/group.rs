//! The consumer group: its partitions, how many each pod has, and its assignor.

use std::collections::{BTreeMap, BTreeSet};

use rebalancer_core::kafka::{Assignor, recognise};
use rebalancer_core::{Fact, LivePod, Load, PartitionSample, Partitions, one_spelling};

use super::finder::{FactFinder, lacking, unusable};
use crate::metrics::{
    ASSIGNED, ASSIGNOR, CLIENT_LABEL, KEEPS_IDENTITY, LOAD, MetricQuery, MetricsSource, OWNERS,
    PARTITION_LABELS, PROTOCOL_LABEL, are_fresh,
};
use crate::prometheus::LabelledSample;

/// One partition as an answer names it.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    pod: Option<String>,
    topic: String,
    partition: u32,
    load: f64,
}

impl FactFinder<'_> {
    /// The partitions with their loads. If the loads are unknown, also the assignor that the owners show.
    pub(super) fn partitions(&self, live: &[LivePod]) -> (Fact<Partitions>, Fact<Assignor>) {
        let owners = || self.rows(OWNERS, live);
        match self.rows(LOAD, live) {
            Fact::Known(rows) if rows.iter().any(|row| row.pod.is_some()) => {
                (joined(&rows, live), Fact::Absent)
            }
            Fact::Known(rows) => match owners() {
                Fact::Known(owners) => {
                    let rows = with_owners(rows, owners, live);
                    (rows.map_or_else(unusable, |rows| joined(&rows, live)), Fact::Absent)
                }
                Fact::Absent | Fact::Unusable(_) => (joined(&rows, live), Fact::Absent),
                Fact::Failed(why) => (Fact::Failed(why), Fact::Absent),
            },
            lacking => {
                let recognised = match owners() {
                    Fact::Known(owners) => joined(&owners, live).known().and_then(recognise),
                    Fact::Failed(why) => return (lacking.and_then(|_| Fact::Absent), Fact::Failed(why)),
                    Fact::Absent | Fact::Unusable(_) => None,
                };
                (lacking.and_then(|_| Fact::Absent), recognised.map_or(Fact::Absent, Fact::Known))
            }
        }
    }

    fn rows(&self, name: &str, live: &[LivePod]) -> Fact<Vec<Row>> {
        let rows = |samples: Vec<LabelledSample>| samples.into_iter().map(row).collect::<Result<_, String>>();
        self.samples(name, &PARTITION_LABELS, live)
            .and_then(|samples| rows(samples).map_or_else(unusable, Fact::Known))
    }

    /// The samples of the query of this name; absent if there is no query or its answer is empty.
    pub(super) fn samples(&self, name: &str, labels: &[&str], live: &[LivePod]) -> Fact<Vec<LabelledSample>> {
        let Some(query) = self.queries.about_group(name) else { return Fact::Absent };
        match self.source.labelled(query, labels, self.at) {
            Ok(answer) if answer.is_empty() => Fact::Absent,
            Ok(answer) => self.if_fresh(query, answer, live),
            Err(error) => lacking(&error),
        }
    }

    /// The samples of a query, if the data behind them is no older than `MAX_SAMPLE_AGE`.
    fn if_fresh(
        &self,
        query: &MetricQuery,
        samples: Vec<LabelledSample>,
        live: &[LivePod],
    ) -> Fact<Vec<LabelledSample>> {
        let fresh = match self.queries.ages_of(query) {
            None => Ok(true),
            Some(Err(why)) => Err(why.clone()),
            Some(Ok(questions)) => {
                let pods: BTreeSet<&str> = live.iter().map(|pod| pod.name.as_str()).collect();
                are_fresh(&self.source, questions, query.namespace.as_deref(), self.at, &pods)
            }
        };
        match fresh {
            Ok(true) => Fact::Known(samples),
            Ok(false) => Fact::Failed("is older than MAX_SAMPLE_AGE".to_owned()),
            Err(why) => Fact::Failed(format!("cannot be used: it is not known how old it is: {why}")),
        }
    }

    /// The number of partitions of each live pod, and the median number of consumers per pod if the samples
    /// name the clients.
    pub(super) fn assigned_partitions(
        &self,
        live: &[LivePod],
    ) -> (Fact<Vec<(String, usize)>>, Option<usize>) {
        let mut usual: Option<usize> = None;
        let assigned = self.samples(ASSIGNED, &[CLIENT_LABEL], live).and_then(|samples| {
            let (assigned, consumers) = assigned(&samples, live);
            usual = consumers;
            assigned
        });
        (assigned, usual)
    }

    /// Whether replacements take over the identity of the members that they replace.
    pub(super) fn told_identity(&self) -> Fact<bool> {
        // With a label to tell samples apart, they need name no pod.
        self.samples(KEEPS_IDENTITY, &[PROTOCOL_LABEL], &[]).and_then(|samples| {
            samples.first().map_or(Fact::Absent, |sample| Fact::Known(sample.value > 0.0))
        })
    }

    /// The name of the assignor, if exactly one is exported and it is known.
    pub(super) fn assignor(&self) -> Fact<String> {
        self.samples(ASSIGNOR, &[PROTOCOL_LABEL], &[]).and_then(|samples| {
            let names = samples.into_iter().filter_map(|sample| sample.labels.into_iter().next());
            let names: BTreeSet<String> = names.filter(|name| !name.is_empty()).collect();
            let names: Vec<String> = names.into_iter().collect();
            match names.as_slice() {
                [] => Fact::Absent,
                [name] => {
                    name.parse::<Assignor>().map_or_else(unusable, |known| Fact::Known(known.to_string()))
                }
                several => unusable(format!("the group has several assignors: {}", several.join(", "))),
            }
        })
    }
}

/// What samples by pod and client say of the assigned partitions.
fn assigned(samples: &[LabelledSample], live: &[LivePod]) -> (Fact<Vec<(String, usize)>>, Option<usize>) {
    let names: BTreeSet<&str> = live.iter().map(|pod| pod.name.as_str()).collect();
    let mut clients: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for LabelledSample { pod, labels, value } in samples {
        let Some(pod) = pod.as_deref().filter(|pod| names.contains(pod)) else { continue };
        let Some(count) = Load::from_sample(*value) else {
            return (unusable(format!("pod {pod} has {value} partitions")), None);
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
        let count = count.value() as usize;
        if clients.insert((pod, labels[0].as_str()), count).is_some() {
            return (unusable(format!("pod {pod} has more than one series")), None);
        }
    }
    if clients.is_empty() {
        return (Fact::Absent, None);
    }
    let mut pods: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for ((pod, _), count) in &clients {
        let (partitions, consumers) = pods.entry(pod).or_default();
        *partitions = partitions.saturating_add(*count);
        *consumers += 1;
    }
    let told_apart = clients.keys().all(|(_, client)| !client.is_empty());
    let mut consumers: Vec<usize> = pods.values().map(|(_, consumers)| *consumers).collect();
    consumers.sort_unstable();
    let usual = consumers[consumers.len() / 2];
    let assigned = pods.into_iter().map(|(pod, (partitions, _))| (pod.to_owned(), partitions)).collect();
    (Fact::Known(assigned), told_apart.then_some(usual))
}

fn row(sample: LabelledSample) -> Result<Row, String> {
    let LabelledSample { pod, labels, value: load } = sample;
    let [topic, partition]: [String; 2] = labels.try_into().unwrap_or_default();
    if topic.is_empty() {
        return Err("a series has no label topic; the query must keep topic and partition".to_owned());
    }
    let partition =
        partition.parse().map_err(|_| format!("partition {partition:?} of topic {topic:?} is no number"))?;
    Ok(Row { pod, topic, partition, load })
}

/// Adds the owners, from client metrics, to loads that name no pod. Topics without a live owner are left out,
/// because a broker's metrics contain all its topics.
fn with_owners(mut loads: Vec<Row>, owners: Vec<Row>, live: &[LivePod]) -> Result<Vec<Row>, String> {
    let names: BTreeSet<&str> = live.iter().map(|pod| pod.name.as_str()).collect();
    let is_live = |row: &Row| row.pod.as_deref().is_some_and(|pod| names.contains(pod));
    let owners: Vec<Row> = owners.into_iter().filter(is_live).collect();
    let topics: BTreeSet<String> = owners.iter().map(|row| one_spelling(&row.topic)).collect();
    if topics.is_empty() {
        return Ok(loads);
    }
    loads.retain(|row| topics.contains(&one_spelling(&row.topic)));
    let key = |row: &Row| (one_spelling(&row.topic), row.partition);
    let known: BTreeMap<(String, u32), &Row> = loads.iter().map(|row| (key(row), row)).collect();
    let mut owned: Vec<Row> = Vec::with_capacity(owners.len());
    for Row { pod, topic, partition, .. } in owners {
        let Some(of) = known.get(&(one_spelling(&topic), partition)) else {
            // Without a load it would count as idle.
            return Err(format!("partition {partition} of topic {topic:?} has an owner and no load"));
        };
        owned.push(Row { pod, ..(*of).clone() });
    }
    // Clients since 4.1 report a dotted topic in both spellings.
    owned.sort_by(|a, b| (&a.topic, a.partition, &a.pod).cmp(&(&b.topic, b.partition, &b.pod)));
    owned.dedup_by(|a, b| (&a.topic, a.partition, &a.pod) == (&b.topic, b.partition, &b.pod));
    let taken: BTreeSet<(&str, u32)> = owned.iter().map(|row| (row.topic.as_str(), row.partition)).collect();
    let rest = loads.iter().filter(|row| !taken.contains(&(row.topic.as_str(), row.partition)));
    Ok(owned.iter().chain(rest).cloned().collect())
}

fn joined(rows: &[Row], live: &[LivePod]) -> Fact<Partitions> {
    let names: Vec<&str> = live.iter().map(|pod| pod.name.as_str()).collect();
    let samples = rows.iter().map(|row| PartitionSample {
        pod: row.pod.as_deref(),
        topic: &row.topic,
        partition: row.partition,
        load: row.load,
    });
    Fact::from(Partitions::new(samples, &names))
}
