//! Everything guards and the diagnosis know besides the current loads: ages, history, partitions.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::input::history::History;
use crate::input::live_pod::{LiveIndex, LivePod};
use crate::input::metric::{Metric, PerMetric};
use crate::input::offsets::Offsets;
use crate::input::partitions::Partitions;
use crate::kafka::assignor::{Assignor, UnknownAssignor};
use crate::kafka::forecast::GroupFacts;
use crate::kafka::recognise::recognise;
use crate::kafka::seats::KnownMember;

/// Time a group needs to settle after a pod started: two metric scrapes and the window of a rate.
pub const SETTLING: Duration = Duration::from_secs(5 * 60);

/// Pods started within this time of each other count as one replacement, because a rotation evicts its pods
/// one after the other.
pub const BORN_TOGETHER: Duration = Duration::from_secs(15 * 60);

/// Shortest time compared before and after a replacement. The settling time and this have passed when the
/// cooldown ends.
pub const SHORTEST_SIDE: Duration = Duration::from_secs(25 * 60);

/// Longest time compared before and after a replacement.
pub const LONGEST_SIDE: Duration = Duration::from_secs(60 * 60);

/// An older replacement is no evidence: the load changes over the day.
pub(crate) const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// After this many rotations within a day the spread must have fallen. With three, one in a hundred groups
/// that no rotation can help was rotated a third and fourth time (in simulation, with only CPU known and
/// noise of a fifth).
pub(crate) const ROTATIONS_A_DAY: usize = 2;

/// The same limit for a rotation that replaces an ill pod. With two, one in twelve workloads with three sick
/// pods among twelve kept the last of them.
pub(crate) const CURES_A_DAY: usize = 3;

/// Pods born longer than this after a rollout began were replaced, not rolled out.
const ROLLOUT: Duration = Duration::from_secs(15 * 60);

/// An optional input. Missing input makes a verdict unknown and is never an error.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Fact<T> {
    /// Nobody asked for it, or the answer was empty.
    #[default]
    Absent,
    /// The answer is not usable; the text says why. Holds nothing back.
    Unusable(String),
    /// A server refused or failed to give it; the text says why. Holds back wherever the input could have
    /// changed the verdict.
    Failed(String),
    /// It is known.
    Known(T),
}

impl<T> Fact<T> {
    /// The value, if known.
    pub const fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Absent | Self::Unusable(_) | Self::Failed(_) => None,
        }
    }

    /// What `then` makes of the value, if it is known; else the same lack of it.
    pub fn and_then<U>(self, then: impl FnOnce(T) -> Fact<U>) -> Fact<U> {
        match self {
            Self::Known(value) => then(value),
            Self::Absent => Fact::Absent,
            Self::Unusable(why) => Fact::Unusable(why),
            Self::Failed(why) => Fact::Failed(why),
        }
    }

    /// Whether a server refused or failed to give it.
    pub const fn is_failed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }

    /// Why the value is unknown, to complete a sentence such as "the history of cpu ...".
    pub(crate) fn lack(&self) -> &str {
        match self {
            Self::Absent => "is not there",
            Self::Unusable(why) | Self::Failed(why) => why,
            Self::Known(_) => "is known",
        }
    }
}

impl<T, E: core::fmt::Display> From<Result<T, E>> for Fact<T> {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => Self::Known(value),
            Err(error) => Self::Unusable(alloc::format!("cannot be used: {error}")),
        }
    }
}

/// Everything a decision may use besides the pod states. [`Facts::new`] knows only the live pods.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts<'a> {
    /// All live pods of the workload, including those that take no part.
    pub live: &'a [LivePod],
    /// How many further pods are known only by name, from the answers.
    pub unlisted: usize,
    /// The metrics that were queried.
    pub asked: Vec<Metric>,
    /// The history of each metric over the persistence window, up to the decision.
    pub past: PerMetric<Fact<History>>,
    /// The loads before and after the newest pod was created.
    pub last_replacement: Fact<Replacement>,
    /// The spread of each metric before the replacements of the last day, if there were several.
    pub past_spread: PerMetric<Fact<PastSpread>>,
    /// Time since the pod template last changed (the age of the current `ReplicaSet`).
    pub rollout_age: Option<Duration>,
    /// Whether a rollout is in progress: not all replicas are updated.
    pub rolling_out: bool,
    /// Load of each partition and who owns it.
    pub partitions: Fact<Partitions>,
    /// The offsets and owners of the group's partitions over the last hour or so, one step per minute.
    pub offsets: Fact<Offsets>,
    /// The same over the last day in longer steps, for partitions that stood for that whole hour.
    pub offsets_of_day: Fact<Offsets>,
    /// Pods that this program replaced as a cure, as far as the cluster still shows.
    pub cures: Fact<Vec<Cure>>,
    /// What was answered to each question that may forbid a rotation; none where nobody put one.
    pub vetoes: Vec<Veto>,
    /// Number of partitions assigned to each pod.
    pub assigned_partitions: Fact<Vec<(String, usize)>>,
    /// Consumers in each pod; `None` counts as one.
    pub consumers_per_pod: Option<usize>,
    /// How the group's assignor is found.
    pub assignor: AssignorChoice,
    /// The assignor's name as an exporter gives it (the protocol of the group).
    pub exported_assignor: Fact<String>,
    /// The assignor inferred from who owns which partition, when their loads are not known.
    pub recognised_assignor: Fact<Assignor>,
    /// Whether replacements keep the identity of the pod they replace, as configured; `None` takes what Kafka tells, and
    /// else assumes so only for a `StatefulSet`.
    pub static_membership: Option<bool>,
    /// Whether the members of the group have identities that replacements take over (`group.instance.id`), as Kafka tells.
    pub told_identity: Fact<bool>,
    /// The members of the group, as Kafka tells them, in the order of its answer.
    pub members: Fact<Vec<KnownMember>>,
}

impl<'a> Facts<'a> {
    /// Knows only the live pods. All metrics count as queried; if fewer were, set [`Facts::asked`].
    ///
    /// ```
    /// use rebalancer_core::kafka::Assignor;
    /// use rebalancer_core::{AssignorChoice, Fact, Facts, LivePod};
    ///
    /// let live = [LivePod::assumed("orders-0"), LivePod::assumed("orders-1")];
    /// let mut facts = Facts::new(&live);
    /// facts.exported_assignor = Fact::Known("range".into());
    /// assert_eq!(facts.known_assignor(), Some(Assignor::Range));
    /// facts.assignor = AssignorChoice::Unknown;
    /// assert_eq!(facts.known_assignor(), None, "a setting beats what an exporter says");
    /// ```
    pub fn new(live: &'a [LivePod]) -> Self {
        Self { live, asked: Metric::ALL.to_vec(), ..Self::default() }
    }

    /// The assignor of the group: as configured, else as exported, else as inferred from the owners.
    pub fn known_assignor(&self) -> Option<Assignor> {
        self.told_assignor().or_else(|| self.assignor_by_owners())
    }

    /// Whether [`Facts::known_assignor`] is only inferred from who owns which partition. A sticky or uniform
    /// group can look like `range` or `roundrobin`.
    pub fn assignor_is_a_guess(&self) -> bool {
        self.told_assignor().is_none() && self.assignor_by_owners().is_some()
    }

    /// The assignor as configured or as exported.
    fn told_assignor(&self) -> Option<Assignor> {
        match self.assignor {
            AssignorChoice::Is(assignor) => Some(assignor),
            AssignorChoice::Unknown => None,
            AssignorChoice::Auto => self.exported_assignor.known()?.parse().ok(),
        }
    }

    /// The assignor inferred from the owners, unless it is configured.
    fn assignor_by_owners(&self) -> Option<Assignor> {
        if self.assignor != AssignorChoice::Auto {
            return None;
        }
        self.partitions.known().and_then(recognise).or_else(|| self.recognised_assignor.known().copied())
    }

    /// The group, if the owner of every partition is known.
    pub fn group(&self) -> Option<GroupFacts<'_>> {
        let consumers = self.consumers_per_pod.unwrap_or(1);
        let mut group =
            GroupFacts::new(self.partitions.known()?, self.live.len(), consumers, self.known_assignor())?;
        group.keeps_identity = self.live.iter().any(|pod| self.static_evidence(pod).is_some());
        group.members = self.members.known().map_or(&[][..], Vec::as_slice);
        Some(group)
    }

    /// How it is known that the replacement of a pod keeps its identity: `configured`, `group.instance.id`, or the
    /// kind of its controller. `None` if it gets its own identity.
    pub(crate) fn static_evidence(&self, pod: &LivePod) -> Option<&'static str> {
        let owned = pod.controller.as_ref().is_some_and(|owner| owner.kind == "StatefulSet");
        match (self.static_membership, self.told_identity.known()) {
            (Some(true), _) => Some("configured"),
            (None, Some(true)) => Some("group.instance.id"),
            (None, None) if owned => Some("StatefulSet"),
            (Some(false) | None, _) => None,
        }
    }

    /// The position of the live pod `name`.
    pub(crate) fn live_index(&self, name: &str) -> Option<LiveIndex> {
        self.live.iter().position(|pod| pod.name == name).map(LiveIndex)
    }
}

/// A question that may forbid a rotation, and its answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Veto {
    /// What is asked.
    pub by: VetoBy,
    /// What was found; anything that is not known forbids too.
    pub found: Fact<Objecting>,
}

/// Who may forbid a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VetoBy {
    /// A query: each sample of its answer forbids.
    Query,
    /// The alerts that fire now: each that was named forbids.
    Alerts,
}

/// What forbids a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Objecting {
    /// How many samples or alerts; none forbids nothing.
    pub count: usize,
    /// The first few of them in words.
    pub quoted: Vec<String>,
}

/// A pod that was replaced because it was ill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cure {
    /// Name of the pod.
    pub pod: String,
    /// Topic and number of the stuck partition, if that was the illness.
    pub partition: Option<(String, u32)>,
    /// The offset at which it stood, if known.
    pub offset: Option<u64>,
    /// How long ago.
    pub ago: Duration,
}

/// How the group's assignor is found: the setting `KAFKA_ASSIGNOR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AssignorChoice {
    /// From an exporter, else inferred from who owns which partition.
    #[default]
    Auto,
    /// It is this one.
    Is(Assignor),
    /// Nothing is assumed about it.
    Unknown,
}

impl core::str::FromStr for AssignorChoice {
    type Err = UnknownAssignor;

    /// Reads `auto`, `unknown` or the name of an assignor.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "auto" => Ok(Self::Auto),
            "unknown" => Ok(Self::Unknown),
            _ => name.parse().map(Self::Is),
        }
    }
}

/// One metric of all pods before and after the newest pod was created: an experiment the cluster has already
/// made, no matter what replaced the pod. Both sides are means over the windows of [`Replacement::windows`].
#[derive(Debug, Clone, PartialEq)]
pub struct Replacement {
    /// Which metric: the message rate if known, else CPU.
    pub metric: Metric,
    /// Loads of the pods that were alive before.
    pub before: Vec<f64>,
    /// Loads of the pods that were alive after.
    pub after: Vec<f64>,
    /// Time since the newest pod was created.
    pub ago: Duration,
    /// The length of each side.
    pub length: Duration,
}

/// A stretch of time in the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How long ago it ended.
    pub ended: Duration,
    /// How long it lasted.
    pub length: Duration,
}

impl Replacement {
    /// The windows to average over: equally long, up to an hour, one before the newest pods were born and one
    /// after they have settled. Pods born within 15 minutes of each other count as born together. `None` if
    /// no age is known, or if a side would be shorter than 25 minutes because a replacement is too recent or
    /// followed another too closely.
    ///
    /// Fixed windows give one experiment with one answer. Compared with ever new current loads, noise would
    /// sooner or later look like a change.
    ///
    /// ```
    /// use core::time::Duration;
    /// use rebalancer_core::{LivePod, Replacement};
    ///
    /// let minutes = |count: u64| Duration::from_secs(60 * count);
    /// let pod = |age| LivePod { age: Some(minutes(age)), ..LivePod::assumed("orders") };
    /// let [before, after] = Replacement::windows(&[pod(300), pod(302), pod(9000)]).expect("long enough ago");
    /// assert_eq!((before.ended, before.length), (minutes(302), minutes(60)));
    /// assert_eq!((after.ended, after.length), (minutes(235), minutes(60)));
    /// assert_eq!(Replacement::windows(&[pod(29), pod(9000)]), None);
    /// ```
    pub fn windows(live: &[LivePod]) -> Option<[Window; 2]> {
        let ages = || live.iter().filter_map(|pod| pod.age);
        let newest = ages().min()?;
        let together = newest.saturating_add(BORN_TOGETHER);
        let first = ages().filter(|age| *age <= together).max()?;
        let undisturbed = match ages().filter(|age| *age > together).min() {
            Some(earlier) => earlier.saturating_sub(first.saturating_add(SETTLING)),
            None => LONGEST_SIDE,
        };
        let settled = newest.saturating_sub(SETTLING);
        let length = settled.min(undisturbed).min(LONGEST_SIDE);
        if length < SHORTEST_SIDE {
            return None;
        }
        Some([Window { ended: first, length }, Window { ended: settled.saturating_sub(length), length }])
    }
}

/// How uneven a metric was before the replacements of the last day, to compare the present spread with. A
/// mean over the window of [`PastSpread::window`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PastSpread {
    /// The coefficient of variation at that time.
    pub cv: f64,
    /// How long ago.
    pub ago: Duration,
}

impl PastSpread {
    /// The hour before the first of the last day's replacements was born; `None` if there were too few to
    /// judge.
    pub fn window(live: &[LivePod], rollout_age: Option<Duration>) -> Option<Window> {
        let replaced = replaced(live, rollout_age);
        if replaced.len() / 2 < ROTATIONS_A_DAY {
            return None;
        }
        replaced.into_iter().max().map(|ended| Window { ended, length: LONGEST_SIDE })
    }
}

/// Ages of the pods born within the last day and well after the last rollout (or after the oldest pod, if no
/// later rollout is known).
pub(crate) fn replaced(live: &[LivePod], rollout_age: Option<Duration>) -> Vec<Duration> {
    let ages = || live.iter().filter_map(|pod| pod.age);
    // A rollback reuses an old `ReplicaSet`, whose age says nothing.
    let Some(rollout) = ages().max().map(|oldest| oldest.min(rollout_age.unwrap_or(oldest))) else {
        return Vec::new();
    };
    let since = rollout.saturating_sub(ROLLOUT).min(A_DAY);
    ages().filter(|age| *age < since).collect()
}
