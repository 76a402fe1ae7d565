//! Finds out whether the persistent volumes of pods are local to a node, with minimal permissions.
//!
//! A claim names its provisioner, and most provisioners create volumes of only one kind. Claims are in the
//! namespace of the pods. Only if a claim does not show it, its volume is read, which is a cluster-wide
//! object. What may not be read is unknown, never an error.

use std::collections::{BTreeMap, BTreeSet};

use kube::api::GetParams;
use kube::core::Request;
use rebalancer_core::{ApiFailure, FailureKind, LocalVolume};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::cluster::Cluster;
use super::fields::{ListMeta, null_is_empty};
use super::list::{Page, unsendable};

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
struct ClaimPage {
    #[serde(default, deserialize_with = "null_is_empty")]
    metadata: ListMeta,
    #[serde(deserialize_with = "null_is_empty")]
    items: Vec<Claim>,
}

impl Page for ClaimPage {
    fn next(&self) -> Option<String> {
        self.metadata.continue_token.clone()
    }
}

#[derive(Deserialize)]
struct Claim {
    metadata: ClaimMeta,
    #[serde(default, deserialize_with = "null_is_empty")]
    spec: ClaimSpec,
}

#[derive(Deserialize)]
struct ClaimMeta {
    name: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ClaimSpec {
    volume_name: Option<String>,
    storage_class_name: Option<String>,
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
    #[serde(default, deserialize_with = "null_is_empty")]
    node_affinity: NodeAffinity,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct NodeAffinity {
    #[serde(deserialize_with = "null_is_empty")]
    required: NodeSelector,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct NodeSelector {
    #[serde(deserialize_with = "null_is_empty")]
    node_selector_terms: Vec<Term>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Term {
    #[serde(deserialize_with = "null_is_empty")]
    match_expressions: Vec<Expression>,
    #[serde(deserialize_with = "null_is_empty")]
    match_fields: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
struct Expression {
    key: String,
}

/// Provisioner and storage class, whose volumes are alike; a volume without a provisioner is alone.
type Kind = (Option<String>, Option<String>, Option<String>);

impl Cluster {
    /// Where the volumes of these claims are, one answer for each.
    pub(super) fn places_of(&self, wanted: &BTreeSet<String>) -> BTreeMap<String, Place> {
        let path = format!("/api/v1/namespaces/{}/persistentvolumeclaims", self.namespace());
        let mut claims: Vec<Claim> = Vec::new();
        let listed = self.list(&path, None, |page: ClaimPage| {
            claims.extend(page.items.into_iter().filter(|claim| wanted.contains(&claim.metadata.name)));
            Ok(())
        });
        let missing = match listed {
            Ok(()) => "which does not exist".to_owned(),
            Err(failure) => unreadable("list persistentvolumeclaims", &failure),
        };
        let mut places: BTreeMap<String, Place> =
            wanted.iter().map(|claim| (claim.clone(), Place::Unknown(missing.clone()))).collect();
        let mut kinds: BTreeMap<Kind, Place> = BTreeMap::new();
        for claim in claims {
            let place = claim.place().unwrap_or_else(|| self.place_by_volume(&claim, &mut kinds));
            places.insert(claim.metadata.name, place);
        }
        places
    }

    fn place_by_volume(&self, claim: &Claim, kinds: &mut BTreeMap<Kind, Place>) -> Place {
        let Some(volume) = claim.spec.volume_name.as_deref().filter(|name| !name.is_empty()) else {
            return Place::Unknown("which is not bound to a volume yet".to_owned());
        };
        let kind = claim.kind();
        if let Some(known) = kinds.get(&kind) {
            return known.clone();
        }
        if kinds.len() == MAX_VOLUMES {
            return Place::Unknown(format!(
                "one of more than {MAX_VOLUMES} whose volumes would have to be read"
            ));
        }
        let place = self.volume(volume).map_or_else(
            |failure| Place::Unknown(unreadable("get persistentvolumes", &failure)),
            |volume| volume.place(),
        );
        kinds.insert(kind, place.clone());
        place
    }

    fn volume(&self, name: &str) -> Result<Volume, ApiFailure> {
        let request = Request::new("/api/v1/persistentvolumes").get(name, &GetParams::default());
        self.exchange(request.map_err(|error| unsendable(&error))?)?.read()
    }
}

fn unreadable(permission: &str, failure: &ApiFailure) -> String {
    if failure.kind == FailureKind::Forbidden {
        return format!("whose volume is not known: this account may not {permission}");
    }
    format!("whose volume is not known: {failure}")
}

impl Claim {
    fn provisioner(&self) -> Option<&str> {
        PROVISIONER
            .iter()
            .find_map(|annotation| self.metadata.annotations.get(*annotation))
            .map(String::as_str)
            .filter(|provisioner| *provisioner != BY_HAND)
    }

    /// The answer from the claim alone; `None` if its volume has to be read.
    fn place(&self) -> Option<Place> {
        let provisioner = self.provisioner()?;
        if LOCAL.contains(&provisioner) {
            return Some(Place::Node);
        }
        let is_network = NETWORK.iter().any(|known| {
            provisioner.strip_suffix(known).is_some_and(|name| name.is_empty() || name.ends_with('.'))
        });
        is_network.then_some(Place::Network)
    }

    fn kind(&self) -> Kind {
        let class = self.spec.storage_class_name.clone().filter(|class| !class.is_empty());
        let provisioner = self.provisioner().map(str::to_owned);
        // Manually created volumes differ, even within a class.
        let alone = if provisioner.is_none() { self.spec.volume_name.clone() } else { None };
        (provisioner, class, alone)
    }
}

impl Volume {
    fn place(&self) -> Place {
        let terms = &self.spec.node_affinity.required.node_selector_terms;
        let is_narrow = |term: &Term| {
            let is_of_a_node = |it: &Expression| !WIDE_KEYS.iter().any(|wide| it.key.contains(wide));
            !term.match_fields.is_empty() || term.match_expressions.iter().any(is_of_a_node)
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
        claim.place()
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
        let kind = |annotations: &str, volume: &str| {
            let claim: Claim = serde_json::from_str(&format!(
                r#"{{"metadata": {{"name": "data", "annotations": {annotations}}},
                     "spec": {{"volumeName": "{volume}", "storageClassName": "manual"}}}}"#
            ))
            .expect("a claim");
            claim.kind()
        };
        for annotations in ["null", made_by_hand] {
            assert_ne!(kind(annotations, "on-nfs"), kind(annotations, "on-a-node"), "{annotations}");
        }
        let provisioned = r#"{"volume.kubernetes.io/storage-provisioner": "lvm.example.com"}"#;
        assert_eq!(kind(provisioned, "one"), kind(provisioned, "other"));
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
