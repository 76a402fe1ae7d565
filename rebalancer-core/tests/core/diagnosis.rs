//! The diagnosis: one scene a cause, each step with its number, and optional inputs that are not there.

use std::time::Duration;

use rebalancer_core::diagnosis::{Cause, Diagnosis, IllPod, ill_pods};
use rebalancer_core::guard::{Check, GuardSettings, Standing};
use rebalancer_core::kafka::Assignor;
use rebalancer_core::{
    Analysis, Assessment, AssignorChoice, Controller, DEFAULT_FLOORS, Engine, Fact, Facts, Freshness, Grid,
    History, Join, Joined, LivePod, Metric, PartitionSample, Partitions, Strategy, Thresholds, assess,
};
use rebalancer_sim::group::{Group, Member};

mod lasting;
mod replacements;

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// What is known of a workload: one row a pod of CPU, lag and message rate.
struct Scene {
    live: Vec<LivePod>,
    joined: Joined,
}

impl Scene {
    fn new(rows: &[[f64; 3]]) -> Self {
        let pod = |index: usize| LivePod {
            age: Some(minutes(5000)),
            controller: Some(Controller {
                group: None,
                kind: "ReplicaSet".into(),
                name: "orders".into(),
                uid: "r".into(),
            }),
            ..LivePod::assumed(name(index))
        };
        let live: Vec<LivePod> = (0..rows.len()).map(pod).collect();
        let freshness = Freshness { warm_up: Duration::ZERO, max_sample_age: minutes(1) };
        let mut joined = Join::default().with_live(&live, freshness, 0.0).expect("names differ");
        for (row, [cpu, lag, rate]) in rows.iter().enumerate() {
            (joined.loads.cpu[row], joined.loads.lag[row], joined.loads.rate[row]) = (*cpu, *lag, *rate);
        }
        Self { live, joined }
    }

    /// Six pods whose CPU follows the rate that `group` gives them.
    fn of_group(group: &Group, load: impl Fn(usize, u32) -> f64, pods: usize) -> Self {
        let rates = group.pod_loads(pods, |partition| load(partition.topic, partition.number));
        let rows: Vec<[f64; 3]> = rates.iter().map(|rate| [rate / 100.0, 100.0, *rate]).collect();
        Self::new(&rows)
    }

    fn analysis(&self) -> Analysis<'_> {
        Engine::new(Thresholds::default()).analyze_joined(&self.joined).expect("valid")
    }

    /// The live pods, and an hour in which everything was as it is now.
    fn facts(&self) -> Facts<'_> {
        let mut facts = Facts::new(&self.live);
        for metric in [Metric::Cpu, Metric::Lag, Metric::Rate] {
            facts.past[metric] = Fact::Known(self.hour(metric, |_, load| load));
        }
        facts
    }

    fn hour(&self, metric: Metric, shape: impl Fn(usize, f64) -> f64) -> History {
        let grid = Grid::ending(0.0, minutes(60), minutes(1));
        let mut history = History::new(grid);
        for pod in self.joined.pods() {
            let load = pod.load(metric).expect("every load is given").value();
            let samples = (0..grid.steps).map(|step| (grid.start_s + 60.0 * step as f64, shape(step, load)));
            history.add_series(&pod.name, samples).expect("a series a pod");
        }
        history
    }

    fn assess(&self, facts: &Facts<'_>) -> Assessment {
        self.assess_with(facts, Strategy::RotateOutliers)
    }

    fn assess_with(&self, facts: &Facts<'_>, strategy: Strategy) -> Assessment {
        assess(&self.analysis(), &self.joined.set_aside, facts, &GuardSettings::STANDARD, strategy)
    }
}

/// The same assessment as `GUARDS=off` has it: the diagnosis is told, not obeyed.
fn without_diagnosis(mut assessment: Assessment) -> Assessment {
    assessment.obeys_diagnosis = false;
    assessment
}

fn name(pod: usize) -> String {
    format!("orders-{pod}")
}

fn group(assignor: Assignor, topics: &[u32], pods: usize) -> Group {
    let members = (0..pods).map(|pod| Member::new(format!("m{:02}", pod * 7 % pods.max(2)), pod)).collect();
    Group::form(assignor, topics.to_vec(), members).expect("valid")
}

fn partitions(group: &Group, load: impl Fn(usize, u32) -> f64, pods: usize) -> Fact<Partitions> {
    let names: Vec<String> = (0..pods).map(name).collect();
    let live: Vec<&str> = names.iter().map(String::as_str).collect();
    let topics = ["topic-0", "topic-1", "topic-2"];
    let mut samples = Vec::new();
    for (member, owned) in group.members() {
        samples.extend(owned.iter().map(|partition| PartitionSample {
            pod: Some(live[member.pod]),
            topic: topics[partition.topic],
            partition: partition.number,
            load: load(partition.topic, partition.number),
        }));
    }
    Fact::Known(Partitions::new(samples, &live).expect("each once"))
}

fn standing(diagnosis: &Diagnosis, step: &str) -> Standing {
    diagnosis
        .steps
        .iter()
        .find(|asked| asked.check.name() == step)
        .unwrap_or_else(|| panic!("{step} is asked"))
        .standing
}

#[test]
fn a_sick_pod_is_replaced_under_any_assignor() {
    let mut rows = vec![[1.0, 100.0, 100.0]; 6];
    rows[2][0] = 3.0;
    let scene = Scene::new(&rows);
    let mut facts = scene.facts();
    facts.assignor = AssignorChoice::Is(Assignor::Range);
    let assessment = scene.assess(&facts);
    let Cause::SickPod { pod, ratio, limit } = &assessment.diagnosis.cause else {
        panic!("{:?}", assessment.diagnosis)
    };
    assert_eq!((pod.as_str(), *limit), ("orders-2", 1.6));
    assert!((ratio - 3.0).abs() < 1e-9, "{ratio}");
    assert!(assessment.diagnosis.can_help(), "{:#?}", assessment.diagnosis);
    let selection = assessment.rotation().expect("nothing speaks against it");
    assert_eq!(selection.pods[0], 2);
    let alone = scene.assess_with(&facts, Strategy::ByCause);
    assert_eq!(alone.rotation().expect("the sick pod alone").pods, [2]);
}

#[test]
fn of_several_sick_pods_each_is_one() {
    let mut rows = vec![[1.0, 100.0, 100.0]; 12];
    for (pod, cpu) in [(2, 3.0), (5, 3.5), (9, 3.2)] {
        rows[pod][0] = cpu;
    }
    let scene = Scene::new(&rows);
    // Noise makes now the one, now the other the worst; sick are all of them.
    let mut facts = scene.facts();
    let noisy = scene.hour(Metric::Cpu, |step, load| if step < 30 { load } else { 3.2_f64.min(load) });
    facts.past.cpu = Fact::Known(noisy);
    facts.assignor = AssignorChoice::Is(Assignor::Range);
    let ill: Vec<usize> = ill_pods(&scene.analysis(), &facts).pods.iter().map(|ill| ill.position).collect();
    assert_eq!(ill, [5, 9, 2], "the worst first; of equals the first");
    let assessment = scene.assess(&facts);
    assert!(matches!(assessment.diagnosis.cause, Cause::SickPod { .. }), "{:?}", assessment.diagnosis);
    assert_eq!(assessment.rotation().expect("it helps").pods[0], 5);
    let alone = scene.assess_with(&facts, Strategy::ByCause);
    assert_eq!(alone.rotation().expect("one at a time").pods, [5]);
}

#[test]
fn a_pod_that_was_sick_for_a_moment_is_not_sick() {
    let mut rows = vec![[1.0, 100.0, 100.0]; 6];
    rows[2][0] = 3.0;
    let scene = Scene::new(&rows);
    let mut facts = scene.facts();
    let spike = scene.hour(Metric::Cpu, |step, load| if step < 50 { 1.0 } else { load });
    facts.past.cpu = Fact::Known(spike);
    let assessment = scene.assess(&facts);
    assert_eq!(assessment.diagnosis.cause, Cause::UnevenButNoisy, "{:#?}", assessment.diagnosis);
    assert_eq!(assessment.rotation(), None);
    let by_cause = scene.assess_with(&facts, Strategy::ByCause);
    assert_eq!(by_cause.rotation(), None, "and it is no illness");
}

#[test]
fn a_pod_is_as_sick_as_in_the_better_half_of_the_hour() {
    let mut rows = vec![[1.0, 100.0, 100.0]; 6];
    rows[2][0] = 3.0;
    let scene = Scene::new(&rows);
    let ill = |first: f64, second: f64| {
        let mut facts = scene.facts();
        let halves = scene.hour(Metric::Cpu, |step, load| load.min(if step < 30 { first } else { second }));
        facts.past.cpu = Fact::Known(halves);
        ill_pods(&scene.analysis(), &facts).pods
    };
    assert_eq!(ill(1.4, 3.0), []);
    assert_eq!(ill(3.0, 1.4), []);
    for halves in [ill(2.0, 3.0), ill(3.0, 2.0)] {
        let [IllPod { position: 2, cause: Cause::SickPod { ratio, .. }, .. }] = halves[..] else {
            panic!("{halves:?}")
        };
        assert!((ratio - 2.0).abs() < 1e-9, "{ratio}");
    }
}

#[test]
fn an_idle_fleet_is_called_idle_whatever_its_ratios() {
    let mut rows = vec![[0.002, 0.0, 0.5]; 6];
    rows[2][0] = 0.009;
    let scene = Scene::new(&rows);
    let floored = Thresholds { trigger_floors: DEFAULT_FLOORS, ..Thresholds::default() };
    let analysis = Engine::new(floored).analyze_joined(&scene.joined).expect("valid");
    assert!(analysis.should_rebalance(), "the plain rule would rotate");
    let settings = GuardSettings::STANDARD;
    let assessment =
        assess(&analysis, &scene.joined.set_aside, &scene.facts(), &settings, Strategy::RotateOutliers);
    assert_eq!(assessment.diagnosis.cause, Cause::NearlyIdle);
    assert_eq!(assessment.rotation(), None);
}

#[test]
fn an_idle_pod_is_not_sick_for_the_price_of_being_alive() {
    // Ten messages a second cost next to nothing, the process itself does.
    let rows = [[0.2, 0.0, 12.0], [3.0, 0.0, 300.0], [1.0, 0.0, 100.0], [1.0, 0.0, 100.0], [1.0, 0.0, 100.0]];
    let assessment = Scene::new(&rows).assess(&Scene::new(&rows).facts());
    assert!(!matches!(assessment.diagnosis.cause, Cause::SickPod { .. }), "{:?}", assessment.diagnosis.cause);
}

#[test]
fn a_stalled_pod_is_told_from_a_hot_partition() {
    let mut stalled = vec![[1.0, 100.0, 100.0]; 6];
    stalled[3] = [0.1, 90_000.0, 5.0];
    let scene = Scene::new(&stalled);
    let mut facts = scene.facts();
    facts.assignor = AssignorChoice::Is(Assignor::Range);
    let assessment = scene.assess(&facts);
    let Cause::StalledPod { pod, share, .. } = &assessment.diagnosis.cause else {
        panic!("{:?}", assessment.diagnosis)
    };
    assert_eq!((pod.as_str(), *share), ("orders-3", Some(0.05)));
    assert!(assessment.rotation().is_some(), "{assessment:#?}");
    let mut hot = vec![[1.0, 100.0, 100.0]; 6];
    hot[3] = [3.0, 90_000.0, 300.0];
    let scene = Scene::new(&hot);
    let cause = scene.assess(&scene.facts()).diagnosis.cause;
    assert_eq!(cause, Cause::Unknown, "it reads more than the others; nothing is known of partitions");
}

/// As a group deals its partitions: the pods differ by what arrives for them, and all of them keep up.
#[test]
fn a_pod_for_which_little_arrives_has_not_stalled() {
    let uneven = |lag: f64| {
        [[0.5, lag, 3.5], [1.0, 120.0, 7.1], [1.0, 30.0, 7.0], [1.0, 240.0, 7.9], [1.0, 120.0, 7.2]]
    };
    let illness = |lag: f64, floors| {
        let scene = Scene::new(&uneven(lag));
        let thresholds = Thresholds { trigger_floors: floors, ..Thresholds::default() };
        let analysis = Engine::new(thresholds).analyze_joined(&scene.joined).expect("valid");
        assert!(analysis.triggered().contains(&Metric::Lag), "lag {lag} passes the plain threshold");
        ill_pods(&analysis, &scene.facts()).pods.len()
    };
    let no_floors = Thresholds::default().trigger_floors;
    // More than the mean, but less than twice the median of the others.
    assert_eq!(illness(180.0, no_floors), 0);
    // Far more, but nearly nothing for a group: the floor of lag is 1,000 messages a pod.
    assert_eq!(illness(400.0, DEFAULT_FLOORS), 0);
    assert_eq!(illness(400.0, no_floors), 1);
}

/// `STRATEGY=by_cause` evicts the first of them.
#[test]
fn of_two_stalled_pods_the_one_further_behind_is_named_first() {
    for further in [3, 4] {
        let mut rows = vec![[1.0, 100.0, 100.0]; 8];
        (rows[3], rows[4]) = ([0.1, 50_000.0, 5.0], [0.1, 50_000.0, 5.0]);
        rows[further][1] = 90_000.0;
        let scene = Scene::new(&rows);
        let ill = ill_pods(&scene.analysis(), &scene.facts()).pods;
        let found: Vec<usize> = ill.iter().map(|pod| pod.position).collect();
        assert_eq!(found, [further, 7 - further]);
    }
}

/// One partition of topic 0 carries as much as thirty others.
fn one_hot(topic: usize, number: u32) -> f64 {
    if (topic, number) == (0, 5) { 300.0 } else { 10.0 }
}

#[test]
fn a_hot_partition_is_named_with_its_share() {
    for assignor in [Assignor::Range, Assignor::Sticky] {
        let group = group(assignor, &[24], 6);
        let scene = Scene::of_group(&group, one_hot, 6);
        let mut facts = scene.facts();
        facts.partitions = partitions(&group, one_hot, 6);
        facts.assignor = AssignorChoice::Is(assignor);
        let assessment = scene.assess(&facts);
        let Cause::HotPartition { topic, partition, share, share_of_busiest, .. } =
            &assessment.diagnosis.cause
        else {
            panic!("{:?}", assessment.diagnosis.cause)
        };
        assert_eq!((topic.as_str(), *partition), ("topic-0", 5));
        assert!((share - 300.0 / 530.0).abs() < 1e-9 && (share_of_busiest - 300.0 / 330.0).abs() < 1e-9);
        let verdict = assessment.diagnosis.verdict();
        assert!(
            verdict.reason.starts_with("hot_partition: "),
            "the cause is the verdict: {}",
            verdict.reason
        );
        let notes = assessment.diagnosis.notes();
        let invariant = notes.iter().filter(|note| note.starts_with("rank_invariant: ")).count();
        assert_eq!(invariant, usize::from(assignor == Assignor::Range), "the other is a note: {notes:?}");
        assert!(notes.iter().all(|note| !note.starts_with("hot_partition")), "one is told once: {notes:?}");
        assert_eq!(assessment.rotation(), None);
        let told = without_diagnosis(assessment.clone());
        assert!(told.rotation().is_some(), "with GUARDS=off it is told, not obeyed");
        let forecast = assessment.diagnosis.forecast.expect("owners are known");
        assert!(forecast.best > 1.0, "{forecast:?}");
        assert!(assessment.diagnosis.advice.iter().any(|line| line.contains("best any deal")));
    }
}

/// Rates that differ, none of them most of a pod's.
fn uneven(_: usize, number: u32) -> f64 {
    if number < 4 { 60.0 } else { 10.0 + f64::from(number) }
}

#[test]
fn a_rank_invariant_assignor_is_recognised_and_named() {
    let group = group(Assignor::Range, &[24], 6);
    let scene = Scene::of_group(&group, uneven, 6);
    let mut facts = scene.facts();
    facts.partitions = partitions(&group, uneven, 6);
    let assessment = scene.assess(&facts);
    assert_eq!(
        assessment.diagnosis.cause,
        Cause::RankInvariantAssignor { assignor: Assignor::Range, recognised: true }
    );
    let forecast = assessment.diagnosis.forecast.expect("owners are known");
    assert_eq!(forecast.after, Some(forecast.now), "exactly unchanged");
    assert!(forecast.best < 0.1, "{forecast:?}");
    let verdict = assessment.diagnosis.verdict();
    assert_eq!((verdict.check, verdict.standing), (Check::Diagnosis, Standing::Hold));
    assert!(verdict.reason.starts_with("rank_invariant: "), "{}", verdict.reason);
    assert_eq!(assessment.rotation(), None);

    facts.consumers_per_pod = Some(3);
    let several = scene.assess(&facts).diagnosis;
    assert_eq!(standing(&several, "rank_invariant"), Standing::Pass, "ranks change places within pods");
    facts.consumers_per_pod = None;
    facts.assignor = AssignorChoice::Unknown;
    assert_eq!(standing(&scene.assess(&facts).diagnosis, "rank_invariant"), Standing::Unknown);
}

#[test]
fn an_exported_name_comes_before_the_pattern() {
    let group = group(Assignor::Range, &[24], 6);
    let scene = Scene::of_group(&group, uneven, 6);
    let mut facts = scene.facts();
    facts.partitions = partitions(&group, uneven, 6);
    facts.exported_assignor = Fact::Known("cooperative-sticky".into());
    assert_eq!(facts.known_assignor(), Some(Assignor::CooperativeSticky));
    facts.exported_assignor = Fact::Known("com.acme.OurAssignor".into());
    assert_eq!(facts.known_assignor(), Some(Assignor::Range), "a name not known is as good as none");
    facts.assignor = AssignorChoice::Is(Assignor::Uniform);
    assert_eq!(facts.known_assignor(), Some(Assignor::Uniform), "who sets it knows it");
}

#[test]
fn as_many_consumers_as_partitions_leave_nothing_to_deal() {
    let group = group(Assignor::Range, &[6], 6);
    let load = |_: usize, number: u32| if number == 0 { 400.0 } else { 100.0 };
    let scene = Scene::of_group(&group, load, 6);
    let mut facts = scene.facts();
    facts.partitions = partitions(&group, load, 6);
    let cause = scene.assess(&facts).diagnosis.cause;
    assert_eq!(cause, Cause::TooFewPartitions { partitions: 6, consumers: 6 });
    facts.partitions = Fact::Absent;
    facts.assigned_partitions = Fact::Known((0..6).map(|pod| (name(pod), 1)).collect());
    assert_eq!(scene.assess(&facts).diagnosis.cause, cause, "the counts alone tell it too");
}

#[test]
fn fifteen_partitions_over_ten_pods_stay_uneven() {
    let rows: Vec<[f64; 3]> =
        (0..10).map(|pod| if pod < 5 { [2.0, 0.0, 200.0] } else { [1.0, 0.0, 100.0] }).collect();
    let scene = Scene::new(&rows);
    let mut facts = scene.facts();
    let counts = (0..10).map(|pod| (name(pod), if pod < 5 { 2 } else { 1 })).collect();
    facts.assigned_partitions = Fact::Known(counts);
    let assessment = scene.assess(&facts);
    let Cause::StructuralImbalance { partitions: 15, consumers: 10, best_cv } = assessment.diagnosis.cause
    else {
        panic!("{:?}", assessment.diagnosis.cause)
    };
    assert!((best_cv - 1.0 / 3.0).abs() < 1e-9, "{best_cv}");
    assert_eq!(assessment.rotation(), None);
}

#[test]
fn a_stateful_set_gives_replacements_the_old_identity() {
    let rows = [[3.0, 0.0, 300.0], [1.0, 0.0, 100.0], [1.0, 0.0, 100.0], [1.0, 0.0, 100.0]];
    let mut scene = Scene::new(&rows);
    for pod in &mut scene.live {
        pod.controller = Some(Controller {
            group: None,
            kind: "StatefulSet".into(),
            name: "orders".into(),
            uid: "s".into(),
        });
    }
    let mut facts = scene.facts();
    let cause = |facts: &Facts<'_>| scene.assess(facts).diagnosis.cause;
    assert_eq!(cause(&facts), Cause::StaticMembership { evidence: "StatefulSet".into() });
    facts.told_identity = Fact::Known(false);
    assert_eq!(cause(&facts), Cause::Unknown, "its members have no group.instance.id");
    facts.told_identity = Fact::Known(true);
    assert_eq!(cause(&facts), Cause::StaticMembership { evidence: "group.instance.id".into() });
    facts.static_membership = Some(false);
    assert_eq!(cause(&facts), Cause::Unknown, "whoever says so knows that the ids are random");
    facts.static_membership = Some(true);
    assert_eq!(cause(&facts), Cause::StaticMembership { evidence: "configured".into() });
}

#[test]
fn an_illness_comes_before_a_plan() {
    let mut rows = vec![[1.0, 100.0, 100.0]; 6];
    rows[2][0] = 3.0;
    rows[4][0] = 0.8;
    let scene = Scene::new(&rows);
    let assessment = scene.assess_with(&scene.facts(), Strategy::ByCause);
    let selection = assessment.rotation().expect("a cure needs no plan");
    assert_eq!((selection.pods.as_slice(), selection.forecast), (&[2][..], None));
}

#[test]
fn dealing_two_pods_anew_must_gain_something() {
    // The busiest pod has all the heavy ones, the least busy all the light ones: a deal may gain.
    let group = group(Assignor::Sticky, &[24], 6);
    let (_, heavy) = group.members().next().expect("six members");
    let heavy: Vec<u32> = heavy.iter().map(|partition| partition.number).collect();
    let skewed = move |_: usize, number: u32| if heavy.contains(&number) { 60.0 } else { 20.0 };
    let scene = Scene::of_group(&group, &skewed, 6);
    let mut facts = scene.facts();
    facts.partitions = partitions(&group, &skewed, 6);
    facts.assignor = AssignorChoice::Is(Assignor::Sticky);
    let gaining = scene.assess(&facts).diagnosis;
    assert_eq!((standing(&gaining, "union_gain"), &gaining.cause), (Standing::Pass, &Cause::UnevenDeal));
    // One heavy partition in each pod of half the group: any other deal is as uneven.
    let paired = |_: usize, number: u32| if number < 3 { 90.0 } else { 20.0 };
    let scene = Scene::of_group(&group, paired, 6);
    let mut facts = scene.facts();
    facts.partitions = partitions(&group, paired, 6);
    facts.assignor = AssignorChoice::Is(Assignor::Sticky);
    let futile = scene.assess(&facts).diagnosis;
    assert_eq!((standing(&futile, "union_gain"), &futile.cause), (Standing::Hold, &Cause::NoGain));
}

#[test]
fn unsettled_groups_and_rollouts_forbid_a_rotation() {
    let scene = Scene::new(&[[3.0, 0.0, 300.0], [1.0, 0.0, 100.0], [1.0, 0.0, 100.0], [1.0, 0.0, 100.0]]);
    let live: Vec<&str> = scene.live.iter().map(|pod| pod.name.as_str()).collect();
    let claim = |pod| PartitionSample { pod: Some(pod), topic: "t", partition: 0, load: 1.0 };
    let mut facts = scene.facts();
    facts.partitions = Fact::Known(Partitions::new([claim(live[0]), claim(live[1])], &live).expect("told"));
    let contested = scene.assess(&facts);
    assert_eq!(standing(&contested.diagnosis, "data"), Standing::Hold);
    assert_eq!(contested.rotation(), None);
    let mut facts = scene.facts();
    facts.rolling_out = true;
    assert_eq!(standing(&scene.assess(&facts).diagnosis, "data"), Standing::Hold);
}

#[test]
fn inputs_that_are_not_there_make_steps_unknown_and_nothing_else() {
    let scene = Scene::new(&[[3.0, 0.0, 300.0], [1.0, 0.0, 100.0], [1.0, 0.0, 100.0], [1.0, 0.0, 100.0]]);
    let mut facts = scene.facts();
    let bare = scene.assess(&facts);
    for step in [
        "partitions_per_consumer",
        "structure",
        "rank_invariant",
        "hot_partition",
        "last_replacement",
        "union_gain",
    ] {
        assert_eq!(standing(&bare.diagnosis, step), Standing::Unknown, "{step}");
    }
    assert_eq!(bare.diagnosis.cause, Cause::Unknown);
    assert_eq!(bare.diagnosis.verdict().standing, Standing::Pass);
    assert!(bare.rotation().is_some());
    facts.partitions = Fact::Unusable("cannot be used: the answer is a scalar".into());
    let broken = scene.assess(&facts).diagnosis;
    let step = broken.steps.iter().find(|step| step.check == Check::HotPartition).expect("asked");
    assert_eq!(step.reason, "the load of each partition cannot be used: the answer is a scalar");
    let by_cause = scene.assess_with(&facts, Strategy::ByCause).selection.expect("the outliers");
    assert_eq!(by_cause.forecast, None, "no pair is planned on a guess");
}

#[test]
fn what_a_server_refused_holds_wherever_it_could_change_the_verdict() {
    let scene = Scene::new(&[[3.0, 0.0, 300.0], [1.0, 0.0, 100.0], [1.0, 0.0, 100.0], [1.0, 0.0, 100.0]]);
    let refused = || "could not be had: HTTP 403".to_owned();
    let failed: [fn(&mut Facts<'_>, String); 5] = [
        |facts, why| facts.partitions = Fact::Failed(why),
        |facts, why| facts.assigned_partitions = Fact::Failed(why),
        |facts, why| facts.exported_assignor = Fact::Failed(why),
        |facts, why| facts.last_replacement = Fact::Failed(why),
        |facts, why| facts.past.rate = Fact::Failed(why),
    ];
    for fail in failed {
        let mut facts = scene.facts();
        fail(&mut facts, refused());
        let assessment = scene.assess(&facts);
        let verdict = assessment.diagnosis.verdict();
        assert_eq!(verdict.standing, Standing::Unknown, "{verdict:?}");
        assert!(verdict.reason.contains("could not be had: HTTP 403"), "{verdict:?}");
        assert_eq!(assessment.rotation(), None);
        assert!(without_diagnosis(assessment).rotation().is_some(), "guards off obey no diagnosis");
    }
    // What is told by a setting need not be had, and a refusal stays one.
    let mut facts = scene.facts();
    facts.exported_assignor = Fact::Failed(refused());
    facts.assignor = AssignorChoice::Is(Assignor::CooperativeSticky);
    assert_eq!(scene.assess(&facts).diagnosis.verdict().standing, Standing::Pass);
    facts.partitions = Fact::Failed(refused());
    facts.rolling_out = true;
    assert_eq!(scene.assess(&facts).diagnosis.verdict().standing, Standing::Hold);
}

#[test]
fn a_sick_pod_is_not_replaced_while_what_could_deny_it_is_refused() {
    let scene = Scene::new(&[[4.0, 0.0, 100.0], [1.0, 0.0, 100.0], [1.0, 0.0, 100.0], [1.0, 0.0, 100.0]]);
    assert_eq!(scene.assess(&scene.facts()).diagnosis.verdict().standing, Standing::Pass);
    for fail in
        [(|facts, why| facts.past.cpu = Fact::Failed(why)) as fn(&mut Facts<'_>, String), |facts, why| {
            facts.partitions = Fact::Failed(why);
        }]
    {
        let mut facts = scene.facts();
        fail(&mut facts, "could not be had".to_owned());
        let diagnosis = scene.assess(&facts).diagnosis;
        assert_eq!(diagnosis.verdict().standing, Standing::Unknown, "{diagnosis:?}");
        assert!(matches!(diagnosis.cause, Cause::SickPod { .. }), "{diagnosis:?}");
    }
}

#[test]
fn what_is_unknown_refuses_a_rotation() {
    let scene = Scene::new(&[[3.0, 0.0, 300.0], [1.0, 0.0, 100.0], [1.0, 0.0, 100.0], [1.0, 0.0, 100.0]]);
    let assessment = scene.assess(&Facts::new(&scene.live));
    let persistence =
        assessment.guards.iter().find(|verdict| verdict.check == Check::Persistence).expect("it is on");
    assert_eq!(persistence.standing, Standing::Unknown, "there is no history");
    assert!(assessment.selection.is_some(), "the strategy has picked its pods");
    assert_eq!(assessment.rotation(), None);
    let mut rolling = Facts::new(&scene.live);
    rolling.rolling_out = true;
    assert_eq!(scene.assess(&rolling).rotation(), None);
}

#[test]
fn a_balanced_workload_is_asked_nothing() {
    let scene = Scene::new(&[[1.0, 0.0, 100.0]; 4]);
    let assessment = scene.assess(&scene.facts());
    assert_eq!((&assessment.trigger, &assessment.diagnosis.cause), (&None, &Cause::Balanced));
    assert!(assessment.diagnosis.steps.is_empty());
    let two = Scene::new(&[[1.0, 0.0, 1.0]; 2]);
    assert_eq!(two.assess(&two.facts()).diagnosis.cause, Cause::Unknown, "too few pods to say");
}

#[test]
fn causes_have_words_and_codes() {
    let cause = Cause::SickPod { pod: "a".into(), ratio: 2.5, limit: 1.6 };
    let json = serde_json::to_value(&cause).expect("serializes");
    assert_eq!(json, serde_json::json!({"code": "sick_pod", "pod": "a", "ratio": 2.5, "limit": 1.6}));
    assert_eq!(
        cause.to_string(),
        "pod a spends 2.50 times the CPU of the others on a message (> 1.6); replacing it helps"
    );
}
