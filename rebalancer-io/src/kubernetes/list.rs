//! Reads lists in pages. All pages together are one consistent list of the server.

use kube::api::ListParams;
use kube::core::Request;
use rebalancer_core::{ApiFailure, FailureKind};
use serde::Deserialize;

use super::cluster::Cluster;
use super::selector::Selector;

/// Items per page: 500 full pods are two megabytes, and a list of 5,000 takes ten requests.
const PAGE_ITEMS: u32 = 500;

/// Maximum number of pages: a million items. A server that never ends its list is given up on.
const MAX_PAGES: usize = 2_000;

/// One page of a list.
pub(super) trait Page: for<'de> Deserialize<'de> {
    /// The token that asks for the next page; `None` or empty on the last page.
    fn next(&self) -> Option<String>;
}

impl Cluster {
    /// Reads all pages of a list and passes each to `take`.
    ///
    /// Fails if reading takes so long that the list's resource version expires. The server then offers the
    /// rest at another version, and pods would be missing or listed twice.
    pub(super) fn list<P: Page>(
        &self,
        path: &str,
        selector: Option<&Selector>,
        take: impl FnMut(P) -> Result<(), ApiFailure>,
    ) -> Result<(), ApiFailure> {
        self.read_pages(path, selector, Request::list, take)
    }

    /// The same of objects of which only the metadata is wanted.
    pub(super) fn list_metadata<P: Page>(
        &self,
        path: &str,
        take: impl FnMut(P) -> Result<(), ApiFailure>,
    ) -> Result<(), ApiFailure> {
        self.read_pages(path, None, Request::list_metadata, take)
    }

    fn read_pages<P: Page>(
        &self,
        path: &str,
        selector: Option<&Selector>,
        ask: impl Fn(&Request, &ListParams) -> Result<http::Request<Vec<u8>>, kube::core::request::Error>,
        mut take: impl FnMut(P) -> Result<(), ApiFailure>,
    ) -> Result<(), ApiFailure> {
        let mut params = ListParams { limit: Some(PAGE_ITEMS), ..ListParams::default() };
        params.label_selector =
            selector.map(|selector| selector.as_str().to_owned()).filter(|text| !text.is_empty());
        for _ in 0..MAX_PAGES {
            let request = ask(&Request::new(path), &params).map_err(|error| unsendable(&error))?;
            let reply = self.exchange(request)?;
            if reply.status == 410 {
                return Err(expired(reply.failure()));
            }
            let page: P = reply.read()?;
            drop(reply);
            params.continue_token = page.next().filter(|token| !token.is_empty());
            take(page)?;
            if params.continue_token.is_none() {
                return Ok(());
            }
        }
        let message = format!("the list has more than {MAX_PAGES} pages; narrow the selector");
        Err(ApiFailure::new(FailureKind::UnreadableAnswer, message))
    }
}

fn expired(mut failure: ApiFailure) -> ApiFailure {
    failure.message.insert_str(0, "the list changed faster than it could be read; run again later: ");
    failure
}

/// The failure for a request that cannot be built, for example because a URL cannot contain a name in it.
pub(super) fn unsendable(error: &kube::core::request::Error) -> ApiFailure {
    ApiFailure::new(FailureKind::InvalidRequest, error.to_string())
}
