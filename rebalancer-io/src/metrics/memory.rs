//! Memory by pod from cAdvisor: the working set, in bytes.

use rebalancer_core::Metric;

use super::cpu::by_pod;
use super::settings::QuerySettings;
use crate::prometheus::MetricQuery;

/// The preset: counts every container once and sums by pod.
pub(super) fn preset(settings: &QuerySettings) -> MetricQuery {
    let sum = by_pod(settings, "container_memory_working_set_bytes", of_the_running_container);
    MetricQuery::new(Metric::Memory.name(), sum)
}

/// For minutes after a restart, the server returns the last value of the old container beside that of the new
/// one; the newest counts.
fn of_the_running_container(selector: &str) -> String {
    let container = "(namespace, pod, container)";
    format!(
        "({selector} and timestamp({selector}) \
         == on {container} group_left () max by {container} (timestamp({selector})))"
    )
}
