//! The checks of `check`, one file per category.

pub mod configuration;
mod kafka;
pub mod kubernetes;
mod prometheus;

use rebalancer_core::Workload;

use crate::failure::Failure;
use crate::pipeline::clocks::now;
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
    workload: Workload,
) -> Result<Vec<Category>, Failure> {
    let asks_kafka = live.kafka().is_some();
    let (subject, unclear) = match live.subject_of(workload, now()) {
        Ok(found) => found,
        Err(failure) => {
            let (mut category, what) = if asks_kafka {
                (Category::new("kafka", None), "find the consumer group")
            } else {
                (Category::new("prometheus", Some(live.endpoint())), "what is not set")
            };
            category.fail(what, &failure);
            return Ok(vec![category]);
        }
    };
    if !asks_kafka {
        return Ok(vec![prometheus::check(live, decision, &subject, unclear, None)?]);
    }
    let group = subject.settings.group.as_ref();
    let mut category = Category::new("kafka", group.map(|group| format!("group {group}")));
    match live.look_at_kafka(&subject.settings, &subject.workload) {
        Ok(seen) => {
            kafka::group(seen.as_ref(), &subject.workload, &mut category);
            Ok(vec![category, prometheus::check(live, decision, &subject, unclear, seen.as_ref())?])
        }
        Err(failure) => {
            category.fail("ask the brokers", &failure);
            Ok(vec![category])
        }
    }
}
