//! The same work as one would write it with crates from the registry.

use std::borrow::Cow;
use std::collections::HashMap;

use prometheus_http_query::response::PromqlResult;
use rebalancer_core::{DEFAULT_FLOORS, DEFAULT_WEIGHTS, Load, Metric, PerMetric, PodState};
use rebalancer_io::prometheus::Samples;
use serde::Deserialize;
use statrs::statistics::Statistics as _;

/// Adds up what a decoder found, so that nothing of it is left out: the values in order, and the
/// lengths of the names.
pub fn told<'a>(found: impl Iterator<Item = (&'a str, f64)>) -> f64 {
    let (values, names) =
        found.fold((0.0, 0), |(values, names), (pod, value)| (values + value, names + pod.len()));
    values + names as f64
}

/// Decodes into structs that borrow, with `serde_json`.
pub fn serde_typed(body: &str) -> f64 {
    let answer: Answer<'_> = serde_json::from_str(body).expect("it is JSON");
    answer.told()
}

/// Decodes into the types of `prometheus-http-query`, as its client does.
pub fn prometheus_http_query(body: &str) -> f64 {
    let ClientAnswer::Success { data } = serde_json::from_str(body).expect("it is JSON");
    let vector = data.data().as_vector().expect("a vector");
    told(vector.iter().map(|series| (series.metric()["pod"].as_str(), series.sample().value())))
}

/// Joins with the standard library's map of owned names, and counts the pods.
pub fn std_map(answers: &PerMetric<Samples>) -> f64 {
    let mut pods: HashMap<String, PerMetric<f64>> = HashMap::new();
    for (metric, answer) in answers.iter() {
        for sample in answer.iter() {
            pods.entry(sample.pod.to_owned()).or_default()[metric] = sample.value;
        }
    }
    pods.len() as f64
}

/// The population variance by `statrs`.
pub fn statrs_variance(loads: &[f64]) -> f64 {
    loads.population_variance()
}

/// Mean and variance of each metric and of the score by `statrs`, and a sort: the position of the
/// busiest pod.
pub fn statrs_and_sort(pods: &[PodState]) -> f64 {
    let means = PerMetric::from_fn(|metric| {
        let loads = pods.iter().filter_map(|pod| pod.load(metric)).map(Load::value);
        let (mean, variance) = (loads.clone().mean(), loads.population_variance());
        assert!(variance >= 0.0, "a variance is not negative");
        mean.max(DEFAULT_FLOORS[metric])
    });
    let share = |pod: &PodState, metric: Metric| {
        DEFAULT_WEIGHTS[metric] * pod.load(metric).map_or(0.0, Load::value) / means[metric]
    };
    let score = |pod: &PodState| Metric::ALL.into_iter().map(|metric| share(pod, metric)).sum::<f64>();
    let mut ranking: Vec<(f64, usize)> = pods.iter().map(score).zip(0..).collect();
    let scores = ranking.iter().map(|(score, _)| *score);
    assert!(scores.clone().mean() >= 0.0 && scores.population_variance() >= 0.0, "scores are finite");
    ranking.sort_by(|one, other| other.0.total_cmp(&one.0));
    ranking.first().map_or(f64::NAN, |(_, position)| *position as f64)
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    result: Vec<Series<'a>>,
}

#[derive(Deserialize)]
struct Series<'a> {
    #[serde(borrow)]
    metric: Labels<'a>,
    #[serde(borrow)]
    value: (f64, Cow<'a, str>),
}

#[derive(Deserialize)]
struct Labels<'a> {
    #[serde(borrow)]
    pod: Cow<'a, str>,
}

impl Answer<'_> {
    fn told(&self) -> f64 {
        let number = |series: &Series<'_>| series.value.1.parse().unwrap_or(f64::NAN);
        told(self.data.result.iter().map(|series| (series.metric.pod.as_ref(), number(series))))
    }
}

/// What the crate keeps private around [`PromqlResult`].
#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum ClientAnswer {
    Success { data: PromqlResult },
}
