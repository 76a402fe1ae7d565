//! Loads by pod from cAdvisor. Every container counts once.

use super::preset::{fresh_pods, in_namespace};
use super::settings::QuerySettings;
use crate::promql::{duration, literal};

/// A metric of cAdvisor.
pub(super) enum ContainerSeries {
    /// One that only rises; its load is what it rises by per second.
    Counter(&'static str),
    /// One that is the load.
    Gauge(&'static str),
}

impl ContainerSeries {
    /// The load of each pod: the sum over its containers.
    pub(super) fn by_pod(&self, settings: &QuerySettings) -> String {
        let window = duration(settings.window);
        match self {
            Self::Counter(name) => by_pod(settings, name, |selector| format!("rate({selector}[{window}])")),
            Self::Gauge(name) => by_pod(settings, name, of_the_running_container),
        }
    }
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

/// Sums a cAdvisor metric by pod.
///
/// Two scrape jobs report a container twice: `max` takes one. A node without container labels reports only
/// the whole pod: `or` takes that. If the user names a container, there is no such fallback and the pods of
/// that node are missing.
fn by_pod(settings: &QuerySettings, metric: &str, each: impl Fn(&str) -> String) -> String {
    let sum = |labels: &str| {
        let each = each(&in_namespace(metric, labels, settings));
        format!("sum by (namespace, pod) (max by (namespace, pod, container) ({each}))")
    };
    let expression = if let Some(container) = &settings.container {
        sum(&format!("container=\"{}\"", literal(container)))
    } else {
        let containers = sum("container!=\"\", container!=\"POD\"");
        let whole_pod = each(&in_namespace(metric, "container=\"\", pod!=\"\"", settings));
        format!("{containers} or max by (namespace, pod) ({whole_pod})")
    };
    fresh_pods(&expression, &[&in_namespace(metric, "pod!=\"\"", settings)], settings)
}
