//! Environment variables that are none of ours and look like one: most likely a typing error, which
//! would else leave a default in force without a word.

use strsim::osa_distance;

/// A variable that is set and read by nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typo {
    /// As it is set.
    pub variable: String,
    /// The setting that was likely meant.
    pub meant: String,
}

/// Names that other programs give a meaning, or that Kubernetes' downward interface often fills.
const FOREIGN: [&str; 3] = ["LOGLEVEL", "POD_LABELS", "WINDOWID"];

/// What every threshold's name ends in: with it a name is meant for us, however it begins.
const OF_A_THRESHOLD: &str = "_VARIANCE_THRESHOLD";

/// Most changes by which a name is still taken for another one; thresholds have no limit.
const MOST_CHANGES: usize = 2;

/// A name with what tells at once that it is not near most others: a bit for each of its letters.
#[derive(Clone, Copy)]
struct Name<'a> {
    text: &'a str,
    letters: u64,
}

/// The variables of `set` that no setting in `known` reads and that are near one.
pub fn find(known: &[&str], set: impl Iterator<Item = String>) -> Vec<Typo> {
    let names: Vec<Name<'_>> = known.iter().map(|name| Name::of(name)).collect();
    let mut typos: Vec<Typo> = set
        .filter(|variable| !known.contains(&variable.as_str()) && !is_foreign(variable))
        .filter_map(|variable| {
            nearest(&names, &variable).map(|meant| Typo { meant: meant.to_owned(), variable })
        })
        .collect();
    typos.sort_by(|a, b| a.variable.cmp(&b.variable));
    typos
}

/// Warns of each.
pub fn warn(typos: &[Typo]) {
    for Typo { variable, meant } in typos {
        tracing::warn!(event = "setting.unknown", "{variable} is set but unknown; did you mean {meant}?");
    }
}

/// A Service named `prometheus-endpoint` would set `PROMETHEUS_ENDPOINT_PORT` and others like it.
fn is_foreign(variable: &str) -> bool {
    let ends = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT", "_TCP", "_UDP", "_PROTO", "_ADDR"];
    FOREIGN.contains(&variable)
        || variable.starts_with("KUBERNETES_")
        || variable.contains("_SERVICE_PORT_")
        || ends.iter().any(|end| variable.ends_with(end))
}

fn nearest<'a>(known: &[Name<'a>], variable: &str) -> Option<&'a str> {
    let variable = Name::of(variable);
    let near = known.iter().filter_map(|name| Some((distance(*name, variable)?, name.text)));
    near.min_by_key(|(distance, _)| *distance).map(|(_, name)| name)
}

/// How far a name is from a setting's, where it is near enough to be taken for it. Names of one word
/// are words of anybody's: there only the underscores may differ.
fn distance(name: Name<'_>, variable: Name<'_>) -> Option<usize> {
    // Nearly every pair ends here.
    if name.is_far_from(variable) && !(name.is_of_a_threshold() && variable.is_of_a_threshold()) {
        return None;
    }
    if name.letters().eq(variable.letters()) {
        return Some(0);
    }
    let allowed = match name.text.len() {
        _ if name.is_of_a_threshold() && variable.is_of_a_threshold() => usize::MAX,
        _ if !name.text.contains('_') => return None,
        ..7 => return None,
        7..10 => 1,
        _ => MOST_CHANGES,
    };
    if name.text.len().abs_diff(variable.text.len()) > allowed {
        return None;
    }
    Some(osa_distance(name.text, variable.text)).filter(|distance| *distance <= allowed)
}

impl<'a> Name<'a> {
    fn of(text: &'a str) -> Self {
        let mut name = Self { text, letters: 0 };
        name.letters = name.letters().fold(0, |set, letter| set | 1 << (letter % 64));
        name
    }

    fn letters(self) -> impl Iterator<Item = u8> + 'a {
        self.text.bytes().filter(|letter| *letter != b'_')
    }

    fn is_of_a_threshold(self) -> bool {
        self.text.ends_with(OF_A_THRESHOLD)
    }

    /// Whether more than [`MOST_CHANGES`] are between them for sure: one brings or takes at most two
    /// letters.
    fn is_far_from(self, other: Self) -> bool {
        (self.letters ^ other.letters).count_ones() as usize > 2 * MOST_CHANGES
    }
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
        find(&KNOWN, [variable.to_owned()].into_iter()).pop().map(|typo| typo.meant)
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
