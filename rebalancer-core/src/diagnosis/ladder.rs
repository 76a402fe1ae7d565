//! The ladder: the tests of whether a rotation can help, in the order they are asked.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use libm::sqrt;

use crate::diagnosis::illness::{self, IllPod, Illness};
use crate::diagnosis::replacement::{self, cv, share_distance};
use crate::diagnosis::{Cause, Step};
use crate::facts::{A_DAY, AssignorChoice, CURES_A_DAY, Fact, Facts, ROTATIONS_A_DAY, replaced};
use crate::guard::{Standing, Trigger};
use crate::input::metric::Metric;
use crate::input::partitions::Partitions;
use crate::measure::analysis::Analysis;
use crate::measure::spread::{Spread, median};

/// The lower bound of the busiest load over that load from which no deal gains enough.
const HOT_BOUND: f64 = 0.8;

/// Half the sum of differences between sorted load shares below which a replacement changed nothing.
const UNCHANGED: f64 = 0.03;

/// What replacements must have brought the spread down to, as a share of itself.
const FALLEN: f64 = 0.9;

/// A spread above this many times what it was before replacements is another one: they tell nothing
/// about it. Far above what noise does to the mean of an hour.
const GROWN: f64 = 1.5;

/// Message rates whose spread is less than this share of the threshold are even: the cause lies
/// elsewhere, and they do not show what a replacement changed.
const EVEN: f64 = 0.5;

/// Share of the whole unevenness that dealing the partitions of the two pods anew must remove.
const UNION_GAIN: f64 = 0.05;

/// What the ladder is asked about.
pub(super) struct Ladder<'a> {
    pub analysis: &'a Analysis<'a>,
    pub facts: &'a Facts<'a>,
    pub trigger: &'a Trigger,
    /// Positions of the pods to be rotated.
    pub rotated: Vec<usize>,
    /// The pods that are themselves the cause, the worst first.
    pub ill: Vec<IllPod>,
    /// The largest CPU per message over the median of the others; `None` where it is not known.
    pub worst_ratio: Option<f64>,
    /// Whether a history is asked for: without the guard that judges by it, its absence is chosen.
    pub by_history: bool,
    /// A model of the group predicts a gain for these very pods.
    pub planned: bool,
}

/// A step with the cause it names when it holds.
pub(super) type Answer = (Step, Option<Cause>);

impl Ladder<'_> {
    /// All steps that apply. Where the rotation replaces a pod that is itself the cause, how the
    /// partitions are dealt does not matter.
    pub fn climb(&self) -> Vec<Answer> {
        if self.cures() {
            return alloc::vec![self.data(), self.lastingly_ill(), self.rotation_budget()];
        }
        let mut answers = alloc::vec![
            self.data(),
            self.lastingly_ill(),
            self.too_few_partitions(),
            self.structure(),
            self.static_identity(),
            self.rank_invariant(),
            self.hot_partition(),
            self.last_replacement(),
            self.rotation_budget(),
        ];
        if !self.planned {
            answers.push(self.union_gain());
        }
        answers
    }

    /// Whether the rotation replaces a pod that is itself the cause.
    fn cures(&self) -> bool {
        self.cured().is_some()
    }

    /// The worst pod that is itself the cause among those to rotate.
    fn cured(&self) -> Option<&IllPod> {
        self.ill.iter().find(|ill| self.rotated.contains(&ill.position))
    }

    fn data(&self) -> Answer {
        let contested = self.facts.partitions.known().map_or(0, |partitions| partitions.contested().len());
        if self.facts.rolling_out {
            return hold("data", None, None, "a rollout is in progress".into(), None);
        }
        if contested > 0 {
            let reason = format!("{contested} partitions have two owners: the group has not settled");
            return hold("data", Some(contested as f64), Some(0.0), reason, None);
        }
        if self.facts.partitions.is_failed() {
            return lacks("data", "the owner of each partition", &self.facts.partitions);
        }
        pass("data", None, None, "no rollout, and no partition with two owners".into())
    }

    /// The same where the history that it is judged by could be had: noise of a moment may look like an
    /// illness, and hide one.
    fn lastingly_ill(&self) -> Answer {
        let (step, cause) = self.ill_pod();
        let past = &self.facts.past;
        let failed =
            [("cpu", &past.cpu), ("rate", &past.rate)].into_iter().find(|(_, past)| past.is_failed());
        match failed {
            Some((metric, past)) if self.by_history && step.standing != Standing::Hold => {
                (lacks("sick_pod", &format!("the history of {metric}"), past).0, cause)
            }
            _ => (step, cause),
        }
    }

    fn ill_pod(&self) -> Answer {
        let name = |position: usize| self.analysis.name(position);
        let Some(&ill) = self.cured().or(self.ill.first()) else {
            let Some(ratio) = self.worst_ratio else {
                return unknown(
                    "sick_pod",
                    "CPU and message rate of at least three pods are not there".into(),
                );
            };
            let reason = format!(
                "no pod lastingly spends more than {} times the others on a message",
                illness::SICK_RATIO
            );
            return pass("sick_pod", Some(ratio), Some(illness::SICK_RATIO), reason);
        };
        let (value, limit) = match ill.illness {
            Illness::Sick { ratio } => (ratio, illness::SICK_RATIO),
            Illness::Stalled { share } => (share, illness::STALLED_SHARE),
        };
        let cause = self.ill_cause(ill);
        if self.cures() {
            return (
                step("sick_pod", Standing::Pass, Some(value), Some(limit), cause.to_string()),
                Some(cause),
            );
        }
        let reason = format!(
            "{cause}, but {} is not among the pods to rotate; STRATEGY=replace_outlier replaces it",
            name(ill.position)
        );
        hold("sick_pod", Some(value), Some(limit), reason, Some(cause))
    }

    fn ill_cause(&self, ill: IllPod) -> Cause {
        let pod = self.analysis.name(ill.position).to_string();
        match ill.illness {
            Illness::Sick { ratio } => Cause::SickPod { pod, ratio, limit: illness::SICK_RATIO },
            Illness::Stalled { share } => Cause::StalledPod { pod, share, limit: illness::STALLED_SHARE },
        }
    }

    /// Number of partitions, from their loads or from the counts of the pods.
    fn partition_count(&self) -> Option<usize> {
        let listed = self.facts.partitions.known().map(|partitions| partitions.all().len());
        let assigned = self.facts.assigned_partitions.known();
        listed.or_else(|| Some(assigned?.iter().map(|(_, count)| count).sum()))
    }

    /// The number of partitions of the typical pod.
    fn median_assigned(&self) -> Option<f64> {
        median(self.facts.assigned_partitions.known()?.iter().map(|(_, count)| *count as f64).collect())
    }

    fn consumers(&self) -> usize {
        (self.facts.live.len() + self.facts.unlisted) * self.facts.consumers_per_pod.unwrap_or(1).max(1)
    }

    fn too_few_partitions(&self) -> Answer {
        let name = "partitions_per_consumer";
        let Some(partitions) = self.partition_count() else {
            return lacks(name, "the number of partitions", &self.facts.assigned_partitions);
        };
        let consumers = self.consumers();
        let (value, limit) = (Some(partitions as f64), Some(consumers as f64));
        let reason = format!("{partitions} partitions for {consumers} consumers");
        if partitions > consumers && self.median_assigned().is_none_or(|assigned| assigned > 1.0) {
            if self.facts.assigned_partitions.is_failed() {
                return lacks(name, "the number of partitions of each pod", &self.facts.assigned_partitions);
            }
            return pass(name, value, limit, reason);
        }
        hold(name, value, limit, reason, Some(Cause::TooFewPartitions { partitions, consumers }))
    }

    /// The spread that equal partitions leave when their number does not divide among the pods.
    fn structure(&self) -> Answer {
        let name = "structure";
        let Some(partitions) = self.partition_count() else {
            return lacks(name, "the number of partitions", &self.facts.assigned_partitions);
        };
        let consumers = self.consumers();
        if consumers == 0 {
            return unknown(name, "no pod is alive".into());
        }
        let each = partitions as f64 / consumers as f64;
        let odd = (partitions % consumers) as f64 / consumers as f64;
        let best_cv = if partitions == 0 { 0.0 } else { sqrt(odd * (1.0 - odd)) / each };
        let limit = self.limit();
        let reason = format!("{partitions} equal partitions over {consumers} consumers spread {best_cv:.2}");
        let lags = self.trigger.metrics.contains(&Metric::Lag);
        if limit.is_none_or(|limit| best_cv <= limit) || lags {
            return pass(name, Some(best_cv), limit, reason);
        }
        let cause = Cause::StructuralImbalance { partitions, consumers, best_cv };
        hold(name, Some(best_cv), limit, reason, Some(cause))
    }

    /// The smallest threshold among the metrics that trigger.
    fn limit(&self) -> Option<f64> {
        let limits = self.trigger.metrics.iter().filter_map(|metric| self.analysis.thresholds().of(*metric));
        limits.min_by(f64::total_cmp)
    }

    fn static_identity(&self) -> Answer {
        let name = "static_identity";
        let owned = self.rotated.iter().any(|&position| {
            let pod = self.facts.pod(self.analysis.name(position));
            pod.and_then(|pod| pod.controller.as_ref()).is_some_and(|owner| owner.kind == "StatefulSet")
        });
        let evidence = match self.facts.static_membership {
            Some(true) => "configured",
            None if owned => "StatefulSet",
            Some(false) | None => {
                return pass(name, None, None, "replacements get an identity of their own".into());
            }
        };
        let cause = Cause::StaticMembership { evidence: evidence.to_string() };
        hold(name, None, None, cause.to_string(), Some(cause))
    }

    fn rank_invariant(&self) -> Answer {
        let name = "rank_invariant";
        let Some(assignor) = self.facts.known_assignor() else {
            let exported = &self.facts.exported_assignor;
            if self.facts.assignor == AssignorChoice::Auto && exported.is_failed() {
                return lacks(name, "the assignor", exported);
            }
            return unknown(name, "the assignor is not known; KAFKA_ASSIGNOR tells it".into());
        };
        let consumers = self.facts.consumers_per_pod.unwrap_or(1).max(1);
        if !assignor.is_rank_invariant() {
            return pass(
                name,
                None,
                None,
                format!("the assignor {assignor} deals anew when members come and go"),
            );
        }
        if consumers > 1 {
            let reason = format!("{consumers} consumers in a pod change places when it is replaced");
            return pass(name, Some(consumers as f64), Some(1.0), reason);
        }
        let cause = Cause::RankInvariantAssignor { assignor };
        hold(name, Some(1.0), Some(1.0), cause.to_string(), Some(cause))
    }

    /// Whether the hottest partition, or an even share, is already most of the busiest load.
    fn hot_partition(&self) -> Answer {
        let name = "hot_partition";
        let Some(partitions) = self.facts.partitions.known() else {
            return lacks(name, "the load of each partition", &self.facts.partitions);
        };
        let pods = self.facts.live.len().max(1);
        let total = partitions.total_load();
        let hottest = partitions.hottest();
        let busiest = if partitions.owners_known() {
            partitions.pod_loads(pods).into_iter().fold(0.0, f64::max)
        } else {
            self.analysis.spread(Metric::Rate).map_or(0.0, |spread| spread.max)
        };
        if total == 0.0 || busiest == 0.0 {
            return unknown(name, "no partition carries load, or the busiest load is not known".into());
        }
        let even = total / pods as f64;
        let bound = hottest.load.max(even) / busiest;
        let topic = &partitions.topics()[hottest.topic];
        let reason = format!(
            "the hottest partition, {} of {topic}, carries {:.0} % of the load; no deal brings the busiest pod below {:.0} % of its load",
            hottest.number,
            100.0 * hottest.load / total,
            100.0 * bound.min(1.0)
        );
        if bound < HOT_BOUND {
            return pass(name, Some(bound), Some(HOT_BOUND), reason);
        }
        let cause = if hottest.load >= even { hot(partitions, busiest) } else { Cause::NoGain };
        hold(name, Some(bound), Some(HOT_BOUND), reason, Some(cause))
    }

    /// The experiment the cluster has already made: did the last replacement even out this load?
    fn last_replacement(&self) -> Answer {
        let name = "last_replacement";
        let Some(last) = self.facts.last_replacement.known() else {
            return lacks(name, "the load before the newest pod", &self.facts.last_replacement);
        };
        let metric = last.metric;
        if last.before.len() != last.after.len() {
            let reason = format!("{} pods then, {} now: no comparison", last.before.len(), last.after.len());
            return unknown(name, reason);
        }
        if last.ago > A_DAY {
            return unknown(name, "the newest pod is older than a day".into());
        }
        let lasting = replacement::lasting_spread(self.analysis, self.facts, metric);
        let (Some(distance), Some(now)) = (share_distance(&last.before, &last.after), lasting) else {
            return unknown(name, format!("the {metric} of the pods is 0"));
        };
        let [was, became] = [&last.before, &last.after].map(|loads| cv(loads));
        let is_even = |limit: f64| now.max(became).max(was) < EVEN * limit;
        if !self.trigger.metrics.contains(&metric) && self.limit().is_some_and(is_even) {
            let reason =
                format!("the {metric} of the pods is even, so it does not show what a replacement changed");
            return unknown(name, reason);
        }
        let ago = last.ago.as_secs() / 60;
        let told = format!("the {metric} spread was {was:.2} before the newest pod came {ago} min ago");
        if now > GROWN * was {
            let reason = format!("{told} and is {now:.2} now: it has come up since");
            return pass(name, Some(now / was.max(f64::MIN_POSITIVE)), Some(GROWN), reason);
        }
        if distance < UNCHANGED {
            let reason = format!("{told}, and after it the pods shared the {metric} as before");
            let cause = Some(Cause::RotationIneffective);
            return hold(name, Some(distance), Some(UNCHANGED), reason, cause);
        }
        let noise = replacement::noise_of_fall(last, self.facts);
        let fallen = FALLEN.min(1.0 - noise / was);
        let reason = format!("{told} and {became:.2} after it; a fall to {:.2} would tell", fallen * was);
        let (value, limit) = (Some(became / was), Some(fallen));
        // A plan is held to what it predicts, which may be less.
        if became > fallen * was && !self.planned {
            return hold(name, value, limit, reason, Some(Cause::RotationIneffective));
        }
        pass(name, value, limit, reason)
    }

    /// Whether the rotations of the last day evened out this load.
    fn rotation_budget(&self) -> Answer {
        let name = "rotation_budget";
        let rotations = replaced(self.facts.live, self.facts.rollout_age).len() / 2;
        let most = if self.cures() { CURES_A_DAY } else { ROTATIONS_A_DAY };
        let (value, limit) = (Some(rotations as f64), Some(most as f64));
        let count = match rotations {
            1 => "1 rotation within a day".to_string(),
            _ => format!("{rotations} rotations within a day"),
        };
        if rotations < most {
            return pass(name, value, limit, count);
        }
        let known = self.trigger.metrics.iter().find_map(|&metric| {
            Some((
                metric,
                self.facts.past_spread[metric].known()?.cv,
                replacement::lasting_spread(self.analysis, self.facts, metric)?,
            ))
        });
        let what = "the spread before the rotations of the last day";
        let spreads = || self.trigger.metrics.iter().map(|metric| &self.facts.past_spread[*metric]);
        let failed = spreads().find(|spread| spread.is_failed());
        let Some((metric, was, now)) = known else {
            return lacks(name, what, failed.or_else(|| spreads().next()).unwrap_or(&Fact::Absent));
        };
        let reason =
            format!("{count}; the {metric} spread was {was:.2} before the first and is {now:.2} now");
        if now <= FALLEN * was || now > GROWN * was {
            return failed.map_or_else(|| pass(name, value, limit, reason), |lack| lacks(name, what, lack));
        }
        hold(name, value, limit, reason, Some(Cause::RotationIneffective))
    }

    /// What dealing the partitions of the two pods anew is expected to gain.
    fn union_gain(&self) -> Answer {
        let name = "union_gain";
        let known = self.facts.partitions.known().filter(|partitions| partitions.owners_known());
        let Some(partitions) = known else {
            return lacks(name, "who owns each partition", &self.facts.partitions);
        };
        let place = |position: &usize| {
            let name = self.analysis.name(*position);
            self.facts.live.iter().position(|pod| pod.name == name)
        };
        let places: Vec<usize> = self.rotated.iter().filter_map(place).collect();
        let &[busier, other] = places.as_slice() else {
            return unknown(name, "one pod alone is replaced".into());
        };
        let loads = partitions.pod_loads(self.facts.live.len());
        let Some(share) = union_gain_share(partitions, &loads, busier, other) else {
            return unknown(name, "the partitions are evenly loaded".into());
        };
        let reason = format!(
            "dealing the partitions of the two pods anew is expected to remove {:.0} % of the unevenness",
            100.0 * share
        );
        if share >= UNION_GAIN {
            return pass(name, Some(share), Some(UNION_GAIN), reason);
        }
        hold(name, Some(share), Some(UNION_GAIN), reason, Some(Cause::NoGain))
    }
}

/// An input is not known: nobody exports it, or a server refused or failed to give it.
fn lacks<T>(name: &'static str, what: &str, fact: &Fact<T>) -> Answer {
    let (mut step, cause) = unknown(name, format!("{what} {}", fact.lack()));
    step.failed = fact.is_failed();
    (step, cause)
}

fn hot(partitions: &Partitions, busiest: f64) -> Cause {
    let hottest = partitions.hottest();
    Cause::HotPartition {
        topic: partitions.topics()[hottest.topic].clone(),
        partition: hottest.number,
        share: hottest.load / partitions.total_load(),
        share_of_busiest: (hottest.load / busiest).min(1.0),
    }
}

/// Expected fall of the sum of squares when the partitions of two pods are dealt anew at random,
/// over that sum; `None` when all pods are equally loaded.
///
/// `(La - Lb)^2 / 2 - m / (2 (m - 1)) * sum of (w - mean)^2` over their `m` partitions.
fn union_gain_share(partitions: &Partitions, loads: &[f64], a: usize, b: usize) -> Option<f64> {
    let spread = Spread::of(loads)?;
    let squares = spread.variance * loads.len() as f64;
    if squares == 0.0 {
        return None;
    }
    let of_both = |owner: Option<usize>| owner == Some(a) || owner == Some(b);
    let union: Vec<f64> = partitions
        .all()
        .iter()
        .filter(|partition| of_both(partition.owner))
        .map(|partition| partition.load)
        .collect();
    // With one partition between them there is nothing to deal out differently.
    if union.len() < 2 {
        return Some(0.0);
    }
    let count = union.len() as f64;
    let scatter = Spread::of(&union)?.variance * count;
    let difference = loads[a] - loads[b];
    Some((difference * difference / 2.0 - count / (2.0 * (count - 1.0)) * scatter) / squares)
}

fn step(
    name: &'static str,
    standing: Standing,
    value: Option<f64>,
    limit: Option<f64>,
    reason: String,
) -> Step {
    Step { name, standing, failed: false, value, limit, reason }
}

fn pass(name: &'static str, value: Option<f64>, limit: Option<f64>, reason: String) -> Answer {
    (step(name, Standing::Pass, value, limit, reason), None)
}

fn unknown(name: &'static str, reason: String) -> Answer {
    (step(name, Standing::Unknown, None, None, reason), None)
}

fn hold(
    name: &'static str,
    value: Option<f64>,
    limit: Option<f64>,
    reason: String,
    cause: Option<Cause>,
) -> Answer {
    (step(name, Standing::Hold, value, limit, reason), cause)
}
