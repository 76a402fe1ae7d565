//! The iteration order of Java's hash tables, as far as Kafka's assignors depend on it.
//!
//! A `HashMap` is an array of buckets; their number is a power of two. A key goes into the bucket of its hash
//! modulo that number, behind earlier keys. Iteration goes from bucket to bucket.

/// Number of buckets of a table created without a size.
const USUAL: usize = 16;

/// How a `HashMap` mixes a `hashCode`, so that the upper half counts too.
pub(super) const fn spread(hash: u32) -> usize {
    (hash ^ (hash >> 16)) as usize
}

/// Buckets of a table that began with `buckets` and grew one by one to `keys` keys: it doubles when more than
/// three quarters full.
pub(super) fn grown(mut buckets: usize, keys: usize) -> usize {
    while keys > buckets * 3 / 4 {
        buckets *= 2;
    }
    buckets
}

/// Buckets of a table of the default size after inserting `keys` keys.
pub(super) fn filled(keys: usize) -> usize {
    grown(USUAL, keys)
}

/// Buckets of a `new HashSet<>(collection)` of `keys` keys.
pub(super) fn copied(keys: usize) -> usize {
    (keys * 4 / 3 + 1).max(USUAL).next_power_of_two()
}

/// Sorts keys into a table's iteration order; keys in the same bucket keep their order.
pub(super) fn walk<T>(keys: &mut [T], buckets: usize, hash: impl Fn(&T) -> usize) {
    keys.sort_by_key(|key| hash(key) % buckets);
}
