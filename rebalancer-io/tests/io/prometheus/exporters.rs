//! What exporters wrote about real consumer groups, scraped into each server: what every preset makes of it is held
//! against what the consumers themselves knew. `testdata/exporters/README.md` says what was recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::Metric;
use rebalancer_io::metrics::{
    FactQueries, KafkaPreset, MetricQuery, MetricsSource as _, QuerySet, QuerySettings,
};
use rebalancer_io::prometheus::PrometheusClient;

use super::recorded::{Moment, Recorded};
use super::servers::on_each_server;

/// One group of a recording, and its pods.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) name: &'static str,
    /// What the names of its pods begin with.
    pub(super) prefix: &'static str,
    /// The assignor as kminion tells it.
    assignor: Option<&'static str>,
    /// Whether klag names its members.
    pub(super) has_members: bool,
    /// Whether `client.id` is the name of the pod.
    is_named_by_client: bool,
}

const fn group(name: &'static str, prefix: &'static str, assignor: Option<&'static str>) -> Group {
    Group { name, prefix, assignor, has_members: assignor.is_some(), is_named_by_client: assignor.is_some() }
}

const IDLE: Group =
    Group { is_named_by_client: false, ..group("grp-idle7", "idle-6b7c8d9f5-", Some("range")) };

pub(super) const GROUPS: [Group; 4] = [
    group("grp.classic7", "classic-6b7c8d9f5-", Some("range")),
    group("grp-kip7", "kip-6b7c8d9f5-", None),
    IDLE,
    group("grp-two7", "two-6b7c8d9f5-", Some("cooperative-sticky")),
];

const ILL: [Group; 2] =
    [group("g-orders", "orders-6b7c8d9f5-", Some("range")), group("g-kip", "kip-5d6f7a8b9-", None)];

/// Presets whose series were recorded, or rewritten from recorded ones.
pub(super) const PRESETS: [KafkaPreset; 7] = [
    KafkaPreset::Micrometer,
    KafkaPreset::JmxDefault,
    KafkaPreset::OtelJava,
    KafkaPreset::KafkaExporter,
    KafkaPreset::Kminion,
    KafkaPreset::KlagIp,
    KafkaPreset::ClientId,
];

/// What rates are taken over: both moments of a recording lie in it.
const WINDOW: Duration = Duration::from_secs(45);

#[test]
fn every_preset_reads_the_groups_as_they_were() {
    let recorded = Recorded::load("groups", &["t0", "t1"]);
    on_each_server(&recorded.series(), |server, client| {
        for group in GROUPS {
            for preset in PRESETS {
                Asked::of(server, client, &recorded, group, preset, "t0", "t1").compare();
            }
        }
    });
}

/// What is missing of a group with the protocol of KIP-848 has a reason, and nothing else has it.
#[test]
fn what_exporters_do_not_see_of_kip_848_is_found_out() {
    let recorded = Recorded::load("groups", &["t1"]);
    let at = Timestamp::from_millisecond(recorded.moment("t1").at_ms).expect("a time");
    on_each_server(&recorded.series(), |server, client| {
        for group in GROUPS {
            let is_kip = group.assignor.is_none();
            let counted = |query: MetricQuery| {
                let answer = client.labelled(&query, &["group"], at).expect("an answer");
                answer.first().map(|sample| sample.value)
            };
            let of_klag = settings(group, KafkaPreset::KlagIp);
            let unnamed = KafkaPreset::KlagIp.without_members(&of_klag).expect("a question");
            assert_eq!(counted(unnamed), is_kip.then_some(6.0), "{server} {group:?}");
            let speak = counted(KafkaPreset::speak_kip_848(&of_klag));
            assert_eq!(speak, is_kip.then_some(4.0), "{server} {group:?}");
            let unseen = KafkaPreset::unseen_by_kminion(&of_klag).expect("a question");
            assert_eq!(counted(unseen), is_kip.then_some(6.0), "{server} {group:?}");
        }
    });
}

#[test]
fn every_preset_reads_sick_partitions_as_they_were() {
    let recorded = Recorded::load("stuck-poison-hot", &["t2", "t5"]);
    on_each_server(&recorded.series(), |server, client| {
        for group in ILL {
            for preset in PRESETS {
                Asked::of(server, client, &recorded, group, preset, "t2", "t5").compare();
            }
        }
    });
}

#[test]
fn after_a_replacement_the_new_pods_are_the_owners() {
    let recorded = Recorded::load("stuck-poison-hot", &["t6", "t8"]);
    on_each_server(&recorded.series(), |server, client| {
        for group in ILL {
            for preset in PRESETS {
                let asked = Asked::of(server, client, &recorded, group, preset, "t6", "t8");
                asked.compare_lag();
                asked.compare_owners();
            }
        }
    });
}

pub(super) fn settings(group: Group, preset: KafkaPreset) -> QuerySettings {
    QuerySettings {
        preset,
        group: Some(group.name.to_owned()),
        pod_pattern: Some(format!("{}.+", group.prefix)),
        window: WINDOW,
        ..QuerySettings::new("shop")
    }
}

/// One preset, asked about one group at the later of two moments.
struct Asked<'a> {
    what: String,
    client: &'a PrometheusClient,
    at: Timestamp,
    group: Group,
    preset: KafkaPreset,
    queries: QuerySet,
    facts: FactQueries,
    before: &'a Moment,
    now: &'a Moment,
    seconds: f64,
}

impl<'a> Asked<'a> {
    fn of(
        server: &str,
        client: &'a PrometheusClient,
        recorded: &'a Recorded,
        group: Group,
        preset: KafkaPreset,
        before: &str,
        now: &str,
    ) -> Self {
        let settings = settings(group, preset);
        let queries = QuerySet::new(&settings).expect("a query set");
        let facts = FactQueries::new(&queries, &settings).expect("queries of the group");
        let (before, now) = (recorded.moment(before), recorded.moment(now));
        Self {
            what: format!("{server}: {} by {preset}", group.name),
            client,
            at: Timestamp::from_millisecond(now.at_ms).expect("a time"),
            group,
            preset,
            queries,
            facts,
            before,
            now,
            seconds: (now.at_ms - before.at_ms) as f64 / 1000.0,
        }
    }

    fn compare(&self) {
        self.compare_lag();
        self.compare_rate();
        self.compare_owners();
        self.compare_assigned();
        self.compare_load();
        self.compare_assignor();
    }

    /// Whether the preset joins members that its exporter does not name.
    fn knows_nobody(&self) -> bool {
        match self.preset {
            KafkaPreset::KlagIp => !self.group.has_members,
            KafkaPreset::ClientId => !self.group.is_named_by_client,
            _ => false,
        }
    }

    /// What is to be found of each pod: of those without partitions zero, of the others what `value` tells, unless
    /// the exporter does not name them.
    fn of_each_pod(&self, value: impl Fn(&str) -> f64) -> BTreeMap<String, f64> {
        let pods = self.now.pods(self.group.prefix);
        let is_idle = |pod: &str| self.now.partitions(pod).is_empty();
        let told = pods.into_iter().filter(|pod| is_idle(pod) || !self.knows_nobody());
        told.map(|pod| (pod.to_owned(), if is_idle(pod) { 0.0 } else { value(pod) })).collect()
    }

    fn found(&self, metric: Metric) -> BTreeMap<String, f64> {
        let query = self.queries.get(metric).expect("a query");
        let answer = self.client.instant(query, self.at);
        let answer = answer.unwrap_or_else(|error| panic!("{} {metric}: {error}", self.what));
        let pods = self.now.pods(self.group.prefix);
        let samples = answer.iter().filter(|sample| pods.contains(sample.pod));
        samples.map(|sample| (sample.pod.to_owned(), sample.value)).collect()
    }

    fn compare_lag(&self) {
        let own = |pod: &str| self.now.own_lag(pod);
        let exported = |pod: &str| {
            let partitions = self.now.partitions(pod).into_iter();
            partitions.map(|partition| self.now.lag(self.preset, self.group.name, &partition)).sum()
        };
        let expected = match self.preset {
            KafkaPreset::Micrometer | KafkaPreset::JmxDefault | KafkaPreset::OtelJava => {
                self.of_each_pod(own)
            }
            _ => self.of_each_pod(exported),
        };
        self.same("lag", &self.found(Metric::Lag), &expected, 0.0);
    }

    /// Clients tell what they read, exporters what was committed.
    fn compare_rate(&self) {
        let read = |pod: &str| self.now.consumed(pod) - self.before.consumed(pod);
        let committed = |pod: &str| {
            let partitions = self.now.partitions(pod).into_iter();
            let moved = partitions.map(|partition| {
                let at = |moment: &Moment| moment.committed(self.preset, self.group.name, &partition);
                at(self.now) - at(self.before)
            });
            moved.sum::<f64>()
        };
        let expected = match self.preset {
            KafkaPreset::KlagIp | KafkaPreset::ClientId => {
                self.of_each_pod(|pod| committed(pod) / self.seconds)
            }
            _ => self.of_each_pod(|pod| read(pod) / self.seconds),
        };
        self.same("rate", &self.found(Metric::Rate), &expected, 0.02);
    }

    /// The samples of a query of the group, by pod and labels.
    fn told(&self, name: &str, labels: &[&str]) -> BTreeMap<String, f64> {
        let Some(query) = self.facts.of_the_group().find(|query| query.name == name) else {
            return BTreeMap::new();
        };
        let answer = self.client.labelled(query, labels, self.at);
        let answer = answer.unwrap_or_else(|error| panic!("{} {name}: {error}", self.what));
        let words = answer.into_iter().map(|sample| {
            let words = sample.pod.into_iter().chain(sample.labels).map(|word| word.replace('.', "_"));
            (words.collect::<Vec<String>>().join(" "), sample.value)
        });
        words.collect()
    }

    /// Presets that read clients know who owns what; each partition has one owner.
    fn compare_owners(&self) {
        if matches!(self.preset, KafkaPreset::KlagIp | KafkaPreset::ClientId) {
            return;
        }
        let found: BTreeSet<String> =
            self.told("partition_owners", &["topic", "partition"]).into_keys().collect();
        let pods = self.now.pods(self.group.prefix);
        let found: BTreeSet<String> = found
            .into_iter()
            .filter(|words| words.split(' ').next().is_some_and(|pod| pods.contains(pod)))
            .collect();
        let owned = pods.iter().flat_map(|pod| {
            self.now.partitions(pod).into_iter().map(move |(topic, number)| format!("{pod} {topic} {number}"))
        });
        let owned: BTreeSet<String> = owned.collect();
        let apart: Vec<&String> = found.symmetric_difference(&owned).collect();
        assert!(apart.is_empty(), "{}: owners {apart:?}: {found:?} are not {owned:?}", self.what);
    }

    /// Each consumer with the number of its partitions.
    fn compare_assigned(&self) {
        if matches!(self.preset, KafkaPreset::KlagIp | KafkaPreset::ClientId) {
            return;
        }
        let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (words, count) in self.told("assigned_partitions", &["client_id"]) {
            let pod = words.split(' ').next().unwrap_or_default().to_owned();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number")]
            found.entry(pod).or_default().push(count as usize);
        }
        let members = |pod: &&str| ((*pod).to_owned(), self.now.members(pod));
        let expected: BTreeMap<String, Vec<usize>> =
            self.now.pods(self.group.prefix).iter().map(members).collect();
        assert_eq!(found, expected, "{}: assigned partitions", self.what);
    }

    /// The load of each partition of the group's topics and of no other.
    fn compare_load(&self) {
        let mut found: BTreeMap<String, f64> = BTreeMap::new();
        for (words, load) in self.told("partition_load", &["topic", "partition"]) {
            let mut words: Vec<&str> = words.rsplit(' ').take(2).collect();
            words.reverse();
            let is_new = found.insert(words.join(" "), load).is_none();
            assert!(is_new, "{}: {words:?} has two loads", self.what);
        }
        let committed = |moment: &Moment, partition: &(String, u32)| match self.preset {
            KafkaPreset::Kminion => moment.written(partition),
            preset => moment.committed(preset, self.group.name, partition),
        };
        let pods = self.now.pods(self.group.prefix);
        // Without members klag's partitions have no pod to be joined to.
        let is_lost = self.preset == KafkaPreset::KlagIp && self.knows_nobody();
        let known = pods.iter().filter(|_| !is_lost);
        let expected = known.flat_map(|pod| self.now.partitions(pod)).map(|partition| {
            let moved = committed(self.now, &partition) - committed(self.before, &partition);
            (format!("{} {}", partition.0, partition.1), moved / self.seconds)
        });
        self.same("partition loads", &found, &expected.collect(), 0.02);
    }

    fn compare_assignor(&self) {
        let found: Vec<String> = self.told("assignor", &["protocol"]).into_keys().collect();
        let expected: Vec<&str> = self.group.assignor.into_iter().collect();
        assert_eq!(found, expected, "{}: assignor", self.what);
    }

    fn same(
        &self,
        what: &str,
        found: &BTreeMap<String, f64>,
        expected: &BTreeMap<String, f64>,
        tolerance: f64,
    ) {
        let names = |of: &BTreeMap<String, f64>| of.keys().cloned().collect::<Vec<String>>();
        assert_eq!(names(found), names(expected), "{}: {what}: {found:?}", self.what);
        for (name, expected) in expected {
            let apart = (found[name] - expected).abs();
            assert!(
                apart <= tolerance * expected.abs() + 1e-9,
                "{}: {what} of {name} is {}, not {expected}",
                self.what,
                found[name]
            );
        }
    }
}
