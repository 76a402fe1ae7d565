//! Forecast: the spread after a rotation.
//!
//! The assignment depends on the order of the members' ids. These are random, those of replacements are not
//! known in advance, and metrics do not contain them. So a forecast applies the assignor's rules to many of
//! the orders that are possible, given what is known, and is a distribution. Where all of them lead to the
//! same spread, it is exact.

use alloc::vec::Vec;
use core::ops::Range;

use crate::input::live_pod::LiveIndex;
use crate::input::partitions::Partitions;
use crate::kafka::assignor::Assignor;
use crate::kafka::model::{Draw, Model};
use crate::kafka::recognise::{Unmodelled, unmodelled};
use crate::kafka::seats::{KnownMember, Seats};
use crate::measure::spread::cv;

/// A planned pair is rotated only if the spread is expected to fall by this share. Below it, the error of the
/// rates is larger than the gain.
pub const LEAST_GAIN: f64 = 0.05;

/// A pair is not rotated if more than this share of the orders raise the spread by [`LEAST_GAIN`].
const MOST_WORSE: f64 = 0.1;

/// Maximum number of pairs tried.
const MOST_PAIRS: usize = 66;

/// The orders in which each pair is tried, those in which the best ones are tried again, and those of the
/// reported forecast. The best of many is partly lucky, so the reported figures use other orders than the
/// choice.
const SCREENING: Range<u64> = 0..8;
const CHOICE: Range<u64> = 8..40;
const STATEMENT: Range<u64> = 40..104;

/// Number of pairs that are tried again.
const FINALISTS: usize = 8;

/// Size (partitions plus members) up to which all these orders are tried. Larger groups get fewer, down to a
/// quarter: 10,000 partitions on 1,000 pods are forecast in less than a second.
const FULL_SIZE: usize = 1_500;

/// The share of the orders that end at or below the reported spread.
const STATED: f64 = 2.0 / 3.0;

/// Spread of the partition loads over the pods: now, after a rotation, and at best. All are population
/// coefficients of variation.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Forecast {
    /// With the present assignment.
    pub now: f64,
    /// After rotating the given pods: two of three possible member orders end at or below it. `None` if the
    /// assignor is unknown or no model fits the group. Equals [`Forecast::now`] under a rank-invariant
    /// assignor, and if replacements keep their identity.
    pub after: Option<f64>,
    /// Best possible with equal counts: longest processing time first.
    pub best: f64,
    /// The distribution behind [`Forecast::after`].
    pub outlook: Option<Outlook>,
    /// Why no model fits the group.
    pub unmodelled: Option<Unmodelled>,
}

/// The distribution of the spread over the possible member orders.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Outlook {
    /// Mean over all orders.
    pub mean: f64,
    /// 10th percentile.
    pub low: f64,
    /// 90th percentile.
    pub high: f64,
    /// Share of the orders, 0 to 1, that raise the spread by 5 % or more.
    pub worse: f64,
    /// Number of orders tried; 1 if all that are possible lead to the same spread, so that the forecast is
    /// exact.
    pub orders: usize,
}

/// What metrics show of a group: who owns what, and how partitions are assigned.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupFacts<'a> {
    partitions: &'a Partitions,
    pods: usize,
    consumers_per_pod: usize,
    assignor: Option<Assignor>,
    /// Whether replacements keep the identity of the pod they replace (`group.instance.id`) and so get the same
    /// partitions.
    pub keeps_identity: bool,
    /// What Kafka tells of the members, in the order of its answer, which is that of its table of members; else empty.
    /// They count before the number of consumers per pod. Members that contradict themselves or the owners of the
    /// partitions are left out, all together.
    pub members: &'a [KnownMember],
}

/// Two pods whose rotation is expected to gain enough.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PlannedPair {
    /// Positions of the two among the live pods, the busier one first.
    pub pods: [LiveIndex; 2],
    /// The spread now, after the rotation, and at best.
    pub forecast: Forecast,
}

/// Why no pair is planned.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NoPair {
    /// It is unknown who owns which partition, or a partition has two owners.
    #[error("who owns each partition is not known, so no rotation can be planned")]
    OwnersUnknown,
    /// The assignor is unknown.
    #[error("the assignor of the group is not known, so no rotation can be planned; set KAFKA_ASSIGNOR")]
    AssignorUnknown,
    /// No model fits the group.
    #[error(transparent)]
    Unmodelled(#[from] Unmodelled),
    /// Replacements get the partitions of the pods they replace.
    #[error("replacements come back under the old identity and get the same partitions")]
    SameIdentity,
    /// No pair gains enough.
    #[error(
        "the best pair is expected to lower the spread from {now:.2} to {after:.2}, less than the {percent} % asked for",
        percent = LEAST_GAIN * 100.0
    )]
    TooLittle {
        /// The spread now.
        now: f64,
        /// The spread after the best pair.
        after: f64,
    },
    /// The best pair may make the spread worse.
    #[error(
        "the best pair is expected to lower the spread from {now:.2} to {after:.2}, but raises it by {percent} % or more in {:.0} % of the possible orders of the members",
        100.0 * worse,
        percent = LEAST_GAIN * 100.0
    )]
    TooRisky {
        /// The spread now.
        now: f64,
        /// The spread after the best pair.
        after: f64,
        /// Share of the orders that raise it.
        worse: f64,
    },
}

impl<'a> GroupFacts<'a> {
    /// A group of `pods` live pods; `None` unless the owner of every partition is known.
    ///
    /// `consumers_per_pod` of 0 counts as 1.
    pub fn new(
        partitions: &'a Partitions,
        pods: usize,
        consumers_per_pod: usize,
        assignor: Option<Assignor>,
    ) -> Option<Self> {
        let known = pods > 0 && partitions.owners_known();
        let consumers_per_pod = consumers_per_pod.max(1);
        known.then_some(Self {
            partitions,
            pods,
            consumers_per_pod,
            assignor,
            keeps_identity: false,
            members: &[],
        })
    }

    /// Why no model fits the group; `None` if one does, or if the assignor is unknown.
    pub fn unmodelled(&self) -> Option<Unmodelled> {
        unmodelled(self.partitions, self.pods, self.consumers_per_pod, self.assignor?)
    }

    /// The spread now, after evicting the live pods at these positions, and at best.
    pub fn forecast(&self, rotated: &[LiveIndex]) -> Forecast {
        let unmodelled = self.unmodelled();
        let outlook = match (self.assignor, unmodelled) {
            (Some(assignor), None) => self.outlook(assignor, rotated),
            _ => None,
        };
        self.with_outlook(outlook, unmodelled)
    }

    fn with_outlook(&self, outlook: Option<(f64, Outlook)>, unmodelled: Option<Unmodelled>) -> Forecast {
        let loads: Vec<f64> = self.partitions.all().iter().map(|partition| partition.load).collect();
        Forecast {
            now: self.now(),
            after: outlook.map(|(after, _)| after),
            best: best_spread(&loads, self.pods),
            outlook: outlook.map(|(_, outlook)| outlook),
            unmodelled,
        }
    }

    /// The reported spread, and the distribution behind it.
    fn outlook(&self, assignor: Assignor, rotated: &[LiveIndex]) -> Option<(f64, Outlook)> {
        let now = self.now();
        if rotated.is_empty() || self.is_unchanged_by_rotations(assignor) {
            return Some((now, Outlook { mean: now, low: now, high: now, worse: 0.0, orders: 1 }));
        }
        Some(stated(&self.model(assignor)?, now, rotated))
    }

    /// `None` unless the owner of every partition is known.
    fn model(&self, assignor: Assignor) -> Option<Model<'a>> {
        let (partitions, pods) = (self.partitions, self.pods);
        let seats = Seats::of_members(partitions, pods, self.members)
            .or_else(|| Seats::of_unknown_ids(partitions, pods, self.consumers_per_pod))?;
        Some(Model::new(partitions, pods, seats, assignor))
    }

    /// Whether any rotation assigns the same loads again. Exact if each pod is one member.
    const fn is_unchanged_by_rotations(&self, assignor: Assignor) -> bool {
        let is_one_each = match self.members.len() {
            0 => self.consumers_per_pod == 1,
            members => members == self.pods,
        };
        self.keeps_identity || (assignor.is_rank_invariant() && is_one_each)
    }

    /// The pair whose rotation is expected to lower the spread most. Pairs are formed from the six busiest
    /// and six least busy pods.
    ///
    /// # Errors
    /// The assignor is unknown, no model fits the group, no pair gains [`LEAST_GAIN`], or the best one raises
    /// the spread too often.
    pub fn planned_pair(&self) -> Result<PlannedPair, NoPair> {
        let assignor = self.assignor.ok_or(NoPair::AssignorUnknown)?;
        if let Some(unmodelled) = self.unmodelled() {
            return Err(unmodelled.into());
        }
        let now = self.now();
        if self.keeps_identity {
            return Err(NoPair::SameIdentity);
        }
        if self.is_unchanged_by_rotations(assignor) || now == 0.0 {
            return Err(NoPair::TooLittle { now, after: now });
        }
        let model = self.model(assignor).ok_or(NoPair::OwnersUnknown)?;
        let pods = best_pair(&model, self.pairs()).ok_or(NoPair::TooLittle { now, after: now })?;
        let (after, outlook) = stated(&model, now, &pods);
        if after > (1.0 - LEAST_GAIN) * now {
            return Err(NoPair::TooLittle { now, after });
        }
        if outlook.worse > MOST_WORSE {
            return Err(NoPair::TooRisky { now, after, worse: outlook.worse });
        }
        Ok(PlannedPair { pods, forecast: self.with_outlook(Some((after, outlook)), None) })
    }

    fn now(&self) -> f64 {
        cv(&self.partitions.pod_loads(self.pods))
    }

    /// At most [`MOST_PAIRS`] pairs of the most extreme pods, each with the busier pod first.
    fn pairs(&self) -> Vec<[LiveIndex; 2]> {
        let loads = self.partitions.pod_loads(self.pods);
        let mut by_load: Vec<LiveIndex> = (0..self.pods).map(LiveIndex).collect();
        by_load.sort_by(|a, b| loads[b.0].total_cmp(&loads[a.0]).then(a.cmp(b)));
        let busy = by_load.len().div_ceil(2).min(6);
        let idle = (by_load.len() - busy).min(6);
        let extremes = [&by_load[..busy], &by_load[by_load.len() - idle..]].concat();
        let pairs = extremes
            .iter()
            .enumerate()
            .flat_map(|(place, &busier)| extremes[place + 1..].iter().map(move |&other| [busier, other]));
        pairs.take(MOST_PAIRS).collect()
    }
}

/// The pair with the lowest [`STATED`] quantile: all pairs in a few orders, the best ones in more.
fn best_pair(model: &Model<'_>, pairs: Vec<[LiveIndex; 2]>) -> Option<[LiveIndex; 2]> {
    let mean = |spreads: &[f64]| spreads.iter().sum::<f64>() / spreads.len() as f64;
    let finalists = ranked(model, pairs, SCREENING, mean);
    let finalists = finalists.into_iter().take(FINALISTS).collect();
    ranked(model, finalists, CHOICE, |spreads| quantile(spreads, STATED)).into_iter().next()
}

/// The pairs ordered by `score` of their sorted spreads, smallest first. All pairs use the same orders, so
/// that only the pairs differ.
fn ranked(
    model: &Model<'_>,
    pairs: Vec<[LiveIndex; 2]>,
    orders: Range<u64>,
    score: impl Fn(&[f64]) -> f64,
) -> Vec<[LiveIndex; 2]> {
    let draws = draws(model, orders);
    let mut scored: Vec<(f64, [LiveIndex; 2])> =
        pairs.into_iter().map(|pair| (score(&spreads(model, &draws, &pair)), pair)).collect();
    scored.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    scored.into_iter().map(|(_, pair)| pair).collect()
}

/// The reported forecast of a rotation.
fn stated(model: &Model<'_>, now: f64, rotated: &[LiveIndex]) -> (f64, Outlook) {
    let spreads = spreads(model, &draws(model, STATEMENT), rotated);
    let orders = spreads.len();
    let worse = spreads.iter().filter(|spread| **spread >= (1.0 + LEAST_GAIN) * now).count();
    let outlook = Outlook {
        mean: spreads.iter().sum::<f64>() / orders as f64,
        low: quantile(&spreads, 0.1),
        high: quantile(&spreads, 0.9),
        worse: worse as f64 / orders as f64,
        orders,
    };
    (quantile(&spreads, STATED), outlook)
}

/// As many of these orders as the group's size leaves time for.
fn draws(model: &Model<'_>, orders: Range<u64>) -> Vec<Draw> {
    let all = orders.end - orders.start;
    let affordable = (all * FULL_SIZE as u64 / model.size().max(1) as u64).clamp(all / 4, all);
    orders.take(usize::try_from(affordable).unwrap_or(usize::MAX)).map(|order| model.draw(order)).collect()
}

/// The spreads after a rotation, sorted; only one if it is the same in all orders.
fn spreads(model: &Model<'_>, draws: &[Draw], rotated: &[LiveIndex]) -> Vec<f64> {
    let tried = if model.is_certain(rotated) { draws.len().min(1) } else { draws.len() };
    let draws = &draws[..tried];
    let mut spreads: Vec<f64> = draws.iter().map(|draw| model.after(draw, rotated)).collect();
    spreads.sort_by(f64::total_cmp);
    spreads
}

/// The smallest of the sorted values that is at least as large as this share of them; 0 if there are none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a count")]
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = libm::ceil(share * sorted.len() as f64) as usize;
    sorted.get(rank.max(1) - 1).or(sorted.last()).copied().unwrap_or(0.0)
}

/// The spread of `loads` over `pods` pods with equal counts when the next largest load always goes to the
/// least loaded pod that may take one more. 0 without loads or pods.
///
/// ```
/// use rebalancer_core::best_spread;
///
/// assert_eq!(best_spread(&[3.0, 1.0, 2.0, 2.0], 2), 0.0);
/// assert_eq!(best_spread(&[8.0, 1.0, 1.0, 2.0], 2), 0.5, "nothing splits a hot partition");
/// ```
pub fn best_spread(loads: &[f64], pods: usize) -> f64 {
    if pods == 0 {
        return 0.0;
    }
    let mut falling = loads.to_vec();
    falling.sort_by(|a, b| b.total_cmp(a));
    let least = falling.len() / pods;
    let mut extras = falling.len() % pods;
    let mut dealt = alloc::vec![(0.0_f64, 0_usize); pods];
    for load in falling {
        let open = |count: usize| count < least || (count == least && extras > 0);
        let taker = dealt.iter_mut().filter(|(_, count)| open(*count)).min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((sum, count)) = taker else { break };
        extras -= usize::from(*count == least);
        *sum += load;
        *count += 1;
    }
    let sums: Vec<f64> = dealt.into_iter().map(|(sum, _)| sum).collect();
    cv(&sums)
}
