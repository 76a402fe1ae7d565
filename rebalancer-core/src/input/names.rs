//! Pod names: all in one string, each with a row number, found by a hash table.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::hash_table::{Entry, HashTable};

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

    /// Removes the last name.
    fn pop(&mut self) {
        self.ends.pop();
        self.text.truncate(self.ends.last().copied().unwrap_or(0));
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
        // If the server sorts its answers, no table is needed.
        if self.iter().is_sorted_by(|name, next| name < next) {
            return Vec::new();
        }
        let mut table: HashTable<u32> = HashTable::with_capacity(self.len());
        let is_again = |row: &usize| enter(&mut table, self, *row).is_some();
        (0..self.len()).filter(is_again).map(|row| self.get(row)).collect()
    }
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

/// Distinct names, and the row of each.
///
/// The hash has no secret seed, because the core uses no randomness. Names chosen to collide make a lookup
/// slow but not wrong.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    list: NameList,
    table: HashTable<u32>,
}

impl Names {
    /// The names by row; drops the table.
    pub(crate) fn into_list(self) -> NameList {
        self.list
    }

    /// The row of `name`. Looks at `guess` first, because answers of one moment nearly always list the pods
    /// in the same order.
    pub(crate) fn find(&self, name: &str, guess: usize) -> Option<usize> {
        if guess < self.list.len() && self.list.get(guess) == name {
            return Some(guess);
        }
        let row = self.table.find(hash(name), |row| self.list.get(*row as usize) == name)?;
        Some(*row as usize)
    }

    /// The row of `name`, added at the end if it is new, and whether it was there before.
    pub(crate) fn find_or_add(&mut self, name: &str, guess: usize) -> (usize, bool) {
        if guess < self.list.len() && self.list.get(guess) == name {
            return (guess, true);
        }
        let row = self.list.len();
        self.list.push(name);
        match enter(&mut self.table, &self.list, row) {
            Some(known) => {
                self.list.pop();
                (known, true)
            }
            None => (row, false),
        }
    }
}

/// Adds a row to the table; returns the row that already has its name, if any.
fn enter(table: &mut HashTable<u32>, names: &NameList, row: usize) -> Option<usize> {
    let name = names.get(row);
    let is_name = |row: &u32| names.get(*row as usize) == name;
    match table.entry(hash(name), is_name, |row| hash(names.get(*row as usize))) {
        Entry::Occupied(known) => Some(*known.get() as usize),
        Entry::Vacant(place) => {
            place.insert(u32::try_from(row).expect("so many names do not fit into memory"));
            None
        }
    }
}

fn hash(name: &str) -> u64 {
    FixedState::default().hash_one(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn every_name_is_found_whatever_the_guess_and_no_other() {
        let fleet: Vec<String> = (0..5_000).map(|index| format!("orders-{}-{index}", index % 7)).collect();
        let mut names = Names::default();
        for (row, name) in fleet.iter().enumerate() {
            assert_eq!(names.find(name, row), None);
            assert_eq!(names.find_or_add(name, row), (row, false));
            assert_eq!(names.find_or_add(name, 0), (row, true));
        }
        for (row, name) in fleet.iter().enumerate() {
            for guess in [row, 0, 4_999, usize::MAX] {
                assert_eq!(names.find(name, guess), Some(row));
            }
            assert_eq!(names.find(&name[1..], row), None);
        }
        let list = names.into_list();
        assert!(list.iter().eq(fleet.iter().map(String::as_str)));
        assert!(list.repeated().is_empty());
    }

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
