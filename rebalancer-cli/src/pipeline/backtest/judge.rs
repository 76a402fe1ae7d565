//! Decides at one moment, with each of several thresholds. The pods of rotations that the backtest would have begun count as
//! young afterwards, and their cures as made, as later guards would see them.
//!
//! History does not contain these rotations, nor whether one would have evened out the load, so the loads
//! stay unchanged.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use rebalancer_core::{Analysis, Controller, Cure, Fact, Facts, LivePod, Metric, Role, Strategy, Workload};
use rebalancer_io::facts::{FactFinder, Kept};
use rebalancer_io::podstate::Answers;

use crate::pipeline::clocks::ago;
use crate::pipeline::decide::{Known, Purpose, analyze, conclude, gather, living, needs_facts};
use crate::report::Report;
use crate::report::backtest::Decision;
use crate::settings::decision::{DecisionSettings, PLAN_DEADLINE};

/// The data known about one moment of the past.
pub struct Moment {
    /// The pods of that moment.
    pub workload: Workload,
    /// Their loads.
    pub answers: Answers,
    /// Whether pods of several controllers are accepted.
    pub allow_many_controllers: bool,
    /// Whether the past before this moment can be queried.
    pub has_past: bool,
}

impl Moment {
    /// When it was.
    pub const fn at(&self) -> Timestamp {
        self.answers.at
    }

    /// What is known then, if the workload is this one.
    fn known<'a>(&self, workload: &'a Workload, settings: &DecisionSettings) -> anyhow::Result<Known<'a>> {
        let known = Known::of(&self.answers, workload, settings.freshness());
        let known = known.with_context(|| format!("at {}", self.at()))?;
        Ok(Known { has_past: self.has_past, ..known })
    }
}

/// Decides about one moment with each of the settings, which differ only in their thresholds; `None` if no
/// pod has CPU or lag. `own` contains the earlier rotations of each setting. Those of this moment are added,
/// so moments must be judged in time order.
///
/// # Errors
/// Pod states or thresholds that are inconsistent.
pub fn judge(
    variants: &[DecisionSettings],
    own: &mut [OwnRotations],
    moment: &Moment,
    finder: &FactFinder<'_>,
) -> anyhow::Result<Option<Vec<Decision>>> {
    let (at, workload) = (moment.at(), &moment.workload);
    let Some(settings) = variants.first() else { return Ok(None) };
    let known = moment.known(workload, settings)?;
    let measured = |metric| known.joined.loads[metric].iter().any(|load| !load.is_nan());
    if !Metric::TRIGGERS.into_iter().any(measured) {
        return Ok(None);
    }
    let per_variant = variants
        .iter()
        .map(|settings| analyze(settings, &known).with_context(|| format!("at {at}")))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let live = living(workload);
    let pairs: Vec<_> = variants.iter().zip(&per_variant).collect();
    // Where nothing is over a threshold, only a strategy that cures acts on partitions that stand.
    let is_asked = |(settings, analysis): &(&DecisionSettings, &Analysis<'_>)| {
        settings.strategy == Strategy::ByCause || needs_facts(settings, analysis)
    };
    let facts = if pairs.iter().any(is_asked) {
        gather(&pairs, finder, &live, workload.rollout_age(), &Kept::All)
    } else {
        Facts::new(&live)
    };
    let mut decided = Vec::with_capacity(variants.len());
    for ((settings, analysis), own) in pairs.into_iter().zip(own) {
        let facts = Facts { cures: own.cures(at), ..facts.clone() };
        let options = settings.rotation_options(moment.allow_many_controllers, PLAN_DEADLINE);
        let purpose = Purpose::plan(&options, false);
        let report = if let Some(aged) = own.aged(workload, at) {
            // The pods of own rotations count as young. Their history is unchanged.
            let known = moment.known(&aged, settings)?;
            let analysis = analyze(settings, &known).with_context(|| format!("at {at}"))?;
            let live = living(&aged);
            conclude(settings, &analysis, Facts { live: &live, ..facts }, &known, purpose)
        } else {
            conclude(settings, analysis, facts, &known, purpose)
        };
        own.begin(&report, workload, at);
        // The spreads are those of all pods, including those of own rotations.
        let [cpu_cv, lag_cv] = [Metric::Cpu, Metric::Lag].map(|metric| Some(analysis.spread(metric)?.cv));
        let should_rebalance = analysis.should_rebalance();
        decided.push(Decision { should_rebalance, cpu_cv, lag_cv, ..Decision::of(&report) });
    }
    Ok(Some(decided))
}

/// The pods replaced by rotations of this backtest, when each was last replaced, and the cures among them.
///
/// A pod's name also stands for its replacement, because history has no other data for it.
#[derive(Debug, Clone, Default)]
pub struct OwnRotations {
    replaced: BTreeMap<String, Timestamp>,
    /// The ill pods whose replacements have their names, by which a run knows them again, and when each was cured.
    cures: Vec<(String, Timestamp)>,
}

impl OwnRotations {
    /// The workload with the ages after these rotations; `None` if nothing changes.
    fn aged(&self, workload: &Workload, at: Timestamp) -> Option<Workload> {
        let since = |pod: &LivePod| self.replaced.get(&pod.name).map(|replaced| ago(*replaced, at));
        workload.pods.iter().find_map(since)?;
        let younger = |known: Option<Duration>, since| Some(known.map_or(since, |age| age.min(since)));
        let mut aged = workload.clone();
        for pod in &mut aged.pods {
            if let Some(since) = since(pod) {
                (pod.age, pod.uptime) = (younger(pod.age, since), younger(pod.uptime, since));
            }
        }
        Some(aged)
    }

    /// The cures so far, as they are known at a moment.
    fn cures(&self, at: Timestamp) -> Fact<Vec<Cure>> {
        let known = |(pod, then): &(String, Timestamp)| Cure {
            pod: pod.clone(),
            partition: None,
            offset: None,
            ago: ago(*then, at),
        };
        Fact::Known(self.cures.iter().map(known).collect())
    }

    /// Records the rotation of a report about this workload, if it plans one.
    fn begin(&mut self, report: &Report, workload: &Workload, at: Timestamp) {
        if !report.acts() {
            return;
        }
        self.replaced.extend(report.targets.iter().map(|target| (target.pod.clone(), at)));
        let is_of_set = |of: &Controller| of.is("apps", "StatefulSet");
        let of_set = |pod: &&LivePod| pod.controller.as_ref().is_some_and(is_of_set);
        let keeps_name = |name: &String| workload.pods.iter().filter(of_set).any(|pod| pod.name == *name);
        let ill = report.targets.iter().filter(|target| target.role == Role::Ill && keeps_name(&target.pod));
        self.cures.extend(ill.map(|target| (target.pod.clone(), at)));
    }
}

#[cfg(test)]
mod tests {
    use rebalancer_core::guard::{ChurnBudget, churn_budget, cooldown};
    use serde_json::json;

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_795_410_000 + 60 * minute).expect("a time")
    }

    fn pod(name: &str, age: Option<u64>) -> LivePod {
        let age = age.map(|minutes| Duration::from_secs(60 * minutes));
        LivePod { age, uptime: age, ..LivePod::assumed(name) }
    }

    #[test]
    fn a_replaced_pod_is_as_young_as_its_rotation_and_never_older_than_history_has_it() {
        let replaced = [("a", at(0)), ("b", at(0))].map(|(name, at)| (name.to_owned(), at));
        let own = OwnRotations { replaced: replaced.into_iter().collect(), ..OwnRotations::default() };
        let pods = vec![pod("a", Some(5000)), pod("b", Some(3)), pod("c", Some(5000)), pod("d", None)];
        let workload = Workload { pods, owners: Vec::new() };
        let aged = own.aged(&workload, at(10)).expect("two pods were replaced");
        let minutes: Vec<Option<u64>> =
            aged.pods.iter().map(|pod| pod.age.map(|age| age.as_secs() / 60)).collect();
        assert_eq!(minutes, [Some(10), Some(3), Some(5000), None]);
        let others = Workload { pods: vec![pod("c", None)], owners: Vec::new() };
        assert_eq!(own.aged(&others, at(10)), None);
        let budget = churn_budget(&aged.pods, 0, ChurnBudget::STANDARD);
        assert_eq!(budget.value, Some(4.0), "the two young pods and two more: {}", budget.reason);
        let cooldown = cooldown(&aged.pods, Duration::from_secs(1800));
        assert_eq!(cooldown.value, Some(180.0), "{}", cooldown.reason);
    }
    #[test]
    fn a_cure_is_known_of_a_pod_that_keeps_its_name() {
        let report: Report = serde_json::from_value(json!({
            "api_version": "pod-rebalancer/v1", "kind": "Plan", "outcome": "planned", "should_rebalance": false,
            "dry_run": "client", "evaluation_time": null, "workload": {}, "strategy": "by_cause",
            "targets": [{"pod": "a", "role": "ill"}], "reason": "it is sick", "rotation": null,
            "statistics": {"cpu": null, "memory": null, "lag": null, "rate": null},
            "thresholds": {"cpu": 0.3, "lag": 0.5, "min_pods": 3, "min_coverage": 0.8, "guards": "standard"},
        }))
        .expect("a report");
        let cured_of = |kind: &str| {
            let [group, kind, name] = ["apps", kind, "orders"].map(str::to_owned);
            let controller = Controller { group: Some(group), kind, name, uid: String::new() };
            let pods = vec![LivePod { controller: Some(controller), ..pod("a", None) }];
            let mut own = OwnRotations::default();
            own.begin(&report, &Workload { pods, owners: Vec::new() }, at(0));
            own.cures(at(60)).known().cloned().expect("they are known")
        };
        assert_eq!(cured_of("ReplicaSet"), []);
        let [cure] = &cured_of("StatefulSet")[..] else { panic!("one cure") };
        assert_eq!((cure.pod.as_str(), cure.ago), ("a", Duration::from_secs(3_600)));
    }
}
