//! Finds out whether the series that a run merges have one source. Two clusters in one server whose pods have
//! the same names, or two Kafka clusters with the same group and topic, are two sources; the replicas of a
//! Prometheus, or a target that two jobs scrape, are one.
//!
//! The evidence, strongest first:
//! 1. cAdvisor's `id` and `name` contain the UID of the pod. One UID is one pod, however many series show it;
//!    two UIDs alive at the same time are two pods.
//! 2. Values: series that measure the same thing have nearly equal values.
//!
//! Series that ended before the pod was created belong to an earlier pod with its name and are ignored.
//! Series that cannot be shown to be the same thing count as two.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::LazyLock;

use jiff::Timestamp;
use rebalancer_core::LivePod;
use regex::Regex;

use crate::metrics::{
    Family, FamilyQueries, METRIC_LABEL, MOST_LOOKED_AT, MOST_OF_SEVERAL, MetricsSource as _, OriginQueries,
    QuerySettings, pod_prefixes,
};
use crate::prometheus::{ErrorKind, PrometheusClient, QueryError, RawSample, Transport};

/// How long after a pod's creation the last samples of its predecessor may still be written, in seconds:
/// clocks differ, and cAdvisor reports values up to a minute old.
const AFTERLIFE_S: f64 = 60.0;

/// For how long a server returns the last value from before a restart, in seconds: the usual lookback.
const LOOKBACK_S: f64 = 300.0;

/// Maximum number of label values in a message.
const TOLD: usize = 5;

/// Sources that disagree about things with the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mixed {
    /// The metric.
    pub metric: String,
    /// The thing they disagree about, as labels: `pod="orders-0"`.
    pub thing: String,
    /// The label that distinguishes the sources.
    pub label: String,
    /// Its first few values.
    pub values: Vec<String>,
}

impl fmt::Display for Mixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, thing, label, values } = self;
        let quoted: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
        let example = values.iter().find(|value| !value.is_empty()).map_or("", String::as_str);
        write!(
            f,
            "sources disagree about {metric} of {thing}, which the server holds with {label} {}: these are several \
             things of one name, such as pods of two clusters, or one source is stuck at an old value; select one by \
             PROMETHEUS_MATCHERS, such as {label}={example:?}",
            quoted.join(", ")
        )
    }
}

/// Why the series cannot be used as those of one source.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// Sources disagree.
    #[error("{0}")]
    Mixed(Mixed),
    /// A query failed.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// Checks that the series of these pods, at one moment, have one source.
///
/// In most servers nothing has two series, and this is one small query, cheaper than that of CPU. Otherwise,
/// for example with two replicas of a Prometheus, it sends one more query per metric and examines those that
/// may disagree.
///
/// # Errors
/// If sources disagree, or if a query fails.
pub fn one_origin<T: Transport>(
    client: &PrometheusClient<T>,
    queries: &OriginQueries,
    pods: &[LivePod],
    at: Timestamp,
) -> Result<(), OriginError> {
    for (family, found) in doubled(client, queries, at)? {
        let (rows, times) = found?;
        let seen = Seen { family, pods, at, times: &times };
        if let Some(mixed) = seen.mixed(&rows.iter().collect::<Vec<&RawSample>>()) {
            return Err(OriginError::Mixed(mixed));
        }
    }
    Ok(())
}

/// A workload whose series are looked at together with those of others.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'w> {
    /// Its namespace.
    pub namespace: &'w str,
    /// Its pods.
    pub pods: &'w [LivePod],
    /// Its own settings, but for what selects its pods.
    pub settings: &'w QuerySettings,
}

/// What is found of the series of one of several workloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// They have one source.
    One,
    /// Sources disagree about them.
    Mixed(Mixed),
    /// More things are disputed than a server names, and none of this workload was among them.
    Unknown,
}

/// What [`one_origin`] finds of each of several workloads, from answers about all of them. `queries` are
/// those of [`OriginQueries::of_all`].
///
/// # Errors
/// If a query fails.
pub fn origins_of<T: Transport>(
    client: &PrometheusClient<T>,
    queries: &OriginQueries,
    workloads: &[Owner<'_>],
    at: Timestamp,
) -> Result<Vec<Origin>, QueryError> {
    let mut origins = vec![Origin::One; workloads.len()];
    for (family, found) in doubled(client, queries, at)? {
        let (rows, times) = match found {
            Err(error) if matches!(*error.kind, ErrorKind::TooLarge { .. }) => Default::default(),
            found => found?,
        };
        let things: BTreeSet<Vec<&str>> = rows.iter().map(|row| thing(family, row)).collect();
        let is_all = (1..MOST_OF_SEVERAL).contains(&things.len());
        for (Owner { namespace, pods, settings }, origin) in workloads.iter().zip(&mut origins) {
            // The first metric about which sources disagree is the one that is told.
            if *origin != Origin::One || !family.is_read_by(settings) {
                continue;
            }
            let prefixes = pod_prefixes(pods);
            let is_own = |row: &&RawSample| {
                if !family.keys.contains(&"pod") {
                    return family.keys.first().map(|label| value(&row.labels, label))
                        == settings.group.as_deref();
                }
                let name = value(&row.labels, "pod");
                let starts = |prefix: &&str| name.len() > prefix.len() && name.starts_with(prefix);
                value(&row.labels, "namespace") == *namespace
                    && (prefixes.is_empty() || prefixes.iter().any(starts))
            };
            let own = most_apart(family, rows.iter().filter(is_own));
            match (Seen { family, pods, at, times: &times }).mixed(&own) {
                Some(mixed) => *origin = Origin::Mixed(mixed),
                None if !is_all => *origin = Origin::Unknown,
                None => {}
            }
        }
    }
    Ok(origins)
}

/// The series of those things that differ most, as many as a query about one workload asks for.
fn most_apart<'r>(family: &Family, rows: impl Iterator<Item = &'r RawSample>) -> Vec<&'r RawSample> {
    let mut things: BTreeMap<Vec<&str>, Vec<&RawSample>> = BTreeMap::new();
    for row in rows {
        things.entry(thing(family, row)).or_default().push(row);
    }
    let mut things: Vec<Vec<&RawSample>> = things.into_values().collect();
    things.sort_by(|one, other| spread(other).total_cmp(&spread(one)));
    things.truncate(MOST_LOOKED_AT);
    things.concat()
}

/// By how much the series differ, in units of the tolerance.
fn spread(rows: &[&RawSample]) -> f64 {
    let values = || rows.iter().map(|row| row.value);
    values().fold(f64::NEG_INFINITY, f64::max) - values().fold(f64::INFINITY, f64::min)
}

/// The series of a metric that disagree, and the times of their newest samples.
type Apart = (Vec<RawSample>, Vec<RawSample>);

/// The series of each metric that has several for one thing whose values differ, asked for one metric after the other.
fn doubled<'q, T: Transport>(
    client: &'q PrometheusClient<T>,
    queries: &'q OriginQueries,
    at: Timestamp,
) -> Result<impl Iterator<Item = (&'static Family, Result<Apart, QueryError>)>, QueryError> {
    let mut doubled: BTreeSet<String> = BTreeSet::new();
    for several in &queries.several {
        let answer = client.raw(several, at)?;
        doubled.extend(answer.into_iter().filter_map(|mut row| row.labels.remove(METRIC_LABEL)));
    }
    let apart = move |FamilyQueries { suspects, apart, times, .. }: &FamilyQueries| {
        if let Some(suspects) = suspects
            && client.raw(suspects, at)?.is_empty()
        {
            return Ok(None);
        }
        let rows = client.raw(apart, at)?;
        if rows.len() < 2 { Ok(None) } else { Ok(Some((rows, client.raw(times, at)?))) }
    };
    let families = queries.families.iter().filter(move |of| doubled.contains(&of.family.name()));
    Ok(families.filter_map(move |of| Some((of.family, apart(of).transpose()?))))
}

/// What the series is of.
fn thing<'r>(family: &Family, row: &'r RawSample) -> Vec<&'r str> {
    family.keys.iter().map(|label| value(&row.labels, label)).collect()
}

type Labels = BTreeMap<String, String>;

/// The series of one metric, and the facts needed to compare them.
struct Seen<'a> {
    family: &'a Family,
    pods: &'a [LivePod],
    at: Timestamp,
    times: &'a [RawSample],
}

impl Seen<'_> {
    /// The sources that disagree, if there are any.
    fn mixed(&self, rows: &[&RawSample]) -> Option<Mixed> {
        let mixed = self.disputed(rows);
        let first = mixed.first()?.first()?;
        let label = self.telling_label(&mixed);
        let values: BTreeSet<&str> = mixed.iter().flatten().map(|row| value(row.told(), label)).collect();
        let named =
            self.family.keys.iter().filter_map(|key| Some(format!("{key}={:?}", first.told().get(*key)?)));
        Some(Mixed {
            metric: self.family.name(),
            thing: named.collect::<Vec<String>>().join(", "),
            label: label.to_owned(),
            values: values.into_iter().take(TOLD).map(str::to_owned).collect(),
        })
    }

    /// The series of each thing about which they disagree.
    fn disputed<'r>(&self, rows: &[&'r RawSample]) -> Vec<Vec<&'r RawSample>> {
        let times: BTreeMap<Vec<(&str, &str)>, f64> =
            self.times.iter().map(|row| (unnamed(&row.labels), row.value)).collect();
        let mut things: BTreeMap<Vec<&str>, Vec<&RawSample>> = BTreeMap::new();
        for &row in rows {
            let time = times.get(&unnamed(&row.labels)).copied();
            if self.is_of_now(&row.labels, time) {
                things.entry(thing(self.family, row)).or_default().push(row);
            }
        }
        things.into_values().filter(|rows| self.is_mixed(rows)).collect()
    }

    fn pod(&self, labels: &Labels) -> Option<&LivePod> {
        let name = labels.get("pod").filter(|_| self.family.keys.contains(&"pod"))?;
        self.pods.iter().find(|pod| pod.name == *name)
    }

    /// Whether a series is of the pod that lives now, not of a predecessor. A series without a time counts as
    /// live.
    fn is_of_now(&self, labels: &Labels, time: Option<f64>) -> bool {
        let age = self.pod(labels).and_then(|pod| pod.age);
        let (Some(age), Some(time)) = (age, time) else { return true };
        let created = self.at.as_millisecond() as f64 / 1000.0 - age.as_secs_f64();
        time > created + AFTERLIFE_S
    }

    /// Whether the series with the same name may be of several things.
    fn is_mixed(&self, rows: &[&RawSample]) -> bool {
        let uids: BTreeSet<String> = rows.iter().filter_map(|row| uid(&row.labels)).collect();
        let unknown: Vec<&RawSample> =
            rows.iter().copied().filter(|row| uid(&row.labels).is_none()).collect();
        if uids.len() > 1 {
            return true;
        }
        if unknown.is_empty() {
            return false;
        }
        // After a restart, one replica may return the old container and the other the new one, for the length
        // of the lookback.
        let warm = self.pod(&rows[0].labels).and_then(LivePod::warm_for);
        if warm.is_some_and(|warm| warm.as_secs_f64() < LOOKBACK_S) {
            return false;
        }
        let apart = |one: &RawSample, other: &RawSample| {
            self.origin(&one.labels) != self.origin(&other.labels)
                && !self.one_target(&one.labels, &other.labels)
                && !self.agree(rows, one, other)
        };
        unknown.iter().any(|one| rows.iter().any(|other| apart(one, other)))
    }

    /// Whether two client series come from one scrape: then the pod itself wrote the differing labels.
    fn one_target(&self, one: &Labels, other: &Labels) -> bool {
        let same = |label: &str| value(one, label) == value(other, label);
        self.family.is_of_client() && one.contains_key("instance") && same("instance") && same("job")
    }

    /// Whether two sources have the same value, for the same container if there are several.
    fn agree(&self, rows: &[&RawSample], one: &RawSample, other: &RawSample) -> bool {
        let with = |row: &RawSample| {
            let is_alike = |known: &&RawSample| self.origin(&known.labels) == self.origin(&row.labels);
            rows.iter().copied().filter(is_alike).collect::<Vec<&RawSample>>()
        };
        // A label that one of the two lacks proves nothing.
        let may_be_one = |a: &RawSample, b: &RawSample| {
            ["id", "name"].into_iter().all(|label| {
                let (here, there) = (value(&a.labels, label), value(&b.labels, label));
                here.is_empty() || there.is_empty() || here == there
            })
        };
        let (here, there) = (with(one), with(other));
        // Values are in units of the tolerance.
        let is_near = |a: &RawSample, b: &RawSample| may_be_one(a, b) && (a.value - b.value).abs() <= 1.0;
        here.iter().any(|a| there.iter().any(|b| is_near(a, b)))
    }

    /// The labels that show where a series comes from.
    fn origin<'a>(&self, labels: &'a Labels) -> Vec<(&'a str, &'a str)> {
        let of_thing =
            |label: &str| self.family.keys.contains(&label) || self.family.passing.contains(&label);
        unnamed(labels).into_iter().filter(|(label, _)| !of_thing(label)).collect()
    }

    /// The label that best distinguishes the sources: series with the same value agree, it has few values,
    /// and it does not name a replica or a target.
    fn telling_label<'a>(&self, things: &[Vec<&'a RawSample>]) -> &'a str {
        const OF_TARGETS: [&str; 7] = ["job", "service", "endpoint", "host", "node", "instance", "pod"];
        let labels: BTreeSet<&str> =
            things.iter().flatten().flat_map(|row| row.labels.keys()).map(String::as_str).collect();
        let ranked =
            labels.into_iter().filter(|label| !self.family.keys.contains(label)).filter_map(|label| {
                let values: BTreeSet<&str> =
                    things.iter().flatten().map(|row| value(&row.labels, label)).collect();
                let telling = things.iter().filter(|rows| tells_apart(label, rows)).count();
                let passing = self.family.passing.contains(&label);
                let differs = things.iter().any(|rows| {
                    rows.iter().any(|row| value(&row.labels, label) != value(&rows[0].labels, label))
                });
                let rank = (
                    things.len() - telling,
                    passing,
                    !label.contains("cluster"),
                    label.contains("replica"),
                    values.len(),
                    OF_TARGETS.iter().position(|target| *target == label).map_or(0, |position| position + 1),
                );
                differs.then_some((rank, label))
            });
        ranked.min().map_or("id", |(_, label)| label)
    }
}

/// Whether series with the same value of `label` agree.
fn tells_apart(label: &str, rows: &[&RawSample]) -> bool {
    let mut groups: BTreeMap<&str, Vec<&RawSample>> = BTreeMap::new();
    for row in rows {
        groups.entry(value(&row.labels, label)).or_default().push(row);
    }
    let agree = |rows: &Vec<&RawSample>| {
        let uids: BTreeSet<String> = rows.iter().filter_map(|row| uid(&row.labels)).collect();
        if uids.is_empty() { spread(rows) <= 1.0 } else { uids.len() == 1 }
    };
    groups.len() > 1 && groups.values().all(agree)
}

/// The labels without the metric name, which an expression drops.
fn unnamed(labels: &Labels) -> Vec<(&str, &str)> {
    let named = labels.iter().filter(|(label, _)| *label != "__name__");
    named.map(|(label, value)| (label.as_str(), value.as_str())).collect()
}

fn value<'a>(labels: &'a Labels, label: &str) -> &'a str {
    labels.get(label).map_or("", String::as_str)
}

/// The pod's UID, from a container's control group or from Docker's name for it.
fn uid(labels: &Labels) -> Option<String> {
    // systemd uses underscores instead of hyphens.
    static UID: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new("[0-9a-fA-F]{8}([-_][0-9a-fA-F]{4}){3}[-_][0-9a-fA-F]{12}").expect("it is valid")
    });
    let mut labels = ["id", "name"].into_iter().map(|label| value(labels, label));
    labels.find_map(|text| Some(UID.find(text)?.as_str().replace('_', "-")))
}
