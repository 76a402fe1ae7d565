//! Decisions on recorded answers of real servers, whole.

use crate::program::{check, run};

#[track_caller]
fn table(snapshot: &str) -> String {
    check(&["replay", &format!("testdata/snapshots/{snapshot}")], &[])
}

#[track_caller]
fn json(snapshot: &str) -> String {
    check(&["replay", &format!("testdata/snapshots/{snapshot}"), "-o", "json"], &[])
}

#[test]
fn twelve_pods_of_prometheus() {
    insta::assert_snapshot!("orders-12-prometheus", table("orders-12-prometheus"));
    insta::assert_snapshot!("orders-12-prometheus-json", json("orders-12-prometheus"));
}

#[test]
fn twelve_pods_of_victoriametrics() {
    insta::assert_snapshot!("orders-12-victoriametrics", table("orders-12-victoriametrics"));
    insta::assert_snapshot!("orders-12-victoriametrics-json", json("orders-12-victoriametrics"));
}

#[test]
fn twelve_pods_of_which_three_take_no_part() {
    insta::assert_snapshot!("orders-12-with-pods", table("orders-12-with-pods"));
    insta::assert_snapshot!("orders-12-with-pods-json", json("orders-12-with-pods"));
    let wide = check(&["replay", "testdata/snapshots/orders-12-with-pods", "-o", "wide"], &[]);
    insta::assert_snapshot!("orders-12-with-pods-wide", wide);
}

#[test]
fn a_thousand_pods() {
    insta::assert_snapshot!("streams-1000-prometheus", table("streams-1000-prometheus"));
    insta::assert_snapshot!("streams-1000-victoriametrics", table("streams-1000-victoriametrics"));
}

/// The two servers hold the same series and write the numbers otherwise.
#[test]
fn both_servers_lead_to_the_same_decision() {
    for size in ["orders-12", "streams-1000"] {
        let decide = |server: &str| {
            let report =
                run(&["replay", &format!("testdata/snapshots/{size}-{server}"), "-o", "json"], &[]).json();
            (report["outcome"].clone(), report["targets"].clone(), report["reason"].clone())
        };
        assert_eq!(decide("prometheus"), decide("victoriametrics"), "{size}");
    }
}

/// The guards off change nothing about this fleet but what is listed.
#[test]
fn the_plain_rule_alone() {
    let args = ["replay", "testdata/snapshots/orders-12-prometheus", "--guards", "off"];
    insta::assert_snapshot!("orders-12-guards-off", check(&args, &[]));
}
