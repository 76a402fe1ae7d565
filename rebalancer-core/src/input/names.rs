//! Finds names among those of a workload: by the order they came in last time, or by their hash.

use alloc::vec::Vec;

use crate::input::name_list::NameList;
use crate::input::name_table::NameTable;

/// After so many wrong guesses in a row an answer is in an order of its own.
const MAX_MISSES: u32 = 8;

/// Rows passed over in the order of the answer before: pods may be missing in this one.
const MAX_SKIPPED: usize = 4;

/// No row has this number: so many names do not fit into memory.
const NO_ROW: u32 = u32::MAX;

/// Names, and where each is: its row.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Names {
    list: NameList,
    /// Made when an answer comes in an order of its own.
    table: NameTable,
    /// The row that came after each row in the last answer; of rows that are not in it, the next one.
    followers: Vec<u32>,
}

/// Where an answer is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cursor {
    /// The row of the name before.
    last: Option<u32>,
    /// The row that should come next; [`NO_ROW`] once the order is another one.
    next: u32,
    misses: u32,
}

impl Names {
    /// Names in their order. Of two equal ones the first is found.
    pub(crate) fn of<'n>(names: impl ExactSizeIterator<Item = &'n str> + Clone) -> Self {
        let mut all = Self::default();
        all.list.reserve(names.len(), names.clone().map(str::len).sum());
        names.for_each(|name| all.list.push(name));
        all
    }

    pub(crate) const fn list(&self) -> &NameList {
        &self.list
    }

    /// Adds a name that is not looked for: where it may be there already, [`NameList::repeated`] tells.
    #[inline]
    pub(crate) fn push(&mut self, name: &str) {
        self.list.push(name);
    }

    /// The row of `name`, which is the next one in the answer of `cursor`.
    #[inline]
    pub(crate) fn find(&mut self, name: &str, cursor: &mut Cursor) -> Option<usize> {
        let next = cursor.next;
        if self.is(next, name) {
            *cursor = Cursor { last: Some(next), next: self.follower(next), misses: 0 };
            return Some(next as usize);
        }
        self.find_elsewhere(name, cursor)
    }

    /// The same; a name that is not there is added.
    #[inline]
    pub(crate) fn find_or_add(&mut self, name: &str, cursor: &mut Cursor) -> usize {
        self.find(name, cursor).unwrap_or_else(|| self.add(name, cursor))
    }

    /// Whether there is such a row, and it has this name.
    #[inline]
    fn is(&self, row: u32, name: &str) -> bool {
        (row as usize) < self.list.len() && self.list.is(row as usize, name)
    }

    #[inline]
    fn follower(&self, row: u32) -> u32 {
        self.followers.get(row as usize).copied().unwrap_or(row + 1)
    }

    /// The row of a name that is not the next one.
    #[inline(never)]
    fn find_elsewhere(&mut self, name: &str, cursor: &mut Cursor) -> Option<usize> {
        if let Some(row) = self.skip_to(name, cursor) {
            self.go_to(row, cursor);
            return Some(row as usize);
        }
        let row = self.table.find(&self.list, name)?;
        Some(self.found(row, cursor))
    }

    /// Remembers that the answer has come to `row`.
    fn found(&mut self, row: u32, cursor: &mut Cursor) -> usize {
        self.note(row, cursor);
        self.go_to(row, cursor);
        row as usize
    }

    fn go_to(&self, row: u32, cursor: &mut Cursor) {
        cursor.last = Some(row);
        cursor.next = if cursor.misses < MAX_MISSES { self.follower(row) } else { NO_ROW };
    }

    /// One of the rows behind the next one, if the order is that of the answer before.
    fn skip_to(&self, name: &str, cursor: &mut Cursor) -> Option<u32> {
        if cursor.misses >= MAX_MISSES {
            return None;
        }
        let mut row = cursor.next;
        for _ in 0..MAX_SKIPPED {
            if row as usize >= self.list.len() {
                break;
            }
            row = self.follower(row);
            if self.is(row, name) {
                cursor.misses = 0;
                return Some(row);
            }
        }
        cursor.misses += 1;
        None
    }

    /// Adds a name that was looked up in vain.
    #[cold]
    fn add(&mut self, name: &str, cursor: &mut Cursor) -> usize {
        let row = self.list.len();
        self.list.push(name);
        let number = u32::try_from(row).expect("so many names do not fit into memory");
        self.found(number, cursor)
    }

    /// Remembers that `row` comes after the last one.
    fn note(&mut self, row: u32, cursor: &Cursor) {
        let Some(last) = cursor.last else { return };
        if self.follower(last) == row {
            return;
        }
        let known = u32::try_from(self.followers.len()).expect("there are not more than rows");
        self.followers.extend(known + 1..=last + 1);
        self.followers[last as usize] = row;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    fn fleet(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("orders-consumer-{}-{index}", index % 7)).collect()
    }

    fn names(names: &[String]) -> Names {
        Names::of(names.iter().map(String::as_str))
    }

    #[test]
    fn every_name_is_found_in_any_order_and_no_other() {
        let fleet = fleet(5_000);
        let mut names = names(&fleet);
        for (step, is_new) in [(1, false), (1, false), (3, false), (4_999, true), (4_999, false)] {
            let mut cursor = Cursor::default();
            for position in 0..fleet.len() {
                let row = position * step % fleet.len();
                assert_eq!(names.find(&fleet[row], &mut cursor), Some(row), "{step}");
                assert_eq!(names.find(&fleet[row][1..], &mut cursor.clone()), None);
            }
            assert_eq!(cursor.next == NO_ROW, is_new, "nothing is guessed in an order of its own");
        }
        assert!(names.list().iter().eq(fleet.iter().map(String::as_str)));
        assert_eq!(Names::default().find("", &mut Cursor::default()), None);
    }

    #[test]
    fn names_that_are_added_keep_their_rows() {
        let fleet = fleet(5_000);
        let mut names = Names::default();
        for step in [1, 3, 4_999] {
            let mut cursor = Cursor::default();
            for position in 0..fleet.len() {
                let row = position * step % fleet.len();
                assert_eq!(names.find_or_add(&fleet[row], &mut cursor), row, "{step}");
            }
            assert_eq!(names.list().len(), fleet.len());
        }
    }

    #[test]
    fn an_order_that_was_seen_before_is_followed_without_a_lookup() {
        let fleet = fleet(100);
        for factor in [1, 37] {
            let mut names = names(&fleet);
            let order: Vec<usize> = (0..100).map(|position| position * factor % 100).collect();
            let mut cursor = Cursor::default();
            assert!(order.iter().all(|row| names.find(&fleet[*row], &mut cursor) == Some(*row)));
            // What stands at an end, and one by one in between, may be missing in an answer.
            names.table = NameTable::default();
            for missing in [0, 9] {
                let mut cursor = Cursor::default();
                let some = order.iter().enumerate().filter(|(position, _)| position % 10 != missing);
                for (_, row) in some {
                    assert_eq!(names.find(&fleet[*row], &mut cursor), Some(*row));
                }
                assert_eq!(names.table, NameTable::default(), "nothing was looked up");
            }
        }
    }

    #[test]
    fn of_equal_names_the_first_is_found() {
        let mut names = names(&[String::from("a"), String::from("a"), String::from("b")]);
        let mut cursor = Cursor { misses: MAX_MISSES, next: NO_ROW, last: None };
        assert_eq!(names.find("a", &mut cursor), Some(0));
        assert_eq!(names.find("b", &mut cursor), Some(2));
    }
}
