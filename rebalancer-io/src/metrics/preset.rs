//! The pieces presets are made of: escaped selectors and what keeps stale samples out.

use super::query::QuerySettings;
use super::template::literal;

/// `metric{labels}` with the user's matchers: every selector that is written here is written by this.
pub(super) fn select(metric: &str, labels: &str, settings: &QuerySettings) -> String {
    let matchers = settings.matchers.to_string();
    let all: Vec<&str> = [labels, &matchers].into_iter().filter(|part| !part.is_empty()).collect();
    if all.is_empty() { metric.to_owned() } else { format!("{metric}{{{}}}", all.join(", ")) }
}

/// `metric{labels}` of the workload's pods, with the namespace first.
pub(super) fn in_namespace(metric: &str, labels: &str, settings: &QuerySettings) -> String {
    of_pods_by(("namespace", "pod"), metric, labels, settings)
}

/// `metric{labels}` of the workload's pods where other labels than `namespace` and `pod` name them.
pub(super) fn of_pods_by(
    (namespace, pod): (&str, &str),
    metric: &str,
    labels: &str,
    settings: &QuerySettings,
) -> String {
    let pods = settings.pod_pattern.as_deref().map(|pattern| format!(", {pod}=~\"{}\"", literal(pattern)));
    let pods = pods.unwrap_or_default();
    let comma = if labels.is_empty() { "" } else { ", " };
    let selected = format!("{namespace}=\"{}\"{pods}{comma}{labels}", literal(&settings.namespace));
    select(metric, &selected, settings)
}

/// The pods of `expression` of which one of `selectors` has a sample that is fresh enough. The first
/// selector that knows a pod decides.
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

/// The series of `expression`, made of `selector` alone, whose sample is fresh enough. For exporters:
/// their series name a pod only after a join.
pub(super) fn fresh_series(expression: &str, selector: &str, settings: &QuerySettings) -> String {
    match settings.max_sample_age {
        None => expression.to_owned(),
        Some(age) => format!("({expression} and timestamp({selector}) > time() - {})", age.as_secs_f64()),
    }
}
