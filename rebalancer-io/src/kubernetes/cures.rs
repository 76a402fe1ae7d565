//! Cures: a note on the Event of an evicted ill pod, from which later runs know what has been tried. Like all
//! Events it expires by itself, usually after an hour.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use kube::Resource;
use kube::api::ListParams;
use kube::core::Request;
use rebalancer_core::{ApiFailure, Controller, Cure, Fact, FailureKind, Workload};
use serde::Deserialize;

use super::cluster::Cluster;
use super::fields::{ListMeta, elapsed, moment, null_is_empty};
use super::list::unsendable;

/// Label of the note: the UID of the workload.
pub(super) const CURED: &str = "pod-rebalancer/cured";

/// Annotations of the note: topic, number and offset of the standing partition.
const TOPIC: &str = "pod-rebalancer/topic";
const PARTITION: &str = "pod-rebalancer/partition";
const OFFSET: &str = "pod-rebalancer/offset";

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

/// Marks the Event of an evicted pod as the note of a cure.
pub(super) fn mark(event: &mut Event, workload: &Controller, stood: Option<StoodAt<'_>>) {
    event.metadata.labels = Some(BTreeMap::from([(CURED.to_owned(), workload.uid.clone())]));
    event.metadata.annotations = stood.map(|StoodAt { topic, partition, offset }| {
        let partition = [(TOPIC, topic.to_owned()), (PARTITION, partition.to_string())];
        let offset = offset.map(|offset| (OFFSET, offset.to_string()));
        partition.into_iter().chain(offset).map(|(key, value)| (key.to_owned(), value)).collect()
    });
}

#[derive(Deserialize)]
struct NoteList {
    kind: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    metadata: ListMeta,
    #[serde(deserialize_with = "null_is_empty")]
    items: Vec<Note>,
}

#[derive(Deserialize)]
struct Note {
    metadata: NoteMeta,
    #[serde(default, deserialize_with = "null_is_empty")]
    related: Related,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NoteMeta {
    #[serde(default, deserialize_with = "moment")]
    creation_timestamp: Option<Timestamp>,
    #[serde(default, deserialize_with = "null_is_empty")]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize, Default)]
struct Related {
    #[serde(default, deserialize_with = "null_is_empty")]
    name: String,
}

impl Note {
    /// A note without a time counts as written now.
    fn read(self, now: Timestamp) -> Cure {
        let NoteMeta { creation_timestamp, annotations } = self.metadata;
        let number = annotations.get(PARTITION).and_then(|number| number.parse().ok());
        Cure {
            pod: self.related.name,
            partition: annotations.get(TOPIC).cloned().zip(number),
            offset: annotations.get(OFFSET).and_then(|offset| offset.parse().ok()),
            ago: elapsed(creation_timestamp.unwrap_or(now), now),
        }
    }
}

impl Cluster {
    /// The pods of the workload that were replaced as a cure, as far as the cluster still shows. Without
    /// permission to read Events, none can have been written either.
    pub fn cures(&self, workload: &Workload) -> Fact<Vec<Cure>> {
        let Some(top) = workload.owners.first().map(|owner| &owner.top) else { return Fact::Absent };
        match self.noted_cures(top) {
            Ok(cures) => Fact::Known(cures),
            Err(failure) if failure.kind == FailureKind::Forbidden => {
                Fact::Unusable(format!("cannot be read: {failure}"))
            }
            Err(failure) => Fact::Failed(format!("could not be had: {failure}")),
        }
    }

    fn noted_cures(&self, workload: &Controller) -> Result<Vec<Cure>, ApiFailure> {
        let path = Event::url_path(&(), Some(self.namespace()));
        let of_workload =
            ListParams { label_selector: Some(format!("{CURED}={}", workload.uid)), ..ListParams::default() };
        let request = Request::new(path).list(&of_workload).map_err(|error| unsendable(&error))?;
        let reply = self.exchange(request)?;
        let found: NoteList = reply.read()?;
        let is_whole = found.metadata.continue_token.is_none_or(|token| token.is_empty());
        if found.kind != "EventList" || !is_whole {
            return Err(reply.unreadable("not the whole list of Events"));
        }
        let now = reply.date.unwrap_or_else(Timestamp::now);
        Ok(found.items.into_iter().map(|note| note.read(now)).collect())
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use rebalancer_core::{Role, Target};

    use super::*;
    use crate::kubernetes::events::{Notice, event};

    #[test]
    fn what_is_noted_is_read_back() {
        let workload = Controller {
            group: None,
            kind: "Deployment".to_owned(),
            name: "orders".to_owned(),
            uid: "d-1".to_owned(),
        };
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
        let written = event("shop", &notice, "2026-11-23T06:00:16Z".parse().expect("a time"));
        let mut json = serde_json::to_value(written).expect("an object");
        assert_eq!(json["metadata"]["labels"]["pod-rebalancer/cured"], "d-1");
        json["metadata"]["creationTimestamp"] = "2026-11-23T06:00:16Z".into();
        let list: NoteList =
            serde_json::from_value(serde_json::json!({ "kind": "EventList", "items": [json] }))
                .expect("a list");
        let now: Timestamp = "2026-11-23T07:00:16Z".parse().expect("a time");
        let found: Vec<Cure> = list.items.into_iter().map(|note| note.read(now)).collect();
        let cure = Cure {
            pod: "orders-4".to_owned(),
            partition: Some(("pay.ments".to_owned(), 33)),
            offset: Some(101_990),
            ago: Duration::from_secs(3600),
        };
        assert_eq!(found, [cure]);
    }
}
