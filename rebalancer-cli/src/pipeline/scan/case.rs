//! A workload of a look at many: by what it is decided, and what is known of it before.

use std::cell::OnceCell;
use std::rc::Rc;
use std::sync::Arc;

use rebalancer_core::{Cure, Fact, Joined, LivePod, Metric, RotationOptions};
use rebalancer_io::joint::Chunked;
use rebalancer_io::kafka::KafkaAnswers;
use rebalancer_io::kubernetes::OwnedWorkload;
use rebalancer_io::metrics::KafkaPreset;

use crate::cli::args::RunArgs;
use crate::pipeline::kafka::Told as OfKafka;
use crate::pipeline::live::Live;
use crate::pipeline::scan::origins::Looked;
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

/// Where the lag of a workload comes from.
#[derive(Debug, Clone, Default)]
pub(super) struct Source {
    pub(super) preset: KafkaPreset,
    pub(super) group: Option<String>,
    /// What is not clear about it.
    pub(super) told: Vec<String>,
}

/// One workload before it is decided on.
pub(super) struct Case {
    pub(super) owned: OwnedWorkload,
    pub(super) terms: Rc<Terms>,
    /// The connection with its settings, where it has settings of its own.
    pub(super) own: Option<Live>,
    /// Whether its settings make other queries than those of all.
    pub(super) is_apart: bool,
    /// What Kafka told of its group, where it was asked.
    pub(super) kafka: Option<OfKafka>,
    /// Where its lag comes from; why that is not known.
    pub(super) source: Result<Source, String>,
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

    /// What Kafka told, as answers to queries.
    pub(super) fn of_kafka(&self) -> Arc<KafkaAnswers> {
        self.kafka.as_ref().map_or_else(Arc::default, |told| Arc::clone(&told.answers))
    }

    /// Whether it is asked about as all others are.
    pub(super) fn is_as_all(&self) -> bool {
        !self.is_apart && self.kafka.is_none()
    }

    /// Where its lag comes from and its group, if its pods read Kafka and the metrics server tells of it.
    pub(super) fn reader(&self) -> Option<(KafkaPreset, Option<&str>)> {
        let Source { preset, group, .. } = self.source.as_ref().ok()?;
        let partitions = self.loads.as_ref().map_or(0, |loads| loads.partitions);
        let is_told = !matches!(preset, KafkaPreset::None | KafkaPreset::Kafka);
        let reads = is_told && (partitions > 0 || group.is_some());
        reads.then_some((*preset, group.as_deref()))
    }

    /// The same, if it is asked about as all others are.
    pub(super) fn joint_reader(&self) -> Option<(KafkaPreset, Option<&str>)> {
        self.reader().filter(|_| self.is_as_all())
    }

    /// It as far as it matters whose series it has; `None` where it is asked about by itself, or not decided on.
    pub(super) fn looked(&self) -> Option<Looked<'_>> {
        let Source { preset, group, .. } = self.source.as_ref().ok().filter(|_| !self.is_apart)?;
        Some(Looked { of: Chunked { group: group.as_deref(), ..self.chunked(true) }, preset: *preset })
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
