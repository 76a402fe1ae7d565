//! The Events of a namespace that are about the pods of a workload. The API server keeps Events for an hour,
//! unless it is told otherwise.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rebalancer_core::{ApiFailure, FailureKind};
use serde::Deserialize;

use super::claims;
use super::cluster::Cluster;
use super::cures;
use super::events::REPORTER;
use super::fields::{ListMeta, moment, null_is_empty};
use super::list::Page;

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

/// The kind is required, so that no other answer reads as "no Events".
#[derive(Deserialize)]
struct EventPage {
    kind: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    metadata: ListMeta,
    #[serde(deserialize_with = "null_is_empty")]
    items: Vec<Written>,
}

impl Page for EventPage {
    fn next(&self) -> Option<String> {
        self.metadata.continue_token.clone()
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Written {
    #[serde(deserialize_with = "null_is_empty")]
    metadata: Meta,
    #[serde(deserialize_with = "moment")]
    event_time: Option<Timestamp>,
    #[serde(deserialize_with = "moment")]
    deprecated_last_timestamp: Option<Timestamp>,
    #[serde(deserialize_with = "null_is_empty")]
    series: Series,
    #[serde(deserialize_with = "null_is_empty")]
    reason: String,
    #[serde(deserialize_with = "null_is_empty")]
    note: String,
    #[serde(deserialize_with = "null_is_empty")]
    reporting_controller: String,
    #[serde(deserialize_with = "null_is_empty")]
    deprecated_source: Source,
    #[serde(deserialize_with = "null_is_empty")]
    regarding: Named,
    #[serde(deserialize_with = "null_is_empty")]
    related: Named,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    #[serde(deserialize_with = "moment")]
    creation_timestamp: Option<Timestamp>,
    #[serde(deserialize_with = "null_is_empty")]
    labels: BTreeMap<String, String>,
}

/// An Event that was seen several times.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Series {
    #[serde(deserialize_with = "moment")]
    last_observed_time: Option<Timestamp>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Source {
    #[serde(deserialize_with = "null_is_empty")]
    component: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Named {
    #[serde(deserialize_with = "null_is_empty")]
    name: String,
}

impl Written {
    /// When it last happened. Reporters set different ones of these times.
    fn at(&self) -> Option<Timestamp> {
        let last = self.series.last_observed_time.or(self.deprecated_last_timestamp);
        last.or(self.event_time).or(self.metadata.creation_timestamp)
    }

    fn read(self, at: Timestamp) -> Incident {
        let Self {
            metadata, reason, note, reporting_controller, deprecated_source, regarding, related, ..
        } = self;
        let is_own = reporting_controller == REPORTER;
        let reporter =
            if reporting_controller.is_empty() { deprecated_source.component } else { reporting_controller };
        let is_cure = is_own && metadata.labels.contains_key(cures::CURED);
        let about = [regarding.name, related.name].into_iter().filter(|name| !name.is_empty()).collect();
        Incident { at, reason, note, reporter, about, is_own, is_cure }
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
        let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", self.namespace());
        let mut found = Incidents::default();
        self.list(&path, None, |page: EventPage| {
            if page.kind != "EventList" {
                let message = format!("a {} in place of a list of Events", page.kind);
                return Err(ApiFailure::new(FailureKind::UnreadableAnswer, message));
            }
            for written in page.items {
                let Some(at) = written.at() else { continue };
                found.oldest = Some(found.oldest.map_or(at, |oldest| oldest.min(at)));
                let is_about = is_wanted(&written.regarding.name) || is_wanted(&written.related.name);
                if is_about && found.wanted.len() < MOST_KEPT {
                    found.wanted.push(written.read(at));
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
        let written: Written = serde_json::from_str(json).expect("an Event");
        let at = written.at().expect("it has a time");
        written.read(at)
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
