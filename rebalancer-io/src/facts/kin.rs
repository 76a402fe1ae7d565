//! Recognises by its name whether a deleted pod belonged to a workload, because no server remembers it.

use std::collections::BTreeSet;

use rebalancer_core::LivePod;

/// Number of random characters that Kubernetes appends to the name of a pod.
const SUFFIX: usize = 5;

/// The characters of the hash of a template that stands between Deployment and suffix; Kubernetes leaves out what could make
/// a word (`SafeEncodeString` in k8s.io/apimachinery).
const OF_HASHES: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// The pods of a workload, alive or gone.
#[derive(Debug, Clone)]
pub struct Kin<'a> {
    live: BTreeSet<&'a str>,
    controllers: BTreeSet<&'a str>,
    deployments: BTreeSet<&'a str>,
}

impl<'a> Kin<'a> {
    /// The kin of these pods: pods created by one of their controllers, or by another `ReplicaSet` of their
    /// Deployment.
    ///
    /// ```
    /// use rebalancer_core::{Controller, LivePod};
    /// use rebalancer_io::facts::Kin;
    ///
    /// let controller = Controller { group: None, kind: "ReplicaSet".into(), name: "orders-6d5f9".into(), uid: "1".into() };
    /// let live = [LivePod { controller: Some(controller), ..LivePod::assumed("orders-6d5f9-x7k2p") }];
    /// let kin = Kin::of(&live);
    /// assert!(kin.has("orders-6d5f9-m2vtl") && kin.has("orders-77b4c-9fq4d"));
    /// assert!(!kin.has("orders-api-6d5f9-x7k2p") && !kin.has("orders-0"));
    /// // A pod of a Job that is called after the Deployment.
    /// assert!(!kin.has("orders-migrate-x7k2p"));
    /// ```
    pub fn of(live: &'a [LivePod]) -> Self {
        let controllers = || live.iter().filter_map(|pod| pod.controller.as_ref());
        let replica_sets = controllers().filter(|controller| controller.kind == "ReplicaSet");
        Self {
            live: live.iter().map(|pod| pod.name.as_str()).collect(),
            controllers: controllers().map(|controller| controller.name.as_str()).collect(),
            deployments: replica_sets.filter_map(|set| Some(set.name.rsplit_once('-')?.0)).collect(),
        }
    }

    /// Whether the pod `name` is or was one of them.
    pub fn has(&self, name: &str) -> bool {
        let Some((maker, own)) = name.rsplit_once('-') else { return self.live.contains(name) };
        let is_hash = |hash: &str| hash.bytes().all(|letter| OF_HASHES.contains(&letter));
        let of_deployment = |maker: &str| {
            maker
                .rsplit_once('-')
                .is_some_and(|(name, hash)| is_hash(hash) && self.deployments.contains(name))
        };
        self.live.contains(name)
            || self.controllers.contains(maker)
            || (own.len() == SUFFIX && of_deployment(maker))
    }
}
