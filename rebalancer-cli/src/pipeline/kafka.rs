//! The consumer groups asked directly, where the settings say so.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rebalancer_core::LivePod;
use rebalancer_io::kafka::{
    Groups, KafkaAnswers, KafkaClient, KafkaConfig, KafkaError, Patience, ToWatch, Watched, groups_of_each,
    least_run, youngest,
};
use rebalancer_io::metrics::KafkaPreset;

use crate::cli::args::{LiveArgs, PresetChoice};
use crate::failure::Failure;
use crate::pipeline::discover::kafka::KafkaSource;
use crate::pipeline::discover::members::{self, Without};
use crate::settings::kafka;

/// Kafka, and how to ask it.
pub struct DirectKafka {
    watch: Duration,
    /// What becomes of pods without a group.
    without: Without,
    client: RefCell<KafkaClient>,
}

/// What was found of a group.
pub struct Seen {
    /// The answers to the queries of the preset.
    pub answers: Arc<KafkaAnswers>,
    /// What the looks found.
    pub watched: Watched,
    /// How many requests that took.
    pub requests: usize,
    /// Whether a password is proved over a connection that is not encrypted.
    pub proves_in_the_open: bool,
}

/// The pods of a workload whose group is to be looked at.
pub struct Wanted<'a> {
    /// Those that have not ended.
    pub live: Cow<'a, [LivePod]>,
    /// The group, where it is set.
    pub group: Option<String>,
    /// What becomes of it without a group.
    pub without: Without,
}

/// What Kafka told about one of many workloads.
pub struct Told {
    /// The group of its pods.
    pub source: KafkaSource,
    /// What was found of that group; nothing where there is none.
    pub answers: Arc<KafkaAnswers>,
}

impl DirectKafka {
    /// Kafka, if the settings say to ask it. Connects to nobody.
    ///
    /// # Errors
    /// A setting that is wrong, or a file that cannot be used.
    pub fn chosen(
        args: &LiveArgs,
        deadline: Option<Instant>,
        stop: &Arc<AtomicBool>,
    ) -> Result<Option<Self>, Failure> {
        let preset = args.queries.metrics_preset;
        if !kafka::is_asked(&args.kafka, preset) {
            return Ok(None);
        }
        let (config, watch): (KafkaConfig, Duration) = (kafka::config(&args.kafka)?, args.kafka.kafka_watch);
        let least = least_run(watch);
        if least > args.kubernetes.run_timeout {
            return Err(Failure::usage(format!(
                "KAFKA_WATCH is too long for RUN_TIMEOUT: to see that a partition stands, and to act on it, a run needs three \
                 times KAFKA_WATCH and 20 s more, which is {} s",
                least.as_secs_f64().ceil()
            )));
        }
        let is_named = preset == PresetChoice::Named(KafkaPreset::Kafka);
        let has_server = args.prometheus.prometheus_endpoint.is_some();
        let client = KafkaClient::new(config, Patience { deadline, stop: Arc::clone(stop) });
        let client = RefCell::new(client.map_err(|error| Failure::Usage(error.into()))?);
        Ok(Some(Self { watch, without: Without { is_named, has_server }, client }))
    }

    /// What is wanted for these pods.
    pub fn wanted<'a>(&self, live: Cow<'a, [LivePod]>, group: Option<String>) -> Wanted<'a> {
        Wanted { live, group, without: self.without }
    }

    /// Finds the group of these pods by its members.
    ///
    /// # Errors
    /// Kafka does not answer; several groups, or none where the pods cannot do without.
    pub fn find(&self, live: &[LivePod]) -> Result<KafkaSource, Failure> {
        self.sources(&[self.wanted(Cow::Borrowed(live), None)])?.remove(0)
    }

    /// Looks at a group twice, for these pods.
    ///
    /// # Errors
    /// Kafka does not answer, or refuses.
    pub fn look(&self, group: &str, live: &[LivePod]) -> Result<Seen, Failure> {
        let mut client = self.client.borrow_mut();
        let wanted = ToWatch { group: group.to_owned(), youngest: youngest(live) };
        let watched = client.watch(wanted, self.watch).context(ASKING_ABOUT_IT)?;
        let answers = Arc::new(KafkaAnswers::new(&watched, live));
        let (requests, proves_in_the_open) = (client.requests(), client.proves_in_the_open());
        Ok(Seen { answers, watched, requests, proves_in_the_open })
    }

    /// Finds the groups of all of these pods, and looks at them within the same time. What is wrong with the group of one of
    /// them is told in its place.
    ///
    /// # Errors
    /// Kafka does not answer.
    pub fn look_at_all(&self, wanted: &[Wanted<'_>]) -> Result<Vec<Result<Told, String>>, Failure> {
        let sources = self.sources(wanted)?;
        let groups = to_watch(&sources, wanted);
        let watched = self.client.borrow_mut().watch_each(&groups, self.watch);
        let watched = watched.context("cannot ask Kafka about the groups")?;
        let watched: BTreeMap<String, Result<Watched, KafkaError>> =
            groups.into_iter().map(|of| of.group).zip(watched).collect();
        let told = |(source, wanted): (Result<KafkaSource, Failure>, &Wanted<'_>)| {
            let source = source.map_err(|failure| failure.words())?;
            let answers = match source.group.as_ref().and_then(|group| watched.get(group)) {
                Some(Ok(watched)) => KafkaAnswers::new(watched, &wanted.live),
                Some(Err(error)) => return Err(format!("{ASKING_ABOUT_IT}: {error}")),
                None => KafkaAnswers::default(),
            };
            Ok(Told { source, answers: Arc::new(answers) })
        };
        Ok(sources.into_iter().zip(wanted).map(told).collect())
    }

    fn sources(&self, wanted: &[Wanted<'_>]) -> Result<Vec<Result<KafkaSource, Failure>>, Failure> {
        let is_looked_for = |wanted: &Wanted<'_>| wanted.group.is_none() && !wanted.live.is_empty();
        let groups = if wanted.iter().any(is_looked_for) { self.groups()? } else { Groups::default() };
        let pods: Vec<&[LivePod]> = wanted.iter().map(|wanted| wanted.live.as_ref()).collect();
        let found = groups_of_each(&groups.of_consumers, &pods);
        let source = |(wanted, found): (&Wanted<'_>, BTreeMap<usize, usize>)| match &wanted.group {
            Some(group) => Ok(KafkaSource::of_group(group)),
            None if wanted.live.is_empty() => Ok(KafkaSource::without_pods()),
            None => members::choose(&groups, &found, wanted.live.len(), wanted.without),
        };
        Ok(wanted.iter().zip(found).map(source).collect())
    }

    /// Least time of a run in which so many workloads are looked at anew after all were looked at.
    pub fn least_run_with(&self, turns: usize) -> Duration {
        let looks = u32::try_from(turns).unwrap_or(u32::MAX).saturating_add(1);
        least_run(self.watch.saturating_mul(looks))
    }

    /// Requests so far.
    pub fn requests(&self) -> usize {
        self.client.borrow().requests()
    }

    fn groups(&self) -> Result<Groups, Failure> {
        let groups = self.client.borrow_mut().groups();
        Ok(groups.context("cannot find out which consumer group the pods are members of")?)
    }
}

/// The groups of these workloads, each once, with the age of the youngest pod of them.
fn to_watch(sources: &[Result<KafkaSource, Failure>], wanted: &[Wanted<'_>]) -> Vec<ToWatch> {
    let mut groups: BTreeMap<&str, Option<Duration>> = BTreeMap::new();
    for (source, wanted) in sources.iter().zip(wanted) {
        let Some(group) = source.as_ref().ok().and_then(|source| source.group.as_deref()) else { continue };
        let own = youngest(&wanted.live);
        let known = groups.entry(group).or_insert(own);
        *known = known.zip(own).map(|(known, own)| known.min(own));
    }
    groups.into_iter().map(|(group, youngest)| ToWatch { group: group.to_owned(), youngest }).collect()
}

const ASKING_ABOUT_IT: &str = "cannot ask Kafka about the group";
