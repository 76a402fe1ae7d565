//! When pods were there, as the metrics server remembers it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use rebalancer_io::facts::Kin;
use rebalancer_io::metrics::{LifeQueries, MetricQuery, MetricsSource};
use rebalancer_io::prometheus::{QueryError, Series};

use crate::pipeline::backtest::past::moments_of;
use crate::pipeline::backtest::pieces::{Gap, Pieces};
use crate::pipeline::clocks::ago;

/// Maximum number of samples of a question: with more pods or days, the steps are longer.
const MOST_SAMPLES: u64 = 1_000_000;

/// Maximum number of moments: a month of minutes.
const MOST_MOMENTS: u64 = 50_000;

/// For this long a server shows the last sample of a pod that is gone.
const LOOKBACK: Duration = Duration::from_secs(5 * 60);

/// Shortest step of questions whose answer stays the same for a pod's whole life, or until the next run.
const LONG_STEP: Duration = Duration::from_secs(5 * 60);

const MINUTE: Duration = Duration::from_secs(60);

/// What is remembered of the pods of one workload.
#[derive(Debug, Clone, Default)]
pub struct Sightings {
    /// The first and the last moment at which each pod was seen.
    pub seen: BTreeMap<String, (Timestamp, Timestamp)>,
    /// When the pods of each name were created.
    pub created: BTreeMap<String, BTreeSet<Timestamp>>,
    /// When containers of each pod were started.
    pub started: BTreeMap<String, BTreeSet<Timestamp>>,
    /// When runs of this program ended that evicted pods.
    pub runs: BTreeSet<Timestamp>,
    /// Time between two moments at which pods were looked for.
    pub step: Duration,
    /// What the server did not give, in words.
    pub not_had: Vec<String>,
}

/// The stretch of the past that is read.
#[derive(Debug, Clone, Copy)]
pub struct Stretch {
    /// Its first moment.
    pub from: Timestamp,
    /// Its last moment.
    pub to: Timestamp,
    /// Number of pods, which says how much there is to read.
    pub pods: usize,
}

impl Stretch {
    /// The shortest step, in whole minutes, of which there are not too many.
    fn step(&self) -> Duration {
        let minutes = ago(self.from, self.to).as_secs() / 60 + 1;
        let samples = minutes.saturating_mul(u64::try_from(self.pods.max(1)).unwrap_or(u64::MAX));
        let longer = samples.div_ceil(MOST_SAMPLES).max(minutes.div_ceil(MOST_MOMENTS)).max(1);
        MINUTE.saturating_mul(u32::try_from(longer).unwrap_or(u32::MAX))
    }

    /// Whole multiples of the step since 1970, because servers that align ranges answer only for those.
    fn moments(&self, step: Duration) -> Vec<Timestamp> {
        let step_ms = i64::try_from(step.as_millis()).unwrap_or(i64::MAX).max(1);
        let first = self.from.as_millisecond().div_euclid(step_ms);
        let last = self.to.as_millisecond().div_euclid(step_ms);
        (first..=last).filter_map(|index| Timestamp::from_millisecond(index * step_ms).ok()).collect()
    }
}

impl Sightings {
    /// Reads what is remembered of the pods of `kin`. `loads` are the queries of the metrics: where cAdvisor
    /// reports none of the pods, those show which were there.
    ///
    /// # Errors
    /// If the server does not answer where the pods were.
    pub fn read(
        source: &dyn MetricsSource,
        queries: &LifeQueries,
        loads: &[&MetricQuery],
        kin: &Kin<'_>,
        stretch: Stretch,
    ) -> anyhow::Result<Self> {
        let step = stretch.step();
        let mut sightings = Self { step, ..Self::default() };
        for query in [&queries.presence].into_iter().chain(loads.iter().copied()) {
            let gaps = read(source, stretch, query, step, &mut |answer| sightings.see(&answer, kin))
                .context("cannot read the history of the pods")?;
            sightings.not_had.extend(gaps.iter().map(|gap| gap.of(&query.name)));
            if !sightings.seen.is_empty() {
                break;
            }
        }
        sightings.note_times(source, queries, kin, stretch);
        Ok(sightings)
    }

    /// The first moment at which any pod was seen: as far as the server remembers this workload.
    pub fn first(&self) -> Option<Timestamp> {
        self.seen.values().map(|(first, _)| *first).min()
    }

    /// The last moment at which any pod was seen.
    pub fn last(&self) -> Option<Timestamp> {
        self.seen.values().map(|(_, last)| *last).max()
    }

    /// How far the time of a sighting may be from what happened.
    pub fn slack(&self) -> Duration {
        self.step + LOOKBACK
    }

    fn see(&mut self, answer: &[Series], kin: &Kin<'_>) {
        for series in answer.iter().filter(|series| kin.has(&series.pod)) {
            for point in series.points.iter().filter(|point| !point.value.is_nan()) {
                let Ok(at) = Timestamp::from_millisecond(point.timestamp_ms) else { continue };
                let (first, last) = self.seen.entry(series.pod.clone()).or_insert((at, at));
                (*first, *last) = ((*first).min(at), (*last).max(at));
            }
        }
    }

    /// Reads the exact times, as far as they are exported. A question without an answer is told, and nothing
    /// depends on it.
    fn note_times(
        &mut self,
        source: &dyn MetricsSource,
        queries: &LifeQueries,
        kin: &Kin<'_>,
        stretch: Stretch,
    ) {
        let step = self.step.max(LONG_STEP);
        let mut times = |query: &MetricQuery, is_wanted: &dyn Fn(&str) -> bool| {
            let mut found: BTreeMap<String, BTreeSet<Timestamp>> = BTreeMap::new();
            let read = read(source, stretch, query, step, &mut |answer| {
                for series in answer.iter().filter(|series| is_wanted(&series.pod)) {
                    let moments = series.points.iter().filter_map(|point| moment(point.value));
                    found.entry(series.pod.clone()).or_default().extend(moments);
                }
            });
            match read {
                Ok(gaps) => self.not_had.extend(gaps.iter().map(|gap| gap.of(&query.name))),
                Err(error) => self.not_had.push(format!("{}: {error}", query.name)),
            }
            found
        };
        let of_kin = |pod: &str| kin.has(pod);
        let created = times(&queries.created, &of_kin);
        let started = times(&queries.started, &of_kin);
        let runs = queries.runs.as_ref().map(|query| times(query, &|_| true)).unwrap_or_default();
        (self.created, self.started) = (created, started);
        self.runs = runs.into_values().flatten().collect();
    }
}

/// Reads a long range in pieces.
fn read(
    source: &dyn MetricsSource,
    stretch: Stretch,
    query: &MetricQuery,
    step: Duration,
    take: &mut dyn FnMut(Vec<Series>),
) -> Result<Vec<Gap>, QueryError> {
    let (moments, pieces) = (stretch.moments(step), Pieces::default());
    let mut gaps: Vec<Gap> = Vec::new();
    for chunk in moments.chunks(moments_of(stretch.pods)) {
        let (answers, lacking) = pieces.ask(chunk, step, |range| source.range(query, range))?;
        answers.into_iter().for_each(&mut *take);
        gaps.extend(lacking);
    }
    Ok(gaps)
}

/// The moment this many seconds after the Unix epoch; `None` if it is no time.
fn moment(seconds: f64) -> Option<Timestamp> {
    if !seconds.is_finite() || seconds <= 0.0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
    Timestamp::from_millisecond((seconds * 1000.0).round() as i64).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_grow_with_pods_and_days() {
        let to = Timestamp::from_second(1_795_410_000).expect("a time");
        let step = |pods: usize, days: u64| {
            let stretch = Stretch { from: to - Duration::from_secs(86_400 * days), to, pods };
            let moments = stretch.moments(stretch.step()).len();
            assert!(moments * pods <= 1_100_000, "{pods} pods, {days} days: {moments} moments");
            stretch.step().as_secs() / 60
        };
        assert_eq!([step(12, 3), step(12, 30), step(1_000, 3), step(10_000, 3)], [1, 1, 5, 44]);
    }

    #[test]
    fn values_that_are_no_time_are_none() {
        for nonsense in [f64::NAN, f64::INFINITY, -5.0, 0.0, 1e300] {
            assert_eq!(moment(nonsense), None, "{nonsense}");
        }
        assert_eq!(moment(1_795_410_000.5).map(Timestamp::as_millisecond), Some(1_795_410_000_500));
    }
}
