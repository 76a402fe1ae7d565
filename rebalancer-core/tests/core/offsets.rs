//! The past of partitions: gaps, spellings, owners that are gone, and what other groups have committed.

use core::time::Duration;

use rebalancer_core::{Grid, InvalidOffsets, OffsetKind, Offsets, PartitionPast};

fn minutes(steps: usize) -> Offsets {
    Offsets::new(Grid { start_s: 0.0, step: Duration::from_secs(60), steps })
}

fn first(offsets: &Offsets) -> &PartitionPast {
    offsets.partitions().next().expect("there is one")
}

#[test]
fn what_is_no_offset_is_a_gap() {
    let mut offsets = minutes(4);
    let samples = [(0.0, 5.0), (60.0, f64::NAN), (120.0, -1.0), (180.0, f64::INFINITY)];
    offsets.add(OffsetKind::Committed, "orders", 0, samples).expect("on the grid");
    let column = first(&offsets).column(OffsetKind::Committed);
    assert_eq!(column[0], 5.0);
    assert!(column[1..].iter().all(|offset| offset.is_nan()));
    assert_eq!(first(&offsets).latest(OffsetKind::Committed), None);
    assert_eq!(first(&offsets).column(OffsetKind::End), [] as [f64; 0]);
}

#[test]
fn a_sample_that_nobody_asked_for_changes_nothing() {
    let mut offsets = minutes(2);
    let error =
        offsets.add(OffsetKind::End, "orders", 3, [(0.0, 1.0), (61.0, 2.0)]).expect_err("off the grid");
    assert!(matches!(error, InvalidOffsets::OffGrid { partition: 3, .. }), "{error}");
    assert_eq!(offsets.partitions().len(), 0);
}

#[test]
fn both_spellings_are_one_topic_and_two_sources_are_told() {
    let mut offsets = minutes(2);
    offsets.add(OffsetKind::Committed, "pay_ments", 0, [(0.0, 1.0), (60.0, 2.0)]).expect("on the grid");
    offsets.add(OffsetKind::End, "pay.ments", 0, [(0.0, 4.0), (60.0, 5.0)]).expect("on the grid");
    assert_eq!((offsets.partitions().len(), first(&offsets).topic()), (1, "pay.ments"));
    assert!(first(&offsets).disputed_at(OffsetKind::Committed).is_none());
    offsets.add(OffsetKind::Committed, "pay.ments", 0, [(60.0, 3.0)]).expect("on the grid");
    assert_eq!(first(&offsets).column(OffsetKind::Committed), [1.0, 3.0], "the larger one counts");
    assert!(first(&offsets).disputed_at(OffsetKind::Committed).is_some());
}

#[test]
fn the_last_pod_that_owned_it_alone_is_the_owner() {
    let mut offsets = minutes(5);
    offsets.add_owner("orders", 4, "orders-b", None, [180.0, 240.0]).expect("on the grid");
    offsets.add_owner("orders", 4, "orders-a", Some("u-1"), [0.0, 60.0, 120.0]).expect("on the grid");
    let owners: Vec<(&str, usize, usize)> = first(&offsets)
        .owners()
        .iter()
        .map(|tenure| (tenure.pod.as_str(), tenure.first, tenure.last))
        .collect();
    assert_eq!(owners, [("orders-a", 0, 2), ("orders-b", 3, 4)]);
    assert_eq!(first(&offsets).owner().map(|owner| owner.pod.as_str()), Some("orders-b"));
    offsets.add_owner("orders", 4, "orders-c", None, [240.0]).expect("on the grid");
    assert_eq!(first(&offsets).owner(), None, "two pods claim it");
}

#[test]
fn another_group_is_told_with_how_long_it_stands() {
    let mut offsets = minutes(4);
    let samples = [(0.0, 60.0), (60.0, 69.0), (120.0, 69.0)];
    offsets.add_other_group("orders", 9, "g-audit", samples).expect("on the grid");
    offsets.add_other_group("orders", 9, "g-empty", [(0.0, f64::NAN)]).expect("on the grid");
    let [other] = first(&offsets).other_groups() else { panic!("one group has offsets") };
    assert_eq!((other.group.as_str(), other.offset, other.since), ("g-audit", 69.0, 1));
}
