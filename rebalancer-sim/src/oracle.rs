//! The decision once more, told as naively as the specification tells it: the twin that the
//! engine and the join are compared with.
//!
//! Slow and plain on purpose: names instead of positions, sorting instead of scanning, no arithmetic
//! from the crate under test.

use std::collections::{BTreeMap, BTreeSet};

use rebalancer_core::{
    Analysis, Finding, Freshness, LivePod, Load, Metric, PerMetric, Phase, PodState, Sample, Thresholds,
};

/// Relative distance below which two computed numbers are the same.
pub const TOLERANCE: f64 = 1e-10;

/// What the specification says about some pods.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Metrics that enough pods have.
    pub usable: Vec<Metric>,
    /// Names of the pods that have all of them, in the order given.
    pub candidates: Vec<String>,
    /// Whether there is too little data to say anything.
    pub insufficient: bool,
    /// Coefficient of variation of each usable metric over the candidates.
    pub cv: PerMetric<Option<f64>>,
    /// The same with the mean held up by the trigger floor.
    pub cv_compared: PerMetric<Option<f64>>,
    /// Median of each usable metric over the candidates.
    pub median: PerMetric<Option<f64>>,
    /// Scores of the candidates, in their order.
    pub scores: Vec<f64>,
    /// Busiest candidate.
    pub busiest: Option<String>,
    /// Least busy of the others.
    pub least_busy: Option<String>,
}

/// Decides about `pods`, whose names differ.
pub fn decide(pods: &[PodState], thresholds: &Thresholds) -> Decision {
    let usable: Vec<Metric> =
        Metric::ALL.into_iter().filter(|metric| is_usable(pods, *metric, thresholds)).collect();
    let complete = |pod: &&PodState| usable.iter().all(|metric| pod.load(*metric).is_some());
    let candidates: Vec<&PodState> = pods.iter().filter(complete).filter(|_| !usable.is_empty()).collect();
    let decidable = usable.contains(&Metric::Cpu) || usable.contains(&Metric::Lag);
    let weighed = usable.iter().any(|metric| thresholds.weights[*metric] > 0.0);
    let insufficient = !decidable || !weighed || candidates.len() < thresholds.min_pods;

    let loads = PerMetric::from_fn(|metric| {
        let loads = column(&candidates, metric);
        (usable.contains(&metric) && !loads.is_empty()).then_some(loads)
    });
    let cv_with = |floors: PerMetric<f64>| {
        PerMetric::from_fn(|metric| loads[metric].as_ref().map(|loads| cv(loads, floors[metric])))
    };
    let scores = scores(&candidates, &usable, thresholds);
    let mut ranking: Vec<(f64, &str)> =
        scores.iter().copied().zip(candidates.iter().map(|pod| pod.name.as_str())).collect();
    ranking.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let busiest = ranking.first().map(|(_, name)| (*name).to_owned());
    let mut others: Vec<(f64, &str)> = ranking.into_iter().skip(1).collect();
    others.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(b.1)));
    let least_busy = others.first().map(|(_, name)| (*name).to_owned());
    Decision {
        candidates: candidates.iter().map(|pod| pod.name.clone()).collect(),
        insufficient,
        cv: cv_with(PerMetric::default()),
        cv_compared: cv_with(thresholds.trigger_floors),
        median: PerMetric::from_fn(|metric| loads[metric].as_deref().map(median)),
        scores,
        busiest,
        least_busy,
        usable,
    }
}

/// Compares an analysis with the oracle's decision about the same pods.
///
/// Where a spread lies within [`TOLERANCE`] of its threshold either answer is right; where two
/// scores do, either pod is, unless their loads are equal: then the smallest name is.
///
/// # Errors
/// The first difference, in words.
pub fn compare(analysis: &Analysis<'_>) -> Result<(), String> {
    let pods: Vec<PodState> = (0..analysis.count()).map(|position| analysis.pod(position)).collect();
    let expected = decide(&pods, analysis.thresholds());
    let names: Vec<&str> =
        analysis.candidates().iter().copied().map(|position| analysis.name(position)).collect();
    same("candidates", &names, &expected.candidates.iter().map(String::as_str).collect())?;
    let usable: Vec<Metric> =
        Metric::ALL.into_iter().filter(|metric| analysis.coverage()[*metric].is_usable()).collect();
    same("usable metrics", &usable, &expected.usable)?;
    same("insufficient", &(analysis.finding() == Finding::InsufficientData), &expected.insufficient)?;
    for metric in Metric::ALL {
        let spread = analysis.spread(metric).map(|spread| spread.cv);
        near(&format!("{metric} spread"), spread, expected.cv[metric])?;
        let compared = analysis.cv_compared(metric);
        near(&format!("{metric} spread with floor"), compared, expected.cv_compared[metric])?;
        near(&format!("{metric} median"), analysis.median(metric), expected.median[metric])?;
    }
    compare_scores(analysis, &expected)?;
    compare_triggers(analysis, &expected)?;
    compare_outliers(analysis, &expected)
}

fn compare_scores(analysis: &Analysis<'_>, expected: &Decision) -> Result<(), String> {
    let by_name: BTreeMap<&str, f64> =
        expected.candidates.iter().map(String::as_str).zip(expected.scores.iter().copied()).collect();
    for position in 0..analysis.count() {
        let name = analysis.name(position);
        near(&format!("score of {name}"), analysis.score(position), by_name.get(name).copied())?;
    }
    Ok(())
}

fn compare_triggers(analysis: &Analysis<'_>, expected: &Decision) -> Result<(), String> {
    let mut plain = false;
    let mut floored = false;
    for metric in [Metric::Cpu, Metric::Lag] {
        let limit = if metric == Metric::Cpu { analysis.thresholds().cpu } else { analysis.thresholds().lag };
        let (Some(cv), Some(compared)) = (expected.cv[metric], expected.cv_compared[metric]) else {
            continue;
        };
        if is_near(cv, limit) || is_near(compared, limit) {
            return Ok(());
        }
        let fires = cv > limit && !expected.insufficient;
        same(&format!("{metric} triggers"), &analysis.triggered().contains(&metric), &fires)?;
        plain |= fires;
        floored |= compared > limit && !expected.insufficient;
    }
    same("should rebalance", &analysis.should_rebalance(), &plain)?;
    same("targets", &analysis.targets().is_some(), &plain)?;
    let finding = match (expected.insufficient, plain, floored) {
        (true, ..) => Finding::InsufficientData,
        (_, true, true) => Finding::OverThreshold,
        (_, true, false) => Finding::BelowFloor,
        (_, false, _) => Finding::Balanced,
    };
    same("finding", &analysis.finding(), &finding)
}

fn compare_outliers(analysis: &Analysis<'_>, expected: &Decision) -> Result<(), String> {
    let Some(pair) = analysis.outliers() else {
        return same("no outliers", &true, &(expected.insufficient || expected.least_busy.is_none()));
    };
    if pair.busiest == pair.least_busy {
        return Err("the busiest is the least busy".to_owned());
    }
    let rows = analysis.candidates().iter().copied().zip(expected.scores.iter().copied());
    let score_of = |target: usize| {
        let row = rows.clone().find(|(position, _)| *position == target);
        row.map(|(_, score)| score).ok_or("a target is no candidate")
    };
    let (top, bottom) = (score_of(pair.busiest)?, score_of(pair.least_busy)?);
    for (position, score) in rows.clone() {
        let pod = analysis.pod(position);
        let comes_before = |target: usize| {
            let target = analysis.pod(target);
            same_loads(&pod, &target) && pod.name < target.name
        };
        if (score > top && !is_near(score, top)) || comes_before(pair.busiest) {
            return Err(format!("{} is busier than the busiest", pod.name));
        }
        let is_less = (score < bottom && !is_near(score, bottom)) || comes_before(pair.least_busy);
        if position != pair.busiest && is_less {
            return Err(format!("{} is less busy than the least busy", pod.name));
        }
    }
    Ok(())
}

fn is_usable(pods: &[PodState], metric: Metric, thresholds: &Thresholds) -> bool {
    let having = pods.iter().filter(|pod| pod.load(metric).is_some()).count();
    let share = having as f64 >= thresholds.min_coverage * pods.len() as f64 - 1e-9;
    share && having >= thresholds.min_pods
}

fn column(candidates: &[&PodState], metric: Metric) -> Vec<f64> {
    candidates.iter().filter_map(|pod| pod.load(metric)).map(Load::value).collect()
}

fn cv(loads: &[f64], floor: f64) -> f64 {
    let count = loads.len() as f64;
    let mean = loads.iter().sum::<f64>() / count;
    let variance = loads.iter().map(|load| (load - mean).powi(2)).sum::<f64>() / count;
    let denominator = if mean > floor { mean } else { floor };
    if denominator == 0.0 { 0.0 } else { variance.sqrt() / denominator }
}

fn median(loads: &[f64]) -> f64 {
    let mut sorted = loads.to_vec();
    sorted.sort_by(f64::total_cmp);
    f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2])
}

fn scores(candidates: &[&PodState], usable: &[Metric], thresholds: &Thresholds) -> Vec<f64> {
    let weights: f64 = usable.iter().map(|metric| thresholds.weights[*metric]).sum();
    let denominators = PerMetric::from_fn(|metric| {
        let loads = column(candidates, metric);
        (loads.iter().sum::<f64>() / loads.len() as f64).max(thresholds.score_floors[metric])
    });
    let score = |pod: &&PodState| {
        let mut score = 0.0;
        for &metric in usable {
            let load = pod.load(metric).map_or(0.0, Load::value);
            if weights > 0.0 && denominators[metric] > 0.0 {
                score += thresholds.weights[metric] / weights * (load / denominators[metric]);
            }
        }
        score
    };
    candidates.iter().map(score).collect()
}

fn same_loads(one: &PodState, other: &PodState) -> bool {
    Metric::ALL.into_iter().all(|metric| one.load(metric) == other.load(metric))
}

fn is_near(one: f64, other: f64) -> bool {
    (one - other).abs() <= TOLERANCE * (1.0 + one.abs().max(other.abs()))
}

fn near(what: &str, found: Option<f64>, expected: Option<f64>) -> Result<(), String> {
    let agree = match (found, expected) {
        (Some(found), Some(expected)) => is_near(found, expected),
        (None, None) => true,
        _ => false,
    };
    if agree { Ok(()) } else { Err(format!("{what} is {found:?}, expected {expected:?}")) }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}, expected {expected:?}")) }
}

/// What the specification says about live pods and the samples of one metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinedMetric {
    /// Names of eligible pods with more than one sample: an error that names one of them.
    Duplicates(BTreeSet<String>),
    /// One sample a pod at most.
    Loads {
        /// Bits of the loads of the eligible pods that have one.
        loads: BTreeMap<String, u64>,
        /// Eligible pods whose sample is no load.
        invalid: BTreeSet<String>,
        /// Eligible pods whose sample is of another moment.
        stale: BTreeSet<String>,
        /// Number of samples of pods that do not live.
        unknown: usize,
    },
}

/// Names of the pods that take part, in the order given.
pub fn eligible(live: &[LivePod], freshness: Freshness) -> Vec<String> {
    let takes_part = |pod: &&LivePod| {
        let youngest = pod.age.into_iter().chain(pod.uptime).min();
        let warm = youngest.is_none_or(|age| age >= freshness.warm_up);
        pod.ready && !pod.terminating && pod.phase == Phase::Running && warm
    };
    live.iter().filter(takes_part).map(|pod| pod.name.clone()).collect()
}

/// Joins the samples of one metric with the live pods, whose names differ.
pub fn join(live: &[LivePod], freshness: Freshness, now_s: f64, samples: &[Sample<'_>]) -> JoinedMetric {
    let eligible = eligible(live, freshness);
    let of = |name: &str| samples.iter().filter(|sample| sample.pod == name).collect::<Vec<_>>();
    let duplicates: BTreeSet<String> = eligible.iter().filter(|name| of(name).len() > 1).cloned().collect();
    if !duplicates.is_empty() {
        return JoinedMetric::Duplicates(duplicates);
    }
    let mut loads = BTreeMap::new();
    let mut invalid = BTreeSet::new();
    let mut stale = BTreeSet::new();
    for name in eligible {
        let Some(sample) = of(&name).first().copied() else { continue };
        let fresh = (sample.timestamp_s - now_s).abs() <= freshness.max_sample_age.as_secs_f64();
        let value = sample.value;
        if !fresh {
            stale.insert(name);
        } else if !(0.0..=1e19).contains(&value) {
            invalid.insert(name);
        } else {
            loads.insert(name, value.abs().to_bits());
        }
    }
    let lives = |sample: &&Sample<'_>| live.iter().any(|pod| pod.name == sample.pod);
    let unknown = samples.iter().filter(|sample| !lives(sample)).count();
    JoinedMetric::Loads { loads, invalid, stale, unknown }
}
