//! The consumer group asked directly, where the settings say so.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rebalancer_core::Workload;
use rebalancer_io::kafka::{KafkaAnswers, KafkaClient, KafkaConfig, Patience, Watched};
use rebalancer_io::metrics::{KafkaPreset, QuerySettings};

use crate::cli::args::{LiveArgs, PresetChoice};
use crate::failure::Failure;
use crate::pipeline::decide::living;
use crate::settings::kafka;

/// Kafka, and how to ask it.
#[derive(Debug)]
pub struct DirectKafka {
    config: KafkaConfig,
    watch: Duration,
    patience: Patience,
}

/// What was found of a group.
pub struct Seen {
    /// The answers to the queries of the preset.
    pub answers: Arc<KafkaAnswers>,
    /// What two looks found.
    pub watched: Watched,
    /// How many requests that took.
    pub requests: usize,
}

impl DirectKafka {
    /// Kafka, if the settings say to ask it. Connects to nobody.
    ///
    /// # Errors
    /// A setting that is wrong, or a file that cannot be used.
    pub fn chosen(args: &LiveArgs, stop: &Arc<AtomicBool>) -> Result<Option<Self>, Failure> {
        if !kafka::is_asked(&args.kafka, args.queries.metrics_preset) {
            return Ok(None);
        }
        let deadline = Instant::now().checked_add(args.kubernetes.run_timeout);
        let direct = Self {
            config: kafka::config(&args.kafka)?,
            watch: args.kafka.kafka_watch,
            patience: Patience { deadline, stop: Arc::clone(stop) },
        };
        if direct.watch >= args.kubernetes.run_timeout {
            return Err(Failure::usage(
                "KAFKA_WATCH is not shorter than RUN_TIMEOUT: no time is left to decide",
            ));
        }
        direct.client()?;
        Ok(Some(direct))
    }

    /// Nothing: a look at all workloads does not ask Kafka.
    ///
    /// # Errors
    /// The preset says that it is to be asked.
    pub fn not_of_all(args: &LiveArgs) -> Result<Option<Self>, Failure> {
        if args.queries.metrics_preset == PresetChoice::Named(KafkaPreset::Kafka) {
            return Err(Failure::usage(
                "METRICS_PRESET=kafka asks about one group: a look at all workloads needs a preset of the metrics server, \
                 or auto",
            ));
        }
        Ok(None)
    }

    /// Looks at the group of `settings` twice.
    ///
    /// # Errors
    /// Kafka does not answer, or refuses.
    pub fn look(&self, settings: &QuerySettings, workload: &Workload) -> Result<Seen, Failure> {
        let group = settings.group.as_deref().unwrap_or_default();
        let mut client = self.client()?;
        let watched = client.watch(group, self.watch).context("cannot ask Kafka about the group")?;
        let answers = Arc::new(KafkaAnswers::new(&watched, &living(workload)));
        Ok(Seen { answers, watched, requests: client.requests() })
    }

    fn client(&self) -> Result<KafkaClient, Failure> {
        let client = KafkaClient::new(self.config.clone(), self.patience.clone());
        client.map_err(|error| Failure::Usage(error.into()))
    }
}
