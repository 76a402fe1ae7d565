//! The building blocks of presets: escaped selectors, and conditions that leave stale samples out.

use super::settings::QuerySettings;
use crate::promql::literal;

/// Joins lists of matchers; each may be empty.
pub(super) fn all_of(lists: &[&str]) -> String {
    lists.iter().copied().filter(|list| !list.is_empty()).collect::<Vec<&str>>().join(", ")
}

/// The series with these labels joined in the label `into`.
pub(super) fn joined(series: &str, into: &str, between: &str, labels: &[&str]) -> String {
    let labels: Vec<String> = labels.iter().map(|label| format!("\"{}\"", literal(label))).collect();
    format!("label_join({series}, \"{into}\", \"{between}\", {})", labels.join(", "))
}

/// `metric{labels}` with the user's matchers. Every selector of a preset comes from this function.
pub(super) fn select(metric: &str, labels: &str, settings: &QuerySettings) -> String {
    let matchers = settings.matchers.to_string();
    let all = all_of(&[labels, &matchers]);
    if all.is_empty() { metric.to_owned() } else { format!("{metric}{{{all}}}") }
}

/// `metric{labels}` of the workload's pods, with the namespace first.
pub(super) fn in_namespace(metric: &str, labels: &str, settings: &QuerySettings) -> String {
    of_pods_by(("namespace", "pod"), metric, labels, settings)
}

/// `metric{labels}` of the workload's pods, if other labels than `namespace` and `pod` name them.
pub(super) fn of_pods_by(
    (namespace, pod): (&str, &str),
    metric: &str,
    labels: &str,
    settings: &QuerySettings,
) -> String {
    let pods = settings.pod_pattern.as_deref().map(|pattern| format!(", {pod}=~\"{}\"", literal(pattern)));
    let pods = pods.unwrap_or_default();
    let comma = if labels.is_empty() { "" } else { ", " };
    let place = settings.reach.matcher(namespace, &settings.namespace);
    let selected = format!("{place}{pods}{comma}{labels}");
    select(metric, &selected, settings)
}

/// The time of the sample of each series of `selector`, if it is fresh.
pub(super) fn fresh_times(selector: &str, settings: &QuerySettings) -> String {
    match settings.max_sample_age {
        None => format!("timestamp({selector})"),
        Some(age) => format!("timestamp({selector}) > time() - {}", age.as_secs_f64()),
    }
}

/// The series of `expression` with a fresh sample. `expression` must read only `selector`.
pub(super) fn fresh(expression: &str, selector: &str, settings: &QuerySettings) -> String {
    match settings.max_sample_age {
        None => expression.to_owned(),
        Some(_) => format!("({expression} and {})", fresh_times(selector, settings)),
    }
}

/// Of the series with equal `labels`, the one with the newest sample. `expression` must read only `selector`.
/// Two scrape jobs, or two replicas of the server, report a gauge twice, and a stopped one shows its last
/// value for minutes. Not for rates: the rate of a new series is too small.
pub(super) fn newest(expression: &str, selector: &str, labels: &str, settings: &QuerySettings) -> String {
    format!("({expression} and topk by ({labels}) (1, {}))", fresh_times(selector, settings))
}

/// The pods of `expression` with a fresh sample in one of `selectors`. The first selector that has the pod
/// decides.
pub(super) fn fresh_pods(expression: &str, selectors: &[&str], settings: &QuerySettings) -> String {
    let Some(age) = settings.max_sample_age else {
        return expression.to_owned();
    };
    let ages: Vec<String> =
        selectors.iter().map(|selector| format!("max by (namespace, pod) (timestamp({selector}))")).collect();
    format!(
        "({expression}) and on (namespace, pod) (({}) > time() - {})",
        ages.join(" or "),
        age.as_secs_f64()
    )
}
