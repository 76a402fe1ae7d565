//! The settings that a backtest tries.

use rebalancer_core::Metric;

use crate::cli::sweep::{MOST_VALUES, Sweep};
use crate::failure::Failure;
use crate::settings::decision::DecisionSettings;

/// The settings with each pair of the swept values as their thresholds.
///
/// # Errors
/// A threshold that is swept twice, or too many pairs.
pub fn variants(settings: &DecisionSettings, sweeps: &[Sweep]) -> Result<Vec<DecisionSettings>, Failure> {
    let values = |metric: Metric, own: f64| {
        let mut of_metric = sweeps.iter().filter(|sweep| sweep.metric == metric);
        match (of_metric.next(), of_metric.next()) {
            (None, _) => Ok(vec![own]),
            (Some(sweep), None) => Ok(sweep.values.clone()),
            (Some(_), Some(_)) => Err(Failure::usage(format!("--sweep names {metric} twice"))),
        }
    };
    let cpu = values(Metric::Cpu, settings.thresholds.cpu)?;
    let lag = values(Metric::Lag, settings.thresholds.lag)?;
    if cpu.len() * lag.len() > MOST_VALUES {
        return Err(Failure::usage(format!(
            "the sweeps have {} pairs of thresholds, more than {MOST_VALUES}; take larger steps",
            cpu.len() * lag.len()
        )));
    }
    let pairs = cpu.iter().flat_map(|cpu| lag.iter().map(move |lag| (*cpu, *lag)));
    Ok(pairs
        .map(|(cpu, lag)| {
            let mut variant = *settings;
            (variant.thresholds.cpu, variant.thresholds.lag) = (cpu, lag);
            variant
        })
        .collect())
}
