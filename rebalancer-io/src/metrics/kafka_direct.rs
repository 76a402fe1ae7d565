//! The queries of the preset `kafka`, which no metrics server answers: what stands for them was asked of Kafka itself.
//! They are texts like other queries, so that recordings, replays and pages need not know the difference.

/// Lag by pod.
pub(crate) const LAG: &str = "asked_of_kafka:lag";
/// Messages per second by pod.
pub(crate) const RATE: &str = "asked_of_kafka:rate";
/// Messages per second written to each partition.
pub(crate) const LOAD: &str = "asked_of_kafka:partition_load";
/// Who owns which partition.
pub(crate) const OWNERS: &str = "asked_of_kafka:partition_owners";
/// Number of partitions of each member.
pub(crate) const ASSIGNED: &str = "asked_of_kafka:assigned_partitions";
/// The assignor.
pub(crate) const ASSIGNOR: &str = "asked_of_kafka:assignor";
/// Whether replacements take over the identity of the members that they replace: 1 or 0.
pub(crate) const KEEPS_IDENTITY: &str = "asked_of_kafka:keeps_identity";
/// The members by the place of their ids, each with the hash of its id and what it owns.
pub(crate) const MEMBERS: &str = "asked_of_kafka:members";
/// Number of partitions of the group.
pub(crate) const COUNT: &str = "asked_of_kafka:partitions";
/// Whether the group is in a rebalance.
pub(crate) const REBALANCE: &str = "asked_of_kafka:in_rebalance";
/// The committed offsets, and since when records wait there.
pub(crate) const COMMITTED: &str = "asked_of_kafka:committed_offset";
/// The end offsets.
pub(crate) const END: &str = "asked_of_kafka:end_offset";
/// The owners, for as long as all members have been there.
pub(crate) const OFFSET_OWNERS: &str = "asked_of_kafka:offset_owners";

/// Where the logs of the partitions that do not move begin.
pub(crate) const START: &str = "asked_of_kafka:start_offset";
/// For how many seconds the partitions that do not move were watched.
pub(crate) const WATCHED: &str = "asked_of_kafka:watched_seconds";
/// For how many seconds a partition must be watched before it counts as standing.
pub(crate) const WATCH_NEEDED: &str = "asked_of_kafka:watch_needed_seconds";

/// Whether a query, or one written around it, is about what was asked of Kafka.
pub(crate) fn is_of_kafka(query: &str) -> bool {
    query.contains("asked_of_kafka:")
}
