//! Checks what Kafka itself and the metrics server know about the consumer group, and explains missing data.

use std::collections::{BTreeSet, HashSet};

use rebalancer_core::{Metric, PerMetric, Workload};
use rebalancer_io::metrics::{
    FactQueries, KafkaPreset, MetricQuery, MetricsSource as _, QuerySet, QuerySettings,
};

use super::prometheus::Asking;
use crate::failure::Failure;
use crate::format::text::first_of;
use crate::pipeline::kafka::Seen;
use crate::report::check::{Category, Grade};

/// Maximum number of consumer groups in a message.
const MOST_GROUPS: usize = 10;

/// Checks what Kafka itself told of the group of these pods; nothing where they are members of none.
pub fn group(seen: Option<&Seen>, workload: &Workload, category: &mut Category) {
    let Some(Seen { answers, watched, requests, proves_in_the_open }) = seen else {
        return if workload.living().next().is_none() {
            category.warn(
                "the brokers were not asked",
                "there is no live pod whose consumer group could be looked for: first correct what is wrong with the cluster",
            );
        } else {
            category.warn("the pods are members of no consumer group", "their lag and rate are unknown");
        };
    };
    let (group, apart) = (&watched.group, watched.apart.as_secs());
    category.good(format!(
        "the brokers answer: {requests} requests, among them those of two looks {apart} s apart"
    ));
    let dealer = if group.is_dealt_by_brokers { "the brokers (KIP-848)" } else { "one of its members" };
    let by = if group.assignor.is_empty() { String::new() } else { format!(" by {}", group.assignor) };
    category.good(format!(
        "the user may describe the group, which is {}; its {} partitions are dealt{by} by {dealer}",
        group.state,
        watched.partitions.len()
    ));
    let (members, met) = answers.members();
    let found = format!("{met} of {members} members run in these pods");
    if met == 0 && members > 0 {
        category
            .fail("members", &Failure::usage(format!("{found}: is KAFKA_GROUP the group of this workload?")));
    } else if met == members {
        category.good(found);
    } // Of others a remark tells.
    if *proves_in_the_open {
        category.warn(
            "sign in",
            "the password is proved over a connection that is not encrypted: who reads along can guess weak passwords, and \
             sees everything else; set KAFKA_TLS=true",
        );
    }
    for remark in answers.remarks() {
        category.warn("the consumer group", remark.clone());
    }
}

impl Asking<'_> {
    /// Why the preset finds no `metric`, and what would help.
    pub fn why_nothing(&self, metric: Metric) -> Option<String> {
        if let Some(groups) = self.wrong_group() {
            return Some(groups);
        }
        let why = self.without_members().or_else(|| {
            let is_otel = self.settings.preset == KafkaPreset::JmxDefault
                && self.pods_by(KafkaPreset::OtelJava, Metric::Lag).is_some();
            let why =
                "the OpenTelemetry agent takes away the client's JMX beans, which the JMX exporter reads";
            is_otel.then(|| why.to_owned())
        });
        let found_by = self.better_preset(metric, 0);
        let words: Vec<String> = why.into_iter().chain(found_by).collect();
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// The existing groups, if the configured one does not exist.
    fn wrong_group(&self) -> Option<String> {
        let group = self.settings.group.as_deref()?;
        let (query, label) = self.settings.preset.groups(self.settings)?;
        let answer = self.client.labelled(&query, &[label], self.at).ok()?;
        let known: BTreeSet<&String> = answer.iter().filter_map(|sample| sample.labels.first()).collect();
        let is_wrong = !known.is_empty() && known.iter().all(|known| *known != group);
        let known: Vec<&String> = known.into_iter().collect();
        is_wrong.then(|| {
            format!("KAFKA_GROUP={group} is no group it knows; it knows {}", first_of(&known, MOST_GROUPS))
        })
    }

    /// The problem if the exporter reports the group's partitions but none of its members.
    fn without_members(&self) -> Option<String> {
        let query = self.settings.preset.without_members(self.settings)?;
        let partitions = self.counted(&query)?;
        let why = if self.speak_kip_848() {
            "the pods' clients have the protocol of KIP-848, and the exporter does not see the members of such groups"
        } else {
            "either nobody reads, or the group has the protocol of KIP-848 (group.protocol=consumer), whose members the \
             exporter does not see"
        };
        Some(format!("the exporter names no member for {partitions} partitions of the group: {why}"))
    }

    /// The preset that has the metric for the most live pods, if that is more than `more_than`.
    pub fn better_preset(&self, metric: Metric, more_than: usize) -> Option<String> {
        let living = self.workload.living().count();
        let others = KafkaPreset::of_series().filter(|preset| *preset != self.settings.preset);
        let found = others.filter_map(|preset| Some((self.pods_by(preset, metric)?, preset)));
        // Of equals, the first.
        let (pods, preset) =
            found.rev().max_by_key(|(pods, _)| *pods).filter(|(pods, _)| *pods > more_than)?;
        Some(format!("METRICS_PRESET={preset} finds it for {pods} of {living} live pods"))
    }

    /// Number of live pods for which another preset has the metric; `None` for none.
    fn pods_by(&self, preset: KafkaPreset, metric: Metric) -> Option<usize> {
        let settings = QuerySettings { preset, own: PerMetric::default(), ..self.settings.clone() };
        let queries = QuerySet::new(&settings).ok()?;
        let answer = self.client.instant(queries.get(metric)?, self.at).ok()?;
        let having: HashSet<&str> = answer.pods().collect();
        let found = self.workload.living().filter(|pod| having.contains(pod.name.as_str())).count();
        (found > 0).then_some(found)
    }

    fn speak_kip_848(&self) -> bool {
        self.counted(&KafkaPreset::speak_kip_848(self.settings)).is_some()
    }

    /// The single number in a query's answer; `None` if the answer is empty or unavailable.
    fn counted(&self, query: &MetricQuery) -> Option<f64> {
        self.ask(query).ok()?.first().map(|sample| sample.value)
    }

    /// Checks the queries about the consumer group. All of them are optional; one that the server refuses
    /// gets the grade `refused`.
    pub fn group(&self, facts: &FactQueries, refused: Grade, category: &mut Category) {
        for query in facts.of_the_group() {
            self.fact(query, refused, category);
        }
        if self.settings.preset == KafkaPreset::None {
            return;
        }
        if self.settings.group.is_none() {
            category.warn(
                "offsets: no query (optional)",
                "KAFKA_GROUP is not set: only the clients' own lead can show a partition that stands",
            );
        }
        for query in facts.of_the_offsets() {
            self.fact(&query, refused, category);
        }
    }

    fn fact(&self, query: &MetricQuery, refused: Grade, category: &mut Category) {
        let words = query.name.replace('_', " ");
        match self.ask(query) {
            Ok(answer) => {
                let hint = answer.is_empty().then(|| self.lack(&query.name));
                category.note(format!("{words}: {} series (optional)", answer.len()), hint);
            }
            Err(error) if error.was_answered() => {
                category.warn(format!("{words} (optional)"), error.to_string());
            }
            Err(error) => {
                let hint = Some(format!("{error}; runs are withheld for it"));
                category.add(refused, format!("{words} (optional)"), hint);
            }
        }
    }

    /// What is unknown without this fact, and why it is missing, if known.
    fn lack(&self, name: &str) -> String {
        let why = if name == "assignor" { self.no_assignor() } else { None };
        let lack = why.unwrap_or(if name.starts_with("offset_") {
            "without it a partition that stands still may not be found, or not be told from a poisoned or an idle one"
        } else {
            "without it the diagnosis can say less about why the load is uneven"
        });
        lack.to_owned()
    }

    /// Why kminion does not report the assignor although it knows the group.
    fn no_assignor(&self) -> Option<&'static str> {
        if self.speak_kip_848() {
            return Some(
                "the pods' clients have the protocol of KIP-848: the brokers deal the partitions, and kminion writes no \
                 group_info of such groups; KAFKA_ASSIGNOR=uniform, the brokers' default, or range says how",
            );
        }
        self.counted(&KafkaPreset::unseen_by_kminion(self.settings)?)?;
        Some(
            "kminion knows the group's lag and writes no group_info of it, as of groups with the protocol of KIP-848; \
             KAFKA_ASSIGNOR says how the partitions are dealt (uniform is the brokers' default)",
        )
    }
}
