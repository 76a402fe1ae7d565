//! Checks Kafka itself, where the consumer group is asked directly.

use rebalancer_core::Workload;

use crate::failure::Failure;
use crate::pipeline::kafka::Seen;
use crate::pipeline::live::{AskedOf, Live};
use crate::report::check::Category;

/// What Kafka told, and what the metrics server is to be asked then.
pub struct Told {
    /// The settings of the queries, with what was found.
    pub asked: AskedOf,
    /// What was found of the group; nothing where the pods are members of none.
    pub seen: Option<Seen>,
}

/// Whether Kafka answers, lets the user see the group, and has the pods for its members; nothing where it is not asked.
pub fn check(live: &Live, workload: &Workload) -> (Option<Category>, Option<Told>) {
    if live.kafka().is_none() {
        return (None, None);
    }
    let failed = |title: Option<String>, what: &str, failure: &Failure| {
        let mut category = Category::new("kafka", title);
        category.fail(what, failure);
        (Some(category), None)
    };
    let asked = match live.asked_of(workload) {
        Ok(asked) => asked,
        Err(failure) => return failed(None, "find the consumer group", &failure),
    };
    let title = asked.settings.group.as_ref().map(|group| format!("group {group}"));
    let seen = match live.look_at_kafka(&asked.settings, workload) {
        Ok(seen) => seen,
        Err(failure) => return failed(title, "ask the brokers", &failure),
    };
    let mut category = Category::new("kafka", title);
    match &seen {
        Some(seen) => found(seen, &mut category),
        None if workload.living().next().is_none() => category.warn(
            "the brokers were not asked",
            "there is no live pod whose consumer group could be looked for: first correct what is wrong with the cluster",
        ),
        None => category.warn("the pods are members of no consumer group", "their lag and rate are unknown"),
    }
    (Some(category), Some(Told { asked, seen }))
}

fn found(seen: &Seen, category: &mut Category) {
    let Seen { answers, watched, requests, proves_in_the_open } = seen;
    let (group, apart) = (&watched.group, watched.apart.as_secs());
    category.good(format!(
        "the brokers answer: {requests} requests, among them those of two looks {apart} s apart"
    ));
    let dealer = if group.is_dealt_by_brokers { "the brokers (KIP-848)" } else { "one of its members" };
    let by = if group.assignor.is_empty() { String::new() } else { format!(" by {}", group.assignor) };
    category.good(format!(
        "the user may describe the group, which is {}; its {} partitions are dealt{by} by {dealer}",
        group.state,
        watched.partitions.len()
    ));
    let (members, met) = answers.members();
    let found = format!("{met} of {members} members run in these pods");
    if met == 0 && members > 0 {
        category
            .fail("members", &Failure::usage(format!("{found}: is KAFKA_GROUP the group of this workload?")));
    } else if met == members {
        category.good(found);
    } // Of others a remark tells.
    if *proves_in_the_open {
        category.warn(
            "sign in",
            "the password is proved over a connection that is not encrypted: who reads along can guess weak passwords, and \
             sees everything else; set KAFKA_TLS=true",
        );
    }
    for remark in answers.remarks() {
        category.warn("the consumer group", remark.clone());
    }
}
