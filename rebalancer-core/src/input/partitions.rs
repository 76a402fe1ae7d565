//! The partitions a consumer group reads: the load of each and the pod that owns it.

use alloc::collections::BTreeMap;
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
        let live: BTreeMap<&str, usize> =
            live.iter().enumerate().map(|(place, name)| (*name, place)).collect();
        let mut rows: BTreeMap<(String, u32), Vec<Row<'a>>> = BTreeMap::new();
        for sample in samples {
            let owner = sample.pod.and_then(|pod| live.get(pod)).copied().map(LiveIndex);
            if owner.is_some() || sample.pod.is_none() {
                let place = (one_spelling(sample.topic), sample.partition);
                rows.entry(place).or_default().push(Row { sample, owner });
            }
        }
        if rows.is_empty() {
            return Err(InvalidPartitions::Empty);
        }
        let mut partitions = Self { topics: Vec::new(), all: Vec::new(), contested: Vec::new() };
        let mut topic = None;
        for ((spelling, _), mut rows) in rows {
            rows.sort_by_key(|row| (row.owner.is_none(), row.sample.pod, row.sample.topic));
            reject_duplicates(&rows)?;
            if topic.as_ref() != Some(&spelling) {
                partitions.topics.push(rows[0].sample.topic.to_string());
                topic = Some(spelling);
            }
            partitions.add(&rows)?;
        }
        Ok(partitions)
    }

    /// Adds a partition of the last topic: all its rows, the one that counts first.
    fn add(&mut self, rows: &[Row<'_>]) -> Result<(), InvalidPartitions> {
        let PartitionSample { topic, partition: number, load, .. } = rows[0].sample;
        let Some(load) = Load::from_sample(load) else {
            return Err(InvalidPartitions::NoLoad { topic: topic.to_string(), partition: number });
        };
        let (topic, owner) = (self.topics.len() - 1, rows[0].owner);
        self.all.push(Partition { topic, number, load: load.value(), owner });
        if rows.iter().any(|row| row.owner.is_some() && row.owner != owner) {
            self.contested.push((topic, number));
        }
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
        let rest = self.all[1..].iter();
        rest.fold(&self.all[0], |hottest, other| if other.load > hottest.load { other } else { hottest })
    }
}

/// `rows` are those of one partition, sorted by pod and topic.
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

/// The topic with underscores instead of dots, the only spelling that all sources can be converted to. Kafka
/// clients before 4.1 write `a_b` for `a.b`, exporters write `a.b`, and Kafka refuses both in one cluster.
///
/// ```
/// assert_eq!(rebalancer_core::one_spelling("orders.eu"), "orders_eu");
/// ```
pub fn one_spelling(topic: &str) -> String {
    topic.replace('.', "_")
}
