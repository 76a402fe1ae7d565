//! Finds the pods that are themselves the cause of an uneven load.

use crate::diagnosis::illness::IllPods;
use crate::diagnosis::sick::sick_pods;
use crate::diagnosis::stalled::stalled_pods;
use crate::diagnosis::stretch::stretches;
use crate::facts::Facts;
use crate::measure::analysis::Analysis;

/// Finds the pods that are themselves the cause of an uneven load: sick ones, else stalled ones.
///
/// Judges by each half of the history where CPU and rate have one, so that a moment of noise does not
/// look like an illness; else by the loads of this moment.
///
/// ```
/// use rebalancer_core::diagnosis::{Illness, ill_pods};
/// use rebalancer_core::{Engine, Facts, Metric, PodState, Thresholds};
///
/// // Four pods read 100 messages a second each; one spends three times the CPU on them.
/// let cores = [("a", 1.0), ("b", 3.0), ("c", 1.0), ("d", 1.0)];
/// let pod = |(name, cores)| PodState::new(name).with(Metric::Cpu, cores).with(Metric::Rate, 100.0);
/// let pods = cores.map(pod);
/// let analysis = Engine::new(Thresholds::default()).analyze(&pods)?;
///
/// let ill = ill_pods(&analysis, &Facts::new(&[]));
/// let worst = ill.worst().expect("b is sick");
/// assert_eq!((analysis.name(worst.position), worst.illness), ("b", Illness::Sick { ratio: 3.0 }));
/// # Ok::<(), rebalancer_core::AnalyzeError>(())
/// ```
pub fn ill_pods(analysis: &Analysis<'_>, facts: &Facts<'_>) -> IllPods {
    let stretches = stretches(analysis, facts);
    let (sick, worst_ratio) = sick_pods(&stretches);
    let pods = if sick.is_empty() { stalled_pods(analysis, &stretches) } else { sick };
    IllPods { pods, worst_ratio }
}
