//! Checks the metrics server: whether it answers, and what each query finds.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rebalancer_core::guard::{Standing, veto};
use rebalancer_core::{Engine, Fact, Metric, VetoBy, Workload};
use rebalancer_io::facts::{FactFinder, Kept, WITH_A_PAST};
use rebalancer_io::metrics::{
    FactQueries, KafkaPreset, MetricQuery, MetricsSource, OriginQueries, QuerySet, QuerySettings,
    SourceSeries, VetoQuery, is_kafka_metric, mark_stale, query_variable,
};
use rebalancer_io::origin::one_origin;
use rebalancer_io::prometheus::{ErrorKind, LabelledSample, PrometheusClient, QueryError, Samples, Server};

use crate::cli::args::GuardMode;
use crate::failure::Failure;
use crate::pipeline::clocks::{UNKNOWN_AGE_ADVICE, now, unknown_age};
use crate::pipeline::decide::living;
use crate::pipeline::kafka::Seen;
use crate::pipeline::live::{Live, Subject};
use crate::report::FoundReport;
use crate::report::check::{Category, Grade};
use crate::settings::decision::DecisionSettings;

/// Maximum number of metrics in one query whose newest samples are checked.
const MOST_SOURCES: usize = 3;

/// Share of the window that the history should cover.
const ENOUGH_HISTORY: f64 = 0.9;

/// Sends every query that a run would send about `subject`, beside what Kafka itself told.
///
/// # Errors
/// A certificate that cannot be used.
pub fn check(
    live: &Live,
    decision: &DecisionSettings,
    subject: &Subject,
    unclear: Vec<String>,
    seen: Option<&Seen>,
) -> Result<Category, Failure> {
    let client = live.client(seen)?;
    let mut category = Category::new("prometheus", Some(live.endpoint()));
    let Subject { workload, described, settings, .. } = subject;
    for FoundReport { setting, value, why } in &described.found {
        category.good(format!("{setting}={value} was found: {why}"));
    }
    for unclear in unclear {
        category.warn("the consumer group", unclear);
    }
    let (queries, facts) = match subject.all_queries() {
        Ok(queries) => queries,
        Err(failure) => {
            category.fail("write the queries", &failure);
            return Ok(category);
        }
    };
    let asking = Asking { client: &client, at: now(), workload, decision, settings };
    if workload.living().next().is_none() {
        asking.without_pods(&queries, &mut category);
    } else if asking.metrics(&queries, &mut category) {
        asking.source(&OriginQueries::new(settings), &mut category);
        asking.history(&facts, &mut category);
        asking.vetoes(&facts, &mut category);
        asking.group(&facts, asking.if_guarded(), &mut category);
    }
    Ok(category)
}

/// Everything needed to query one moment.
pub struct Asking<'a> {
    pub client: &'a PrometheusClient<Box<dyn Server>>,
    pub at: Timestamp,
    pub workload: &'a Workload,
    pub decision: &'a DecisionSettings,
    pub settings: &'a QuerySettings,
}

impl Asking<'_> {
    /// The answer to a query, of which samples need no pod.
    pub fn ask(&self, query: &MetricQuery) -> Result<Vec<LabelledSample>, QueryError> {
        self.client.labelled(query, &["__name__"], self.at)
    }

    /// Checks only whether the server answers: without pods nothing else can be checked.
    fn without_pods(&self, queries: &QuerySet, category: &mut Category) {
        let Some(query) = queries.get(Metric::Cpu) else { return };
        match self.client.instant(query, self.at) {
            Ok(_) => category.warn(
                "the server answers; the metrics could not be checked",
                "there is no live pod to compare them with: first correct what is wrong with the cluster",
            ),
            Err(error) => category.fail("cpu query", &Failure::Run(error.into())),
        }
    }

    /// Checks the queries of the metrics. Returns false if the server cannot be reached, so that the program
    /// waits for it only once.
    fn metrics(&self, queries: &QuerySet, category: &mut Category) -> bool {
        let (mut is_first, mut decidable) = (true, false);
        for metric in Metric::ALL {
            let Some(query) = queries.get(metric) else {
                let hint = if self.settings.has_server {
                    format!("METRICS_PRESET has none for it; {} gives one", query_variable(metric))
                } else {
                    "PROMETHEUS_ENDPOINT is not set, and Kafka does not know it".to_owned()
                };
                category.warn(format!("{metric}: no query"), hint);
                continue;
            };
            let begun = Instant::now();
            let answer = self.client.instant(query, self.at);
            if let (true, Ok(_)) = (is_first && self.settings.has_server, &answer) {
                category.good(format!(
                    "the server answers, the first query in {} ms",
                    begun.elapsed().as_millis()
                ));
            }
            match answer {
                Ok(mut answer) => {
                    let is_fresh = self.judge(metric, query, &answer, category);
                    self.age(metric, queries, &mut answer, category);
                    let is_usable = is_fresh && self.is_enough(&having(&answer));
                    decidable |= is_usable && Metric::TRIGGERS.contains(&metric);
                }
                Err(error) => {
                    let is_unreachable = matches!(*error.kind, ErrorKind::Transport(_));
                    category.fail(&format!("{metric} query"), &Failure::Run(error.into()));
                    if is_first && is_unreachable {
                        return false;
                    }
                }
            }
            is_first = false;
        }
        if !decidable {
            category.add(
                Grade::Error,
                "neither cpu nor lag can be used: no run can decide",
                Some(format!(
                    "one of them is needed, fresh, of {} of the Ready pods (MIN_COVERAGE) and of no fewer than {} (MIN_PODS_REQUIRED)",
                    self.decision.thresholds.min_coverage, self.decision.thresholds.min_pods
                )),
            );
        }
        true
    }

    /// Reports what a query found. Returns whether its newest sample is fresh, if known.
    fn judge(&self, metric: Metric, query: &MetricQuery, answer: &Samples, category: &mut Category) -> bool {
        let living = self.workload.living().count();
        let answered = having(answer);
        let matched = self.workload.living().filter(|pod| answered.contains(pod.name.as_str())).count();
        let is_kafka = self.settings.preset == KafkaPreset::Kafka && self.settings.own[metric].is_none();
        if is_kafka && is_kafka_metric(metric) {
            let hint = "a pod has none without a member of the group, with a partition that was never committed, or while \
                        partitions are dealt";
            let found = format!("{metric}: {matched} of {living} live pods, from Kafka itself");
            category.note(found, (matched < living).then_some(hint));
            return true;
        }
        let age = self.newest(query);
        let told = match &age {
            Age::Known(age) => format!(", newest sample {} s old", age.as_secs()),
            Age::None(_) | Age::Unknown => String::new(),
        };
        let found = format!("{metric}: {} series, {matched} of {living} live pods{told}", answer.len());
        let limit = self.decision.max_sample_age;
        let is_fresh = !matches!(age, Age::Known(age) if age > limit);
        let exported = if matched == 0 { self.exported(query) } else { None };
        let hint = exported.or_else(|| match (age, answer.is_empty()) {
            (Age::None(source), true) => Some(self.nothing_there(metric, &source)),
            (Age::Known(_), _) if !is_fresh => Some(format!(
                "that is older than MAX_SAMPLE_AGE ({} s): the scrape has stopped, or its interval is longer",
                limit.as_secs()
            )),
            (_, true) => Some(
                "the answer is empty although the server has samples: do the labels of the query match these pods?"
                    .to_owned(),
            ),
            _ => (matched < living).then(|| self.some_missing(metric, matched)),
        });
        category.note(found, hint);
        is_fresh
    }

    /// What happens to the pods without a sample, and which preset has more of them.
    fn some_missing(&self, metric: Metric, matched: usize) -> String {
        let left_out =
            "pods without a sample are left out; a metric that too few pods have is ignored (MIN_COVERAGE)";
        let is_preset = is_kafka_metric(metric) && self.settings.own[metric].is_none();
        match is_preset.then(|| self.better_preset(metric, matched)).flatten() {
            Some(better) => format!("{left_out}; {better}"),
            None => left_out.to_owned(),
        }
    }

    /// Whether a run would use a metric of these pods.
    fn is_enough(&self, answered: &HashSet<&str>) -> bool {
        let ready = || self.workload.living().filter(|pod| pod.ready && !pod.terminating);
        let having = ready().filter(|pod| answered.contains(pod.name.as_str())).count();
        having >= Engine::new(self.decision.thresholds).needed(ready().count())
    }

    /// What to do if the server has no sample of the series in a query. Which setting is at fault depends on
    /// the metric.
    fn nothing_there(&self, metric: Metric, source: &str) -> String {
        let variable = query_variable(metric);
        let none = format!("the server has no sample of {source} as the query selects it");
        if self.settings.own[metric].is_some() {
            return format!("{none}: correct {variable}");
        }
        if !is_kafka_metric(metric) {
            return format!(
                "{none}: it comes from the kubelet (cAdvisor): is that scraped by this server, and with the \
                 labels namespace and pod? are KUBE_NAMESPACE and CONTAINER right? else set {variable}"
            );
        }
        match self.why_nothing(metric) {
            Some(why) => format!("{none}: {why}"),
            None => format!("{none}: is METRICS_PRESET right? else give your own query by {variable}"),
        }
    }

    /// The age of the newest sample that a query reads; of several metrics, the oldest counts.
    fn newest(&self, query: &MetricQuery) -> Age {
        let mut oldest: Option<Duration> = None;
        for source in sources(query) {
            let Ok(answer) = self.ask(&source.newest_sample()) else {
                return Age::Unknown;
            };
            let Some(sample) = answer.first() else { return Age::None(source.metric) };
            let Ok(age) = Duration::try_from_secs_f64(sample.value.max(0.0)) else { return Age::Unknown };
            oldest = oldest.max(Some(age));
        }
        oldest.map_or(Age::Unknown, Age::Known)
    }

    /// What to do if a scrape has replaced the label `pod` by the exporter's own pod.
    fn exported(&self, query: &MetricQuery) -> Option<String> {
        let namespace = query.namespace.as_deref()?;
        let is_exported = |source: &SourceSeries| {
            let answer = self.ask(&source.exported(namespace));
            answer.is_ok_and(|answer| matches!(answer.as_slice(), [count] if count.pod.is_none()))
        };
        let SourceSeries { metric, .. } = sources(query).find(is_exported)?;
        Some(format!(
            "{metric} names the pods in exported_pod, not in pod: its scrape must keep the labels of the exporter \
             (honorLabels: true in its ServiceMonitor, honor_labels in Prometheus)"
        ))
    }

    /// Checks whether the age of an own query's samples can be known.
    fn age(&self, metric: Metric, queries: &QuerySet, answer: &mut Samples, category: &mut Category) {
        if !queries.is_own(metric) {
            return;
        }
        let questions = queries.freshness_of(metric);
        let namespace = queries.get(metric).and_then(|query| query.namespace.as_deref());
        let marked =
            questions.and_then(|questions| mark_stale(self.client, &questions, namespace, self.at, answer));
        if let Err(why) = marked {
            let hint = Some(UNKNOWN_AGE_ADVICE.to_owned());
            category.add(self.if_guarded(), unknown_age(metric, &why), hint);
        }
    }

    /// An error if guards are on (it would hold back every run), else a warning.
    fn if_guarded(&self) -> Grade {
        if self.decision.mode == GuardMode::Standard { Grade::Error } else { Grade::Warning }
    }

    /// Checks that the series of a pod have one source. Warns about Thanos, which forgets a dead store and answers from the
    /// others.
    fn source(&self, queries: &OriginQueries, category: &mut Category) {
        if self.client.is_thanos() {
            category.warn(
                "the server is a Thanos",
                "it answers without a warning once a store that died has left its list: let it keep the stores \
                 this workload needs by --endpoint-strict, then it answers an error",
            );
        }
        match one_origin(self.client, queries, &self.workload.pods, self.at) {
            Ok(()) => category.good("the series of each pod come from one source"),
            Err(error) => category.fail("whose series", &Failure::Run(error.into())),
        }
    }

    /// Checks what may forbid a rotation, by each question as a run asks it.
    fn vetoes(&self, facts: &FactQueries, category: &mut Category) {
        let finder = FactFinder::new(self.client, facts, self.at);
        for asked in facts.vetoes() {
            let verdict = veto(&finder.veto(asked));
            let words = verdict.to_string();
            match verdict.standing {
                Standing::Pass => category.note(words, self.never_heard(asked)),
                Standing::Hold => category.warn(words, "runs are withheld as long as that is so"),
                Standing::Unknown => {
                    category.add(Grade::Error, words, Some("every run is withheld for it".to_owned()));
                }
            }
        }
    }

    /// What to look at where the server has no sample of what a question reads: a misspelled one never forbids
    /// anything.
    fn never_heard(&self, asked: &VetoQuery) -> Option<String> {
        let has_none =
            |series: &SourceSeries| self.ask(&series.newest_sample()).is_ok_and(|answer| answer.is_empty());
        let missing = sources(&asked.query).find(has_none)?.metric;
        Some(match asked.by {
            VetoBy::Query => format!(
                "the server has no sample of {missing} as the query selects it: is it written as it should be?"
            ),
            VetoBy::Alerts => {
                "no alert at all fires in this server: does it hold those of your rules, as vmalert \
                               writes them with -remoteWrite.url?"
                    .to_owned()
            }
        })
    }

    /// Checks whether the server returns the history that a run needs, and how much of the persistence window
    /// it covers.
    fn history(&self, facts: &FactQueries, category: &mut Category) {
        let Some(rule) = self.decision.guards.persistence else { return };
        let live = living(self.workload);
        let finder = FactFinder::new(self.client, facts, self.at);
        for metric in WITH_A_PAST {
            let known = match finder.past(metric, &live, &rule, &Kept::none()) {
                Fact::Known(history) => {
                    history.pods().map(|pod| history.samples(pod)).max().unwrap_or_default()
                }
                Fact::Absent => 0,
                Fact::Unusable(why) | Fact::Failed(why) => {
                    let hint = Some(format!("{why}; runs are withheld for it"));
                    category.add(self.if_guarded(), format!("history of {metric}"), hint);
                    continue;
                }
            };
            if metric == Metric::Cpu {
                let (steps, needed) = (rule.grid(0.0).steps, rule.min_history);
                let is_short = (known as f64) < ENOUGH_HISTORY * steps as f64;
                let hint = format!("runs are withheld below {needed}; PERSISTENCE=off asks for none");
                category
                    .note(format!("history of cpu: {known} of {steps} minutes"), is_short.then_some(hint));
            }
        }
    }
}

/// The series that a query reads, as many as are looked at.
fn sources(query: &MetricQuery) -> impl Iterator<Item = SourceSeries> {
    SourceSeries::of(&query.promql).into_iter().take(MOST_SOURCES)
}

/// The pods with a usable sample.
fn having(answer: &Samples) -> HashSet<&str> {
    let is_load = |value: f64| value.is_finite() && value >= 0.0;
    answer.iter().filter(|sample| is_load(sample.value)).map(|sample| sample.pod).collect()
}

/// What is known about the age of the samples that a query reads.
enum Age {
    /// The age of the newest one.
    Known(Duration),
    /// The server has no samples of this metric.
    None(String),
    /// It is unknown.
    Unknown,
}
