//! Past moments, from the history of a metrics server.
//!
//! No server remembers which pods existed. Today's pods existed since their creation. A deleted pod counts as
//! Running and Ready at each moment at which it has loads, and its age is counted from its first load. The
//! status of owners is known only for the latest minute, except for the time of the last rollout.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use rebalancer_core::{LivePod, Metric, OwnerStatus, PerMetric, Workload};
use rebalancer_io::facts::{FactFinder, Kin};
use rebalancer_io::metrics::{AtMost, FactQueries, MetricsSource, QuerySet};
use rebalancer_io::podstate::Answers;
use rebalancer_io::prometheus::{QueryError, Samples, Series};

use super::judge::Moment;
use super::pieces::{Answered, Gap, Pieces};
use super::remembered::Remembered;
use crate::pipeline::clocks::ago;
use crate::pipeline::live::Subject;

/// Maximum number of moments in one query. Servers return at most 11,000 points per series.
const MOST_MOMENTS: usize = 10_000;

/// Maximum number of samples in one answer, for today's pods. At most 39 bytes each, they use a quarter of
/// the default limit; the rest is for deleted pods.
const MOST_SAMPLES: usize = 200_000;

/// Maximum number of concurrent queries, to leave room for other users of the server.
const AT_ONCE: usize = 2;

/// A moment less than this before the listing of the pods is described by that list.
const LATEST: Duration = Duration::from_secs(60);

/// The past of one workload.
pub struct Past<'a> {
    source: Remembered<'a>,
    subject: &'a Subject,
    queries: &'a QuerySet,
    facts: &'a FactQueries,
    allow_many_controllers: bool,
    /// When each pod first had a load; `None` for pods of the first moment.
    first_seen: Option<BTreeMap<String, Option<Timestamp>>>,
    pieces: PerMetric<Pieces>,
    gaps: Vec<MetricGap>,
}

/// A part of a metric's history that the server did not return.
type MetricGap = (Metric, Gap);

impl<'a> Past<'a> {
    /// The past of a workload, of which the queries of loads and facts tell.
    pub fn new(
        source: &'a dyn MetricsSource,
        subject: &'a Subject,
        (queries, facts): (&'a QuerySet, &'a FactQueries),
        allow_many_controllers: bool,
    ) -> Self {
        Self {
            source: Remembered::new(AtMost::new(source, AT_ONCE), subject.listed_at),
            subject,
            queries,
            facts,
            allow_many_controllers,
            first_seen: None,
            pieces: PerMetric::default(),
            gaps: Vec::new(),
        }
    }

    /// Looks up facts besides the loads at a moment.
    pub fn finder(&self, at: Timestamp) -> FactFinder<'_> {
        FactFinder::new(&self.source, self.facts, at)
    }

    /// How many moments one answer may contain.
    pub fn chunk(&self) -> usize {
        moments_of(self.subject.workload.pods.len())
    }

    /// What the server did not return so far, in words.
    pub fn not_had(&self) -> Vec<String> {
        self.gaps.iter().map(|(metric, gap)| gap.of(metric)).collect()
    }

    /// What was known at each of `times`, which are `every` apart; `None` if the server did not return a
    /// metric, see [`Past::not_had`]. Chunks must be requested in time order.
    ///
    /// # Errors
    /// A query that fails, or an answer with other moments.
    pub fn moments(&mut self, times: &[Timestamp], every: Duration) -> anyhow::Result<Vec<Option<Moment>>> {
        let (answers, gaps) = self.answers(times, every)?;
        self.note_births(&answers);
        let moment = |answers: Answers| {
            let (at, allow_many_controllers) = (answers.at, self.allow_many_controllers);
            let is_had = !gaps.iter().any(|(_, gap)| (gap.from..=gap.to).contains(&at));
            let workload = is_had.then(|| self.workload_at(&answers))?;
            Some(Moment { workload, answers, allow_many_controllers, has_past: true })
        };
        let moments = answers.into_iter().map(moment).collect();
        self.gaps.extend(gaps);
        Ok(moments)
    }

    fn answers(
        &self,
        times: &[Timestamp],
        every: Duration,
    ) -> anyhow::Result<(Vec<Answers>, Vec<MetricGap>)> {
        let ask = |metric: Metric| -> Option<Result<Answered, QueryError>> {
            let query = self.queries.get(metric)?;
            let ask = |range| self.source.source().range(query, range);
            Some(self.pieces[metric].ask(times, every, ask))
        };
        let ranges = std::thread::scope(|scope| {
            let threads = PerMetric::from_fn(|metric| scope.spawn(move || ask(metric)));
            threads.map(|thread| {
                let answer = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                answer.transpose()
            })
        });
        let mut all: Vec<Answers> = times.iter().map(|at| Answers::new(*at, PerMetric::default())).collect();
        let mut gaps: Vec<MetricGap> = Vec::new();
        for (metric, pieces) in ranges.into_pairs() {
            let pieces = pieces.context("cannot read the history of the metrics")?;
            let Some((ranges, lacking)) = pieces else { continue };
            gaps.extend(lacking.into_iter().map(|gap| (metric, gap)));
            for answers in &mut all {
                answers.metrics[metric] = Some(Samples::default());
            }
            for range in ranges {
                spread_out(range, metric, &mut all)?;
            }
        }
        Ok((all, gaps))
    }

    /// Records when pods were first seen.
    fn note_births(&mut self, chunk: &[Answers]) {
        for answers in chunk {
            let first = self.first_seen.is_some().then_some(answers.at);
            let seen = self.first_seen.get_or_insert_default();
            for name in names(answers) {
                if !seen.contains_key(name) {
                    seen.insert(name.to_owned(), first);
                }
            }
        }
    }

    /// The workload at the moment of the answers.
    fn workload_at(&self, answers: &Answers) -> Workload {
        let Subject { workload, listed_at, .. } = self.subject;
        let ago = ago(answers.at, *listed_at);
        let latest = ago < LATEST;
        let mut pods: Vec<LivePod> =
            workload.pods.iter().filter_map(|pod| earlier(pod, ago, latest)).collect();
        let listed: BTreeSet<&str> = workload.pods.iter().map(|pod| pod.name.as_str()).collect();
        if !latest {
            let kin = Kin::of(&workload.pods);
            let gone = names(answers).into_iter().filter(|name| kin.has(name) && !listed.contains(name));
            pods.extend(gone.map(|name| self.gone(name, answers.at)));
        }
        let owners = workload.owners.iter().filter_map(|owner| earlier_owner(owner, ago, latest));
        Workload { pods, owners: owners.collect() }
    }

    fn gone(&self, name: &str, at: Timestamp) -> LivePod {
        let born = self.first_seen.as_ref().and_then(|seen| *seen.get(name)?);
        LivePod { age: born.map(|born| ago(born, at)), ..LivePod::assumed(name) }
    }
}

/// How many moments one answer about this many pods may contain.
pub fn moments_of(pods: usize) -> usize {
    (MOST_SAMPLES / pods.max(1)).clamp(1, MOST_MOMENTS)
}

/// Sorts the points of a range answer by moment.
fn spread_out(range: Vec<Series>, metric: Metric, all: &mut [Answers]) -> anyhow::Result<()> {
    let places: BTreeMap<i64, usize> =
        all.iter().enumerate().map(|(place, answers)| (answers.at.as_millisecond(), place)).collect();
    for series in range {
        for point in series.points {
            let Some(place) = places.get(&point.timestamp_ms) else {
                anyhow::bail!(
                    "{metric}: the server answers for another moment ({} ms) than it was asked for; \
                     set PROMETHEUS_STRICT_PARAMS=true, or look for a cache in front of it",
                    point.timestamp_ms
                );
            };
            let answer = all[*place].metrics[metric].get_or_insert_default();
            answer.push(&series.pod, point);
        }
    }
    Ok(())
}

fn names(answers: &Answers) -> BTreeSet<&str> {
    let known = answers.metrics.iter().filter_map(|(_, answer)| answer.as_ref());
    known.flat_map(Samples::pods).collect()
}

/// A pod as it was `ago`; `None` before its creation.
fn earlier(pod: &LivePod, ago: Duration, latest: bool) -> Option<LivePod> {
    let age = match pod.age {
        Some(age) => Some(age.checked_sub(ago)?),
        None => None,
    };
    let uptime = pod.uptime.and_then(|uptime| uptime.checked_sub(ago));
    let then = if latest {
        pod.clone()
    } else {
        LivePod {
            uid: pod.uid.clone(),
            controller: pod.controller.clone(),
            protections: pod.protections.clone(),
            node: pod.node.clone(),
            ..LivePod::assumed(pod.name.as_str())
        }
    };
    Some(LivePod { age, uptime, ..then })
}

/// An owner's status `ago`: before the latest minute only the time of its last template change, and whether
/// its kind is allowed by name. `None` if there is neither.
fn earlier_owner(owner: &OwnerStatus, ago: Duration, latest: bool) -> Option<OwnerStatus> {
    if latest {
        return Some(owner.clone());
    }
    let rollout_ago = owner.rollout_ago.and_then(|then| then.checked_sub(ago));
    let silent = OwnerStatus::silent(owner.controller.clone(), owner.top.clone());
    (rollout_ago.is_some() || owner.named).then_some(OwnerStatus {
        rollout_ago,
        named: owner.named,
        ..silent
    })
}

#[cfg(test)]
mod tests {
    use rebalancer_io::prometheus::PrometheusConfig;

    use super::moments_of;

    #[test]
    fn an_answer_about_weeks_stays_well_below_the_limit() {
        // A time with milliseconds, seventeen digits of a number, and what stands around them.
        let sample_bytes = r#"[1795410000.619,"0.12345678901234567"],"#.len();
        for pods in [1, 12, 100, 3_000] {
            let bytes = moments_of(pods) * pods * sample_bytes;
            let most = PrometheusConfig::DEFAULT_MAX_RESPONSE_BYTES / 4;
            assert!(bytes as u64 <= most, "{pods} pods: {bytes} bytes");
        }
    }
}
