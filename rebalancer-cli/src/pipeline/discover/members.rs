//! Which consumer group some pods are members of, as Kafka itself tells.

use std::collections::{BTreeMap, BTreeSet};

use rebalancer_io::kafka::Groups;
use rebalancer_io::metrics::KafkaPreset;

use crate::failure::Failure;
use crate::pipeline::discover::kafka::{KafkaSource, preset_found};

/// Most groups that are named.
const MOST_GROUPS: usize = 5;

/// What becomes of pods that are members of no group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Without {
    /// Whether the settings name Kafka as the source, so that a group is expected.
    pub is_named: bool,
    /// Whether there is a metrics server, by which they can be decided on without Kafka.
    pub has_server: bool,
}

/// The share of the pods in which a group has members at least, to be taken for theirs. A group with fewer is that of another
/// workload at the same addresses, or of a person who looks into a topic.
const LEAST_SHARE: f64 = 0.5;

/// Takes the group of so many pods, of which those at the positions `found` have members in so many of them.
///
/// # Errors
/// Several groups; none where the pods cannot do without.
pub fn choose(
    groups: &Groups,
    found: &BTreeMap<usize, usize>,
    pods: usize,
    without: Without,
) -> Result<KafkaSource, Failure> {
    let name = |position: &usize| groups.of_consumers.get(*position).map(|group| group.name.clone());
    let found: BTreeMap<String, usize> =
        found.iter().filter_map(|(position, met)| Some((name(position)?, *met))).collect();
    let is_theirs = |met: usize| met as f64 >= LEAST_SHARE * pods as f64;
    let names: BTreeSet<String> =
        found.iter().filter(|(_, met)| is_theirs(**met)).map(|(name, _)| name.clone()).collect();
    let Some(first) = names.first() else { return of_none(groups, &found, pods, without) };
    let why = format!("its members run in {} of these {pods} pods, as Kafka tells", found[first]);
    let mut source = KafkaSource::of_kafka();
    if !without.is_named {
        source.found.push(preset_found(KafkaPreset::Kafka, "KAFKA_BOOTSTRAP_SERVERS is set"));
    }
    source.set_group(names, &why);
    if source.group.is_none() {
        return Err(Failure::usage(format!(
            "METRICS_PRESET=kafka needs KAFKA_GROUP, which is not clear: {}",
            source.told.join("; ")
        )));
    }
    Ok(source)
}

fn of_none(
    groups: &Groups,
    few: &BTreeMap<String, usize>,
    pods: usize,
    without: Without,
) -> Result<KafkaSource, Failure> {
    let few: Vec<String> = few
        .iter()
        .take(MOST_GROUPS)
        .map(|(name, met)| format!("; group {name} has some in {met} of the {pods} pods only"))
        .collect();
    let shared = match groups.shared.len() {
        0 => String::new(),
        count => format!(
            " (the {count} share groups do not count: each of their members reads from every partition, so none has a load \
             of its own)"
        ),
    };
    let streams = match groups.streams.as_slice() {
        [] => String::new(),
        names => {
            let (first, more) = (names[..names.len().min(MOST_GROUPS)].join(", "), names.len() > MOST_GROUPS);
            let more = if more { " and more" } else { "" };
            format!(
                "; streams groups (KIP-1071: {first}{more}) do not count: the brokers deal tasks to their members, which this \
                 program does not read"
            )
        }
    };
    let hidden = match groups.hidden.len() {
        0 => String::new(),
        count => format!("; {count} more may not be described by the user (Describe on group and topics)"),
    };
    let why = format!(
        "none of the {} consumer groups that Kafka shows the user has its members in these pods, as far as addresses and \
         client.id tell{shared}{streams}{hidden}{}",
        groups.of_consumers.len(),
        few.concat()
    );
    if without.is_named || !without.has_server {
        return Err(Failure::Run(anyhow::anyhow!("{why}; set KAFKA_GROUP")));
    }
    Ok(KafkaSource {
        preset: KafkaPreset::None,
        found: vec![preset_found(KafkaPreset::None, &why)],
        ..KafkaSource::of_kafka()
    })
}

#[cfg(test)]
mod tests {
    use rebalancer_io::kafka::Group;

    use super::*;

    fn groups() -> Groups {
        let group = |name: &str| Group {
            name: name.to_owned(),
            state: "Stable".to_owned(),
            is_dealt_by_brokers: false,
            assignor: "range".to_owned(),
            members: Vec::new(),
        };
        Groups {
            of_consumers: ["audit", "orders"].map(group).into(),
            shared: vec!["queue".to_owned()],
            streams: vec!["joins".to_owned()],
            hidden: vec!["theirs".to_owned()],
        }
    }

    fn chosen(found: &[(usize, usize)], is_named: bool, has_server: bool) -> Result<KafkaSource, Failure> {
        choose(&groups(), &found.iter().copied().collect(), 8, Without { is_named, has_server })
    }

    #[test]
    fn one_group_is_taken_and_of_several_none() {
        for found in [&[(1, 8)][..], &[(1, 4)], &[(0, 3), (1, 7)]] {
            let source = chosen(found, true, false).expect("one");
            assert_eq!((source.preset, source.group.as_deref()), (KafkaPreset::Kafka, Some("orders")));
            assert_eq!(source.found.len(), 1, "{:?}", source.found);
        }
        let several = chosen(&[(0, 4), (1, 8)], false, true).expect_err("several");
        assert!(matches!(several, Failure::Usage(_)));
        assert!(several.words().contains("none is chosen: audit, orders; set KAFKA_GROUP"), "{several:?}");
    }

    #[test]
    fn pods_without_a_group_do_without_kafka_only_where_that_is_meant() {
        for found in [&[][..], &[(0, 3)]] {
            let source = chosen(found, false, true).expect("they can do without");
            assert_eq!((source.preset, source.group), (KafkaPreset::None, None));
            let why = &source.found[0].why;
            assert!(why.starts_with("none of the 2 consumer groups"), "{why}");
            assert_eq!(
                why.contains("group audit has some in 3 of the 8 pods only"),
                !found.is_empty(),
                "{why}"
            );
        }
        for (is_named, has_server) in [(true, true), (true, false), (false, false)] {
            let failure = chosen(&[], is_named, has_server).expect_err("they cannot");
            assert!(failure.words().contains("the 1 share groups do not count"), "{failure:?}");
            assert!(failure.words().contains("(KIP-1071: joins)"), "{failure:?}");
            assert!(failure.words().contains("1 more may not be described"), "{failure:?}");
            assert!(matches!(failure, Failure::Run(_)));
        }
    }
}
