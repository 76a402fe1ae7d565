//! How many instructions a stage may take.

/// The pods of every count.
pub const PODS: usize = 10_000;

/// What each stage took a pod when it was recorded.
const BASELINE: &str = include_str!("../instructions.baseline");

/// By how much more it may take.
const TOLERANCE_PERCENT: u64 = 15;

/// The most instructions that a stage may take of [`PODS`] pods.
///
/// # Panics
/// When the baseline has no number for it.
pub fn limit(stage: &str) -> u64 {
    let mut lines = BASELINE.lines().filter_map(|line| line.split_once(' '));
    let recorded = lines.find_map(|(name, number)| (name == stage).then(|| number.parse::<u64>().ok())?);
    let recorded = recorded.unwrap_or_else(|| panic!("instructions.baseline has no number for {stage}"));
    recorded * PODS as u64 * (100 + TOLERANCE_PERCENT) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recorded_stage_has_a_limit_above_it() {
        for line in BASELINE.lines() {
            let (stage, number) = line.split_once(' ').expect("a name and a number");
            let recorded: u64 = number.parse().expect("a number");
            assert!(limit(stage) > recorded * PODS as u64, "{stage}");
        }
        assert!(std::panic::catch_unwind(|| limit("unknown")).is_err());
    }
}
