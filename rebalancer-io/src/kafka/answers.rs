//! What the looks found, as answers to the queries of the preset `kafka`, so that it enters a decision, a recording and a
//! replay as the answers of a metrics server do.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::io::Cursor;
use std::ops::RangeInclusive;
use std::time::Duration;

use rebalancer_core::LivePod;
use serde_json::Value;

use super::group::Member;
use super::ids::{self, Row};
use super::meeting::{pods_of_each, youngest};
use super::waits::{LEAST_STAND_MINUTES, WatchedPartition, minutes_before};
use super::watch::Watched;
use crate::metrics::kafka_direct::{self, is_of_kafka};
use crate::prometheus::{ApiRequest, ApiResponse, TimeRange, When};

/// How far back the past of partitions goes, in minutes.
const PAST_MINUTES: u32 = 59;

/// The answers to the queries of the preset `kafka`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KafkaAnswers {
    /// The samples of one moment, by query.
    instants: BTreeMap<&'static str, Vec<Row>>,
    /// The past, by query.
    pasts: BTreeMap<&'static str, Vec<Past>>,
    remarks: Vec<String>,
    members: usize,
    met: usize,
}

/// What a label was in the past: a value for each span of minutes before now.
#[derive(Debug, Clone, PartialEq)]
struct Past {
    label: String,
    spans: Vec<Span>,
}

type Span = (RangeInclusive<u32>, f64);

impl KafkaAnswers {
    /// What was found of a group, for these pods. While it deals its partitions nothing is known of them but that: brokers
    /// then leave out who owns what, and a lag of nobody's partitions is not zero.
    pub fn new(watched: &Watched, live: &[LivePod]) -> Self {
        let pods = pods_of_each(&watched.group.members, live);
        let seen = Seen { watched, live, pods: &pods };
        let (instants, pasts) = if watched.in_rebalance {
            (BTreeMap::from([(kafka_direct::REBALANCE, one(1.0))]), BTreeMap::new())
        } else {
            (seen.instants(), seen.pasts())
        };
        let met = pods.iter().flatten().count();
        Self { instants, pasts, remarks: seen.remarks(), members: pods.len(), met }
    }

    /// What a person should know about the group besides its loads.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// How many members the group has, and how many of them run in one of the pods.
    pub const fn members(&self) -> (usize, usize) {
        (self.members, self.met)
    }

    /// The answer to a request; `None` if it is not about Kafka. What Kafka does not know is answered by nothing.
    pub(super) fn to(&self, request: &ApiRequest<'_>) -> Option<ApiResponse> {
        is_of_kafka(request.query).then(|| {
            let (kind, result) = match request.when {
                When::Instant(at) => ("vector", self.vector(request.query, at.as_millisecond())),
                When::Range(range) => ("matrix", self.matrix(request.query, &range)),
            };
            let body =
                format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":[{result}]}}}}"#);
            ApiResponse {
                status: 200,
                content_type: Some("application/json".to_owned()),
                location: None,
                body: Box::new(Cursor::new(body.into_bytes())),
            }
        })
    }

    /// The series of a moment, as text.
    fn vector(&self, query: &str, at_ms: i64) -> String {
        let mut text = Listed::default();
        let mut sample = |labels: &[(&'static str, String)], value: f64| {
            let (metric, at) = (named(labels), seconds(at_ms));
            text.next(format_args!(r#"{{"metric":{metric},"value":[{at},"{value}"]}}"#));
        };
        for past in self.pasts.get(query).into_iter().flatten() {
            let newest = past.spans.iter().min_by_key(|(minutes, _)| *minutes.start());
            if let Some((_, value)) = newest {
                sample(&[("pod", past.label.clone())], *value);
            }
        }
        for (labels, value) in self.instants.get(query).into_iter().flatten() {
            sample(labels, *value);
        }
        text.0
    }

    /// The series of a range of minutes, as text.
    fn matrix(&self, query: &str, range: &TimeRange) -> String {
        let (start_ms, end_ms) = (range.start.as_millisecond(), range.end.as_millisecond());
        let is_by_minute = range.step == Duration::from_secs(60);
        let at = |minutes: u32| end_ms - i64::from(minutes) * 60_000;
        let mut series = Listed::default();
        for Past { label, spans } in self.pasts.get(query).into_iter().flatten() {
            let mut spans: Vec<&Span> = spans.iter().collect();
            spans.sort_unstable_by_key(|(minutes, _)| Reverse(*minutes.end()));
            let mut values = Listed::default();
            for (minutes, value) in spans {
                for at_ms in minutes.clone().rev().map(at).filter(|at_ms| is_by_minute && *at_ms >= start_ms)
                {
                    values.next(format_args!("[{},\"{value}\"]", seconds(at_ms)));
                }
            }
            let label = named(&[("pod", label.clone())]);
            series.next(format_args!(r#"{{"metric":{label},"values":[{}]}}"#, values.0));
        }
        series.0
    }
}

/// Text of the elements of a list, which is written as it is: a tree of it would be many times as large.
#[derive(Default)]
struct Listed(String);

impl Listed {
    fn next(&mut self, element: fmt::Arguments<'_>) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.write_fmt(element).expect("a String takes every text");
    }
}

/// The object of some labels.
fn named(labels: &[(&'static str, String)]) -> String {
    let labels: serde_json::Map<String, Value> =
        labels.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into())).collect();
    Value::from(labels).to_string()
}

/// A time in seconds, as a number in text.
fn seconds(at_ms: i64) -> String {
    // Exact: milliseconds of any year are far below 2^53.
    format!("{:?}", at_ms as f64 / 1000.0)
}

/// The one sample of a query about the whole group.
fn one(value: f64) -> Vec<Row> {
    vec![(Vec::new(), value)]
}

/// Messages waiting. Unknown where the offset is past the end, because the topic was made anew, and where records wait of
/// which the group has committed none.
fn lag(of: &WatchedPartition) -> Option<f64> {
    match of.committed[1] {
        Some(committed) => Some(of.end[1]? - committed).filter(|lag| *lag >= 0).map(|lag| lag as f64),
        None => of.is_empty().then_some(0.0),
    }
}

/// The looks, the pods, and which member runs in which.
struct Seen<'a> {
    watched: &'a Watched,
    live: &'a [LivePod],
    pods: &'a [Option<&'a LivePod>],
}

impl Seen<'_> {
    fn pod_of(&self, of: &WatchedPartition) -> Option<&LivePod> {
        *self.pods.get(of.owner?)?
    }

    /// The members that run in one of the pods, each with its pod.
    fn here(&self) -> impl Iterator<Item = (&Member, &LivePod)> {
        let members = self.watched.group.members.iter().zip(self.pods);
        members.filter_map(|(member, pod)| Some((member, (*pod)?)))
    }

    fn instants(&self) -> BTreeMap<&'static str, Vec<Row>> {
        let count = self.watched.partitions.len();
        BTreeMap::from([
            (kafka_direct::LAG, self.sums(lag)),
            (kafka_direct::RATE, self.sums(|of| self.read(of))),
            (kafka_direct::LOAD, self.partitions(|of| rate(of.end, self.watched.ends_apart))),
            (kafka_direct::OWNERS, self.partitions(|of| of.owner.and(Some(1.0)))),
            (kafka_direct::ASSIGNED, self.assigned()),
            (kafka_direct::ASSIGNOR, self.assignor()),
            (kafka_direct::KEEPS_IDENTITY, self.keeps_identity()),
            (kafka_direct::MEMBERS, ids::rows(&self.watched.group, self.pods)),
            (kafka_direct::COUNT, if count > 0 { one(count as f64) } else { Vec::new() }),
            (kafka_direct::WATCH_NEEDED, one(self.watched.needed.as_secs_f64())),
        ])
    }

    fn pasts(&self) -> BTreeMap<&'static str, Vec<Past>> {
        BTreeMap::from([
            (kafka_direct::COMMITTED, self.committed()),
            (kafka_direct::END, self.ends()),
            (kafka_direct::OFFSET_OWNERS, self.tenures()),
            (kafka_direct::WATCHED, self.watched()),
            (kafka_direct::START, self.starts()),
        ])
    }

    /// Messages read per second.
    fn read(&self, of: &WatchedPartition) -> Option<f64> {
        if of.is_empty() && of.committed == [None; 2] {
            return Some(0.0);
        }
        rate(of.committed, self.watched.apart)
    }

    /// The sum over the partitions of each pod that has a member; 0 for one that owns none, which then reads nothing. A
    /// pod is missing if any of its partitions is unknown.
    fn sums(&self, part: impl Fn(&WatchedPartition) -> Option<f64>) -> Vec<Row> {
        let mut sums: BTreeMap<&str, Option<f64>> =
            self.here().map(|(_, pod)| (pod.name.as_str(), Some(0.0))).collect();
        for of in &self.watched.partitions {
            if let Some(sum) = self.pod_of(of).and_then(|pod| sums.get_mut(pod.name.as_str())) {
                *sum = sum.zip(part(of)).map(|(sum, part)| sum + part);
            }
        }
        let row = |(pod, sum): (&str, Option<f64>)| Some((vec![("pod", pod.to_owned())], sum?));
        sums.into_iter().filter_map(row).collect()
    }

    /// A value of each partition.
    fn partitions(&self, value: impl Fn(&WatchedPartition) -> Option<f64>) -> Vec<Row> {
        let row = |of: &WatchedPartition| {
            let (topic, number) = of.place.clone();
            let mut labels = vec![("topic", topic), ("partition", number.to_string())];
            labels.extend(self.pod_of(of).map(|pod| ("pod", pod.name.clone())));
            Some((labels, value(of)?))
        };
        self.watched.partitions.iter().filter_map(row).collect()
    }

    fn assigned(&self) -> Vec<Row> {
        let row = |(member, pod): (&Member, &LivePod)| {
            let labels = vec![("pod", pod.name.clone()), ("client_id", member.id.clone())];
            (labels, member.owned.len() as f64)
        };
        self.here().map(row).collect()
    }

    fn assignor(&self) -> Vec<Row> {
        let name = self.watched.group.assignor.clone();
        if name.is_empty() { Vec::new() } else { vec![(vec![("protocol", name)], 1.0)] }
    }

    /// Whether replacements take over the identity of the members that they replace; nothing where that is not clear, or
    /// not the same for all. A static member comes back as itself only in a pod of the same name.
    fn keeps_identity(&self) -> Vec<Row> {
        let kept = |(member, pod): (&Member, &LivePod)| {
            let is_numbered = pod.controller.as_ref().is_some_and(|owner| owner.kind == "StatefulSet");
            match &member.instance_id {
                None => Some(false),
                Some(_) if is_numbered => Some(true),
                Some(id) => id.contains(&pod.name).then_some(false),
            }
        };
        let kept: BTreeSet<Option<bool>> = self.here().map(kept).collect();
        match (kept.first(), kept.len()) {
            (Some(Some(keeps)), 1) => vec![(Vec::new(), f64::from(u8::from(*keeps)))],
            _ => Vec::new(),
        }
    }

    /// The past of each partition, as far as it has one: its label, which begins with the name of the partition, and its
    /// values.
    fn past(&self, of: impl Fn(&WatchedPartition, String) -> Option<(String, Vec<Span>)>) -> Vec<Past> {
        let past = |partition: &WatchedPartition| {
            let (topic, number) = &partition.place;
            let (label, spans) = of(partition, format!("{topic}/{number}"))?;
            Some(Past { label, spans })
        };
        self.watched.partitions.iter().filter_map(past).collect()
    }

    /// The committed offsets of the partitions that moved, and of those that may stand: the latter for as long as the
    /// record at this offset waits. Of others nothing can be told.
    fn committed(&self) -> Vec<Past> {
        self.past(|of, place| {
            let (first, last) = (of.committed[0]? as f64, of.last? as f64);
            let mut spans = spans(of, 1..=of.waits_minutes().clamp(1, PAST_MINUTES), first);
            spans.push((0..=0, last));
            let label = format!("{place}/{}", self.watched.group.name);
            (of.moved() || of.may_stand()).then_some((label, spans))
        })
    }

    /// How many seconds those that may stand were watched for.
    fn watched(&self) -> Vec<Past> {
        self.past(|of, place| of.may_stand().then(|| (place, vec![(0..=0, of.watched.as_secs_f64())])))
    }

    /// The ends at the two looks and before. One of longer ago than the past goes back tells the least that it was then.
    fn ends(&self) -> Vec<Past> {
        self.past(|of, place| {
            let looks = [(1, of.end[0]), (0, of.end[1])];
            let looks = looks.into_iter().filter_map(|(minutes, end)| Some((minutes, end?)));
            let earlier = of.earlier.iter().filter(|(minutes, _)| *minutes > 1);
            let earlier = earlier.map(|(minutes, end)| ((*minutes).min(PAST_MINUTES), *end));
            let mut ends: BTreeMap<u32, i64> = BTreeMap::new();
            for (minutes, end) in looks.chain(earlier) {
                ends.entry(minutes).and_modify(|known| *known = end.max(*known)).or_insert(end);
            }
            let spans = ends.into_iter().map(|(minutes, end)| (minutes..=minutes, end as f64));
            Some((place, spans.collect()))
        })
    }

    /// Where the log of those that may stand begins.
    fn starts(&self) -> Vec<Past> {
        self.past(|of, place| {
            let start = of.start.filter(|_| of.may_stand())?;
            Some((place, vec![(0..=0, start as f64)]))
        })
    }

    /// The owners now, for as long as all pods have been there: a new one has the partitions dealt anew. Nothing tells how
    /// long they have owned them if a member is in none of the pods or a pod has no member, because one of its consumers
    /// may have come or gone.
    fn tenures(&self) -> Vec<Past> {
        let met: BTreeSet<&str> = self.here().map(|(_, pod)| pod.name.as_str()).collect();
        let is_whole = self.pods.iter().all(Option::is_some) && met.len() == self.live.len();
        let youngest = youngest(self.live).filter(|_| is_whole);
        self.past(|of, place| {
            let pod = self.pod_of(of)?;
            let tenure = 0..=youngest.map_or(1, |youngest| tenure_minutes(youngest, of));
            Some((format!("{place}/{}", pod.name), spans(of, tenure, 1.0)))
        })
    }

    fn remarks(&self) -> Vec<String> {
        let group = &self.watched.group;
        let mut remarks = Vec::new();
        if group.is_dealing() {
            let (name, state) = (&group.name, &group.state);
            remarks
                .push(format!("group {name} deals its partitions anew (it is {state}): no loads are known"));
        } else if self.watched.in_rebalance {
            remarks.push(format!(
                "group {} dealt its partitions anew while it was watched: no loads are known",
                group.name
            ));
        }
        let strangers = self.pods.iter().filter(|pod| pod.is_none()).count();
        if group.members.is_empty() {
            remarks.push(format!("group {} has no members: nobody reads", group.name));
        } else if strangers > 0 {
            remarks.push(format!(
                "{strangers} of {} members of group {} run in none of these pods, as far as their addresses and \
                 client.id tell",
                group.members.len(),
                group.name
            ));
        }
        let unread = |of: &&WatchedPartition| of.committed[1].is_none() && !of.is_empty();
        let unread = self.watched.partitions.iter().filter(unread).count();
        if unread > 0 && !self.watched.in_rebalance {
            remarks.push(format!(
                "group {} has committed no offset of {unread} of its {} partitions, in which records are: the load of their \
                 pods is unknown",
                group.name,
                self.watched.partitions.len()
            ));
        }
        let racks: BTreeSet<&str> =
            group.members.iter().filter_map(|member| member.rack.as_deref()).collect();
        if racks.len() > 1 {
            remarks.push(format!(
                "members of group {} are in {} racks (client.rack), by which partitions may be dealt: a forecast does not know \
                 that",
                group.name,
                racks.len()
            ));
        }
        for of in self.watched.partitions.iter().filter(|of| of.may_wait_for_transaction()) {
            let (topic, number) = &of.place;
            remarks.push(format!(
                "partition {number} of topic {topic} does not move, and a transaction is open between its offset and its end: \
                 it is not called stuck, because consumers with isolation.level=read_committed wait for that, which no \
                 replacement cures; kafka-transactions.sh find-hanging tells whose it is"
            ));
        }
        if group.has_unequal_subscriptions() {
            remarks.push(format!(
                "members of group {} subscribe to different topics: a forecast does not know that",
                group.name
            ));
        }
        remarks
    }
}

/// For how many minutes the owner of a partition is known to have it, if the youngest pod is so old. Of a past of an hour it
/// is less where the record has waited since before: that the wait is longer must show.
fn tenure_minutes(youngest: Duration, of: &WatchedPartition) -> u32 {
    let waited_before = of.waits_minutes() >= minutes_before(youngest);
    let most = if waited_before { PAST_MINUTES - LEAST_STAND_MINUTES - 1 } else { PAST_MINUTES };
    u32::try_from(youngest.as_secs() / 60).unwrap_or(u32::MAX).min(most)
}

/// A value for so many minutes. Of a partition that does not stand only for the first and the last of them, which is all
/// that counts then: a large group has sixty times as many minutes.
fn spans(of: &WatchedPartition, minutes: RangeInclusive<u32>, value: f64) -> Vec<Span> {
    if of.may_stand() {
        return vec![(minutes, value)];
    }
    let ends = BTreeSet::from([*minutes.start(), *minutes.end()]);
    ends.into_iter().map(|minute| (minute..=minute, value)).collect()
}

/// How fast an offset grew, in messages per second; unknown if it went back.
fn rate(offset: [Option<i64>; 2], apart: Duration) -> Option<f64> {
    let [Some(first), Some(second)] = offset else { return None };
    let grown = second - first;
    (grown >= 0).then_some(grown as f64 / apart.as_secs_f64().max(f64::MIN_POSITIVE))
}
