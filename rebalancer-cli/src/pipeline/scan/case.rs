//! A workload of a look at many: by what it is decided, and what is known of it before.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use jiff::Timestamp;
use rebalancer_core::{Cure, Fact, Joined, LivePod, Metric, RotationOptions};
use rebalancer_io::joint::{Chunked, chunks, settings_of};
use rebalancer_io::kafka::KafkaAnswers;
use rebalancer_io::kubernetes::OwnedWorkload;
use rebalancer_io::metrics::{KafkaPreset, OriginQueries, QuerySettings, Reach};
use rebalancer_io::origin::{Origin, Owner, origins_of};
use rebalancer_io::prometheus::QueryError;

use crate::cli::args::RunArgs;
use crate::pipeline::discover::kafka::KafkaSource;
use crate::pipeline::live::{Client, Live};
use crate::report::Kind;
use crate::settings::decision::DecisionSettings;

/// What becomes of a workload that was listed.
pub enum Choice {
    /// It is not looked at.
    Out,
    /// It is decided by these terms.
    In(Rc<Terms>),
    /// It is not decided, since its settings are wrong for this reason.
    Refused(String),
}

/// By what a workload is decided.
pub struct Terms {
    /// Thresholds and guards.
    pub decision: DecisionSettings,
    /// How a rotation would be carried out.
    pub options: RotationOptions,
    /// What kind of report is made.
    pub kind: Kind,
    /// `none`, `client` or `server`.
    pub dry_run: &'static str,
    /// The arguments of a workload that has settings of its own.
    pub own: Option<Box<RunArgs>>,
}

/// One workload before it is decided on.
pub(super) struct Case {
    pub(super) owned: OwnedWorkload,
    pub(super) terms: Rc<Terms>,
    /// The connection with its settings, where it has settings of its own.
    pub(super) own: Option<Live>,
    /// Whether its settings make other queries than those of all.
    pub(super) is_apart: bool,
    /// What Kafka told of its group, as answers to queries, where it was asked.
    pub(super) kafka: Option<Arc<KafkaAnswers>>,
    /// Where its lag comes from; why that is not known.
    pub(super) source: Result<KafkaSource, String>,
    /// Its loads; why there are none that can be used.
    pub(super) loads: Result<Loads, String>,
    /// Which of its pods were replaced as a cure, once that was asked.
    pub(super) cures: OnceCell<Fact<Vec<Cure>>>,
}

/// What the joint answers say of a workload.
pub(super) struct Loads {
    pub(super) joined: Joined,
    pub(super) asked: Vec<Metric>,
    pub(super) warnings: Vec<String>,
    /// Whether more has to be known than its loads.
    pub(super) needs_facts: bool,
    /// Whether the message rate of any of its pods is known.
    pub(super) has_rate: bool,
    /// Partitions that its pods read, as far as their clients tell.
    pub(super) partitions: usize,
}

impl Case {
    /// A workload before anything is known of it. Its `own` connection may make other queries than that of `all`.
    pub(super) fn new(owned: OwnedWorkload, terms: Rc<Terms>, own: Option<Live>, all: &Live) -> Self {
        let is_apart = own.as_ref().is_some_and(|own| !own.asks_as(all));
        let (source, loads) = (Ok(KafkaSource::default()), Err(String::new()));
        Self { owned, terms, own, is_apart, kafka: None, source, loads, cures: OnceCell::new() }
    }

    pub(super) fn pods(&self) -> &[LivePod] {
        &self.owned.workload.pods
    }

    pub(super) fn needs_facts(&self) -> bool {
        self.loads.as_ref().is_ok_and(|loads| loads.needs_facts)
    }

    /// It turned out that more has to be known of it than its loads.
    pub(super) fn look_back(&mut self) {
        if let Ok(loads) = &mut self.loads {
            loads.needs_facts = true;
        }
    }

    /// Whether a pod may turn out to be ill although nothing passes a threshold: by its partitions, or by its message rate.
    pub(super) fn may_be_ill(&self) -> bool {
        let has_rate = self.loads.as_ref().is_ok_and(|loads| loads.has_rate);
        has_rate || self.kafka.is_some() || self.reader().is_some()
    }

    /// Whether it is asked about as all others are.
    pub(super) fn is_as_all(&self) -> bool {
        !self.is_apart && self.kafka.is_none()
    }

    /// Where its lag comes from and its group, if its pods read Kafka and the metrics server tells of it.
    pub(super) fn reader(&self) -> Option<(KafkaPreset, Option<&str>)> {
        let KafkaSource { preset, group, .. } = self.source.as_ref().ok()?;
        let partitions = self.loads.as_ref().map_or(0, |loads| loads.partitions);
        let is_told = !matches!(preset, KafkaPreset::None | KafkaPreset::Kafka);
        let reads = is_told && (partitions > 0 || group.is_some());
        reads.then_some((*preset, group.as_deref()))
    }

    /// The same, if it is asked about as all others are.
    pub(super) fn joint_reader(&self) -> Option<(KafkaPreset, Option<&str>)> {
        self.reader().filter(|_| self.is_as_all())
    }

    /// Where its lag comes from and what it is asked about by, as far as it matters whose series it has; `None` where it is
    /// asked about by itself, or not decided on.
    fn looked(&self) -> Option<(KafkaPreset, Chunked<'_>)> {
        let KafkaSource { preset, group, .. } = self.source.as_ref().ok().filter(|_| !self.is_apart)?;
        Some((*preset, Chunked { group: group.as_deref(), ..self.chunked(true) }))
    }

    /// How much room it takes in queries and answers about several workloads, which name the pods of suspects at least.
    pub(super) fn chunked(&self, is_named: bool) -> Chunked<'_> {
        let partitions = self.loads.as_ref().map_or(0, |loads| loads.partitions);
        Chunked {
            namespace: &self.owned.namespace,
            pods: self.pods(),
            is_named: is_named || self.needs_facts(),
            group: self.reader().and_then(|(_, group)| group),
            rows: self.pods().len().max(partitions),
        }
    }
}

/// Whose series each workload has, as far as it is found: of all together, and of those about which a server does not name
/// everything that is disputed, chunk by chunk. What is unknown then has to be found out of each alone.
///
/// # Errors
/// A query that fails.
pub(super) fn origins(
    client: &Client,
    settings: &QuerySettings,
    cases: &[Case],
    at: Timestamp,
) -> Result<Vec<Origin>, QueryError> {
    let mut origins = vec![Origin::Unknown; cases.len()];
    let looked = |position: usize| Some((position, cases[position].looked()?));
    let all: Vec<Looked<'_>> = (0..cases.len()).filter_map(looked).collect();
    find(client, settings, &all, at, &mut origins)?;
    let is_unknown = |(position, _): &Looked<'_>| origins[*position] == Origin::Unknown;
    let unknown: Vec<Looked<'_>> = all.into_iter().filter(is_unknown).collect();
    for chunk in chunks(settings, unknown, |(_, (_, chunked))| *chunked) {
        // One alone is asked about when it is decided on.
        if chunk.len() > 1 {
            let settings = settings_of(settings, chunk.iter().map(|(_, (_, chunked))| *chunked));
            find(client, &settings, &chunk, at, &mut origins)?;
        }
    }
    Ok(origins)
}

/// The position of a workload, where its lag comes from, and what it is asked about by.
type Looked<'w> = (usize, (KafkaPreset, Chunked<'w>));

/// Finds by queries of `settings` whose series these workloads have.
fn find(
    client: &Client,
    settings: &QuerySettings,
    workloads: &[Looked<'_>],
    at: Timestamp,
    origins: &mut [Origin],
) -> Result<(), QueryError> {
    let mut groups: BTreeMap<KafkaPreset, BTreeSet<&str>> =
        BTreeMap::from([(KafkaPreset::None, BTreeSet::new())]);
    for (_, (preset, chunked)) in workloads {
        groups.entry(*preset).or_default().extend(chunked.group);
    }
    let of_preset = |(preset, names): (KafkaPreset, BTreeSet<&str>)| {
        let groups = if names.is_empty() { Reach::One } else { Reach::of_groups(names, &settings.matchers) };
        QuerySettings { preset, group: None, groups, ..settings.clone() }
    };
    let queries = OriginQueries::of_all(&groups.into_iter().map(of_preset).collect::<Vec<QuerySettings>>());
    let own = |(_, (preset, chunked)): &Looked<'_>| QuerySettings {
        preset: *preset,
        group: chunked.group.map(str::to_owned),
        ..settings.clone()
    };
    let own: Vec<QuerySettings> = workloads.iter().map(own).collect();
    let mut owners: Vec<Owner<'_>> = Vec::with_capacity(workloads.len());
    for ((_, (_, Chunked { namespace, pods, .. })), settings) in workloads.iter().zip(&own) {
        owners.push(Owner { namespace, pods, settings });
    }
    for ((position, _), origin) in workloads.iter().zip(origins_of(client, &queries, &owners, at)?) {
        origins[*position] = origin;
    }
    Ok(())
}
