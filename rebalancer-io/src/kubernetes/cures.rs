//! Cures: a note on the Event of an evicted ill pod, from which later runs know what has been tried. Like all
//! Events it expires by itself, usually after an hour.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use rebalancer_core::{Controller, Cure, Fact, FailureKind, Workload};

use super::cluster::Cluster;
use super::fields::{annotation, created, elapsed};

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

/// A note without a time counts as written now.
fn read(note: &Event, now: Timestamp) -> Cure {
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

impl Cluster {
    /// The pods of the workload that were replaced as a cure, as far as the cluster still shows. A run that may not read
    /// Events cannot claim either.
    pub fn cures(&self, workload: &Workload) -> Fact<Vec<Cure>> {
        let Some(top) = workload.owners.first().map(|owner| &owner.top) else { return Fact::Absent };
        match self.events_with(CURED, &top.uid) {
            Ok((notes, now)) => Fact::Known(notes.iter().map(|note| read(note, now)).collect()),
            Err(failure) if failure.kind == FailureKind::Forbidden => {
                Fact::Unusable(format!("cannot be read: {failure}"))
            }
            Err(failure) => Fact::Failed(format!("could not be had: {failure}")),
        }
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
        let note = serde_json::from_value(json).expect("an Event");
        let now: Timestamp = "2026-11-23T07:00:16Z".parse().expect("a time");
        let cure = Cure {
            pod: "orders-4".to_owned(),
            partition: Some(("pay.ments".to_owned(), 33)),
            offset: Some(101_990),
            ago: Duration::from_secs(3600),
        };
        assert_eq!(read(&note, now), cure);
    }
}
