//! The rotations that a backtest would have begun. Their pods count as young afterwards, and their cures as made, as later
//! guards would see them.
//!
//! History does not contain these rotations, nor whether one would have evened out the load, so the loads
//! stay unchanged.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::{Controller, Cure, Fact, LivePod, Role, Workload};

use crate::pipeline::clocks::ago;
use crate::report::Report;

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
    pub fn aged(&self, workload: &Workload, at: Timestamp) -> Option<Workload> {
        let since = |pod: &LivePod| self.replaced.get(&pod.name).map(|replaced| ago(*replaced, at));
        if !workload.pods.iter().any(|pod| since(pod).is_some()) {
            return None;
        }
        let younger =
            |known: Option<Duration>, since: Duration| Some(known.map_or(since, |age| age.min(since)));
        let pods = workload.pods.iter().map(|pod| match since(pod) {
            Some(since) => {
                LivePod { age: younger(pod.age, since), uptime: younger(pod.uptime, since), ..pod.clone() }
            }
            None => pod.clone(),
        });
        Some(Workload { pods: pods.collect(), owners: workload.owners.clone() })
    }

    /// The cures so far, as they are known at a moment.
    pub fn cures(&self, at: Timestamp) -> Fact<Vec<Cure>> {
        let known = |(pod, then): &(String, Timestamp)| Cure {
            pod: pod.clone(),
            partition: None,
            offset: None,
            ago: ago(*then, at),
        };
        Fact::Known(self.cures.iter().map(known).collect())
    }

    /// Records the rotation of a report about this workload, if it plans one.
    pub fn begin(&mut self, report: &Report, workload: &Workload, at: Timestamp) {
        if !report.acts() {
            return;
        }
        self.replaced.extend(report.targets.iter().map(|target| (target.pod.clone(), at)));
        let keeps_name = |name: &String| {
            let is_of_set = |of: &Controller| of.is("apps", "StatefulSet");
            workload
                .pods
                .iter()
                .any(|pod| pod.name == *name && pod.controller.as_ref().is_some_and(is_of_set))
        };
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
