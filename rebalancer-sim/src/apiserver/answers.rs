//! What the server answers to each request, in the words and bytes of recorded ones.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Value, json};

use super::fleet::{Fleet, SimPod};
use super::objects;
use crate::http::SimRequest;
use crate::transcript::Transcript;

/// Who asks, as refusals call it.
const USER: &str = "system:serviceaccount:shop:rebalancer";

/// Answers one request and changes the fleet as it asks.
pub(super) fn answer(request: &SimRequest, fleet: &mut Fleet, denied: &[String]) -> Transcript {
    fleet.advance();
    let path: Vec<&str> = request.path().trim_start_matches('/').split('/').collect();
    let Some(asked) = Asked::of(&request.method, &path) else {
        return text(404, "404 page not found\n");
    };
    match asked {
        Asked::Review => return review(request, denied),
        Asked::Myself => return myself(request),
        _ => {}
    }
    if denied.contains(&asked.permission()) {
        return asked.forbidden();
    }
    if !matches!(asked, Asked::Get { resource: "persistentvolumes", .. })
        && asked.namespace() != fleet.namespace
    {
        return elsewhere(&asked);
    }
    match asked {
        Asked::List { resource: "pods", .. } => list_pods(request, fleet),
        Asked::List { resource: "events", .. } => list_events(request, fleet),
        Asked::List { resource: "persistentvolumeclaims", .. } => list_claims(fleet),
        Asked::List { .. } => list_budgets(fleet),
        Asked::Get { resource: "pods", name, .. } => match fleet.find(name).cloned() {
            Some(pod) => json(200, &titled("Pod", objects::pod(&pod, fleet))),
            None => not_found("", "pods", name),
        },
        Asked::Get { resource: "namespaces", name, .. } => {
            json(200, &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
        }
        Asked::Get { group, resource, name, .. } => match objects::owner(resource, name, fleet) {
            Some(owner) => json(200, &owner),
            None => not_found(group, resource, name),
        },
        Asked::Evict { name, .. } => evict(request, name, fleet),
        Asked::Delete { name, .. } => delete(request, name, fleet),
        Asked::Event { .. } => event(request, fleet),
        Asked::Review => review(request, denied),
        Asked::Myself => myself(request),
    }
}

/// What is asked for, by path.
#[derive(Debug, Clone, Copy)]
enum Asked<'a> {
    List { group: &'a str, resource: &'a str, namespace: &'a str },
    Get { group: &'a str, resource: &'a str, namespace: &'a str, name: &'a str },
    Evict { namespace: &'a str, name: &'a str },
    Delete { namespace: &'a str, name: &'a str },
    Event { namespace: &'a str },
    Review,
    Myself,
}

impl<'a> Asked<'a> {
    fn of(method: &str, path: &[&'a str]) -> Option<Self> {
        Some(match (method, path) {
            ("POST", ["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"]) => Self::Review,
            ("POST", ["apis", "authentication.k8s.io", "v1", "selfsubjectreviews"]) => Self::Myself,
            ("POST", ["apis", "events.k8s.io", "v1", "namespaces", namespace, "events"]) => {
                Self::Event { namespace }
            }
            (
                "GET",
                ["api", "v1", "namespaces", namespace, resource @ ("pods" | "persistentvolumeclaims")],
            ) => Self::List { group: "", resource, namespace },
            ("GET", ["api", "v1", resource @ "persistentvolumes", name]) => {
                Self::Get { group: "", resource, namespace: "", name }
            }
            (
                "GET",
                ["apis", group @ "policy", "v1", "namespaces", namespace, resource @ "poddisruptionbudgets"]
                | ["apis", group @ "events.k8s.io", "v1", "namespaces", namespace, resource @ "events"],
            ) => Self::List { group, resource, namespace },
            ("GET", ["api", "v1", resource @ "namespaces", namespace]) => {
                Self::Get { group: "", resource, namespace, name: namespace }
            }
            (
                "GET",
                ["api", "v1", "namespaces", namespace, resource @ ("pods" | "replicationcontrollers"), name],
            ) => Self::Get { group: "", resource, namespace, name },
            (
                "GET",
                ["apis", group @ "apps", "v1", "namespaces", namespace, resource, name]
                | ["apis", group @ "argoproj.io", "v1alpha1", "namespaces", namespace, resource, name],
            ) => Self::Get { group, resource, namespace, name },
            ("POST", ["api", "v1", "namespaces", namespace, "pods", name, "eviction"]) => {
                Self::Evict { namespace, name }
            }
            ("DELETE", ["api", "v1", "namespaces", namespace, "pods", name]) => {
                Self::Delete { namespace, name }
            }
            _ => return None,
        })
    }

    const fn namespace(&self) -> &'a str {
        match self {
            Self::List { namespace, .. }
            | Self::Get { namespace, .. }
            | Self::Evict { namespace, .. }
            | Self::Delete { namespace, .. }
            | Self::Event { namespace } => namespace,
            Self::Review | Self::Myself => "",
        }
    }

    /// Verb, group, resource and the name it is asked of.
    const fn parts(&self) -> (&'static str, &'a str, &'a str, &'a str) {
        match self {
            Self::List { group, resource, .. } => ("list", group, resource, ""),
            Self::Get { group, resource, name, .. } => ("get", group, resource, name),
            Self::Evict { name, .. } => ("create", "", "pods/eviction", name),
            Self::Delete { name, .. } => ("delete", "", "pods", name),
            Self::Event { .. } => ("create", "events.k8s.io", "events", ""),
            Self::Review => ("create", "authorization.k8s.io", "selfsubjectaccessreviews", ""),
            Self::Myself => ("create", "authentication.k8s.io", "selfsubjectreviews", ""),
        }
    }

    fn permission(&self) -> String {
        let (verb, group, resource, _) = self.parts();
        permission(verb, group, resource)
    }

    fn forbidden(&self) -> Transcript {
        let (verb, group, resource, name) = self.parts();
        let kind = resource.split('/').next().unwrap_or(resource);
        let message = format!(
            "{}{} is forbidden: User \"{USER}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" in the namespace \"{}\"",
            qualified(group, kind),
            if name.is_empty() { String::new() } else { format!(" \"{name}\"") },
            self.namespace(),
        );
        failure(403, &message, Some("Forbidden"), Some(Details { name, group, kind }))
    }
}

pub(super) fn permission(verb: &str, group: &str, resource: &str) -> String {
    match resource.split_once('/') {
        Some((kind, subresource)) => format!("{verb} {}/{subresource}", qualified(group, kind)),
        None => format!("{verb} {}", qualified(group, resource)),
    }
}

fn qualified(group: &str, kind: &str) -> String {
    if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") }
}

/// A list in a namespace that does not exist is empty; everything else there is not found.
fn elsewhere(asked: &Asked<'_>) -> Transcript {
    match asked {
        Asked::List { resource: "pods", .. } => Transcript::named("017_list_nonexistent_namespace"),
        Asked::List { .. } => Transcript::named("021_list_pdbs_empty"),
        Asked::Get { group, resource, name, .. } => not_found(group, resource, name),
        other => not_found("", "namespaces", other.namespace()),
    }
}

fn list_pods(request: &SimRequest, fleet: &Fleet) -> Transcript {
    let found: Vec<(&SimPod, &Fleet)> = pods(request, fleet).map(|pod| (pod, fleet)).collect();
    page(request, "PodList", &found, |(pod, fleet)| objects::pod(pod, fleet))
}

/// The pods of a fleet that the labels of the request select, by name.
pub(super) fn pods<'f>(request: &SimRequest, fleet: &'f Fleet) -> impl Iterator<Item = &'f SimPod> {
    let wanted = request.query("labelSelector").unwrap_or_default();
    let wanted: Vec<(&str, &str)> = wanted.split(',').filter_map(|term| term.split_once('=')).collect();
    let is_wanted = |pod: &&SimPod| {
        wanted.iter().all(|(key, value)| match key.strip_suffix('!') {
            Some(key) => pod.labels.get(key).is_none_or(|label| label != value),
            None => pod.labels.get(*key).is_some_and(|label| label == value),
        })
    };
    let mut found: Vec<&SimPod> = fleet.pods.iter().filter(is_wanted).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found.into_iter()
}

/// The page of a list that the request asks for; only its items are `written`.
pub(super) fn page<T>(
    request: &SimRequest,
    kind: &str,
    all: &[T],
    written: impl Fn(&T) -> Value,
) -> Transcript {
    let from: usize = request.query("continue").and_then(|token| token.parse().ok()).unwrap_or(0);
    let limit: usize = request.query("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX);
    let items: Vec<Value> = all.iter().skip(from).take(limit).map(written).collect();
    let mut metadata = json!({"resourceVersion": "1"});
    let next = from.saturating_add(limit);
    if next < all.len() {
        metadata["continue"] = json!(next.to_string());
    }
    json(200, &json!({"kind": kind, "apiVersion": "v1", "metadata": metadata, "items": items}))
}

/// The refusal of a list.
pub(super) fn forbidden_list(group: &str, resource: &str, namespace: &str) -> Transcript {
    Asked::List { group, resource, namespace }.forbidden()
}

/// Events are selected by one label here, or not at all.
fn list_events(request: &SimRequest, fleet: &Fleet) -> Transcript {
    let wanted = request.query("labelSelector").unwrap_or_default();
    let is_wanted = |event: &&Value| match wanted.split_once('=') {
        Some((key, value)) => event["metadata"]["labels"][key] == value,
        None => true,
    };
    let items: Vec<&Value> = fleet.events.iter().filter(is_wanted).collect();
    page(request, "EventList", &items, |event| (*event).clone())
}

/// The claims among the further objects of the fleet.
fn list_claims(fleet: &Fleet) -> Transcript {
    let claims = fleet.objects.iter().filter(|(path, _)| path.starts_with("persistentvolumeclaims/"));
    let items: Vec<&Value> = claims.map(|(_, claim)| claim).collect();
    json(
        200,
        &json!({"kind": "PersistentVolumeClaimList", "apiVersion": "v1",
                "metadata": {"resourceVersion": "1"}, "items": items}),
    )
}

fn list_budgets(fleet: &Fleet) -> Transcript {
    let items: Vec<Value> = fleet.budgets.iter().map(|budget| objects::budget(budget, fleet)).collect();
    json(
        200,
        &json!({"kind": "PodDisruptionBudgetList", "apiVersion": "policy/v1",
                "metadata": {"resourceVersion": "1"}, "items": items}),
    )
}

/// In the order of the real server: budgets first, then the precondition.
fn evict(request: &SimRequest, name: &str, fleet: &mut Fleet) -> Transcript {
    let Ok(body) = decoded(request) else { return Transcript::named("114_evict_malformed_json") };
    let Some(pod) = fleet.find(name).cloned() else { return not_found("", "pods", name) };
    if pod.gone_from.is_none()
        && let Some(refusal) = budget_refusal(&pod.labels, fleet)
    {
        return refusal;
    }
    if let Some(conflict) = conflict(&pod, &body["deleteOptions"]) {
        return conflict;
    }
    if request.query("dryRun").is_none() {
        for budget in fleet.covering(&pod.labels) {
            budget.disruptions_allowed -= 1;
        }
        fleet.end(name);
    }
    Transcript::named("108_evict_201")
}

fn budget_refusal(labels: &BTreeMap<String, String>, fleet: &mut Fleet) -> Option<Transcript> {
    let covering = fleet.covering(labels);
    if covering.len() > 1 {
        return Some(Transcript::named("221_evict_500_two_pdbs"));
    }
    let budget = covering.first()?;
    let lags = budget.observed_generation < budget.generation;
    if !lags && budget.disruptions_allowed > 0 {
        return None;
    }
    let recorded =
        Transcript::named(if lags { "212_evict_429_pdb_not_observed" } else { "211_evict_429_second" });
    let body = String::from_utf8_lossy(&recorded.body);
    let body = body.replace("fresh-pdb", &budget.name).replace("consumer-pdb", &budget.name);
    Some(Transcript { body: body.into_bytes(), ..recorded })
}

fn delete(request: &SimRequest, name: &str, fleet: &mut Fleet) -> Transcript {
    let Ok(options) = decoded(request) else { return Transcript::named("114_evict_malformed_json") };
    let Some(pod) = fleet.find(name).cloned() else { return not_found("", "pods", name) };
    if let Some(conflict) = conflict(&pod, &options) {
        return conflict;
    }
    let dry_run = request.query("dryRun").is_some() || options["dryRun"] == json!(["All"]);
    if !dry_run {
        fleet.end(name);
    }
    let ended = SimPod { gone_from: pod.ready_from, ..pod };
    json(200, &titled("Pod", objects::pod(&ended, fleet)))
}

/// The refusal of a precondition that does not hold. Unknown fields are ignored, as the server does.
fn conflict(pod: &SimPod, options: &Value) -> Option<Transcript> {
    let wanted = options["preconditions"]["uid"].as_str().filter(|wanted| *wanted != pod.uid)?;
    let message = format!(
        "Operation cannot be fulfilled on Pod \"{}\": the UID in the precondition ({wanted}) does not match the UID in record ({}). The object might have been deleted and then recreated",
        pod.name, pod.uid
    );
    let details = Details { name: &pod.name, group: "", kind: "Pod" };
    Some(failure(409, &message, Some("Conflict"), Some(details)))
}

fn event(request: &SimRequest, fleet: &mut Fleet) -> Transcript {
    let Ok(mut event) = decoded(request) else { return Transcript::named("114_evict_malformed_json") };
    let time = event["eventTime"].as_str().unwrap_or_default();
    if time.split_once('.').is_none_or(|(_, fraction)| fraction.len() != "123456Z".len()) {
        return Transcript::named("407_event_eventtime_seconds");
    }
    if event["note"].as_str().is_some_and(|note| note.len() > 1024) {
        return Transcript::named("406_event_note_too_long_422");
    }
    if event["reportingController"].as_str().is_none_or(str::is_empty) {
        return Transcript::named("404_event_no_controller_422");
    }
    let name = event["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if !name.is_empty() && fleet.events.iter().any(|other| other["metadata"]["name"] == name) {
        let message = format!("events.events.k8s.io \"{name}\" already exists");
        let details = Details { name: &name, group: "events.k8s.io", kind: "events" };
        return failure(409, &message, Some("AlreadyExists"), Some(details));
    }
    event["metadata"]["creationTimestamp"] = json!(objects::rfc3339(SystemTime::now()));
    if request.query("dryRun").is_none() {
        fleet.events.push(event.clone());
    }
    json(201, &event)
}

fn review(request: &SimRequest, denied: &[String]) -> Transcript {
    let Ok(mut review) = decoded(request) else { return Transcript::named("114_evict_malformed_json") };
    let attributes = &review["spec"]["resourceAttributes"];
    let word = |name: &str| attributes[name].as_str().unwrap_or_default();
    let resource = match word("subresource") {
        "" => word("resource").to_owned(),
        subresource => format!("{}/{subresource}", word("resource")),
    };
    let asked = permission(word("verb"), word("group"), &resource);
    review["status"] = json!({"allowed": !denied.contains(&asked)});
    json(201, &review)
}

/// Who asks: whoever is impersonated, else the account.
fn myself(request: &SimRequest) -> Transcript {
    let username = request.header("impersonate-user").unwrap_or(USER);
    let review = json!({"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1",
                        "metadata": {}, "status": {"userInfo": {"username": username}}});
    json(201, &review)
}

fn decoded(request: &SimRequest) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(&request.body)
}

fn titled(kind: &str, mut object: Value) -> Value {
    object["kind"] = json!(kind);
    object["apiVersion"] = json!("v1");
    object
}

fn not_found(group: &str, kind: &str, name: &str) -> Transcript {
    let message = format!("{} \"{name}\" not found", qualified(group, kind));
    failure(404, &message, Some("NotFound"), Some(Details { name, group, kind }))
}

/// A `Status`, its fields in the order in which the server writes them.
#[derive(Serialize)]
struct Status<'a> {
    kind: &'a str,
    #[serde(rename = "apiVersion")]
    api_version: &'a str,
    metadata: Value,
    #[serde(rename = "status")]
    outcome: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details<'a>>,
    code: u16,
}

#[derive(Serialize)]
pub(super) struct Details<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'a str,
    kind: &'a str,
}

pub(super) fn failure(
    code: u16,
    message: &str,
    reason: Option<&str>,
    details: Option<Details<'_>>,
) -> Transcript {
    json(
        code,
        &Status {
            kind: "Status",
            api_version: "v1",
            metadata: json!({}),
            outcome: "Failure",
            message,
            reason,
            details,
            code,
        },
    )
}

pub(super) fn json(code: u16, object: &impl Serialize) -> Transcript {
    let mut body = serde_json::to_vec(object).expect("these objects have string keys only");
    body.push(b'\n');
    Transcript { code, headers: vec![("Content-Type".to_owned(), "application/json".to_owned())], body }
}

fn text(code: u16, body: &str) -> Transcript {
    let headers = vec![("Content-Type".to_owned(), "text/plain; charset=utf-8".to_owned())];
    Transcript { code, headers, body: body.as_bytes().to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(path: &str, body: &Value) -> SimRequest {
        SimRequest {
            method: "POST".to_owned(),
            target: path.to_owned(),
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        }
    }

    fn eviction_of(name: &str, uid: &str) -> SimRequest {
        post(
            &format!("/api/v1/namespaces/shop/pods/{name}/eviction"),
            &json!({"deleteOptions": {"preconditions": {"uid": uid}}}),
        )
    }

    /// Compares an answer with a recorded one in everything but what the message says of names.
    #[track_caller]
    fn assert_like(recorded: &str, answer: &Transcript, renames: &[(&str, &str)]) {
        let recorded = Transcript::named(recorded);
        assert_eq!((answer.code, &answer.headers), (recorded.code, &recorded.headers));
        let mut text = String::from_utf8(recorded.body).expect("text");
        for (from, to) in renames {
            text = text.replace(from, to);
        }
        let read = |bytes: &[u8]| -> Value { serde_json::from_slice(bytes).expect("JSON") };
        assert_eq!(read(&answer.body), read(text.as_bytes()));
    }

    #[test]
    fn what_is_composed_is_like_what_was_recorded() {
        let mut fleet = Fleet::deployment("consumer", 3);
        let gone = answer(&eviction_of("consumer-gone", "u"), &mut fleet, &[]);
        assert_like("109_evict_404", &gone, &[]);

        let wanted = "dfaab729-084d-481a-ae17-f1d9c663e751";
        let replaced = answer(&eviction_of("consumer-0", wanted), &mut fleet, &[]);
        let uid = fleet.pods[0].uid.clone();
        let renames =
            [("consumer-58db4d5fb7-5mj78", "consumer-0"), ("a2855a30-0626-4485-8f3d-db49648fe9d3", &uid)];
        assert_like("105_evict_uid_mismatch", &replaced, &renames);

        let denied = ["create pods/eviction".to_owned()];
        let forbidden = answer(&eviction_of("consumer-0", &uid), &mut fleet, &denied);
        let renames =
            [("consumer-58db4d5fb7-4z6ss", "consumer-0"), ("system:serviceaccount:shop:lister", USER)];
        assert_like("312_sa_lister_evict_403", &forbidden, &renames);

        let elsewhere = post("/api/v1/namespaces/nope/pods/consumer-0/eviction", &json!({}));
        assert_like("117_evict_nonexistent_namespace", &answer(&elsewhere, &mut fleet, &[]), &[]);
        assert_eq!(fleet.pods.len(), 3, "nothing was evicted");
    }

    #[test]
    fn a_precondition_in_a_field_the_server_does_not_know_protects_nobody() {
        let mut fleet = Fleet::deployment("consumer", 3);
        let mistaken = post(
            "/api/v1/namespaces/shop/pods/consumer-0/eviction",
            &json!({"delete_options": {"preconditions": {"uid": "of another pod"}}}),
        );
        assert_eq!(answer(&mistaken, &mut fleet, &[]).code, 201);
        assert!(fleet.pod("consumer-0").gone_from.is_some());
    }
}
