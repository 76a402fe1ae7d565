//! The checks of `check`, one file per category.

pub mod configuration;
mod kafka;
pub mod kubernetes;
mod prometheus;

use rebalancer_core::Workload;

use crate::failure::Failure;
use crate::pipeline::live::Live;
use crate::report::check::Category;
use crate::settings::decision::DecisionSettings;

/// Checks Kafka itself, where it is asked, and then the metrics server, which is asked about the group that was found.
///
/// # Errors
/// A certificate that cannot be used.
pub fn servers(
    live: &Live,
    decision: &DecisionSettings,
    workload: &Workload,
) -> Result<Vec<Category>, Failure> {
    let asked = live.asked_of(workload);
    if live.kafka().is_none() {
        return Ok(vec![prometheus::check(live, decision, workload, asked, None)?]);
    }
    let group = asked.as_ref().ok().and_then(|asked| asked.settings.group.as_ref());
    let mut category = Category::new("kafka", group.map(|group| format!("group {group}")));
    let seen = match &asked {
        Ok(asked) => live.look_at_kafka(&asked.settings, workload),
        Err(failure) => {
            category.fail("find the consumer group", failure);
            return Ok(vec![category]);
        }
    };
    match seen {
        Ok(seen) => {
            kafka::group(seen.as_ref(), workload, &mut category);
            Ok(vec![category, prometheus::check(live, decision, workload, asked, seen.as_ref())?])
        }
        Err(failure) => {
            category.fail("ask the brokers", &failure);
            Ok(vec![category])
        }
    }
}
