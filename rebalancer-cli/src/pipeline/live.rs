//! A configured connection to the servers that tell of a live workload.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use clap::ArgMatches;
use jiff::Timestamp;
use rebalancer_core::Workload;
use rebalancer_io::clock::ServerClock;
use rebalancer_io::joint::{Joint, View};
use rebalancer_io::kafka::WithKafka;
use rebalancer_io::kubernetes::{Cluster, ConnectOptions, Observer, Selector, TargetName, UnknownSelector};
use rebalancer_io::metrics::detect::KnownSeries;
use rebalancer_io::metrics::{FactQueries, KafkaPreset, QuerySet, QuerySettings, pod_pattern};
use rebalancer_io::prometheus::{PrometheusClient, Server, StoppableTransport, Transport};
use rebalancer_io::recording::Recorder;

use crate::cli::args::{LiveArgs, PresetChoice};
use crate::cli::usage;
use crate::failure::Failure;
use crate::pipeline::clocks::{Clock, now};
use crate::pipeline::decide::living;
use crate::pipeline::discover::kafka::{self, KafkaSource};
use crate::pipeline::discover::server::MetricsServer;
use crate::pipeline::kafka::{DirectKafka, Seen, Wanted as WantedOfKafka};
use crate::pipeline::recorded::{Keep, Saver};
use crate::report::{FoundReport, WorkloadReport};
use crate::settings::decision::DecisionSettings;
use crate::settings::queries;
use crate::settings::recorded::{RecordedSettings, decision_flags};
use crate::settings::servers::{self, Wanted};
use crate::telemetry::notes::{Asked, Notes};

/// A configured connection to both servers. Nothing has been queried yet, except the selector of a workload
/// given by name.
pub struct Live {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// The workload's pods.
    pub selector: Selector,
    /// Notes of the command, for metrics and log.
    pub notes: Notes,
    stop: Arc<AtomicBool>,
    server: Arc<MetricsServer>,
    metrics_clock: Arc<ServerClock>,
    queries: QuerySettings,
    /// Kafka, where the group is asked directly.
    kafka: Option<DirectKafka>,
    /// Whether preset and group are to be found.
    finds_kafka: bool,
    /// The series of consumers that were found for a look at many workloads.
    series_of_all: OnceCell<KnownSeries>,
    recorded: RecordedSettings,
}

/// A client of the metrics server.
pub type Client = PrometheusClient<Box<dyn Transport>>;

/// A workload, as it was listed, and what was found of where its metrics come from.
pub struct Subject {
    /// Its pods and their owners.
    pub workload: Workload,
    /// When they were listed.
    pub listed_at: Timestamp,
    /// The workload as described in reports.
    pub described: WorkloadReport,
    /// What the queries depend on.
    pub settings: QuerySettings,
}

impl Subject {
    /// Writes the queries of the loads.
    ///
    /// # Errors
    /// A query that cannot be written for these pods.
    pub fn queries(&self) -> Result<QuerySet, Failure> {
        QuerySet::new(&self.settings).map_err(|error| Failure::Usage(error.into()))
    }

    /// Writes the queries of the loads, and those of the facts.
    ///
    /// # Errors
    /// A query that cannot be written for these pods.
    pub fn all_queries(&self) -> Result<(QuerySet, FactQueries), Failure> {
        let queries = self.queries()?;
        let facts = FactQueries::new(&queries, &self.settings);
        Ok((queries, facts.map_err(|error| Failure::Usage(error.into()))?))
    }
}

impl Live {
    /// Reads the configuration of both servers. Nothing waits for an answer any more once `stop` is true.
    ///
    /// # Errors
    /// A setting that is missing or wrong, or a workload that cannot be found by its name.
    pub fn connect(
        args: &LiveArgs,
        decision: &DecisionSettings,
        matches: &ArgMatches,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self, Failure> {
        let wanted = servers::selector(&args.kubernetes, usage::source(matches, "selector") == "flag")?;
        Self::connect_to(wanted, args.kubernetes.namespace.clone(), args, decision, matches, stop)
    }

    /// The same for a look at all workloads, of which none is chosen.
    ///
    /// # Errors
    /// As [`Live::connect`], and when one workload was chosen.
    pub fn connect_to_all(
        args: &LiveArgs,
        decision: &DecisionSettings,
        matches: &ArgMatches,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self, Failure> {
        let namespaces = servers::namespaces(&args.kubernetes)?;
        let wanted = servers::selector_of_all(&args.kubernetes)?;
        Self::connect_to(wanted, namespaces.into_iter().next(), args, decision, matches, stop)
    }

    fn connect_to(
        wanted: Wanted,
        namespace: Option<String>,
        args: &LiveArgs,
        decision: &DecisionSettings,
        matches: &ArgMatches,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self, Failure> {
        let notes = Notes::begin();
        let deadline = Instant::now().checked_add(args.kubernetes.run_timeout);
        let kafka = DirectKafka::chosen(args, deadline, stop)?;
        let (cluster, server) = connect(args, namespace, kafka.is_some(), stop)?;
        let live = Self::new(args, decision, cluster, Arc::new(server), kafka, stop);
        queries::check(&live.queries)?;
        let selector = selector(&live.cluster, wanted)?;
        let recorded = RecordedSettings {
            namespace: Some(live.cluster.namespace().to_owned()),
            selector: Some(selector.as_str().to_owned()),
            pod_label: Some(args.queries.pod_label.clone()),
            allow_multiple_controllers: args.kubernetes.allow_multiple_controllers,
            veto_alerts: live.queries.veto_alerts.as_ref().map(ToString::to_string),
            decision: decision_flags(matches),
        };
        Ok(Self { selector, notes, recorded, ..live })
    }

    /// A connection for all pods of the namespace of `cluster`, whose notes begin now.
    fn new(
        args: &LiveArgs,
        decision: &DecisionSettings,
        cluster: Arc<Cluster>,
        server: Arc<MetricsServer>,
        kafka: Option<DirectKafka>,
        stop: &Arc<AtomicBool>,
    ) -> Self {
        let queries = queries::of(args, cluster.namespace(), decision);
        let preset = if kafka.is_some() { KafkaPreset::Kafka } else { queries.preset };
        Self {
            queries: QuerySettings { preset, has_server: server.is_there(), ..queries },
            finds_kafka: args.queries.metrics_preset == PresetChoice::Auto && kafka.is_none(),
            cluster,
            selector: Selector::everything(),
            notes: Notes::begin(),
            stop: Arc::clone(stop),
            server,
            metrics_clock: Arc::default(),
            kafka,
            series_of_all: OnceCell::new(),
            recorded: RecordedSettings::default(),
        }
    }

    /// The same connection for one workload with settings of its own. Its notes begin now; requests and the time limit to
    /// the cluster are shared.
    ///
    /// # Errors
    /// A setting of Kafka that is wrong.
    pub fn of_workload(
        &self,
        args: &LiveArgs,
        decision: &DecisionSettings,
        namespace: &str,
        selector: Selector,
    ) -> Result<Self, Failure> {
        let kafka = DirectKafka::chosen(args, self.cluster.deadline(), &self.stop)?;
        let cluster = Arc::new(self.cluster.in_namespace(namespace));
        let live = Self::new(args, decision, cluster, Arc::clone(&self.server), kafka, &self.stop);
        Ok(Self { selector, metrics_clock: Arc::clone(&self.metrics_clock), ..live })
    }

    /// Lists the workload now, and finds where its metrics come from. Tells also what is not clear of that.
    ///
    /// # Errors
    /// If the cluster refuses or does not answer, and as [`Live::subject_of`].
    pub fn subject(&self, observer: &mut Observer<'_>) -> Result<(Subject, Vec<String>), Failure> {
        let listed_at = now();
        self.subject_of(observer.workload().context("cannot list the workload")?, listed_at)
    }

    /// Finds where the metrics of a workload come from. Where the preset is to be found, the metrics server is asked; without
    /// a live pod there is nothing to find.
    ///
    /// # Errors
    /// A metrics server that does not answer; no group where the preset that was found needs one.
    pub fn subject_of(
        &self,
        workload: Workload,
        listed_at: Timestamp,
    ) -> Result<(Subject, Vec<String>), Failure> {
        let owner = owner(&workload);
        self.notes.found(owner.clone(), workload.pods.len());
        let mut settings = self.query_settings_in(&self.queries.namespace, &workload);
        let source = match &self.kafka {
            Some(direct) if settings.group.is_none() => direct.find(&living(&workload))?,
            None if self.finds_kafka && workload.living().next().is_some() => {
                kafka::find(&self.counting_client()?, &settings, &workload, now())?
            }
            _ => KafkaSource::set(&settings),
        };
        source.found.iter().for_each(log_found);
        (settings.preset, settings.group) = (source.preset, source.group);
        let described = WorkloadReport {
            namespace: Some(self.cluster.namespace().to_owned()),
            selector: Some(self.selector.as_str().to_owned()),
            owner,
            context: Some(self.cluster.context().unwrap_or("in-cluster").to_owned()),
            pods: workload.pods.len(),
            found: [self.found(), source.found].concat(),
        };
        let unclear = [self.without_server(), source.told].concat();
        Ok((Subject { workload, listed_at, described, settings }, unclear))
    }

    /// Whether a stop was asked for.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Address of the metrics server, without credentials.
    pub fn endpoint(&self) -> String {
        self.server.place()
    }

    /// What is unknown without a metrics server.
    pub fn without_server(&self) -> Vec<String> {
        if self.server.is_there() { Vec::new() } else { vec![NO_SERVER.to_owned()] }
    }

    /// What is set, for the pods of `workload` in a namespace.
    pub fn query_settings_in(&self, namespace: &str, workload: &Workload) -> QuerySettings {
        let (namespace, pod_pattern) = (namespace.to_owned(), pod_pattern(&workload.pods));
        let settings = QuerySettings { namespace, pod_pattern, ..self.queries() };
        if !settings.names_pods() {
            return settings;
        }
        QuerySettings { pods: workload.living().map(|pod| pod.name.clone()).collect(), ..settings }
    }

    /// What the queries depend on that are not about one workload.
    pub fn queries(&self) -> QuerySettings {
        QuerySettings { preset: self.preset_of_all().unwrap_or(self.queries.preset), ..self.queries.clone() }
    }

    /// The preset that is told as that of all workloads, where it was found.
    fn preset_of_all(&self) -> Option<KafkaPreset> {
        let known = self.series_of_all.get()?;
        Some(known.in_pods().first().copied().unwrap_or(KafkaPreset::None))
    }

    /// Takes over what `all` found for many workloads, unless a preset is set.
    pub fn adopt_preset(&mut self, all: &Self) {
        if self.finds_kafka {
            self.series_of_all = all.series_of_all.clone();
        }
    }

    /// Finds where lag and rate of many workloads come from, if that is to be found. `settings` say where they are.
    ///
    /// # Errors
    /// A metrics server that does not answer.
    pub fn find_sources(&self, joint: &mut Joint<'_>, settings: &QuerySettings) -> Result<(), Failure> {
        if self.finds_kafka {
            let known = joint.ask_sources(settings);
            let known = known.context("cannot find out where the lag comes from (METRICS_PRESET=auto)")?;
            self.series_of_all.get_or_init(|| known);
            self.preset_found().iter().for_each(log_found);
        }
        Ok(())
    }

    /// The preset of all workloads as a setting that was found.
    fn preset_found(&self) -> Option<FoundReport> {
        self.preset_of_all().map(|preset| kafka::preset_found(preset, "for all workloads"))
    }

    /// Preset and group of one of many workloads, as [`Live::subject_of`] finds them, or as they are set. `view` is what is
    /// known of it.
    ///
    /// # Errors
    /// As [`Live::subject_of`].
    pub fn kafka_of(
        &self,
        view: &View<'_, '_>,
        settings: &QuerySettings,
        workload: &Workload,
        at: Timestamp,
    ) -> Result<KafkaSource, Failure> {
        if !self.finds_kafka || workload.living().next().is_none() {
            return Ok(KafkaSource::set(settings));
        }
        if !self.series_of_all.get().is_some_and(KnownSeries::is_alone) {
            return kafka::find(view, settings, workload, at);
        }
        // Its clients tell of any of these, or there are none. What is told of single partitions is often not stored.
        Ok(if view.knows_kafka() { KafkaSource::set(settings) } else { KafkaSource::none(settings) })
    }

    /// The presets whose lag and rate are asked for all workloads at once.
    pub fn presets(&self) -> Vec<KafkaPreset> {
        self.series_of_all.get().map_or_else(|| vec![self.queries.preset], KnownSeries::in_pods)
    }

    /// Whether the queries about all workloads, made from the settings of `all`, are those of this one too.
    pub fn asks_as(&self, all: &Self) -> bool {
        let of_all = |live: &Self| QuerySettings {
            namespace: String::new(),
            preset: KafkaPreset::None,
            group: None,
            ..live.queries.clone()
        };
        of_all(self) == of_all(all)
    }

    /// A client whose requests are counted and end with a stop.
    ///
    /// # Errors
    /// A certificate that cannot be used.
    pub fn counting_client(&self) -> Result<Client, Failure> {
        Ok(self.over(self.stoppable(None)?).counting(self.notes.requests()))
    }

    /// A client for what may be left undone: its requests end once `stop` is true, and with a stop of the command.
    ///
    /// # Errors
    /// A certificate that cannot be used.
    pub fn client_until(&self, stop: &Arc<AtomicBool>) -> Result<Client, Failure> {
        Ok(self.over(StoppableTransport::new(self.stoppable(None)?, Arc::clone(stop))))
    }

    fn over(&self, transport: impl Transport + 'static) -> Client {
        PrometheusClient::over(Box::new(transport), self.server.max_response_bytes())
    }

    fn stoppable(&self, seen: Option<&Seen>) -> Result<StoppableTransport, Failure> {
        Ok(StoppableTransport::new(self.transport(seen)?, Arc::clone(&self.stop)))
    }

    /// A client of the metrics server, and of what was seen in Kafka.
    ///
    /// # Errors
    /// A certificate that cannot be used.
    pub fn client(&self, seen: Option<&Seen>) -> Result<PrometheusClient<Box<dyn Server>>, Failure> {
        Ok(PrometheusClient::over(self.transport(seen)?, self.server.max_response_bytes()))
    }

    fn transport(&self, seen: Option<&Seen>) -> Result<Box<dyn Server>, Failure> {
        let server = self.server.transport(Arc::clone(&self.metrics_clock))?;
        Ok(match seen {
            Some(seen) => Box::new(WithKafka::new(Arc::clone(&seen.answers), server)),
            None => server,
        })
    }

    /// Looks at the consumer group, where it is asked directly and there is one.
    ///
    /// # Errors
    /// Kafka does not answer, or refuses.
    pub fn look_at_kafka(
        &self,
        settings: &QuerySettings,
        workload: &Workload,
    ) -> Result<Option<Seen>, Failure> {
        let group = settings.group.as_deref().filter(|_| settings.preset == KafkaPreset::Kafka);
        let asked = self.kafka.as_ref().zip(group);
        asked.map(|(kafka, group)| kafka.look(group, &living(workload))).transpose()
    }

    /// Kafka, where consumer groups are asked directly.
    pub const fn kafka(&self) -> Option<&DirectKafka> {
        self.kafka.as_ref()
    }

    /// What is wanted of Kafka for one of many workloads; `None` where it is not asked.
    pub fn wanted_of_kafka<'a>(&self, workload: &'a Workload) -> Option<WantedOfKafka<'a>> {
        let group = self.queries.group.clone();
        self.kafka.as_ref().map(|kafka| kafka.wanted(living(workload), group))
    }

    /// Everything that a later run needs no longer look for, as settings.
    ///
    /// # Errors
    /// As [`Live::subject`].
    pub fn pinned(&self) -> Result<Vec<FoundReport>, Failure> {
        let (subject, unclear) = self.subject(&mut self.cluster.observer(self.selector.clone()))?;
        let Subject { settings, described: WorkloadReport { found: mut pinned, .. }, .. } = subject;
        for unclear in unclear {
            tracing::warn!(event = "setting.unclear", "{unclear}");
        }
        if self.server.is_there() && self.server.found().is_none() {
            pinned.insert(0, FoundReport::new("PROMETHEUS_ENDPOINT", &self.endpoint(), "as it is set"));
        }
        let (preset, group) = (Some(settings.preset.name()), settings.group.as_deref());
        for (setting, value) in [("METRICS_PRESET", preset), ("KAFKA_GROUP", group)] {
            if let Some(value) = value.filter(|_| pinned.iter().all(|found| found.setting != setting)) {
                pinned.push(FoundReport::new(setting, value, "as it is set"));
            }
        }
        let (namespace, selector) = (self.cluster.namespace(), self.selector.as_str());
        pinned.push(FoundReport::new("KUBE_NAMESPACE", namespace, "of the context, or as it is set"));
        pinned.push(FoundReport::new("KUBE_LABEL_SELECTOR", selector, "of the workload, or as it is set"));
        Ok(pinned)
    }

    /// What was found so far of what is not about one workload: the metrics server, the preset of all.
    pub fn found(&self) -> Vec<FoundReport> {
        self.server.found().cloned().into_iter().chain(self.preset_found()).collect()
    }

    /// What the answers so far show about the clocks of both servers.
    pub fn clocks(&self) -> [Clock; 2] {
        [
            (format!("the metrics server ({})", self.endpoint()), self.metrics_clock.skew()),
            (format!("the Kubernetes API ({})", self.cluster.server()), self.cluster.clock().skew()),
        ]
    }

    /// A client that records the answers if they are wanted.
    ///
    /// # Errors
    /// A certificate that cannot be used.
    pub(super) fn recording_client(
        &self,
        keep: Keep<'_>,
        at: Timestamp,
        seen: Option<&Seen>,
    ) -> Result<(Client, Option<Saver>), Failure> {
        let (transport, counts) = (self.stoppable(seen)?, self.notes.requests());
        if keep.file.is_none() && !keep.page {
            return Ok((self.over(transport).counting(counts), None));
        }
        let recorder = Arc::new(Recorder::new(transport, self.server.max_response_bytes()));
        let client = self.over(Arc::clone(&recorder)).counting(counts);
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
}

/// Tells the log what was found.
fn log_found(FoundReport { setting, value, why }: &FoundReport) {
    tracing::info!(event = "setting.found", setting, value, "{setting}={value}: {why}");
}

/// What a run without a metrics server says.
const NO_SERVER: &str = "no metrics server is asked (PROMETHEUS_ENDPOINT is not set): CPU, memory and all history are \
                         unknown, so that only stuck partitions and stalled pods are cured";

/// Connects to the cluster, and chooses the metrics server. Without an address of its own it is asked for.
fn connect(
    args: &LiveArgs,
    namespace: Option<String>,
    asks_kafka: bool,
    stop: &Arc<AtomicBool>,
) -> Result<(Arc<Cluster>, MetricsServer), Failure> {
    // Wrong settings of the metrics server are told before a credential plugin of the cluster runs.
    servers::check(&args.prometheus)?;
    let options = servers::cluster(&args.kubernetes, args.queries.window, Arc::clone(stop));
    let options = ConnectOptions { namespace, ..options };
    let cluster = Cluster::connect(&options).map_err(|error| Failure::Usage(error.into()))?;
    let cluster = Arc::new(cluster);
    let is_without = asks_kafka && args.prometheus.prometheus_endpoint.is_none();
    let server = if is_without {
        MetricsServer::none(&args.prometheus)?
    } else {
        MetricsServer::choose(&args.prometheus, &cluster)?
    };
    if let Some(hint) = server.hint() {
        tracing::warn!(
            event = "configuration.corrected",
            url.full = server.place(),
            "PROMETHEUS_ENDPOINT: {hint}"
        );
    }
    Ok((cluster, server))
}

/// The labels of the workload's pods, read from the cluster if the workload is given by name.
fn selector(cluster: &Cluster, wanted: Wanted) -> Result<Selector, Failure> {
    let found = match wanted {
        Wanted::Selected(selector) => return Ok(selector),
        Wanted::Named(TargetName::Named(workload)) => cluster.look_at(&workload),
        Wanted::Named(TargetName::Bare(name)) => {
            cluster.workload_named(&name).and_then(|workload| cluster.look_at(&workload))
        }
    };
    found.map(|seen| seen.selector).map_err(|error| match error {
        UnknownSelector::Cluster(error) => Failure::Run(error.into()),
        error => Failure::Usage(error.into()),
    })
}

/// Kind and name of the top owners, such as `Deployment/orders`.
pub fn owner(workload: &Workload) -> Option<String> {
    let owners: BTreeSet<String> =
        workload.owners.iter().map(|owner| format!("{}/{}", owner.top.kind, owner.top.name)).collect();
    if owners.is_empty() { None } else { Some(owners.into_iter().collect::<Vec<String>>().join(", ")) }
}
