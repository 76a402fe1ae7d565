//! Claims on a workload. A claim is an Event under a name that the server accepts only once, so only one of
//! several runs gets it. Like all Events it expires by itself.

use core::time::Duration;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::hash::{BuildHasher as _, RandomState};

use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::jiff::Timestamp as EventTime;
use kube::Resource;
use kube::api::ListParams;
use kube::core::Request;
use rebalancer_core::{ApiFailure, Claim, ClaimFate, ClaimRequest, Controller, FailureKind};
use serde::Deserialize;

use super::cluster::Cluster;
use super::events::{self, Notice};
use super::evict::Effect;
use super::fields::{ListMeta, elapsed, moment, null_is_empty};
use super::list::unsendable;

/// Label of a claim: the UID of the workload, by which all its claims are found.
const WORKLOAD: &str = "pod-rebalancer/workload";

/// Annotation of a claim: its number among the workload's claims.
const GENERATION: &str = "pod-rebalancer/generation";

/// Annotation of a claim: how long its run may evict, in seconds from its creation.
const VALID_SECONDS: &str = "pod-rebalancer/valid-seconds";

/// Annotation of a claim: the run that made it. If a proxy sends a request twice, the second answer says that
/// the name is taken; the run then recognises its own claim by this.
const RUN: &str = "pod-rebalancer/run";

/// The reason of a claim.
pub(super) const STARTED: &str = "RotationStarted";

/// Longest host name that the server accepts as the reporter, in bytes.
const MAX_INSTANCE_BYTES: usize = 128;

/// The kind is required, so that no other answer reads as "no claims".
#[derive(Deserialize)]
struct ClaimList {
    kind: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    metadata: ListMeta,
    #[serde(deserialize_with = "null_is_empty")]
    items: Vec<WrittenClaim>,
}

/// The parts of a claim that are read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenClaim {
    metadata: ClaimMeta,
    #[serde(default, deserialize_with = "null_is_empty")]
    reporting_instance: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimMeta {
    name: String,
    #[serde(deserialize_with = "moment")]
    creation_timestamp: Option<Timestamp>,
    #[serde(default, deserialize_with = "null_is_empty")]
    annotations: BTreeMap<String, String>,
}

/// The claims of a workload as stored, and the time of the server that listed them.
struct Written {
    claims: Vec<WrittenClaim>,
    now: Timestamp,
}

impl Cluster {
    /// All claims on a workload, with ages by the clock of the server that lists them.
    pub(super) fn claims(&self, workload: &Controller) -> Result<Vec<Claim>, ApiFailure> {
        let Written { claims, now } = self.written_claims(workload)?;
        claims.into_iter().map(|claim| claim.read(now)).collect()
    }

    fn written_claims(&self, workload: &Controller) -> Result<Written, ApiFailure> {
        let path = Event::url_path(&(), Some(self.namespace()));
        // There is one per rotation that the server still remembers, so no paging is needed.
        let of_workload = ListParams {
            label_selector: Some(format!("{WORKLOAD}={}", workload.uid)),
            ..ListParams::default()
        };
        let request = Request::new(path).list(&of_workload).map_err(|error| unsendable(&error))?;
        let reply = self.exchange(request)?;
        let found: ClaimList = reply.read()?;
        let is_whole = found.metadata.continue_token.is_none_or(|token| token.is_empty());
        if found.kind != "EventList" || !is_whole {
            return Err(reply.unreadable("not the whole list of Events"));
        }
        Ok(Written { claims: found.items, now: reply.date.unwrap_or_else(Timestamp::now) })
    }

    /// Claims the workload for the run `run_id`, unless another run has this generation.
    pub(super) fn claim(
        &self,
        request: &ClaimRequest,
        why: &str,
        run_id: &str,
    ) -> Result<ClaimFate, ApiFailure> {
        let event = event(self.namespace(), request, why, run_id, EventTime::now());
        let fate = self.create_claim(&event, Effect::Real)?;
        if fate == ClaimFate::Lost && self.is_claimed_by(run_id, &event, &request.workload)? {
            return Ok(ClaimFate::Won);
        }
        Ok(fate)
    }

    /// Checks in a dry run whether the workload could be claimed.
    pub(super) fn try_claim(&self, request: &ClaimRequest) -> Result<(), ApiFailure> {
        let event = event(self.namespace(), request, "a try", &run_id(), EventTime::now());
        self.create_claim(&event, Effect::DryRun).map(drop)
    }

    fn create_claim(&self, event: &Event, effect: Effect) -> Result<ClaimFate, ApiFailure> {
        let reply = self.create_event(event, effect)?;
        if reply.already_exists() {
            return Ok(ClaimFate::Lost);
        }
        reply.created("Event", event.metadata.name.as_deref().unwrap_or_default())?;
        Ok(ClaimFate::Won)
    }

    /// Whether the claim with this name is the run's own.
    fn is_claimed_by(&self, run_id: &str, event: &Event, workload: &Controller) -> Result<bool, ApiFailure> {
        let is_own = |claim: &WrittenClaim| {
            event.metadata.name.as_ref() == Some(&claim.metadata.name)
                && claim.metadata.annotations.get(RUN).is_some_and(|run| run == run_id)
        };
        Ok(self.written_claims(workload)?.claims.iter().any(is_own))
    }
}

/// A unique identity for this run: 128 random bits as hexadecimal digits.
pub(super) fn run_id() -> String {
    let (high, low) = (RandomState::new().hash_one(0), RandomState::new().hash_one(1));
    format!("{high:016x}{low:016x}")
}

impl WrittenClaim {
    /// An unreadable claim may be in force: that is a failure, until its Event expires.
    fn read(self, now: Timestamp) -> Result<Claim, ApiFailure> {
        let number = |annotation: &str| self.metadata.annotations.get(annotation)?.parse().ok();
        let (Some(generation), Some(valid_s), Some(created)) =
            (number(GENERATION), number(VALID_SECONDS), self.metadata.creation_timestamp)
        else {
            let message =
                format!("Event {} has the label of a claim, but does not tell one", self.metadata.name);
            return Err(ApiFailure::new(FailureKind::UnreadableAnswer, message));
        };
        Ok(Claim {
            generation,
            holder: self.reporting_instance,
            age: elapsed(created, now),
            valid_for: Duration::from_secs(valid_s),
        })
    }
}

fn event(namespace: &str, request: &ClaimRequest, why: &str, run_id: &str, now: EventTime) -> Event {
    let targets: Vec<String> =
        request.targets.iter().map(|target| format!("pod {} ({})", target.name, target.role)).collect();
    let note = format!("evicting {}: {why}", targets.join(", then "));
    let notice = Notice {
        workload: &request.workload,
        pod: None,
        reason: STARTED,
        note: &note,
        is_warning: false,
        cure: None,
    };
    let mut event = events::event(namespace, &notice, now);
    let whole_seconds = request.valid_for.saturating_add(Duration::from_nanos(999_999_999)).as_secs();
    event.metadata.generate_name = None;
    event.metadata.name = Some(format!("pod-rebalancer-{}-{}", request.workload.uid, request.generation));
    event.metadata.labels = Some(BTreeMap::from([(WORKLOAD.to_owned(), request.workload.uid.clone())]));
    event.metadata.annotations = Some(BTreeMap::from([
        (GENERATION.to_owned(), request.generation.to_string()),
        (VALID_SECONDS.to_owned(), whole_seconds.to_string()),
        (RUN.to_owned(), run_id.to_owned()),
    ]));
    event.reporting_instance = Some(host());
    event
}

/// The name of this host: the pod in a cluster, else the machine.
fn host() -> String {
    let told = env::var("HOSTNAME").or_else(|_| fs::read_to_string("/proc/sys/kernel/hostname"));
    let name = told.unwrap_or_default();
    let name = events::cut(name.trim(), MAX_INSTANCE_BYTES);
    if name.is_empty() { "an unnamed host".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use rebalancer_core::{Role, Target};

    use super::*;

    fn read(json: &str) -> Result<Vec<Claim>, ApiFailure> {
        let list: ClaimList = serde_json::from_str(json).expect("a list");
        let now: Timestamp = "2026-11-23T06:01:00Z".parse().expect("a time");
        list.items.into_iter().map(|claim| claim.read(now)).collect()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let workload = Controller {
            group: None,
            kind: "Deployment".to_owned(),
            name: "orders".to_owned(),
            uid: "d-1".to_owned(),
        };
        let target = |role, name: &str| Target { role, name: name.to_owned(), uid: format!("uid-{name}") };
        let request = ClaimRequest {
            workload,
            generation: 3,
            targets: vec![target(Role::Busiest, "a"), target(Role::LeastBusy, "d")],
            valid_for: Duration::from_millis(94_001),
        };
        let now: EventTime = "2026-11-23T06:00:16Z".parse().expect("a time");
        let event = event("shop", &request, "cpu spread 0.52", "b1946ac9", now);
        assert_eq!(event.metadata.name.as_deref(), Some("pod-rebalancer-d-1-3"));
        assert_eq!(
            event.note.as_deref(),
            Some("evicting pod a (busiest), then pod d (least_busy): cpu spread 0.52")
        );
        let holder = event.reporting_instance.clone().expect("the server demands one");
        let mut json = serde_json::to_value(event).expect("an object");
        json["metadata"]["creationTimestamp"] = "2026-11-23T06:00:16Z".into();
        let list = serde_json::json!({ "kind": "EventList", "items": [json] });
        let found = read(&list.to_string()).expect("a claim");
        let (age, valid_for) = (Duration::from_secs(44), Duration::from_secs(95));
        assert_eq!(found, [Claim { generation: 3, holder, age, valid_for }]);
    }

    #[test]
    fn a_claim_that_tells_nothing_is_a_failure_and_not_none() {
        assert_eq!(read(r#"{"kind": "EventList", "items": null}"#), Ok(Vec::new()));
        let unreadable = [
            r#"{"name": "x", "creationTimestamp": "2026-11-23T06:00:16Z"}"#,
            r#"{"name": "x", "creationTimestamp": null, "annotations": {"pod-rebalancer/generation": "1", "pod-rebalancer/valid-seconds": "9"}}"#,
            r#"{"name": "x", "creationTimestamp": "2026-11-23T06:00:16Z", "annotations": {"pod-rebalancer/generation": "-1", "pod-rebalancer/valid-seconds": "9"}}"#,
        ];
        for metadata in unreadable {
            let error = read(&format!(r#"{{"kind": "EventList", "items": [{{"metadata": {metadata}}}]}}"#))
                .expect_err(metadata);
            assert_eq!(error.kind, FailureKind::UnreadableAnswer);
            assert!(error.message.contains("Event x"), "{error}");
        }
    }
}
