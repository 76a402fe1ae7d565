//! A run of all workloads that opted in: which of them get their turn, and in what order.

use std::borrow::Cow;
use std::time::Duration;

use rebalancer_core::Role;
use rebalancer_core::guard::Standing;

use crate::failure::Failure;
use crate::report::scan::ScanRow;
use crate::report::verdict::VerdictReport;
use crate::report::{Outcome, Report};
use crate::telemetry::notes::{Asked, Ended, Notes};

/// A workload that opted in, and what has come of it so far.
pub struct Member {
    /// Its namespace.
    pub namespace: String,
    /// `Deployment` or `StatefulSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its live pods.
    pub pods: usize,
    /// The labels by which it finds its pods; empty where they are not known.
    pub selector: String,
    /// `none`, `client` or `server`.
    pub dry_run: &'static str,
    /// What was noted while it was looked at.
    pub notes: Notes,
    /// Requests to Kafka in its turn.
    pub kafka_requests: usize,
    /// The decision; why there is none.
    pub end: Result<Report, Failure>,
}

/// Why a workload whose pods were to be rotated was left alone.
#[derive(Debug, Clone)]
pub struct Left {
    /// The word in reports and metrics.
    name: &'static str,
    /// The number that it is held against.
    limit: Option<f64>,
    why: Cow<'static, str>,
}

impl Left {
    /// A signal asked the run to stop.
    pub const STOP: Self = Self::because("stop", "a signal asked the run to stop");
    /// Of an earlier workload not all pods were evicted, or it is not known what became of them.
    pub const TROUBLE: Self = Self::because(
        "earlier_rotation",
        "a rotation of this run was not completed, or it is not known what became of it: nothing more is evicted",
    );
    /// It was deleted after it was listed.
    pub const GONE: Self = Self::because("gone", "it was deleted after it was listed");
    /// It opted out after it was listed.
    pub const OPTED_OUT: Self = Self::because("opted_out", "it opted out after it was listed");
    /// Its labels select pods that others own.
    pub const NOT_ITS_OWN: Self = Self::because(
        "not_its_own",
        "its labels select pods that it does not own, and for those it cannot opt in",
    );
    /// A person was asked, and did not agree.
    pub const DECLINED: Self = Self::because("consent", "the person at the terminal did not answer yes");

    const fn because(name: &'static str, why: &'static str) -> Self {
        Self { name, limit: None, why: Cow::Borrowed(why) }
    }

    /// As many rotations as a run may make were made, or would have been made where it `is_dry`.
    pub fn limit(most: usize, is_dry: bool) -> Self {
        let made = if is_dry { "would have made" } else { "has made" };
        let rotations = if most == 1 { "one rotation".to_owned() } else { format!("{most} rotations") };
        let why = format!("this run {made} its {rotations} (MAX_ROTATIONS)").into();
        Self { name: "max_rotations", limit: Some(most as f64), why }
    }

    /// The time of the run is nearly over.
    pub fn time(limit: Duration) -> Self {
        let why = format!("the time of this run is nearly over: {} s (RUN_TIMEOUT)", limit.as_secs()).into();
        Self { name: "run_timeout", limit: Some(limit.as_secs_f64()), why }
    }

    /// As the guard that holds a rotation back.
    pub fn verdict(self) -> VerdictReport {
        let (name, reason) = (self.name.to_owned(), self.why.into_owned());
        VerdictReport { name, verdict: Standing::Hold, value: None, limit: self.limit, reason }
    }
}

impl Member {
    /// The workload of a row, which is decided or not. `wrong` where that is due to its own settings.
    pub fn of(row: ScanRow, selector: String, dry_run: &'static str, wrong: bool) -> Self {
        let ScanRow { namespace, kind, name, pods, reason, report, .. } = row;
        let notes = Notes::begin();
        notes.found(Some(format!("{kind}/{name}")), pods);
        let end = match report {
            Some(report) => Ok(*report),
            None if wrong => Err(Failure::usage(reason)),
            None => Err(Failure::Run(anyhow::anyhow!(reason))),
        };
        Self { namespace, kind, name, pods, selector, dry_run, notes, kafka_requests: 0, end }
    }

    /// Holds its rotation back.
    pub fn leave(&mut self, left: Left) {
        if let Ok(report) = &mut self.end {
            report.hold_back(left.verdict());
        }
    }

    /// Its row in the report of all.
    pub fn row(&self) -> ScanRow {
        match &self.end {
            Ok(report) => ScanRow {
                report: Some(Box::new(report.clone())),
                ..ScanRow::of(&self.namespace, &self.kind, &self.name, report)
            },
            Err(failure) => {
                ScanRow::undecided(&self.namespace, &self.kind, &self.name, self.pods, failure.words())
            }
        }
    }

    /// How it ended, for metrics and log.
    pub fn ended(&self) -> Ended<'_> {
        let (namespace, target) = (self.namespace.clone(), self.selector.clone());
        self.notes.end(Asked { namespace, target, dry_run: self.dry_run }, self.end.as_ref())
    }
}

/// The positions of those whose pods are to be rotated, in the order of their turns: illnesses first, then the largest
/// predicted gain, then the largest spread over its threshold, then by name.
pub fn turns(members: &[Member]) -> Vec<usize> {
    let planned = members.iter().enumerate().filter_map(|(position, member)| {
        let report = member.end.as_ref().ok().filter(|report| report.acts())?;
        let row = ScanRow::of(&member.namespace, &member.kind, &member.name, report);
        let is_cure = report.targets.iter().any(|target| target.role == Role::Ill);
        Some((position, is_cure, gain(report).unwrap_or(0.0), row.over.unwrap_or(0.0)))
    });
    let mut turns: Vec<(usize, bool, f64, f64)> = planned.collect();
    let name = |position: usize| {
        let Member { namespace, kind, name, .. } = &members[position];
        (namespace, kind, name)
    };
    turns.sort_by(|one, other| {
        let by_weight = other.1.cmp(&one.1).then_with(|| other.2.total_cmp(&one.2));
        by_weight.then_with(|| other.3.total_cmp(&one.3)).then_with(|| name(one.0).cmp(&name(other.0)))
    });
    turns.into_iter().map(|(position, ..)| position).collect()
}

/// By how much a rotation is expected to lower the spread of the partitions, as a share of it.
fn gain(report: &Report) -> Option<f64> {
    let spread = report.diagnosis.spread.as_ref()?;
    Some((spread.now - spread.expected?) / spread.now).filter(|gain| gain.is_finite())
}

/// Whether a report says that evictions were sent and not all refused; in a run that `is_dry`, whether they would be
/// sent. A workload that alone is in dry run takes no rotation from others.
pub fn is_rotation(report: &Report, is_dry: bool) -> bool {
    (was_tried(report) && report.outcome != Outcome::Blocked) || (is_dry && report.acts())
}

/// Whether evictions were sent, and not all that were planned are known to be done.
pub fn is_trouble(report: &Report) -> bool {
    was_tried(report) && matches!(report.outcome, Outcome::Partial | Outcome::Failed)
}

fn was_tried(report: &Report) -> bool {
    report.rotation.as_ref().is_some_and(|rotation| !rotation.attempted.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A workload whose pods are to be rotated, or not.
    fn member(name: &str, outcome: &str, role: &str, expected: Option<f64>, cv: f64) -> Member {
        let statistics = json!({"count": 3, "mean": 1.0, "variance": 1.0, "std_dev": 1.0, "cv": cv, "cv_compared": cv,
                                "threshold": 0.5, "median": null, "min": 0.0, "max": 2.0, "max_over_mean": 2.0});
        let report: Report = serde_json::from_value(json!({
            "api_version": "pod-rebalancer/v1", "kind": "RunReport", "outcome": outcome, "should_rebalance": true,
            "dry_run": "none", "evaluation_time": null, "workload": {}, "strategy": "by_cause",
            "targets": [{"pod": "a", "role": role}], "reason": "it is uneven", "rotation": null,
            "statistics": {"cpu": statistics, "memory": null, "lag": null, "rate": null},
            "diagnosis": {"spread": {"now": 0.8, "expected": expected, "best": 0.1}},
            "thresholds": {"cpu": 0.3, "lag": 0.5, "min_pods": 3, "min_coverage": 0.8, "guards": "standard"},
        }))
        .expect("a report");
        let row = ScanRow::of("shop", "Deployment", name, &report);
        Member::of(ScanRow { report: Some(Box::new(report)), ..row }, String::new(), "none", false)
    }

    #[test]
    fn illnesses_come_first_then_gain_then_spread_then_names() {
        let members = vec![
            member("z", "planned", "busiest", None, 0.9),
            member("balanced", "balanced", "busiest", Some(0.1), 0.9),
            member("b", "planned", "busiest", None, 0.6),
            member("a", "planned", "busiest", None, 0.6),
            member("some-gain", "planned", "busiest", Some(0.6), 0.5),
            member("much-gain", "planned", "busiest", Some(0.2), 0.5),
            member("ill", "planned", "ill", None, 0.1),
        ];
        let names: Vec<&str> =
            turns(&members).into_iter().map(|place| members[place].name.as_str()).collect();
        assert_eq!(names, ["ill", "much-gain", "some-gain", "z", "a", "b"]);
    }

    #[test]
    fn what_is_left_alone_says_why_and_has_no_targets() {
        let mut left = member("a", "planned", "ill", None, 0.9);
        left.leave(Left::limit(2, false));
        let report = left.end.expect("a report");
        assert_eq!((report.outcome, report.targets.len()), (Outcome::Withheld, 0));
        assert!(report.reason.ends_with("; but this run has made its 2 rotations (MAX_ROTATIONS)"));
        let guard = report.guards.last().expect("a guard");
        assert_eq!((guard.name.as_str(), guard.verdict), ("max_rotations", Standing::Hold));
    }
}
