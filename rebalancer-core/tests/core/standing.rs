//! Partitions that stand: stuck, poisoned, hot, stalled and healthy ones, and what only looks like one.
//!
//! Twelve pods read 96 partitions of one topic, eight each, for an hour.

use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::Strategy as _;
use rebalancer_core::diagnosis::{Cause, Remedy, ill_pods};
use rebalancer_core::guard::{Check, GuardSettings};
use rebalancer_core::kafka::Assignor;
use rebalancer_core::{
    Analysis, Assessment, AssignorChoice, Controller, Cure, DEFAULT_FLOORS, Engine, Fact, Facts, Finding,
    Freshness, Grid, History, Join, Joined, LivePod, Metric, OffsetKind, Offsets, Strategy, Thresholds,
    assess,
};

mod looks_alike;

const PODS: usize = 12;
const PARTITIONS: u32 = 96;
const STEPS: usize = 60;

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

fn name(pod: usize) -> String {
    format!("orders-{pod:02}")
}

/// The pod that owns a partition, as `range` deals them.
fn owner(partition: u32) -> usize {
    partition as usize / 8
}

/// The offset of a partition at a step: it stands at `step` from then on where one is given.
type Offset<'a> = dyn Fn(u32, usize) -> f64 + 'a;

/// Each partition gets 100 messages a step.
fn end(_: u32, step: usize) -> f64 {
    100_000.0 + 100.0 * step as f64
}

/// Reads all but ten.
fn healthy(_: u32, step: usize) -> f64 {
    end(0, step) - 10.0
}

/// As [`healthy`], but partition 33 of pod 4 stands from a step on.
fn stuck_from(from: usize) -> impl Fn(u32, usize) -> f64 {
    move |partition, step| healthy(0, if partition == 33 { step.min(from) } else { step })
}

struct Fleet {
    live: Vec<LivePod>,
    joined: Joined,
    offsets: Offsets,
}

impl Fleet {
    fn new(committed: &Offset<'_>) -> Self {
        Self::of(committed, &end)
    }

    fn of(committed: &Offset<'_>, end: &Offset<'_>) -> Self {
        let grid = Grid { start_s: 0.0, step: minutes(1), steps: STEPS };
        let mut offsets = Offsets::new(grid);
        for partition in 0..PARTITIONS {
            let series = |of: &Offset<'_>| -> Vec<(f64, f64)> {
                (0..STEPS).map(|step| (60.0 * step as f64, of(partition, step))).collect()
            };
            offsets.add(OffsetKind::Committed, "orders", partition, series(committed)).expect("on the grid");
            offsets.add(OffsetKind::End, "orders", partition, series(end)).expect("on the grid");
        }
        let mut fleet = Self { live: live("ReplicaSet"), joined: joined(&live("ReplicaSet")), offsets };
        for partition in 0..PARTITIONS {
            fleet.owned(partition, owner(partition), 0..STEPS);
        }
        fleet
    }

    /// Adds that a pod owned a partition.
    fn owned(&mut self, partition: u32, pod: usize, steps: std::ops::Range<usize>) {
        let times = steps.map(|step| 60.0 * step as f64);
        self.offsets.add_owner("orders", partition, &name(pod), None, times).expect("on the grid");
    }

    fn of_kind(mut self, kind: &str) -> Self {
        self.live = live(kind);
        self
    }

    fn set_load(&mut self, metric: Metric, pod: usize, load: f64) {
        self.joined.loads[metric][pod] = load;
    }

    fn analysis(&self) -> Analysis<'_> {
        Engine::new(Thresholds::default()).analyze_joined(&self.joined).expect("valid")
    }

    fn facts(&self) -> Facts<'_> {
        let mut facts = Facts::new(&self.live);
        facts.offsets = Fact::Known(self.offsets.clone());
        for metric in [Metric::Cpu, Metric::Lag, Metric::Rate] {
            facts.past[metric] = Fact::Known(self.hour(metric));
        }
        facts
    }

    /// An hour in which every load was as it is now.
    fn hour(&self, metric: Metric) -> History {
        let grid = Grid::ending(0.0, minutes(60), minutes(1));
        let mut history = History::new(grid);
        for pod in self.joined.pods() {
            let load = pod.load(metric).expect("every load is given").value();
            let samples = (0..grid.steps).map(|step| (grid.start_s + 60.0 * step as f64, load));
            history.add_series(&pod.name, samples).expect("a series a pod");
        }
        history
    }

    fn by_cause(&self) -> Assessment {
        self.assess(&self.facts(), Strategy::ByCause)
    }

    fn assess(&self, facts: &Facts<'_>, strategy: Strategy) -> Assessment {
        assess(&self.analysis(), &self.joined.set_aside, facts, &GuardSettings::STANDARD, strategy)
    }

    /// The names of the pods that would be evicted.
    fn evicted(&self, assessment: &Assessment) -> Vec<String> {
        let pods = assessment.rotation().map(|selection| selection.pods.clone()).unwrap_or_default();
        pods.into_iter().map(|position| self.analysis().name(position).to_owned()).collect()
    }
}

fn live(kind: &str) -> Vec<LivePod> {
    let controller =
        Controller { group: None, kind: kind.into(), name: "orders".into(), uid: "orders-uid".into() };
    let pod = |pod: usize| LivePod {
        age: Some(minutes(5000)),
        controller: Some(controller.clone()),
        ..LivePod::assumed(name(pod))
    };
    (0..PODS).map(pod).collect()
}

/// All pods are equally busy.
fn joined(live: &[LivePod]) -> Joined {
    let freshness = Freshness { warm_up: Duration::ZERO, max_sample_age: minutes(1) };
    let mut joined = Join::default().with_live(live, freshness, 0.0).expect("names differ");
    for pod in 0..live.len() {
        (joined.loads.cpu[pod], joined.loads.lag[pod], joined.loads.rate[pod]) = (1.0, 100.0, 100.0);
    }
    joined
}

#[test]
fn the_owner_of_a_stuck_partition_alone_is_replaced_whatever_the_assignor_and_the_owner() {
    for kind in ["ReplicaSet", "StatefulSet"] {
        for assignor in [Assignor::Range, Assignor::CooperativeSticky, Assignor::Uniform] {
            let mut fleet = Fleet::new(&stuck_from(20)).of_kind(kind);
            // As an exporter tells lag: 360,000 of one pod pass the threshold.
            for lag in [100.0, 360_000.0] {
                fleet.set_load(Metric::Lag, 4, lag);
                let mut facts = fleet.facts();
                facts.assignor = AssignorChoice::Is(assignor);
                let assessment = fleet.assess(&facts, Strategy::ByCause);
                assert_eq!(fleet.evicted(&assessment), ["orders-04"], "{kind} {assignor} {assessment:#?}");
                let Cause::StuckPartition { pod, standing, moving, others } = &assessment.diagnosis.cause
                else {
                    panic!("{:?}", assessment.diagnosis.cause)
                };
                assert_eq!((pod.as_str(), *moving, *others), ("orders-04", 7, 7));
                assert_eq!((standing.topic.as_str(), standing.partition), ("orders", 33));
                assert_eq!((standing.offset, standing.backlog), (Some(101_990), Some(3_910)));
                assert_eq!(standing.since.as_secs(), 39 * 60);
                assert_eq!(assessment.diagnosis.remedy, Remedy::ReplacePod);
            }
        }
    }
}

#[test]
fn an_illness_is_asked_for_though_no_threshold_is_passed_and_the_default_says_what_by_cause_does() {
    let fleet = Fleet::new(&stuck_from(20));
    assert_eq!(fleet.analysis().finding(), Finding::Balanced);
    let plain = fleet.assess(&fleet.facts(), Strategy::RotateOutliers);
    assert_eq!(fleet.evicted(&plain), [] as [&str; 0], "the plain rule stays what it is");
    assert!(matches!(plain.diagnosis.cause, Cause::StuckPartition { .. }), "{:?}", plain.diagnosis);
    let alternative = plain.alternative.expect("the other strategy cures");
    assert_eq!((alternative.strategy, alternative.pods), (Strategy::ByCause, vec![4]));
    let by_cause = fleet.by_cause();
    let alternative = by_cause.alternative.expect("the plain rule does nothing");
    assert_eq!((alternative.strategy, alternative.pods), (Strategy::RotateOutliers, vec![]));
}

#[test]
fn an_illness_is_cured_when_it_has_lasted() {
    for (since, cured) in [(4, false), (6, false), (9, false), (10, true), (11, true)] {
        let fleet = Fleet::new(&stuck_from(STEPS - 1 - since));
        let assessment = fleet.by_cause();
        assert_eq!(!fleet.evicted(&assessment).is_empty(), cured, "{since} {assessment:#?}");
        let held = assessment.held_by().any(|verdict| verdict.check == Check::IllnessAge);
        assert_eq!(held, (5..10).contains(&since), "{since}");
    }
}

#[test]
fn a_record_at_which_an_earlier_owner_stood_is_skipped_not_cured() {
    let mut fleet = Fleet::new(&stuck_from(10));
    fleet.offsets = {
        let mut replaced = Fleet::new(&stuck_from(10));
        replaced.offsets = without_owner(&replaced.offsets, 33);
        replaced.owned(33, 40, 0..35);
        replaced.owned(33, 4, 36..STEPS);
        replaced.offsets
    };
    let assessment = fleet.by_cause();
    assert_eq!(fleet.evicted(&assessment), [] as [&str; 0]);
    let Cause::PoisonRecord { standing, evidence, .. } = &assessment.diagnosis.cause else {
        panic!("{:?}", assessment.diagnosis.cause)
    };
    assert_eq!((standing.partition, standing.offset), (33, Some(100_990)));
    assert!(evidence.contains("orders-40"), "{evidence}");
    assert_eq!(assessment.diagnosis.remedy, Remedy::SkipRecord);
    assert!(assessment.diagnosis.advice[0].contains("offset 100990 of partition 33 of topic orders"));
}

/// The same past, but nobody owns one partition.
fn without_owner(offsets: &Offsets, without: u32) -> Offsets {
    let mut copy = Offsets::new(*offsets.grid());
    for past in offsets.partitions() {
        for kind in [OffsetKind::Committed, OffsetKind::End] {
            let samples = past.column(kind).iter().enumerate();
            let samples = samples.map(|(step, offset)| (60.0 * step as f64, *offset));
            copy.add(kind, past.topic(), past.number(), samples).expect("on the grid");
        }
        for tenure in past.owners().iter().filter(|_| past.number() != without) {
            let times = (tenure.first..=tenure.last).map(|step| 60.0 * step as f64);
            copy.add_owner(past.topic(), past.number(), &tenure.pod, None, times).expect("on the grid");
        }
    }
    copy
}

#[test]
fn a_pod_that_is_younger_than_the_stand_was_the_cure_that_did_not_help() {
    for (kind, age, uptime) in [("StatefulSet", 25, None), ("ReplicaSet", 5000, Some(25))] {
        let mut fleet = Fleet::new(&stuck_from(10)).of_kind(kind);
        fleet.live[4].age = Some(minutes(age));
        fleet.live[4].uptime = uptime.map(minutes);
        let assessment = fleet.by_cause();
        assert_eq!(fleet.evicted(&assessment), [] as [&str; 0], "{kind}");
        assert!(
            matches!(assessment.diagnosis.cause, Cause::PoisonRecord { .. }),
            "{:?}",
            assessment.diagnosis
        );
    }
}

#[test]
fn a_second_group_at_the_same_offset_tells_a_poison_record() {
    let mut fleet = Fleet::new(&stuck_from(50));
    let stands = stuck_from(50);
    let samples = (0..STEPS).map(|step| (60.0 * step as f64, stands(33, step)));
    fleet.offsets.add_other_group("orders", 33, "g-audit", samples).expect("on the grid");
    let assessment = fleet.by_cause();
    assert_eq!(fleet.evicted(&assessment), [] as [&str; 0]);
    let Cause::PoisonRecord { evidence, .. } = &assessment.diagnosis.cause else {
        panic!("{:?}", assessment.diagnosis.cause)
    };
    assert_eq!(evidence, "group g-audit stands there too");
}

#[test]
fn a_poison_record_withholds_a_rotation_for_the_lag_it_makes() {
    let mut fleet = Fleet::new(&stuck_from(10)).of_kind("StatefulSet");
    fleet.live[4].age = Some(minutes(25));
    fleet.set_load(Metric::Lag, 4, 360_000.0);
    for strategy in Strategy::ALL {
        let assessment = fleet.assess(&fleet.facts(), strategy);
        assert_eq!(fleet.evicted(&assessment), [] as [&str; 0], "{strategy}");
        assert!(
            matches!(assessment.diagnosis.cause, Cause::PoisonRecord { .. }),
            "{:?}",
            assessment.diagnosis
        );
    }
}

#[test]
fn an_hour_after_a_deployment_a_stuck_partition_is_cured() {
    let mut fleet = Fleet::new(&stuck_from(2));
    for pod in &mut fleet.live {
        pod.age = Some(minutes(60));
    }
    // Scaled from nine to twelve since.
    for pod in 9..12 {
        fleet.live[pod].age = Some(minutes(20));
    }
    let mut facts = fleet.facts();
    facts.rollout_age = Some(minutes(60));
    let assessment = fleet.assess(&facts, Strategy::ByCause);
    assert_eq!(fleet.evicted(&assessment), ["orders-04"], "{assessment:#?}");
}

#[test]
fn a_hot_partition_moves_and_is_split_not_cured() {
    let ends = |partition: u32, step: usize| end(0, step) * if partition == 33 { 12.0 } else { 1.0 };
    let committed = |partition: u32, step: usize| match partition {
        33 => 12.0 * end(0, 0) + 700.0 * step as f64,
        _ => healthy(0, step),
    };
    let mut fleet = Fleet::of(&committed, &ends);
    fleet.set_load(Metric::Lag, 4, 30_000.0);
    let assessment = fleet.by_cause();
    assert_eq!(fleet.evicted(&assessment), [] as [&str; 0], "{assessment:#?}");
    let Cause::HotPartition { topic, partition, behind: Some(behind), .. } = &assessment.diagnosis.cause
    else {
        panic!("{:?}", assessment.diagnosis.cause)
    };
    assert_eq!((topic.as_str(), *partition), ("orders", 33));
    assert_eq!((behind.written_per_second, behind.backlog), (20.0, 29_500));
    assert_eq!(assessment.diagnosis.remedy, Remedy::SplitKey);
}

#[test]
fn a_pod_all_of_whose_partitions_stand_is_stalled() {
    let committed =
        |partition: u32, step: usize| healthy(0, if owner(partition) == 4 { step.min(40) } else { step });
    let mut fleet = Fleet::new(&committed);
    fleet.set_load(Metric::Rate, 4, 0.0);
    let assessment = fleet.by_cause();
    assert_eq!(fleet.evicted(&assessment), ["orders-04"], "{assessment:#?}");
    let Cause::StalledPod { partitions, standing: Some(standing), .. } = &assessment.diagnosis.cause else {
        panic!("{:?}", assessment.diagnosis.cause)
    };
    assert_eq!((*partitions, standing.since.as_secs()), (Some(8), 19 * 60));
    // A record that stops one of them stops the pod.
    fleet.live[4].age = Some(minutes(8));
    let assessment = fleet.by_cause();
    assert!(matches!(assessment.diagnosis.cause, Cause::PoisonRecord { .. }), "{:?}", assessment.diagnosis);
    assert_eq!(fleet.evicted(&assessment), [] as [&str; 0]);
}

/// A second group stands at one of its partitions too, and nothing says that the others would move without that record.
#[test]
fn a_record_that_stops_one_partition_of_a_stalled_pod_excuses_the_pod() {
    let committed =
        |partition: u32, step: usize| healthy(0, if owner(partition) == 4 { step.min(40) } else { step });
    let mut fleet = Fleet::new(&committed);
    fleet.set_load(Metric::Rate, 4, 0.0);
    let samples = (0..STEPS).map(|step| (60.0 * step as f64, committed(33, step)));
    fleet.offsets.add_other_group("orders", 33, "g-audit", samples).expect("on the grid");
    let assessment = fleet.by_cause();
    assert!(matches!(assessment.diagnosis.cause, Cause::PoisonRecord { .. }), "{:?}", assessment.diagnosis);
    assert_eq!(fleet.evicted(&assessment), [] as [&str; 0]);
}

/// Its rate and its partitions both tell of it.
#[test]
fn a_pod_that_is_ill_in_two_ways_is_one_ill_pod() {
    let committed =
        |partition: u32, step: usize| healthy(0, if owner(partition) == 4 { step.min(40) } else { step });
    let mut fleet = Fleet::new(&committed);
    fleet.set_load(Metric::Rate, 4, 0.0);
    let mut facts = fleet.facts();
    facts.assigned_partitions = Fact::Known((0..PODS).map(|pod| (name(pod), 8)).collect());
    let ill = ill_pods(&fleet.analysis(), &facts);
    let positions: Vec<usize> = ill.pods.iter().map(|pod| pod.position).collect();
    assert_eq!(positions, [4]);
}

/// A pod whose lag and rate look like a stall, by what its offsets show.
#[test]
fn a_pod_that_reads_what_arrives_has_not_stalled() {
    // For the partitions of pod 4 arrives a fortieth of what arrives for the others.
    let few = |partition: u32, step: usize| {
        if owner(partition) == 4 { 100_000.0 + 2.5 * step as f64 } else { end(0, step) }
    };
    let of = |share: f64| {
        move |partition: u32, step: usize| {
            if owner(partition) == 4 { 90_000.0 + share * 2.5 * step as f64 } else { healthy(0, step) }
        }
    };
    for (share, expected) in [(1.0, 0), (0.5, 1)] {
        let mut fleet = Fleet::of(&of(share), &few);
        fleet.set_load(Metric::Rate, 4, 2.5);
        fleet.set_load(Metric::Lag, 4, 80_000.0);
        let found = ill_pods(&fleet.analysis(), &fleet.facts()).pods;
        assert_eq!(found.len(), expected, "it reads {share} of what arrives: {found:?}");
    }
}

/// Nothing but the client's own rate tells: it has read until ten minutes ago.
#[test]
fn a_rate_of_zero_with_partitions_assigned_is_a_stall() {
    let mut fleet = Fleet::new(&healthy);
    fleet.set_load(Metric::Rate, 4, 0.0);
    let mut facts = fleet.facts();
    facts.offsets = Fact::Absent;
    facts.assigned_partitions = Fact::Known((0..PODS).map(|pod| (name(pod), 8)).collect());
    let read_until = |until: usize| {
        let grid = Grid::ending(0.0, minutes(60), minutes(1));
        let mut history = History::new(grid);
        for pod in 0..PODS {
            let rate = |step: usize| if pod == 4 && step >= until { 0.0 } else { 100.0 };
            let samples = (0..grid.steps).map(|step| (grid.start_s + 60.0 * step as f64, rate(step)));
            history.add_series(&name(pod), samples).expect("a series a pod");
        }
        Fact::Known(history)
    };
    for (until, evicted) in [(50, vec!["orders-04"]), (55, vec![]), (0, vec![])] {
        facts.past.rate = read_until(until);
        let assessment = fleet.assess(&facts, Strategy::ByCause);
        assert_eq!(fleet.evicted(&assessment), evicted, "{until} {:?}", assessment.diagnosis);
    }
    // A pod without a partition is idle.
    facts.past.rate = read_until(50);
    facts.assigned_partitions =
        Fact::Known((0..PODS).map(|pod| (name(pod), 8 * usize::from(pod != 4))).collect());
    assert_eq!(fleet.assess(&facts, Strategy::ByCause).rotation(), None);
}

#[test]
fn nothing_is_cured_twice() {
    let fleet = Fleet::new(&stuck_from(20));
    let cure = |pod: &str, partition: u32, offset: u64, hours: u64| Cure {
        pod: pod.into(),
        partition: Some(("orders".into(), partition)),
        offset: Some(offset),
        ago: minutes(60 * hours),
    };
    let cases = [
        (cure("orders-77", 33, 101_990, 40), "replacing pod orders-77 did not help"),
        (cure("orders-77", 33, 5, 3), "partition 33 of topic orders was cured, 3 h ago"),
        (cure("orders-04", 90, 5, 3), "pod orders-04 was replaced as a cure, 3 h ago"),
        (cure("orders-77", 33, 5, 40), ""),
        (cure("orders-77", 90, 101_990, 3), ""),
    ];
    for (cure, words) in cases {
        let mut facts = fleet.facts();
        facts.cures = Fact::Known(vec![cure.clone()]);
        let assessment = fleet.assess(&facts, Strategy::ByCause);
        let held = assessment.held_by().find(|verdict| verdict.check == Check::CuredBefore);
        assert_eq!(fleet.evicted(&assessment).is_empty(), !words.is_empty(), "{cure:?}");
        assert!(held.map_or(String::new(), |held| held.reason).contains(words), "{cure:?}");
    }
    let mut facts = fleet.facts();
    facts.cures = Fact::Failed("could not be had: HTTP 403".into());
    assert_eq!(fleet.assess(&facts, Strategy::ByCause).rotation(), None, "a lost answer is not a no");
}

#[test]
fn a_partition_that_went_on_under_another_pod_was_cured_then() {
    // It stood from minute 5 to 25 under another pod, and stands again since minute 40.
    let committed = |partition: u32, step: usize| match (partition, step) {
        (33, 0..25) => healthy(0, step.min(5)),
        (33, _) => healthy(0, step.min(40)),
        _ => healthy(0, step),
    };
    let mut fleet = Fleet::new(&committed);
    fleet.offsets = without_owner(&fleet.offsets, 33);
    fleet.owned(33, 40, 0..24);
    fleet.owned(33, 4, 24..STEPS);
    let assessment = fleet.by_cause();
    assert_eq!(fleet.evicted(&assessment), [] as [&str; 0], "{assessment:#?}");
}

#[test]
fn a_healthy_group_is_left_alone() {
    let fleet = Fleet::new(&healthy);
    let assessment = fleet.by_cause();
    assert_eq!((assessment.trigger.is_none(), &assessment.diagnosis.cause), (true, &Cause::Balanced));
    assert_eq!((assessment.diagnosis.remedy, assessment.diagnosis.notes()), (Remedy::None, vec![]));
    assert_eq!(assessment.alternative, None);
}

#[test]
fn a_skewed_group_under_range_is_left_alone() {
    let mut fleet = Fleet::new(&healthy);
    // Three times the messages, and the CPU that they take.
    for (metric, load) in [(Metric::Cpu, 4.0), (Metric::Rate, 400.0)] {
        fleet.set_load(metric, 4, load);
    }
    let mut facts = fleet.facts();
    facts.assignor = AssignorChoice::Is(Assignor::Range);
    let assessment = fleet.assess(&facts, Strategy::ByCause);
    assert!(assessment.trigger.is_some(), "a threshold is passed");
    assert_eq!(fleet.evicted(&assessment), [] as [&str; 0]);
    assert_eq!(assessment.diagnosis.remedy, Remedy::ChangeAssignor, "{:?}", assessment.diagnosis);
}

#[test]
fn every_cause_of_a_stand_is_a_sentence() {
    let stuck = Fleet::new(&stuck_from(20)).by_cause().diagnosis.cause.to_string();
    assert_eq!(
        stuck,
        "partition 33 of topic orders has stood at offset 101990 for 39 min while 3910 messages wait; 7 of the 7 others of pod orders-04 move; replacing that pod alone helps"
    );
}

prop_compose! {
    /// Offsets of any shape: gaps, falls, nonsense.
    fn wild_series()(raw in prop::collection::vec(prop_oneof![
        4 => (0_u32..50).prop_map(f64::from),
        1 => Just(f64::NAN),
        1 => prop::sample::select(vec![f64::INFINITY, -1.0, 1e300, 9e15, 0.0]),
    ], STEPS)) -> Vec<(f64, f64)> {
        raw.into_iter().enumerate().map(|(step, offset)| (60.0 * step as f64, offset)).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_past_panics(
        series in prop::collection::vec((0_usize..4, 0_u32..4, wild_series()), 0..24),
        owners in prop::collection::vec((0_u32..4, 0_usize..14, 0_usize..STEPS, 0_usize..STEPS), 0..8),
        steps in 0_usize..3,
    ) {
        let mut fleet = Fleet::new(&healthy);
        let grid = Grid { steps: [STEPS, 1, 0][steps], ..*fleet.offsets.grid() };
        let mut offsets = Offsets::new(grid);
        let kinds = [OffsetKind::Committed, OffsetKind::End, OffsetKind::Start, OffsetKind::Lead];
        for (kind, partition, samples) in series {
            let samples = samples.into_iter().take(grid.steps);
            offsets.add(kinds[kind], "orders", partition, samples).expect("on the grid");
        }
        for (partition, pod, first, last) in owners {
            let times = (first..last.min(grid.steps)).map(|step| 60.0 * step as f64);
            offsets.add_owner("orders", partition, &name(pod), None, times).expect("on the grid");
        }
        fleet.offsets = offsets.clone();
        let mut facts = fleet.facts();
        facts.offsets_of_day = Fact::Known(offsets);
        fleet.assess(&facts, Strategy::ByCause);
    }

    /// Whatever it did before, a partition whose offset moved in the last five minutes is not called stuck.
    #[test]
    fn a_partition_that_moves_is_never_stuck(
        moves in prop::collection::vec(0_u32..3, STEPS),
        late in 0_usize..5,
        uneven in prop::collection::vec(0_u32..500, STEPS),
    ) {
        let total = |numbers: &[u32], step: usize| numbers[..=step].iter().sum::<u32>();
        let mut moves = moves;
        moves[STEPS - 1 - late] = 1;
        let committed = |partition: u32, step: usize| match partition {
            33 => f64::from(total(&moves, step)),
            _ => healthy(0, step),
        };
        let ends = |partition: u32, step: usize| match partition {
            33 => 1_000.0 + f64::from(total(&uneven, step)),
            _ => end(0, step),
        };
        let fleet = Fleet::of(&committed, &ends);
        let ill = ill_pods(&fleet.analysis(), &fleet.facts());
        prop_assert!(ill.pods.is_empty(), "{:?}", ill);
        prop_assert!(ill.poisoned.is_empty(), "{:?}", ill);
    }

    /// In which order an exporter tells of partitions changes nothing.
    #[test]
    fn the_order_of_series_does_not_matter(order in Just((0..PARTITIONS).collect::<Vec<u32>>()).prop_shuffle()) {
        let fleet = Fleet::new(&stuck_from(20));
        let mut shuffled = Offsets::new(*fleet.offsets.grid());
        for number in order {
            let past = fleet.offsets.partitions().find(|past| past.number() == number).expect("there");
            let times = (0..STEPS).map(|step| 60.0 * step as f64);
            shuffled.add_owner("orders", number, &name(owner(number)), None, times).expect("on the grid");
            for kind in [OffsetKind::End, OffsetKind::Committed] {
                let samples = past.column(kind).iter().enumerate();
                let samples = samples.map(|(step, offset)| (60.0 * step as f64, *offset));
                shuffled.add(kind, "orders", number, samples).expect("on the grid");
            }
        }
        prop_assert_eq!(shuffled, fleet.offsets);
    }
}
