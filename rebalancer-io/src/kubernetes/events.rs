//! Writes Events on the workload, so that `kubectl describe` shows what was done to it and why.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Resource;
use rebalancer_core::{ApiFailure, Controller, Target};

use super::cluster::Cluster;
use super::cures::{StoodAt, mark};
use super::owners::Kind;
use super::requests::{Built, Effect, create};

/// Longest note that the server accepts, in bytes.
const MAX_NOTE_BYTES: usize = 1024;

/// The reporter; the server requires a qualified name.
pub(super) const REPORTER: &str = "pod-rebalancer/pod-rebalancer";

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

impl Cluster {
    /// Writes an Event and waits for the answer. Must not be called in a dry run.
    ///
    /// # Errors
    /// If the server refuses or does not answer. The eviction is already over, so a warning is enough.
    pub fn notify(&self, notice: &Notice<'_>) -> Result<(), ApiFailure> {
        let event = event(self.namespace(), notice, Timestamp::now());
        // Later runs know a cure by it.
        self.exchange_to_the_end(creation(&event, Effect::Real)?)?.created("Event", "")
    }
}

/// The request that writes an Event.
pub(super) fn creation(event: &Event, effect: Effect) -> Built {
    create(Event::url_path(&(), event.metadata.namespace.as_deref()), event, effect)
}

pub(super) fn event(namespace: &str, notice: &Notice<'_>, now: Timestamp) -> Event {
    let in_namespace = |api_version: Option<&str>, kind: &str, name: &str, uid: &str| ObjectReference {
        api_version: api_version.map(str::to_owned),
        kind: Some(kind.to_owned()),
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    };
    let workload = notice.workload;
    let mut event = Event {
        metadata: ObjectMeta {
            // The server appends a suffix. It refuses a dot anywhere but at the end.
            generate_name: Some("pod-rebalancer-".to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(now)),
        reporting_controller: Some(REPORTER.to_owned()),
        reporting_instance: Some("pod-rebalancer".to_owned()),
        action: Some("Rotate".to_owned()),
        reason: Some(notice.reason.to_owned()),
        type_: Some(if notice.is_warning { "Warning" } else { "Normal" }.to_owned()),
        note: Some(cut(notice.note, MAX_NOTE_BYTES).to_owned()),
        regarding: Some(in_namespace(
            Kind::of(workload).map(Kind::api_version),
            &workload.kind,
            &workload.name,
            &workload.uid,
        )),
        related: notice.pod.map(|pod| in_namespace(Some("v1"), "Pod", &pod.name, &pod.uid)),
        ..Event::default()
    };
    if let Some(stood) = notice.cure {
        mark(&mut event, workload, stood);
    }
    event
}

/// The longest prefix of `note` with at most `max_bytes` that ends between two characters.
pub(super) fn cut(note: &str, max_bytes: usize) -> &str {
    let mut end = note.len().min(max_bytes);
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    &note[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_cut_between_characters() {
        let length = |note: &str| cut(note, MAX_NOTE_BYTES).len();
        assert_eq!(length("short"), 5);
        assert_eq!(length(&"a".repeat(1025)), 1024);
        assert_eq!(length(&"é".repeat(513)), 1024);
        assert_eq!(length(&format!("a{}", "é".repeat(513))), 1023);
    }

    #[test]
    fn an_event_is_written_as_the_server_takes_it() {
        let workload = Controller {
            group: None,
            kind: "Deployment".to_owned(),
            name: "orders".to_owned(),
            uid: "d-1".to_owned(),
        };
        let notice = Notice {
            workload: &workload,
            pod: None,
            reason: "Rotated",
            note: "two pods",
            is_warning: false,
            cure: None,
        };
        // A whole second still needs its six fractional digits.
        let now: Timestamp = "2026-11-23T06:00:16Z".parse().expect("a time");
        let json = serde_json::to_string(&event("shop", &notice, now)).expect("an object");
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
}
