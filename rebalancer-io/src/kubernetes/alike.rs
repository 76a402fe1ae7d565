//! The labels of living pods, and what controls those that have the same: does what selects the pods of one workload
//! select those of others too?

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use kube::core::{Selector, SelectorExt as _};
use rebalancer_core::Controller;

/// Labels that each pod of a stateful set has for itself. No workload finds its pods by them.
const OF_ONE_POD: [&str; 2] = ["apps.kubernetes.io/pod-index", "statefulset.kubernetes.io/pod-name"];

pub(super) type Labels = BTreeMap<String, String>;

/// The UIDs of the controllers of some pods; `None` of a pod without one.
type Controllers = BTreeSet<Option<String>>;

/// The living pods that were listed, by namespace.
#[derive(Default)]
pub(super) struct Alike(BTreeMap<String, OfNamespace>);

#[derive(Default)]
struct OfNamespace {
    all: Vec<(Rc<Labels>, Controllers)>,
    /// The place in `all` of those with these labels.
    places: BTreeMap<Rc<Labels>, usize>,
    /// The places in `all` of those that have a label: ten thousand workloads are each held against few others.
    having: BTreeMap<(String, String), Vec<usize>>,
}

impl OfNamespace {
    /// The place of those with these labels.
    fn place(&mut self, labels: Labels) -> usize {
        if let Some(known) = self.places.get(&labels) {
            return *known;
        }
        let (place, labels) = (self.all.len(), Rc::new(labels));
        for (name, value) in &*labels {
            self.having.entry((name.clone(), value.clone())).or_default().push(place);
        }
        self.places.insert(Rc::clone(&labels), place);
        self.all.push((labels, Controllers::new()));
        place
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
    pub(super) fn add(&mut self, namespace: String, mut labels: Labels, controller: Option<&Controller>) {
        labels.retain(|name, _| !OF_ONE_POD.contains(&name.as_str()));
        let pods = self.0.entry(namespace).or_default();
        let place = pods.place(labels);
        pods.all[place].1.insert(controller.map(|owner| owner.uid.clone()));
    }

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
        let mut alike = Alike::default();
        let mut add = |namespace: &str, pairs: &[(&str, &str)], uid: Option<&str>| {
            alike.add(namespace.to_owned(), labels(pairs), uid.map(set).as_ref());
        };
        add("shop", &[("app", "orders"), ("tier", "web")], Some("orders"));
        add("shop", &[("app", "orders"), ("tier", "web"), ("track", "canary")], Some("canary"));
        add("shop", &[("app", "pay"), ("tier", "web")], Some("pay"));
        add("bare", &[("app", "orders")], None);
        add("bare", &[("app", "orders"), (OF_ONE_POD[0], "0")], Some("orders"));
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
        let mut alike = Alike::default();
        for number in 0..1_000 {
            let app = format!("app-{number}");
            alike.add("shop".to_owned(), labels(&[("app", &app), ("tier", "web")]), Some(&set(&app)));
        }
        let pods = &alike.0["shop"];
        assert_eq!(pods.candidates(&labels(&[("app", "app-7"), ("tier", "web")])).len(), 1);
        assert_eq!(pods.candidates(&labels(&[("tier", "web")])).len(), 1_000);
        assert_eq!(pods.candidates(&Labels::new()).len(), 1_000);
    }
}
