//! The order in which Java walks its hash tables, as far as Kafka's assignors go by it.
//!
//! A `HashMap` is an array of buckets, the number of which is a power of two. A key sits in the bucket of
//! its hash modulo that number, behind the keys that came before it, and a walk goes from bucket to bucket.

use alloc::vec::Vec;

/// Number of buckets of a table for which no size was asked.
const USUAL: usize = 16;

/// `String.hashCode()`.
pub(super) fn string_hash(text: &str) -> u32 {
    text.encode_utf16().fold(0, |hash: u32, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)))
}

/// What a `HashMap` makes of a `hashCode`, so that the upper half counts too.
pub(super) const fn spread(hash: u32) -> usize {
    (hash ^ (hash >> 16)) as usize
}

/// Buckets of a table that began with `buckets` and into which keys were put until it held `keys`: it
/// doubles when it is more than three quarters full.
pub(super) fn grown(mut buckets: usize, keys: usize) -> usize {
    while keys > buckets * 3 / 4 {
        buckets *= 2;
    }
    buckets
}

/// Buckets of a table of the usual size into which `keys` keys were put.
pub(super) fn filled(keys: usize) -> usize {
    grown(USUAL, keys)
}

/// Buckets of a `new HashSet<>(collection)` of `keys` keys.
pub(super) fn copied(keys: usize) -> usize {
    (keys * 4 / 3 + 1).max(USUAL).next_power_of_two()
}

/// Puts keys in the order in which a table walks them; those of one bucket stay in the order they are in.
pub(super) fn walk<T>(keys: &mut [T], buckets: usize, hash: impl Fn(&T) -> usize) {
    keys.sort_by_key(|key| hash(key) % buckets);
}

/// The positions of `texts` in the order in which a `HashMap` walks them as keys that were put in one by one.
pub(super) fn walk_of_strings<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let mut hashed: Vec<(usize, usize)> =
        texts.enumerate().map(|(place, text)| (place, spread(string_hash(text)))).collect();
    let buckets = filled(hashed.len());
    walk(&mut hashed, buckets, |(_, hash)| *hash);
    hashed.into_iter().map(|(place, _)| place).collect()
}
