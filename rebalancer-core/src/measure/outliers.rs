//! The two pods a rotation would take: the busiest and the least busy.

/// The busiest and the least busy pod, as positions among the analysed pods; always different.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Outliers {
    /// Position of the pod with the largest score.
    pub busiest: usize,
    /// Position of the pod with the smallest score among the others.
    pub least_busy: usize,
}

/// Why a pod is a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display, strum::IntoStaticStr)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[strum(serialize_all = "snake_case")]
pub enum Role {
    /// The busiest pod.
    Busiest,
    /// The least busy pod.
    LeastBusy,
    /// A pod that is replaced alone because it is ill.
    Ill,
}

impl Role {
    /// The two roles of a rotation, in the order of eviction.
    pub const PAIR: [Self; 2] = [Self::Busiest, Self::LeastBusy];

    /// The word used in reports, metrics and messages.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Finds the outliers among positions by their scores. Ties go to the smallest name in byte order. `None` with
/// fewer than two pods.
pub(crate) fn outliers<'a>(
    positions: &[usize],
    scores: &[f64],
    name: impl Fn(usize) -> &'a str,
) -> Option<Outliers> {
    let pairs = || positions.iter().copied().zip(scores.iter().copied());
    let by_name = |one: &(usize, f64), other: &(usize, f64)| name(one.0).cmp(name(other.0));
    let (busiest, _) =
        pairs().min_by(|one, other| other.1.total_cmp(&one.1).then_with(|| by_name(one, other)))?;
    let (least_busy, _) = pairs()
        .filter(|(position, _)| *position != busiest)
        .min_by(|one, other| one.1.total_cmp(&other.1).then_with(|| by_name(one, other)))?;
    Some(Outliers { busiest, least_busy })
}
