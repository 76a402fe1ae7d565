//! Names in one string, without an allocation for each.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use crate::input::name_table::NameTable;

/// Bytes compared in one step.
const STEP: usize = 16;

/// Names, one behind the other.
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
    #[inline]
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

    /// The name at `position`.
    ///
    /// # Panics
    /// When there are not so many names.
    #[inline]
    pub fn get(&self, position: usize) -> &str {
        &self.text[self.span(position)]
    }

    /// The names in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> + Clone {
        let mut start = 0;
        self.ends.iter().map(move |&end| &self.text[core::mem::replace(&mut start, end)..end])
    }

    /// The names that stand there again, once for each time after the first, in order.
    pub fn repeated(&self) -> Vec<&str> {
        // Some servers sort their answers; then no table is needed.
        if self.is_ascending() {
            return Vec::new();
        }
        let mut again: Vec<&str> = Vec::new();
        NameTable::default().enter_all(self, |position| again.push(self.get(position)));
        again
    }

    /// Whether every name stands behind all that sort before it, so that no two are equal.
    pub(crate) fn is_ascending(&self) -> bool {
        (1..self.len()).all(|position| self.bytes(position - 1) < self.bytes(position))
    }

    /// Whether that is the name at a position that exists.
    #[inline]
    pub(crate) fn is(&self, position: usize, name: &str) -> bool {
        same(self.bytes(position), name.as_bytes())
    }

    /// The bytes of the name at a position that exists.
    #[inline]
    pub(crate) fn bytes(&self, position: usize) -> &[u8] {
        &self.text.as_bytes()[self.span(position)]
    }

    /// Where the name at a position that exists lies in the text.
    #[inline]
    fn span(&self, position: usize) -> Range<usize> {
        position.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[position]
    }

    pub(crate) fn reserve(&mut self, names: usize, bytes: usize) {
        self.text.reserve(bytes);
        self.ends.reserve(names);
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

/// Whether both are the same bytes, sixteen at a time and the last first: there the names of the pods
/// of a workload differ. They are too short for the call of a library to pay.
#[inline]
pub(crate) fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match (one.last_chunk::<STEP>(), other.last_chunk::<STEP>()) {
        (Some(last), Some(other_last)) => {
            let (blocks, others) = (one.as_chunks::<STEP>().0, other.as_chunks::<STEP>().0);
            last == other_last && blocks.iter().zip(others).all(|(block, other)| block == other)
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_tells_names_apart() {
        for length in 0..80 {
            let one = alloc::vec![b'x'; length];
            assert!(same(&one, &one.clone()), "{length}");
            assert!(!same(&one, &alloc::vec![b'x'; length + 1]), "{length}");
            for at in 0..length {
                let mut other = one.clone();
                other[at] = b'y';
                assert!(!same(&one, &other), "byte {at} of {length}");
            }
        }
    }

    #[test]
    fn names_that_stand_there_again_are_found_in_any_order() {
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
