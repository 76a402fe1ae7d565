//! A live workload: the cluster reports its pods, the metrics server how busy they are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use anyhow::Context as _;
use clap::ArgMatches;
use jiff::Timestamp;
use rebalancer_core::{ApiFailure, Budget, Cure, Fact, Joined, LivePod, Metric, Role, Target, Workload};
use rebalancer_io::clock::ServerClock;
use rebalancer_io::driver::Look as _;
use rebalancer_io::facts::FactFinder;
use rebalancer_io::kubernetes::{Cluster, ConnectOptions, Observer, Selector, UnknownSelector};
use rebalancer_io::metrics::{FactQueries, OriginQueries, QuerySet, QuerySettings, UnknownAge, pod_pattern};
use rebalancer_io::origin::one_origin;
use rebalancer_io::podstate::{Aggregator, Answers, Freshness};
use rebalancer_io::prometheus::{
    HttpTransport, PrometheusClient, PrometheusConfig, StoppableTransport, Transport,
};
use rebalancer_io::recording::{Recorder, Recording, RedactionKey};

use crate::cli::args::{GuardMode, LiveArgs, QueryArgs};
use crate::failure::Failure;
use crate::pipeline::clocks::{self, Clock};
use crate::pipeline::recorded;
use crate::report::WorkloadReport;
use crate::settings::decision::DecisionSettings;
use crate::settings::recorded::{RecordedSettings, decision_flags};
use crate::settings::servers::{self, Wanted};
use crate::telemetry::notes::{Asked, Notes, Stage};

/// A configured connection to both servers. Nothing has been queried yet, except the selector of a workload
/// given by name.
pub struct Live {
    /// The cluster.
    pub cluster: Cluster,
    /// The workload's pods.
    pub selector: Selector,
    /// Notes of the command, for metrics and log.
    pub notes: Notes,
    stop: Arc<AtomicBool>,
    prometheus: PrometheusConfig,
    metrics_clock: Arc<ServerClock>,
    queries: QuerySettings,
    freshness: Freshness,
    recorded: RecordedSettings,
    context: String,
}

/// The answers of both servers at one moment, and the means to query more about it.
pub struct Observation<'a> {
    /// The live pods and their owners.
    pub workload: Workload,
    /// The answers of the metrics server.
    pub answers: Answers,
    /// The workload as described in the report.
    pub described: WorkloadReport,
    freshness: Freshness,
    /// Warnings about the servers' clocks; an error if they are too far from this machine's.
    clocks: Result<Vec<String>, String>,
    client: Client,
    facts: FactQueries,
    recorder: Option<Saver>,
    observer: Observer<'a>,
}

/// What a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    /// One workload.
    One,
    /// All workloads of one or more namespaces.
    All,
}

/// A client of the metrics server.
pub type Client = PrometheusClient<Box<dyn Transport>>;

/// What to keep of the answers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keep<'a> {
    /// The file to save them to.
    pub file: Option<&'a Path>,
    /// Whether a page needs them.
    pub page: bool,
    /// The key for hashing names in the file; `None` leaves names unchanged.
    pub redact: Option<&'a RedactionKey>,
}

/// Records the answers and knows where to save them.
struct Saver {
    path: Option<PathBuf>,
    redact: Option<RedactionKey>,
    settings: RecordedSettings,
    at: Timestamp,
    recorder: Arc<Recorder<StoppableTransport>>,
}

impl Saver {
    fn save(&self, workload: &Workload) -> Result<(), Failure> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut recording = self.recording(workload)?;
        if let Some(key) = &self.redact {
            recording = recording.redacted(key);
        }
        Ok(recording.write(path).map_err(anyhow::Error::new)?)
    }

    fn recording(&self, workload: &Workload) -> Result<Recording, Failure> {
        recorded::recording(&self.settings, self.at, self.recorder.exchanges(), workload)
    }
}

impl Observation<'_> {
    /// The live pods joined with their samples.
    ///
    /// # Errors
    /// Two samples of one metric for one live pod.
    pub fn joined(&self) -> anyhow::Result<Joined> {
        self.answers.join(&self.workload.pods, self.freshness).context("cannot tell the pods apart")
    }

    /// Warnings about the moment of the answers.
    ///
    /// # Errors
    /// Clocks that are too far apart; with guards on, also an own query whose samples have an unknown age.
    pub fn of_now(&self, decision: &DecisionSettings) -> Result<Vec<String>, Failure> {
        let mut told = self.clocks.clone().map_err(anyhow::Error::msg)?;
        told.extend(of_known_age(&self.answers, decision)?);
        Ok(told)
    }

    /// The finder for facts besides the loads.
    pub fn finder(&self) -> FactFinder<'_> {
        FactFinder::new(&self.client, &self.facts, self.answers.at)
    }

    /// Saves everything queried so far, if it is to be recorded.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self) -> Result<(), Failure> {
        self.recorder.as_ref().map_or(Ok(()), |saver| saver.save(&self.workload))
    }

    /// The budgets that cover any of these pods of the workload.
    ///
    /// # Errors
    /// If the cluster refuses or does not answer.
    pub fn budgets(&mut self, pods: &[&str]) -> Result<Vec<Budget>, ApiFailure> {
        let named = self.workload.pods.iter().filter(|pod| pods.contains(&pod.name.as_str()));
        let target =
            |pod: &LivePod| Target { role: Role::Busiest, name: pod.name.clone(), uid: pod.uid.clone() };
        let targets: Vec<Target> = named.map(target).collect();
        self.observer.list_budgets(&targets)
    }

    /// The pods of the workload that were replaced as a cure, as far as the cluster still shows.
    pub fn cures(&self) -> Fact<Vec<Cure>> {
        self.observer.cures(&self.workload)
    }

    /// Everything queried so far; `None` if nothing is kept, or if it cannot be written as JSON.
    pub fn recording(&self) -> Option<Recording> {
        self.recorder.as_ref()?.recording(&self.workload).ok()
    }

    /// Requests sent to the metrics server so far.
    pub fn requests(&self) -> u64 {
        self.client.requests()
    }
}

impl Live {
    /// Reads the configuration of both servers.
    ///
    /// # Errors
    /// A setting that is missing or wrong, or a workload that cannot be found by its name.
    pub fn connect(
        args: &LiveArgs,
        decision: &DecisionSettings,
        matches: &ArgMatches,
    ) -> Result<Self, Failure> {
        Self::connect_until(args, decision, matches, &Arc::default())
    }

    /// The same, but stops waiting for answers once `stop` is true.
    ///
    /// # Errors
    /// As for [`Live::connect`].
    pub fn connect_until(
        args: &LiveArgs,
        decision: &DecisionSettings,
        matches: &ArgMatches,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self, Failure> {
        Self::connect_to(args, decision, matches, stop, Subject::One)
    }

    /// The same for a look at all workloads, of which none is chosen.
    ///
    /// # Errors
    /// As [`Live::connect`], and when one workload was chosen.
    pub fn connect_to_all(
        args: &LiveArgs,
        decision: &DecisionSettings,
        matches: &ArgMatches,
    ) -> Result<Self, Failure> {
        Self::connect_to(args, decision, matches, &Arc::default(), Subject::All)
    }

    fn connect_to(
        args: &LiveArgs,
        decision: &DecisionSettings,
        matches: &ArgMatches,
        stop: &Arc<AtomicBool>,
        subject: Subject,
    ) -> Result<Self, Failure> {
        let notes = Notes::begin();
        let prometheus = servers::prometheus(&args.prometheus)?;
        if let Some(hint) = prometheus.endpoint.hint() {
            tracing::warn!(
                event = "configuration.corrected",
                url.full = prometheus.endpoint.as_str(),
                "PROMETHEUS_ENDPOINT: {hint}"
            );
        }
        // Finds unusable certificates before anything is sent.
        PrometheusClient::new(&prometheus).map_err(|error| Failure::Usage(error.into()))?;
        let (wanted, namespace) = match subject {
            Subject::One => (servers::selector(&args.kubernetes)?, args.kubernetes.namespace.clone()),
            Subject::All => {
                let namespaces = servers::namespaces(&args.kubernetes)?;
                (servers::selector_of_all(&args.kubernetes)?, namespaces.into_iter().next())
            }
        };
        let options = servers::cluster(&args.kubernetes, args.queries.window, Arc::clone(stop));
        let options = ConnectOptions { namespace, ..options };
        let cluster = Cluster::connect(&options).map_err(|error| Failure::Usage(error.into()))?;
        let queries = query_settings(&args.queries, cluster.namespace(), decision);
        check_placeholders(&queries)?;
        let selector = selector(&cluster, wanted)?;
        let freshness = decision.freshness();
        let recorded = RecordedSettings {
            namespace: Some(cluster.namespace().to_owned()),
            selector: Some(selector.as_str().to_owned()),
            pod_label: Some(args.queries.pod_label.clone()),
            allow_multiple_controllers: args.kubernetes.allow_multiple_controllers,
            decision: decision_flags(matches),
        };
        let context = cluster.context().unwrap_or("in-cluster").to_owned();
        let stop = Arc::clone(stop);
        let metrics_clock = Arc::default();
        Ok(Self {
            cluster,
            selector,
            notes,
            stop,
            prometheus,
            metrics_clock,
            queries,
            freshness,
            recorded,
            context,
        })
    }

    /// Lists the workload, then queries all metrics at one moment. If an answer is unusable, the recording is
    /// saved at once; else by [`Observation::save`].
    ///
    /// # Errors
    /// A server that does not answer, or returns only part of the answer.
    pub fn observe(&self, keep: Keep<'_>) -> Result<Observation<'_>, Failure> {
        let mut observer = self.cluster.observer(self.selector.clone());
        let workload = self
            .notes
            .time(Stage::Discover, || observer.workload().context("cannot list the workload"))
            .map_err(Failure::Run)?;
        self.notes.found(owner(&workload), workload.pods.len());
        let settings = self.query_settings(&workload);
        let queries = QuerySet::new(&settings).map_err(|error| Failure::Usage(error.into()))?;
        let facts = FactQueries::new(&queries, &settings).map_err(|error| Failure::Usage(error.into()))?;
        let at = now();
        let (client, recorder) = self.recording_client(keep, at)?;
        let origins = OriginQueries::new(&settings);
        let (answers, origin) = self.notes.time(Stage::Query, || {
            thread::scope(|scope| {
                let origin = scope.spawn(|| one_origin(&client, &origins, &workload.pods, at));
                let answers = Aggregator::new(&client, &queries).fetch(at);
                (answers, origin.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            })
        });
        if let (true, Some(saver)) = (answers.is_err() || origin.is_err(), &recorder) {
            saver.save(&workload)?;
        }
        let answers = answers.context("cannot read the metrics")?;
        origin.context("cannot tell whose series these are")?;
        let described = self.describe(&workload);
        let freshness = self.freshness;
        let clocks = clocks::held_against(&self.clocks()).map_err(|error| error.to_string());
        Ok(Observation { workload, answers, described, freshness, clocks, client, facts, recorder, observer })
    }

    /// Lists the live pods and their owners.
    ///
    /// # Errors
    /// If the cluster refuses or does not answer.
    pub fn workload(&self) -> Result<Workload, Failure> {
        let mut observer = self.cluster.observer(self.selector.clone());
        Ok(observer.workload().context("cannot list the workload")?)
    }

    /// Address of the metrics server, without credentials.
    pub fn endpoint(&self) -> String {
        self.prometheus.endpoint.to_string()
    }

    /// The settings of queries for the pods of `workload`.
    pub fn query_settings(&self, workload: &Workload) -> QuerySettings {
        self.query_settings_in(&self.queries.namespace, workload)
    }

    /// The same for a workload of another namespace.
    pub fn query_settings_in(&self, namespace: &str, workload: &Workload) -> QuerySettings {
        let pods = workload.living().map(|pod| pod.name.clone()).collect();
        let (namespace, pod_pattern) = (namespace.to_owned(), pod_pattern(&workload.pods));
        QuerySettings { namespace, pods, pod_pattern, ..self.queries.clone() }
    }

    /// What the queries depend on that are not about one workload.
    pub const fn queries(&self) -> &QuerySettings {
        &self.queries
    }

    /// A client whose requests are counted and end with a stop.
    ///
    /// # Errors
    /// A certificate that cannot be used.
    pub fn counting_client(&self) -> Result<Client, Failure> {
        Ok(self.recording_client(Keep::default(), now())?.0)
    }

    /// When a pod and a sample count.
    pub const fn freshness(&self) -> Freshness {
        self.freshness
    }

    /// A client of the metrics server.
    ///
    /// # Errors
    /// A certificate that cannot be used.
    pub fn client(&self) -> Result<PrometheusClient<HttpTransport>, Failure> {
        Ok(PrometheusClient::over(self.transport()?, self.prometheus.max_response_bytes))
    }

    fn transport(&self) -> Result<HttpTransport, Failure> {
        let transport = HttpTransport::new(&self.prometheus).map_err(|error| Failure::Usage(error.into()))?;
        Ok(transport.noting(Arc::clone(&self.metrics_clock)))
    }

    /// What the answers so far show about the clocks of both servers.
    pub fn clocks(&self) -> [Clock; 2] {
        [
            (format!("the metrics server ({})", self.endpoint()), self.metrics_clock.skew()),
            (format!("the Kubernetes API ({})", self.cluster.server()), self.cluster.clock().skew()),
        ]
    }

    /// A client that records the answers if they are wanted.
    fn recording_client(&self, keep: Keep<'_>, at: Timestamp) -> Result<(Client, Option<Saver>), Failure> {
        let max_bytes = self.prometheus.max_response_bytes;
        let transport = StoppableTransport::new(self.transport()?, Arc::clone(&self.stop));
        if keep.file.is_none() && !keep.page {
            let client = PrometheusClient::over(Box::new(transport) as Box<dyn Transport>, max_bytes);
            return Ok((client.counting(self.notes.requests()), None));
        }
        let recorder = Arc::new(Recorder::new(transport, max_bytes));
        let client: Client = PrometheusClient::over(Box::new(Arc::clone(&recorder)), max_bytes);
        let client = client.counting(self.notes.requests());
        let path = keep.file.map(Path::to_owned);
        let saver =
            Saver { path, redact: keep.redact.cloned(), settings: self.recorded.clone(), at, recorder };
        Ok((client, Some(saver)))
    }

    /// The target of the command.
    pub fn asked(&self, dry_run: &'static str) -> Asked {
        let namespace = self.cluster.namespace().to_owned();
        Asked { namespace, target: self.selector.as_str().to_owned(), dry_run }
    }

    /// The workload as described in a report.
    pub fn describe(&self, workload: &Workload) -> WorkloadReport {
        WorkloadReport {
            namespace: Some(self.cluster.namespace().to_owned()),
            selector: Some(self.selector.as_str().to_owned()),
            owner: owner(workload),
            context: Some(self.context.clone()),
            pods: workload.pods.len(),
        }
    }
}

/// Warnings about samples that may be of any age.
///
/// # Errors
/// With guards on, there being any.
pub fn of_known_age(answers: &Answers, decision: &DecisionSettings) -> anyhow::Result<Vec<String>> {
    let mut told: Vec<String> = Vec::new();
    for (metric, why) in answers.unknown_ages.iter() {
        let Some(why) = why else { continue };
        let words = unknown_age(metric, why);
        if decision.mode == GuardMode::Standard {
            anyhow::bail!("{words}; {UNKNOWN_AGE_ADVICE}");
        }
        told.push(words);
    }
    Ok(told)
}

/// The message that the age of an own query's samples is unknown.
pub fn unknown_age(metric: Metric, why: &UnknownAge) -> String {
    format!("{metric}: it cannot be known how old the samples of {} are: {why}", own_query(metric))
}

/// What to do about an unknown age.
pub const UNKNOWN_AGE_ADVICE: &str = "MAX_SAMPLE_AGE is held against the series that a query reads: write it with \
     plain selectors that the server has samples of, or turn the guards off by GUARDS=off";

/// The setting with a metric's own query.
fn own_query(metric: Metric) -> String {
    format!("QUERY_{}", metric.name().to_uppercase())
}

/// Kind and name of the top owners, such as `Deployment/orders`.
pub fn owner(workload: &Workload) -> Option<String> {
    let owners: BTreeSet<String> =
        workload.owners.iter().map(|owner| format!("{}/{}", owner.top.kind, owner.top.name)).collect();
    if owners.is_empty() { None } else { Some(owners.into_iter().collect::<Vec<String>>().join(", ")) }
}

/// The current time in whole milliseconds, the resolution of the query API.
pub fn now() -> Timestamp {
    Timestamp::from_millisecond(Timestamp::now().as_millisecond())
        .expect("a time with fewer digits is still a time")
}

/// Finds wrong placeholders before anything is sent. The real pods are filled in later.
fn check_placeholders(queries: &QuerySettings) -> Result<(), Failure> {
    let trial = QuerySettings { pods: vec!["pod".to_owned()], ..queries.clone() };
    let fits = QuerySet::new(&trial).and_then(|queries| FactQueries::new(&queries, &trial));
    fits.map(drop).map_err(|error| Failure::Usage(error.into()))
}

/// The selector of the workload's pods, read from the cluster if the workload is given by name.
fn selector(cluster: &Cluster, wanted: Wanted) -> Result<Selector, Failure> {
    match wanted {
        Wanted::Selected(selector) => Ok(selector),
        Wanted::Named(workload) => cluster.selector_of(&workload).map_err(|error| match error {
            UnknownSelector::Cluster(error) => Failure::Run(error.into()),
            error => Failure::Usage(error.into()),
        }),
    }
}

fn query_settings(args: &QueryArgs, namespace: &str, decision: &DecisionSettings) -> QuerySettings {
    QuerySettings {
        window: args.window,
        group: args.kafka_group.clone(),
        container: args.container.clone(),
        matchers: args.prometheus_matchers.clone().unwrap_or_default(),
        max_sample_age: Some(decision.max_sample_age),
        preset: args.metrics_preset,
        own_partition_load: args.query_partition_load.clone(),
        own_assigned_partitions: args.query_assigned_partitions.clone(),
        own: args.own(),
        pod_label: args.pod_label.clone(),
        ..QuerySettings::new(namespace)
    }
}
