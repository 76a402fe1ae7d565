//! The Services of the cluster, and the proxy that hands requests on to what is behind them.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::answers::{failure, json as answer_json, permission};
use super::fleet::Fleet;
use crate::http::SimRequest;
use crate::transcript::Transcript;

/// Who asks, as refusals call it.
const USER: &str = "system:serviceaccount:shop:rebalancer";

/// Answers what is asked of Services; `None` where something else is asked for.
pub(super) fn answer(request: &SimRequest, fleet: &Fleet, denied: &[String]) -> Option<Transcript> {
    let path: Vec<&str> = request.path().trim_start_matches('/').split('/').collect();
    match (request.method.as_str(), path.as_slice()) {
        ("GET", ["api", "v1", "services"]) => Some(list(fleet, None, denied)),
        ("GET", ["api", "v1", "namespaces", namespace, "services"]) => {
            Some(list(fleet, Some(namespace), denied))
        }
        (method, ["api", "v1", "namespaces", namespace, "services", place, "proxy", rest @ ..]) => {
            let verb = if method == "GET" { "get" } else { "create" };
            if denied.contains(&permission(verb, "", "services/proxy")) {
                let message = format!(
                    "services \"{place}\" is forbidden: User \"{USER}\" cannot {verb} resource \"services/proxy\" in API group \"\" in the namespace \"{namespace}\""
                );
                return Some(failure(403, &message, Some("Forbidden"), None));
            }
            let query =
                request.target.split_once('?').map_or(String::new(), |(_, query)| format!("?{query}"));
            Some(proxied(request, fleet, namespace, place, &format!("/{}{query}", rest.join("/"))))
        }
        _ => None,
    }
}

/// `list services` is denied everywhere, `list services everywhere` only for the whole cluster at once.
fn list(fleet: &Fleet, namespace: Option<&str>, denied: &[String]) -> Transcript {
    let is_denied = |what: &str| denied.iter().any(|permission| permission == what);
    if is_denied("list services") || namespace.is_none() && is_denied("list services everywhere") {
        let place = namespace.map_or("at the cluster scope".to_owned(), |namespace| {
            format!("in the namespace \"{namespace}\"")
        });
        let message = format!(
            "services is forbidden: User \"{USER}\" cannot list resource \"services\" in API group \"\" {place}"
        );
        return failure(403, &message, Some("Forbidden"), None);
    }
    let is_there = |service: &&Value| namespace.is_none_or(|name| service["metadata"]["namespace"] == name);
    let items: Vec<&Value> = fleet.services.iter().filter(is_there).collect();
    let metadata = json!({"resourceVersion": "1"});
    answer_json(
        200,
        &json!({"kind": "ServiceList", "apiVersion": "v1", "metadata": metadata, "items": items}),
    )
}

fn proxied(request: &SimRequest, fleet: &Fleet, namespace: &str, place: &str, target: &str) -> Transcript {
    let service = place.split(':').next().unwrap_or(place);
    let exists =
        |known: &Value| known["metadata"]["name"] == service && known["metadata"]["namespace"] == namespace;
    match fleet.behind.get(&format!("{namespace}/{place}")) {
        Some(address) => ask(address, request, target).unwrap_or_else(|error| {
            let message = format!("error trying to reach service: {error}");
            failure(503, &message, Some("ServiceUnavailable"), None)
        }),
        None if fleet.services.iter().any(exists) => {
            let message = format!("no endpoints available for service \"{place}\"");
            failure(503, &message, Some("ServiceUnavailable"), None)
        }
        None => failure(404, &format!("services \"{service}\" not found"), Some("NotFound"), None),
    }
}

/// Hands the request on, without what proves who asks, and the answer back.
fn ask(address: &str, request: &SimRequest, target: &str) -> io::Result<Transcript> {
    let mut connection = TcpStream::connect(address)?;
    write!(connection, "{} {target} HTTP/1.1\r\n", request.method)?;
    let kept = |name: &str| !matches!(name, "authorization" | "connection" | "host" | "accept-encoding");
    for (name, value) in request.headers.iter().filter(|(name, _)| kept(name)) {
        write!(connection, "{name}: {value}\r\n")?;
    }
    write!(connection, "host: {address}\r\nconnection: close\r\n\r\n")?;
    connection.write_all(&request.body)?;
    let mut bytes: Vec<u8> = Vec::new();
    connection.read_to_end(&mut bytes)?;
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(head)) = response.parse(&bytes) else {
        return Err(io::Error::other("EOF"));
    };
    let kept = ["content-type", "location"];
    let headers = response.headers.iter().filter(|header| kept.contains(&&*header.name.to_ascii_lowercase()));
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers = headers.map(|header| (header.name.to_owned(), text(header.value))).collect();
    Ok(Transcript { code: response.code.unwrap_or(502), headers, body: bytes[head..].to_vec() })
}
