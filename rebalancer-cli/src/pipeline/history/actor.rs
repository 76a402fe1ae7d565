//! Who changed the pods, as far as Events, names and versions of the template tell it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::LivePod;
use rebalancer_io::kubernetes::{Incident, Incidents, Revision};

use super::turns::Change;
use crate::pipeline::clocks::ago;
use crate::report::history::By;

/// For this long around a change what is told belongs to it: a run claims and checks before it evicts, and
/// delivers its metrics after it.
const AROUND: Duration = Duration::from_secs(5 * 60);

/// For this long after a new version of the template a rollout of a stateful set may replace its first pod.
const ROLLOUT_BEGINS: Duration = Duration::from_secs(30 * 60);

/// Longest quotation of an Event, in characters.
const MAX_QUOTE: usize = 160;

/// Reasons of Events that a node, or what manages nodes, gives when it ends a pod.
const OF_NODES: [&str; 9] = [
    "DisruptionTerminating",
    "Evicted",
    "NodeNotReady",
    "NodeShutdown",
    "Preempted",
    "Preempting",
    "ScaleDown",
    "TaintManagerEviction",
    "Terminated",
];

/// Reporters that manage nodes.
const NODE_MANAGERS: [&str; 2] = ["karpenter", "cluster-autoscaler"];

/// Reporters that evict pods of others.
const EVICTORS: [&str; 1] = ["descheduler"];

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Who.
    pub by: By,
    /// What tells it, or why nothing does.
    pub evidence: String,
    /// Whether this program replaced an ill pod.
    pub is_cure: bool,
}

/// Everything that may tell who changed pods.
#[derive(Debug)]
pub struct Witnesses<'a> {
    /// The Events; an error why they cannot be read.
    pub incidents: Result<Incidents, String>,
    /// The versions of the template.
    pub revisions: Vec<Revision>,
    /// When runs of this program ended that evicted pods.
    pub runs: &'a BTreeSet<Timestamp>,
    /// The pods that are there now.
    pub live: &'a [LivePod],
    /// Whether pods get new names when they are replaced, with the version of the template in them.
    pub are_named_by_version: bool,
}

impl Witnesses<'_> {
    /// Who made a change.
    pub fn actor(&self, change: &Change) -> Actor {
        self.own(change).unwrap_or_else(|| {
            let found = self.rollout(change).or_else(|| self.other(change)).or_else(|| resize(change));
            let (by, evidence) = found.unwrap_or_else(|| (By::Unknown, self.silence(change)));
            Actor { by, evidence, is_cure: false }
        })
    }

    /// The Events of the time of a change about one of its pods.
    fn around<'i>(&'i self, change: &'i Change) -> impl Iterator<Item = &'i Incident> {
        let all = self.incidents.iter().flat_map(|incidents| &incidents.wanted);
        all.filter(move |incident| is_around(incident.at, change))
    }

    /// This program, by its Events or by the metrics of its runs.
    fn own(&self, change: &Change) -> Option<Actor> {
        if change.gone.is_empty() {
            return None;
        }
        let names_one = |incident: &Incident| {
            let is_named = |pod: &String| {
                incident.about.contains(pod) || (incident.is_claim() && has_word(&incident.note, pod))
            };
            change.gone.iter().any(is_named)
        };
        let tells = |incident: &&Incident| {
            incident.is_own && incident.reason != "RotationBlocked" && names_one(incident)
        };
        let told: Vec<&Incident> = self.around(change).filter(tells).collect();
        let is_cure = told.iter().any(|incident| incident.is_cure);
        let best = told.iter().find(|incident| !incident.is_claim()).or_else(|| told.first());
        let evidence = if let Some(incident) = best {
            quoted(incident)
        } else {
            let run = self.runs.iter().find(|run| is_around(**run, change))?;
            format!("a run that evicted pods of this workload ended at {run}, as its metrics tell")
        };
        Some(Actor { by: By::ThisProgram, evidence, is_cure })
    }

    /// A new version of the template.
    fn rollout(&self, change: &Change) -> Option<(By, String)> {
        if change.came.is_empty() || change.gone.is_empty() {
            return None;
        }
        if self.are_named_by_version { self.by_names(change) } else { self.by_revisions(change) }
    }

    /// The replica sets that the names of pods begin with.
    fn by_names(&self, change: &Change) -> Option<(By, String)> {
        let makers = |pods: &BTreeSet<String>| -> BTreeSet<String> {
            pods.iter().filter_map(|pod| Some(pod.rsplit_once('-')?.0.to_owned())).collect()
        };
        let (old, new) = (makers(&change.gone), makers(&change.came));
        let maker = new.iter().find(|maker| !old.contains(*maker))?;
        let revision = self.revisions.iter().find(|revision| revision.name == *maker);
        let is_restart =
            revision.is_some_and(|revision| revision.is_restart && is_soon_after(change, revision.created));
        let from = old.first().map(|old| format!(" in place of {old}")).unwrap_or_default();
        Some(if is_restart {
            (By::RolloutRestart, format!("kubectl rollout restart made the replica set {maker}"))
        } else {
            (By::Rollout, format!("the pods are of the replica set {maker}{from}"))
        })
    }

    /// The controller revisions that were created before a change.
    fn by_revisions(&self, change: &Change) -> Option<(By, String)> {
        let is_of_it = |revision: &&Revision| is_soon_after(change, revision.created);
        if let Some(Revision { name, created, is_restart }) = self.revisions.iter().rev().find(is_of_it) {
            let by = if *is_restart { By::RolloutRestart } else { By::Rollout };
            return Some((by, format!("the revision {name} of the template is of {created}")));
        }
        // Rolling back reuses an old revision, which its pods carry.
        let revisions: BTreeMap<&str, Option<&String>> =
            self.live.iter().map(|pod| (pod.name.as_str(), pod.revision.as_ref())).collect();
        let of = |pods: &BTreeSet<String>| -> BTreeSet<&String> {
            pods.iter().filter_map(|pod| *revisions.get(pod.as_str())?).collect()
        };
        let others = self.live.iter().filter(|pod| !change.came.contains(&pod.name));
        let others: BTreeSet<&String> = others.filter_map(|pod| pod.revision.as_ref()).collect();
        let new = of(&change.came).into_iter().find(|revision| !others.contains(revision))?;
        (!others.is_empty()).then(|| (By::Rollout, format!("only the new pods are of the revision {new}")))
    }

    /// A node, or another program that evicts.
    fn other(&self, change: &Change) -> Option<(By, String)> {
        let is_about = |incident: &&Incident| {
            !incident.is_own && change.gone.iter().any(|pod| incident.about.contains(pod))
        };
        self.around(change).filter(is_about).find_map(|incident| {
            let is_by = |names: &[&str]| names.iter().any(|name| incident.reporter.contains(name));
            let by = if is_by(&EVICTORS) {
                By::Eviction
            } else if is_by(&NODE_MANAGERS) || OF_NODES.contains(&incident.reason.as_str()) {
                By::Node
            } else {
                return None;
            };
            Some((by, quoted(incident)))
        })
    }

    /// Why nobody is known.
    fn silence(&self, change: &Change) -> String {
        let incidents = match &self.incidents {
            Err(why) => return format!("Events cannot be read: {why}"),
            Ok(incidents) => incidents,
        };
        let pods = || change.gone.iter().chain(&change.restarted).chain(&change.came);
        let is_about = |incident: &&Incident| pods().any(|pod| incident.about.contains(pod));
        if let Some(incident) = self.around(change).find(is_about) {
            return format!("no Event tells who did it; there is {}", quoted(incident));
        }
        match incidents.oldest {
            Some(oldest) if oldest <= change.ended => {
                "no Event is about it; a deletion by hand leaves none that tells who".to_owned()
            }
            Some(oldest) => format!("the oldest Event is of {oldest}: the cluster no longer has those of it"),
            None => "the cluster has no Events; by default it keeps them for an hour".to_owned(),
        }
    }
}

fn is_around(at: Timestamp, change: &Change) -> bool {
    let early = change.slack + AROUND;
    ago(at, change.began) <= early && ago(change.ended, at) <= AROUND
}

/// Whether the change began soon after this moment, and not before it.
fn is_soon_after(change: &Change, created: Timestamp) -> bool {
    ago(created, change.began) <= ROLLOUT_BEGINS + change.slack && created <= change.ended
}

/// Pods that were only added or only taken away.
fn resize(change: &Change) -> Option<(By, String)> {
    let evidence = match (change.came.len(), change.gone.len()) {
        (more @ 1.., 0) => format!("{more} more, and none has gone"),
        (0, fewer @ 1..) => format!("{fewer} fewer, and none has come"),
        _ => return None,
    };
    Some((By::Resize, evidence))
}

/// Whether a name stands in a text as a whole: `orders-1` does not in `orders-10`.
fn has_word(text: &str, name: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '-' || letter == '.';
    text.split(|letter| !is_part(letter)).any(|word| word == name)
}

/// An Event in words.
fn quoted(incident: &Incident) -> String {
    let Incident { at, reason, note, reporter, .. } = incident;
    let mut words: String = note.chars().take(MAX_QUOTE).collect();
    if words.len() < note.len() {
        words.push('…');
    }
    let reporter = if reporter.is_empty() { "unknown" } else { reporter };
    format!("the Event {reason} of {at} by {reporter}: {words}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_795_410_000 + 60 * minute).expect("a time")
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn change(gone: &[&str], came: &[&str]) -> Change {
        let restarted = BTreeSet::new();
        let (gone, came, slack) = (set(gone), set(came), Duration::ZERO);
        Change { began: at(100), ended: at(102), slack, came, gone, restarted }
    }

    fn event(minute: i64, reporter: &str, reason: &str, about: &str, note: &str) -> Incident {
        Incident {
            at: at(minute),
            reason: reason.to_owned(),
            note: note.to_owned(),
            reporter: reporter.to_owned(),
            about: vec!["orders".to_owned(), about.to_owned()],
            is_own: reporter == "pod-rebalancer/pod-rebalancer",
            is_cure: false,
        }
    }

    fn told(incidents: Result<Vec<Incident>, &str>, revisions: &[Revision], change: &Change) -> Actor {
        let runs = [at(300)].into();
        let oldest = Some(at(50));
        let incidents = incidents.map(|wanted| Incidents { wanted, oldest }).map_err(str::to_owned);
        let revisions = revisions.to_vec();
        Witnesses { incidents, revisions, runs: &runs, live: &[], are_named_by_version: true }.actor(change)
    }

    const OWN: &str = "pod-rebalancer/pod-rebalancer";

    #[test]
    fn this_program_is_known_by_its_events_about_the_pods_that_went() {
        let swap = change(&["orders-a-1"], &["orders-a-2"]);
        let rotated = event(101, OWN, "Rotated", "orders-a-1", "evicted orders-a-1");
        let found = told(Ok(vec![Incident { is_cure: true, ..rotated.clone() }]), &[], &swap);
        assert_eq!((found.by, found.is_cure), (By::ThisProgram, true), "{found:?}");
        let claim = event(100, OWN, "RotationStarted", "", "evicting pod orders-a-1 (busiest): cpu");
        assert_eq!(told(Ok(vec![claim]), &[], &swap).by, By::ThisProgram);
        let cases = [
            event(100, OWN, "RotationStarted", "", "evicting pod orders-a-10 (busiest): cpu"),
            event(101, OWN, "RotationBlocked", "orders-a-1", "not evicted"),
            event(101, OWN, "Rotated", "orders-a-9", "evicted orders-a-9"),
            Incident { at: at(120), ..rotated.clone() },
            Incident { is_own: false, ..rotated },
        ];
        for other in cases {
            let found = told(Ok(vec![other.clone()]), &[], &swap);
            assert_eq!(found.by, By::Unknown, "{other:?}");
        }
        let by_metrics = told(Err("no rights"), &[], &Change { began: at(298), ended: at(299), ..swap });
        assert_eq!(by_metrics.by, By::ThisProgram, "{by_metrics:?}");
    }

    #[test]
    fn a_rollout_is_known_by_the_replica_set_in_the_names() {
        let all = change(&["orders-a-1", "orders-a-2"], &["orders-b-1", "orders-b-2"]);
        assert_eq!(told(Ok(Vec::new()), &[], &all).by, By::Rollout);
        let restart = Revision { name: "orders-b".to_owned(), created: at(99), is_restart: true };
        assert_eq!(told(Ok(Vec::new()), std::slice::from_ref(&restart), &all).by, By::RolloutRestart);
        let long_ago = Revision { created: at(-900), ..restart };
        assert_eq!(told(Ok(Vec::new()), &[long_ago], &all).by, By::Rollout, "a rollback to it");
    }

    #[test]
    fn nodes_and_other_evictors_are_known_by_their_events() {
        let swap = change(&["orders-a-1"], &["orders-a-2"]);
        let by =
            |reporter, reason| told(Ok(vec![event(100, reporter, reason, "orders-a-1", "")]), &[], &swap).by;
        assert_eq!(by("taint-eviction-controller", "TaintManagerEviction"), By::Node);
        assert_eq!(by("karpenter", "Disrupted"), By::Node);
        assert_eq!(by("sigs.k8s.io/descheduler", "LowNodeUtilization"), By::Eviction);
        assert_eq!(by("kubelet", "Killing"), By::Unknown);
    }

    #[test]
    fn who_is_not_known_is_said_to_be_not_known_and_why() {
        let swap = change(&["orders-a-1"], &["orders-a-2"]);
        let why = |found: Actor| {
            assert_eq!(found.by, By::Unknown, "{found:?}");
            found.evidence
        };
        assert!(why(told(Err("grant list on events"), &[], &swap)).contains("grant list on events"));
        assert!(why(told(Ok(Vec::new()), &[], &swap)).contains("by hand"));
        let early = Change { began: at(10), ended: at(11), ..swap.clone() };
        assert!(why(told(Ok(Vec::new()), &[], &early)).contains("no longer has"));
        let killing = event(100, "kubelet", "Killing", "orders-a-1", "Stopping container app");
        assert!(why(told(Ok(vec![killing]), &[], &swap)).contains("Stopping container"));
    }

    #[test]
    fn pods_that_only_come_or_go_are_a_resize() {
        assert_eq!(told(Ok(Vec::new()), &[], &change(&[], &["orders-a-9"])).by, By::Resize);
        assert_eq!(told(Ok(Vec::new()), &[], &change(&["orders-a-9"], &[])).by, By::Resize);
    }

    #[test]
    fn a_stateful_set_is_known_by_its_revisions() {
        let restart = change(&["db-0"], &["db-0"]);
        let pod = |name: &str, revision: &str| LivePod {
            revision: Some(revision.to_owned()),
            ..LivePod::assumed(name)
        };
        let by = |revisions: Vec<Revision>, live: &[LivePod]| {
            let incidents = Ok(Incidents::default());
            let runs = BTreeSet::new();
            let are_named_by_version = false;
            Witnesses { incidents, revisions, runs: &runs, live, are_named_by_version }.actor(&restart).by
        };
        let alike = [pod("db-0", "x"), pod("db-1", "x")];
        let revision = |minute: i64| Revision { name: "db-x".into(), created: at(minute), is_restart: false };
        assert_eq!(by(vec![revision(95)], &alike), By::Rollout);
        assert_eq!(by(vec![revision(20)], &alike), By::Unknown, "a pod that was deleted");
        assert_eq!(by(vec![revision(20)], &[pod("db-0", "y"), pod("db-1", "x")]), By::Rollout, "a rollback");
    }
}
