//! A consumer group: its members, what each owns, and what happens when they come and go.

use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::kafka::assignor::Assignor;
use crate::kafka::topic_partition::TopicPartition;
use crate::kafka::{by_rank, sticky};

/// A member of a group: one consumer of one pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The id the broker gave it, which decides its rank.
    pub id: String,
    /// The static id (`group.instance.id`); it ranks before all dynamic ids.
    pub instance: Option<String>,
    /// Position of the pod it runs in.
    pub pod: usize,
}

impl Member {
    /// A dynamic member.
    pub fn new(id: impl Into<String>, pod: usize) -> Self {
        Self { id: id.into(), instance: None, pod }
    }

    /// Static members by their static id, then the others by id.
    fn rank(&self, other: &Self) -> Ordering {
        match (&self.instance, &other.instance) {
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => self.id.cmp(&other.id),
        }
    }
}

/// How the replacement of pods looks to the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Shape {
    /// The members leave one after another, then their replacements join one after another, with a
    /// rebalance each time: what an eviction does to a consumer that closes properly.
    Graceful,
    /// Old members go and new ones come within one rebalance: a hard kill, after which the
    /// replacement is there before the session of the old member has timed out.
    OneShot,
}

/// A settled group.
///
/// ```
/// use rebalancer_core::kafka::{Assignor, Group, Member};
///
/// let members = vec![Member::new("a", 0), Member::new("b", 1)];
/// let group = Group::form(Assignor::Range, vec![3], members)?;
/// let load = |partition: rebalancer_core::kafka::TopicPartition| f64::from(partition.number);
/// assert_eq!(group.pod_loads(2, load), [1.0, 2.0], "0 and 1, then 2");
/// # Ok::<(), rebalancer_core::kafka::InvalidGroup>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    assignor: Assignor,
    /// All partitions, sorted.
    partitions: Vec<TopicPartition>,
    /// Sorted by rank.
    members: Vec<Member>,
    /// What each member owns, sorted.
    owned: Vec<Vec<TopicPartition>>,
}

/// Why members and topics do not make a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidGroup {
    /// Nobody is left to own the partitions.
    #[error("a consumer group needs at least one member")]
    NoMember,
    /// Two members of one identity.
    #[error("member {id:?} is given twice")]
    DuplicateMember {
        /// The id.
        id: String,
    },
    /// A partition with no owner, or with two.
    #[error("partition {number} of topic {topic} is owned {owners} times")]
    Ownership {
        /// Position of the topic.
        topic: usize,
        /// Number of the partition.
        number: u32,
        /// Number of owners.
        owners: usize,
    },
}

impl Group {
    /// Forms a group from nothing: `topics` gives the number of partitions of each topic.
    ///
    /// # Errors
    /// No member, or two of one identity.
    pub fn form(assignor: Assignor, topics: Vec<u32>, members: Vec<Member>) -> Result<Self, InvalidGroup> {
        let nothing = alloc::vec![Vec::new(); members.len()];
        let partitions = topics
            .into_iter()
            .enumerate()
            .flat_map(|(topic, count)| (0..count).map(move |number| TopicPartition { topic, number }))
            .collect();
        let mut group = Self::checked(assignor, partitions, members, nothing)?;
        group.rebalance();
        Ok(group)
    }

    /// A group as it was found: each member with what it owns. Nothing is dealt.
    ///
    /// # Errors
    /// No member, two of one identity, or a partition that two members own.
    pub fn found(
        assignor: Assignor,
        members: Vec<(Member, Vec<TopicPartition>)>,
    ) -> Result<Self, InvalidGroup> {
        let mut partitions: Vec<TopicPartition> =
            members.iter().flat_map(|(_, owned)| owned.iter().copied()).collect();
        partitions.sort_unstable();
        if let Some(twice) = partitions.windows(2).find(|pair| pair[0] == pair[1]) {
            let TopicPartition { topic, number } = twice[0];
            return Err(InvalidGroup::Ownership { topic, number, owners: 2 });
        }
        let (members, owned) = members.into_iter().unzip();
        Self::checked(assignor, partitions, members, owned)
    }

    fn checked(
        assignor: Assignor,
        partitions: Vec<TopicPartition>,
        members: Vec<Member>,
        owned: Vec<Vec<TopicPartition>>,
    ) -> Result<Self, InvalidGroup> {
        if members.is_empty() {
            return Err(InvalidGroup::NoMember);
        }
        let mut group = Self { assignor, partitions, members: Vec::new(), owned: Vec::new() };
        for (member, mut owned) in members.into_iter().zip(owned) {
            owned.sort_unstable();
            group.add(member, owned)?;
        }
        Ok(group)
    }

    /// Replaces all members that run in `pods` by `replacements`.
    ///
    /// # Errors
    /// Nobody would be left, or a replacement has the identity of a member that stays. The group is
    /// unchanged then.
    pub fn rotate(
        &mut self,
        pods: &[usize],
        replacements: Vec<Member>,
        shape: Shape,
    ) -> Result<(), InvalidGroup> {
        let mut after = self.clone();
        match shape {
            Shape::Graceful => {
                for pod in pods {
                    after.remove(&[*pod]);
                    after.rebalance();
                }
                for member in replacements {
                    after.add(member, Vec::new())?;
                    after.rebalance();
                }
            }
            Shape::OneShot => {
                after.remove(pods);
                for member in replacements {
                    after.add(member, Vec::new())?;
                }
                after.rebalance();
            }
        }
        if after.members.is_empty() {
            return Err(InvalidGroup::NoMember);
        }
        *self = after;
        Ok(())
    }

    /// Takes one member in and deals the partitions anew.
    ///
    /// # Errors
    /// It has the identity of a member.
    pub fn join(&mut self, member: Member) -> Result<(), InvalidGroup> {
        self.add(member, Vec::new())?;
        self.rebalance();
        Ok(())
    }

    fn add(&mut self, member: Member, owned: Vec<TopicPartition>) -> Result<(), InvalidGroup> {
        let Err(place) = self.members.binary_search_by(|other| other.rank(&member)) else {
            return Err(InvalidGroup::DuplicateMember { id: member.id });
        };
        self.members.insert(place, member);
        self.owned.insert(place, owned);
        Ok(())
    }

    fn remove(&mut self, pods: &[usize]) {
        let mut stays = self.members.iter().map(|member| !pods.contains(&member.pod));
        self.owned.retain(|_| stays.next().unwrap_or(true));
        self.members.retain(|member| !pods.contains(&member.pod));
    }

    /// Deals all partitions to the members there are; an empty group owns nothing.
    fn rebalance(&mut self) {
        if self.members.is_empty() {
            return;
        }
        match self.assignor {
            Assignor::Range => by_rank::range(&self.partitions, &mut self.owned),
            Assignor::RoundRobin => by_rank::round_robin(&self.partitions, &mut self.owned),
            Assignor::Sticky | Assignor::CooperativeSticky => {
                sticky::in_turn(&self.partitions, &mut self.owned);
            }
            Assignor::Uniform => sticky::one_by_one(&self.partitions, &mut self.owned),
        }
    }

    /// How the group deals.
    pub const fn assignor(&self) -> Assignor {
        self.assignor
    }

    /// The members with what each owns, by rank.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (&Member, &[TopicPartition])> {
        self.members.iter().zip(self.owned.iter().map(Vec::as_slice))
    }

    /// All partitions, sorted.
    pub fn partitions(&self) -> &[TopicPartition] {
        &self.partitions
    }

    /// Load of each of `pods` pods when `load` is the load of a partition.
    pub fn pod_loads(&self, pods: usize, load: impl Fn(TopicPartition) -> f64) -> Vec<f64> {
        let mut loads = alloc::vec![0.0; pods];
        for (member, owned) in self.members() {
            if let Some(sum) = loads.get_mut(member.pod) {
                *sum += owned.iter().map(|partition| load(*partition)).sum::<f64>();
            }
        }
        loads
    }
}
