//! What past replacements show: how uneven the load stays, whether the pods shared it differently afterwards,
//! and how much of a decrease is noise.

use alloc::vec::Vec;

use libm::{fabs, sqrt};

use crate::facts::{Facts, Replacement};
use crate::input::history::{History, STRETCHES};
use crate::input::metric::Metric;
use crate::measure::analysis::Analysis;
use crate::measure::spread::{Spread, median};

/// A decrease of fewer standard errors than this may be noise. Three, because every run looks at the same
/// experiment again while its two sides grow from 25 to 60 minutes.
const STANDARD_ERRORS: f64 = 3.0;

/// Half the sum of the absolute differences between the sorted shares of two equally long columns, 0 to 1;
/// `None` when one of them sums to 0.
pub(super) fn share_distance(before: &[f64], after: &[f64]) -> Option<f64> {
    let shares = |loads: &[f64]| {
        let total: f64 = loads.iter().sum();
        let mut shares: Vec<f64> = loads.iter().map(|load| load / total).collect();
        shares.sort_by(f64::total_cmp);
        (total > 0.0 && total.is_finite()).then_some(shares)
    };
    let (before, after) = (shares(before)?, shares(after)?);
    Some(before.iter().zip(&after).map(|(a, b)| fabs(a - b)).sum::<f64>() / 2.0)
}

/// Spread of the candidates' mean loads over the history window, or over its later half if that is larger (a
/// rotation within the window mixes two assignments). Without history, the current spread.
pub(super) fn lasting_spread(analysis: &Analysis<'_>, facts: &Facts<'_>, metric: Metric) -> Option<f64> {
    let over = |mean: &dyn Fn(&str) -> Option<f64>| {
        let names = analysis.candidates().iter().map(|position| analysis.name(position));
        let loads: Vec<f64> = names.filter_map(mean).collect();
        Spread::of(&loads).map(|spread| spread.cv)
    };
    match facts.past[metric].known() {
        Some(history) => {
            let whole = over(&|name| history.mean(name, 0..STRETCHES))?;
            let half = over(&|name| history.mean(name, STRETCHES / 2..STRETCHES));
            Some(half.map_or(whole, |half| half.max(whole)))
        }
        None => analysis.spread(metric).map(|spread| spread.cv),
    }
}

/// The largest difference between the spreads before and after a replacement that noise can explain; 0 if the
/// history does not show the noise.
pub(super) fn noise_of_fall(last: &Replacement, facts: &Facts<'_>) -> f64 {
    let Some(history) = facts.past[last.metric].known() else { return 0.0 };
    let Some(relative) = relative_error(history, last) else { return 0.0 };
    let errors = [&last.before, &last.after].map(|loads| relative * sensitivity(loads));
    STANDARD_ERRORS * sqrt(errors.iter().map(|error| error * error).sum())
}

/// Standard error of a typical pod's mean load over one side of the experiment, relative to that mean,
/// estimated from the means of shorter stretches.
fn relative_error(history: &History, last: &Replacement) -> Option<f64> {
    let relative_variance = |pod: &str| {
        let means: Option<Vec<f64>> =
            (0..STRETCHES).map(|stretch| history.mean(pod, stretch..stretch + 1)).collect();
        let spread = Spread::of(&means?)?;
        let sample = STRETCHES as f64 / (STRETCHES - 1) as f64;
        Some(sample * spread.cv * spread.cv)
    };
    let typical = median(history.pods().filter_map(relative_variance).collect())?;
    let grid = history.grid();
    let length_s = grid.step.as_secs_f64() * grid.steps as f64 / STRETCHES as f64;
    let stretches = last.length.as_secs_f64() / length_s;
    (stretches > 0.0).then(|| sqrt(typical / stretches))
}

/// Change of the coefficient of variation caused by an independent relative error of 1 in each load, to first
/// order: `sqrt(sum (x - mean)^2 x^2) / (n mean^2 cv)`.
fn sensitivity(loads: &[f64]) -> f64 {
    let Some(Spread { mean, cv, .. }) = Spread::of(loads) else { return 0.0 };
    let scale = loads.len() as f64 * mean * mean * cv;
    let squares: f64 = loads.iter().map(|load| (load - mean) * (load - mean) * load * load).sum();
    if scale > 0.0 { sqrt(squares) / scale } else { 0.0 }
}
