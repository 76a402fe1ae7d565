//! The version of the reports that this program writes and reads, and words for their kinds.

/// Version of the reports' format.
pub const API_VERSION: &str = "pod-rebalancer/v1";

/// The kind of a look at all workloads.
pub const SCAN: &str = "ScanReport";

/// The kind of a run of all workloads that opted in.
pub const RUN_ALL: &str = "RunAllReport";
