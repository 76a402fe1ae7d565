//! Arbitrary bits as loads, names and thresholds: no panic, and the oracle's answer.

use std::collections::BTreeSet;

use arbitrary::{Result, Unstructured};
use rebalancer_core::guard;
use rebalancer_core::{AnalyzeError, DEFAULT_FLOORS, Engine, Metric, PerMetric, PodState, Thresholds};

use crate::oracle;

/// Most pods of one input; more find nothing that fewer do not.
const MAX_PODS: usize = 64;

/// Decides about what `data` describes and compares the decision with the naive one.
///
/// # Panics
/// When they differ, or the engine refuses thresholds that are valid.
pub fn engine(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(thresholds) = thresholds(&mut input) else { return };
    let mut pods: Vec<PodState> = Vec::new();
    let mut columns: PerMetric<Vec<f64>> = PerMetric::default();
    while !input.is_empty() && pods.len() < MAX_PODS {
        let Ok((name, samples)) = pod(&mut input) else { break };
        let mut pod = PodState::new(name);
        for (metric, sample) in samples.iter() {
            pod = pod.with(metric, *sample);
            columns[metric].push(*sample);
        }
        pods.push(pod);
    }
    compare_columns(thresholds, &pods, &columns);
    let names: BTreeSet<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
    let analysis = match Engine::new(thresholds).analyze(&pods) {
        Ok(analysis) => analysis,
        Err(AnalyzeError::DuplicatePod { .. }) => {
            assert!(names.len() < pods.len(), "names differ, yet one is called a duplicate");
            return;
        }
        Err(error) => {
            assert!(thresholds.validate().is_err(), "{error}");
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert_eq!(thresholds.validate(), Ok(()));
    assert!(!analysis.reason().is_empty());
    assert!(!guard::coverage(&analysis, &Metric::ALL).reason.is_empty());
    assert!(!guard::floor(&analysis).reason.is_empty());
    assert_eq!(Engine::new(thresholds).analyze(&pods).as_ref(), Ok(&analysis), "the same input twice");
    if names.len() == pods.len() {
        assert_eq!(oracle::compare(&analysis), Ok(()), "{pods:?} {thresholds:?}");
    }
}

/// Pods given as columns, whatever numbers are in them, are decided as the same pods given as states.
fn compare_columns(thresholds: Thresholds, pods: &[PodState], columns: &PerMetric<Vec<f64>>) {
    let names: Vec<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
    let engine = Engine::new(thresholds);
    let (one, other) = match (engine.analyze(pods), engine.analyze_columns(&names, columns)) {
        (Ok(one), Ok(other)) => (one, other),
        (one, other) => {
            let told = |error: AnalyzeError| error.to_string();
            return assert_eq!(one.err().map(told), other.err().map(told));
        }
    };
    assert_eq!(one, other);
    for metric in Metric::ALL {
        assert_eq!(one.median(metric), other.median(metric));
        for position in 0..pods.len() {
            assert_eq!(one.load(position, metric), other.load(position, metric));
            assert_eq!(one.lacks(position), other.lacks(position));
        }
    }
    assert!((0..pods.len()).all(|position| one.name(position) == other.name(position)));
}

fn thresholds(input: &mut Unstructured<'_>) -> Result<Thresholds> {
    let plain = Thresholds::default();
    Ok(match input.int_in_range(0..=3_u8)? {
        0 => plain,
        1 => Thresholds { trigger_floors: DEFAULT_FLOORS, ..plain },
        2 => Thresholds {
            cpu: small(input)?,
            lag: small(input)?,
            min_pods: input.int_in_range(2..=6)?,
            min_coverage: f64::from(input.int_in_range(0..=10_u8)?) / 10.0,
            score_floors: PerMetric::default(),
            ..plain
        },
        _ => Thresholds {
            cpu: bits(input)?,
            lag: bits(input)?,
            min_pods: input.arbitrary()?,
            min_coverage: bits(input)?,
            trigger_floors: per_metric(input)?,
            score_floors: per_metric(input)?,
            weights: per_metric(input)?,
        },
    })
}

fn pod(input: &mut Unstructured<'_>) -> Result<(String, PerMetric<f64>)> {
    let length = input.int_in_range(0..=6_usize)?;
    let name = String::from_utf8_lossy(input.bytes(length.min(input.len()))?).into_owned();
    let mut samples: PerMetric<f64> = PerMetric::default();
    for metric in Metric::ALL {
        samples[metric] = match input.int_in_range(0..=3_u8)? {
            0 => f64::NAN,
            1 => small(input)?,
            _ => bits(input)?,
        };
    }
    Ok((name, samples))
}

/// A quarter of a small number: ties and spreads that are exact are common among them.
fn small(input: &mut Unstructured<'_>) -> Result<f64> {
    let byte: u8 = input.arbitrary()?;
    Ok(f64::from(byte) / 4.0)
}

fn bits(input: &mut Unstructured<'_>) -> Result<f64> {
    Ok(f64::from_bits(input.arbitrary()?))
}

fn per_metric(input: &mut Unstructured<'_>) -> Result<PerMetric<f64>> {
    let mut values: PerMetric<f64> = PerMetric::default();
    for metric in Metric::ALL {
        values[metric] = bits(input)?;
    }
    Ok(values)
}
