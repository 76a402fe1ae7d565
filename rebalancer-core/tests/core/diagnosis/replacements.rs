//! What replacements of the past tell: whether they evened out this very load.

use std::time::Duration;

use rebalancer_core::diagnosis::{Cause, Diagnosis};
use rebalancer_core::guard::{Check, Standing};
use rebalancer_core::kafka::Assignor;
use rebalancer_core::{AssignorChoice, Fact, LivePod, Metric, PastSpread, Replacement, Strategy, Window};

use super::{Scene, minutes, name, standing};

#[test]
fn the_last_replacement_is_an_experiment() {
    let scene = Scene::new(&[[3.0, 0.0, 300.0], [1.0, 0.0, 100.0], [1.0, 0.0, 100.0], [1.0, 0.0, 100.0]]);
    let judge = |before: &[f64], ago: Duration| {
        let mut facts = scene.facts();
        let after = vec![300.0, 100.0, 100.0, 100.0];
        facts.last_replacement = Fact::Known(Replacement {
            metric: Metric::Rate,
            before: before.to_vec(),
            after,
            ago,
            length: minutes(60),
        });
        scene.assess(&facts).diagnosis
    };
    let same = judge(&[50.0, 151.0, 50.0, 50.0], minutes(60));
    assert_eq!(
        (standing(&same, "last_replacement"), &same.cause),
        (Standing::Hold, &Cause::RotationIneffective)
    );
    let moved = judge(&[100.0, 100.0, 100.0, 100.0], minutes(60));
    assert_eq!(standing(&moved, "last_replacement"), Standing::Pass);
    let old = judge(&[300.0, 100.0, 100.0, 100.0], minutes(25 * 60));
    assert_eq!(standing(&old, "last_replacement"), Standing::Unknown);
    let other_number = judge(&[300.0, 100.0, 100.0], minutes(60));
    assert_eq!(standing(&other_number, "last_replacement"), Standing::Unknown, "the number of pods changed");
    let idle = judge(&[0.0; 4], minutes(60));
    assert_eq!(standing(&idle, "last_replacement"), Standing::Unknown);
}

#[test]
fn a_sick_pod_is_not_held_by_what_replacements_did_to_the_partitions() {
    let mut rows = vec![[1.0, 100.0, 100.0]; 6];
    rows[2][0] = 3.0;
    let scene = Scene::new(&rows);
    let mut facts = scene.facts();
    let (before, after, ago) = (vec![100.0; 6], vec![100.0; 6], minutes(240));
    facts.last_replacement =
        Fact::Known(Replacement { metric: Metric::Rate, before, after, ago, length: minutes(60) });
    let assessment = scene.assess(&facts);
    let asked: Vec<&str> = assessment.diagnosis.steps.iter().map(|step| step.check.name()).collect();
    assert_eq!(asked, ["data", "sick_pod", "rotation_budget"]);
    assert!(assessment.rotation().is_some());
}

#[test]
fn the_rotations_of_a_day_must_have_helped() {
    let mut scene = Scene::new(&vec![[1.0, 0.0, 100.0]; 12]);
    let loads = &mut scene.joined.loads;
    (loads.cpu[0], loads.rate[0], loads.lag[0]) = (4.0, 400.0, 0.0);
    for pod in &mut scene.live[4..10] {
        pod.age = Some(minutes(400));
    }
    let cv = scene.analysis().spread(Metric::Cpu).expect("usable").cv;
    let judge = |past: Fact<PastSpread>, rollout_age: Option<Duration>| {
        let mut facts = scene.facts();
        facts.past_spread.cpu = past;
        facts.rollout_age = rollout_age;
        standing(&scene.assess(&facts).diagnosis, "rotation_budget")
    };
    let was = |cv: f64| Fact::Known(PastSpread { cv, ago: minutes(400) });
    assert_eq!(judge(was(cv), None), Standing::Hold);
    assert_eq!(judge(was(cv / 0.85), None), Standing::Pass, "it fell by 15 %");
    assert_eq!(judge(Fact::Absent, None), Standing::Unknown);
    assert_eq!(judge(was(cv), Some(minutes(405))), Standing::Pass, "a rollout made them young");
}

/// Sick pods are taken one after the other, so a day may have one rotation more.
#[test]
fn two_rotations_a_day_are_enough_to_tell_and_three_of_sick_pods() {
    for (rate_of_first, most) in [(400.0, 2), (100.0, 3)] {
        for born in 1..=8 {
            let mut rows = vec![[1.0, 0.0, 100.0]; 12];
            rows[0] = [4.0, 0.0, rate_of_first];
            let mut scene = Scene::new(&rows);
            for pod in &mut scene.live[4..4 + born] {
                pod.age = Some(minutes(400));
            }
            let cv = scene.analysis().spread(Metric::Cpu).expect("usable").cv;
            let mut facts = scene.facts();
            facts.past_spread.cpu = Fact::Known(PastSpread { cv, ago: minutes(400) });
            let found = standing(&scene.assess(&facts).diagnosis, "rotation_budget");
            let expected = if born / 2 < most { Standing::Pass } else { Standing::Hold };
            assert_eq!(found, expected, "{born} pods were born, {most} rotations are allowed");
        }
    }
}

#[test]
fn a_replacement_is_compared_only_where_nothing_else_disturbs_it() {
    let windows = |ages: &[u64]| {
        let pod = |age: &u64| LivePod { age: Some(minutes(*age)), ..LivePod::assumed("a") };
        let live: Vec<LivePod> = ages.iter().map(pod).collect();
        let window = |window: Window| (window.ended.as_secs() / 60, window.length.as_secs() / 60);
        Replacement::windows(&live).map(|sides| sides.map(window))
    };
    assert_eq!(windows(&[200, 210, 5000]), Some([(210, 60), (135, 60)]), "two born together");
    assert_eq!(windows(&[40, 5000]), Some([(40, 35), (0, 35)]), "as long as there is");
    assert_eq!(windows(&[30, 5000]), Some([(30, 25), (0, 25)]), "when the cooldown ends");
    assert_eq!(windows(&[29, 5000]), None);
    assert_eq!(windows(&[200, 250, 5000]), Some([(200, 45), (150, 45)]), "another came 50 minutes before");
    assert_eq!(windows(&[200, 225, 5000]), None, "too closely");
    assert_eq!(windows(&[200, 201, 202]), Some([(202, 60), (135, 60)]), "a rollout is an experiment too");
    assert_eq!(Replacement::windows(&[LivePod::assumed("a")]), None, "no age is known");
    let endless = |name: &str| LivePod { age: Some(Duration::MAX), ..LivePod::assumed(name) };
    assert!(
        Replacement::windows(&[endless("a"), endless("b")]).is_some(),
        "an age of a recording may be any"
    );
}

/// One pod at three times the load of the others, by CPU and by rate.
fn three_to_one() -> Scene {
    Scene::new(&[[3.0, 0.0, 300.0], [1.0, 0.0, 100.0], [1.0, 0.0, 100.0], [1.0, 0.0, 100.0]])
}

fn replaced(metric: Metric, before: &[f64], after: &[f64]) -> Fact<Replacement> {
    let (before, after) = (before.to_vec(), after.to_vec());
    Fact::Known(Replacement { metric, before, after, ago: minutes(120), length: minutes(60) })
}

fn reason<'a>(diagnosis: &'a Diagnosis, step: &str) -> &'a str {
    &diagnosis.steps.iter().find(|asked| asked.check.name() == step).expect("asked").reason
}

#[test]
fn a_replacement_that_shuffled_the_loads_without_evening_them_out_was_in_vain() {
    let scene = three_to_one();
    let mut facts = scene.facts();
    facts.last_replacement =
        replaced(Metric::Rate, &[300.0, 100.0, 100.0, 100.0], &[290.0, 150.0, 80.0, 80.0]);
    let diagnosis = scene.assess(&facts).diagnosis;
    assert_eq!(standing(&diagnosis, "last_replacement"), Standing::Hold);
    assert_eq!(diagnosis.cause, Cause::RotationIneffective);
    assert_eq!(
        reason(&diagnosis, "last_replacement"),
        "the rate spread was 0.58 before the newest pod came 120 min ago and 0.57 after it; a fall to 0.52 would tell"
    );
    facts.last_replacement =
        replaced(Metric::Rate, &[400.0, 100.0, 100.0, 100.0], &[300.0, 100.0, 100.0, 100.0]);
    assert_eq!(standing(&scene.assess(&facts).diagnosis, "last_replacement"), Standing::Pass, "it helped");
}

/// A deployment in the morning, and a pod that fell ill at noon where no message rate tells so.
#[test]
fn what_came_up_after_a_replacement_is_not_held_against_it() {
    let scene = three_to_one();
    let mut facts = scene.facts();
    facts.last_replacement = replaced(Metric::Cpu, &[1.0, 1.1, 1.0, 1.0], &[1.0, 1.0, 1.1, 1.0]);
    let assessment = scene.assess(&facts);
    assert_eq!(standing(&assessment.diagnosis, "last_replacement"), Standing::Pass);
    assert!(reason(&assessment.diagnosis, "last_replacement").ends_with("is 0.58 now: it has come up since"));
    assert!(assessment.rotation().is_some());
}

#[test]
fn even_rates_do_not_tell_what_a_replacement_did_to_the_cpu() {
    let rows = [2.0, 2.0, 2.0, 1.0, 1.0].map(|cpu| [cpu, 0.0, 100.0]);
    let scene = Scene::new(&rows);
    let mut facts = scene.facts();
    facts.last_replacement = replaced(Metric::Rate, &[100.0; 5], &[100.0; 5]);
    let diagnosis = scene.assess(&facts).diagnosis;
    assert_eq!(standing(&diagnosis, "last_replacement"), Standing::Unknown, "{diagnosis:#?}");
}

/// What was before is no measure of what is now when pods came or went besides.
#[test]
fn a_changed_number_of_pods_is_no_experiment() {
    let scene = three_to_one();
    let mut facts = scene.facts();
    facts.last_replacement = replaced(Metric::Rate, &[300.0, 100.0, 100.0], &[300.0, 100.0, 100.0, 100.0]);
    let diagnosis = scene.assess(&facts).diagnosis;
    let step = diagnosis.steps.iter().find(|step| step.check == Check::LastReplacement).expect("the step");
    assert_eq!(step.standing, Standing::Unknown, "{step:?}");
    assert_eq!(step.reason, "3 pods then, 4 now: no comparison");
}

#[test]
fn a_fall_no_larger_than_its_noise_is_none() {
    let scene = three_to_one();
    let judge = |swing: f64| {
        let mut facts = scene.facts();
        let hour = scene.hour(Metric::Rate, |step, load| {
            load * if (step / 10) % 2 == 0 { 1.0 + swing } else { 1.0 - swing }
        });
        facts.past.rate = Fact::Known(hour);
        facts.last_replacement =
            replaced(Metric::Rate, &[300.0, 100.0, 100.0, 100.0], &[250.0, 100.0, 100.0, 100.0]);
        standing(&scene.assess(&facts).diagnosis, "last_replacement")
    };
    assert_eq!(judge(0.02), Standing::Pass, "from 0.58 to 0.47");
    assert_eq!(judge(0.3), Standing::Hold, "as much as noise does");
}

#[test]
fn a_plan_is_held_to_what_it_predicts() {
    let group = super::group(Assignor::Sticky, &[24], 6);
    let (_, heavy) = group.members().next().expect("six members");
    let heavy: Vec<u32> = heavy.iter().map(|partition| partition.number).collect();
    let skewed = move |_: usize, number: u32| if heavy.contains(&number) { 60.0 } else { 20.0 };
    let scene = Scene::of_group(&group, &skewed, 6);
    let mut facts = scene.facts();
    facts.partitions = super::partitions(&group, &skewed, 6);
    facts.assignor = AssignorChoice::Is(Assignor::Sticky);
    let before = [250.0, 70.0, 80.0, 80.0, 80.0, 80.0];
    facts.last_replacement = replaced(Metric::Rate, &before, &[240.0, 90.0, 90.0, 80.0, 70.0, 70.0]);
    assert_eq!(standing(&scene.assess(&facts).diagnosis, "last_replacement"), Standing::Hold);
    let planned = scene.assess_with(&facts, Strategy::ByCause);
    assert!(planned.rotation().is_some(), "{planned:#?}");
    facts.last_replacement = replaced(Metric::Rate, &before, &before);
    let missed = scene.assess_with(&facts, Strategy::ByCause);
    assert_eq!(missed.rotation(), None, "dealt again as it was: no plan comes true here");
}

#[test]
fn rotations_are_held_against_the_spread_before_the_first_of_them() {
    let mut scene = three_to_one();
    let window = |scene: &Scene, rollout_age| PastSpread::window(&scene.live, rollout_age);
    assert_eq!(window(&scene, None), None);
    let more: Vec<LivePod> =
        (4..12).map(|pod| LivePod { name: name(pod), ..scene.live[0].clone() }).collect();
    scene.live.extend(more);
    for (pod, age) in scene.live.iter_mut().zip([90, 95, 200, 205, 400, 410]) {
        pod.age = Some(minutes(age));
    }
    let expected = Window { ended: minutes(410), length: minutes(60) };
    assert_eq!(window(&scene, None), Some(expected));
    assert_eq!(window(&scene, Some(minutes(150))), None, "a rollout explains the rest");
    assert_eq!(window(&scene, Some(minutes(99_999))), Some(expected), "a rollback to an old template");
    let judge = |past: PastSpread| {
        let mut facts = scene.facts();
        facts.past_spread.cpu = Fact::Known(past);
        standing(&scene.assess(&facts).diagnosis, "rotation_budget")
    };
    let was = |cv| PastSpread { cv, ago: minutes(410) };
    assert_eq!(judge(was(0.6)), Standing::Hold, "0.58 now");
    assert_eq!(judge(was(0.7)), Standing::Pass, "it fell");
    assert_eq!(judge(was(0.1)), Standing::Pass, "it was even then, so this is another unevenness");
}
