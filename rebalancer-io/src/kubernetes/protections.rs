//! Annotations and priority classes that forbid evicting a pod.

use core::time::Duration;
use std::collections::BTreeMap;

use jiff::SignedDuration;
use rebalancer_core::Protection;
use serde::Deserializer;

use super::fields::annotations_where;

/// This program's annotation: with any value but `"false"` the pod is never evicted.
pub const DO_NOT_EVICT: &str = "pod-rebalancer/do-not-evict";

const MIRROR: &str = "kubernetes.io/config.mirror";
const DESCHEDULER: &str = "descheduler.alpha.kubernetes.io/prefer-no-eviction";
const KARPENTER: &str = "karpenter.sh/do-not-disrupt";
const CLUSTER_AUTOSCALER: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";
const SAFE_VOLUMES: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";
const KOORDINATOR: &str = "scheduling.koordinator.sh/eviction-cost";

/// The annotations that are read. Others are skipped while parsing: `last-applied-configuration` can be
/// larger than the rest of the pod.
const KNOWN: [&str; 7] =
    [MIRROR, DESCHEDULER, KARPENTER, CLUSTER_AUTOSCALER, SAFE_VOLUMES, KOORDINATOR, DO_NOT_EVICT];

/// The cost with which Koordinator forbids an eviction: the largest 32-bit integer.
const KOORDINATOR_NEVER: &str = "2147483647";

const SYSTEM_CRITICAL: [&str; 2] = ["system-cluster-critical", "system-node-critical"];

/// Everything that forbids evicting a pod of this age.
pub(super) fn protections(
    annotations: &BTreeMap<String, String>,
    priority_class: Option<&str>,
    age: Option<Duration>,
) -> Vec<Protection> {
    let mut found: Vec<Protection> = Vec::new();
    if annotations.contains_key(MIRROR) {
        found.push(Protection::MirrorPod);
    }
    if let Some(class) = priority_class.filter(|class| SYSTEM_CRITICAL.contains(class)) {
        found.push(Protection::SystemCritical { class: class.to_owned() });
    }
    found.extend(annotations.iter().filter(|(annotation, value)| opts_out(annotation, value, age)).map(
        |(annotation, value)| Protection::OptOut { annotation: annotation.clone(), value: value.clone() },
    ));
    found
}

/// Whether the pod's owner says that this volume's data may be lost. Uses the cluster autoscaler's
/// annotation: volume names, separated by commas.
pub(super) fn may_lose(annotations: &BTreeMap<String, String>, volume: &str) -> bool {
    let named = annotations.get(SAFE_VOLUMES).map_or("", String::as_str);
    named.split(',').any(|name| name.trim() == volume)
}

/// Reads each annotation as its own tool does.
fn opts_out(annotation: &str, value: &str, age: Option<Duration>) -> bool {
    match annotation {
        DESCHEDULER => true,
        KARPENTER => do_not_disrupt(value, age),
        CLUSTER_AUTOSCALER => value == "false",
        KOORDINATOR => value == KOORDINATOR_NEVER,
        DO_NOT_EVICT => value != "false",
        _ => false,
    }
}

/// `true`, or how long after its creation the pod must be left alone. Any other value protects too: someone
/// wanted protection.
fn do_not_disrupt(value: &str, age: Option<Duration>) -> bool {
    if value == "false" {
        return false;
    }
    let Ok(protected_for) = value.parse() else {
        return true;
    };
    let protected_for: SignedDuration = protected_for;
    match (Duration::try_from(protected_for), age) {
        (Ok(protected_for), Some(age)) => age < protected_for,
        (Ok(_), None) => true,
        (Err(_), _) => false,
    }
}

/// Reads the annotations that matter here.
pub(super) fn known<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    annotations_where(deserializer, |name| KNOWN.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(annotation: &str, value: &str, age_s: u64) -> Vec<Protection> {
        let annotations: BTreeMap<String, String> =
            BTreeMap::from([(annotation.to_owned(), value.to_owned())]);
        protections(&annotations, None, Some(Duration::from_secs(age_s)))
    }

    fn opt_out(annotation: &str, value: &str) -> Vec<Protection> {
        vec![Protection::OptOut { annotation: annotation.to_owned(), value: value.to_owned() }]
    }

    #[test]
    fn each_tool_s_annotation_is_read_as_that_tool_reads_it() {
        for (annotation, value) in [
            (DESCHEDULER, ""),
            (DESCHEDULER, "true"),
            (KARPENTER, "true"),
            (KARPENTER, "2h"),
            (KARPENTER, "1h30m"),
            (KARPENTER, "sometimes"),
            (CLUSTER_AUTOSCALER, "false"),
            (KOORDINATOR, "2147483647"),
            (DO_NOT_EVICT, "true"),
            (DO_NOT_EVICT, ""),
        ] {
            assert_eq!(found(annotation, value, 3600), opt_out(annotation, value), "{annotation}={value}");
        }
        for (annotation, value) in [
            (KARPENTER, "false"),
            (KARPENTER, "10m"),
            (CLUSTER_AUTOSCALER, "true"),
            (KOORDINATOR, "100"),
            (DO_NOT_EVICT, "false"),
            ("example.com/do-not-evict", "true"),
        ] {
            assert_eq!(found(annotation, value, 3600), [], "{annotation}={value}");
        }
    }

    #[test]
    fn all_protections_are_listed_not_only_the_first() {
        let annotations: BTreeMap<String, String> =
            [(MIRROR, "5a1f"), (CLUSTER_AUTOSCALER, "false"), (DO_NOT_EVICT, "true")]
                .map(|(annotation, value)| (annotation.to_owned(), value.to_owned()))
                .into();
        let found = protections(&annotations, Some("system-node-critical"), None);
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(found[0], Protection::MirrorPod);
        assert_eq!(found[1], Protection::SystemCritical { class: "system-node-critical".to_owned() });
    }

    #[test]
    fn an_ordinary_priority_class_protects_nothing() {
        assert_eq!(protections(&BTreeMap::new(), Some("high"), None), []);
    }
}
