//! What looks like a stuck partition and is none: each has a word, and nothing is evicted on a guess.

use super::*;

/// The sentence that says why partition 33 is not called stuck; nothing is evicted.
fn why_not(fleet: &Fleet) -> String {
    why_not_by(fleet, &fleet.facts())
}

fn why_not_by(fleet: &Fleet, facts: &Facts<'_>) -> String {
    let assessment = fleet.assess(facts, Strategy::ByCause);
    assert_eq!(fleet.evicted(&assessment), [] as [&str; 0], "{assessment:#?}");
    assert!(
        !matches!(assessment.diagnosis.cause, Cause::StuckPartition { .. }),
        "{:?}",
        assessment.diagnosis
    );
    assessment.diagnosis.notes().join("; ")
}

/// Nothing is said of what is not even standing.
fn is_silent(fleet: &Fleet) {
    assert_eq!(why_not(fleet), "");
}

#[test]
fn an_idle_partition_gets_no_messages() {
    let still = |partition: u32, step: usize| end(0, if partition == 33 { 3 } else { step });
    let committed = |partition: u32, step: usize| still(partition, step) - 10.0;
    is_silent(&Fleet::of(&committed, &still));
    // Nor is it stuck at the tail that compaction, or a transaction's marker, leaves.
    let all_read =
        |partition: u32, step: usize| still(partition, step) - f64::from(u32::from(partition == 33));
    is_silent(&Fleet::of(&all_read, &still));
}

#[test]
fn a_message_that_came_a_moment_ago_waits_for_a_moment() {
    let ends = |partition: u32, step: usize| match partition {
        33 => 1_000.0 + if step > 57 { 5.0 * step as f64 } else { 0.0 },
        _ => end(0, step),
    };
    let committed = |partition: u32, step: usize| if partition == 33 { 1_000.0 } else { healthy(0, step) };
    is_silent(&Fleet::of(&committed, &ends));
}

#[test]
fn a_group_that_commits_rarely_is_not_stuck() {
    // Each partition is committed every twelve minutes, by turns.
    let committed = |partition: u32, step: usize| {
        let turn = partition as usize % 12;
        healthy(0, (step + turn) / 12 * 12).min(healthy(0, step)) - 1_200.0
    };
    let mut fleet = Fleet::new(&committed);
    assert!(why_not(&fleet).contains("commit intervals"), "{}", why_not(&fleet));
    // All partitions of a pod at once.
    let committed = |partition: u32, step: usize| {
        let turn = owner(partition);
        healthy(0, (step + turn) / 20 * 20).min(healthy(0, step)) - 2_000.0
    };
    fleet = Fleet::new(&committed);
    assert!(why_not(&fleet).contains("commit"), "{}", why_not(&fleet));
}

#[test]
fn a_partition_that_stood_and_went_on_stands_and_goes_on() {
    // An open transaction, or a pause, holds it for a quarter of an hour each time.
    let committed = |partition: u32, step: usize| match partition {
        33 => healthy(0, step / 16 * 16),
        _ => healthy(0, step),
    };
    assert!(why_not(&Fleet::new(&committed)).contains("open transactions"));
}

#[test]
fn all_partitions_of_a_topic_stand_for_a_reason_outside_of_the_pods() {
    let mut fleet = Fleet::new(&healthy);
    for (partition, pod) in [(0, 4), (1, 7)] {
        let stands = (0..STEPS).map(|step| (60.0 * step as f64, healthy(0, step.min(20))));
        let ends = (0..STEPS).map(|step| (60.0 * step as f64, end(0, step)));
        fleet.offsets.add(OffsetKind::Committed, "pays", partition, stands).expect("on the grid");
        fleet.offsets.add(OffsetKind::End, "pays", partition, ends).expect("on the grid");
        let times = (0..STEPS).map(|step| 60.0 * step as f64);
        fleet.offsets.add_owner("pays", partition, &name(pod), None, times).expect("on the grid");
    }
    assert!(why_not(&fleet).contains("all partitions of its topic stand"), "{}", why_not(&fleet));
}

#[test]
fn partitions_of_three_pods_that_stand_since_one_minute_have_one_cause() {
    let committed = |partition: u32, step: usize| {
        healthy(0, if [3, 33, 65].contains(&partition) { step.min(20) } else { step })
    };
    assert!(why_not(&Fleet::new(&committed)).contains("since the same time"));
    // Three whole pods have one too.
    let committed = |partition: u32, step: usize| {
        healthy(0, if [1, 4, 9].contains(&owner(partition)) { step.min(20) } else { step })
    };
    let mut fleet = Fleet::new(&committed);
    for pod in [1, 4, 9] {
        fleet.set_load(Metric::Rate, pod, 0.0);
    }
    assert!(why_not(&fleet).contains("since the same time"), "{}", why_not(&fleet));
    // Of two, each may be stuck: one is cured.
    let committed = |partition: u32, step: usize| {
        healthy(0, if [33, 65].contains(&partition) { step.min(20) } else { step })
    };
    let fleet = Fleet::new(&committed);
    assert_eq!(fleet.evicted(&fleet.by_cause()), ["orders-04"]);
}

#[test]
fn a_topic_for_delayed_retries_waits_on_purpose() {
    let mut fleet = Fleet::new(&healthy);
    for partition in 0..2 {
        let stands = stuck_from(20);
        let at = if partition == 0 { 33 } else { 0 };
        let stands = (0..STEPS).map(|step| (60.0 * step as f64, stands(at, step)));
        let ends = (0..STEPS).map(|step| (60.0 * step as f64, end(0, step)));
        fleet.offsets.add(OffsetKind::Committed, "orders.retry-5m", partition, stands).expect("on the grid");
        fleet.offsets.add(OffsetKind::End, "orders.retry-5m", partition, ends).expect("on the grid");
        let times = (0..STEPS).map(|step| 60.0 * step as f64);
        fleet.offsets.add_owner("orders.retry-5m", partition, &name(4), None, times).expect("on the grid");
    }
    assert!(why_not(&fleet).contains("wait there on purpose"), "{}", why_not(&fleet));
    // Nor are two pods rotated for the lag of what waits; only if CPU asks too, there is another reason.
    fleet.set_load(Metric::Lag, 4, 360_000.0);
    assert_eq!(fleet.analysis().triggered(), [Metric::Lag]);
    for strategy in Strategy::ALL {
        let assessment = fleet.assess(&fleet.facts(), strategy);
        assert_eq!(fleet.evicted(&assessment), [] as [&str; 0], "{strategy} {assessment:#?}");
        assert!(assessment.held_by().any(|held| held.reason.contains("wait there on purpose")));
    }
    fleet.set_load(Metric::Cpu, 4, 5.0);
    fleet.set_load(Metric::Rate, 4, 500.0);
    assert_eq!(fleet.evicted(&fleet.by_cause()).len(), 2);
}

#[test]
fn offsets_that_went_back_were_reset() {
    let committed = |partition: u32, step: usize| match (partition, step) {
        (33, 30..) => 500.0,
        _ => healthy(0, step),
    };
    assert!(why_not(&Fleet::new(&committed)).contains("went back"));
    // The topic was made anew, now or before; the group still has the old offset.
    let ends = |partition: u32, step: usize| match (partition, step) {
        (33, 30..) => step as f64,
        _ => end(0, step),
    };
    assert!(why_not(&Fleet::of(&stuck_from(20), &ends)).contains("went back"));
    let ends = |partition: u32, step: usize| if partition == 33 { step as f64 } else { end(0, step) };
    assert!(why_not(&Fleet::of(&stuck_from(20), &ends)).contains("past the end"));
}

#[test]
fn retention_that_overtakes_is_told() {
    let mut fleet = Fleet::new(&stuck_from(20));
    let start = (0..STEPS).map(|step| (60.0 * step as f64, end(0, step) - 1_000.0));
    fleet.offsets.add(OffsetKind::Start, "orders", 33, start).expect("on the grid");
    assert!(why_not(&fleet).contains("retention has deleted"), "{}", why_not(&fleet));
}

#[test]
fn two_exporters_that_disagree_tell_nothing() {
    let mut fleet = Fleet::new(&stuck_from(20));
    let other = (0..STEPS).map(|step| (60.0 * step as f64, step as f64));
    fleet.offsets.add(OffsetKind::Committed, "orders", 33, other).expect("on the grid");
    assert!(why_not(&fleet).contains("two exporters"), "{}", why_not(&fleet));
    // Two that agree once it stands were read a moment after each other before.
    let mut fleet = Fleet::new(&stuck_from(20));
    let other = (0..STEPS)
        .map(|step| (60.0 * step as f64, stuck_from(20)(33, step) - f64::from(u32::from(step < 21))));
    fleet.offsets.add(OffsetKind::Committed, "orders", 33, other).expect("on the grid");
    assert_eq!(fleet.evicted(&fleet.by_cause()), ["orders-04"]);
}

#[test]
fn an_exporter_that_stops_tells_nothing() {
    // It is gone.
    let gone = |of: f64, step: usize| if step > 50 { f64::NAN } else { of };
    let committed = |partition: u32, step: usize| gone(stuck_from(20)(partition, step), step);
    let ends = |partition: u32, step: usize| gone(end(partition, step), step);
    assert!(
        why_not(&Fleet::of(&committed, &ends)).starts_with("the offsets of the group are no longer told")
    );
    // It tells the same for ever.
    let ends = |_: u32, step: usize| end(0, step.min(40));
    let committed = |partition: u32, step: usize| stuck_from(20)(partition, step.min(40));
    assert!(why_not(&Fleet::of(&committed, &ends)).contains("do not change though its pods read"));
    // It tells new ends and old commits.
    let committed = |_: u32, step: usize| healthy(0, step.min(40));
    let fleet = Fleet::new(&committed);
    assert!(why_not(&fleet).contains("nobody reads"), "{}", why_not(&fleet));
}

/// An outage is no even load, and no uneven one.
#[test]
fn where_nobody_reads_the_loads_say_nothing() {
    let committed = |_: u32, step: usize| healthy(0, step.min(20));
    let mut fleet = Fleet::new(&committed);
    (0..PODS).for_each(|pod| fleet.set_load(Metric::Rate, pod, 0.0));
    fleet.set_load(Metric::Cpu, 3, 9.0);
    for strategy in [Strategy::RotateOutliers, Strategy::ByCause] {
        let assessment = fleet.assess(&fleet.facts(), strategy);
        assert!(assessment.is_unread() && assessment.rotation().is_none(), "{:?}", assessment.diagnosis);
    }
    // A pod that reads is told apart from an exporter that shows old commits, one pod that stands from a group.
    fleet.set_load(Metric::Rate, 3, 100.0);
    assert!(!fleet.assess(&fleet.facts(), Strategy::ByCause).is_unread());
    let fleet = Fleet::new(&stuck_from(20));
    assert!(!fleet.assess(&fleet.facts(), Strategy::ByCause).is_unread());
}

#[test]
fn a_group_in_rebalance_is_left_alone() {
    let mut fleet = Fleet::new(&stuck_from(20));
    fleet.set_load(Metric::Lag, 4, 360_000.0);
    fleet.offsets.is_in_rebalance = true;
    assert!(why_not(&fleet).contains("in a rebalance"), "{}", why_not(&fleet));
    let plain = fleet.assess(&fleet.facts(), Strategy::RotateOutliers);
    let held = plain.held_by().any(|verdict| verdict.reason.contains("the group is in a rebalance"));
    assert!(held, "{:?}", plain.diagnosis);
}

#[test]
fn without_an_owner_nobody_is_to_blame() {
    let mut fleet = Fleet::new(&stuck_from(20));
    fleet.offsets = without_owner(&fleet.offsets, 33);
    assert!(why_not(&fleet).contains("which pod reads it is not known"), "{}", why_not(&fleet));
    // Two pods claim it.
    fleet.owned(33, 4, 0..STEPS);
    fleet.owned(33, 5, 50..STEPS);
    assert!(why_not(&fleet).contains("which pod reads it is not known"), "{}", why_not(&fleet));
    // A pod that has just come may still be starting.
    fleet.offsets = without_owner(&fleet.offsets, 33);
    fleet.owned(33, 40, 0..55);
    fleet.owned(33, 4, 56..STEPS);
    assert!(why_not(&fleet).contains("less than 5 minutes"), "{}", why_not(&fleet));
}

#[test]
fn a_partition_without_a_leader_has_no_end() {
    let ends = |partition: u32, step: usize| match (partition, step) {
        (33, 40..) => f64::NAN,
        _ => end(0, step),
    };
    assert!(why_not(&Fleet::of(&stuck_from(20), &ends)).contains("whether the partition has a leader"));
}

#[test]
fn a_partition_that_was_added_has_no_offset_yet() {
    let committed = |partition: u32, step: usize| if partition == 33 { f64::NAN } else { healthy(0, step) };
    is_silent(&Fleet::new(&committed));
}

#[test]
fn a_group_that_was_scaled_to_none_was_not_read_by_anybody() {
    // Nobody read until minute 40; since then all pods, which are new, read on but for one partition.
    let committed = |partition: u32, step: usize| match (partition, step) {
        (_, 0..40) | (33, _) => healthy(0, 5),
        _ => healthy(0, step),
    };
    let mut fleet = Fleet::new(&committed);
    for pod in &mut fleet.live {
        pod.age = Some(minutes(20));
    }
    let assessment = fleet.by_cause();
    assert!(!matches!(assessment.diagnosis.cause, Cause::PoisonRecord { .. }), "{:?}", assessment.diagnosis);
}

#[test]
fn by_the_client_alone_a_stand_is_told_where_it_read_all_the_time_before() {
    let by_lead = |lead: &Offset<'_>| {
        let mut fleet = Fleet::new(&healthy);
        let mut offsets = Offsets::new(*fleet.offsets.grid());
        for partition in 0..PARTITIONS {
            let samples = (0..STEPS).map(|step| (60.0 * step as f64, lead(partition, step)));
            offsets.add(OffsetKind::Lead, "orders", partition, samples).expect("on the grid");
            let times = (0..STEPS).map(|step| 60.0 * step as f64);
            offsets
                .add_owner("orders", partition, &name(owner(partition)), None, times)
                .expect("on the grid");
        }
        fleet.offsets = offsets;
        fleet
    };
    let fleet = by_lead(&stuck_from(30));
    assert_eq!(fleet.evicted(&fleet.by_cause()), ["orders-04"]);
    // One that moves now and then may get no messages.
    let lead = |partition: u32, step: usize| match partition {
        33 => healthy(0, step.min(30) / 3 * 3),
        _ => healthy(0, step),
    };
    is_silent(&by_lead(&lead));
}

/// The rate alone makes a pod silent; what its partitions show of the reason comes first.
#[test]
fn a_silent_pod_is_excused_by_what_its_partitions_show() {
    let assigned = || Fact::Known((0..PODS).map(|pod| (name(pod), 8)).collect());
    let silent = |fleet: &mut Fleet, pods: &[usize]| {
        for pod in pods {
            fleet.set_load(Metric::Rate, *pod, 0.0);
        }
    };
    // Three whole pods have stopped in one minute.
    let committed = |partition: u32, step: usize| {
        healthy(0, if [1, 4, 9].contains(&owner(partition)) { step.min(20) } else { step })
    };
    let mut fleet = Fleet::new(&committed);
    silent(&mut fleet, &[1, 4, 9]);
    let mut facts = fleet.facts();
    facts.assigned_partitions = assigned();
    assert!(why_not_by(&fleet, &facts).contains("since the same time"));
    // Retention overtook a whole pod: its replacement would skip what auto.offset.reset skips.
    let committed =
        |partition: u32, step: usize| healthy(0, if owner(partition) == 4 { step.min(20) } else { step });
    let mut fleet = Fleet::new(&committed);
    silent(&mut fleet, &[4]);
    for partition in (0..PARTITIONS).filter(|partition| owner(*partition) == 4) {
        let start = (0..STEPS).map(|step| (60.0 * step as f64, end(0, step) - 1_000.0));
        fleet.offsets.add(OffsetKind::Start, "orders", partition, start).expect("on the grid");
    }
    let mut facts = fleet.facts();
    facts.assigned_partitions = assigned();
    assert!(why_not_by(&fleet, &facts).contains("retention has deleted"));
}

/// A pod of a `StatefulSet` has the past of the pod that had its name before.
#[test]
fn a_silence_has_lasted_no_longer_than_the_pod() {
    for (age, evicted) in [(6, vec![]), (11, vec!["orders-04"])] {
        let mut fleet = Fleet::new(&healthy).of_kind("StatefulSet");
        fleet.live[4].age = Some(minutes(age));
        fleet.set_load(Metric::Rate, 4, 0.0);
        let mut facts = fleet.facts();
        facts.offsets = Fact::Absent;
        facts.assigned_partitions = Fact::Known((0..PODS).map(|pod| (name(pod), 8)).collect());
        let grid = Grid::ending(0.0, minutes(60), minutes(1));
        let mut past = History::new(grid);
        for pod in 0..PODS {
            let rate = |step: usize| if pod == 4 && step >= 10 { 0.0 } else { 100.0 };
            let samples = (0..grid.steps).map(|step| (grid.start_s + 60.0 * step as f64, rate(step)));
            past.add_series(&name(pod), samples).expect("a series a pod");
        }
        facts.past.rate = Fact::Known(past);
        let assessment = fleet.assess(&facts, Strategy::ByCause);
        assert_eq!(fleet.evicted(&assessment), evicted, "{age} {:?}", assessment.diagnosis);
    }
}

/// The longer history may have the topic in its other spelling.
#[test]
fn an_earlier_owner_is_found_under_both_spellings_of_a_topic() {
    let times = |steps: std::ops::Range<usize>| steps.map(|step| 60.0 * step as f64);
    let past_of_33 = |offsets: &mut Offsets, topic: &str| {
        let committed = times(0..STEPS).map(|time| (time, 99_990.0));
        offsets.add(OffsetKind::Committed, topic, 33, committed).expect("on the grid");
        let ends = (0..STEPS).map(|step| (60.0 * step as f64, end(0, step)));
        offsets.add(OffsetKind::End, topic, 33, ends).expect("on the grid");
    };
    let mut fleet = Fleet::new(&healthy);
    past_of_33(&mut fleet.offsets, "payments.eu");
    fleet.offsets.add_owner("payments.eu", 33, &name(4), None, times(0..STEPS)).expect("on the grid");
    let mut facts = fleet.facts();
    assert_eq!(fleet.evicted(&fleet.assess(&facts, Strategy::ByCause)), ["orders-04"]);
    let mut day = Offsets::new(*fleet.offsets.grid());
    past_of_33(&mut day, "payments_eu");
    day.add_owner("payments_eu", 33, &name(7), None, times(0..20)).expect("on the grid");
    day.add_owner("payments_eu", 33, &name(4), None, times(21..STEPS)).expect("on the grid");
    facts.offsets_of_day = Fact::Known(day);
    assert!(why_not_by(&fleet, &facts).is_empty());
    let assessment = fleet.assess(&facts, Strategy::ByCause);
    assert!(matches!(assessment.diagnosis.cause, Cause::PoisonRecord { .. }), "{:?}", assessment.diagnosis);
}

/// Little lag is no noise where one partition is known to stand.
#[test]
fn what_offsets_prove_is_named_though_there_is_little_load() {
    let mut fleet = Fleet::new(&stuck_from(20));
    fleet.set_load(Metric::Lag, 4, 900.0);
    let floored = Thresholds { trigger_floors: DEFAULT_FLOORS, ..Thresholds::default() };
    let analysis = Engine::new(floored).analyze_joined(&fleet.joined).expect("valid");
    assert_eq!(analysis.finding(), Finding::BelowFloor);
    let facts = fleet.facts();
    let assessment = assess(&analysis, &[], &facts, &GuardSettings::STANDARD, Strategy::RotateOutliers);
    assert!(matches!(assessment.diagnosis.cause, Cause::StuckPartition { .. }), "{:?}", assessment.diagnosis);
    assert_eq!(assessment.rotation(), None, "the floor holds the outliers back");
}

/// If nobody tells who owns what, messages of other partitions do not show that any arrive for a pod.
#[test]
fn a_pod_without_messages_is_idle_where_no_owner_is_known() {
    let mut fleet = Fleet::new(&healthy);
    fleet.set_load(Metric::Rate, 4, 0.0);
    let nobody =
        (0..PARTITIONS).fold(fleet.offsets.clone(), |offsets, without| without_owner(&offsets, without));
    let mut facts = fleet.facts();
    facts.offsets = Fact::Known(nobody);
    facts.assigned_partitions = Fact::Known((0..PODS).map(|pod| (name(pod), 8)).collect());
    let assessment = fleet.assess(&facts, Strategy::ByCause);
    assert_eq!(fleet.evicted(&assessment), [] as [&str; 0], "{:?}", assessment.diagnosis);
}
