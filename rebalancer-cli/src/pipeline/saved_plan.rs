//! A plan in a file: written by `plan`, looked through by a person, and carried out by `run` if everything is
//! as it was.

use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::Context as _;
use jiff::Timestamp;
use rebalancer_core::{MAX_TARGETS, PlannedWorkload, Role, Strategy, Workload, changes_since};
use rebalancer_io::file;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::Failure;
use crate::format::text::plain;
use crate::report::{Outcome, Report};

/// What the file is, and the version of its shape.
const FORMAT: &str = "pod-rebalancer/plan/v1";

/// Oldest plan that is carried out, in seconds: enough to have it looked through. Everything is looked at
/// again, so an older one would nearly always be withheld.
const MAX_AGE_S: i64 = 3_600;

/// How far ahead of this machine's clock a plan may have been made, in seconds.
const MAX_AHEAD_S: i64 = 30;

/// Largest file that is read, in bytes: names and UIDs of a hundred thousand pods.
const MAX_BYTES: u64 = 32 << 20;

/// Most differences that one message tells.
const TOLD: usize = 5;

/// Which pods to evict, and what the workload was like when that was planned. No secret is among it.
#[derive(Debug, Serialize, Deserialize)]
pub struct SavedPlan {
    format: String,
    /// Version of the program that planned.
    tool_version: String,
    /// The moment of the loads, RFC 3339.
    planned_at: String,
    /// Namespace of the pods.
    pub namespace: String,
    /// Label selector of the pods.
    pub selector: String,
    strategy: Strategy,
    outcome: Outcome,
    reason: String,
    /// The pods to evict, in order; none where nothing was planned.
    targets: Vec<SavedTarget>,
    workload: PlannedWorkload,
}

/// A pod to evict.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedTarget {
    pod: String,
    uid: String,
    role: Role,
}

impl SavedPlan {
    /// The plan that a report makes for the pods of `workload`, found in `namespace` by `selector`.
    pub fn of(report: &Report, workload: &Workload, at: Timestamp, namespace: &str, selector: &str) -> Self {
        Self {
            format: FORMAT.to_owned(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            planned_at: at.to_string(),
            namespace: namespace.to_owned(),
            selector: selector.to_owned(),
            strategy: report.strategy,
            outcome: report.outcome,
            reason: report.reason.clone(),
            targets: targets(report, workload),
            workload: PlannedWorkload::of(workload),
        }
    }

    /// Writes it; an existing file is replaced as a whole.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(self).context("cannot write the plan as JSON")? + "\n";
        let written = file::replace(path, |mut file| {
            file.write_all(text.as_bytes())?;
            Ok(file)
        });
        Ok(written.with_context(|| format!("cannot save the plan to {}", path.display()))?)
    }

    /// Reads a plan that may be carried out at `now`.
    ///
    /// # Errors
    /// A file that cannot be read, is no plan of this version, names what cannot be a plan, or is too old.
    pub fn read(path: &Path, now: Timestamp) -> Result<Self, Failure> {
        let refused = |why: String| Failure::usage(plain(&format!("--plan {}: {why}", path.display())));
        let mut bytes: Vec<u8> = Vec::new();
        let read = file::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
        read.map_err(|error| refused(error.to_string()))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(refused(format!("it is larger than {MAX_BYTES} bytes")));
        }
        let no_plan = || refused(format!("it is no plan that `plan --out` of this version saves ({FORMAT})"));
        let read: Value = serde_json::from_slice(&bytes).map_err(|_| no_plan())?;
        if read["format"] != FORMAT {
            return Err(no_plan());
        }
        let plan: Self =
            serde_json::from_value(read).map_err(|error| refused(format!("it is damaged: {error}")))?;
        plan.validate(now).map_err(refused)?;
        Ok(plan)
    }

    fn validate(&self, now: Timestamp) -> Result<(), String> {
        let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        if self.namespace.is_empty() || !self.namespace.chars().all(is_plain) {
            return Err("its namespace is no name of one".to_owned());
        }
        let is_known = |SavedTarget { pod, uid, .. }: &SavedTarget| {
            !uid.is_empty() && self.workload.uids.get(pod) == Some(uid)
        };
        if self.targets.len() > MAX_TARGETS || !self.targets.iter().all(is_known) {
            return Err("it is damaged: a pod to evict is not among those of the workload".to_owned());
        }
        let at: Timestamp =
            self.planned_at.parse().map_err(|_| "it is damaged: planned_at is no time".to_owned())?;
        let age_s = now.duration_since(at).as_secs();
        if age_s < -MAX_AHEAD_S {
            return Err(format!(
                "it was planned at {}, and that is {} s ahead of this clock",
                self.planned_at, -age_s
            ));
        }
        if age_s > MAX_AGE_S {
            return Err(format!(
                "it was planned {} min ago, at {}; plan again: a plan is carried out within {} min",
                age_s / 60,
                self.planned_at,
                MAX_AGE_S / 60
            ));
        }
        Ok(())
    }

    /// The report of this moment where it is the same plan, else one that withholds and says what changed.
    #[must_use]
    pub fn held_against(&self, mut report: Report, workload: &Workload) -> Report {
        let changes = self.changes(&report, workload);
        if changes.is_empty() {
            return report;
        }
        if matches!(report.outcome, Outcome::Planned | Outcome::Balanced) {
            report.outcome = Outcome::Withheld;
        }
        report.targets.clear();
        let (first, others) = changes.split_at(changes.len().min(TOLD));
        let more = if others.is_empty() { String::new() } else { format!("; and {} more", others.len()) };
        report.reason = plain(&format!(
            "{}; nothing was evicted, because the saved plan of {} does not hold any more: {}{more}",
            report.reason,
            self.planned_at,
            first.join("; ")
        ));
        report
    }

    /// What is not as it was planned. The decision has to be the same too: every guard passes, and the same
    /// strategy takes the same pods.
    fn changes(&self, report: &Report, workload: &Workload) -> Vec<String> {
        if self.targets.is_empty() {
            return vec![format!("it evicts nothing, its outcome was {}", self.outcome.into_str())];
        }
        let mut changes: Vec<String> = Vec::new();
        if self.strategy != report.strategy {
            changes.push(format!("it is by STRATEGY={}, this run by {}", self.strategy, report.strategy));
        }
        changes.extend(changes_since(&self.workload, workload).iter().map(ToString::to_string));
        if report.outcome != Outcome::Planned {
            changes.push(format!("the decision is {} now", report.outcome.into_str()));
        } else if targets(report, workload) != self.targets {
            let [planned, now] = [&self.targets, &targets(report, workload)].map(|targets| {
                let named = targets.iter().map(|SavedTarget { pod, role, .. }| format!("{pod} ({role})"));
                named.collect::<Vec<String>>().join(" and ")
            });
            changes.push(format!("it is to evict {planned}, and now that would be {now}"));
        }
        changes
    }
}

/// The targets of a report with their UIDs; one without a UID cannot be evicted and is left out.
fn targets(report: &Report, workload: &Workload) -> Vec<SavedTarget> {
    let saved = report.targets.iter().filter_map(|target| {
        let pod = workload.living().find(|pod| pod.name == target.pod && !pod.uid.is_empty())?;
        Some(SavedTarget { pod: pod.name.clone(), uid: pod.uid.clone(), role: target.role })
    });
    saved.collect()
}
