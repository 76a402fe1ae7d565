//! The source revision that the program was built from.

/// The commit, set in a release build by `POD_REBALANCER_REVISION`; empty counts as unset.
pub const REVISION: Option<&str> = match option_env!("POD_REBALANCER_REVISION") {
    Some(revision) if !revision.is_empty() => Some(revision),
    _ => None,
};
