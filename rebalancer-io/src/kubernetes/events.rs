//! Events: those of the namespace that are about the pods of a workload, and those that this program writes, so that
//! `kubectl describe` shows what was done to it and why. From a note on the Event of an evicted ill pod later runs know
//! what has been tried. The API server keeps Events for an hour, unless it is told otherwise.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp as EventTime;
use kube::Resource;
use rebalancer_core::{ApiFailure, Controller, Cure, Fact, FailureKind, Target, Workload};

use super::cluster::Cluster;
use super::fields::{annotation, created, elapsed, timestamp};
use super::owners::WorkloadKind;
use super::requests::{Built, Effect, create};

/// Longest note that the server accepts, in bytes.
const MAX_NOTE_BYTES: usize = 1024;

/// Maximum number of Events that are kept, the ones listed first: a workload in a crash loop has thousands.
const MOST_KEPT: usize = 20_000;

/// The reporter; the server requires a qualified name.
const REPORTER: &str = "pod-rebalancer/pod-rebalancer";

/// The reason of a claim.
pub(super) const STARTED: &str = "RotationStarted";

/// Label of the note of a cure: the UID of the workload.
const CURED: &str = "pod-rebalancer/cured";

/// Annotations of the note: topic, number and offset of the standing partition.
const TOPIC: &str = "pod-rebalancer/topic";
const PARTITION: &str = "pod-rebalancer/partition";
const OFFSET: &str = "pod-rebalancer/offset";

/// One thing to report about a workload.
#[derive(Debug, Clone)]
pub struct Notice<'a> {
    /// The workload: the `Deployment`, `StatefulSet` or other top owner.
    pub workload: &'a Controller,
    /// The pod it is about, if any.
    pub pod: Option<&'a Target>,
    /// One `CamelCase` word to search for, such as `Rotated`; at most 128 bytes.
    pub reason: &'a str,
    /// What happened, in words; truncated to 1,024 bytes.
    pub note: &'a str,
    /// Whether someone should look at it.
    pub is_warning: bool,
    /// Set if the pod was replaced because it was ill, with its standing partition, if any.
    pub cure: Option<Option<StoodAt<'a>>>,
}

/// The partition that stood in an ill pod that is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoodAt<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its number.
    pub partition: u32,
    /// The committed offset, if known.
    pub offset: Option<u64>,
}

/// One Event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// When it last happened.
    pub at: Timestamp,
    /// One word, such as `Killing`.
    pub reason: String,
    /// What happened, in words.
    pub note: String,
    /// What reported it, such as `kubelet`.
    pub reporter: String,
    /// The names of the objects that it is about.
    pub about: Vec<String>,
    /// Whether this program wrote it.
    pub is_own: bool,
    /// Whether it says that this program replaced an ill pod.
    pub is_cure: bool,
}

/// The Events that were found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Incidents {
    /// Those that are wanted, by time.
    pub wanted: Vec<Incident>,
    /// The time of the oldest Event of the namespace, of whatever it is about: how far back they reach.
    pub oldest: Option<Timestamp>,
}

impl Cluster {
    /// Writes an Event and waits for the answer. Must not be called in a dry run.
    ///
    /// # Errors
    /// If the server refuses or does not answer. The eviction is already over, so a warning is enough.
    pub fn notify(&self, notice: &Notice<'_>) -> Result<(), ApiFailure> {
        let event = notice.event(self.namespace(), EventTime::now());
        // Later runs know a cure by it.
        self.exchange_to_the_end(creation(&event, Effect::Real)?)?.created("Event", "")
    }

    /// The pods of the workload that were replaced as a cure, as far as the cluster still shows. A run that may not read
    /// Events cannot claim either.
    pub fn cures(&self, workload: &Workload) -> Fact<Vec<Cure>> {
        let Some(top) = workload.owners.first().map(|owner| &owner.top) else { return Fact::Absent };
        match self.events_with(CURED, &top.uid) {
            Ok((notes, now)) => Fact::Known(notes.iter().map(|note| cure(note, now)).collect()),
            Err(failure) if failure.kind == FailureKind::Forbidden => {
                Fact::Unusable(format!("cannot be read: {failure}"))
            }
            Err(failure) => Fact::Failed(format!("could not be had: {failure}")),
        }
    }

    /// The Events of the namespace about objects whose name `is_wanted`.
    ///
    /// # Errors
    /// If the server refuses, naming a missing permission, or does not answer.
    pub fn incidents(&self, is_wanted: &dyn Fn(&str) -> bool) -> Result<Incidents, ApiFailure> {
        let path = Event::url_path(&(), Some(self.namespace()));
        let mut found = Incidents::default();
        self.list(&path, None, |page: Vec<Event>| {
            for event in page {
                let Some(at) = last(&event) else { continue };
                found.oldest = Some(found.oldest.map_or(at, |oldest| oldest.min(at)));
                if found.wanted.len() < MOST_KEPT && about(&event).any(|name| is_wanted(name)) {
                    found.wanted.push(incident(event, at));
                }
            }
            Ok(())
        })?;
        found.wanted.sort_by_key(|incident| incident.at);
        Ok(found)
    }
}

impl Notice<'_> {
    fn event(&self, namespace: &str, now: EventTime) -> Event {
        let mut event = event(namespace, self.workload, self.reason, self.note, now);
        // The server appends a suffix. It refuses a dot anywhere but at the end.
        event.metadata.generate_name = Some("pod-rebalancer-".to_owned());
        event.related = self.pod.map(|pod| reference(namespace, Some("v1"), "Pod", &pod.name, &pod.uid));
        if self.is_warning {
            event.type_ = Some("Warning".to_owned());
        }
        if let Some(stood) = self.cure {
            event.metadata.labels = Some(BTreeMap::from([(CURED.to_owned(), self.workload.uid.clone())]));
            event.metadata.annotations = stood.map(|StoodAt { topic, partition, offset }| {
                let partition = [(TOPIC, topic.to_owned()), (PARTITION, partition.to_string())];
                let offset = offset.map(|offset| (OFFSET, offset.to_string()));
                partition.into_iter().chain(offset).map(|(key, value)| (key.to_owned(), value)).collect()
            });
        }
        event
    }
}

/// An Event on a workload. It has no name yet.
pub(super) fn event(
    namespace: &str,
    workload: &Controller,
    reason: &str,
    note: &str,
    now: EventTime,
) -> Event {
    let Controller { kind, name, uid, .. } = workload;
    let api_version = WorkloadKind::of(workload).map(WorkloadKind::api_version);
    Event {
        metadata: ObjectMeta { namespace: Some(namespace.to_owned()), ..ObjectMeta::default() },
        event_time: Some(MicroTime(now)),
        reporting_controller: Some(REPORTER.to_owned()),
        reporting_instance: Some("pod-rebalancer".to_owned()),
        action: Some("Rotate".to_owned()),
        reason: Some(reason.to_owned()),
        type_: Some("Normal".to_owned()),
        note: Some(cut(note, MAX_NOTE_BYTES).to_owned()),
        regarding: Some(reference(namespace, api_version, kind, name, uid)),
        ..Event::default()
    }
}

fn reference(
    namespace: &str,
    api_version: Option<&str>,
    kind: &str,
    name: &str,
    uid: &str,
) -> ObjectReference {
    ObjectReference {
        api_version: api_version.map(str::to_owned),
        kind: Some(kind.to_owned()),
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}

/// The request that writes an Event.
pub(super) fn creation(event: &Event, effect: Effect) -> Built {
    create(Event::url_path(&(), event.metadata.namespace.as_deref()), event, effect)
}

/// The longest prefix of `note` with at most `max_bytes` that ends between two characters.
pub(super) fn cut(note: &str, max_bytes: usize) -> &str {
    let end = (0..=note.len().min(max_bytes)).rev().find(|end| note.is_char_boundary(*end));
    &note[..end.unwrap_or_default()]
}

/// The cure that a note tells of. A note without a time counts as written now.
fn cure(note: &Event, now: Timestamp) -> Cure {
    let of = &note.metadata;
    let number = annotation(of, PARTITION).and_then(|number| number.parse().ok());
    let pod = note.related.as_ref().and_then(|pod| pod.name.clone());
    Cure {
        pod: pod.unwrap_or_default(),
        partition: annotation(of, TOPIC).cloned().zip(number),
        offset: annotation(of, OFFSET).and_then(|offset| offset.parse().ok()),
        ago: elapsed(created(of).unwrap_or(now), now),
    }
}

/// When it last happened. Reporters set different ones of these times.
fn last(event: &Event) -> Option<Timestamp> {
    let series =
        event.series.as_ref().map(|series| series.last_observed_time.0).filter(|time| !time.is_zero());
    let last = series.or(event.deprecated_last_timestamp.as_ref().map(|time| time.0));
    let last = last.or(event.event_time.as_ref().map(|time| time.0));
    last.and_then(timestamp).or_else(|| created(&event.metadata))
}

/// The names of the objects that it is about.
fn about(event: &Event) -> impl Iterator<Item = &String> {
    let objects = [&event.regarding, &event.related].into_iter().flatten();
    objects.filter_map(|object| object.name.as_ref()).filter(|name| !name.is_empty())
}

fn incident(event: Event, at: Timestamp) -> Incident {
    let about = about(&event).cloned().collect();
    let controller = event.reporting_controller.filter(|name| !name.is_empty());
    let is_own = controller.as_deref() == Some(REPORTER);
    let is_cure = is_own && event.metadata.labels.is_some_and(|labels| labels.contains_key(CURED));
    let reporter = controller.or_else(|| event.deprecated_source?.component);
    Incident {
        at,
        reason: event.reason.unwrap_or_default(),
        note: event.note.unwrap_or_default(),
        reporter: reporter.unwrap_or_default(),
        about,
        is_own,
        is_cure,
    }
}

impl Incident {
    /// Whether it is the claim of a run of this program, which it writes before it evicts.
    pub fn is_claim(&self) -> bool {
        self.is_own && self.reason == STARTED
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use rebalancer_core::Role;

    use super::*;

    #[test]
    fn a_note_is_cut_between_characters() {
        let now = EventTime::UNIX_EPOCH;
        let length = |note: &str| event("shop", &orders(), STARTED, note, now).note.map(|note| note.len());
        assert_eq!(length("short"), Some(5));
        assert_eq!(length(&"a".repeat(1025)), Some(1024));
        assert_eq!(length(&"é".repeat(513)), Some(1024));
        assert_eq!(length(&format!("a{}", "é".repeat(513))), Some(1023));
    }

    fn orders() -> Controller {
        let [kind, name, uid] = ["Deployment", "orders", "d-1"].map(str::to_owned);
        Controller { group: None, kind, name, uid }
    }

    #[test]
    fn an_event_is_written_as_the_server_takes_it() {
        let workload = orders();
        let notice = Notice {
            workload: &workload,
            pod: None,
            reason: "Rotated",
            note: "two pods",
            is_warning: false,
            cure: None,
        };
        // A whole second still needs its six fractional digits.
        let now: EventTime = "2026-11-23T06:00:16Z".parse().expect("a time");
        let json = serde_json::to_string(&notice.event("shop", now)).expect("an object");
        assert_eq!(
            json,
            concat!(
                r#"{"apiVersion":"events.k8s.io/v1","kind":"Event","action":"Rotate","#,
                r#""eventTime":"2026-11-23T06:00:16.000000Z","metadata":{"generateName":"pod-rebalancer-","#,
                r#""namespace":"shop"},"note":"two pods","reason":"Rotated","regarding":{"apiVersion":"apps/v1","#,
                r#""kind":"Deployment","name":"orders","namespace":"shop","uid":"d-1"},"#,
                r#""reportingController":"pod-rebalancer/pod-rebalancer","reportingInstance":"pod-rebalancer","#,
                r#""type":"Normal"}"#
            )
        );
    }

    #[test]
    fn what_is_noted_is_read_back() {
        let workload = orders();
        let pod = Target { role: Role::Ill, name: "orders-4".to_owned(), uid: "u-4".to_owned() };
        let stood = StoodAt { topic: "pay.ments", partition: 33, offset: Some(101_990) };
        let notice = Notice {
            workload: &workload,
            pod: Some(&pod),
            reason: "Rotated",
            note: "it stood",
            is_warning: false,
            cure: Some(Some(stood)),
        };
        let written = notice.event("shop", "2026-11-23T06:00:16Z".parse().expect("a time"));
        let mut json = serde_json::to_value(written).expect("an object");
        assert_eq!(json["metadata"]["labels"]["pod-rebalancer/cured"], "d-1");
        json["metadata"]["creationTimestamp"] = "2026-11-23T06:00:16Z".into();
        let note = serde_json::from_value(json).expect("an Event");
        let now: Timestamp = "2026-11-23T07:00:16Z".parse().expect("a time");
        let expected = Cure {
            pod: "orders-4".to_owned(),
            partition: Some(("pay.ments".to_owned(), 33)),
            offset: Some(101_990),
            ago: Duration::from_secs(3600),
        };
        assert_eq!(cure(&note, now), expected);
    }

    fn read(json: &str) -> Incident {
        let event: Event = serde_json::from_str(json).expect("an Event");
        let at = last(&event).expect("it has a time");
        incident(event, at)
    }

    #[test]
    fn events_of_both_apis_are_understood() {
        let old = read(
            r#"{"metadata": {"creationTimestamp": "2026-11-23T06:00:00Z"}, "eventTime": null, "series": null,
                "deprecatedLastTimestamp": "2026-11-23T06:00:05Z", "deprecatedSource": {"component": "kubelet"},
                "reason": "Killing", "note": "Stopping container app", "regarding": {"kind": "Pod", "name": "a"}}"#,
        );
        assert_eq!(old.at.to_string(), "2026-11-23T06:00:05Z");
        assert_eq!((old.reporter.as_str(), &old.about[..]), ("kubelet", &["a".to_owned()][..]));
        let own = read(
            r#"{"metadata": {"labels": {"pod-rebalancer/cured": "d-1"}}, "eventTime": "2026-11-23T06:00:16.000000Z",
                "reportingController": "pod-rebalancer/pod-rebalancer", "reason": "Rotated",
                "regarding": {"name": "orders"}, "related": {"name": "orders-4"}}"#,
        );
        assert!(own.is_own && own.is_cure && !own.is_claim(), "{own:?}");
        assert_eq!(own.about, ["orders", "orders-4"]);
        let other = read(
            r#"{"eventTime": "2026-11-23T06:00:16.000000Z", "reportingController": "descheduler",
                "metadata": {"labels": {"pod-rebalancer/cured": "d-1"}}, "reason": "RotationStarted"}"#,
        );
        assert!(!other.is_own && !other.is_cure && !other.is_claim(), "{other:?}");
    }
}
