//! The partitions a consumer group reads: the load of each and the pod that owns it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::input::live_pod::LiveIndex;
use crate::input::pod::Load;

/// One element of an answer: the load per pod, topic and partition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PartitionSample<'a> {
    /// The pod that reads it; `None` if the metric does not say.
    pub pod: Option<&'a str>,
    /// Topic, dotted or with the dots replaced by underscores as older clients write it.
    pub topic: &'a str,
    /// Number of the partition.
    pub partition: u32,
    /// Messages per second; may be NaN, infinite or negative.
    pub load: f64,
}

/// One partition.
#[derive(Debug, Clone, PartialEq)]
pub struct Partition {
    /// Position of its topic in [`Partitions::topics`].
    pub topic: usize,
    /// Its number within the topic.
    pub number: u32,
    /// Messages per second.
    pub load: f64,
    /// The live pod that owns it; `None` if unknown.
    pub owner: Option<LiveIndex>,
}

/// The partitions of a group, each once, sorted by topic and number.
#[derive(Debug, Clone, PartialEq)]
pub struct Partitions {
    topics: Vec<String>,
    all: Vec<Partition>,
    contested: Vec<(usize, u32)>,
}

/// Why an answer does not give the load of each partition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPartitions {
    /// No sample, or none of a live pod.
    #[error("no partition is owned by a live pod")]
    Empty,
    /// Two samples for the same pod, topic and partition.
    #[error("partition {partition} of topic {topic:?} has more than one sample for pod {pod:?}")]
    Duplicate {
        /// Topic.
        topic: String,
        /// Number.
        partition: u32,
        /// Pod; empty if the samples name none.
        pod: String,
    },
    /// A sample that is not a load.
    #[error("the load of partition {partition} of topic {topic:?} is not a number")]
    NoLoad {
        /// Topic.
        topic: String,
        /// Number.
        partition: u32,
    },
}

/// A sample with the position of its pod among the live pods.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Row<'a> {
    sample: PartitionSample<'a>,
    owner: Option<LiveIndex>,
}

impl Partitions {
    /// Joins samples with the names of the live pods.
    ///
    /// Samples of pods that are not live (ghost owners) are left out. If a pod reports a dotted topic in both
    /// spellings, as newer clients do, it counts once. A partition claimed by two live pods is kept under the
    /// first by name and reported by [`Partitions::contested`]: the group has not settled.
    ///
    /// # Errors
    /// No partition is left, two samples for one pod and partition, or a sample that is no load.
    pub fn new<'a>(
        samples: impl IntoIterator<Item = PartitionSample<'a>>,
        live: &[&str],
    ) -> Result<Self, InvalidPartitions> {
        let mut rows = rows(samples, live);
        rows.sort_by(|a, b| order(a, b));
        reject_duplicates(&rows)?;
        let mut partitions = Self { topics: Vec::new(), all: Vec::new(), contested: Vec::new() };
        for row in &rows {
            partitions.add(row)?;
        }
        if partitions.all.is_empty() {
            return Err(InvalidPartitions::Empty);
        }
        Ok(partitions)
    }

    fn add(&mut self, row: &Row<'_>) -> Result<(), InvalidPartitions> {
        let sample = &row.sample;
        let known = self.topics.last().is_some_and(|topic| same_topic(topic, sample.topic));
        if !known {
            self.topics.push(sample.topic.to_string());
        }
        let topic = self.topics.len() - 1;
        if let Some(last) = self.all.last_mut()
            && (last.topic, last.number) == (topic, sample.partition)
        {
            match (last.owner, row.owner) {
                (Some(first), Some(second)) if first != second => {
                    let place = (topic, sample.partition);
                    if self.contested.last() != Some(&place) {
                        self.contested.push(place);
                    }
                }
                (None, owner) => last.owner = owner,
                _ => {}
            }
            return Ok(());
        }
        let load = Load::from_sample(sample.load).ok_or_else(|| InvalidPartitions::NoLoad {
            topic: sample.topic.to_string(),
            partition: sample.partition,
        })?;
        let (number, load) = (sample.partition, load.value());
        self.all.push(Partition { topic, number, load, owner: row.owner });
        Ok(())
    }

    /// Names of the topics, sorted; the dotted spelling if both were given.
    pub fn topics(&self) -> &[String] {
        &self.topics
    }

    /// The partitions, sorted by topic and number.
    pub fn all(&self) -> &[Partition] {
        &self.all
    }

    /// Topic and number of the partitions that more than one live pod claims.
    pub fn contested(&self) -> &[(usize, u32)] {
        &self.contested
    }

    /// Whether the owner of every partition is known, and no partition is contested.
    pub fn owners_known(&self) -> bool {
        self.contested.is_empty() && self.all.iter().all(|partition| partition.owner.is_some())
    }

    /// Load of each of the `pods` live pods: the sum over its partitions.
    pub fn pod_loads(&self, pods: usize) -> Vec<f64> {
        let mut loads = alloc::vec![0.0; pods];
        for partition in &self.all {
            if let Some(load) = partition.owner.and_then(|owner| loads.get_mut(owner.0)) {
                *load += partition.load;
            }
        }
        loads
    }

    /// Total load of all partitions.
    pub fn total_load(&self) -> f64 {
        self.all.iter().map(|partition| partition.load).sum()
    }

    /// The partition with the largest load; the first of equals.
    pub fn hottest(&self) -> &Partition {
        let mut hottest = &self.all[0];
        for partition in &self.all {
            if partition.load > hottest.load {
                hottest = partition;
            }
        }
        hottest
    }
}

/// The samples whose pod is live or not given.
fn rows<'a>(samples: impl IntoIterator<Item = PartitionSample<'a>>, live: &[&str]) -> Vec<Row<'a>> {
    let mut places: Vec<(&str, LiveIndex)> =
        live.iter().enumerate().map(|(place, name)| (*name, LiveIndex(place))).collect();
    places.sort_unstable();
    let find = |name: &str| {
        let found = places.binary_search_by(|(live, _)| (*live).cmp(name)).ok()?;
        Some(places[found].1)
    };
    let mut rows = Vec::new();
    for sample in samples {
        let owner = sample.pod.and_then(find);
        if owner.is_some() || sample.pod.is_none() {
            rows.push(Row { sample, owner });
        }
    }
    rows
}

/// Order: topic ignoring dots, then number, then owner, then the dotted spelling first.
fn order(a: &Row<'_>, b: &Row<'_>) -> core::cmp::Ordering {
    let place = |row: &Row<'_>| (row.sample.partition, row.owner.is_none());
    underscored(a.sample.topic)
        .cmp(underscored(b.sample.topic))
        .then_with(|| place(a).cmp(&place(b)))
        .then_with(|| a.sample.pod.cmp(&b.sample.pod))
        .then_with(|| a.sample.topic.cmp(b.sample.topic))
}

fn reject_duplicates(rows: &[Row<'_>]) -> Result<(), InvalidPartitions> {
    for pair in rows.windows(2) {
        let [first, second] = [&pair[0].sample, &pair[1].sample];
        if (first.topic, first.partition, first.pod) == (second.topic, second.partition, second.pod) {
            return Err(InvalidPartitions::Duplicate {
                topic: first.topic.to_string(),
                partition: first.partition,
                pod: first.pod.unwrap_or_default().to_string(),
            });
        }
    }
    Ok(())
}

/// Kafka itself refuses two topics that differ only in dots and underscores.
fn same_topic(a: &str, b: &str) -> bool {
    underscored(a).eq(underscored(b))
}

fn underscored(topic: &str) -> impl Iterator<Item = char> {
    topic.chars().map(|letter| if letter == '.' { '_' } else { letter })
}
