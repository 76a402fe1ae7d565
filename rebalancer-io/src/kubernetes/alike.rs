//! The labels of living pods, and what controls those that have the same: does what selects the pods of one workload
//! select those of others too?

use std::collections::{BTreeMap, BTreeSet};

use kube::core::{Selector, SelectorExt as _};
use rebalancer_core::Controller;

/// Labels that each pod of a stateful set has for itself. No workload finds its pods by them.
const OF_ONE_POD: [&str; 2] = ["apps.kubernetes.io/pod-index", "statefulset.kubernetes.io/pod-name"];

pub(super) type Labels = BTreeMap<String, String>;

/// The UIDs of the controllers of some pods; `None` of a pod without one.
type Controllers = BTreeSet<Option<String>>;

/// Living pods by namespace and labels, while they are listed.
#[derive(Debug, Default)]
pub(super) struct Listed(BTreeMap<String, BTreeMap<Labels, Controllers>>);

impl Listed {
    pub(super) fn add(&mut self, namespace: String, mut labels: Labels, controller: Option<&Controller>) {
        labels.retain(|name, _| !OF_ONE_POD.contains(&name.as_str()));
        let alike = self.0.entry(namespace).or_default().entry(labels).or_default();
        alike.insert(controller.map(|owner| owner.uid.clone()));
    }

    /// All of them, to be asked about.
    pub(super) fn finished(self) -> Alike {
        Alike(self.0.into_iter().map(|(namespace, pods)| (namespace, OfNamespace::new(pods))).collect())
    }
}

/// All living pods that were listed, by namespace.
#[derive(Default)]
pub(super) struct Alike(BTreeMap<String, OfNamespace>);

struct OfNamespace {
    all: Vec<(Labels, Controllers)>,
    /// The places in `all` of those that have a label: ten thousand workloads are each held against few others.
    having: BTreeMap<(String, String), Vec<usize>>,
}

impl OfNamespace {
    fn new(pods: BTreeMap<Labels, Controllers>) -> Self {
        let all: Vec<(Labels, Controllers)> = pods.into_iter().collect();
        let mut having: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
        for (place, (labels, _)) in all.iter().enumerate() {
            for (name, value) in labels {
                having.entry((name.clone(), value.clone())).or_default().push(place);
            }
        }
        Self { all, having }
    }

    /// The places of all pods that may have all of `wanted`.
    fn candidates(&self, wanted: &Labels) -> Vec<usize> {
        let having = |(name, value): (&String, &String)| {
            self.having.get(&(name.clone(), value.clone())).map_or(&[][..], Vec::as_slice)
        };
        let fewest = wanted.iter().map(having).min_by_key(|places| places.len());
        fewest.map_or_else(|| (0..self.all.len()).collect(), <[usize]>::to_vec)
    }
}

impl Alike {
    /// Whether `selector` selects pods that none of the `own` controllers has. Among other things it asks for the labels `wanted`.
    pub(super) fn has_others(
        &self,
        namespace: &str,
        selector: &Selector,
        wanted: &Labels,
        own: &[Controller],
    ) -> bool {
        let Some(pods) = self.0.get(namespace) else { return false };
        let is_own = |uid: &String| own.iter().any(|set| set.uid == *uid);
        let is_other = |uid: &Option<String>| !uid.as_ref().is_some_and(is_own);
        pods.candidates(wanted).into_iter().any(|place| {
            let (labels, controllers) = &pods.all[place];
            controllers.iter().any(is_other) && selector.matches(labels)
        })
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Expression;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn set(uid: &str) -> Controller {
        let [kind, name, uid] = ["ReplicaSet", uid, uid].map(str::to_owned);
        Controller { group: Some("apps".to_owned()), kind, name, uid }
    }

    #[test]
    fn pods_of_others_are_found_by_labels_and_by_expressions() {
        let mut listed = Listed::default();
        let mut add = |namespace: &str, pairs: &[(&str, &str)], uid: Option<&str>| {
            listed.add(namespace.to_owned(), labels(pairs), uid.map(set).as_ref());
        };
        add("shop", &[("app", "orders"), ("tier", "web")], Some("orders"));
        add("shop", &[("app", "orders"), ("tier", "web"), ("track", "canary")], Some("canary"));
        add("shop", &[("app", "pay"), ("tier", "web")], Some("pay"));
        add("bare", &[("app", "orders")], None);
        add("bare", &[("app", "orders"), (OF_ONE_POD[0], "0")], Some("orders"));
        let alike = listed.finished();
        let has_others = |namespace: &str, pairs: &[(&str, &str)], own: &str| {
            let wanted = labels(pairs);
            alike.has_others(namespace, &Selector::from_iter(wanted.clone()), &wanted, &[set(own)])
        };
        assert!(has_others("shop", &[("app", "orders")], "orders"), "the canary");
        assert!(!has_others("shop", &[("app", "orders"), ("track", "canary")], "canary"));
        assert!(!has_others("shop", &[("app", "pay")], "pay"));
        assert!(has_others("shop", &[("tier", "web")], "pay"));
        assert!(!has_others("shop", &[("app", "gone")], "gone"));
        assert!(!has_others("elsewhere", &[("app", "orders")], "orders"));
        assert!(has_others("bare", &[("app", "orders")], "orders"), "a pod without a controller");
        let not_canary: Selector = Expression::DoesNotExist("track".to_owned()).into();
        assert!(alike.has_others("shop", &not_canary, &Labels::new(), &[set("orders")]));
    }

    #[test]
    fn a_workload_is_held_against_the_pods_with_its_rarest_label() {
        let mut listed = Listed::default();
        for number in 0..1_000 {
            let app = format!("app-{number}");
            listed.add("shop".to_owned(), labels(&[("app", &app), ("tier", "web")]), Some(&set(&app)));
        }
        let alike = listed.finished();
        let pods = &alike.0["shop"];
        assert_eq!(pods.candidates(&labels(&[("app", "app-7"), ("tier", "web")])).len(), 1);
        assert_eq!(pods.candidates(&labels(&[("tier", "web")])).len(), 1_000);
        assert_eq!(pods.candidates(&Labels::new()).len(), 1_000);
    }
}
