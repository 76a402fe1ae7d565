//! Checks Kafka itself, where the consumer group is asked directly.

use rebalancer_core::Workload;

use crate::failure::Failure;
use crate::pipeline::kafka::Seen;
use crate::pipeline::live::{AskedOf, Live};
use crate::report::check::Category;

/// Whether Kafka answers, lets the user see the group, and has the pods for its members; nothing where it is not asked.
///
/// # Errors
/// A setting that is wrong.
pub fn check(live: &Live, workload: &Workload) -> Result<(Option<Category>, Option<Seen>), Failure> {
    let AskedOf { settings, .. } = live.asked_of(workload)?;
    let mut category = Category::new("kafka", settings.group.clone().map(|group| format!("group {group}")));
    match live.look_at_kafka(&settings, workload) {
        Ok(None) => Ok((None, None)),
        Ok(Some(seen)) => {
            found(&seen, &mut category);
            Ok((Some(category), Some(seen)))
        }
        Err(failure) => {
            category.fail("ask the brokers", &failure);
            Ok((Some(category), None))
        }
    }
}

fn found(seen: &Seen, category: &mut Category) {
    let Seen { answers, watched, requests } = seen;
    let (group, apart) = (&watched.group, watched.apart.as_secs());
    category.good(format!("the brokers answer: {requests} requests for two looks {apart} s apart"));
    let dealer = if group.is_dealt_by_brokers { "the brokers (KIP-848)" } else { "one of its members" };
    let by = if group.assignor.is_empty() { String::new() } else { format!(" by {}", group.assignor) };
    category.good(format!(
        "the user may describe the group, which is {}; its {} partitions are dealt{by} by {dealer}",
        group.state,
        watched.partitions.len()
    ));
    let (members, met) = answers.members();
    category.good(format!("{met} of {members} members run in these pods"));
    for remark in answers.remarks() {
        category.warn("the consumer group", remark.clone());
    }
}
