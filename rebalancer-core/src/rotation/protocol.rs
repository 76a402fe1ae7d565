//! The protocol between a rotation and its driver: actions and answers.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::input::live_pod::Controller;
use crate::rotation::claim::{Claim, ClaimFate, ClaimRequest};
use crate::rotation::options::Method;
use crate::rotation::plan::Target;
use crate::rotation::workload::Workload;

/// What the driver must do next. Only one action is open at a time; see [`Answer`] for its answer.
#[derive(Debug, Clone, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Action {
    /// Find all claims on the workload. Answer: [`Answer::Claims`].
    FindClaims {
        /// The workload.
        workload: Controller,
    },
    /// List the pods of the workload and read their owners, both afresh. Answer: [`Answer::Workload`].
    ListWorkload,
    /// List the budgets (PDBs) of the namespace and say which of these targets each covers. Answer:
    /// [`Answer::Budgets`].
    ListBudgets {
        /// The targets asked about.
        targets: Vec<Target>,
    },
    /// Ask the server, by a dry-run of the same request, whether it would evict. Answer:
    /// [`Answer::Preflight`].
    Preflight(EvictionRequest),
    /// Create a claim under a name that only one run can take. Send it once. Answer: [`Answer::Claimed`].
    #[strum(serialize = "claim_workload")]
    Claim(ClaimRequest),
    /// Evict for real. Send it once and never again, whatever comes back.
    /// Answer: [`Answer::Eviction`].
    Evict(EvictionRequest),
    /// A stop was requested while the eviction of this target was open. Send nothing. If it was sent before,
    /// wait for its answer. Answer: [`Answer::Eviction`] or [`Answer::NotSent`].
    AwaitEviction(Target),
    /// Get the pod by name and say what is there. Answer: [`Answer::LookedUp`].
    LookUp(Target),
    /// Do nothing until this time, while the evicted pod's replacement becomes Ready and the budgets recover.
    /// Answer: [`Answer::Waited`].
    Wait {
        /// Time since the start of the run at which to continue.
        until: Duration,
    },
    /// Nothing is left to do: call [`finish`](crate::Rotation::finish).
    Stop,
}

impl Action {
    /// The stable name of this action in reports and logs.
    pub fn code(&self) -> &'static str {
        self.into()
    }

    /// The target of this action, if it has one.
    pub const fn target(&self) -> Option<&Target> {
        match self {
            Self::Preflight(request) | Self::Evict(request) => Some(&request.target),
            Self::AwaitEviction(target) | Self::LookUp(target) => Some(target),
            _ => None,
        }
    }
}

/// An eviction to send, always with the target's UID as precondition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvictionRequest {
    /// The pod; its UID must be the precondition.
    pub target: Target,
    /// By the eviction API or by a plain delete.
    pub method: Method,
    /// Grace period in seconds; if `None`, send none, so that the pod keeps its own.
    pub grace_period_s: Option<u32>,
}

/// The answer to an action, classified without loss.
#[derive(Debug, Clone, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Answer {
    /// To [`Action::FindClaims`]: all claims, including old ones.
    Claims(Result<Vec<Claim>, ApiFailure>),
    /// To [`Action::ListWorkload`].
    Workload(Result<Workload, ApiFailure>),
    /// To [`Action::ListBudgets`]: at least every budget that covers a target.
    Budgets(Result<Vec<Budget>, ApiFailure>),
    /// To [`Action::Preflight`]: the server would evict.
    Preflight(Result<(), ApiFailure>),
    /// To [`Action::Claim`].
    Claimed(Result<ClaimFate, ApiFailure>),
    /// To [`Action::Evict`], and to [`Action::AwaitEviction`] if it had been sent: the server accepted. The
    /// pod may still be terminating.
    Eviction(Result<(), ApiFailure>),
    /// To [`Action::AwaitEviction`]: the eviction was never sent, and will not be.
    NotSent,
    /// To [`Action::LookUp`].
    LookedUp(Result<Presence, ApiFailure>),
    /// To [`Action::Wait`]: the time has come.
    Waited,
    /// To no action: a stop was requested (SIGTERM). Allowed in every state, even while an action is in
    /// flight.
    StopRequested,
}

impl Answer {
    /// The stable name of this kind of answer.
    pub fn code(&self) -> &'static str {
        self.into()
    }
}

/// What a `PodDisruptionBudget` says now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// Name of the budget.
    pub name: String,
    /// Names of the targets its selector matches.
    pub covers: Vec<String>,
    /// Evictions it allows now (`status.disruptionsAllowed`); negative is possible in the API.
    pub disruptions_allowed: i32,
    /// Version of the specification (`metadata.generation`).
    pub generation: i64,
    /// Version the budget's controller has seen (`status.observedGeneration`; 0 when absent).
    pub observed_generation: i64,
}

/// The result of a GET of a target's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// No pod has that name: the server answered 404 for the pod.
    Absent,
    /// A pod has that name.
    Present {
        /// Its UID, possibly not the target's.
        uid: String,
        /// Whether its deletion was requested (`metadata.deletionTimestamp` is set).
        terminating: bool,
    },
}

/// A failed answer, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiFailure {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// HTTP status; `None` when there was no HTTP answer.
    pub http_status: Option<u16>,
    /// The text of the server or of the transport.
    pub message: String,
    /// How long the server asks to wait, if it does. Only reported; the program never retries.
    pub retry_after: Option<Duration>,
}

impl ApiFailure {
    /// A failure of `kind` without HTTP status or retry time.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, http_status: None, message: message.into(), retry_after: None }
    }
}

impl fmt::Display for ApiFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if let Some(status) = self.http_status {
            write!(f, " (HTTP {status})")?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        if let Some(wait) = self.retry_after {
            write!(f, " (the server asks to wait {} s)", wait.as_secs())?;
        }
        Ok(())
    }
}

impl core::error::Error for ApiFailure {}

/// The kinds of failure; each prints as the beginning of a message.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    strum::IntoStaticStr,
    strum::VariantArray,
    thiserror::Error,
)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[strum(serialize_all = "snake_case")]
pub enum FailureKind {
    /// 429 with cause `DisruptionBudget`: a budget allows no eviction, or (with a retry time) its controller
    /// has not processed it yet.
    #[error("a PodDisruptionBudget allows no eviction now")]
    BlockedByPdb,
    /// 500 "more than one PodDisruptionBudget": never resolves by itself.
    #[error("more than one PodDisruptionBudget matches the pod; let one selector match it")]
    PdbMisconfigured,
    /// 429 as `text/plain`: priority and fairness, or too many requests in flight.
    #[error("the API server is overloaded and turned the request away")]
    Throttled,
    /// An admission policy or webhook refused, with any status code: a `Status` that says "denied the
    /// request", or a 403 or 429 that names neither budget nor RBAC.
    #[error("an admission policy or webhook refused")]
    RefusedByAdmission,
    /// 500 `InternalError`: an admission webhook could not be called.
    #[error("an admission webhook could not be asked; repair it or its failurePolicy")]
    WebhookFailed,
    /// 404 for the pod.
    #[error("the pod is gone")]
    TargetGone,
    /// 404 for the namespace, or 403 because it is being terminated.
    #[error("the namespace is gone or being terminated")]
    NamespaceGone,
    /// 409: the pod of that name has another UID.
    #[error("another pod has taken the name")]
    TargetReplaced,
    /// 403 otherwise: a permission is missing.
    #[error("permission is missing")]
    Forbidden,
    /// 401: the credentials are not accepted.
    #[error("the credentials are not accepted; renew the token or certificate")]
    Unauthorized,
    /// 400, 405, 406, 415 or 422 about the request itself: a bug of this program.
    #[error("the server calls the request invalid; please report this bug")]
    InvalidRequest,
    /// Any other 5xx. A proxy may have lost the real answer, so the result is unknown.
    #[error("the server failed")]
    ServerError,
    /// The connection was never made, so nothing was sent.
    #[error("the API server cannot be reached")]
    Unreachable,
    /// 504, a timeout, or a connection that broke after the request may have been sent: the result is
    /// unknown.
    #[error("no answer came")]
    NoAnswer,
    /// An answer of unexpected shape or status: the result is unknown.
    #[error("the answer cannot be understood")]
    UnreadableAnswer,
}

impl FailureKind {
    /// All kinds, in declaration order.
    pub const ALL: &'static [Self] = <Self as strum::VariantArray>::VARIANTS;

    /// The stable name of this kind in reports and metrics.
    pub fn code(self) -> &'static str {
        self.into()
    }

    /// Whether an eviction with this answer may have happened anyway, so that only a look at the pod can show
    /// it. A refusal is no proof: a proxy that repeats a request passes on the second answer, and the first
    /// may have succeeded. Without a connection, nothing was sent.
    pub const fn leaves_unknown(self) -> bool {
        !matches!(self, Self::Unreachable)
    }

    /// Whether it clearly says that this request evicted no pod.
    pub(super) const fn is_clear(self) -> bool {
        !matches!(self, Self::ServerError | Self::NoAnswer | Self::UnreadableAnswer)
    }

    /// Whether it explains why a pod that is still there was not evicted. "The pod is gone" does not.
    pub(super) const fn refuses(self) -> bool {
        self.is_clear() && !matches!(self, Self::TargetGone | Self::TargetReplaced)
    }
}

/// An answer that does not belong to the open action. The rotation is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the rotation asked for {asked} and was answered {answered}")]
pub struct UnexpectedAnswer {
    /// The open action.
    pub asked: &'static str,
    /// The kind of answer given.
    pub answered: &'static str,
}
