//! A server with several fleets: lists are about all of them, everything else about one.

use serde_json::{Value, json};

use super::answers;
use super::fleet::{Fleet, SimPod};
use super::objects;
use crate::http::SimRequest;
use crate::transcript::Transcript;

/// Answers one request and changes the fleets as it asks.
pub(super) fn answer(request: &SimRequest, fleets: &mut [Fleet], denied: &[String]) -> Transcript {
    fleets.iter_mut().for_each(Fleet::advance);
    if request.method == "GET"
        && let Some(list) = list(request, fleets, denied)
    {
        return list;
    }
    let place = fleets.iter().position(|fleet| is_about(request, fleet));
    let place = place.or_else(|| fleets.iter().position(|fleet| is_in(request, fleet)));
    answers::answer(request, &mut fleets[place.unwrap_or(0)], denied)
}

fn is_in(request: &SimRequest, fleet: &Fleet) -> bool {
    request.path().contains(&format!("/namespaces/{}/", fleet.namespace))
}

/// Whether the request names something of the fleet.
fn is_about(request: &SimRequest, fleet: &Fleet) -> bool {
    let names_it = |part: &str| part == fleet.name || fleet.pods.iter().any(|pod| pod.name == part);
    let is_of_a_set = |part: &str| {
        part.strip_prefix(&fleet.name).is_some_and(|rest| rest == format!("-{}", objects::TEMPLATE_HASH))
    };
    is_in(request, fleet) && request.path().split('/').any(|part| names_it(part) || is_of_a_set(part))
}

/// The list that a path asks for; `None` where it asks for something else, or for what one fleet answers as well.
fn list(request: &SimRequest, fleets: &[Fleet], denied: &[String]) -> Option<Transcript> {
    let path: Vec<&str> = request.path().trim_start_matches('/').split('/').collect();
    let (group, namespace, resource) = match path[..] {
        ["api", "v1", "namespaces"] => ("", None, "namespaces"),
        ["api", "v1", "pods"] => ("", None, "pods"),
        ["api", "v1", "namespaces", namespace, "pods"] if fleets.len() > 1 => ("", Some(namespace), "pods"),
        ["apis", "apps", "v1", resource] => ("apps", None, resource),
        ["apis", "apps", "v1", "namespaces", namespace, resource] => ("apps", Some(namespace), resource),
        _ => return None,
    };
    let permission = answers::permission("list", group, resource);
    let place = format!("{permission} in {}", namespace.unwrap_or("*"));
    if denied.contains(&permission) || denied.contains(&place) {
        return Some(answers::forbidden_list(group, resource, namespace.unwrap_or_default()));
    }
    let there = fleets.iter().filter(|fleet| namespace.is_none_or(|namespace| fleet.namespace == namespace));
    Some(match resource {
        "namespaces" => {
            let mut names: Vec<&str> = fleets.iter().map(|fleet| fleet.namespace.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            answers::page(request, "NamespaceList", &names, |name| json!({"metadata": {"name": name}}))
        }
        "pods" => {
            let of = |fleet| answers::pods(request, fleet).map(move |pod| (pod, fleet));
            let mut found: Vec<(&SimPod, &Fleet)> = there.flat_map(of).collect();
            found.sort_by(|(a, of_a), (b, of_b)| (&of_a.namespace, &a.name).cmp(&(&of_b.namespace, &b.name)));
            answers::page(request, "PodList", &found, |(pod, fleet)| objects::pod(pod, fleet))
        }
        _ => {
            let found: Vec<Value> = there.flat_map(|fleet| objects::owners(resource, fleet)).collect();
            answers::page(request, "List", &found, Value::clone)
        }
    })
}
