//! The guards: each with its number and limit, off meaning not asked, and none adding a rotation.

use std::time::Duration;

use proptest::prelude::*;
use rebalancer_core::guard::{
    Check, ChurnBudget, GuardSettings, OutlierTrigger, Persistence, Standing, Verdict, churn_budget,
    cooldown, evaluate, futility, trigger,
};
use rebalancer_core::{
    Analysis, DEFAULT_FLOORS, Engine, Fact, Facts, Freshness, Grid, History, Join, Joined, LivePod, Metric,
    Objecting, Role, SetAside, Thresholds, Veto, VetoBy,
};

const MINUTE: Duration = Duration::from_secs(60);

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// Pods of the given ages, `p00`, `p01` and so on.
fn live(ages: &[Option<Duration>]) -> Vec<LivePod> {
    let pod = |(index, age): (usize, &Option<Duration>)| LivePod {
        age: *age,
        uptime: *age,
        ..LivePod::assumed(format!("p{index:02}"))
    };
    ages.iter().enumerate().map(pod).collect()
}

/// All `live` pods with the given CPU, whatever their age.
fn joined(live: &[LivePod], cpu: &[f64]) -> Joined {
    let freshness = Freshness { warm_up: Duration::ZERO, max_sample_age: MINUTE };
    let mut joined = Join::default().with_live(live, freshness, 0.0).expect("names differ");
    joined.loads.cpu.copy_from_slice(cpu);
    joined
}

/// Sixty minutes in which every pod had the load given for it.
fn steady(cpu: &[f64]) -> History {
    let grid = Persistence::STANDARD.grid(0.0);
    let mut history = History::new(grid);
    for (index, load) in cpu.iter().enumerate() {
        let samples = (0..grid.steps).map(|step| (grid.start_s + 60.0 * step as f64, *load));
        history.add_series(&format!("p{index:02}"), samples).expect("a series a pod");
    }
    history
}

/// The answers of the guards to what asks for a rotation.
fn asked(
    analysis: &Analysis<'_>,
    set_aside: &[SetAside],
    facts: &Facts<'_>,
    settings: &GuardSettings,
) -> Vec<Verdict> {
    let trigger = trigger(analysis, facts, settings);
    evaluate(analysis, set_aside, facts, settings, trigger.as_ref(), None)
}

fn names(verdicts: &[Verdict]) -> Vec<&'static str> {
    verdicts.iter().map(|verdict| verdict.check.name()).collect()
}

#[test]
fn guards_answer_in_one_order_and_only_when_on() {
    let live = live(&[Some(minutes(600)); 4]);
    let cpu = [4.0, 1.0, 1.0, 1.0];
    let joined = joined(&live, &cpu);
    let mut facts = Facts::new(&live);
    facts.past.cpu = Fact::Known(steady(&cpu));
    let floored = Thresholds { trigger_floors: DEFAULT_FLOORS, ..Thresholds::default() };
    let analysis = Engine::new(floored).analyze_joined(&joined).expect("valid");
    let verdicts = asked(&analysis, &joined.set_aside, &facts, &GuardSettings::STANDARD);
    let order = ["floor", "warm_up", "coverage", "persistence", "cooldown", "futility", "churn_budget"];
    assert_eq!(names(&verdicts), order);
    assert!(verdicts.iter().all(|verdict| verdict.standing == Standing::Pass), "{verdicts:#?}");

    let plain = Engine::new(Thresholds::default()).analyze_joined(&joined).expect("valid");
    assert_eq!(names(&asked(&plain, &joined.set_aside, &facts, &GuardSettings::OFF)), ["coverage"]);
    let balanced = joined_analysis_is_quiet(&live);
    assert_eq!(balanced, ["floor", "warm_up", "coverage"], "nothing to rotate, nothing to guard");
}

fn joined_analysis_is_quiet(live: &[LivePod]) -> Vec<&'static str> {
    let joined = joined(live, &[1.0; 4]);
    let floored = Thresholds { trigger_floors: DEFAULT_FLOORS, ..Thresholds::default() };
    let analysis = Engine::new(floored).analyze_joined(&joined).expect("valid");
    names(&asked(&analysis, &joined.set_aside, &Facts::new(live), &GuardSettings::STANDARD))
}

#[test]
fn a_veto_is_asked_with_a_rotation_only_and_what_is_not_known_holds() {
    let live = live(&[Some(minutes(600)); 4]);
    let verdicts = |cpu: &[f64], found: Fact<Objecting>| {
        let joined = joined(&live, cpu);
        let analysis = Engine::new(Thresholds::default()).analyze_joined(&joined).expect("valid");
        let mut facts = Facts::new(&live);
        facts.vetoes = vec![Veto { by: VetoBy::Query, found }];
        let verdicts = asked(&analysis, &joined.set_aside, &facts, &GuardSettings::OFF);
        verdicts.into_iter().find(|verdict| verdict.check == Check::VetoQuery)
    };
    let uneven = [4.0, 1.0, 1.0, 1.0];
    let two = Objecting { count: 2, quoted: vec!["a 1".into()] };
    let hold = verdicts(&uneven, Fact::Known(two.clone())).expect("it is asked");
    assert_eq!((hold.standing, hold.value), (Standing::Hold, Some(2.0)));
    assert_eq!(hold.reason, "the veto query finds 2 samples: a 1; and 1 more");
    assert_eq!(verdicts(&uneven, Fact::Known(Objecting::default())).expect("asked").standing, Standing::Pass);
    for found in [Fact::Absent, Fact::Failed("could not be had: 502".into()), Fact::Unusable("is odd".into())]
    {
        let unknown = verdicts(&uneven, found).expect("it is asked");
        assert_eq!((unknown.standing, unknown.failed), (Standing::Unknown, true), "{unknown}");
    }
    assert_eq!(verdicts(&[1.0; 4], Fact::Known(two)), None, "nothing to rotate, nothing to forbid");
}

#[test]
fn history_that_is_not_there_is_unknown_and_says_why() {
    let live = live(&[Some(minutes(600)); 4]);
    let joined = joined(&live, &[4.0, 1.0, 1.0, 1.0]);
    let analysis = Engine::new(Thresholds::default()).analyze_joined(&joined).expect("valid");
    let ask = |fact: Fact<History>| {
        let mut facts = Facts::new(&live);
        facts.past.cpu = fact;
        let verdicts = asked(&analysis, &joined.set_aside, &facts, &GuardSettings::STANDARD);
        verdicts.into_iter().find(|verdict| verdict.check == Check::Persistence).expect("it is on")
    };
    let absent = ask(Fact::Absent);
    assert_eq!((absent.standing, absent.reason.as_str()), (Standing::Unknown, "cpu: history is not there"));
    let refused: Result<History, &str> = Err("the history has more than one series for pod \"p00\"");
    let unusable = ask(Fact::from(refused));
    assert_eq!(unusable.standing, Standing::Unknown);
    assert!(unusable.reason.contains("more than one series for pod \"p00\""), "{}", unusable.reason);
}

#[test]
fn one_lasting_metric_is_enough() {
    let live = live(&[Some(minutes(600)); 4]);
    let mut joined = joined(&live, &[4.0, 1.0, 1.0, 1.0]);
    joined.loads.lag = vec![90_000.0, 1.0, 1.0, 1.0];
    let analysis = Engine::new(Thresholds::default()).analyze_joined(&joined).expect("valid");
    assert_eq!(analysis.triggered(), [Metric::Cpu, Metric::Lag]);
    let standing = |cpu: Fact<History>, lag: Fact<History>| {
        let mut facts = Facts::new(&live);
        (facts.past.cpu, facts.past.lag) = (cpu, lag);
        let verdicts = asked(&analysis, &joined.set_aside, &facts, &GuardSettings::STANDARD);
        verdicts.into_iter().find(|verdict| verdict.check == Check::Persistence).expect("on").standing
    };
    let hot = || Fact::Known(steady(&[4.0, 1.0, 1.0, 1.0]));
    let even = || Fact::Known(steady(&[1.0; 4]));
    assert_eq!(standing(even(), hot()), Standing::Pass);
    assert_eq!(standing(hot(), Fact::Absent), Standing::Pass);
    assert_eq!(standing(even(), even()), Standing::Hold);
    assert_eq!(standing(even(), Fact::Absent), Standing::Unknown, "lag might have lasted");
}

#[test]
fn cooldown_looks_at_the_youngest_pod() {
    let young = live(&[Some(minutes(600)), Some(minutes(29)), None]);
    let verdict = cooldown(&young, minutes(30));
    assert_eq!(
        (verdict.standing, verdict.value, verdict.limit),
        (Standing::Hold, Some(1740.0), Some(1800.0))
    );
    assert!(verdict.reason.contains("p01"), "{}", verdict.reason);
    assert_eq!(cooldown(&live(&[Some(minutes(30))]), minutes(30)).standing, Standing::Pass);
    assert_eq!(cooldown(&live(&[None]), minutes(30)).standing, Standing::Pass, "a replay knows no ages");
}

#[test]
fn cooldown_is_not_fooled_by_a_container_restart() {
    let restarted = LivePod { uptime: Some(minutes(1)), age: Some(minutes(600)), ..LivePod::assumed("a") };
    assert_eq!(cooldown(&[restarted], minutes(30)).standing, Standing::Pass);
}

#[test]
fn futility_holds_when_the_replacement_is_busiest_again() {
    let pods = live(&[Some(minutes(60)), Some(minutes(900)), Some(minutes(900))]);
    assert_eq!(futility(&pods, Role::Busiest, "p00", minutes(180)).standing, Standing::Hold);
    assert_eq!(futility(&pods, Role::Busiest, "p01", minutes(180)).standing, Standing::Pass);
    assert_eq!(
        futility(&pods, Role::Busiest, "gone", minutes(180)).standing,
        Standing::Pass,
        "an unknown age is old enough"
    );
    let after_rollout = live(&[Some(minutes(60)), Some(minutes(61)), Some(minutes(900))]);
    assert_eq!(
        futility(&after_rollout, Role::Busiest, "p00", minutes(180)).standing,
        Standing::Pass,
        "most pods are as young"
    );
    let told = |role| futility(&pods, role, "p00", minutes(180)).reason;
    assert!(told(Role::Busiest).contains("the busiest pod, p00, was replaced"), "{}", told(Role::Busiest));
    assert!(
        told(Role::Ill).contains("is ill again"),
        "a sick pod need not be the busiest: {}",
        told(Role::Ill)
    );
}

#[test]
fn the_churn_budget_counts_this_rotation() {
    let fleet = |young: usize, old: usize| {
        live(&[vec![Some(minutes(60)); young], vec![Some(minutes(900)); old]].concat())
    };
    let standing = |young, old| churn_budget(&fleet(young, old), 0, ChurnBudget::STANDARD).standing;
    assert_eq!((standing(2, 4), standing(3, 3)), (Standing::Pass, Standing::Hold), "4 in a small workload");
    assert_eq!((standing(8, 92), standing(9, 91)), (Standing::Pass, Standing::Hold), "a tenth of 100 is 10");
    assert_eq!((standing(7, 92), standing(8, 91)), (Standing::Pass, Standing::Hold), "a tenth of 99 is 9");
}

#[test]
fn the_outlier_trigger_sees_one_hot_pod_in_a_large_fleet() {
    let count = 500;
    let live = live(&vec![Some(minutes(900)); count]);
    let cpu: Vec<f64> = (0..count).map(|index| if index == 7 { 3.0 } else { 1.0 }).collect();
    let joined = joined(&live, &cpu);
    let analysis = Engine::new(Thresholds::default()).analyze_joined(&joined).expect("valid");
    let mut facts = Facts::new(&live);
    facts.past.cpu = Fact::Known(steady(&cpu));
    assert_eq!(trigger(&analysis, &facts, &GuardSettings::STANDARD), None, "the spread is 0.09");
    let on = GuardSettings { outlier_trigger: Some(OutlierTrigger::STANDARD), ..GuardSettings::STANDARD };
    let trigger = trigger(&analysis, &facts, &on).expect("it is nearly always at three times the median");
    assert_eq!(analysis.name(trigger.targets.busiest), "p07");
    assert_ne!(trigger.targets.busiest, trigger.targets.least_busy);
    let verdicts = evaluate(&analysis, &joined.set_aside, &facts, &on, Some(&trigger), None);
    assert!(verdicts.iter().all(|verdict| verdict.standing == Standing::Pass), "{verdicts:#?}");
    facts.past.cpu = Fact::Absent;
    assert_eq!(rebalancer_core::guard::trigger(&analysis, &facts, &on), None, "no history, no trigger");
}

#[test]
fn nonsense_limits_are_refused() {
    let words = |rule: Persistence| {
        let settings = GuardSettings { persistence: Some(rule), ..GuardSettings::OFF };
        settings.validate().expect_err("nonsense").to_string()
    };
    assert_eq!(
        words(Persistence { factor: f64::NAN, ..Persistence::STANDARD }),
        "the persistence factor is NaN; it must be a finite number above 0"
    );
    assert_eq!(
        words(Persistence { percent: 101, ..Persistence::STANDARD }),
        "the persistence percentage is 101 %; it must be 1 to 100, or off"
    );
    assert_eq!(
        words(Persistence { step: Duration::ZERO, ..Persistence::STANDARD }),
        "a persistence window of 3600s has no step of 0ns"
    );
    let budget = GuardSettings { churn_budget: Some(ChurnBudget { percent: 0 }), ..GuardSettings::OFF };
    assert!(budget.validate().is_err(), "off is None, not 0 %");
    assert_eq!(GuardSettings::STANDARD.validate(), Ok(()));
}

/// CPU of a few pods now, their history as multiples of it, and their ages in minutes.
fn scenes() -> impl Strategy<Value = (Vec<f64>, Vec<Vec<f64>>, Vec<Option<u64>>)> {
    (3_usize..9).prop_flat_map(|pods| {
        let age = prop_oneof![1 => Just(None), 5 => (0_u64..1000).prop_map(Some)];
        (
            prop::collection::vec(0.0..4.0, pods),
            prop::collection::vec(prop::collection::vec(0.0..4.0, 0..61), pods),
            prop::collection::vec(age, pods),
        )
    })
}

proptest! {
    /// What the standard guards let through, the plain rule would have done too; the warm-up, which
    /// changes the candidates, is applied by the join and so is the same on both sides.
    #[test]
    fn guards_only_take_rotations_away(
        (cpu, columns, ages) in scenes(),
        floor in prop_oneof![Just(0.0), Just(0.05), Just(1.0)],
    ) {
        let live = live(&ages.iter().map(|age| age.map(minutes)).collect::<Vec<Option<Duration>>>());
        let joined = joined(&live, &cpu);
        let grid = Grid::ending(0.0, minutes(60), MINUTE);
        let mut history = History::new(grid);
        for (pod, column) in live.iter().zip(&columns) {
            let samples = column.iter().enumerate();
            let samples = samples.map(|(step, load)| (grid.start_s + 60.0 * step as f64, *load));
            history.add_series(&pod.name, samples).expect("on the grid");
        }
        let mut facts = Facts::new(&live);
        facts.past.cpu = Fact::Known(history);
        let mut floored = Thresholds::default();
        floored.trigger_floors.cpu = floor;
        let guarded = Engine::new(floored).analyze_joined(&joined).expect("valid");
        let verdicts = asked(&guarded, &joined.set_aside, &facts, &GuardSettings::STANDARD);
        let targets = trigger(&guarded, &facts, &GuardSettings::STANDARD).map(|trigger| trigger.targets);
        let acts = targets.is_some() && verdicts.iter().all(|verdict| verdict.standing == Standing::Pass);
        let plain = Engine::new(Thresholds::default()).analyze_joined(&joined).expect("valid");
        let off = trigger(&plain, &facts, &GuardSettings::OFF).map(|trigger| trigger.targets);
        prop_assert_eq!(off, plain.targets(), "off is the plain rule");
        if acts {
            prop_assert_eq!(targets, off, "on, and so off");
        }
        for verdict in &verdicts {
            prop_assert!(!verdict.reason.is_empty());
            prop_assert!(verdict.value.is_none_or(f64::is_finite), "{:?}", verdict);
        }
    }
}
