//! Forecasts of groups whose members' ids are known, held against Kafka's rules and against what Kafka's own
//! assignors dealt.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;

use proptest::prelude::*;
use rebalancer_core::kafka::{Assignor, KnownMember, TopicPartition, UniformRule};
use rebalancer_core::{
    Forecast, GroupFacts, LiveIndex, NoPair, PartitionSample, Partitions, PlannedPair, Spread,
};
use rebalancer_sim::assignor_vectors::{Sequence, read};
use rebalancer_sim::group::{Group, Member, Shape};

/// Names in the order in which Kafka has the topics. Others have another order if dots are taken for underscores.
const TOPICS: [&str; 6] = ["orders.v2", "orders1", "orders2", "t3", "t4", "t5"];

fn names(pods: usize) -> Vec<String> {
    (0..pods).map(|pod| format!("pod-{pod:02}")).collect()
}

/// A load of each partition, in no order.
fn load(partition: TopicPartition) -> f64 {
    let topic = u32::try_from(partition.topic).expect("a few topics");
    let mixed = (partition.number + 1).wrapping_mul(0x9e37_79b9) ^ topic.wrapping_mul(0x85eb_ca6b);
    f64::from(mixed >> 22) + 1.0
}

fn partitions(group: &Group, pods: usize) -> Partitions {
    let names = names(pods);
    let live: Vec<&str> = names.iter().map(String::as_str).collect();
    let samples = group.members().flat_map(|(member, owned)| {
        let pod = Some(live[member.pod]);
        owned.into_iter().map(move |partition| PartitionSample {
            pod,
            topic: TOPICS[partition.topic],
            partition: partition.number,
            load: load(partition),
        })
    });
    Partitions::new(samples.collect::<Vec<_>>(), &live).expect("each partition has one owner")
}

/// What Kafka tells of the members. `beginning` says how the id of a member's replacement begins.
fn known(group: &Group, beginning: impl Fn(&Member) -> String) -> Vec<KnownMember> {
    let mut ids: Vec<&str> = group.members().map(|(member, _)| member.id.as_str()).collect();
    ids.sort_unstable();
    let known = group.members().map(|(member, owned)| {
        let alike = |id: &&&str| id.starts_with(&beginning(member));
        let first = ids.iter().position(|id| alike(&id)).expect("its own begins so");
        KnownMember {
            pod: LiveIndex(member.pod),
            rank: ids.iter().position(|id| *id == member.id).expect("it is there"),
            alike: first..=first + ids.iter().filter(alike).count() - 1,
            hash: KnownMember::hash_of(&member.id),
            owned: owned.iter().map(|of| (TOPICS[of.topic].to_owned(), of.number)).collect(),
        }
    });
    known.collect()
}

fn facts<'a>(
    partitions: &'a Partitions,
    pods: usize,
    assignor: Assignor,
    members: &'a [KnownMember],
) -> GroupFacts<'a> {
    let consumers = members.len() / pods;
    let mut facts = GroupFacts::new(partitions, pods, consumers, Some(assignor)).expect("owners are known");
    facts.members = members;
    facts
}

fn spread(group: &Group, pods: usize) -> f64 {
    Spread::of(&group.pod_loads(pods, load)).expect("there are pods").cv
}

fn assert_exact(forecast: &Forecast, became: f64) -> Result<(), TestCaseError> {
    let outlook = forecast.outlook.expect("it is modelled");
    prop_assert_eq!(outlook.orders, 1);
    for stated in [forecast.after.expect("it is modelled"), outlook.mean, outlook.low, outlook.high] {
        prop_assert!((stated - became).abs() < 1e-9, "{} is not {}", stated, became);
    }
    Ok(())
}

/// A member whose client has the same name as all others, and a random id.
fn member(random: u64, pod: usize) -> Member {
    Member::new(format!("consumer-orders-1-{random:016x}"), pod)
}

/// A group of one consumer a pod that has lived through some restarts.
fn lived(assignor: Assignor, topics: &[u32], ids: &[u64], restarts: &[(usize, u64)]) -> Group {
    let members = ids.iter().enumerate().map(|(pod, id)| member(*id, pod)).collect();
    let mut group = Group::form(assignor, topics.to_vec(), members).expect("the ids differ");
    for (pod, id) in restarts {
        let pod = pod % ids.len();
        group.rotate(&[pod], vec![member(*id, pod)], Shape::of_evictions(assignor)).expect("a new id");
    }
    group
}

/// Distinct ids: of the members, of their replacements in the past, and of those to come.
fn ids(members: std::ops::Range<usize>) -> impl Strategy<Value = (Vec<u64>, Vec<u64>, [u64; 2])> {
    members.prop_flat_map(|members| {
        let all = prop::collection::btree_set(any::<u64>(), members + 10);
        all.prop_map(|ids: BTreeSet<u64>| ids.into_iter().collect::<Vec<u64>>()).prop_shuffle().prop_map(
            move |mut ids| {
                let past = ids.split_off(members);
                (ids, past[2..].to_vec(), [past[0], past[1]])
            },
        )
    })
}

/// Numbers in no order.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: u64) -> usize {
        usize::try_from(self.next() % most).expect("a small number")
    }
}

proptest! {
    /// Whatever the ids of the two that come, and whichever of them is first.
    #[test]
    fn a_sticky_group_with_known_ids_is_forecast_exactly(
        assignor in prop::sample::select(vec![Assignor::Sticky, Assignor::CooperativeSticky]),
        topics in prop::collection::vec(1_u32..20, 1..4),
        (members, past, coming) in ids(2..20),
        pods in prop::collection::vec(any::<usize>(), 8),
        rotated in any::<[prop::sample::Index; 2]>(),
    ) {
        let count = members.len();
        prop_assume!(topics.iter().sum::<u32>() as usize >= count);
        let restarts: Vec<(usize, u64)> = pods.into_iter().zip(past).collect();
        let mut group = lived(assignor, &topics, &members, &restarts);
        let mut rotated = rotated.map(|pod| pod.index(count)).to_vec();
        rotated.dedup();
        let partitions = partitions(&group, count);
        let known = known(&group, |_| "consumer-orders-1-".to_owned());
        let facts = facts(&partitions, count, assignor, &known);
        let pods: Vec<LiveIndex> = rotated.iter().copied().map(LiveIndex).collect();
        let forecast = facts.forecast(&pods);
        prop_assume!(forecast.unmodelled.is_none());
        let replacements = rotated.iter().zip(coming).map(|(pod, id)| member(id, *pod)).collect();
        group.rotate(&rotated, replacements, Shape::of_evictions(assignor)).expect("new ids");
        assert_exact(&forecast, spread(&group, count))?;
    }

    /// Numbered pods whose clients have their names: replacements take the places of those that they replace.
    #[test]
    fn places_that_are_known_make_every_forecast_exact_that_goes_by_them(
        assignor in prop::sample::select(vec![
            Assignor::Range, Assignor::RoundRobin, Assignor::Sticky, Assignor::CooperativeSticky,
        ]),
        topics in prop::collection::vec(1_u32..30, 1..4),
        count in 2_usize..14,
        each in 1_usize..4,
        rotated in any::<[prop::sample::Index; 2]>(),
        seed in any::<u64>(),
    ) {
        let client = |pod: usize, consumer: usize| format!("orders-{pod}-{consumer}-");
        let named = |generation: u64, pod: usize| {
            (0..each).map(move |consumer| {
                let random = seed.wrapping_mul(consumer as u64 + 3).wrapping_add(generation) ^ pod as u64;
                Member::new(format!("{}{random:016x}", client(pod, consumer)), pod)
            })
        };
        let members = (0..count).flat_map(|pod| named(0, pod)).collect();
        let mut group = Group::form(assignor, topics, members).expect("the ids differ");
        let mut rotated = rotated.map(|pod| pod.index(count)).to_vec();
        rotated.dedup();
        let partitions = partitions(&group, count);
        let known = known(&group, |member| {
            let (client, _) = member.id.rsplit_once('-').expect("a random part");
            format!("{client}-")
        });
        let pods: Vec<LiveIndex> = rotated.iter().copied().map(LiveIndex).collect();
        let facts = facts(&partitions, count, assignor, &known);
        let forecast = facts.forecast(&pods);
        prop_assume!(forecast.unmodelled.is_none());
        let replacements = rotated.iter().flat_map(|pod| named(1, *pod)).collect();
        group.rotate(&rotated, replacements, Shape::of_evictions(assignor)).expect("new ids");
        assert_exact(&forecast, spread(&group, count))?;
    }
}

/// What the ids leave open is less than what is open without them: the mean is nearer to what comes.
#[test]
fn known_ids_make_forecasts_of_uniform_groups_better() {
    let (mut with, mut without) = (0.0, 0.0);
    let mut random = Random(20_261_130);
    for _ in 0..300 {
        let ids: Vec<u64> = (0..8).map(|_| random.next()).collect();
        let restarts: Vec<(usize, u64)> = (0..16).map(|_| (random.below(8), random.next())).collect();
        let mut group = lived(Assignor::Uniform, &[32], &ids, &restarts);
        let partitions = partitions(&group, 8);
        let known = known(&group, |_| String::new());
        let pods = [LiveIndex(2), LiveIndex(5)];
        let mean = |members: &[KnownMember]| {
            let mut facts =
                GroupFacts::new(&partitions, 8, 1, Some(Assignor::Uniform)).expect("owners are known");
            facts.members = members;
            facts.forecast(&pods).outlook.expect("it is modelled").mean
        };
        let (told, untold) = (mean(&known), mean(&[]));
        let replacements = [2, 5].map(|pod| member(random.next(), pod)).to_vec();
        group.rotate(&[2, 5], replacements, Shape::AllThenEach).expect("new ids");
        let became = spread(&group, 8);
        with += (told - became).abs();
        without += (untold - became).abs();
    }
    assert!(with < 0.95 * without, "off by {with} with ids, {without} without");
}

/// Members that leave together and whose replacements then join together, as Kafka's own classes dealt it.
#[test]
fn kafka_itself_deals_what_is_forecast_of_its_ids() {
    let sequences = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/kafka/assignors.json.gz"));
    let is_sticky = |sequence: &&Sequence| sequence.equal && sequence.kind.contains("sticky");
    let mut exact = 0;
    for sequence in sequences.iter().filter(is_sticky) {
        let mut group = sequence.group(UniformRule::default());
        for steps in sequence.steps.windows(2) {
            let before = group.clone();
            steps[0].play(sequence, &mut group);
            let [leaves, joins] = steps else { continue };
            if leaves.event != "leave" || joins.event != "join" {
                continue;
            }
            let mut after = group.clone();
            joins.play(sequence, &mut after);
            exact += usize::from(is_forecast(&before, &after));
        }
    }
    assert!(exact >= 30, "only {exact} rotations were forecast");
}

/// Whether a rotation made one group of another; its forecast then has to be exact.
fn is_forecast(before: &Group, after: &Group) -> bool {
    let pods_of = |group: &Group| -> Vec<usize> {
        let pods: BTreeSet<usize> = group.members().map(|(member, _)| member.pod).collect();
        pods.into_iter().collect()
    };
    let pods = pods_of(before);
    let is_static = before.members().chain(after.members()).any(|(member, _)| member.instance.is_some());
    let topics = before.partitions().last().map_or(0, |last| last.topic + 1);
    let is_whole = |group: &Group| group.members().len() == pods.len() && pods_of(group) == pods;
    if is_static || topics > TOPICS.len() || before.partitions().len() < pods.len() {
        return false;
    }
    if !is_whole(before) || !is_whole(after) {
        return false;
    }
    let [before, after] = [before, after].map(|group| renumbered(group, &pods));
    let stayed: BTreeSet<&str> = after.members().map(|(member, _)| member.id.as_str()).collect();
    let rotated: Vec<LiveIndex> = before
        .members()
        .filter(|(member, _)| !stayed.contains(member.id.as_str()))
        .map(|(member, _)| LiveIndex(member.pod))
        .collect();
    let partitions = partitions(&before, pods.len());
    let known = known(&before, |_| String::new());
    let forecast = facts(&partitions, pods.len(), before.assignor(), &known).forecast(&rotated);
    if forecast.unmodelled.is_some() {
        return false;
    }
    let told = assert_exact(&forecast, spread(&after, pods.len()));
    assert!(told.is_ok(), "{told:?}");
    true
}

/// The same group with its pods numbered from zero.
fn renumbered(group: &Group, pods: &[usize]) -> Group {
    let members = group.members().map(|(member, owned)| {
        let pod = pods.binary_search(&member.pod).expect("it is one of them");
        (Member { pod, ..member.clone() }, owned)
    });
    Group::found(group.assignor(), members.collect()).expect("it is a group")
}

#[test]
fn the_best_pair_of_an_exact_group_gains_exactly_what_is_stated() {
    let mut random = Random(7);
    let mut planned = 0;
    for _ in 0..60 {
        let ids: Vec<u64> = (0..8).map(|_| random.next()).collect();
        let restarts: Vec<(usize, u64)> = (0..16).map(|_| (random.below(8), random.next())).collect();
        let mut group = lived(Assignor::CooperativeSticky, &[32], &ids, &restarts);
        let partitions = partitions(&group, 8);
        let known = known(&group, |_| "consumer-orders-1-".to_owned());
        let pair = facts(&partitions, 8, Assignor::CooperativeSticky, &known).planned_pair();
        let Ok(PlannedPair { pods, forecast }) = pair else {
            assert!(matches!(pair, Err(NoPair::TooLittle { .. })), "{pair:?}");
            continue;
        };
        let pods = pods.map(|LiveIndex(pod)| pod);
        let replacements = pods.map(|pod| member(random.next(), pod)).to_vec();
        group.rotate(&pods, replacements, Shape::AllThenAll).expect("new ids");
        let stated = forecast.after.expect("it is planned");
        assert!((spread(&group, 8) - stated).abs() < 1e-9, "{stated}");
        planned += 1;
    }
    assert!(planned >= 30, "only {planned} groups had a pair");
}

/// What contradicts itself is no reason to be more certain.
#[test]
fn members_that_contradict_the_owners_are_left_out() {
    let group = lived(Assignor::Sticky, &[12], &[5, 3, 8, 1], &[(1, 77), (2, 78)]);
    let partitions = partitions(&group, 4);
    let told = known(&group, |_| String::new());
    let pods = [LiveIndex(0), LiveIndex(1)];
    let forecast = |members: &[KnownMember]| {
        let mut facts = GroupFacts::new(&partitions, 4, 1, Some(Assignor::Sticky)).expect("owners are known");
        facts.members = members;
        facts.forecast(&pods)
    };
    let unknown = forecast(&[]);
    assert_eq!(unknown.outlook.map(|outlook| outlook.orders), Some(64));
    assert_eq!(forecast(&told).outlook.map(|outlook| outlook.orders), Some(1));
    let changes: [fn(&mut Vec<KnownMember>); 7] = [
        |members| members[0].rank = members[1].rank,
        |members| members[0].rank = 400,
        |members| members[0].alike = 0..=4,
        |members| members[0].alike = RangeInclusive::new(4, 2),
        |members| members[0].pod = members[1].pod,
        |members| drop(members[0].owned.pop()),
        |members| members[0].owned[0].0 = "another".to_owned(),
    ];
    for change in changes {
        let mut members = told.clone();
        let first = members.iter().position(|member| !member.owned.is_empty()).expect("one owns something");
        members.swap(0, first);
        change(&mut members);
        assert_eq!(forecast(&members), unknown, "{members:?}");
    }
    let pods = told.iter().position(|member| member.pod == LiveIndex(3)).expect("it is there");
    let mut fewer = told.clone();
    fewer.remove(pods);
    assert_eq!(forecast(&fewer), unknown);
}
