//! Finds out whether the persistent volumes of pods are local to a node, with minimal permissions.
//!
//! A claim names its provisioner, and most provisioners create volumes of only one kind. Claims are in the
//! namespace of the pods. Only if a claim does not show it, its volume is read, which is a cluster-wide
//! object. What may not be read is unknown, never an error.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use k8s_openapi::api::core::v1::{
    NodeSelectorRequirement, NodeSelectorTerm, PersistentVolume, PersistentVolumeClaim as Claim,
    PersistentVolumeSpec,
};
use rebalancer_core::{ApiFailure, FailureKind, LivePod, LocalVolume, Protection};

use super::cluster::Cluster;
use super::requests::get;

/// Maximum number of volumes to read for one list of pods. Claims of the same provisioner and class share an
/// answer, so only manually created volumes need more than a few.
const MAX_VOLUMES: usize = 16;

/// Annotations in which the cluster writes the provisioner of a claim.
const PROVISIONER: [&str; 2] =
    ["volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"];

/// The provisioner of volumes that are created manually.
const BY_HAND: &str = "kubernetes.io/no-provisioner";

/// Provisioners whose volumes are on one node.
const LOCAL: [&str; 14] = [
    "direct.csi.min.io",
    "directpv-min-io",
    "docker.io/hostpath",
    "hostpath.csi.k8s.io",
    "k8s.io/minikube-hostpath",
    "kubevirt.io.hostpath-provisioner",
    "kubevirt.io/hostpath-provisioner",
    "local.csi.openebs.io",
    "microk8s.io/hostpath",
    "openebs.io/local",
    "rancher.io/local-path",
    "topolvm.cybozu.com",
    "topolvm.io",
    "zfs.csi.openebs.io",
];

/// Provisioners of volumes that any node, or any node of a zone, can use. A cluster may prefix one with its
/// own name and a dot.
const NETWORK: [&str; 22] = [
    "blob.csi.azure.com",
    "block.csi.vultr.com",
    "cephfs.csi.ceph.com",
    "cinder.csi.openstack.org",
    "csi.hetzner.cloud",
    "csi.trident.netapp.io",
    "csi.vsphere.vmware.com",
    "disk.csi.azure.com",
    "dobs.csi.digitalocean.com",
    "driver.longhorn.io",
    "ebs.csi.aws.com",
    "efs.csi.aws.com",
    "file.csi.azure.com",
    "filestore.csi.storage.gke.io",
    "kubernetes.io/aws-ebs",
    "kubernetes.io/azure-disk",
    "kubernetes.io/gce-pd",
    "linodebs.csi.linode.com",
    "nfs.csi.k8s.io",
    "pd.csi.storage.gke.io",
    "rbd.csi.ceph.com",
    "smb.csi.k8s.io",
];

/// Parts of a topology key that covers many nodes. A volume tied to any other key counts as local.
const WIDE_KEYS: [&str; 3] = ["zone", "region", "location"];

/// Whether the volume of a claim is on one node; or why that is unknown, in words that follow the name of the claim.
pub(super) type IsLocal = Result<bool, String>;

/// A claim whose volume was not looked for yet, as a list of pods shows it.
pub(super) const fn unlocated(claim: String) -> LocalVolume {
    LocalVolume::UnknownClaim { claim, why: String::new() }
}

/// Provisioner and storage class, whose volumes are alike; a volume without a provisioner is alone.
type Kind = (Option<String>, Option<String>, Option<String>);

impl Cluster {
    /// Finds out which claims of these pods of the namespace lie on their nodes; adds what is found to what is `known` by
    /// the name of the claim. A pod with data on its node is protected if that is wanted.
    pub(super) fn locate_claims(&self, pods: &mut [&mut LivePod], known: &mut BTreeMap<String, IsLocal>) {
        let asked = |volume: &LocalVolume| match volume {
            LocalVolume::UnknownClaim { claim, why } if why.is_empty() => Some(claim.clone()),
            _ => None,
        };
        let mut wanted: BTreeSet<String> =
            pods.iter().flat_map(|pod| pod.local_storage.iter().filter_map(asked)).collect();
        wanted.retain(|claim| !known.contains_key(claim));
        if !wanted.is_empty() {
            known.extend(self.places_of(&wanted));
        }
        for pod in pods {
            pod.local_storage.retain_mut(|volume| locate(volume, known));
            let is_marked = pod.protections.contains(&Protection::LocalStorage);
            if self.refuses_local_storage() && !pod.local_storage.is_empty() && !is_marked {
                pod.protections.push(Protection::LocalStorage);
            }
        }
    }

    /// Where the volumes of these claims are, one answer for each.
    fn places_of(&self, wanted: &BTreeSet<String>) -> BTreeMap<String, IsLocal> {
        let path = format!("/api/v1/namespaces/{}/persistentvolumeclaims", self.namespace());
        let mut places: BTreeMap<String, IsLocal> = BTreeMap::new();
        // Not the claims themselves, of which a large workload has many.
        let mut unclear: Vec<(String, Kind, Option<String>)> = Vec::new();
        let listed = self.list(&path, None, |page: Vec<Claim>| {
            for mut claim in page {
                let Some(name) = claim.metadata.name.take().filter(|name| wanted.contains(name)) else {
                    continue;
                };
                match is_local(&claim) {
                    Some(is_local) => drop(places.insert(name, Ok(is_local))),
                    None => unclear.push((name, kind(&claim), claim.spec.and_then(|spec| spec.volume_name))),
                }
            }
            Ok(())
        });
        let missing = match listed {
            Ok(()) => "which does not exist".to_owned(),
            Err(failure) => unreadable("list persistentvolumeclaims", &failure),
        };
        let mut kinds: BTreeMap<Kind, IsLocal> = BTreeMap::new();
        for (name, kind, volume) in unclear {
            let place = self.place_by_volume(volume, kind, &mut kinds);
            places.insert(name, place);
        }
        for claim in wanted {
            places.entry(claim.clone()).or_insert_with(|| Err(missing.clone()));
        }
        places
    }

    fn place_by_volume(
        &self,
        volume: Option<String>,
        kind: Kind,
        kinds: &mut BTreeMap<Kind, IsLocal>,
    ) -> IsLocal {
        let volume = volume.filter(|name| !name.is_empty()).ok_or("which is not bound to a volume yet")?;
        if let Some(known) = kinds.get(&kind) {
            return known.clone();
        }
        if kinds.len() == MAX_VOLUMES {
            return Err(format!("one of more than {MAX_VOLUMES} whose volumes would have to be read"));
        }
        let read = || -> Result<PersistentVolume, ApiFailure> {
            self.exchange(get("/api/v1/persistentvolumes", &volume)?)?.read()
        };
        let place = read().map_err(|failure| unreadable("get persistentvolumes", &failure));
        let place =
            place.and_then(|volume| Ok(is_on_a_node(&volume.spec.ok_or("whose volume tells nothing")?)));
        kinds.insert(kind, place.clone());
        place
    }
}

/// Sets where the volume of a claim is; false if it is on no node.
fn locate(volume: &mut LocalVolume, known: &BTreeMap<String, IsLocal>) -> bool {
    let LocalVolume::UnknownClaim { claim, why } = volume else { return true };
    match known.get(claim) {
        Some(Ok(false)) => return false,
        Some(Ok(true)) => *volume = LocalVolume::LocalClaim { claim: mem::take(claim) },
        Some(Err(words)) => words.clone_into(why),
        None => {}
    }
    true
}

fn unreadable(permission: &str, failure: &ApiFailure) -> String {
    if failure.kind == FailureKind::Forbidden {
        return format!("whose volume is not known: this account may not {permission}");
    }
    format!("whose volume is not known: {failure}")
}

fn provisioner(claim: &Claim) -> Option<&str> {
    let annotations = claim.metadata.annotations.as_ref()?;
    let provisioner = PROVISIONER.iter().find_map(|annotation| annotations.get(*annotation))?;
    Some(provisioner.as_str()).filter(|provisioner| *provisioner != BY_HAND)
}

/// Whether the volume is on one node, from the claim alone; `None` if its volume has to be read.
fn is_local(claim: &Claim) -> Option<bool> {
    let provisioner = provisioner(claim)?;
    if LOCAL.contains(&provisioner) {
        return Some(true);
    }
    let is_network = NETWORK.iter().any(|known| {
        provisioner.strip_suffix(known).is_some_and(|name| name.is_empty() || name.ends_with('.'))
    });
    is_network.then_some(false)
}

fn kind(claim: &Claim) -> Kind {
    let spec = claim.spec.as_ref();
    let class = spec.and_then(|spec| spec.storage_class_name.clone()).filter(|class| !class.is_empty());
    let provisioner = provisioner(claim).map(str::to_owned);
    // Manually created volumes differ, even within a class.
    let alone = spec.filter(|_| provisioner.is_none()).and_then(|spec| spec.volume_name.clone());
    (provisioner, class, alone)
}

fn is_on_a_node(volume: &PersistentVolumeSpec) -> bool {
    let affinity = volume.node_affinity.as_ref().and_then(|affinity| affinity.required.as_ref());
    let terms = affinity.map_or(&[][..], |required| &required.node_selector_terms);
    let is_narrow = |term: &NodeSelectorTerm| {
        let is_of_a_node = |it: &NodeSelectorRequirement| !WIDE_KEYS.iter().any(|wide| it.key.contains(wide));
        term.match_fields.as_ref().is_some_and(|fields| !fields.is_empty())
            || term.match_expressions.iter().flatten().any(is_of_a_node)
    };
    volume.local.is_some() || volume.host_path.is_some() || terms.iter().any(is_narrow)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_claim(annotations: &str) -> Option<bool> {
        let claim: Claim = serde_json::from_str(&format!(
            r#"{{"metadata": {{"name": "data", "annotations": {annotations}}}}}"#
        ))
        .expect("a claim");
        is_local(&claim)
    }

    #[test]
    fn a_claim_names_its_provisioner() {
        for (annotations, expected) in [
            ("null", None),
            (r#"{"volume.kubernetes.io/storage-provisioner": "rancher.io/local-path"}"#, Some(true)),
            (r#"{"volume.beta.kubernetes.io/storage-provisioner": "topolvm.io"}"#, Some(true)),
            (r#"{"volume.kubernetes.io/storage-provisioner": "ebs.csi.aws.com"}"#, Some(false)),
            (r#"{"volume.kubernetes.io/storage-provisioner": "rook-ceph.rbd.csi.ceph.com"}"#, Some(false)),
            (r#"{"volume.kubernetes.io/storage-provisioner": "notefs.csi.aws.com"}"#, None),
            (r#"{"volume.kubernetes.io/storage-provisioner": "lvm.example.com"}"#, None),
        ] {
            assert_eq!(by_claim(annotations), expected, "{annotations}");
        }
    }

    #[test]
    fn volumes_made_by_hand_are_asked_one_by_one() {
        let made_by_hand = r#"{"volume.kubernetes.io/storage-provisioner": "kubernetes.io/no-provisioner"}"#;
        assert_eq!(by_claim(made_by_hand), None, "nothing provisions it, so only its volume tells");
        let kind_of = |annotations: &str, volume: &str| {
            let claim: Claim = serde_json::from_str(&format!(
                r#"{{"metadata": {{"name": "data", "annotations": {annotations}}},
                     "spec": {{"volumeName": "{volume}", "storageClassName": "manual"}}}}"#
            ))
            .expect("a claim");
            kind(&claim)
        };
        for annotations in ["null", made_by_hand] {
            assert_ne!(kind_of(annotations, "on-nfs"), kind_of(annotations, "on-a-node"), "{annotations}");
        }
        let provisioned = r#"{"volume.kubernetes.io/storage-provisioner": "lvm.example.com"}"#;
        assert_eq!(kind_of(provisioned, "one"), kind_of(provisioned, "other"));
    }

    #[test]
    fn a_volume_is_local_by_its_kind_or_by_the_nodes_it_is_tied_to() {
        let tied = |key: &str| {
            format!(
                r#"{{"csi": {{}}, "nodeAffinity": {{"required": {{"nodeSelectorTerms": [{{"matchExpressions": [{{"key": "{key}"}}]}}]}}}}}}"#
            )
        };
        for (spec, expected) in [
            (r#"{"local": {"path": "/mnt"}}"#.to_owned(), true),
            (r#"{"hostPath": {"path": "/mnt"}}"#.to_owned(), true),
            (r#"{"nfs": {"server": "a"}, "nodeAffinity": null}"#.to_owned(), false),
            (tied("kubernetes.io/hostname"), true),
            (tied("topology.topolvm.io/node"), true),
            (tied("topology.kubernetes.io/zone"), false),
            (tied("csi.hetzner.cloud/location"), false),
        ] {
            let volume: PersistentVolumeSpec = serde_json::from_str(&spec).expect("a volume");
            assert_eq!(is_on_a_node(&volume), expected, "{spec}");
        }
    }
}
