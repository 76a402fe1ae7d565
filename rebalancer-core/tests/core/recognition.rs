//! What the owners of partitions show: an assignor that the group looks like, whatever the order of its topics,
//! or that no model holds for it.

use proptest::prelude::*;
use rebalancer_core::kafka::{Assignor, Unmodelled, recognise};
use rebalancer_core::{
    AssignorChoice, Fact, Facts, GroupFacts, LiveIndex, LivePod, NoPair, PartitionSample, Partitions,
};
use rebalancer_sim::assignor_vectors::{Sequence, read};
use rebalancer_sim::group::{Group, Member};

/// Partitions from a string a topic with a letter a partition: the pod that reads it, `a` being the first.
fn owned(topics: &[(&str, &str)], pods: usize) -> Partitions {
    let names: Vec<String> = (0..pods).map(|pod| format!("pod-{pod:02}")).collect();
    let live: Vec<&str> = names.iter().map(String::as_str).collect();
    let samples = topics.iter().flat_map(|(topic, owners)| {
        owners.bytes().zip(0..).map(|(owner, partition)| PartitionSample {
            pod: Some(live[usize::from(owner - b'a')]),
            topic,
            partition,
            load: 1.0 + f64::from(partition % 3),
        })
    });
    Partitions::new(samples.collect::<Vec<_>>(), &live).expect("each partition has one owner")
}

#[test]
fn a_roundrobin_deal_is_recognised_in_any_order_of_topics() {
    // `orders.v2` comes before `orders2` in Kafka, and behind it where dots are written as underscores.
    let dotted = owned(&[("orders.v2", "abcdab"), ("orders2", "cdabcda")], 4);
    assert_eq!(recognise(&dotted), Some(Assignor::RoundRobin));
    let hidden = owned(&[("orders_v2", "abcdab"), ("orders2", "cdabcda")], 4);
    assert_eq!(recognise(&hidden), Some(Assignor::RoundRobin));
    let many = owned(&[("a", "cda"), ("b", "bcd"), ("c", "abcdab"), ("d", "cdab")], 4);
    assert_eq!(recognise(&many), Some(Assignor::RoundRobin), "c, d, a, b");
    let broken = owned(&[("a", "abcd"), ("b", "abdc")], 4);
    assert_eq!(recognise(&broken), None, "one topic goes round the other way");
}

#[test]
fn a_search_for_an_order_that_is_not_there_ends() {
    let topics: Vec<(String, &str)> =
        (0..300).map(|topic| (format!("t{topic:03}"), ["ab", "ba", "ac"][topic % 3])).collect();
    let topics: Vec<(&str, &str)> = topics.iter().map(|(name, owners)| (name.as_str(), *owners)).collect();
    assert_eq!(recognise(&owned(&topics, 3)), None);
}

#[test]
fn a_guess_says_so_and_advises_no_change_to_what_the_group_may_have() {
    let live: Vec<LivePod> = (0..4).map(|pod| LivePod::assumed(format!("pod-{pod:02}"))).collect();
    let mut facts = Facts::new(&live);
    facts.partitions = Fact::Known(owned(&[("orders", "abcdabcdabcd")], 4));
    assert_eq!((facts.known_assignor(), facts.assignor_is_a_guess()), (Some(Assignor::RoundRobin), true));
    facts.exported_assignor = Fact::Known("cooperative-sticky".into());
    assert_eq!(
        (facts.known_assignor(), facts.assignor_is_a_guess()),
        (Some(Assignor::CooperativeSticky), false)
    );
    facts.assignor = AssignorChoice::Is(Assignor::RoundRobin);
    assert!(!facts.assignor_is_a_guess(), "a setting is no guess");
    facts.assignor = AssignorChoice::Unknown;
    assert_eq!((facts.known_assignor(), facts.assignor_is_a_guess()), (None, false));
    let mut owners_alone = Facts::new(&live);
    owners_alone.recognised_assignor = Fact::Known(Assignor::Range);
    assert_eq!(
        (owners_alone.known_assignor(), owners_alone.assignor_is_a_guess()),
        (Some(Assignor::Range), true)
    );
}

#[test]
fn groups_that_no_model_fits_are_not_forecast() {
    let different = |assignor| Some(Unmodelled::DifferentSubscriptions { assignor });
    let check = |topics: &[(&str, &str)], pods: usize, assignor: Assignor, expected: Option<Unmodelled>| {
        let partitions = owned(topics, pods);
        let facts = GroupFacts::new(&partitions, pods, 1, Some(assignor)).expect("owners are known");
        assert_eq!(facts.unmodelled(), expected, "{assignor} {topics:?}");
        let forecast = facts.forecast(&[LiveIndex(0), LiveIndex(1)]);
        assert_eq!((forecast.after.is_none(), forecast.unmodelled), (expected.is_some(), expected));
        if let Some(why) = expected {
            assert_eq!(facts.planned_pair(), Err(NoPair::Unmodelled(why)));
        }
    };
    let halves = [("orders", "aabb"), ("payments", "cccddd")];
    check(&halves, 4, Assignor::Range, different(Assignor::Range));
    check(&halves, 4, Assignor::Sticky, None);
    check(
        &[("orders", "aaaabbbb"), ("payments", "ccdd")],
        4,
        Assignor::Uniform,
        different(Assignor::Uniform),
    );
    check(&halves, 4, Assignor::RoundRobin, different(Assignor::RoundRobin));
    check(&[("orders", "acbdacbd")], 4, Assignor::Range, Some(Unmodelled::Racks));
    check(&[("orders", "aabbccdd"), ("payments", "aabcd")], 4, Assignor::Range, None);
    check(&[("orders", "ab"), ("payments", "cab")], 3, Assignor::RoundRobin, None);
    check(&[("orders", "ab")], 4, Assignor::Range, None);
    check(&[("orders", "aabb")], 3, Assignor::Range, None);
    let parts = [("orders", "abababab"), ("payments", "cdcdcdcd")];
    check(&parts, 4, Assignor::CooperativeSticky, different(Assignor::CooperativeSticky));
    check(&parts, 4, Assignor::Uniform, None);
    check(&[("orders", "aaabbbc")], 4, Assignor::CooperativeSticky, different(Assignor::CooperativeSticky));
}

/// Of Kafka's own deals to unequal subscriptions a third shows it; of those to equal ones none is mistaken.
#[test]
fn real_groups_of_equal_subscriptions_are_never_mistaken_for_others() {
    let sequences =
        read(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/kafka/assignors.json.gz"));
    let (mut equal, mut unequal, mut noticed) = (0, 0, 0);
    for sequence in &sequences {
        for partitions in sequence.steps.iter().map(|step| of_step(sequence, step.own())) {
            let (partitions, members) = partitions;
            let assignor = sequence.assignor();
            let facts = GroupFacts::new(&partitions, members, 1, Some(assignor)).expect("owners are known");
            let unmodelled = facts.unmodelled();
            if sequence.equal {
                assert_eq!(unmodelled, None, "{} {:?}", sequence.id, partitions.topics());
                equal += 1;
            } else {
                unequal += 1;
                noticed += usize::from(unmodelled.is_some());
            }
        }
    }
    assert!(equal > 2_000, "{equal}");
    assert!(3 * noticed > unequal, "{noticed} of {unequal}");
}

/// The partitions after a step, and the number of members that own some.
fn of_step(sequence: &Sequence, own: &[String]) -> (Partitions, usize) {
    let mut letters: Vec<char> =
        own.iter().flat_map(|topic| topic.chars()).filter(|letter| *letter != '.').collect();
    letters.sort_unstable();
    letters.dedup();
    let names: Vec<String> = letters.iter().map(|letter| format!("pod-{letter}")).collect();
    let live: Vec<&str> = names.iter().map(String::as_str).collect();
    let topics: Vec<String> = (0..own.len()).map(|topic| format!("{}-{topic}", sequence.kind)).collect();
    let samples = own.iter().zip(&topics).flat_map(|(owners, topic)| {
        let owned = owners.chars().zip(0..).filter(|(owner, _)| *owner != '.');
        owned.map(|(owner, partition)| PartitionSample {
            pod: Some(live[letters.binary_search(&owner).expect("a letter")]),
            topic: topic.as_str(),
            partition,
            load: 1.0,
        })
    });
    (Partitions::new(samples.collect::<Vec<_>>(), &live).expect("one owner"), letters.len())
}

proptest! {
    /// Members that share a deal in turn are recognised whatever the names of the topics are.
    #[test]
    fn names_of_topics_do_not_matter(
        counts in prop::collection::vec(1_u32..30, 1..6),
        pods in 2_usize..9,
        names in Just((0..6).collect::<Vec<usize>>()).prop_shuffle(),
    ) {
        prop_assume!(counts.iter().sum::<u32>() as usize >= 2 * pods);
        let members = (0..pods).map(|pod| Member::new(format!("{pod}"), pod)).collect();
        let group = Group::form(Assignor::RoundRobin, counts, members).expect("valid");
        let live: Vec<String> = (0..pods).map(|pod| format!("pod-{pod}")).collect();
        let live: Vec<&str> = live.iter().map(String::as_str).collect();
        let topics: Vec<String> = names.iter().map(|name| format!("topic-{name}")).collect();
        let samples = group.members().flat_map(|(member, owned)| owned.into_iter().map(|of| (member.pod, of)))
            .map(|(pod, of)| PartitionSample {
                pod: Some(live[pod]), topic: &topics[of.topic], partition: of.number, load: 1.0,
            }).collect::<Vec<_>>();
        let partitions = Partitions::new(samples, &live).expect("each partition has one owner");
        prop_assert_eq!(recognise(&partitions), Some(Assignor::RoundRobin));
    }
}
