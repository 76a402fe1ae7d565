//! The kinds of requests: a list in pages, one object, and a new object.

use jiff::Timestamp;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::Resource;
use kube::api::{GetParams, ListParams, PostParams};
use kube::core::{Request, request};
use rebalancer_core::{ApiFailure, FailureKind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use super::fields::null_is_empty;
use super::selector::Selector;

/// Items per page: 500 full pods are two megabytes, and a list of 5,000 takes ten requests.
const PAGE_ITEMS: u32 = 500;

/// Maximum number of pages: a million items. A server that never ends its list is given up on.
const MAX_PAGES: usize = 2_000;

/// What may be built as a request.
pub(super) type Built = Result<http::Request<Vec<u8>>, ApiFailure>;

/// Whether a request changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// The server checks permission, admission, precondition and budgets, but changes nothing.
    DryRun,
    /// The server does what is asked.
    Real,
}

/// A list, or one page of it.
#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub(super) struct List<T> {
    kind: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    metadata: ListMeta,
    // Required: an answer without items is no list, but would read as "nothing there".
    #[serde(deserialize_with = "null_is_empty")]
    items: Vec<T>,
}

impl<T> List<T> {
    /// The token that asks for the next page; `None` on the last page.
    fn next(&self) -> Option<String> {
        self.metadata.continue_.clone().filter(|token| !token.is_empty())
    }
}

impl Cluster {
    /// Reads all pages of a list, which together are one consistent list of the server, and passes each to `take`.
    pub(super) fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        selector: Option<&Selector>,
        take: impl FnMut(Vec<T>) -> Result<(), ApiFailure>,
    ) -> Result<(), ApiFailure> {
        self.read_pages(path, selector, Request::list, take)
    }

    /// The same by a request of another kind, such as one for the metadata alone.
    ///
    /// Fails if reading takes so long that the list's resource version expires. The server then offers the
    /// rest at another version, and items would be missing or listed twice.
    pub(super) fn read_pages<T: DeserializeOwned>(
        &self,
        path: &str,
        selector: Option<&Selector>,
        ask: impl Fn(&Request, &ListParams) -> Result<http::Request<Vec<u8>>, request::Error>,
        mut take: impl FnMut(Vec<T>) -> Result<(), ApiFailure>,
    ) -> Result<(), ApiFailure> {
        let mut params = ListParams { limit: Some(PAGE_ITEMS), ..ListParams::default() };
        params.label_selector =
            selector.map(|selector| selector.as_str().to_owned()).filter(|text| !text.is_empty());
        for _ in 0..MAX_PAGES {
            let request = ask(&Request::new(path), &params).map_err(|error| unsendable(&error))?;
            let reply = self.exchange(request)?;
            if reply.status == 410 {
                let mut failure = reply.failure();
                let advice = "the list changed faster than it could be read; run again later: ";
                failure.message.insert_str(0, advice);
                return Err(failure);
            }
            let page: List<T> = reply.read()?;
            if !page.kind.ends_with("List") {
                return Err(reply.unreadable(&format!("a {} in place of a list", page.kind)));
            }
            drop(reply);
            params.continue_token = page.next();
            take(page.items)?;
            if params.continue_token.is_none() {
                return Ok(());
            }
        }
        let message = format!("the list has more than {MAX_PAGES} pages; narrow the selector");
        Err(ApiFailure::new(FailureKind::UnreadableAnswer, message))
    }

    /// The few Events of the namespace that have this label, and the time of the server that lists them.
    pub(super) fn events_with(
        &self,
        label: &str,
        value: &str,
    ) -> Result<(Vec<Event>, Timestamp), ApiFailure> {
        let path = Event::url_path(&(), Some(self.namespace()));
        let labelled =
            ListParams { label_selector: Some(format!("{label}={value}")), ..ListParams::default() };
        let reply = self.exchange(Request::new(path).list(&labelled).map_err(|error| unsendable(&error))?)?;
        let found: List<Event> = reply.read()?;
        if found.kind != "EventList" || found.next().is_some() {
            return Err(reply.unreadable("not the whole list of Events"));
        }
        Ok((found.items, reply.date.unwrap_or_else(Timestamp::now)))
    }
}

/// The request for one object. Its name may come from another object, where anything can be written.
pub(super) fn get(path: impl Into<String>, name: &str) -> Built {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:_".contains(&byte);
    if !name.bytes().all(letter) || name.starts_with('.') {
        let message = format!("{name:?} is no name of an object");
        return Err(ApiFailure::new(FailureKind::UnreadableAnswer, message));
    }
    Request::new(path).get(name, &GetParams::default()).map_err(|error| unsendable(&error))
}

/// The request that creates an object.
pub(super) fn create(path: impl Into<String>, object: &impl Serialize, effect: Effect) -> Built {
    let params = PostParams { dry_run: effect == Effect::DryRun, ..PostParams::default() };
    let body = serde_json::to_vec(object).map_err(request::Error::SerializeBody);
    body.and_then(|body| Request::new(path).create(&params, body)).map_err(|error| unsendable(&error))
}

/// The failure for a request that cannot be built, for example because a URL cannot contain a name in it.
pub(super) fn unsendable(error: &request::Error) -> ApiFailure {
    ApiFailure::new(FailureKind::InvalidRequest, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_lead_out_of_its_path() {
        for name in ["orders-58db4d5fb7", "pvc-1.2", "system:node"] {
            assert!(get("/api/v1/persistentvolumes", name).is_ok(), "{name}");
        }
        for name in ["", "..", "../secrets", "a/b", "a?watch=true", "a%2f", "a b", "a#b"] {
            let failure = get("/api/v1/persistentvolumes", name).expect_err(name);
            assert_ne!(failure.kind, FailureKind::NoAnswer, "{failure}");
        }
    }
}
