//! Pod names: all in one string.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use foldhash::fast::FixedState;
use hashbrown::HashSet;

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
        repeated(self.iter())
    }
}

/// The names that occurred before, once for each repetition, in order.
///
/// The hash has no secret seed, because the core uses no randomness. Names chosen to collide make this slow but not
/// wrong.
pub(crate) fn repeated<'n>(names: impl ExactSizeIterator<Item = &'n str> + Clone) -> Vec<&'n str> {
    // If the server sorts its answers, no table is needed.
    if names.clone().is_sorted_by(|name, next| name < next) {
        return Vec::new();
    }
    let mut seen = HashSet::with_capacity_and_hasher(names.len(), FixedState::default());
    names.filter(|name| !seen.insert(*name)).collect()
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
