//! The consumer groups asked directly, where the settings say so, and which of them some pods are members of.

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
use crate::format::text::first_of;
use crate::pipeline::discover::kafka::{KafkaSource, preset_found};
use crate::settings::kafka;

/// Most groups that are named.
const MOST_GROUPS: usize = 5;

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

/// What becomes of pods that are members of no group.
#[derive(Debug, Clone, Copy)]
pub struct Without {
    /// Whether the settings name Kafka as the source, so that a group is expected.
    is_named: bool,
    /// Whether there is a metrics server, by which they can be decided on without Kafka.
    has_server: bool,
}

/// The group of one of many workloads, and what was found of it: nothing where there is none.
pub type Told = (KafkaSource, Arc<KafkaAnswers>);

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
            let mut source = source.map_err(|failure| failure.words())?;
            let answers = match source.group.as_ref().and_then(|group| watched.get(group)) {
                Some(Ok(watched)) => KafkaAnswers::new(watched, &wanted.live),
                Some(Err(error)) => return Err(format!("{ASKING_ABOUT_IT}: {error}")),
                None => KafkaAnswers::default(),
            };
            source.told.extend(answers.remarks().iter().cloned());
            Ok((source, Arc::new(answers)))
        };
        Ok(sources.into_iter().zip(wanted).map(told).collect())
    }

    fn sources(&self, wanted: &[Wanted<'_>]) -> Result<Vec<Result<KafkaSource, Failure>>, Failure> {
        let is_looked_for = |wanted: &Wanted<'_>| wanted.group.is_none() && !wanted.live.is_empty();
        let groups = if wanted.iter().any(is_looked_for) {
            let groups = self.client.borrow_mut().groups();
            groups.context("cannot find out which consumer group the pods are members of")?
        } else {
            Groups::default()
        };
        let pods: Vec<&[LivePod]> = wanted.iter().map(|wanted| wanted.live.as_ref()).collect();
        let found = groups_of_each(&groups.of_consumers, &pods);
        let of = |preset: KafkaPreset, group: Option<String>| KafkaSource {
            preset,
            group,
            ..KafkaSource::default()
        };
        let source = |(wanted, found): (&Wanted<'_>, BTreeMap<usize, usize>)| match &wanted.group {
            Some(group) => Ok(of(KafkaPreset::Kafka, Some(group.clone()))),
            None if wanted.live.is_empty() => Ok(of(KafkaPreset::None, None)),
            None => choose(&groups, &found, wanted.live.len(), wanted.without),
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

/// Takes the group of so many pods, of which those at the positions `found` have members in so many of them: in half of the
/// pods at least. A group with fewer is that of another workload at the same addresses, or of a person who looks into a topic.
///
/// # Errors
/// Several groups; none where the pods cannot do without.
fn choose(
    groups: &Groups,
    found: &BTreeMap<usize, usize>,
    pods: usize,
    without: Without,
) -> Result<KafkaSource, Failure> {
    let name = |position: &usize| groups.of_consumers.get(*position).map(|group| group.name.as_str());
    let found: Vec<(&str, usize)> =
        found.iter().filter_map(|(position, met)| Some((name(position)?, *met))).collect();
    let theirs: Vec<(&str, usize)> = found.iter().copied().filter(|(_, met)| 2 * met >= pods).collect();
    let Some((_, met)) = theirs.first() else {
        let why = of_none(groups, &found, pods);
        if without.is_named || !without.has_server {
            return Err(Failure::Run(anyhow::anyhow!("{why}; set KAFKA_GROUP")));
        }
        let found = vec![preset_found(KafkaPreset::None, &why)];
        return Ok(KafkaSource { preset: KafkaPreset::None, found, ..KafkaSource::default() });
    };
    let mut source = KafkaSource { preset: KafkaPreset::Kafka, ..KafkaSource::default() };
    if !without.is_named {
        source.found.push(preset_found(KafkaPreset::Kafka, "KAFKA_BOOTSTRAP_SERVERS is set"));
    }
    let why = format!("its members run in {met} of these {pods} pods, as Kafka tells");
    source.set_group(theirs.iter().map(|(name, _)| (*name).to_owned()).collect(), &why);
    if source.group.is_none() {
        return Err(Failure::usage(format!(
            "METRICS_PRESET=kafka needs KAFKA_GROUP, which is not clear: {}",
            source.told.join("; ")
        )));
    }
    Ok(source)
}

/// Why none of the groups is that of so many pods, `few` of which have members in some.
fn of_none(groups: &Groups, few: &[(&str, usize)], pods: usize) -> String {
    let mut why = vec![format!(
        "none of the {} consumer groups that Kafka shows the user has its members in these pods, as far as addresses and \
         client.id tell",
        groups.of_consumers.len()
    )];
    if !groups.shared.is_empty() {
        why.push(format!(
            " (the {} share groups do not count: each of their members reads from every partition, so none has a load of its \
             own)",
            groups.shared.len()
        ));
    }
    if !groups.streams.is_empty() {
        why.push(format!(
            "; streams groups (KIP-1071: {}) do not count: the brokers deal tasks to their members, which this program does \
             not read",
            first_of(&groups.streams, MOST_GROUPS)
        ));
    }
    if !groups.hidden.is_empty() {
        let hidden = groups.hidden.len();
        why.push(format!("; {hidden} more may not be described by the user (Describe on group and topics)"));
    }
    for (name, met) in few.iter().take(MOST_GROUPS) {
        why.push(format!("; group {name} has some in {met} of the {pods} pods only"));
    }
    why.concat()
}

const ASKING_ABOUT_IT: &str = "cannot ask Kafka about the group";

#[cfg(test)]
mod tests {
    use rebalancer_io::kafka::Group;

    use super::*;

    fn groups() -> Groups {
        let group = |name: &str| Group {
            name: name.to_owned(),
            state: "Stable".to_owned(),
            is_dealt_by_brokers: false,
            assignor: "range".to_owned(),
            members: Vec::new(),
        };
        Groups {
            of_consumers: ["audit", "orders"].map(group).into(),
            shared: vec!["queue".to_owned()],
            streams: vec!["joins".to_owned()],
            hidden: vec!["theirs".to_owned()],
        }
    }

    fn chosen(found: &[(usize, usize)], is_named: bool, has_server: bool) -> Result<KafkaSource, Failure> {
        choose(&groups(), &found.iter().copied().collect(), 8, Without { is_named, has_server })
    }

    #[test]
    fn one_group_is_taken_and_of_several_none() {
        for found in [&[(1, 8)][..], &[(1, 4)], &[(0, 3), (1, 7)]] {
            let source = chosen(found, true, false).expect("one");
            assert_eq!((source.preset, source.group.as_deref()), (KafkaPreset::Kafka, Some("orders")));
            assert_eq!(source.found.len(), 1, "{:?}", source.found);
        }
        let several = chosen(&[(0, 4), (1, 8)], false, true).expect_err("several");
        assert!(matches!(several, Failure::Usage(_)));
        assert!(several.words().contains("none is chosen: audit, orders; set KAFKA_GROUP"), "{several:?}");
    }

    #[test]
    fn pods_without_a_group_do_without_kafka_only_where_that_is_meant() {
        for found in [&[][..], &[(0, 3)]] {
            let source = chosen(found, false, true).expect("they can do without");
            assert_eq!((source.preset, source.group), (KafkaPreset::None, None));
            let why = &source.found[0].why;
            assert!(why.starts_with("none of the 2 consumer groups"), "{why}");
            assert_eq!(
                why.contains("group audit has some in 3 of the 8 pods only"),
                !found.is_empty(),
                "{why}"
            );
        }
        for (is_named, has_server) in [(true, true), (true, false), (false, false)] {
            let failure = chosen(&[], is_named, has_server).expect_err("they cannot");
            assert!(failure.words().contains("the 1 share groups do not count"), "{failure:?}");
            assert!(failure.words().contains("(KIP-1071: joins)"), "{failure:?}");
            assert!(failure.words().contains("1 more may not be described"), "{failure:?}");
            assert!(matches!(failure, Failure::Run(_)));
        }
    }
}
