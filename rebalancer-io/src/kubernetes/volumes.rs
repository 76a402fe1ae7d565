//! Finds out whether the persistent volumes of pods are local to a node, with minimal permissions.
//!
//! A claim names its provisioner, and most provisioners create volumes of only one kind. Claims are in the
//! namespace of the pods. Only if a claim does not show it, its volume is read, which is a cluster-wide
//! object. What may not be read is unknown, never an error.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{
    NodeSelectorRequirement, NodeSelectorTerm, PersistentVolumeClaim as Claim, VolumeNodeAffinity,
};
use rebalancer_core::{ApiFailure, FailureKind, LivePod, LocalVolume, Protection};
use serde::Deserialize;
use serde::de::IgnoredAny;

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

/// Whether the volume of a claim is local.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Node,
    Network,
    /// Why it is unknown, in words that follow the name of the claim.
    Unknown(String),
}

impl Place {
    /// The claim as local storage of its pod; `None` if it is not local.
    pub(super) fn of_claim(&self, claim: &str) -> Option<LocalVolume> {
        let claim = claim.to_owned();
        match self {
            Self::Node => Some(LocalVolume::LocalClaim { claim }),
            Self::Network => None,
            Self::Unknown(why) => Some(LocalVolume::UnknownClaim { claim, why: why.clone() }),
        }
    }
}

#[derive(Deserialize)]
struct Volume {
    spec: VolumeSpec,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VolumeSpec {
    local: Option<IgnoredAny>,
    host_path: Option<IgnoredAny>,
    node_affinity: Option<VolumeNodeAffinity>,
}

/// Provisioner and storage class, whose volumes are alike; a volume without a provisioner is alone.
type Kind = (Option<String>, Option<String>, Option<String>);

impl Cluster {
    /// Adds to a pod which of its `claims`, known by its name, lie on its node. A pod with data on its node is protected if
    /// that is wanted.
    pub(super) fn add_local_claims(
        &self,
        pod: &mut LivePod,
        claims: &BTreeMap<String, Vec<String>>,
        places: &BTreeMap<String, Place>,
    ) {
        let own = claims.get(&pod.name).into_iter().flatten();
        pod.local_storage.extend(own.filter_map(|claim| places.get(claim)?.of_claim(claim)));
        let is_marked = pod.protections.contains(&Protection::LocalStorage);
        if self.refuses_local_storage() && !pod.local_storage.is_empty() && !is_marked {
            pod.protections.push(Protection::LocalStorage);
        }
    }

    /// Where the volumes of these claims are, one answer for each.
    pub(super) fn places_of(&self, wanted: &BTreeSet<String>) -> BTreeMap<String, Place> {
        let path = format!("/api/v1/namespaces/{}/persistentvolumeclaims", self.namespace());
        let mut places: BTreeMap<String, Place> = BTreeMap::new();
        // Not the claims themselves, of which a large workload has many.
        let mut unclear: Vec<(String, Kind, Option<String>)> = Vec::new();
        let listed = self.list(&path, None, |page: Vec<Claim>| {
            for mut claim in page {
                let Some(name) = claim.metadata.name.take().filter(|name| wanted.contains(name)) else {
                    continue;
                };
                match place(&claim) {
                    Some(place) => drop(places.insert(name, place)),
                    None => unclear.push((name, kind(&claim), claim.spec.and_then(|spec| spec.volume_name))),
                }
            }
            Ok(())
        });
        let missing = match listed {
            Ok(()) => "which does not exist".to_owned(),
            Err(failure) => unreadable("list persistentvolumeclaims", &failure),
        };
        let mut kinds: BTreeMap<Kind, Place> = BTreeMap::new();
        for (name, kind, volume) in unclear {
            let place = self.place_by_volume(volume, kind, &mut kinds);
            places.insert(name, place);
        }
        for claim in wanted {
            places.entry(claim.clone()).or_insert_with(|| Place::Unknown(missing.clone()));
        }
        places
    }

    fn place_by_volume(
        &self,
        volume: Option<String>,
        kind: Kind,
        kinds: &mut BTreeMap<Kind, Place>,
    ) -> Place {
        let Some(volume) = volume.filter(|name| !name.is_empty()) else {
            return Place::Unknown("which is not bound to a volume yet".to_owned());
        };
        if let Some(known) = kinds.get(&kind) {
            return known.clone();
        }
        if kinds.len() == MAX_VOLUMES {
            return Place::Unknown(format!(
                "one of more than {MAX_VOLUMES} whose volumes would have to be read"
            ));
        }
        let place = self.volume(&volume).map_or_else(
            |failure| Place::Unknown(unreadable("get persistentvolumes", &failure)),
            |volume| volume.place(),
        );
        kinds.insert(kind, place.clone());
        place
    }

    fn volume(&self, name: &str) -> Result<Volume, ApiFailure> {
        self.exchange(get("/api/v1/persistentvolumes", name)?)?.read()
    }
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

/// The answer from the claim alone; `None` if its volume has to be read.
fn place(claim: &Claim) -> Option<Place> {
    let provisioner = provisioner(claim)?;
    if LOCAL.contains(&provisioner) {
        return Some(Place::Node);
    }
    let is_network = NETWORK.iter().any(|known| {
        provisioner.strip_suffix(known).is_some_and(|name| name.is_empty() || name.ends_with('.'))
    });
    is_network.then_some(Place::Network)
}

fn kind(claim: &Claim) -> Kind {
    let spec = claim.spec.as_ref();
    let class = spec.and_then(|spec| spec.storage_class_name.clone()).filter(|class| !class.is_empty());
    let provisioner = provisioner(claim).map(str::to_owned);
    // Manually created volumes differ, even within a class.
    let alone = spec.filter(|_| provisioner.is_none()).and_then(|spec| spec.volume_name.clone());
    (provisioner, class, alone)
}

impl Volume {
    fn place(&self) -> Place {
        let affinity = self.spec.node_affinity.as_ref().and_then(|affinity| affinity.required.as_ref());
        let terms = affinity.map_or(&[][..], |required| &required.node_selector_terms);
        let is_narrow = |term: &NodeSelectorTerm| {
            let is_of_a_node =
                |it: &NodeSelectorRequirement| !WIDE_KEYS.iter().any(|wide| it.key.contains(wide));
            term.match_fields.as_ref().is_some_and(|fields| !fields.is_empty())
                || term.match_expressions.iter().flatten().any(is_of_a_node)
        };
        let is_local = self.spec.local.is_some() || self.spec.host_path.is_some();
        if is_local || terms.iter().any(is_narrow) { Place::Node } else { Place::Network }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_claim(annotations: &str) -> Option<Place> {
        let claim: Claim = serde_json::from_str(&format!(
            r#"{{"metadata": {{"name": "data", "annotations": {annotations}}}}}"#
        ))
        .expect("a claim");
        place(&claim)
    }

    #[test]
    fn a_claim_names_its_provisioner() {
        for (annotations, expected) in [
            ("null", None),
            (r#"{"volume.kubernetes.io/storage-provisioner": "rancher.io/local-path"}"#, Some(Place::Node)),
            (r#"{"volume.beta.kubernetes.io/storage-provisioner": "topolvm.io"}"#, Some(Place::Node)),
            (r#"{"volume.kubernetes.io/storage-provisioner": "ebs.csi.aws.com"}"#, Some(Place::Network)),
            (
                r#"{"volume.kubernetes.io/storage-provisioner": "rook-ceph.rbd.csi.ceph.com"}"#,
                Some(Place::Network),
            ),
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
            (r#"{"local": {"path": "/mnt"}}"#.to_owned(), Place::Node),
            (r#"{"hostPath": {"path": "/mnt"}}"#.to_owned(), Place::Node),
            (r#"{"nfs": {"server": "a"}, "nodeAffinity": null}"#.to_owned(), Place::Network),
            (tied("kubernetes.io/hostname"), Place::Node),
            (tied("topology.topolvm.io/node"), Place::Node),
            (tied("topology.kubernetes.io/zone"), Place::Network),
            (tied("csi.hetzner.cloud/location"), Place::Network),
        ] {
            let volume: Volume = serde_json::from_str(&format!(r#"{{"spec": {spec}}}"#)).expect("a volume");
            assert_eq!(volume.place(), expected, "{spec}");
        }
    }
}
