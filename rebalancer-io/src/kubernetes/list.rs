//! Lists in pages: one consistent list of the server, read piece by piece.

use kube::api::ListParams;
use kube::core::Request;
use rebalancer_core::{ApiFailure, FailureKind};
use serde::Deserialize;

use super::cluster::Cluster;
use super::selector::Selector;

/// Items a page: two megabytes of full pods, and a list of 5,000 in ten requests.
const PAGE_ITEMS: u32 = 500;

/// Pages after which a list is given up: 100,000 items, or a server that never says the end.
const MAX_PAGES: usize = 200;

/// One page of any list.
pub(super) trait Page: for<'de> Deserialize<'de> {
    /// The token by which the next page is asked for; `None` or empty on the last one.
    fn next(&self) -> Option<String>;
}

impl Cluster {
    /// Reads all pages of one list, each handed over as it comes.
    ///
    /// When the list is so slow that the server forgets the moment it began from, it fails: the
    /// rest the server then offers is of another moment, and pods would be missing or twice.
    pub(super) fn list<P: Page>(
        &self,
        path: &str,
        selector: Option<&Selector>,
        mut take: impl FnMut(P) -> Result<(), ApiFailure>,
    ) -> Result<(), ApiFailure> {
        let mut params = ListParams { limit: Some(PAGE_ITEMS), ..ListParams::default() };
        params.label_selector = selector.map(|selector| selector.as_str().to_owned());
        for _ in 0..MAX_PAGES {
            let request = Request::new(path).list(&params).map_err(|error| unsendable(&error))?;
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

/// A request that cannot be written down, such as one with a name that is no part of a URL.
pub(super) fn unsendable(error: &kube::core::request::Error) -> ApiFailure {
    ApiFailure::new(FailureKind::InvalidRequest, error.to_string())
}
