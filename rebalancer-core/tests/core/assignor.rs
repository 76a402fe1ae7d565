//! The assignor models: complete, balanced by count, invariant where they deal by rank, and
//! recognised from what they deal.

use proptest::prelude::*;
use rebalancer_core::kafka::{Assignor, TopicPartition, recognise};
use rebalancer_core::{Forecast, GroupFacts, LiveIndex, NoPair, PartitionSample, Partitions, best_spread};
use rebalancer_sim::group::{Group, InvalidGroup, Member, Shape};

fn members(ids: &[u32]) -> Vec<Member> {
    ids.iter().enumerate().map(|(pod, id)| Member::new(format!("consumer-{id:08x}"), pod)).collect()
}

fn owned(group: &Group, id: &str) -> Vec<(usize, u32)> {
    let (_, owned) = group.members().find(|(member, _)| member.id == id).expect("a member");
    owned.iter().map(|partition| (partition.topic, partition.number)).collect()
}

#[test]
fn range_deals_contiguous_blocks_of_each_topic() {
    let named = |id: &str, pod| Member::new(id, pod);
    let members = vec![named("c", 2), named("a", 0), named("b", 1)];
    let group = Group::form(Assignor::Range, vec![7, 2], members).expect("valid");
    assert_eq!(
        owned(&group, "a"),
        [(0, 0), (0, 1), (0, 2), (1, 0)],
        "the first get one more, of every topic"
    );
    assert_eq!(owned(&group, "b"), [(0, 3), (0, 4), (1, 1)]);
    assert_eq!(owned(&group, "c"), [(0, 5), (0, 6)]);
}

#[test]
fn roundrobin_deals_all_partitions_in_turn() {
    let members = vec![Member::new("a", 0), Member::new("b", 1)];
    let group = Group::form(Assignor::RoundRobin, vec![3, 2], members).expect("valid");
    assert_eq!(owned(&group, "a"), [(0, 0), (0, 2), (1, 1)]);
    assert_eq!(owned(&group, "b"), [(0, 1), (1, 0)]);
}

#[test]
fn sticky_keeps_the_lowest_and_deals_the_rest_in_turn() {
    let members = vec![Member::new("a", 0), Member::new("b", 1)];
    let mut group = Group::form(Assignor::Sticky, vec![6], members).expect("valid");
    assert_eq!(owned(&group, "a"), [(0, 0), (0, 2), (0, 4)]);
    group.join(Member::new("c", 2)).expect("a new id");
    assert_eq!(owned(&group, "a"), [(0, 0), (0, 2)], "the lowest two stay");
    assert_eq!(owned(&group, "b"), [(0, 1), (0, 3)]);
    assert_eq!(owned(&group, "c"), [(0, 4), (0, 5)]);
    group.rotate(&[0], vec![Member::new("d", 0)], Shape::EachThenEach).expect("a new id");
    assert_eq!(owned(&group, "b"), [(0, 0), (0, 1)], "0 and 2 went to b and c in turn; d took the highest");
    assert_eq!(owned(&group, "c"), [(0, 2), (0, 4)]);
    assert_eq!(owned(&group, "d"), [(0, 3), (0, 5)]);
}

#[test]
fn uniform_pours_member_by_member() {
    let members = vec![Member::new("a", 0), Member::new("b", 1), Member::new("c", 2)];
    let group = Group::form(Assignor::Uniform, vec![4, 3], members).expect("valid");
    assert_eq!(owned(&group, "a"), [(0, 0), (0, 1)]);
    assert_eq!(owned(&group, "b"), [(0, 2), (0, 3)]);
    assert_eq!(owned(&group, "c"), [(1, 0), (1, 1), (1, 2)], "the odd one goes to the last");
}

#[test]
fn a_static_member_that_returns_gets_the_same_partitions() {
    let fixed =
        |instance: &str, id: &str, pod| Member { instance: Some(instance.into()), ..Member::new(id, pod) };
    let members = vec![fixed("app-1", "x", 1), fixed("app-0", "y", 0), Member::new("a", 2)];
    let mut group = Group::form(Assignor::Range, vec![6], members).expect("valid");
    assert_eq!(owned(&group, "y"), [(0, 0), (0, 1)], "static ids rank first, whatever the member id");
    group.rotate(&[0], vec![fixed("app-0", "z", 0)], Shape::EachThenEach).expect("the old one is gone");
    assert_eq!(owned(&group, "z"), [(0, 0), (0, 1)]);
}

#[test]
fn groups_that_cannot_be_are_refused() {
    assert_eq!(Group::form(Assignor::Range, vec![3], Vec::new()), Err(InvalidGroup::NoMember));
    let twice = vec![Member::new("a", 0), Member::new("a", 1)];
    assert_eq!(
        Group::form(Assignor::Sticky, vec![3], twice),
        Err(InvalidGroup::DuplicateMember { id: "a".into() })
    );
    let partition = TopicPartition { topic: 0, number: 4 };
    let contested = vec![(Member::new("a", 0), vec![partition]), (Member::new("b", 1), vec![partition])];
    assert_eq!(
        Group::found(Assignor::Sticky, contested),
        Err(InvalidGroup::Ownership { topic: 0, number: 4, owners: 2 })
    );
    let mut alone = Group::form(Assignor::Range, vec![3], vec![Member::new("a", 0)]).expect("valid");
    let before = alone.clone();
    assert_eq!(alone.rotate(&[0], Vec::new(), Shape::AtOnce), Err(InvalidGroup::NoMember));
    assert_eq!(alone, before, "a refused rotation changes nothing");
}

#[test]
fn names_are_those_of_kafka() {
    for assignor in Assignor::ALL {
        assert_eq!(assignor.name().parse(), Ok(assignor));
    }
    let error = "Range".parse::<Assignor>().expect_err("names are exact");
    assert!(error.to_string().contains("\"Range\" is no assignor"), "{error}");
}

/// Partition loads of a group, owned as the group says; the load of a partition is given by its
/// place among all.
fn partitions(group: &Group, loads: &[f64], pods: usize) -> Partitions {
    let names: Vec<String> = (0..pods).map(|pod| format!("pod-{pod:02}")).collect();
    let live: Vec<&str> = names.iter().map(String::as_str).collect();
    let topics: Vec<String> = (0..20).map(|topic| format!("topic-{topic:02}")).collect();
    let all = group.partitions();
    let samples: Vec<PartitionSample<'_>> = group
        .members()
        .flat_map(|(member, owned)| owned.into_iter().map(move |partition| (member.pod, partition)))
        .map(|(pod, partition)| PartitionSample {
            pod: Some(live[pod]),
            topic: &topics[partition.topic],
            partition: partition.number,
            load: loads[all.binary_search(&partition).expect("of the group") % loads.len()],
        })
        .collect();
    Partitions::new(samples, &live).expect("each partition has one owner")
}

#[test]
fn recognises_what_deals_by_rank_and_nothing_else() {
    let ids: Vec<u32> = (0..6).map(|seat| 0x9e37_79b9_u32.wrapping_mul(seat + 1)).collect();
    for topics in [vec![24], vec![13, 20, 12], vec![30, 3]] {
        let check = |assignor: Assignor, expected: Option<Assignor>| {
            let mut group = Group::form(assignor, topics.clone(), members(&ids)).expect("valid");
            for (round, pod) in [(0, 2), (1, 5), (2, 0)] {
                let fresh =
                    Member::new(format!("consumer-{:08x}", 0x7f4a_7c15_u32.wrapping_mul(round + 3)), pod);
                group.rotate(&[pod], vec![fresh], Shape::EachThenEach).expect("a new id");
            }
            let found = recognise(&partitions(&group, &[1.0], 6));
            assert_eq!(found, expected, "{assignor} over {topics:?}");
        };
        check(Assignor::Range, Some(Assignor::Range));
        check(Assignor::RoundRobin, Some(Assignor::RoundRobin));
        check(Assignor::Sticky, None);
        check(Assignor::Uniform, None);
    }
}

#[test]
fn does_not_guess_where_every_deal_looks_alike() {
    let group = Group::form(Assignor::Range, vec![6], members(&[1, 2, 3, 4])).expect("valid");
    assert_eq!(recognise(&partitions(&group, &[1.0], 4)), None, "fewer than two partitions a member");
    let one = Group::form(Assignor::Range, vec![6], members(&[1])).expect("valid");
    assert_eq!(recognise(&partitions(&one, &[1.0], 1)), None);
}

#[test]
fn the_forecast_of_a_rank_invariant_group_is_what_it_is() {
    let loads = [9.0, 1.0, 2.0, 7.0, 3.0, 1.0, 4.0, 4.0, 1.0, 1.0, 2.0, 2.0];
    let group = Group::form(Assignor::Range, vec![12], members(&[5, 3, 8, 1])).expect("valid");
    let partitions = partitions(&group, &loads, 4);
    let facts = |assignor| GroupFacts::new(&partitions, 4, 1, assignor).expect("owners are known");
    let Forecast { now, after, best, .. } =
        facts(Some(Assignor::Range)).forecast(&[LiveIndex(0), LiveIndex(1)]);
    assert_eq!(after, Some(now));
    assert!(best < 0.2 && best < now, "{best} of {now}");
    assert_eq!(
        facts(None).forecast(&[LiveIndex(0), LiveIndex(1)]).after,
        None,
        "an unknown assignor predicts nothing"
    );
    assert!(matches!(facts(Some(Assignor::Range)).planned_pair(), Err(NoPair::TooLittle { .. })));
    assert_eq!(facts(None).planned_pair(), Err(NoPair::AssignorUnknown));
}

#[test]
fn best_spread_is_bounded_by_the_hottest_partition() {
    assert_eq!(best_spread(&[], 3), 0.0);
    assert_eq!(best_spread(&[1.0], 0), 0.0);
    assert_eq!(best_spread(&[4.0, 3.0, 3.0, 2.0, 2.0, 2.0], 2), 0.0);
    let hot = best_spread(&[10.0, 1.0, 1.0, 1.0, 1.0, 1.0], 3);
    assert!((hot - 0.849).abs() < 1e-3, "11, 2 and 2 is the best: {hot}");
}

fn assignors() -> impl Strategy<Value = Assignor> {
    prop::sample::select(Assignor::ALL.to_vec())
}

/// Topics, and the distinct ids of the members.
fn groups() -> impl Strategy<Value = (Vec<u32>, Vec<u32>)> {
    let ids = prop::collection::btree_set(0_u32..1_000_000, 1..12);
    (prop::collection::vec(0_u32..30, 1..5), ids)
        .prop_map(|(topics, ids)| (topics, ids.into_iter().collect()))
}

/// Every partition once; counts at most one apart (of each topic under range).
fn check(group: &Group, topics: &[u32]) -> Result<(), TestCaseError> {
    let mut all: Vec<TopicPartition> = group.members().flat_map(|(_, owned)| owned).collect();
    all.sort_unstable();
    prop_assert_eq!(all.as_slice(), group.partitions(), "each partition has one owner");
    prop_assert_eq!(all.len(), topics.iter().map(|count| *count as usize).sum::<usize>());
    let within_one =
        |counts: Vec<usize>| counts.iter().max().unwrap_or(&0) - counts.iter().min().unwrap_or(&0) <= 1;
    let count = |wanted: Option<usize>| -> Vec<usize> {
        let of = |partition: &&TopicPartition| wanted.is_none_or(|topic| partition.topic == topic);
        group.members().map(|(_, owned)| owned.iter().filter(of).count()).collect()
    };
    if group.assignor() == Assignor::Range {
        prop_assert!((0..topics.len()).all(|topic| within_one(count(Some(topic)))));
    } else {
        prop_assert!(within_one(count(None)), "{:?}", count(None));
    }
    Ok(())
}

fn sorted_loads(group: &Group, loads: &[f64], pods: usize) -> Vec<f64> {
    let all = group.partitions();
    let load = |partition: TopicPartition| loads[all.binary_search(&partition).expect("known") % loads.len()];
    let mut sums = group.pod_loads(pods, load);
    sums.sort_by(f64::total_cmp);
    sums
}

proptest! {
    #[test]
    fn deals_are_complete_balanced_and_where_by_rank_invariant(
        assignor in assignors(),
        (topics, ids) in groups(),
        loads in prop::collection::vec(0.0..100.0, 1..40),
        rotations in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<bool>()), 0..4),
    ) {
        let pods = ids.len();
        let mut group = Group::form(assignor, topics.clone(), members(&ids)).expect("distinct ids");
        check(&group, &topics)?;
        let before = sorted_loads(&group, &loads, pods);
        for (round, (first, second, graceful)) in rotations.into_iter().enumerate() {
            let mut victims = vec![first.index(pods), second.index(pods)];
            victims.dedup();
            let fresh = |pod: &usize| Member::new(format!("consumer-{:08x}", 0x9e37_79b9 ^ (round * 64 + pod)), *pod);
            let replacements: Vec<Member> = victims.iter().map(fresh).collect();
            let shape = if graceful { Shape::EachThenEach } else { Shape::AtOnce };
            group.rotate(&victims, replacements, shape).expect("somebody joins");
            check(&group, &topics)?;
        }
        if assignor.is_rank_invariant() {
            prop_assert_eq!(sorted_loads(&group, &loads, pods), before, "only who has which load changes");
        }
    }

    #[test]
    fn sticky_members_lose_nothing_when_others_only_leave(
        assignor in prop::sample::select(vec![Assignor::Sticky, Assignor::Uniform]),
        (topics, ids) in groups(),
    ) {
        prop_assume!(ids.len() > 1);
        let mut group = Group::form(assignor, topics, members(&ids)).expect("distinct ids");
        let before: Vec<(Member, Vec<TopicPartition>)> =
            group.members().map(|(member, owned)| (member.clone(), owned)).collect();
        group.rotate(&[0], Vec::new(), Shape::EachThenEach).expect("others stay");
        for (member, owned) in before.iter().filter(|(member, _)| member.pod != 0) {
            let (_, after) = group.members().find(|(other, _)| *other == member).expect("it stays");
            prop_assert!(owned.iter().all(|partition| after.contains(partition)));
        }
    }

    #[test]
    fn no_deal_beats_the_best_by_much(
        assignor in assignors(),
        (topics, ids) in groups(),
        loads in prop::collection::vec(0.0..100.0, 1..40),
    ) {
        let group = Group::form(assignor, topics, members(&ids)).expect("distinct ids");
        let all = group.partitions();
        prop_assume!(!all.is_empty());
        let each: Vec<f64> = (0..all.len()).map(|place| loads[place % loads.len()]).collect();
        let best = best_spread(&each, ids.len());
        let lone = each.iter().copied().fold(0.0, f64::max) / (each.iter().sum::<f64>() / ids.len() as f64);
        prop_assert!(best.is_finite() && best >= 0.0);
        // With the hottest partition at `lone` times the mean, no spread is below what it alone makes.
        let count = ids.len() as f64;
        if lone > 1.0 && lone.is_finite() && count > 1.0 {
            prop_assert!(best >= (lone - 1.0) / (count - 1.0).sqrt() - 1e-9, "{} of {}", best, lone);
        }
    }
}
