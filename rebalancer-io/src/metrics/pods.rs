//! A pattern that matches the pod names of a workload's controllers. It stays short, however many pods there
//! are.

use std::collections::BTreeSet;

use rebalancer_core::LivePod;

use crate::promql::regex;

/// Longest prefix of generated pod names: Kubernetes truncates longer ones, then adds five characters.
const LONGEST_PREFIX: usize = 58;

/// Maximum number of prefixes to list. A selector appears in a query up to ten times, and VictoriaMetrics
/// refuses queries over 16,384 bytes.
const MOST_PREFIXES: usize = 8;

/// A regular expression that matches the names of these pods, of past and future pods of their controllers,
/// and of few others: `orders-.+`. `None` if their names have nothing in common.
///
/// The prefix is the name of the controller; for a `ReplicaSet`, that of its `Deployment`, because older pods
/// belong to other replica sets. If the controller is unknown, or names its pods differently, it is the pod's
/// own name up to the last hyphen.
///
/// ```
/// use rebalancer_core::LivePod;
/// use rebalancer_io::metrics::pod_pattern;
///
/// let pods = ["orders-0", "orders-1"].map(LivePod::assumed);
/// assert_eq!(pod_pattern(&pods).as_deref(), Some("orders-.+"));
/// assert_eq!(pod_pattern(&[]), None);
/// ```
pub fn pod_pattern(pods: &[LivePod]) -> Option<String> {
    pattern_of(&pod_prefixes(pods))
}

/// The texts that the names begin with which [`pod_pattern`] matches; none where it is `None`.
pub fn pod_prefixes(pods: &[LivePod]) -> Vec<&str> {
    let mut prefixes: BTreeSet<&str> = pods.iter().map(prefix).collect();
    if prefixes.len() > MOST_PREFIXES {
        prefixes = [common(&prefixes)].into_iter().filter(|prefix| !prefix.is_empty()).collect();
    }
    prefixes.into_iter().collect()
}

/// A regular expression that matches names that begin with one of these texts and are longer.
pub(crate) fn pattern_of(prefixes: &[impl AsRef<str>]) -> Option<String> {
    let escaped: Vec<String> = prefixes.iter().map(|prefix| regex(prefix.as_ref())).collect();
    match &escaped[..] {
        [] => None,
        [one] => Some(format!("{one}.+")),
        several => Some(format!("(?:{}).+", several.join("|"))),
    }
}

/// The common start of the names of a pod and its kin.
fn prefix(pod: &LivePod) -> &str {
    let name = pod.name.as_str();
    by_controller(pod).unwrap_or_else(|| match name.trim_end_matches('-').rfind('-') {
        Some(hyphen) => &name[..=hyphen],
        // The most that another name could have in common with this one.
        None => name.char_indices().next_back().map_or("", |(last, _)| &name[..last]),
    })
}

/// The part of a pod's name that comes from its controller; `None` if it is named differently.
fn by_controller(pod: &LivePod) -> Option<&str> {
    let controller = pod.controller.as_ref()?;
    let maker = match (controller.kind.as_str(), controller.name.rsplit_once('-')) {
        ("ReplicaSet", Some((deployment, _))) => deployment,
        _ => &controller.name,
    };
    let given = match maker.get(..LONGEST_PREFIX) {
        Some(cut) => pod.name.starts_with(cut).then_some(LONGEST_PREFIX)?,
        None => pod.name.strip_prefix(maker)?.starts_with('-').then_some(maker.len() + 1)?,
    };
    (pod.name.len() > given).then(|| &pod.name[..given])
}

/// The longest common prefix of these texts.
fn common<'a>(texts: &BTreeSet<&'a str>) -> &'a str {
    let (Some(first), Some(last)) = (texts.first(), texts.last()) else { return "" };
    let same = first.bytes().zip(last.bytes()).take_while(|(a, b)| a == b).count();
    (0..=same).rev().find_map(|end| first.get(..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rebalancer_core::{Controller, LivePod};

    use super::pod_pattern;

    fn pod(kind: &str, controller: &str, name: &str) -> LivePod {
        let controller =
            Controller { group: None, kind: kind.into(), name: controller.into(), uid: "1".into() };
        LivePod { controller: Some(controller), ..LivePod::assumed(name) }
    }

    fn pattern(pods: &[LivePod]) -> String {
        pod_pattern(pods).unwrap_or_default()
    }

    #[test]
    fn pods_are_told_by_what_their_controller_calls_them() {
        let of_two_sets =
            ["orders-7d9", "orders-5c8"].map(|set| pod("ReplicaSet", set, &format!("{set}-x7k2p")));
        assert_eq!(pattern(&of_two_sets), "orders-.+");
        assert_eq!(pattern(&[pod("StatefulSet", "orders-eu", "orders-eu-0")]), "orders-eu-.+");
        assert_eq!(pattern(&[pod("Deployment", "fraud", "fraud-taskmanager-1-1")]), "fraud-.+");
        assert_eq!(pattern(&[pod("ReplicationController", "orders-1", "orders-1-x7k2p")]), "orders-1-.+");
        let two = [pod("StatefulSet", "a.b", "a.b-0"), pod("ReplicaSet", "c-7d9", "c-7d9-x7k2p")];
        assert_eq!(pattern(&two), r"(?:a\.b-|c-).+");
    }

    #[test]
    fn names_that_their_controller_did_not_give_are_taken_as_they_are() {
        assert_eq!(pattern(&[pod("Cluster", "postgres", "db-7")]), "db-.+");
        assert_eq!(pattern(&[pod("Cluster", "db", "db")]), "d.+");
        assert_eq!(pattern(&["orders-7d9-a", "orders-7d9-b"].map(LivePod::assumed)), "orders-7d9-.+");
        assert_eq!(pattern(&[LivePod::assumed("lonely")]), "lonel.+");
    }

    #[test]
    fn a_long_name_is_cut_as_kubernetes_cuts_it() {
        let deployment = "a".repeat(60);
        let name = format!("{}x7k2p", "a".repeat(58));
        assert_eq!(
            pattern(&[pod("ReplicaSet", &format!("{deployment}-7d9"), &name)]),
            format!("{}.+", "a".repeat(58))
        );
        // Cut behind the deployment's own name.
        let deployment = "a".repeat(55);
        let name = format!("{deployment}-7dx7k2p");
        assert_eq!(
            pattern(&[pod("ReplicaSet", &format!("{deployment}-7d9"), &name)]),
            format!("{deployment}-.+")
        );
    }

    #[test]
    fn many_controllers_have_one_short_pattern_or_none() {
        let pods = |prefix: &str| -> Vec<LivePod> {
            ('a'..'m')
                .map(|at| pod("StatefulSet", &format!("{prefix}{at}"), &format!("{prefix}{at}-0")))
                .collect()
        };
        assert_eq!(pattern(&pods("orders-")), "orders-.+");
        assert_eq!(pod_pattern(&pods("")), None);
    }
}
