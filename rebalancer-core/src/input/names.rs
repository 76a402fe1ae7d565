//! Pod names: all in one string, and the row of each.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// Names in one string, without an allocation per name. The row of a name is its position.
///
/// ```
/// use rebalancer_core::NameList;
///
/// let names: NameList = ["orders-1", "orders-0", "orders-1"].into_iter().collect();
/// assert_eq!(names.get(1), "orders-0");
/// assert_eq!(names.repeated(), ["orders-1"]);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct NameList {
    text: String,
    /// Where each name ends in `text`.
    ends: Vec<usize>,
}

impl NameList {
    /// Adds a name at the end.
    pub fn push(&mut self, name: &str) {
        self.text.push_str(name);
        self.ends.push(self.text.len());
    }

    /// Number of names.
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The name at a row.
    ///
    /// # Panics
    /// When there is no such row.
    pub fn get(&self, row: usize) -> &str {
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[row]]
    }

    /// The names in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        (0..self.len()).map(|row| self.get(row))
    }

    /// The names that occurred before, once for each repetition, in order.
    pub fn repeated(&self) -> Vec<&str> {
        repeated(self.len(), |row| self.get(row))
    }
}

/// The names that occurred before, once for each repetition, in order.
///
/// The hash has no secret seed, because the core uses no randomness. Names chosen to collide make this slow but not
/// wrong.
pub(crate) fn repeated<'n>(count: usize, name: impl Fn(usize) -> &'n str) -> Vec<&'n str> {
    // If the server sorts its answers, no table is needed.
    if (1..count).all(|row| name(row - 1) < name(row)) {
        return Vec::new();
    }
    let mut rows: HashTable<usize> = HashTable::with_capacity(count);
    let is_known = |row: &usize| {
        let this = name(*row);
        let entry = rows.entry(hash(this), |other| name(*other) == this, |other| hash(name(*other)));
        *entry.or_insert(*row).get() != *row
    };
    (0..count).filter(is_known).map(&name).collect()
}

impl<'n> FromIterator<&'n str> for NameList {
    fn from_iter<I: IntoIterator<Item = &'n str>>(names: I) -> Self {
        let mut list = Self::default();
        names.into_iter().for_each(|name| list.push(name));
        list
    }
}

impl fmt::Debug for NameList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Different names, and the row of each.
///
/// The hash has no secret seed, as in [`repeated`].
#[derive(Debug, Clone, Default)]
pub(crate) struct NameTable {
    names: NameList,
    rows: HashTable<usize>,
}

impl NameTable {
    /// The names by their rows.
    pub const fn names(&self) -> &NameList {
        &self.names
    }

    /// The names by their rows, without the table.
    pub fn into_names(self) -> NameList {
        self.names
    }

    /// Makes room for this number of names in all.
    pub fn reserve(&mut self, count: usize) {
        let (names, more) = (&self.names, count.saturating_sub(self.rows.len()));
        self.rows.reserve(more, |row| hash(names.get(*row)));
    }

    /// The row of a name, which is added if it is new. The row where it is expected is looked at first.
    pub fn row(&mut self, name: &str, expected: usize) -> usize {
        let names = &self.names;
        if expected < names.len() && names.get(expected) == name {
            return expected;
        }
        let entry = self.rows.entry(hash(name), |row| names.get(*row) == name, |row| hash(names.get(*row)));
        let row = *entry.or_insert(names.len()).get();
        if row == names.len() {
            self.names.push(name);
        }
        row
    }
}

fn hash(name: &str) -> u64 {
    FixedState::default().hash_one(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_names_are_told_once_for_each_further_time() {
        let repeated = |names: &[&'static str]| {
            let names: NameList = names.iter().copied().collect();
            names.repeated().into_iter().map(String::from).collect::<Vec<String>>()
        };
        assert!(repeated(&[]).is_empty());
        assert!(repeated(&[""]).is_empty());
        assert!(repeated(&["", "a", "aa", "b"]).is_empty());
        assert!(repeated(&["b", "", "aa", "a"]).is_empty());
        assert_eq!(repeated(&["", ""]), [""]);
        assert_eq!(repeated(&["a", "a"]), ["a"]);
        assert_eq!(repeated(&["b", "a", "c", "a", "b", "a"]), ["a", "b", "a"]);
    }
}
