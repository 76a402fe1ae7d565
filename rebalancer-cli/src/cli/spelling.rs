//! Finds environment variables that look like a misspelt setting. Without a warning, the default would
//! silently apply.

use strsim::osa_distance;

/// A set variable that no setting reads, but that looks like a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typo {
    /// The name that is set.
    pub variable: String,
    /// The setting that was probably meant.
    pub meant: String,
}

/// Names that other programs use, or that pod specs often set through the downward API.
const FOREIGN: [&str; 3] = ["LOGLEVEL", "POD_LABELS", "WINDOWID"];

/// The common end of all threshold names. A variable with this end is meant for this program, whatever its
/// beginning.
const THRESHOLD: &str = "_VARIANCE_THRESHOLD";

/// The variables of `set` that are not in `known` but resemble a known name, sorted.
pub fn find(known: &[String], set: impl Iterator<Item = String>) -> Vec<Typo> {
    let mut typos: Vec<Typo> = set
        .filter(|variable| !known.contains(variable) && !is_foreign(variable))
        .filter_map(|variable| Some(Typo { meant: nearest(known, &variable)?.to_owned(), variable }))
        .collect();
    typos.sort_by(|a, b| a.variable.cmp(&b.variable));
    typos
}

/// Logs a warning for each.
pub fn warn(typos: &[Typo]) {
    for Typo { variable, meant } in typos {
        tracing::warn!(event = "setting.unknown", "{variable} is set but unknown; did you mean {meant}?");
    }
}

/// Kubernetes sets variables for each Service: a Service `prometheus-endpoint` brings
/// `PROMETHEUS_ENDPOINT_PORT` and others.
fn is_foreign(variable: &str) -> bool {
    let ends = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT", "_TCP", "_UDP", "_PROTO", "_ADDR"];
    FOREIGN.contains(&variable)
        || variable.starts_with("KUBERNETES_")
        || variable.contains("_SERVICE_PORT_")
        || ends.iter().any(|end| variable.ends_with(end))
}

fn nearest<'a>(known: &'a [String], variable: &str) -> Option<&'a str> {
    let near = known.iter().filter_map(|name| Some((distance(name, variable)?, name.as_str())));
    near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// The number of edits between a setting's name and a variable; `None` if there are too many for a typing
/// error. Shorter names allow fewer.
fn distance<'a>(name: &'a str, variable: &'a str) -> Option<usize> {
    let letters = |text: &'a str| text.bytes().filter(|byte| *byte != b'_');
    if letters(name).eq(letters(variable)) {
        return Some(0);
    }
    let allowed = match name.len() {
        _ if name.ends_with(THRESHOLD) && variable.ends_with(THRESHOLD) => usize::MAX,
        // Any program may use a one-word variable.
        _ if !name.contains('_') => return None,
        ..7 => return None,
        7..10 => 1,
        _ => 2,
    };
    // Every variable is compared with every setting, and most differ in more letters than any typing error.
    if name.len().abs_diff(variable.len()) > allowed || foreign_letters(name, variable) > allowed {
        return None;
    }
    Some(osa_distance(name, variable)).filter(|distance| *distance <= allowed)
}

/// How many letters of a name the other one lacks: each needs an edit.
fn foreign_letters(name: &str, other: &str) -> usize {
    let mut left = [0_u8; 256];
    other.bytes().for_each(|letter| left[usize::from(letter)] = left[usize::from(letter)].saturating_add(1));
    let is_foreign = |letter: &u8| {
        let left = &mut left[usize::from(*letter)];
        let is_foreign = *left == 0;
        *left = left.saturating_sub(1);
        is_foreign
    };
    name.bytes().filter(is_foreign).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 12] = [
        "CPU_VARIANCE_THRESHOLD",
        "LAG_VARIANCE_THRESHOLD",
        "PROMETHEUS_ENDPOINT",
        "PROMETHEUS_TIMEOUT",
        "DRY_RUN",
        "WARMUP",
        "WINDOW",
        "LOG_LEVEL",
        "POD_LABEL",
        "KUBE_CONTEXT",
        "KUBE_NAMESPACE",
        "OUTPUT",
    ];

    fn meant(variable: &str) -> Option<String> {
        find(&KNOWN.map(str::to_owned), [variable.to_owned()].into_iter()).pop().map(|typo| typo.meant)
    }

    #[test]
    fn a_name_that_is_nearly_ours_is_told() {
        for (variable, expected) in [
            ("CPU_VARIENCE_THRESHOLD", "CPU_VARIANCE_THRESHOLD"),
            ("PROMETHEUS_ENDPONT", "PROMETHEUS_ENDPOINT"),
            ("PROMETHUES_TIMEOUT", "PROMETHEUS_TIMEOUT"),
            ("PROMETHEUS_TYMEOUD", "PROMETHEUS_TIMEOUT"),
            ("DRYRUN", "DRY_RUN"),
            ("DRY_RUM", "DRY_RUN"),
            ("WARM_UP", "WARMUP"),
            ("KUBE_NAMESPASE", "KUBE_NAMESPACE"),
            ("RATE_VARIANCE_THRESHOLD", "LAG_VARIANCE_THRESHOLD"),
        ] {
            assert_eq!(meant(variable).as_deref(), Some(expected), "{variable}");
        }
    }

    #[test]
    fn the_environment_of_a_pod_and_of_a_shell_is_left_alone() {
        for variable in [
            "KUBECONFIG",
            "KUBERNETES_SERVICE_HOST",
            "KUBERNETES_PORT_443_TCP",
            "PROMETHEUS_PORT",
            "PROMETHEUS_SERVICE_HOST",
            "PROMETHEUS_PORT_9090_TCP_ADDR",
            "PROMETHEUS_SERVICE_PORT_WEB",
            "PROMETHEUS_ENDPOINT_PORT",
            "PATH",
            "HOME",
            "HOSTNAME",
            "LANG",
            "TERM",
            "SHLVL",
            "WINDOWID",
            "LINES",
            "COLUMNS",
            "RUST_LOG",
            "POD_NAME",
            "POD_LABELS",
            "LOGLEVEL",
            "DRY",
            "RUN",
            "NAMESPACE",
            "LOGNAME",
            "KUBE_EDITOR",
            "WINDOWS",
            "OUTPUTS",
            "INPUT",
            "PWD",
            "OLDPWD",
            "DRY_RUN",
            "KUBE_CONTEXT",
        ] {
            assert_eq!(meant(variable), None, "{variable}");
        }
    }
}
