//! What a stop does to requests: most end with it, and what became of an eviction is still told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rebalancer_core::{FailureKind, Role, RotationPlan};
use rebalancer_io::driver::PodManager;
use rebalancer_io::kubernetes::{Cluster, ConnectOptions, Notice};
use rebalancer_sim::apiserver::{ApiServer, Effect, Fault, Fleet, SimRequest};

use super::rotation::{BUSIEST, LEAST_BUSY, options, real, selector};

/// Sets `stop` once something is asked for by `method` at a path that ends in `end`.
fn stop_at(server: &ApiServer, (method, end): (&str, &str), stop: &AtomicBool) {
    let is_it = |asked: &SimRequest| asked.method == method && asked.path().ends_with(end);
    while !server.requests().iter().any(is_it) {
        thread::sleep(Duration::from_millis(5));
    }
    stop.store(true, Ordering::Relaxed);
}

fn connect_until(server: &ApiServer, stop: &Arc<AtomicBool>) -> Cluster {
    let (kubeconfig, stop) = (Some(server.kubeconfig_path()), Arc::clone(stop));
    let options = ConnectOptions { kubeconfig, stop, ..ConnectOptions::default() };
    Cluster::connect(&options).expect("the kubeconfig of the simulated server")
}

#[test]
fn a_stop_during_the_look_at_a_pod_does_not_end_it() {
    let server = ApiServer::start(Fleet::deployment("orders", 4));
    server.inject(Fault::on("POST", "/eviction?", Effect::HangupAfter).after(2).times(1));
    server.inject(Fault::on("GET", "/pods/orders-1", Effect::Stall(Duration::from_secs(1))));
    let stop = Arc::default();
    let cluster = connect_until(&server, &stop);
    let mut evictor = cluster.evictor(selector(), "cpu is uneven");
    let workload = cluster.observer(selector()).workload().expect("a workload");
    let targets = [(Role::Busiest, BUSIEST), (Role::LeastBusy, LEAST_BUSY)];
    let plan = RotationPlan::new(&targets, &workload, options()).expect("a plan");
    let report = thread::scope(|scope| {
        scope.spawn(|| stop_at(&server, ("GET", BUSIEST), &stop));
        PodManager::new(&mut evictor, Instant::now(), &stop).delete_pods(plan)
    });
    assert_eq!(report.deleted, [BUSIEST], "{report:?}");
    assert_eq!((report.reason.code(), real(&server).len()), ("stop_requested", 1), "{report:?}");
}

#[test]
fn an_event_is_written_although_a_stop_comes_and_nothing_else_is_asked_after_it() {
    let server = ApiServer::start(Fleet::deployment("orders", 4));
    server.inject(Fault::on("POST", "/events?", Effect::Stall(Duration::from_secs(1))));
    let stop = Arc::default();
    let cluster = connect_until(&server, &stop);
    let owned = cluster.observer(selector()).workload().expect("a workload");
    let (workload, note) = (&owned.owners[0].top, "orders-1 was ill");
    let notice = Notice { workload, pod: None, reason: "Rotated", note, is_warning: false, cure: Some(None) };
    let told = thread::scope(|scope| {
        scope.spawn(|| stop_at(&server, ("POST", "/events"), &stop));
        cluster.notify(&notice)
    });
    told.expect("it is written");
    let sent = cluster.requests();
    let error = cluster.observer(selector()).workload().expect_err("a stop was asked for");
    assert_eq!((error.failure.kind, cluster.requests()), (FailureKind::NoAnswer, sent), "{error}");
}
