//! What a connection is for a look at many workloads: where their lag comes from, and the settings that some have of their
//! own.

use std::cell::OnceCell;
use std::sync::Arc;

use anyhow::Context as _;
use jiff::Timestamp;
use rebalancer_core::{Metric, Workload};
use rebalancer_io::joint::{Joint, View};
use rebalancer_io::kubernetes::Selector;
use rebalancer_io::metrics::{KafkaPreset, QuerySettings};

use super::{Live, queries_of};
use crate::cli::args::{LiveArgs, PresetChoice};
use crate::failure::Failure;
use crate::pipeline::discover::kafka;
use crate::pipeline::kafka::DirectKafka;
use crate::settings::decision::DecisionSettings;
use crate::settings::recorded::RecordedSettings;
use crate::telemetry::notes::Notes;

impl Live {
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
        Ok(Self {
            cluster: Arc::new(self.cluster.in_namespace(namespace)),
            selector,
            notes: Notes::begin(),
            stop: Arc::clone(&self.stop),
            server: Arc::clone(&self.server),
            metrics_clock: Arc::clone(&self.metrics_clock),
            queries: queries_of(args, namespace, decision, kafka.is_some(), &self.server),
            finds_kafka: args.queries.metrics_preset == PresetChoice::Auto && kafka.is_none(),
            kafka,
            preset_of_all: OnceCell::new(),
            freshness: decision.freshness(),
            recorded: RecordedSettings::default(),
            context: self.context.clone(),
        })
    }

    /// Takes over the preset that `all` found for many workloads, unless one is set.
    pub fn adopt_preset(&mut self, all: &Self) {
        if self.finds_kafka {
            self.preset_of_all = all.preset_of_all.clone();
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
            let all = self.preset_of_all.get_or_init(|| kafka::OfAll::of(&known));
            let preset = all.usual();
            tracing::info!(
                event = "setting.found",
                setting = "METRICS_PRESET",
                value = preset.name(),
                "METRICS_PRESET={preset}: for all workloads"
            );
        }
        Ok(())
    }

    /// Preset and group of one of many workloads, as [`Live::asked_of`] finds them; `None` where they are set. `view` is
    /// what is known of it.
    ///
    /// # Errors
    /// As [`Live::asked_of`].
    pub fn kafka_of(
        &self,
        view: &View<'_, '_>,
        settings: &QuerySettings,
        workload: &Workload,
        at: Timestamp,
    ) -> Result<Option<kafka::KafkaSource>, Failure> {
        if !self.finds_kafka || workload.living().next().is_none() {
            return Ok(None);
        }
        match self.preset_of_all.get().filter(|all| all.is_alone) {
            // Its clients tell of any of these, or there are none. What is told of single partitions is often not stored.
            Some(_) if view.has(Metric::Lag) || view.has(Metric::Rate) || view.has_partitions() => Ok(None),
            Some(_) => Ok(Some(kafka::KafkaSource::none(settings))),
            None => kafka::find(view, settings, workload, at).map(Some),
        }
    }

    /// The presets whose lag and rate are asked for all workloads at once.
    pub fn presets(&self) -> Vec<KafkaPreset> {
        self.preset_of_all.get().map_or_else(|| vec![self.queries.preset], |all| all.in_pods.clone())
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
}
