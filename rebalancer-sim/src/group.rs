//! A consumer group whose members all have ids: what each owns, and what happens when they come and go.

use std::cmp::Ordering;

use rebalancer_core::kafka::{
    Assignor, Dealer, KnownMember, MemberOrders, Table, TopicOrder, TopicPartition, UniformRule,
};

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

    /// Static members first, by their static id, then the others by id.
    fn rank(&self, other: &Self) -> Ordering {
        match (&self.instance, &other.instance) {
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => self.id.cmp(&other.id),
        }
    }
}

/// How the replacement of pods looks to the group: which members come and go in one rebalance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// All old members leave, then all new ones join: what evictions do to a group of a classic protocol,
    /// observed on Kafka 4.4.
    AllThenAll,
    /// All old members leave, then the new ones join one by one: what evictions do to a group of KIP-848,
    /// observed on Kafka 4.4.
    AllThenEach,
    /// The old members leave one by one, then the new ones join one by one: pods that are replaced slowly.
    EachThenEach,
    /// Old members leave and new ones join at once: a hard kill, when the replacement arrives before the old
    /// member's session has timed out.
    AtOnce,
}

impl Shape {
    /// What evictions do to a group of this assignor.
    pub const fn of_evictions(assignor: Assignor) -> Self {
        match assignor {
            Assignor::Uniform => Self::AllThenEach,
            Assignor::Range | Assignor::RoundRobin | Assignor::Sticky | Assignor::CooperativeSticky => {
                Self::AllThenAll
            }
        }
    }

    /// Batches of leaving members, then batches of joining ones, with a rebalance after each batch.
    fn phases<L, J>(self, leaving: Vec<L>, joining: Vec<J>) -> Vec<(Vec<L>, Vec<J>)> {
        let (leave, join) = match self {
            Self::AllThenAll => (together(leaving), together(joining)),
            Self::AllThenEach => (together(leaving), one_by_one(joining)),
            Self::EachThenEach => (one_by_one(leaving), one_by_one(joining)),
            Self::AtOnce => return vec![(leaving, joining)],
        };
        let leave = leave.into_iter().map(|members| (members, Vec::new()));
        leave.chain(join.into_iter().map(|members| (Vec::new(), members))).collect()
    }
}

fn together<T>(members: Vec<T>) -> Vec<Vec<T>> {
    if members.is_empty() { Vec::new() } else { vec![members] }
}

fn one_by_one<T>(members: Vec<T>) -> Vec<Vec<T>> {
    members.into_iter().map(|member| vec![member]).collect()
}

/// A settled group.
///
/// ```
/// use rebalancer_core::kafka::{Assignor, TopicPartition};
/// use rebalancer_sim::group::{Group, Member};
///
/// let members = vec![Member::new("a", 0), Member::new("b", 1)];
/// let group = Group::form(Assignor::Range, vec![3], members)?;
/// let load = |partition: TopicPartition| f64::from(partition.number);
/// assert_eq!(group.pod_loads(2, load), [1.0, 2.0], "0 and 1, then 2");
/// # Ok::<(), rebalancer_sim::group::InvalidGroup>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    dealer: Dealer,
    table: Table,
    /// In the order of joining.
    members: Vec<Member>,
    /// The places that each member owns.
    owned: Vec<Vec<usize>>,
}

/// Why members and topics do not form a group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidGroup {
    /// No member is left to own the partitions.
    NoMember,
    /// Two members have the same identity.
    DuplicateMember {
        /// The id.
        id: String,
    },
    /// No member has this id.
    UnknownMember {
        /// The id.
        id: String,
    },
    /// A partition with no owner, or with two.
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
    /// Forms a group from nothing. `topics` gives the number of partitions of each topic, in the order of the
    /// topic names (byte by byte, as Kafka compares them).
    ///
    /// # Errors
    /// No member, or two with the same identity.
    pub fn form(assignor: Assignor, topics: Vec<u32>, members: Vec<Member>) -> Result<Self, InvalidGroup> {
        if members.is_empty() {
            return Err(InvalidGroup::NoMember);
        }
        let mut group = Self::without_members(assignor, topics);
        group.change(&[], members)?;
        Ok(group)
    }

    /// A group without members yet; `topics` as in [`Group::form`].
    pub fn without_members(assignor: Assignor, topics: Vec<u32>) -> Self {
        let count = topics.len();
        let numbers = topics.into_iter().enumerate();
        let all =
            numbers.flat_map(|(topic, count)| (0..count).map(move |number| TopicPartition { topic, number }));
        Self::empty(assignor, count, all.collect())
    }

    fn empty(assignor: Assignor, topics: usize, all: Vec<TopicPartition>) -> Self {
        let dealer = Dealer { assignor, rule: UniformRule::default(), topics: TopicOrder::by_name(topics) };
        Self { dealer, table: Table { all }, members: Vec::new(), owned: Vec::new() }
    }

    /// An existing group: each member with what it owns. Nothing is reassigned.
    ///
    /// # Errors
    /// No member, two with the same identity, or a partition that two members own.
    pub fn found(
        assignor: Assignor,
        members: Vec<(Member, Vec<TopicPartition>)>,
    ) -> Result<Self, InvalidGroup> {
        let mut all: Vec<TopicPartition> =
            members.iter().flat_map(|(_, owned)| owned.iter().copied()).collect();
        all.sort_unstable();
        if let Some(twice) = all.windows(2).find(|pair| pair[0] == pair[1]) {
            let TopicPartition { topic, number } = twice[0];
            return Err(InvalidGroup::Ownership { topic, number, owners: 2 });
        }
        if members.is_empty() {
            return Err(InvalidGroup::NoMember);
        }
        let topics = all.last().map_or(0, |last| last.topic + 1);
        let mut group = Self::empty(assignor, topics, all);
        for (member, owned) in members {
            let place = |partition: TopicPartition| group.table.all.binary_search(&partition).ok();
            let mut places = owned.into_iter().filter_map(place).collect();
            group.dealer.arrange(&group.table, &mut places);
            group.add(member, places)?;
        }
        Ok(group)
    }

    /// Assigns `uniform` by another rule than the newest Kafka's.
    #[must_use]
    pub fn with_uniform_rule(mut self, rule: UniformRule) -> Self {
        self.dealer.rule = rule;
        self
    }

    /// Walks the topics by `codes`, the hash code of each topic's id (`Uuid.hashCode()`), as a broker does
    /// under `uniform`. Otherwise topics are walked in name order.
    ///
    /// # Panics
    /// If there are fewer codes than topics.
    #[must_use]
    pub fn with_topic_codes(mut self, codes: &[u32]) -> Self {
        assert!(codes.len() >= self.table.topics(), "each topic has a code");
        self.dealer.topics = TopicOrder::of_ids(codes);
        self
    }

    /// Replaces all members in `pods` by `replacements`.
    ///
    /// # Errors
    /// No member would be left, or a replacement has the identity of a remaining member. The group is then
    /// unchanged.
    pub fn rotate(
        &mut self,
        pods: &[usize],
        replacements: Vec<Member>,
        shape: Shape,
    ) -> Result<(), InvalidGroup> {
        let of_pod = |pod: &usize| {
            let theirs = self.members.iter().filter(|member| member.pod == *pod);
            theirs.map(|member| member.id.as_str()).collect::<Vec<&str>>()
        };
        let leaving: Vec<&str> = pods.iter().flat_map(of_pod).collect();
        let mut after = self.clone();
        for (leaving, joining) in shape.phases(leaving, replacements) {
            after.change(&leaving, joining)?;
        }
        if after.members.is_empty() {
            return Err(InvalidGroup::NoMember);
        }
        *self = after;
        Ok(())
    }

    /// Adds one member and reassigns the partitions.
    ///
    /// # Errors
    /// It has the identity of an existing member.
    pub fn join(&mut self, member: Member) -> Result<(), InvalidGroup> {
        self.change(&[], vec![member])
    }

    /// One rebalance: the members with the ids in `leaving` leave and those in `joining` join. A group
    /// without members owns nothing.
    ///
    /// # Errors
    /// A leaving id is no member, or a joining member has the identity of an existing one. The group is then
    /// unchanged.
    pub fn change(&mut self, leaving: &[&str], joining: Vec<Member>) -> Result<(), InvalidGroup> {
        let mut after = self.clone();
        for id in leaving {
            after.remove(id)?;
        }
        for member in joining {
            after.add(member, Vec::new())?;
        }
        let orders = after.orders();
        after.dealer.deal(&after.table, &orders, &mut after.owned);
        *self = after;
        Ok(())
    }

    /// A static member returns within its session: under a new id it takes over what the old one owned, and
    /// nothing is reassigned.
    ///
    /// # Errors
    /// No member has the old id, or another one has the new identity. The group is then unchanged.
    pub fn take_over(&mut self, old_id: &str, member: Member) -> Result<(), InvalidGroup> {
        let mut after = self.clone();
        let owned = after.remove(old_id)?;
        after.add(member, owned)?;
        *self = after;
        Ok(())
    }

    fn add(&mut self, member: Member, owned: Vec<usize>) -> Result<(), InvalidGroup> {
        if self.members.iter().any(|other| other.id == member.id || other.rank(&member) == Ordering::Equal) {
            return Err(InvalidGroup::DuplicateMember { id: member.id });
        }
        self.members.push(member);
        self.owned.push(owned);
        Ok(())
    }

    fn remove(&mut self, id: &str) -> Result<Vec<usize>, InvalidGroup> {
        let Some(place) = self.members.iter().position(|member| member.id == id) else {
            return Err(InvalidGroup::UnknownMember { id: id.into() });
        };
        self.members.remove(place);
        Ok(self.owned.remove(place))
    }

    fn orders(&self) -> MemberOrders {
        let by_rank = self.dealer.assignor.is_rank_invariant();
        let compare = |a: &Member, b: &Member| if by_rank { a.rank(b) } else { a.id.cmp(&b.id) };
        let mut by_id: Vec<usize> = (0..self.members.len()).collect();
        by_id.sort_by(|a, b| compare(&self.members[*a], &self.members[*b]));
        MemberOrders { by_id, walk: walk(&self.members) }
    }

    /// How the group assigns its partitions.
    pub const fn assignor(&self) -> Assignor {
        self.dealer.assignor
    }

    /// The members in the order of joining, each with what it owns, sorted.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (&Member, Vec<TopicPartition>)> {
        let owned = self.owned.iter().map(|places| {
            let mut owned: Vec<TopicPartition> = places.iter().map(|place| self.table.all[*place]).collect();
            owned.sort_unstable();
            owned
        });
        self.members.iter().zip(owned)
    }

    /// All partitions, sorted.
    pub fn partitions(&self) -> &[TopicPartition] {
        &self.table.all
    }

    /// Load of each of `pods` pods, given the `load` of a partition.
    pub fn pod_loads(&self, pods: usize, load: impl Fn(TopicPartition) -> f64) -> Vec<f64> {
        let mut loads = vec![0.0; pods];
        for (member, owned) in self.members() {
            if let Some(sum) = loads.get_mut(member.pod) {
                *sum += owned.iter().map(|partition| load(*partition)).sum::<f64>();
            }
        }
        loads
    }
}

/// The positions of the members in the iteration order of a `HashMap` into which their ids were put one by one: the
/// number of buckets doubles when more than three quarters are full.
fn walk(members: &[Member]) -> Vec<usize> {
    let mut buckets = 16;
    while members.len() > buckets * 3 / 4 {
        buckets *= 2;
    }
    let bucket = |position: &usize| {
        let hash = KnownMember::hash_of(&members[*position].id);
        (hash ^ (hash >> 16)) as usize % buckets
    };
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(bucket);
    order
}
