//! The report of what became of a workload when its pods changed: did it help?

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rebalancer_core::{Metric, PerMetric, SpreadChange, Trend};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use crate::format::metric::shown;
use crate::format::number::ratio;
use crate::format::text::{count, spaced};
use crate::report::WorkloadReport;
use crate::report::version::API_VERSION;

/// The changes of a workload's pods.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct HistoryReport {
    /// Version of the report's shape.
    #[schemars(extend("const" = API_VERSION))]
    pub api_version: String,
    /// `HistoryReport`.
    #[schemars(extend("const" = "HistoryReport"))]
    pub kind: String,
    /// Start of the past that was looked at, RFC 3339.
    pub from: String,
    /// End of it, RFC 3339.
    pub to: String,
    /// Which pods.
    pub workload: WorkloadReport,
    /// The first moment at which the metrics server remembers a pod of the workload; null for none.
    pub remembered_from: Option<String>,
    /// Time of the oldest Event of the namespace; null for none, or if they cannot be read.
    pub events_from: Option<String>,
    /// When the workload was created, if that is within this time.
    pub created: Option<String>,
    /// Pods that came within this time when the metrics server remembers no pod yet: what they replaced is
    /// not known.
    pub forgotten: usize,
    /// Time between two moments at which pods were looked for.
    pub step_seconds: f64,
    /// What changed, by time.
    pub replacements: Vec<ReplacementReport>,
    /// Earlier changes within this time that are left out, because there are too many.
    pub left_out: usize,
    /// What could not be had, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_had: Vec<String>,
    /// Requests sent, by server: `prometheus`, `kubernetes`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, u64>,
}

/// What one change of the pods came to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ReplacementReport {
    /// When it began, RFC 3339.
    pub began: String,
    /// When it ended, RFC 3339.
    pub ended: String,
    /// How much earlier both may have been; 0 if the times are known.
    pub slack_seconds: f64,
    /// The pods that ended.
    pub gone: Vec<String>,
    /// The pods that were created.
    pub came: Vec<String>,
    /// The pods whose containers were started again.
    pub restarted: Vec<String>,
    /// Who did it.
    pub by: By,
    /// What tells who did it, or why nothing does.
    pub by_evidence: String,
    /// Whether this program replaced an ill pod.
    pub cure: bool,
    /// Whether it helped.
    pub helped: Helped,
    /// The same in one sentence, with its numbers.
    pub sentence: String,
    /// What became of each spread; null where it is not known.
    pub spreads: PerMetric<Option<SpreadReport>>,
    /// The stretches that were compared; null where none were.
    pub compared: Option<ComparedReport>,
}

/// Who changed the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum By {
    /// This program.
    ThisProgram,
    /// A new version of the pod template.
    Rollout,
    /// `kubectl rollout restart`.
    RolloutRestart,
    /// A node, or what manages nodes.
    Node,
    /// Another program that evicts pods.
    Eviction,
    /// The number of replicas changed.
    Resize,
    /// Nothing tells it.
    Unknown,
}

/// Whether a change made the load more even, the best first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Helped {
    /// A spread fell, and none rose.
    Yes,
    /// One fell and the other rose.
    Mixed,
    /// The load stayed as uneven as it was.
    No,
    /// A spread rose, and none fell.
    Worse,
    /// The load was even before and is even after.
    WasEven,
    /// The loads of one side are not known.
    Unknown,
}

impl Helped {
    /// What became of the load, by what became of its spreads.
    fn of(trends: &[Trend]) -> Self {
        let has = |trend: Trend| trends.contains(&trend);
        match (has(Trend::Fell), has(Trend::Rose)) {
            (true, true) => Self::Mixed,
            (true, false) => Self::Yes,
            (false, true) => Self::Worse,
            (false, false) if has(Trend::Stayed) => Self::No,
            (false, false) if has(Trend::Even) => Self::WasEven,
            (false, false) => Self::Unknown,
        }
    }

    /// The beginning of its sentence, and what several of them did.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Yes => ("It helped", "helped"),
            Self::Mixed => ("It helped one spread and harmed the other", "helped in part"),
            Self::No => ("It did not help", "did not help"),
            Self::Worse => ("It made the load less even", "made it worse"),
            Self::WasEven => ("There was nothing to help", "met an even load"),
            Self::Unknown => ("Whether it helped is not known", "not known"),
        }
    }
}

/// The spread of one metric before and after.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SpreadReport {
    /// Coefficient of variation of the mean loads before, with the floor of the trigger.
    pub before: f64,
    /// The same after.
    pub after: f64,
    /// The largest difference that noise can explain.
    pub noise: f64,
    /// How much of the load other ranks carry than before, 0 to 1; null if the number of pods changed.
    pub moved: Option<f64>,
    /// Pods before.
    pub pods_before: usize,
    /// Pods after.
    pub pods_after: usize,
    /// `fell`, `rose`, `stayed`, or `even` if it is below half of the threshold on both sides.
    pub trend: Trend,
}

/// The stretches of time that were compared.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ComparedReport {
    /// Start of the one before, RFC 3339.
    pub before: String,
    /// Start of the one after, RFC 3339.
    pub after: String,
    /// Length of each.
    pub seconds: f64,
}

/// The spreads around a change, or why they are not known.
pub type Found = Result<PerMetric<Option<SpreadChange>>, String>;

/// What a change came to by the spreads around it, where `threshold` is that of a metric: whether it helped, the same in one
/// sentence, and what became of each spread.
pub fn judged(
    found: &Found,
    threshold: impl Fn(Metric) -> Option<f64>,
) -> (Helped, String, PerMetric<Option<SpreadReport>>) {
    let nothing = PerMetric::default();
    let known = found.as_ref().unwrap_or(&nothing);
    let trends: Vec<(Metric, &SpreadChange, Trend)> = known
        .iter()
        .filter_map(|(metric, change)| Some((metric, change.as_ref()?, threshold(metric)?)))
        .map(|(metric, change, threshold)| (metric, change, change.trend(threshold)))
        .collect();
    let of_spreads: Vec<Trend> = trends.iter().map(|(_, _, trend)| *trend).collect();
    let helped = Helped::of(&of_spreads);
    let why = match found {
        Err(why) => why.clone(),
        Ok(_) if trends.is_empty() => "the loads of its pods are not known on both sides".to_owned(),
        Ok(_) => told(&trends),
    };
    let mut spreads = PerMetric::default();
    for (metric, change, trend) in trends {
        let SpreadChange { pods: [pods_before, pods_after], before, after, noise, moved } = *change;
        spreads[metric] = Some(SpreadReport { before, after, noise, moved, pods_before, pods_after, trend });
    }
    (helped, format!("{}: {why}.", helped.words().0), spreads)
}

/// What became of the spreads, in words.
fn told(trends: &[(Metric, &SpreadChange, Trend)]) -> String {
    let words = trends.iter().map(|(metric, change, trend)| {
        let name = shown(*metric).spread;
        let (before, after) = (ratio(change.before), ratio(change.after));
        match trend {
            Trend::Fell => format!("{name} fell from {before} to {after}"),
            Trend::Rose => format!("{name} rose from {before} to {after}"),
            Trend::Stayed => format!("{name} was {before} before and {after} after"),
            Trend::Even => format!("{name} was low before and after ({before}, {after})"),
        }
    });
    let words: Vec<String> = words.collect();
    let mut words = words.join(", ");
    let stayed = |trend: Trend| !matches!(trend, Trend::Fell | Trend::Rose);
    let is_same = trends.iter().all(|(_, change, trend)| stayed(*trend) && change.is_same_shares());
    if is_same && trends.iter().any(|(_, _, trend)| *trend == Trend::Stayed) {
        words.push_str("; the pods share the load as before");
    }
    let pods = trends.first().map(|(_, change, _)| change.pods);
    if let Some([before, after]) = pods.filter(|[before, after]| before != after) {
        // Writing to a string cannot fail.
        let _ = write!(words, "; there were {before} pods before and {after} after");
    }
    words
}

impl ReplacementReport {
    /// Whether pods were replaced: others came for those that went, or containers were started again.
    pub fn is_replacement(&self) -> bool {
        (!self.gone.is_empty() && !self.came.is_empty()) || !self.restarted.is_empty()
    }

    /// Who did it and what tells it, or why nothing does.
    pub fn who(&self) -> String {
        match self.by {
            By::Unknown => format!("Who did it is not known: {}.", self.by_evidence),
            by => format!("By {}: {}.", spaced(by.into_str()), self.by_evidence),
        }
    }

    /// What happened to the pods, in a few words.
    pub fn pods_words(&self) -> String {
        let (gone, came) = (self.gone.len(), self.came.len());
        let replaced = gone.min(came);
        let parts = [
            (replaced, "replaced"),
            (came - replaced, "more"),
            (gone - replaced, "fewer"),
            (self.restarted.len(), "restarted"),
        ];
        let told = parts.into_iter().filter(|(pods, _)| *pods > 0);
        told.map(|(pods, word)| format!("{pods} {word}")).collect::<Vec<String>>().join(", ")
    }
}

impl HistoryReport {
    /// All in one sentence.
    pub fn sentence(&self) -> String {
        let (replaced, others): (Vec<_>, Vec<_>) =
            self.replacements.iter().partition(|replacement| replacement.is_replacement());
        let counts = Helped::VARIANTS
            .iter()
            .map(|helped| {
                (helped, replaced.iter().filter(|replacement| replacement.helped == *helped).count())
            })
            .filter(|(_, number)| *number > 0)
            .map(|(helped, number)| format!("{number} {}", helped.words().1));
        let counts: Vec<String> = counts.collect();
        let replaced = match replaced.len() {
            0 => "No pod was replaced in this time".to_owned(),
            number => format!("{}: {}", count(number, "replacement", "replacements"), counts.join(", ")),
        };
        match others.len() {
            0 => format!("{replaced}."),
            number => format!("{replaced}; and {}.", count(number, "change of size", "changes of size")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(before: f64, after: f64) -> SpreadChange {
        SpreadChange { pods: [4, 4], before, after, noise: 0.02, moved: Some((before - after).abs()) }
    }

    fn judged(cpu: Option<(f64, f64)>, lag: Option<(f64, f64)>) -> (Helped, String) {
        let mut found = PerMetric::default();
        (found[Metric::Cpu], found[Metric::Lag]) =
            (cpu.map(|(a, b)| change(a, b)), lag.map(|(a, b)| change(a, b)));
        let threshold = |metric| Metric::TRIGGERS.contains(&metric).then_some(0.3);
        let (helped, sentence, _) = super::judged(&Ok(found), threshold);
        (helped, sentence)
    }

    #[test]
    fn a_replacement_is_answered_in_one_sentence() {
        let (helped, sentence) = judged(Some((0.52, 0.08)), Some((0.1, 0.05)));
        assert_eq!(helped, Helped::Yes);
        assert_eq!(
            sentence,
            "It helped: the CPU spread fell from 0.52 to 0.08, the lag spread was low before and after (0.10, 0.05)."
        );
        let (helped, sentence) = judged(Some((0.52, 0.51)), None);
        assert_eq!(helped, Helped::No);
        assert_eq!(
            sentence,
            "It did not help: the CPU spread was 0.52 before and 0.51 after; the pods share the load as before."
        );
        assert_eq!(judged(Some((0.2, 0.5)), Some((0.1, 0.1))).0, Helped::Worse);
        assert_eq!(judged(Some((0.5, 0.2)), Some((0.2, 0.9))).0, Helped::Mixed);
        assert_eq!(judged(Some((0.05, 0.01)), None).0, Helped::WasEven);
        let (helped, sentence) = judged(None, None);
        assert_eq!(helped, Helped::Unknown);
        assert!(sentence.starts_with("Whether it helped is not known: the loads"), "{sentence}");
        let (_, sentence, _) = super::judged(&Err("too soon".to_owned()), |_| Some(0.3));
        assert_eq!(sentence, "Whether it helped is not known: too soon.");
    }
}
