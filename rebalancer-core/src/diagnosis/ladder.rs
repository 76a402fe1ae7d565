//! The ladder: the ordered tests of whether a rotation can help.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use libm::sqrt;

use crate::change::{EVEN, FALLEN, UNCHANGED, noise, relative_variance, share_distance};
use crate::diagnosis::cause::Cause;
use crate::diagnosis::illness::{IllPod, IllPods, SICK_RATIO, StandingPartition, poison};
use crate::facts::{A_DAY, AssignorChoice, CURES_A_DAY, Fact, Facts, ROTATIONS_A_DAY, Replacement, replaced};
use crate::guard::verdict::{Check, Standing, Verdict};
use crate::input::history::{History, STRETCHES};
use crate::input::live_pod::LiveIndex;
use crate::input::metric::Metric;
use crate::input::partitions::Partitions;
use crate::input::pod::Load;
use crate::measure::analysis::Analysis;
use crate::measure::spread::{Spread, cv, median};
use crate::trigger::Trigger;

/// If the busiest load cannot fall below this share of itself, no assignment gains enough.
const HOT_BOUND: f64 = 0.8;

/// If the spread is now this many times larger than before the replacements, it has another cause and they
/// are no evidence about it. Noise does not change the mean of an hour that much.
const GROWN: f64 = 1.5;

/// Reassigning the partitions of the two pods must remove at least this share of the whole unevenness.
const UNION_GAIN: f64 = 0.05;

/// The inputs of the ladder.
pub(super) struct Ladder<'a> {
    pub analysis: &'a Analysis<'a>,
    pub facts: &'a Facts<'a>,
    pub trigger: &'a Trigger,
    /// Positions of the pods to be rotated.
    pub rotated: Vec<usize>,
    /// The pods that are themselves the cause.
    pub ill: &'a IllPods,
    /// Whether the guard that judges by history is on; if it is off, missing history was the user's choice.
    pub by_history: bool,
    /// Whether a model of the group predicts a gain for exactly these pods.
    pub planned: bool,
}

/// The verdict of a test, and the cause it found.
pub(super) type Answer = (Verdict, Option<Cause>);

impl Ladder<'_> {
    /// The answers of all tests that apply. If the rotation replaces an ill pod, the tests about the
    /// assignment of partitions do not apply.
    pub fn climb(&self) -> Vec<Answer> {
        if let Some(ill) = self.cured() {
            let mut answers = alloc::vec![self.data(), self.lastingly_ill()];
            // An illness proven by offsets does not need the spread to have fallen.
            if !ill.cause.is_proven() {
                answers.push(self.rotation_budget());
            }
            return answers;
        }
        let mut answers = alloc::vec![
            self.data(),
            self.lastingly_ill(),
            self.standing_partitions(),
            self.poison_record(),
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

    /// Whether the rotation replaces an ill pod.
    fn cures(&self) -> bool {
        self.cured().is_some()
    }

    /// The worst ill pod among those to rotate.
    fn cured(&self) -> Option<&IllPod> {
        self.ill.pods.iter().find(|ill| self.rotated.contains(&ill.position))
    }

    fn data(&self) -> Answer {
        let contested = self.facts.partitions.known().map_or(0, |partitions| partitions.contested().len());
        if self.facts.rolling_out {
            return hold(Check::Data, None, None, "a rollout is in progress", None);
        }
        if contested > 0 {
            let have = if contested == 1 { "partition has" } else { "partitions have" };
            let reason = format!("{contested} {have} two owners: the group has not settled");
            return hold(Check::Data, Some(contested as f64), Some(0.0), reason, None);
        }
        if self.facts.offsets.known().is_some_and(|offsets| offsets.is_in_rebalance) {
            return hold(Check::Data, None, None, "the group is in a rebalance", None);
        }
        if self.facts.partitions.is_failed() {
            return lacks(Check::Data, "the owner of each partition", &self.facts.partitions);
        }
        pass(Check::Data, None, None, "no rollout, and no partition with two owners")
    }

    /// Like [`Ladder::ill_pod`], but unknown if a server failed to give the history: momentary noise can look
    /// like an illness or hide one.
    fn lastingly_ill(&self) -> Answer {
        let (step, cause) = self.ill_pod();
        let past = &self.facts.past;
        let failed =
            [("cpu", &past.cpu), ("rate", &past.rate)].into_iter().find(|(_, past)| past.is_failed());
        match failed {
            Some((metric, past)) if self.by_history && step.standing != Standing::Hold => {
                (lacks(Check::SickPod, &format!("the history of {metric}"), past).0, cause)
            }
            _ => (step, cause),
        }
    }

    fn ill_pod(&self) -> Answer {
        let found = self.cured().or_else(|| self.ill.pods.iter().find(|ill| self.explains(ill)));
        let Some(ill) = found else {
            let Some(ratio) = self.ill.worst_ratio else {
                return unknown(Check::SickPod, "CPU and message rate of at least three pods are not there");
            };
            let reason =
                format!("no pod lastingly spends more than {SICK_RATIO} times the others on a message");
            return pass(Check::SickPod, Some(ratio), Some(SICK_RATIO), reason);
        };
        let cause = ill.cause.clone();
        let (value, limit) = match &cause {
            Cause::SickPod { ratio, limit, .. } => (Some(*ratio), Some(*limit)),
            Cause::StalledPod { share, limit, .. } => (*share, Some(*limit)),
            other => (other.standing().map(|standing| standing.since.as_secs_f64()), None),
        };
        if self.cures() {
            let (step, _) = pass(Check::SickPod, value, limit, cause.to_string());
            return (step, Some(cause));
        }
        let reason = format!(
            "{cause}, but {} is not among the pods to rotate; STRATEGY=by_cause replaces it",
            self.analysis.name(ill.position)
        );
        hold(Check::SickPod, value, limit, reason, Some(cause))
    }

    /// Whether an ill pod explains why a rotation is asked for. A standing partition explains only lag.
    fn explains(&self, ill: &IllPod) -> bool {
        let is_stuck = matches!(ill.cause, Cause::StuckPartition { .. });
        !is_stuck || self.explains_lag(self.analysis.name(ill.position))
    }

    /// Whether this pod is to be rotated, or only lag asks for a rotation and this pod has the most.
    fn explains_lag(&self, name: &str) -> bool {
        self.rotated.iter().any(|position| self.analysis.name(*position) == name) || self.has_most_lag(name)
    }

    /// Whether only lag asks for a rotation and this pod has the most.
    fn has_most_lag(&self, name: &str) -> bool {
        let lag = |position: usize| self.analysis.load(position, Metric::Lag).map_or(0.0, Load::value);
        let candidates = self.analysis.candidates().iter().copied();
        let most = candidates.max_by(|a, b| lag(*a).total_cmp(&lag(*b)));
        self.trigger.metrics == [Metric::Lag] && most.is_some_and(|most| self.analysis.name(most) == name)
    }

    /// Whether the reason of every standing partition is known. If one stands for another reason than its pod, or for an
    /// unknown one, no rotation helps against the lag that it makes.
    fn standing_partitions(&self) -> Answer {
        let check = Check::StandingPartitions;
        if self.facts.offsets.known().is_none() {
            return lacks(check, "the past of the offsets", &self.facts.offsets);
        }
        let makes_lag =
            |standing: &StandingPartition| standing.pod.as_deref().is_some_and(|pod| self.has_most_lag(pod));
        let unclear = &self.ill.unclear;
        let lags = unclear.iter().find(|(standing, _)| makes_lag(standing));
        let Some((standing, why)) = lags.or(unclear.first()) else {
            return pass(check, Some(0.0), Some(0.0), "no partition stands for a reason that is not known");
        };
        let reason = format!("{}; not called stuck: {why}", standing.stands);
        if lags.is_some() { hold(check, None, None, reason, None) } else { unknown(check, reason) }
    }

    /// Whether a poison record, which no consumer gets past, is why a rotation is asked for.
    fn poison_record(&self) -> Answer {
        let check = Check::PoisonRecord;
        if self.facts.offsets.known().is_none() {
            return lacks(check, "the past of the offsets", &self.facts.offsets);
        }
        let explains = |pod: &Option<String>| pod.as_deref().is_none_or(|pod| self.explains_lag(pod));
        match self.ill.poisoned.iter().find(|(standing, _)| explains(&standing.pod)) {
            Some((standing, witness)) => {
                let cause = poison(standing, witness);
                hold(check, standing.stands.since.as_secs_f64(), None, cause.to_string(), Some(cause))
            }
            None => pass(check, None, None, "no partition stands where an earlier reader stood"),
        }
    }

    /// Number of partitions and of consumers: of all pods if each partition is known, else of the pods whose number of
    /// partitions is known.
    fn partitions_and_consumers(&self) -> Option<(usize, usize)> {
        let (partitions, pods) = if let Some(partitions) = self.facts.partitions.known() {
            (partitions.all().len(), self.facts.live.len() + self.facts.unlisted)
        } else {
            let assigned = self.facts.assigned_partitions.known()?;
            (assigned.iter().map(|(_, count)| count).sum(), assigned.len())
        };
        Some((partitions, pods * self.facts.consumers_per_pod.unwrap_or(1).max(1)))
    }

    /// The median number of partitions per pod.
    fn median_assigned(&self) -> Option<f64> {
        median(self.facts.assigned_partitions.known()?.iter().map(|(_, count)| *count as f64).collect())
    }

    fn too_few_partitions(&self) -> Answer {
        let check = Check::PartitionsPerConsumer;
        let Some((partitions, consumers)) = self.partitions_and_consumers() else {
            return lacks(check, "the number of partitions", &self.facts.assigned_partitions);
        };
        let (value, limit) = (Some(partitions as f64), Some(consumers as f64));
        let reason = format!("{partitions} partitions for {consumers} consumers");
        if partitions > consumers && self.median_assigned().is_none_or(|assigned| assigned > 1.0) {
            if self.facts.assigned_partitions.is_failed() {
                return lacks(check, "the number of partitions of each pod", &self.facts.assigned_partitions);
            }
            return pass(check, value, limit, reason);
        }
        hold(check, value, limit, reason, Some(Cause::TooFewPartitions { partitions, consumers }))
    }

    /// The spread that remains with equal partitions if their number does not divide among the pods.
    fn structure(&self) -> Answer {
        let check = Check::Structure;
        let Some((partitions, consumers)) = self.partitions_and_consumers() else {
            return lacks(check, "the number of partitions", &self.facts.assigned_partitions);
        };
        if consumers == 0 {
            return unknown(check, "no pod is alive");
        }
        let each = partitions as f64 / consumers as f64;
        let odd = (partitions % consumers) as f64 / consumers as f64;
        let best_cv = if partitions == 0 { 0.0 } else { sqrt(odd * (1.0 - odd)) / each };
        let limit = self.limit();
        let reason = format!("{partitions} equal partitions over {consumers} consumers spread {best_cv:.2}");
        let lags = self.trigger.metrics.contains(&Metric::Lag);
        if limit.is_none_or(|limit| best_cv <= limit) || lags {
            return pass(check, Some(best_cv), limit, reason);
        }
        let cause = Cause::StructuralImbalance { partitions, consumers, best_cv };
        hold(check, Some(best_cv), limit, reason, Some(cause))
    }

    /// The smallest threshold among the triggering metrics.
    fn limit(&self) -> Option<f64> {
        let limits = self.trigger.metrics.iter().filter_map(|metric| self.analysis.thresholds().of(*metric));
        limits.min_by(f64::total_cmp)
    }

    fn static_identity(&self) -> Answer {
        let check = Check::StaticIdentity;
        let rotated = self.rotated.iter().filter_map(|&position| {
            let live = self.facts.live_index(self.analysis.name(position))?;
            self.facts.static_evidence(&self.facts.live[live.0])
        });
        let configured = self.facts.static_membership.unwrap_or(false).then_some("configured");
        let Some(evidence) = configured.or(rotated.max()) else {
            return pass(check, None, None, "replacements get an identity of their own");
        };
        let cause = Cause::StaticMembership { evidence: evidence.to_string() };
        hold(check, None, None, cause.to_string(), Some(cause))
    }

    fn rank_invariant(&self) -> Answer {
        let check = Check::RankInvariant;
        let Some(assignor) = self.facts.known_assignor() else {
            let exported = &self.facts.exported_assignor;
            if self.facts.assignor == AssignorChoice::Auto && exported.is_failed() {
                return lacks(check, "the assignor", exported);
            }
            return unknown(check, "the assignor is not known; KAFKA_ASSIGNOR tells it");
        };
        let consumers = self.facts.consumers_per_pod.unwrap_or(1).max(1);
        if !assignor.is_rank_invariant() {
            return pass(
                check,
                None,
                None,
                format!("the assignor {assignor} deals anew when members come and go"),
            );
        }
        if consumers > 1 {
            let reason = format!("{consumers} consumers in a pod change places when it is replaced");
            return pass(check, Some(consumers as f64), Some(1.0), reason);
        }
        if let Some(unmodelled) = self.facts.group().and_then(|group| group.unmodelled()) {
            return unknown(check, unmodelled.to_string());
        }
        let cause = Cause::RankInvariantAssignor { assignor, recognised: self.facts.assignor_is_a_guess() };
        hold(check, Some(1.0), Some(1.0), cause.to_string(), Some(cause))
    }

    /// Whether the hottest partition, or an even share, already makes up most of the busiest load.
    fn hot_partition(&self) -> Answer {
        let check = Check::HotPartition;
        if let Some(behind) = self.ill.behind.iter().find(|behind| self.explains_lag(&behind.pod)) {
            let cause = behind.cause.clone();
            return hold(check, behind.read_share, 1.0, cause.to_string(), Some(cause));
        }
        let Some(partitions) = self.facts.partitions.known() else {
            return lacks(check, "the load of each partition", &self.facts.partitions);
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
            return unknown(check, "no partition carries load, or the busiest load is not known");
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
            return pass(check, Some(bound), Some(HOT_BOUND), reason);
        }
        let cause = if hottest.load >= even { hot(partitions, busiest) } else { Cause::NoGain };
        hold(check, Some(bound), Some(HOT_BOUND), reason, Some(cause))
    }

    /// Did the last replacement even out the load? It is an experiment the cluster has already made.
    fn last_replacement(&self) -> Answer {
        let check = Check::LastReplacement;
        let Some(last) = self.facts.last_replacement.known() else {
            return lacks(check, "the load before the newest pod", &self.facts.last_replacement);
        };
        let metric = last.metric;
        if last.before.len() != last.after.len() {
            let reason = format!("{} pods then, {} now: no comparison", last.before.len(), last.after.len());
            return unknown(check, reason);
        }
        if last.ago > A_DAY {
            return unknown(check, "the newest pod is older than a day");
        }
        let lasting = lasting_spread(self.analysis, self.facts, metric);
        let (Some(distance), Some(now)) = (share_distance(&last.before, &last.after), lasting) else {
            return unknown(check, format!("the {metric} of the pods is 0"));
        };
        let [was, became] = [&last.before, &last.after].map(|loads| cv(loads));
        let is_even = |limit: f64| now.max(became).max(was) < EVEN * limit;
        if !self.trigger.metrics.contains(&metric) && self.limit().is_some_and(is_even) {
            let reason =
                format!("the {metric} of the pods is even, so it does not show what a replacement changed");
            return unknown(check, reason);
        }
        let ago = last.ago.as_secs() / 60;
        let told = format!("the {metric} spread was {was:.2} before the newest pod came {ago} min ago");
        if now > GROWN * was {
            let reason = format!("{told} and is {now:.2} now: it has come up since");
            return pass(check, Some(now / was.max(f64::MIN_POSITIVE)), Some(GROWN), reason);
        }
        if distance < UNCHANGED {
            let reason = format!("{told}, and after it the pods shared the {metric} as before");
            let cause = Some(Cause::RotationIneffective);
            return hold(check, Some(distance), Some(UNCHANGED), reason, cause);
        }
        let noise = noise_of_fall(last, self.facts);
        let fallen = FALLEN.min(1.0 - noise / was);
        let reason = format!("{told} and {became:.2} after it; a fall to {:.2} would tell", fallen * was);
        let (value, limit) = (Some(became / was), Some(fallen));
        // A plan is judged by its own prediction, which may be less.
        if became > fallen * was && !self.planned {
            return hold(check, value, limit, reason, Some(Cause::RotationIneffective));
        }
        pass(check, value, limit, reason)
    }

    /// Whether the rotations of the last day evened out the load.
    fn rotation_budget(&self) -> Answer {
        let check = Check::RotationBudget;
        let rotations = replaced(self.facts.live, self.facts.rollout_age).len() / 2;
        let most = if self.cures() { CURES_A_DAY } else { ROTATIONS_A_DAY };
        let (value, limit) = (Some(rotations as f64), Some(most as f64));
        let count = match rotations {
            1 => "1 rotation within a day".to_string(),
            _ => format!("{rotations} rotations within a day"),
        };
        if rotations < most {
            return pass(check, value, limit, count);
        }
        let known = self.trigger.metrics.iter().find_map(|&metric| {
            Some((
                metric,
                self.facts.past_spread[metric].known()?.cv,
                lasting_spread(self.analysis, self.facts, metric)?,
            ))
        });
        let what = "the spread before the rotations of the last day";
        let spreads = || self.trigger.metrics.iter().map(|metric| &self.facts.past_spread[*metric]);
        let failed = spreads().find(|spread| spread.is_failed());
        let Some((metric, was, now)) = known else {
            return lacks(check, what, failed.or_else(|| spreads().next()).unwrap_or(&Fact::Absent));
        };
        let reason =
            format!("{count}; the {metric} spread was {was:.2} before the first and is {now:.2} now");
        if now <= FALLEN * was || now > GROWN * was {
            return failed.map_or_else(|| pass(check, value, limit, reason), |lack| lacks(check, what, lack));
        }
        hold(check, value, limit, reason, Some(Cause::RotationIneffective))
    }

    /// The gain expected from reassigning the partitions of the two pods.
    fn union_gain(&self) -> Answer {
        let check = Check::UnionGain;
        let known = self.facts.partitions.known().filter(|partitions| partitions.owners_known());
        let Some(partitions) = known else {
            return lacks(check, "who owns each partition", &self.facts.partitions);
        };
        let rotated =
            self.rotated.iter().filter_map(|position| self.facts.live_index(self.analysis.name(*position)));
        let &[busier, other] = rotated.collect::<Vec<LiveIndex>>().as_slice() else {
            return unknown(check, "one pod alone is replaced");
        };
        let loads = partitions.pod_loads(self.facts.live.len());
        let Some(share) = union_gain_share(partitions, &loads, busier, other) else {
            return unknown(check, "the partitions are evenly loaded");
        };
        let reason = format!(
            "dealing the partitions of the two pods anew is expected to remove {:.0} % of the unevenness",
            100.0 * share
        );
        if share >= UNION_GAIN {
            return pass(check, Some(share), Some(UNION_GAIN), reason);
        }
        hold(check, Some(share), Some(UNION_GAIN), reason, Some(Cause::NoGain))
    }
}

/// Spread of the candidates' mean loads over the history window, or over its later half if that is larger (a
/// rotation within the window mixes two assignments). Without history, the current spread.
fn lasting_spread(analysis: &Analysis<'_>, facts: &Facts<'_>, metric: Metric) -> Option<f64> {
    let over = |mean: &dyn Fn(&str) -> Option<f64>| {
        let names = analysis.candidates().iter().copied().map(|position| analysis.name(position));
        let loads: Vec<f64> = names.filter_map(mean).collect();
        Spread::of(&loads).map(|spread| spread.cv)
    };
    match facts.past[metric].known() {
        Some(history) => {
            let whole = over(&|name| history.mean(name, 0..STRETCHES))?;
            let half = over(&|name| history.mean(name, STRETCHES / 2..STRETCHES));
            Some(half.map_or(whole, |half| half.max(whole)))
        }
        None => analysis.spread(metric).map(|spread| spread.cv),
    }
}

/// The largest difference between the spreads before and after a replacement that noise can explain; 0 if the
/// history does not show the noise.
fn noise_of_fall(last: &Replacement, facts: &Facts<'_>) -> f64 {
    let Some(history) = facts.past[last.metric].known() else { return 0.0 };
    let Some(relative) = relative_error(history, last) else { return 0.0 };
    noise([(last.before.as_slice(), relative), (last.after.as_slice(), relative)])
}

/// Standard error of a typical pod's mean load over one side of the experiment, relative to that mean,
/// estimated from the means of shorter stretches.
fn relative_error(history: &History, last: &Replacement) -> Option<f64> {
    let typical = relative_variance(history)?;
    let stretches = last.length.as_secs_f64() / history.stretch_s();
    (stretches > 0.0).then(|| sqrt(typical / stretches))
}

/// The verdict for an input that nobody exports, or that a server refused or failed to give.
fn lacks<T>(check: Check, what: &str, fact: &Fact<T>) -> Answer {
    let (mut step, cause) = unknown(check, format!("{what} {}", fact.lack()));
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
        behind: None,
    }
}

/// Expected decrease of the sum of squares, as a share of it, when the partitions of two pods are reassigned
/// at random; `None` when all pods have equal loads.
///
/// `(La - Lb)^2 / 2 - m / (2 (m - 1)) * sum of (w - mean)^2` over their `m` partitions.
fn union_gain_share(partitions: &Partitions, loads: &[f64], a: LiveIndex, b: LiveIndex) -> Option<f64> {
    let spread = Spread::of(loads)?;
    let squares = spread.variance * loads.len() as f64;
    if squares == 0.0 {
        return None;
    }
    let of_both = |owner: Option<LiveIndex>| owner == Some(a) || owner == Some(b);
    let union: Vec<f64> = partitions
        .all()
        .iter()
        .filter(|partition| of_both(partition.owner))
        .map(|partition| partition.load)
        .collect();
    // A single partition cannot be assigned differently.
    if union.len() < 2 {
        return Some(0.0);
    }
    let count = union.len() as f64;
    let scatter = Spread::of(&union)?.variance * count;
    let difference = loads[a.0] - loads[b.0];
    Some((difference * difference / 2.0 - count / (2.0 * (count - 1.0)) * scatter) / squares)
}

fn pass(
    check: Check,
    value: impl Into<Option<f64>>,
    limit: impl Into<Option<f64>>,
    reason: impl Into<String>,
) -> Answer {
    (Verdict::new(check, Standing::Pass, reason).with(value, limit), None)
}

fn unknown(check: Check, reason: impl Into<String>) -> Answer {
    (Verdict::new(check, Standing::Unknown, reason), None)
}

fn hold(
    check: Check,
    value: impl Into<Option<f64>>,
    limit: impl Into<Option<f64>>,
    reason: impl Into<String>,
    cause: impl Into<Option<Cause>>,
) -> Answer {
    (Verdict::new(check, Standing::Hold, reason).with(value, limit), cause.into())
}
