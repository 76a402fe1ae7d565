//! Classifies the answers of the API server. Every refusal has a kind, and keeps the server's words.

use core::time::Duration;

use jiff::Timestamp;
use rebalancer_core::{ApiFailure, FailureKind};
use serde::Deserialize;

use super::fields::{Identified, null_is_empty};
use crate::prometheus::words;

/// Longest quotation of an answer that is not a `Status`, in characters: enough to recognise it, and too
/// little to flood a log.
const MAX_QUOTE: usize = 300;

/// Bytes of such an answer that are read: the start of a proxy's page, with its title.
const MAX_HEAD: usize = 4096;

/// One HTTP answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub status: u16,
    /// Whole seconds of the header `Retry-After`; a date in it is ignored.
    pub retry_after: Option<Duration>,
    /// The server's own time, from the header `Date`.
    pub date: Option<Timestamp>,
    pub body: Vec<u8>,
}

/// The object in which the API reports how a request ended.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Status {
    pub(super) kind: String,
    #[serde(rename = "status")]
    outcome: String,
    pub(super) message: String,
    pub(super) reason: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub(super) details: Details,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Details {
    pub(super) kind: String,
    #[serde(deserialize_with = "null_is_empty")]
    causes: Vec<Cause>,
    retry_after_seconds: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Cause {
    reason: String,
    message: String,
}

impl Reply {
    /// Reads the body of a success.
    ///
    /// # Errors
    /// The failure that the answer reports, or that it has another form.
    pub(super) fn read<T: for<'de> Deserialize<'de>>(&self) -> Result<T, ApiFailure> {
        if !self.is_success() {
            return Err(self.failure());
        }
        serde_json::from_slice(&self.body).map_err(|error| self.unreadable(&error.to_string()))
    }

    pub(super) const fn is_success(&self) -> bool {
        matches!(self.status, 200..=202)
    }

    /// Whether the answer says that the object with this name does not exist.
    pub(super) fn is_absent(&self, kind: &str) -> bool {
        self.status == 404 && self.told().is_some_and(|status| status.details.kind == kind)
    }

    /// Whether the answer says that the name of the object to create is taken.
    pub(super) fn already_exists(&self) -> bool {
        self.status == 409 && self.told().is_some_and(|status| status.reason == "AlreadyExists")
    }

    /// Checks by kind and name that the answer is the created object. A proxy may answer with anything.
    ///
    /// # Errors
    /// The failure that the answer reports, or that it is another object.
    pub(super) fn created(&self, kind: &str, name: &str) -> Result<(), ApiFailure> {
        let found: Identified = self.read()?;
        // Without a name, the server generates one.
        let is_it = found.kind == kind && (name.is_empty() || found.metadata.name.as_deref() == Some(name));
        if is_it { Ok(()) } else { Err(self.unreadable(&format!("not the {kind} that was sent"))) }
    }

    /// Whether this is a `Status` of success, as an eviction is answered.
    pub(super) fn says_success(&self) -> bool {
        self.is_success()
            && self.told().is_some_and(|status| status.kind == "Status" && status.outcome == "Success")
    }

    /// What kind of failure this answer is. Overload protection, proxies and a server that shuts down do not answer with
    /// JSON.
    pub(super) fn failure(&self) -> ApiFailure {
        let told = self.told();
        let has_retry_after = self.retry_after.is_some();
        let special = told.as_ref().and_then(|told| told.kind_of_failure(self.status, has_retry_after));
        ApiFailure {
            kind: special.unwrap_or(kind_of(self.status)),
            http_status: Some(self.status),
            retry_after: self.retry_after.or(told.as_ref().and_then(Status::retry_after)),
            message: told.map_or_else(|| self.quote(), Status::words),
        }
    }

    /// The failure for a success whose body is not what was requested.
    pub(super) fn unreadable(&self, why: &str) -> ApiFailure {
        let message = format!("{why}; it begins with {:?}", self.quote());
        ApiFailure {
            http_status: Some(self.status),
            ..ApiFailure::new(FailureKind::UnreadableAnswer, message)
        }
    }

    /// The `Status` in the body. From an overloaded storage it has no `kind` and the content type of plain
    /// text, so neither is required.
    fn told(&self) -> Option<Status> {
        let status: Status = serde_json::from_slice(&self.body).ok()?;
        (!status.outcome.is_empty() && matches!(status.kind.as_str(), "" | "Status")).then_some(status)
    }

    fn quote(&self) -> String {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(MAX_HEAD)]);
        let text = text.trim();
        if text.starts_with('<') { words(text) } else { text.chars().take(MAX_QUOTE).collect() }
    }
}

/// What an HTTP status alone says.
const fn kind_of(code: u16) -> FailureKind {
    match code {
        401 => FailureKind::Unauthorized,
        403 => FailureKind::Forbidden,
        400 | 405 | 406 | 413 | 415 | 422 => FailureKind::InvalidRequest,
        429 => FailureKind::Throttled,
        504 => FailureKind::NoAnswer,
        500..=599 => FailureKind::ServerError,
        _ => FailureKind::UnreadableAnswer,
    }
}

impl Status {
    /// What it says more than its HTTP status.
    fn kind_of_failure(&self, code: u16, has_retry_after: bool) -> Option<FailureKind> {
        let blocked_by_pdb = self.details.causes.iter().any(|cause| cause.reason == "DisruptionBudget");
        if self.is_by_admission() {
            return Some(FailureKind::RefusedByAdmission);
        }
        Some(match code {
            404 if self.details.kind == "namespaces" => FailureKind::NamespaceGone,
            404 if self.details.kind == "pods" => FailureKind::TargetGone,
            429 if blocked_by_pdb => FailureKind::BlockedByPdb,
            403 => self.forbidden(),
            409 if self.reason == "Conflict" => FailureKind::TargetReplaced,
            // A storage that is starting up asks to wait; a refusal by an operator's webhook does not.
            429 if !has_retry_after => FailureKind::RefusedByAdmission,
            500 if self.message.contains("more than one PodDisruptionBudget") => {
                FailureKind::PdbMisconfigured
            }
            500 if self.reason == "InternalError" && self.message.contains("webhook") => {
                FailureKind::WebhookFailed
            }
            // The data behind a list is gone. The server did not do what was asked.
            410 => FailureKind::ServerError,
            _ => return None,
        })
    }

    /// An authoriser always names who may not do what. Any other refusal comes from an admission plugin.
    fn forbidden(&self) -> FailureKind {
        if self.message.contains("because it is being terminated") {
            return FailureKind::NamespaceGone;
        }
        if self.details.kind == "poddisruptionbudget" {
            return FailureKind::BlockedByPdb;
        }
        if self.message.contains("User ") && self.message.contains(" cannot ") {
            return FailureKind::Forbidden;
        }
        FailureKind::RefusedByAdmission
    }

    /// The API server uses these words for both kinds of admission. A webhook chooses the status code of its
    /// denial, such as 500 or 429. A webhook that could not be called has denied nothing.
    fn is_by_admission(&self) -> bool {
        let denied = [" denied the request", " denied request"].map(|words| self.message.find(words));
        let denied = denied.into_iter().flatten().min();
        let failed = self.message.find("failed calling webhook");
        denied.is_some_and(|denied| failed.is_none_or(|failed| denied < failed))
    }

    fn retry_after(&self) -> Option<Duration> {
        self.details.retry_after_seconds.map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// The message, plus details from its causes.
    fn words(self) -> String {
        let mut words = self.message;
        for cause in self.details.causes {
            if !cause.message.is_empty() && !words.contains(&cause.message) {
                words.push(' ');
                words.push_str(&cause.message);
            }
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_quoted_by_its_title() {
        let page =
            "<!DOCTYPE html><html>\n<head><title>502 Bad\nGateway</title></head><body>much more</body>";
        let reply = Reply { status: 502, retry_after: None, date: None, body: page.into() };
        let failure = reply.failure();
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::ServerError, "502 Bad Gateway"));
        let login = Reply { status: 200, ..reply };
        let failure = login.read::<serde_json::Value>().expect_err("a page");
        assert!(failure.message.ends_with("it begins with \"502 Bad Gateway\""), "{failure:?}");
    }
}
