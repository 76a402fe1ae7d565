//! What a webhook is told of a run that ended without a report.

use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::Failure;
use crate::report::version::API_VERSION;
use crate::report::{Outcome, WorkloadReport};

/// A run that ended without a decision.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FailureReport {
    #[schemars(extend("const" = API_VERSION))]
    api_version: &'static str,
    #[schemars(extend("const" = "RunFailure"))]
    kind: &'static str,
    /// `failed`.
    outcome: Outcome,
    /// The error in words.
    reason: String,
    /// The kind of error for programs: a stable word or an HTTP status.
    error_type: String,
    /// How much of a dry run it was: `none`, `client` or `server`.
    dry_run: &'static str,
    /// Which pods it was to look after, as far as that is known.
    workload: WorkloadReport,
}

impl FailureReport {
    /// The report of this failure.
    pub fn new(failure: &Failure, dry_run: &'static str, workload: WorkloadReport) -> Self {
        Self {
            api_version: API_VERSION,
            kind: "RunFailure",
            outcome: Outcome::Failed,
            reason: failure.words(),
            error_type: failure.code().into_owned(),
            dry_run,
            workload,
        }
    }
}
