//! The members of the consumer group: what orders their ids, and what each owns.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use rebalancer_core::kafka::KnownMember;
use rebalancer_core::{Fact, LiveIndex, LivePod};

use super::finder::{FactFinder, unusable};
use crate::metrics::{ALIKE_LABEL, MEMBER_LABEL, MEMBERS, PARTITION_LABELS};
use crate::prometheus::LabelledSample;

impl FactFinder<'_> {
    /// The members in the order of the answer.
    pub(super) fn members(&self, live: &[LivePod]) -> Fact<Vec<KnownMember>> {
        let [topic, partition] = PARTITION_LABELS;
        let labels = [MEMBER_LABEL, ALIKE_LABEL, topic, partition];
        let pods: BTreeMap<&str, LiveIndex> =
            live.iter().enumerate().map(|(place, pod)| (pod.name.as_str(), LiveIndex(place))).collect();
        self.samples(MEMBERS, &labels, live).and_then(|samples| {
            let mut members: Vec<KnownMember> = Vec::new();
            for sample in samples {
                let Some(member) = member(sample, &pods) else {
                    return unusable("a sample does not tell a member of a live pod");
                };
                match members.last_mut().filter(|last| last.rank == member.rank) {
                    Some(last) => last.owned.extend(member.owned),
                    None => members.push(member),
                }
            }
            Fact::Known(members)
        })
    }
}

/// A member with one of its partitions, or with none.
fn member(sample: LabelledSample, pods: &BTreeMap<&str, LiveIndex>) -> Option<KnownMember> {
    let [rank, alike, topic, partition]: [String; 4] = sample.labels.try_into().ok()?;
    let owned = if topic.is_empty() { Vec::new() } else { vec![(topic, partition.parse().ok()?)] };
    let is_hash = sample.value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&sample.value);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is a whole number that fits"
    )]
    let hash = is_hash.then_some(sample.value as u32)?;
    Some(KnownMember {
        pod: *pods.get(sample.pod?.as_str())?,
        rank: rank.parse().ok()?,
        alike: ranks(&alike)?,
        hash,
        owned,
    })
}

/// First and last rank, as in `0-11`.
fn ranks(text: &str) -> Option<RangeInclusive<usize>> {
    let (first, last) = text.split_once('-')?;
    Some(first.parse().ok()?..=last.parse().ok()?)
}
