//! Questions that are asked together: each is a part of a query, and told from the others by a tag.

use std::collections::BTreeMap;

use super::tables::{Key, OF_SUSPECTS, Tables, ToldKey, labelled, rows_of, told_key};
use crate::facts::{Question, shifted};
use crate::metrics::kafka_direct::is_of_kafka;
use crate::metrics::{KafkaPreset, MetricQuery, MetricsSource, ROW_LABEL, in_threads, tagged};
use crate::prometheus::{Point, QueryError, Series, TimeRange, When};
use crate::promql::joined_by_or;

/// A question that is asked together with others.
pub(super) struct Part {
    query: MetricQuery,
    kept: Kept,
}

/// Where its answer is kept.
enum Kept {
    /// Of what presets ask about now.
    Now(Key),
    /// Of what they ask about a range.
    Over(Key, TimeRange),
    /// Of the questions of single workloads.
    Told(ToldKey),
}

impl Part {
    /// A question of a preset about now.
    pub(super) fn now(preset: KafkaPreset, query: MetricQuery) -> Self {
        Self { kept: Kept::Now((preset, query.name.clone())), query }
    }

    /// A question of a preset about a range.
    pub(super) fn over(preset: KafkaPreset, query: MetricQuery, range: TimeRange) -> Self {
        Self { kept: Kept::Over((preset, query.name.clone()), range), query }
    }

    /// Its text in a query that has several parts, with `tag`. What single workloads ask is told apart by namespace too.
    fn tagged(&self, tag: usize) -> String {
        let label = self.query.pod_label.as_str();
        match self.kept {
            Kept::Told(_) => tagged(&self.query.promql, tag, &["namespace", label]),
            Kept::Now(_) | Kept::Over(..) => tagged(&self.query.promql, tag, &[label]),
        }
    }
}

/// The rows of a part, by what tells them apart within it.
type Rows = Vec<(String, Vec<Point>)>;

impl Tables<'_> {
    /// Asks these in parallel, keeps what is answered, and says of each whether it was.
    pub(super) fn ask_and_keep(&mut self, wanted: &[(Key, &MetricQuery)]) -> Vec<Result<(), QueryError>> {
        let (source, at) = (self.source, self.at);
        let ask = |(_, query): &(Key, &MetricQuery)| -> Result<_, QueryError> {
            Ok(rows_of(&query.name, labelled(&source.instant(query, at)?)))
        };
        let answers = in_threads(wanted, ask);
        let kept = wanted
            .iter()
            .zip(answers)
            .map(|((key, _), answer)| answer.map(|rows| drop(self.instants.insert(key.clone(), rows))));
        kept.collect()
    }

    /// The questions of single workloads, each once. One about a window that has ended is asked now, about that time.
    pub(super) fn told_parts(&mut self, questions: &[Question]) -> Vec<Part> {
        let mut parts: BTreeMap<ToldKey, Part> = BTreeMap::new();
        // Kafka itself knows no past. The answers about suspects have labels that would be lost.
        let is_left_out =
            |query: &MetricQuery| is_of_kafka(&query.promql) || OF_SUSPECTS.contains(&query.name.as_str());
        for (query, when) in questions.iter().filter(|(query, _)| !is_left_out(query)) {
            let key = told_key(query, *when);
            let text = match when {
                When::Instant(ended) if *ended != self.at => {
                    shifted(&query.promql, self.at.duration_since(*ended).unsigned_abs())
                }
                When::Instant(_) | When::Range(_) => Some(query.promql.clone()),
            };
            if let Some(promql) = text {
                let query = MetricQuery { promql, ..query.clone() };
                parts.insert(key.clone(), Part { query, kept: Kept::Told(key) });
            } else {
                self.told.insert(key, None);
            }
        }
        parts.into_values().collect()
    }

    /// Asks these in as few queries as servers take, those about one time in one, and of ranges of presets at most `most`. A
    /// question about now that is not answered so is asked by itself; one about a range, or of a single workload, when it is needed.
    pub(super) fn ask_together(&mut self, parts: Vec<Part>, most: usize) {
        let now = When::Instant(self.at);
        let mut by_time: BTreeMap<(When, usize), Vec<Part>> = BTreeMap::new();
        for part in parts {
            let time = match &part.kept {
                Kept::Over(_, range) => (When::Range(*range), most),
                Kept::Told((when @ When::Range(_), ..)) => (*when, usize::MAX),
                Kept::Told(_) | Kept::Now(_) => (now, usize::MAX),
            };
            by_time.entry(time).or_default().push(part);
        }
        let mut asked: Vec<Packed> = Vec::new();
        for ((when, most), parts) in by_time {
            let texts: Vec<String> = parts.iter().enumerate().map(|(tag, part)| part.tagged(tag)).collect();
            let mut parts = (0..).zip(parts);
            let packed = joined_by_or(texts, most).into_iter();
            asked.extend(packed.map(|(promql, count)| Packed {
                when,
                promql,
                parts: parts.by_ref().take(count).collect(),
            }));
        }
        asked.retain(|packed| !matches!(packed.parts[..], [(_, Part { kept: Kept::Over(..), .. })]));
        let source = self.source;
        let answers = in_threads(&asked, |packed| packed.ask(source));
        let mut failed: Vec<(Key, MetricQuery)> = Vec::new();
        for (Packed { parts, .. }, answer) in asked.into_iter().zip(answers) {
            let mut answer = answer.ok();
            for (tag, part) in parts {
                let rows = answer.as_mut().map(|rows| rows.remove(&tag).unwrap_or_default());
                failed.extend(self.keep(part, rows));
            }
        }
        let failed: Vec<(Key, &MetricQuery)> =
            failed.iter().map(|(key, query)| (key.clone(), query)).collect();
        self.ask_and_keep(&failed);
    }

    /// Keeps the rows of a part. Gives back what has to be asked by itself, since it was not answered.
    fn keep(&mut self, Part { query, kept }: Part, rows: Option<Rows>) -> Option<(Key, MetricQuery)> {
        match (kept, rows) {
            (Kept::Now(key), None) => return Some((key, query)),
            (Kept::Now(key), Some(rows)) => {
                let rows = rows.iter().filter_map(|(label, points)| Some((label.as_str(), *points.last()?)));
                self.instants.insert(key, rows_of(&query.name, rows));
            }
            (Kept::Over(..), None) => {}
            (Kept::Over(key, _), Some(rows)) => {
                if let Some(ranged) = self.ranges.get(&key) {
                    ranged.take(rows);
                }
            }
            (Kept::Told(key), rows) => {
                self.told.insert(key, rows.map(|rows| rows.into_iter().collect()));
            }
        }
        None
    }
}

/// A query made of parts, each with its tag.
struct Packed {
    when: When,
    promql: String,
    parts: Vec<(usize, Part)>,
}

impl Packed {
    /// The rows of its parts by their tags.
    fn ask(&self, source: &dyn MetricsSource) -> Result<BTreeMap<usize, Rows>, QueryError> {
        let names: Vec<&str> = self.parts.iter().map(|(_, part)| part.query.name.as_str()).collect();
        let query = MetricQuery::new(names.join(", "), self.promql.as_str()).with_pod_label(ROW_LABEL);
        let mut found: BTreeMap<usize, Rows> = BTreeMap::new();
        let mut add = |label: &str, points: Vec<Point>| {
            if let Some((tag, label)) = label.split_once('/')
                && let Ok(tag) = tag.parse()
            {
                found.entry(tag).or_default().push((label.to_owned(), points));
            }
        };
        match self.when {
            When::Instant(at) => {
                labelled(&source.instant(&query, at)?).for_each(|(label, point)| add(label, vec![point]));
            }
            When::Range(range) => {
                source.range(&query, range)?.into_iter().for_each(|Series { pod, points }| add(&pod, points));
            }
        }
        Ok(found)
    }
}
