//! A rotation, from the plan to the report: which pods may be evicted, whether the workload is settled, and
//! the state machine that carries out a plan.

pub(crate) mod checks;
pub(crate) mod claim;
pub(crate) mod disturbance;
pub(crate) mod eligibility;
pub(crate) mod machine;
pub(crate) mod options;
pub(crate) mod plan;
pub(crate) mod protocol;
pub(crate) mod report;
pub(crate) mod rollout;
pub(crate) mod settled;
pub(crate) mod workload;
