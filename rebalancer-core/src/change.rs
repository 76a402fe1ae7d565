//! What a change of a workload's pods did to its loads: were they more even afterwards?

use alloc::vec::Vec;

use libm::{fabs, sqrt};

use crate::input::history::{History, STRETCHES};
use crate::measure::spread::{Spread, median};

/// A difference of fewer standard errors than this may be noise. Three, because every run looks at the same
/// experiment again while its two sides grow from 25 to 60 minutes.
const STANDARD_ERRORS: f64 = 3.0;

/// A change must have reduced the spread to at most this share of its value before.
pub(crate) const FALLEN: f64 = 0.9;

/// The pods share the load as before if the sorted load shares before and after differ by less than this: half
/// the sum of the absolute differences.
pub(crate) const UNCHANGED: f64 = 0.03;

/// Loads are even if their spread is below this share of the threshold.
pub(crate) const EVEN: f64 = 0.5;

/// The spread of one metric before and after a change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpreadChange {
    /// Number of pods before and after.
    pub pods: [usize; 2],
    /// Coefficient of variation of the mean loads before, with the mean raised to the floor.
    pub before: f64,
    /// The same after.
    pub after: f64,
    /// The largest difference between the two that noise can explain; 0 if the noise is not known.
    pub noise: f64,
    /// How much of the load other ranks carry than before, 0 to 1: half the sum of the absolute differences of
    /// the sorted shares. `None` if the number of pods changed, or if there is no load.
    pub moved: Option<f64>,
}

/// What became of the spread of one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub enum Trend {
    /// It was low before and is low after.
    Even,
    /// It fell by a tenth or more, and by more than noise.
    Fell,
    /// It rose as much.
    Rose,
    /// Neither.
    Stayed,
}

impl SpreadChange {
    /// Compares the mean loads of two histories. A pod counts if it has loads in half of the time or more;
    /// `None` if on one side fewer than two pods do. `floor` is that of the spread, 0 for none.
    ///
    /// ```
    /// use core::time::Duration;
    /// use rebalancer_core::{Grid, History, SpreadChange, Trend};
    ///
    /// let side = |loads: [f64; 2]| {
    ///     let mut side = History::new(Grid { start_s: 0.0, step: Duration::from_secs(60), steps: 30 });
    ///     for (pod, load) in ["a", "b"].into_iter().zip(loads) {
    ///         side.add_series(pod, (0..30).map(|step| (f64::from(60 * step), load)))?;
    ///     }
    ///     Ok::<History, rebalancer_core::InvalidHistory>(side)
    /// };
    /// let change = SpreadChange::between(&side([3.0, 1.0])?, &side([2.0, 2.0])?, 0.0).expect("two pods");
    /// assert_eq!((change.before, change.after, change.moved), (0.5, 0.0, Some(0.25)));
    /// assert_eq!(change.trend(0.3), Trend::Fell);
    /// # Ok::<(), rebalancer_core::InvalidHistory>(())
    /// ```
    pub fn between(before: &History, after: &History, floor: f64) -> Option<Self> {
        let sides = [before, after].map(mean_loads);
        let [was, became] = [&sides[0], &sides[1]].map(|loads| spread(loads, floor));
        let errors = [before, after].map(|side| relative_variance(side).map_or(0.0, relative_error));
        let noise = noise([(sides[0].as_slice(), errors[0]), (sides[1].as_slice(), errors[1])]);
        let is_comparable = sides[0].len() == sides[1].len();
        let moved = if is_comparable { share_distance(&sides[0], &sides[1]) } else { None };
        Some(Self { pods: [sides[0].len(), sides[1].len()], before: was?, after: became?, noise, moved })
    }

    /// What became of the spread, whose threshold this is.
    pub fn trend(&self, threshold: f64) -> Trend {
        let Self { before, after, noise, .. } = *self;
        if before.max(after) < EVEN * threshold {
            Trend::Even
        } else if before - after > noise && after <= FALLEN * before {
            Trend::Fell
        } else if after - before > noise && before <= FALLEN * after {
            Trend::Rose
        } else {
            Trend::Stayed
        }
    }

    /// Whether the pods share the load as before, whichever pod has which share.
    pub fn is_same_shares(&self) -> bool {
        self.moved.is_some_and(|moved| moved < UNCHANGED)
    }
}

/// The spread of at least two loads.
fn spread(loads: &[f64], floor: f64) -> Option<f64> {
    let spread = Spread::of(loads).filter(|spread| spread.count > 1)?;
    Some(spread.cv_with_floor(floor))
}

/// Mean load of each pod that has loads in half of the stretches or more.
fn mean_loads(side: &History) -> Vec<f64> {
    let is_there = |pod: &&str| {
        let known = (0..STRETCHES).filter(|stretch| side.mean(pod, *stretch..stretch + 1).is_some());
        2 * known.count() >= STRETCHES
    };
    side.pods().filter(is_there).filter_map(|pod| side.mean(pod, 0..STRETCHES)).collect()
}

/// Standard error of a mean over all stretches of a history, relative to that mean.
fn relative_error(relative_variance: f64) -> f64 {
    sqrt(relative_variance / STRETCHES as f64)
}

/// Variance of a typical pod's mean load over one stretch of the history, relative to the square of its mean.
pub(crate) fn relative_variance(history: &History) -> Option<f64> {
    let of_pod = |pod: &str| {
        let means: Option<Vec<f64>> =
            (0..STRETCHES).map(|stretch| history.mean(pod, stretch..stretch + 1)).collect();
        let spread = Spread::of(&means?)?;
        let sample = STRETCHES as f64 / (STRETCHES - 1) as f64;
        Some(sample * spread.cv * spread.cv)
    };
    median(history.pods().filter_map(of_pod).collect())
}

/// The largest difference between the spreads of two columns that noise can explain. Each comes with the
/// relative error of its loads.
pub(crate) fn noise(sides: [(&[f64], f64); 2]) -> f64 {
    let errors = sides.map(|(loads, relative)| relative * sensitivity(loads));
    STANDARD_ERRORS * sqrt(errors.iter().map(|error| error * error).sum())
}

/// Change of the coefficient of variation caused by an independent relative error of 1 in each load, to first
/// order: `sqrt(sum (x - mean)^2 x^2) / (n mean^2 cv)`.
fn sensitivity(loads: &[f64]) -> f64 {
    let Some(Spread { mean, cv, .. }) = Spread::of(loads) else { return 0.0 };
    let scale = loads.len() as f64 * mean * mean * cv;
    let squares: f64 = loads.iter().map(|load| (load - mean) * (load - mean) * load * load).sum();
    if scale > 0.0 { sqrt(squares) / scale } else { 0.0 }
}

/// Half the sum of the absolute differences between the sorted shares of two equally long columns, 0 to 1;
/// `None` when one of them sums to 0.
pub(crate) fn share_distance(before: &[f64], after: &[f64]) -> Option<f64> {
    let shares = |loads: &[f64]| {
        let total: f64 = loads.iter().sum();
        let mut shares: Vec<f64> = loads.iter().map(|load| load / total).collect();
        shares.sort_by(f64::total_cmp);
        (total > 0.0 && total.is_finite()).then_some(shares)
    };
    let (before, after) = (shares(before)?, shares(after)?);
    Some(before.iter().zip(&after).map(|(a, b)| fabs(a - b)).sum::<f64>() / 2.0)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use alloc::format;

    use super::*;
    use crate::input::history::Grid;

    /// An hour of pods with these loads, each of which is `jitter` off in turns of ten minutes.
    fn side(loads: &[f64], jitter: f64) -> History {
        let mut side = History::new(Grid { start_s: 0.0, step: Duration::from_secs(60), steps: 60 });
        for (number, load) in loads.iter().enumerate() {
            let value = |step: u32| {
                let is_up = (step / 10).is_multiple_of(2) == number.is_multiple_of(2);
                load * (1.0 + if is_up { jitter } else { -jitter })
            };
            let samples = (0..60).map(|step| (f64::from(60 * step), value(step)));
            side.add_series(&format!("pod-{number}"), samples).expect("on the grid");
        }
        side
    }

    fn change(before: &[f64], after: &[f64], jitter: f64) -> SpreadChange {
        SpreadChange::between(&side(before, jitter), &side(after, jitter), 0.0).expect("there are pods")
    }

    #[test]
    fn a_fall_counts_only_beyond_noise_and_above_half_of_the_threshold() {
        let fell = change(&[4.0, 1.0, 1.0], &[2.0, 2.0, 2.0], 0.02);
        assert_eq!(fell.trend(0.3), Trend::Fell, "{fell:?}");
        let rose = change(&[2.0, 2.0, 2.0], &[4.0, 1.0, 1.0], 0.02);
        assert_eq!(rose.trend(0.3), Trend::Rose, "{rose:?}");
        let noisy = change(&[4.0, 1.0, 1.0], &[3.5, 1.2, 1.3], 0.5);
        assert!(noisy.after < FALLEN * noisy.before, "{noisy:?}");
        assert_eq!(noisy.trend(0.3), Trend::Stayed, "{noisy:?}");
        let even = change(&[1.1, 1.0, 1.0], &[1.0, 1.0, 1.0], 0.0);
        assert_eq!(even.trend(0.3), Trend::Even, "{even:?}");
        let little = change(&[4.0, 1.0, 1.0], &[3.9, 1.05, 1.05], 0.0);
        assert_eq!(little.trend(0.3), Trend::Stayed, "{little:?}");
    }

    #[test]
    fn the_same_shares_under_other_names_have_not_moved() {
        let swapped = change(&[4.0, 1.0, 1.0], &[1.0, 1.0, 4.0], 0.0);
        assert!(swapped.is_same_shares(), "{swapped:?}");
        assert_eq!(swapped.trend(0.3), Trend::Stayed);
        let grown = change(&[4.0, 1.0, 1.0], &[4.0, 1.0, 1.0, 1.0], 0.0);
        assert_eq!(
            (grown.moved, grown.pods),
            (None, [3, 4]),
            "shares of other numbers of pods differ anyway"
        );
    }

    #[test]
    fn pods_of_less_than_half_of_the_time_do_not_count() {
        let mut after = side(&[2.0, 2.0], 0.0);
        after.add_series("going", (0..9).map(|step| (f64::from(60 * step), 90.0))).expect("on the grid");
        let change = SpreadChange::between(&side(&[3.0, 1.0], 0.0), &after, 0.0).expect("two pods");
        assert_eq!((change.pods, change.after), ([2, 2], 0.0));
        assert_eq!(SpreadChange::between(&side(&[3.0], 0.0), &after, 0.0), None, "one pod has no spread");
    }

    #[test]
    fn idle_pods_are_even_by_the_floor() {
        let [before, after] = [[4.0, 0.0, 0.0], [0.0, 3.0, 0.0]].map(|loads| side(&loads, 0.0));
        let change = SpreadChange::between(&before, &after, 1000.0).expect("three pods");
        assert_eq!(change.trend(0.5), Trend::Even, "{change:?}");
    }
}
