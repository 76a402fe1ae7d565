//! The Events of a namespace that are about the pods of a workload. The API server keeps Events for an hour,
//! unless it is told otherwise.

use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use kube::Resource;
use rebalancer_core::ApiFailure;

use super::claims;
use super::cluster::Cluster;
use super::cures;
use super::events::REPORTER;
use super::fields::{created, timestamp};

/// Maximum number of Events that are kept, the ones listed first: a workload in a crash loop has thousands.
const MOST_KEPT: usize = 20_000;

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

fn read(event: Event, at: Timestamp) -> Incident {
    let about = about(&event).cloned().collect();
    let controller = event.reporting_controller.filter(|name| !name.is_empty());
    let is_own = controller.as_deref() == Some(REPORTER);
    let is_cure = is_own && event.metadata.labels.is_some_and(|labels| labels.contains_key(cures::CURED));
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
        self.is_own && self.reason == claims::STARTED
    }
}

impl Cluster {
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
                    found.wanted.push(read(event, at));
                }
            }
            Ok(())
        })?;
        found.wanted.sort_by_key(|incident| incident.at);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Incident {
        let event: Event = serde_json::from_str(json).expect("an Event");
        let at = last(&event).expect("it has a time");
        super::read(event, at)
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
