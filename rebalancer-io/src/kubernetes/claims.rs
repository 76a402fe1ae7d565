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
use rebalancer_core::{ApiFailure, Claim, ClaimFate, ClaimRequest, Controller, FailureKind};

use super::cluster::Cluster;
use super::events::{self, STARTED};
use super::fields::{annotation, created, elapsed};
use super::requests::Effect;

/// Label of a claim: the UID of the workload, by which all its claims are found.
const WORKLOAD: &str = "pod-rebalancer/workload";

/// Annotation of a claim: its number among the workload's claims.
const GENERATION: &str = "pod-rebalancer/generation";

/// Annotation of a claim: how long its run may evict, in seconds from its creation.
const VALID_SECONDS: &str = "pod-rebalancer/valid-seconds";

/// Annotation of a claim: the run that made it. If a proxy sends a request twice, the second answer says that
/// the name is taken; the run then recognises its own claim by this.
const RUN: &str = "pod-rebalancer/run";

/// Longest host name that the server accepts as the reporter, in bytes.
const MAX_INSTANCE_BYTES: usize = 128;

impl Cluster {
    /// All claims on a workload, with ages by the clock of the server that lists them.
    pub(super) fn claims(&self, workload: &Controller) -> Result<Vec<Claim>, ApiFailure> {
        let (claims, now) = self.events_with(WORKLOAD, &workload.uid)?;
        claims.into_iter().map(|claim| read(claim, now)).collect()
    }

    /// Claims the workload for the run `run_id`, unless another run has this generation. A dry run tells whether it could be
    /// claimed.
    pub(super) fn claim(
        &self,
        request: &ClaimRequest,
        why: &str,
        run_id: &str,
        effect: Effect,
    ) -> Result<ClaimFate, ApiFailure> {
        let event = event(self.namespace(), request, why, run_id, EventTime::now());
        let reply = self.exchange(events::creation(&event, effect)?)?;
        if !reply.already_exists() {
            reply.created("Event", event.metadata.name.as_deref().unwrap_or_default())?;
            return Ok(ClaimFate::Won);
        }
        let is_own = |claim: &Event| {
            event.metadata.name == claim.metadata.name
                && annotation(&claim.metadata, RUN).is_some_and(|run| run == run_id)
        };
        let (claims, _) = self.events_with(WORKLOAD, &request.workload.uid)?;
        Ok(if claims.iter().any(is_own) { ClaimFate::Won } else { ClaimFate::Lost })
    }
}

/// A unique identity for this run: 128 random bits as hexadecimal digits.
pub(super) fn run_id() -> String {
    let (high, low) = (RandomState::new().hash_one(0), RandomState::new().hash_one(1));
    format!("{high:016x}{low:016x}")
}

/// An unreadable claim may be in force: that is a failure, until its Event expires.
fn read(claim: Event, now: Timestamp) -> Result<Claim, ApiFailure> {
    let number = |name: &str| annotation(&claim.metadata, name)?.parse().ok();
    let (Some(generation), Some(valid_s), Some(created)) =
        (number(GENERATION), number(VALID_SECONDS), created(&claim.metadata))
    else {
        let name = claim.metadata.name.unwrap_or_default();
        let message = format!("Event {name} has the label of a claim, but does not tell one");
        return Err(ApiFailure::new(FailureKind::UnreadableAnswer, message));
    };
    Ok(Claim {
        generation,
        holder: claim.reporting_instance.unwrap_or_default(),
        age: elapsed(created, now),
        valid_for: Duration::from_secs(valid_s),
    })
}

fn event(namespace: &str, request: &ClaimRequest, why: &str, run_id: &str, now: EventTime) -> Event {
    let targets: Vec<String> =
        request.targets.iter().map(|target| format!("pod {} ({})", target.name, target.role)).collect();
    let note = format!("evicting {}: {why}", targets.join(", then "));
    let mut event = events::event(namespace, &request.workload, STARTED, &note, now);
    let whole_seconds = request.valid_for.saturating_add(Duration::from_nanos(999_999_999)).as_secs();
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
    use serde_json::json;

    use super::*;

    fn read(json: serde_json::Value) -> Result<Claim, ApiFailure> {
        let now: Timestamp = "2026-11-23T06:01:00Z".parse().expect("a time");
        super::read(serde_json::from_value(json).expect("an Event"), now)
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
        let (age, valid_for) = (Duration::from_secs(44), Duration::from_secs(95));
        assert_eq!(read(json), Ok(Claim { generation: 3, holder, age, valid_for }));
    }

    #[test]
    fn a_claim_that_tells_nothing_is_a_failure_and_not_none() {
        let (created, annotations) = (json!("2026-11-23T06:00:16Z"), [GENERATION, VALID_SECONDS]);
        let metadata = |created: &serde_json::Value, generation: &str| {
            let annotations = BTreeMap::from([(annotations[0], generation), (annotations[1], "9")]);
            json!({ "name": "x", "creationTimestamp": created, "annotations": annotations })
        };
        let unreadable = [
            json!({ "name": "x", "creationTimestamp": created }),
            metadata(&json!(null), "1"),
            metadata(&created, "-1"),
        ];
        for metadata in unreadable {
            let error = read(json!({ "metadata": metadata })).expect_err("no claim");
            assert_eq!(error.kind, FailureKind::UnreadableAnswer);
            assert!(error.message.contains("Event x"), "{error}");
        }
    }
}
