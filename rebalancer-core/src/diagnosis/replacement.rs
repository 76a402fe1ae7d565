//! What past replacements show: how uneven the load stays, and how much of a decrease is noise.

use alloc::vec::Vec;

use libm::sqrt;

use crate::change::{noise, relative_variance};
use crate::facts::{Facts, Replacement};
use crate::input::history::{History, STRETCHES};
use crate::input::metric::Metric;
use crate::measure::analysis::Analysis;
use crate::measure::spread::Spread;

/// Spread of the candidates' mean loads over the history window, or over its later half if that is larger (a
/// rotation within the window mixes two assignments). Without history, the current spread.
pub(super) fn lasting_spread(analysis: &Analysis<'_>, facts: &Facts<'_>, metric: Metric) -> Option<f64> {
    let over = |mean: &dyn Fn(&str) -> Option<f64>| {
        let names = analysis.candidates().iter().copied().map(|position| analysis.name(position));
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
    noise([(last.before.as_slice(), relative), (last.after.as_slice(), relative)])
}

/// Standard error of a typical pod's mean load over one side of the experiment, relative to that mean,
/// estimated from the means of shorter stretches.
fn relative_error(history: &History, last: &Replacement) -> Option<f64> {
    let typical = relative_variance(history)?;
    let stretches = last.length.as_secs_f64() / history.stretch_s();
    (stretches > 0.0).then(|| sqrt(typical / stretches))
}
