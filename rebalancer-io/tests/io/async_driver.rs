//! The asynchronous example: a stop waits for an eviction in flight.

use std::time::Duration;

use rebalancer_core::RotationOutcome;
use tokio::runtime::Builder;
use tokio::time;

use crate::example::{Cluster, drive, plan};

/// The outcome, the pods that were evicted, and the pods that are gone, when a stop comes after so long.
fn stopped_after(stop_ms: u64) -> (RotationOutcome, Vec<String>, usize) {
    let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
    let cluster = Cluster::new(Duration::from_millis(200));
    let stop = async move { time::sleep(Duration::from_millis(stop_ms)).await };
    let report = runtime.block_on(async {
        drive(plan(&cluster).expect("a plan"), &cluster, stop).await.expect("answers that fit")
    });
    (report.outcome, report.deleted, 6 - cluster.pods().len())
}

#[test]
fn a_stop_waits_for_the_answer_to_the_eviction_in_flight() {
    let first = "orders-4".to_owned();
    assert_eq!(stopped_after(50), (RotationOutcome::Partial, vec![first.clone()], 1));
    assert_eq!(stopped_after(60_000), (RotationOutcome::Rotated, vec![first, "orders-5".to_owned()], 2));
}
