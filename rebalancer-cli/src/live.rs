//! A live workload: the cluster says which pods there are, the metrics server how busy they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use clap::ArgMatches;
use jiff::Timestamp;
use rebalancer_core::{Joined, Workload};
use rebalancer_io::driver::WorkloadSource;
use rebalancer_io::kubernetes::{Cluster, Selector};
use rebalancer_io::metrics::{QuerySet, QuerySettings};
use rebalancer_io::podstate::{Aggregator, Answers, Freshness};
use rebalancer_io::prometheus::{HttpTransport, PrometheusClient, PrometheusConfig};
use rebalancer_io::recording::Recorder;

use crate::args::{LiveArgs, QueryArgs};
use crate::decide::DecisionSettings;
use crate::failure::Failure;
use crate::recorded::{self, RecordedSettings, decision_flags};
use crate::report::WorkloadReport;
use crate::settings;

/// A configured connection to both servers; neither has been asked anything yet.
pub struct Live {
    /// The cluster.
    pub cluster: Cluster,
    /// The workload's pods.
    pub selector: Selector,
    prometheus: PrometheusConfig,
    queries: QuerySettings,
    freshness: Freshness,
    recorded: RecordedSettings,
    context: Option<String>,
}

/// The deadline that a plan's facts are checked with; nothing waits for it.
pub const RUN_TIMEOUT_FOR_PLANS: Duration = Duration::from_secs(90);

/// What both servers said at one moment.
pub struct Observation {
    /// The live pods and their owners.
    pub workload: Workload,
    /// The answers of the metrics server.
    pub answers: Answers,
    /// Both joined.
    pub joined: Joined,
    /// What the report says of the workload.
    pub described: WorkloadReport,
    /// Requests sent to each server.
    pub requests: BTreeMap<String, u64>,
}

impl Live {
    /// Reads the configuration of both servers.
    ///
    /// # Errors
    /// A setting that is missing or wrong.
    pub fn connect(
        args: &LiveArgs,
        decision: &DecisionSettings,
        matches: &ArgMatches,
    ) -> Result<Self, Failure> {
        let prometheus = settings::prometheus(&args.prometheus)?;
        if let Some(hint) = prometheus.endpoint.hint() {
            tracing::warn!("PROMETHEUS_ENDPOINT: {hint}");
        }
        // Certificates that cannot be used are found before anything is asked.
        PrometheusClient::new(&prometheus).map_err(|error| Failure::Usage(error.into()))?;
        let selector = settings::selector(&args.kubernetes)?;
        let cluster = Cluster::connect(&settings::cluster(&args.kubernetes))
            .map_err(|error| Failure::Usage(error.into()))?;
        let queries = query_settings(&args.queries, cluster.namespace(), decision);
        // Wrong placeholders are found before anything is asked; pods are filled in later.
        let trial = QuerySettings { pods: vec!["pod".to_owned()], ..queries.clone() };
        QuerySet::new(&trial).map_err(|error| Failure::Usage(error.into()))?;
        let freshness = Freshness { warm_up: decision.warm_up, max_sample_age: decision.max_sample_age };
        let recorded = RecordedSettings {
            namespace: Some(cluster.namespace().to_owned()),
            selector: Some(selector.as_str().to_owned()),
            pod_label: Some(args.queries.pod_label.clone()),
            allow_multiple_controllers: args.kubernetes.allow_multiple_controllers,
            decision: decision_flags(matches),
        };
        let context = args.kubernetes.context.clone();
        Ok(Self { cluster, selector, prometheus, queries, freshness, recorded, context })
    }

    /// Lists the workload, then asks for all metrics at one moment; `record` names a file that keeps
    /// what was answered, also when it cannot be used.
    ///
    /// # Errors
    /// A server that does not answer, or whose answer is not whole.
    pub fn observe(&self, record: Option<&Path>) -> Result<Observation, Failure> {
        let workload = self.workload()?;
        let answers = match record {
            None => self.measure(&workload)?,
            Some(path) => self.measure_and_record(&workload, path)?,
        };
        let joined = answers.join(&workload.pods, self.freshness).context("cannot tell the pods apart")?;
        let asked = u64::try_from(answers.asked().len()).unwrap_or(u64::MAX);
        let requests = BTreeMap::from([
            ("kubernetes".to_owned(), self.cluster.requests()),
            ("prometheus".to_owned(), asked),
        ]);
        let described = self.describe(&workload);
        Ok(Observation { workload, answers, joined, described, requests })
    }

    /// Lists the live pods and their owners.
    ///
    /// # Errors
    /// As the cluster answered.
    pub fn workload(&self) -> Result<Workload, Failure> {
        let mut observer = self.cluster.observer(self.selector.clone());
        Ok(observer.workload().context("cannot list the workload")?)
    }

    /// The queries for the pods of `workload`.
    ///
    /// # Errors
    /// A query that needs pods while there are none.
    pub fn queries(&self, workload: &Workload) -> Result<QuerySet, Failure> {
        let pods = workload.living().map(|pod| pod.name.clone()).collect();
        let queries = QuerySettings { pods, ..self.queries.clone() };
        QuerySet::new(&queries).map_err(|error| Failure::Usage(error.into()))
    }

    /// A client of the metrics server.
    ///
    /// # Errors
    /// A certificate that cannot be used.
    pub fn client(&self) -> Result<PrometheusClient<HttpTransport>, Failure> {
        PrometheusClient::new(&self.prometheus).map_err(|error| Failure::Usage(error.into()))
    }

    fn measure(&self, workload: &Workload) -> Result<Answers, Failure> {
        let queries = self.queries(workload)?;
        let client = self.client()?;
        Ok(Aggregator::new(&client, &queries).fetch(now()).context("cannot read the metrics")?)
    }

    fn measure_and_record(&self, workload: &Workload, path: &Path) -> Result<Answers, Failure> {
        let queries = self.queries(workload)?;
        let max_bytes = self.prometheus.max_response_bytes;
        let transport = HttpTransport::new(&self.prometheus).map_err(|error| Failure::Usage(error.into()))?;
        let client = PrometheusClient::over(Recorder::new(transport, max_bytes), max_bytes);
        let at = now();
        let answers = Aggregator::new(&client, &queries).fetch(at);
        recorded::save(path, &self.recorded, at, client.transport().exchanges(), workload)?;
        Ok(answers.context("cannot read the metrics")?)
    }

    fn describe(&self, workload: &Workload) -> WorkloadReport {
        WorkloadReport {
            namespace: Some(self.cluster.namespace().to_owned()),
            selector: Some(self.selector.as_str().to_owned()),
            owner: owner(workload),
            context: self.context.clone(),
            pods: workload.pods.len(),
        }
    }
}

/// Kind and name of the one owner at the top, such as `Deployment/orders`.
pub fn owner(workload: &Workload) -> Option<String> {
    let owners: BTreeSet<String> =
        workload.owners.iter().map(|owner| format!("{}/{}", owner.top.kind, owner.top.name)).collect();
    if owners.is_empty() { None } else { Some(owners.into_iter().collect::<Vec<String>>().join(", ")) }
}

/// The moment of a run, in whole milliseconds as the API takes it.
pub fn now() -> Timestamp {
    Timestamp::from_millisecond(Timestamp::now().as_millisecond())
        .expect("a time with fewer digits is still a time")
}

fn query_settings(args: &QueryArgs, namespace: &str, decision: &DecisionSettings) -> QuerySettings {
    QuerySettings {
        window: args.window,
        group: args.kafka_group.clone(),
        container: args.container.clone(),
        max_sample_age: Some(decision.max_sample_age),
        preset: args.metrics_preset,
        own: [&args.query_cpu, &args.query_memory, &args.query_lag, &args.query_rate].map(Clone::clone),
        pod_label: args.pod_label.clone(),
        ..QuerySettings::new(namespace)
    }
}
