//! Which volumes of pods lie on their nodes, over HTTP against a simulated API server.

use rebalancer_io::driver::Look as _;
use rebalancer_io::kubernetes::{Cluster, ConnectOptions, Selector};
use rebalancer_sim::apiserver::{ApiServer, Fleet};

fn connect(server: &ApiServer) -> Cluster {
    let options = ConnectOptions { kubeconfig: Some(server.kubeconfig_path()), ..ConnectOptions::default() };
    Cluster::connect(&options).expect("the kubeconfig of the simulated server")
}

fn selector() -> Selector {
    Selector::new("app=orders").expect("a selector")
}

/// The claim of a pod, and the volume that it is bound to.
fn stored(annotations: &str, volume: &str) -> Fleet {
    let mut fleet = Fleet::deployment("orders", 3);
    fleet.volumes = vec![serde_json::json!({"name": "data", "persistentVolumeClaim": {"claimName": "data"}})];
    let object = |text: &str| serde_json::from_str(text).expect("an object");
    let claim = format!(
        r#"{{"metadata": {{"name": "data", "annotations": {annotations}}}, "spec": {{"volumeName": "pv-1"}}}}"#
    );
    let volume = format!(r#"{{"metadata": {{"name": "pv-1"}}, "spec": {volume}}}"#);
    fleet.objects.insert("persistentvolumeclaims/data".to_owned(), object(&claim));
    fleet.objects.insert("persistentvolumes/pv-1".to_owned(), object(&volume));
    fleet
}

const BY_LOCAL_PATH: &str = r#"{"volume.kubernetes.io/storage-provisioner": "rancher.io/local-path"}"#;
const BY_HAND: &str = r#"{"pv.kubernetes.io/bind-completed": "yes"}"#;

#[test]
fn volumes_that_lie_on_a_node_are_found_by_their_claims() {
    let local = |server: &ApiServer| {
        let pods = connect(server).observer(selector()).list_workload().expect("a workload").pods;
        pods[0].local_storage.iter().map(ToString::to_string).collect::<Vec<String>>()
    };
    let volumes_read = |server: &ApiServer| {
        server.requests().iter().filter(|asked| asked.path().contains("/persistentvolumes/")).count()
    };
    for (annotations, volume, expected, read) in [
        (BY_LOCAL_PATH, r#"{"hostPath": {"path": "/opt"}}"#, "claim data", 0),
        (BY_HAND, r#"{"local": {"path": "/mnt"}}"#, "claim data", 1),
        (BY_HAND, r#"{"nfs": {"server": "a", "path": "/"}}"#, "", 1),
    ] {
        let server = ApiServer::start(stored(annotations, volume));
        assert_eq!(local(&server).join(", "), expected, "{annotations} {volume}");
        assert_eq!(volumes_read(&server), read, "{annotations} {volume}");
    }
    for (denied, annotations, expected) in [
        ("list persistentvolumeclaims", BY_LOCAL_PATH, "this account may not list persistentvolumeclaims"),
        ("get persistentvolumes", BY_HAND, "this account may not get persistentvolumes"),
    ] {
        let server = ApiServer::start(stored(annotations, r#"{"local": {"path": "/mnt"}}"#));
        server.deny(denied);
        assert_eq!(local(&server), [format!("claim data, whose volume is not known: {expected}")]);
    }
    let mut fleet = stored(BY_HAND, "{}");
    fleet.volumes = vec![serde_json::json!({"name": "scratch", "ephemeral": {"volumeClaimTemplate": {}}})];
    let server = ApiServer::start(fleet);
    assert_eq!(local(&server), ["claim orders-0-scratch, which does not exist"]);
}

#[test]
fn claims_are_looked_at_once_and_not_at_all_where_there_are_none() {
    let lists = |server: &ApiServer| {
        server.requests().iter().filter(|asked| asked.path().contains("/persistentvolume")).count()
    };
    let server = ApiServer::start(stored(BY_LOCAL_PATH, "{}"));
    let cluster = connect(&server);
    let mut observer = cluster.observer(selector());
    for _ in 0..3 {
        observer.list_workload().expect("a workload");
    }
    assert_eq!(lists(&server), 1);
    let server = ApiServer::start(Fleet::deployment("orders", 3));
    connect(&server).observer(selector()).list_workload().expect("a workload");
    assert_eq!(lists(&server), 0);
}
