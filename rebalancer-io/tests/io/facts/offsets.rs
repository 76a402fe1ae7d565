//! The past of partitions: what is asked, and what becomes of answers that are not as they should be.

use super::*;

use rebalancer_core::{OffsetKind, Offsets, PartitionPast};

const TOPIC: &str = "orders";

/// A minute-by-minute series of the last `values.len()` minutes.
fn series(place: &str, values: &[f64]) -> Series {
    let at = |step: usize| 1000 * (AT - 60 * i64::try_from(values.len() - 1 - step).expect("few"));
    let points = values.iter().enumerate();
    let points = points.map(|(step, value)| Point { timestamp_ms: at(step), value: *value }).collect();
    Series { pod: place.to_owned(), points }
}

fn counted(count: f64) -> Answers {
    let mut source = Answers::default();
    source.labelled.insert("offset_partitions".into(), vec![labelled(None, &[""], count)]);
    source.labelled.insert("group_in_rebalance".into(), Vec::new());
    for name in ["committed", "end", "start", "lead", "owners", "elsewhere"] {
        source.ranges.insert(format!("offset_{name}"), Vec::new());
    }
    source
}

fn queries() -> FactQueries {
    let settings =
        QuerySettings { preset: KafkaPreset::Kminion, group: Some("g".into()), ..QuerySettings::new("shop") };
    FactQueries::new(&QuerySet::new(&settings).expect("queries"), &settings).expect("queries")
}

fn ask(source: &Answers, live: &[LivePod]) -> Fact<Offsets> {
    let at = Timestamp::from_second(AT).expect("a time");
    FactFinder::new(source, &queries(), at).offsets(live)
}

fn known(fact: Fact<Offsets>) -> Offsets {
    match fact {
        Fact::Known(offsets) => offsets,
        other => panic!("{other:?}"),
    }
}

fn first(offsets: &Offsets) -> &PartitionPast {
    offsets.partitions().next().expect("a partition")
}

/// Partition 4 stands at 68, its end moves.
fn standing() -> Answers {
    let mut source = counted(1.0);
    source.ranges.insert("offset_committed".into(), vec![series("orders/4/g", &[68.0; 60])]);
    let end: Vec<f64> = (0..60).map(|minute| 70.0 + f64::from(minute)).collect();
    source.ranges.insert("offset_end".into(), vec![series("orders/4", &end)]);
    source
}

#[test]
fn a_million_partitions_are_not_asked_for() {
    let source = counted(1e6);
    let fact = ask(&source, &old(2));
    let said =
        "cannot be used: the group has 1000000 partitions, and the past of more than 20000 is not judged";
    assert_eq!(reason(&fact), said);
    assert_eq!(source.asked().len(), 1, "only their number was asked for");
}

#[test]
fn what_nobody_exports_is_absent_and_what_was_refused_is_failed() {
    let mut source = counted(1.0);
    source.labelled.insert("offset_partitions".into(), Vec::new());
    assert_eq!(ask(&source, &old(2)), Fact::Absent);
    assert_eq!(ask(&Answers::default(), &old(2)), Fact::Absent, "an old recording did not ask");
    for name in ["offset_partitions", "offset_committed", "offset_owners", "group_in_rebalance"] {
        let source = Answers { failing: vec![name.to_owned()], ..standing() };
        assert!(ask(&source, &old(2)).is_failed(), "{name}");
    }
    assert!(
        ask(&Answers { failing: vec!["offset_elsewhere".to_owned()], ..standing() }, &old(2)).is_failed()
    );
}

#[test]
fn an_hour_is_asked_for_on_whole_minutes() {
    let source = standing();
    drop(ask(&source, &old(2)));
    let ranges: Vec<Asked> = source.asked().into_iter().filter(|asked| asked.from_s != asked.to_s).collect();
    assert_eq!(ranges.len(), 5, "{ranges:?}");
    assert!(ranges.iter().all(|asked| (asked.from_s, asked.to_s) == (-59 * 60, 0)), "{ranges:?}");
}

#[test]
fn the_oldest_offset_is_asked_where_a_partition_may_stand_and_the_lead_where_nobody_commits() {
    let asked = |source: &Answers| {
        drop(ask(source, &old(2)));
        let asked = source.asked();
        ["offset_start", "offset_lead"].map(|name| asked.iter().any(|asked| asked.name == name))
    };
    let minutes = |of: &dyn Fn(u8) -> f64| (0..60).map(of).collect::<Vec<f64>>();
    let moves = minutes(&|minute| f64::from(minute));
    let committing = |values: &[f64]| {
        let mut source = standing();
        source.ranges.insert("offset_committed".into(), vec![series("orders/4/g", values)]);
        source
    };
    assert_eq!(asked(&committing(&moves)), [false, false], "it moves");
    assert_eq!(asked(&committing(&[68.0; 60])), [true, false], "it stands");
    let gaps = minutes(&|minute| if minute < 56 { 68.0 } else { f64::NAN });
    assert_eq!(asked(&committing(&gaps)), [true, false], "it stood when it was last reported");
    let mut read_up = committing(&[68.0; 60]);
    read_up.ranges.insert("offset_end".into(), vec![series("orders/4", &[68.0; 60])]);
    assert_eq!(asked(&read_up), [false, false], "nothing waits");

    assert_eq!(asked(&counted(1.0)), [false, true], "nobody reports a commit");
    let mut owned = committing(&moves);
    owned.ranges.insert("offset_owners".into(), vec![series("returns/0/orders-1", &[1.0; 60])]);
    assert_eq!(asked(&owned), [true, true], "of another partition that is owned nobody does");
}

#[test]
fn other_groups_are_asked_for_only_where_a_partition_stands() {
    let asked = |source: &Answers| {
        drop(ask(source, &old(2)));
        source.asked().into_iter().find(|asked| asked.name == "offset_elsewhere")
    };
    let promql = asked(&standing()).expect("it is asked").promql;
    assert!(promql.contains(r#"group_id!="g", topic_name=~"orders", partition_id=~"4""#), "{promql}");
    let mut moving = standing();
    let committed: Vec<f64> = (0..60).map(f64::from).collect();
    moving.ranges.insert("offset_committed".into(), vec![series("orders/4/g", &committed)]);
    assert!(asked(&moving).is_none());
    let mut idle = standing();
    idle.ranges.insert("offset_end".into(), vec![series("orders/4", &[68.0; 60])]);
    assert!(asked(&idle).is_none(), "nothing to read");
}

#[test]
fn what_other_groups_committed_is_told_of_standing_partitions_alone() {
    let mut source = standing();
    let elsewhere = vec![series("orders/4/audit", &[68.0; 60]), series("orders/5/audit", &[68.0; 60])];
    source.ranges.insert("offset_elsewhere".into(), elsewhere);
    let offsets = known(ask(&source, &old(2)));
    assert_eq!(offsets.partitions().len(), 1);
    let [other] = first(&offsets).other_groups() else { panic!("{offsets:?}") };
    assert_eq!((other.group.as_str(), other.offset, other.since), ("audit", 68.0, 0));
}

/// A `StatefulSet` gives the new pod the name of the old one.
#[test]
fn what_a_pod_owned_before_it_was_born_an_earlier_one_did() {
    let mut source = standing();
    source.ranges.insert("offset_owners".into(), vec![series("orders/4/orders-0", &[1.0; 60])]);
    let live = [LivePod {
        age: Some(Duration::from_secs(10 * 60 + 30)),
        uid: "new".into(),
        ..LivePod::assumed("orders-0")
    }];
    let offsets = known(ask(&source, &live));
    let owners = first(&offsets).owners().iter();
    let owners: Vec<_> = owners.map(|owner| (owner.uid.as_deref(), owner.first, owner.last)).collect();
    assert_eq!(owners, [(None, 0, 48), (Some("new"), 49, 59)]);
}

#[test]
fn a_group_in_rebalance_is_told() {
    let mut source = standing();
    assert!(!known(ask(&source, &old(2))).is_in_rebalance);
    source.labelled.insert("group_in_rebalance".into(), vec![labelled(None, &[""], 1.0)]);
    assert!(known(ask(&source, &old(2))).is_in_rebalance);
}

#[test]
fn a_day_is_asked_for_where_a_partition_stood_for_the_hour() {
    let (queries, at) = (queries(), Timestamp::from_second(AT).expect("a time"));
    let mut source = standing();
    let quarter = |place: &str| Series {
        pod: place.to_owned(),
        points: vec![Point { timestamp_ms: 1000 * AT / 900_000 * 900_000, value: 68.0 }],
    };
    for name in ["committed", "end", "start", "lead", "owners"] {
        let day = vec![quarter("orders/4/g"), quarter("orders/5/g")];
        source.ranges.insert(format!("offset_{name}_day"), day);
    }
    let finder = FactFinder::new(&source, &queries, at);
    let hour = known(finder.offsets(&old(2)));
    let day = known(finder.offsets_of_day(&old(2), &hour));
    assert_eq!((day.grid().steps, day.partitions().len()), (96, 1), "the others did not stand");
    assert_eq!((first(&day).topic(), first(&day).latest(OffsetKind::Committed)), (TOPIC, Some(68.0)));
    let mut moving = standing();
    moving.ranges.insert("offset_committed".into(), vec![series("orders/4/g", &[67.0, 68.0])]);
    let finder = FactFinder::new(&moving, &queries, at);
    let hour = known(finder.offsets(&old(2)));
    assert_eq!(finder.offsets_of_day(&old(2), &hour), Fact::Absent);
}

/// Servers refuse long queries, so the partitions with the most messages to read are asked about.
#[test]
fn of_many_long_topics_the_largest_backlogs_are_asked_about() {
    let topic = |number: usize| format!("{}{number:02}", "t".repeat(247));
    let standing = |count: usize| {
        let mut source = counted(1.0);
        let places = |of: &str, value: fn(usize) -> f64| -> Vec<Series> {
            let place = |number: usize| series(&format!("{}/0{of}", topic(number)), &[value(number); 60]);
            (0..count).map(place).collect()
        };
        source.ranges.insert("offset_committed".into(), places("/g", |_| 10.0));
        source.ranges.insert("offset_end".into(), places("", |number| 11.0 + number as f64));
        source
    };
    let asked = |source: &Answers| {
        drop(ask(source, &old(2)));
        source.asked().into_iter().find(|asked| asked.name == "offset_elsewhere").map(|asked| asked.promql)
    };
    let promql = asked(&standing(40)).expect("it is asked");
    assert!(promql.len() < 16_384, "{}", promql.len());
    assert!(promql.contains(&topic(39)) && !promql.contains(&topic(0)), "{promql}");
    assert_eq!(asked(&standing(101)), None, "a whole group stands");
}
