//! Of which source the program was built.

/// The commit, which whoever builds a release sets by `POD_REBALANCER_REVISION`; empty counts as not set.
pub const REVISION: Option<&str> = match option_env!("POD_REBALANCER_REVISION") {
    Some(revision) if !revision.is_empty() => Some(revision),
    _ => None,
};
