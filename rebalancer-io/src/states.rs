//! Pod states given directly: a JSON array, from another tool or hand-written.

use std::collections::BTreeSet;
use std::io::Read;

use crate::json::is_crowded;
use rebalancer_core::{Joined, Load, Metric, MetricIssues, PerMetric, PodState};

/// Largest list that is read, in bytes: a million pods of 256 bytes.
pub const MAX_STATES_BYTES: u64 = 256 << 20;

/// Maximum number of values in it: a million pods with a name, four loads, and their keys.
const MAX_STATES_VALUES: usize = 12 << 20;

/// Why a list of pod states cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StatesError {
    /// It cannot be read.
    #[error("cannot be read")]
    Read(#[source] std::io::Error),
    /// It is larger than [`MAX_STATES_BYTES`].
    #[error("is larger than {} MiB, or than a million pods", MAX_STATES_BYTES >> 20)]
    TooLarge,
    /// It is not a JSON array of pod states.
    #[error("is no JSON array of pod states such as [{{\"name\": \"orders-0\", \"cpu_usage\": 0.8}}]")]
    Malformed(#[source] serde_json::Error),
    /// A pod has an empty name.
    #[error("pod number {position} has no name")]
    NoName {
        /// Counted from 1.
        position: usize,
    },
    /// A pod is given twice.
    #[error("pod {name:?} is given twice")]
    Duplicate {
        /// Its name.
        name: String,
    },
}

/// Reads a JSON array of pod states. A load that is null, absent or no valid load is missing.
///
/// # Errors
/// See [`StatesError`].
pub fn pod_states(json: impl Read) -> Result<Vec<PodState>, StatesError> {
    let mut bytes: Vec<u8> = Vec::new();
    let read = json.take(MAX_STATES_BYTES + 1).read_to_end(&mut bytes).map_err(StatesError::Read)?;
    if read as u64 > MAX_STATES_BYTES || is_crowded(&bytes, MAX_STATES_VALUES) {
        return Err(StatesError::TooLarge);
    }
    let pods: Vec<PodState> = serde_json::from_slice(&bytes).map_err(StatesError::Malformed)?;
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for (index, pod) in pods.iter().enumerate() {
        if pod.name.is_empty() {
            return Err(StatesError::NoName { position: index + 1 });
        }
        if !names.insert(&pod.name) {
            return Err(StatesError::Duplicate { name: pod.name.clone() });
        }
    }
    Ok(pods)
}

/// Treats pod states as the whole workload: all live, Ready and warm.
pub fn joined(pods: &[PodState]) -> Joined {
    let issues = PerMetric::from_fn(|metric| {
        let without = pods.iter().filter(|pod| pod.load(metric).is_none());
        let mut missing: Vec<String> = without.map(|pod| pod.name.clone()).collect();
        missing.sort_unstable();
        MetricIssues { missing, ..MetricIssues::default() }
    });
    let loads = |metric| pods.iter().map(|pod| pod.load(metric).map_or(f64::NAN, Load::value)).collect();
    Joined {
        names: pods.iter().map(|pod| pod.name.as_str()).collect(),
        loads: PerMetric::from_fn(loads),
        set_aside: Vec::new(),
        issues,
    }
}

/// The metrics that any of these pods has.
pub fn present(pods: &[PodState]) -> Vec<Metric> {
    Metric::ALL.into_iter().filter(|metric| pods.iter().any(|pod| pod.load(*metric).is_some())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_that_is_none_is_missing() {
        let json = r#"[{"name":"a","cpu_usage":1.5,"kafka_lag":-1,"memory_usage":null,"extra":[1]}]"#;
        let pods = pod_states(json.as_bytes()).expect("a list");
        assert_eq!(pods, [PodState::new("a").with(Metric::Cpu, 1.5)]);
        assert_eq!(present(&pods), [Metric::Cpu]);
        assert_eq!(joined(&pods).issues.lag.missing, ["a"]);
    }

    #[test]
    fn a_list_that_contradicts_itself_is_refused() {
        let message = |json: &str| pod_states(json.as_bytes()).expect_err(json).to_string();
        assert_eq!(message(r#"[{"name":"a"},{"name":"a"}]"#), "pod \"a\" is given twice");
        assert_eq!(message(r#"[{"name":""}]"#), "pod number 1 has no name");
        for bad in ["", "{}", "[{}]", "[1]", r#"[{"name":"a","cpu_usage":"1"}]"#, "[{\"name\":\"a\"}"] {
            assert!(message(bad).starts_with("is no JSON array"), "{bad}");
        }
    }

    #[test]
    fn nesting_without_end_is_an_error() {
        let deep = format!("[{{\"name\":\"a\",\"x\":{}", "[".repeat(100_000));
        assert!(matches!(pod_states(deep.as_bytes()), Err(StatesError::Malformed(_))));
    }
}
