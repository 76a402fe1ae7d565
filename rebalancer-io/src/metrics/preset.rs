//! The pieces presets are made of: escaped selectors and what keeps stale samples out.

use super::query::QuerySettings;
use super::template::literal;

/// `metric{labels}` with `namespace` first.
pub(super) fn in_namespace(metric: &str, labels: &str, settings: &QuerySettings) -> String {
    let comma = if labels.is_empty() { "" } else { ", " };
    format!("{metric}{{namespace=\"{}\"{comma}{labels}}}", literal(&settings.namespace))
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
