//! Illnesses that were, or that another pod had: what counts is what the pod has done since it last started.

use rebalancer_core::diagnosis::{Behind, Cause, ill_pods};
use rebalancer_core::guard::{GuardSettings, Standing};
use rebalancer_core::{DEFAULT_FLOORS, Engine, Fact, History, Metric, Strategy, Thresholds, assess};

use super::{Scene, minutes, name, standing};

/// Six pods, of which pod 2 took three times the CPU until `until` minutes of the last hour.
fn sick_until(until: usize) -> (Scene, History) {
    let mut rows = vec![[1.0, 100.0, 100.0]; 6];
    rows[2][0] = 1.001;
    let scene = Scene::new(&rows);
    let cpu = scene.hour(Metric::Cpu, |step, load| if load > 1.0 && step < until { 3.0 } else { load });
    (scene, cpu)
}

#[test]
fn what_a_pod_did_before_its_containers_restarted_is_no_illness_of_it() {
    for restarted in [6, 12, 25, 45] {
        let (mut scene, cpu) = sick_until(60 - restarted);
        scene.live[2].uptime = Some(minutes(restarted as u64));
        let mut facts = scene.facts();
        facts.past.cpu = Fact::Known(cpu);
        assert_eq!(ill_pods(&scene.analysis(), &facts).pods, [], "{restarted}");
        assert_eq!(scene.assess_with(&facts, Strategy::ByCause).rotation(), None, "{restarted}");
    }
}

#[test]
fn an_illness_has_lasted_no_longer_than_its_pod() {
    let mut rows = vec![[1.0, 100.0, 100.0]; 6];
    rows[2][0] = 3.0;
    let mut scene = Scene::new(&rows);
    for (age, lasted) in [(5000, 60), (45, 45), (41, 41)] {
        scene.live[2].age = Some(minutes(age));
        let ill = ill_pods(&scene.analysis(), &scene.facts());
        assert_eq!(ill.worst().and_then(|ill| ill.lasted), Some(minutes(lasted)), "{age}");
    }
    scene.live[2].age = Some(minutes(39));
    assert_eq!(ill_pods(&scene.analysis(), &scene.facts()).pods, [], "both halves of the hour must show it");
}

#[test]
fn an_idle_fleet_has_no_sick_pod() {
    let mut rows = vec![[0.002, 0.0, 0.5]; 6];
    rows[2][0] = 0.009;
    let scene = Scene::new(&rows);
    let floored = Thresholds { trigger_floors: DEFAULT_FLOORS, ..Thresholds::default() };
    let analysis = Engine::new(floored).analyze_joined(&scene.joined).expect("valid");
    let assessment = assess(&analysis, &[], &scene.facts(), &GuardSettings::STANDARD, Strategy::ByCause);
    assert_eq!((&assessment.diagnosis.cause, assessment.rotation()), (&Cause::NearlyIdle, None));
    let plain = scene.assess_with(&scene.facts(), Strategy::ByCause);
    assert!(matches!(plain.diagnosis.cause, Cause::SickPod { .. }), "without floors it is sick");
}

/// The number of partitions of four of ten pods says nothing about the others.
#[test]
fn partitions_that_are_not_told_are_not_counted_as_none() {
    let mut rows = vec![[1.0, 0.0, 100.0]; 10];
    rows[0] = [4.0, 0.0, 400.0];
    let scene = Scene::new(&rows);
    let mut facts = scene.facts();
    facts.assigned_partitions = Fact::Known((0..4).map(|pod| (name(pod), 2)).collect());
    let diagnosis = scene.assess(&facts).diagnosis;
    assert_eq!(standing(&diagnosis, "partitions_per_consumer"), Standing::Pass, "{diagnosis:#?}");
    assert_eq!(standing(&diagnosis, "structure"), Standing::Pass);
}

#[test]
fn others_of_a_pod_keep_up_only_if_there_are_others() {
    let behind = Behind { backlog: 5_000, written_per_second: 100.0, read_per_second: 50.0 };
    let told = |share_of_busiest| {
        let (topic, partition, behind) = ("orders".into(), 3, Some(behind));
        Cause::HotPartition { topic, partition, share: 0.5, share_of_busiest, behind }.to_string()
    };
    assert!(told(0.8).ends_with("and 5000 wait, while the others of its pod keep up"), "{}", told(0.8));
    assert!(told(1.0).ends_with("and 5000 wait"), "{}", told(1.0));
}
