//! Several workloads with a consumer group each: no setting names a group, and all are looked at together.

use std::thread;

use e2e::{Finished, require};
use serde_json::Value;

use super::stage::{Group, PODS, STUCK, Scene};

/// Few partitions: three groups begin at once.
const RATES: [f64; 12] = [0.5; 12];

/// One with a partition that stands, and two that read all. Pods of a `StatefulSet` have the names of those of other tests.
const SCENES: [Scene; 3] = [
    Scene { name: "several-stuck", assignor: "range", rates: &RATES, ..Scene::JAVA },
    Scene { name: "several-dealt", assignor: "uniform", kind: "StatefulSet", rates: &RATES, ..Scene::JAVA },
    Scene { name: "several-even", assignor: "roundrobin", rates: &RATES, ..Scene::JAVA },
];

/// No group is named.
const SETTINGS: [(&str, &str); 2] = [("KAFKA_GROUP", ""), ("KAFKA_WATCH", "4s")];

/// The lag of the healthy is a message or two, which may be spread in any way: only an illness acts.
const NO_THRESHOLD: [(&str, &str); 1] = [("LAG_VARIANCE_THRESHOLD", "9")];

/// Requests to the only broker about three groups: two for the brokers and the groups, two for each twenty of all groups that
/// the tests have, and up to eleven for each that is looked at.
const MOST_REQUESTS: u64 = 2 + 6 + 3 * 11;

#[test]
fn the_groups_of_several_workloads_are_found_and_looked_at_together_and_the_ill_one_is_cured() {
    require!(ControlPlane, Kafka);
    let groups: Vec<Group<'static>> = thread::scope(|scope| {
        let begun = SCENES.map(|scene| scope.spawn(move || Group::begin(scene)));
        begun.into_iter().map(|group| group.join().expect("a group begins")).collect()
    });
    let [stuck, others @ ..] = groups.as_slice() else { panic!("there are three") };
    let owner = stuck.owner(STUCK);
    stuck.stick(&owner, Some(STUCK));
    thread::scope(|scope| groups.iter().for_each(|group| drop(scope.spawn(move || group.fall_behind()))));

    let plans: Vec<Finished> = groups.iter().map(planned).collect();
    let scan = ask_about_all(&groups, &["scan", "--details"]);
    assert_eq!(scan.code, Some(0), "{scan}");
    for ((group, scene), plan) in groups.iter().zip(SCENES).zip(&plans) {
        let (row, plan) = (row(&scan, group), plan.json());
        let is_stuck = scene.name == SCENES[0].name;
        assert_eq!(row["outcome"], if is_stuck { "planned" } else { "balanced" }, "{scan}");
        assert_eq!(verdict(&row["report"]), verdict(&plan), "{}", scene.name);
        assert!(row["report"]["statistics"]["lag"]["mean"].is_number(), "{scan}");
    }
    assert_eq!(row(&scan, stuck)["cause"], "stuck_partition", "{scan}");
    let asked = scan.json()["requests"]["kafka"].as_u64().unwrap_or(u64::MAX);
    assert!(asked <= MOST_REQUESTS, "{asked} requests: {scan}");

    let run = ask_about_all(&groups, &["run", "--all", "--yes"]);
    assert_eq!(row(&run, stuck)["outcome"], "rotated", "{run}");
    assert_eq!(run.json()["run"]["rotations"], 1, "{run}");
    stuck.assert_replaced(&owner);
    for group in others {
        assert_eq!(row(&run, group)["outcome"], "balanced", "{run}");
        group.assert_nothing_evicted();
    }
    groups.iter().for_each(Group::end);
}

/// `plan` and `check` of one workload find its group among all that the broker has by the addresses of its pods.
fn planned(group: &Group<'_>) -> Finished {
    let plan = group.program(&["plan"], &[&SETTINGS[..], &NO_THRESHOLD].concat());
    assert_eq!(plan.code, Some(0), "{plan}");
    let found = &plan.json()["workload"]["found"][0];
    assert_eq!(found["setting"], "KAFKA_GROUP", "{plan}");
    assert_eq!(
        found["why"],
        format!("its members run in {PODS} of these {PODS} pods, as Kafka tells"),
        "{plan}"
    );
    let name = found["value"].as_str().unwrap_or_default();
    assert_eq!(format!("direct-{name}"), group.namespace(), "{plan}");
    let check = group.program(&["check"], &[&SETTINGS[..], &[("OUTPUT", "table")]].concat());
    let met = format!("{PODS} of {PODS} members run in these pods");
    for words in [&format!("KAFKA_GROUP={name} was found"), &met] {
        assert!(check.stdout.contains(words), "not said: {words}\n{check}");
    }
    assert_eq!(check.code, Some(0), "{check}");
    plan
}

/// Runs the program on the workloads of all these groups.
fn ask_about_all(groups: &[Group<'_>], arguments: &[&str]) -> Finished {
    let namespaces: Vec<&str> = groups.iter().map(Group::namespace).collect();
    let namespaces = namespaces.join(",");
    let arguments = [arguments, &["--namespace", &namespaces]].concat();
    let of_all = [("KUBE_LABEL_SELECTOR", "")];
    groups[0].program(&arguments, &[&SETTINGS[..], &NO_THRESHOLD, &of_all].concat())
}

fn row(report: &Finished, group: &Group<'_>) -> Value {
    let json = report.json();
    let mut rows = json["workloads"].as_array().into_iter().flatten();
    rows.find(|row| row["namespace"] == group.namespace())
        .cloned()
        .unwrap_or_else(|| panic!("no row: {report}"))
}

/// What a report decides, without what changes from moment to moment.
fn verdict(report: &Value) -> Vec<Value> {
    let diagnosis = &report["diagnosis"];
    let told = [&diagnosis["cause"]["code"], &diagnosis["remedy"], &report["workload"]["found"]];
    let parts = ["outcome", "should_rebalance", "targets", "coverage"].map(|part| &report[part]);
    parts.into_iter().chain(told).cloned().collect()
}
