//! Finds names among those of a workload: by the order they came in last time, or by their hash.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

/// A slot without a name: no row has this number, nor half of it. So many pods do not exist, their
/// names alone would fill 50 GB.
const EMPTY: u32 = u32::MAX;

/// Longest run of full slots. Names that are not made to collide stay far below it in a table that
/// is at most half full; names that are get a tree instead.
const MAX_RUN: usize = 64;

/// Bytes compared in one step.
const STEP: usize = 16;

/// After so many wrong guesses in a row an answer is in an order of its own.
const MAX_MISSES: u32 = 8;

/// Rows looked at in the order of the answer before: a pod may be missing in this one.
const GUESSES: usize = 2;

/// Names, one behind the other, and where each is: its row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Names {
    text: String,
    /// Where the name of each row ends in `text`.
    ends: Vec<usize>,
    lookup: Lookup,
    /// So many rows are in `lookup`: none before an answer is in an order of its own.
    entered: usize,
    /// Whether every name was added after all that sort before it, as some servers answer.
    ascending: bool,
    /// The row that came after each row in the last answer; at first the next one.
    followers: Vec<u32>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            text: String::new(),
            ends: Vec::new(),
            lookup: Lookup::Table(Vec::new()),
            entered: 0,
            ascending: true,
            followers: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Lookup {
    /// Open addressing in a power of two of slots: a row, in the bits above it those of the hash of its
    /// name; or [`EMPTY`].
    Table(Vec<u32>),
    Tree(BTreeMap<String, u32>),
}

/// Where an answer is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cursor {
    /// The row of the name before.
    last: Option<u32>,
    misses: u32,
}

impl Names {
    /// Names in their order. Of two equal ones the first is found.
    pub(crate) fn of<'n>(names: impl ExactSizeIterator<Item = &'n str> + Clone) -> Self {
        let mut all = Self {
            text: String::with_capacity(names.clone().map(str::len).sum()),
            ends: Vec::with_capacity(names.len()),
            followers: Vec::with_capacity(names.len()),
            ascending: false,
            ..Self::default()
        };
        for name in names {
            all.push(name);
        }
        all
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The name of a row that exists.
    pub(crate) fn get(&self, row: usize) -> &str {
        &self.text[self.span(row)]
    }

    /// Whether that is the name of a row that exists.
    fn is(&self, row: u32, name: &str) -> bool {
        same(&self.text.as_bytes()[self.span(row as usize)], name.as_bytes())
    }

    /// Where the name of a row that exists lies in the text.
    fn span(&self, row: usize) -> Range<usize> {
        row.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[row]
    }

    /// The names in the order of their rows.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |&end| &self.text[core::mem::replace(&mut start, end)..end])
    }

    /// The row of `name`, which is the next one in the answer of `cursor`.
    pub(crate) fn find(&mut self, name: &str, cursor: &mut Cursor) -> Option<usize> {
        if let Some(row) = self.guess(name, cursor) {
            return Some(row as usize);
        }
        let row = self.look_up(name, hash(name.as_bytes()))?;
        self.note(row, cursor);
        Some(row as usize)
    }

    /// The same; a name that is not there is added.
    pub(crate) fn find_or_add(&mut self, name: &str, cursor: &mut Cursor) -> usize {
        if let Some(row) = self.guess(name, cursor) {
            return row as usize;
        }
        let row = if self.is_after_all(name) {
            self.push(name)
        } else {
            let hash = hash(name.as_bytes());
            self.look_up(name, hash).unwrap_or_else(|| self.add(name, hash))
        };
        self.note(row, cursor);
        row as usize
    }

    /// Whether the order tells that no row has this name.
    fn is_after_all(&mut self, name: &str) -> bool {
        let last = self.len().checked_sub(1);
        self.ascending = self.ascending && last.is_none_or(|last| self.get(last) < name);
        self.ascending
    }

    /// The row after the last one, or the one after that, if the order is that of the answer before.
    fn guess(&self, name: &str, cursor: &mut Cursor) -> Option<u32> {
        if cursor.misses >= MAX_MISSES {
            return None;
        }
        let mut guess = cursor.last.map_or(0, |last| self.followers[last as usize]);
        for _ in 0..GUESSES {
            if guess as usize >= self.len() {
                break;
            }
            if self.is(guess, name) {
                *cursor = Cursor { last: Some(guess), misses: 0 };
                return Some(guess);
            }
            guess = self.followers[guess as usize];
        }
        cursor.misses += 1;
        None
    }

    /// Remembers that `row` came next.
    fn note(&mut self, row: u32, cursor: &mut Cursor) {
        if let Some(last) = cursor.last.replace(row) {
            self.followers[last as usize] = row;
        }
    }

    /// Adds a name that was looked up in vain. A table that is full is made anew by the next look.
    fn add(&mut self, name: &str, hash: u32) -> u32 {
        let row = self.push(name);
        if self.has_room() {
            self.enter(row, hash);
            self.entered += 1;
        }
        row
    }

    fn push(&mut self, name: &str) -> u32 {
        let row = u32::try_from(self.len()).expect("so many names do not fit into memory");
        self.text.push_str(name);
        self.ends.push(self.text.len());
        self.followers.push(row + 1);
        row
    }

    fn look_up(&mut self, name: &str, hash: u32) -> Option<u32> {
        self.enter_all();
        self.entered_as(name, hash)
    }

    /// Enters all rows that are not yet, into a table with room for them.
    fn enter_all(&mut self) {
        if !self.has_room() {
            self.lookup = Lookup::Table(alloc::vec![EMPTY; slots_for(self.len())]);
            self.entered = 0;
        }
        while self.entered < self.len() {
            let hash = hash(self.get(self.entered).as_bytes());
            self.enter(u32::try_from(self.entered).expect("a row fits"), hash);
            self.entered += 1;
        }
    }

    fn has_room(&self) -> bool {
        match &self.lookup {
            Lookup::Table(slots) => slots.len() >= slots_for(self.len()),
            Lookup::Tree(_) => true,
        }
    }

    /// The row of a name that was entered.
    fn entered_as(&self, name: &str, hash: u32) -> Option<u32> {
        let slots = match &self.lookup {
            Lookup::Table(slots) => slots,
            Lookup::Tree(rows) => return rows.get(name).copied(),
        };
        let rows = row_bits(slots);
        for &slot in run(slots, hash) {
            if slot == EMPTY {
                return None;
            }
            if (slot ^ hash) & !rows == 0 && self.is(slot & rows, name) {
                return Some(slot & rows);
            }
        }
        None
    }

    /// Makes the row findable; of equal names the one that is entered first.
    fn enter(&mut self, row: u32, hash: u32) {
        if let Lookup::Table(slots) = &mut self.lookup {
            if put(slots, hash, row) {
                return;
            }
            // The first of equal names stays.
            let names = self.iter().zip(0..row).collect::<Vec<(&str, u32)>>();
            let rows = names.into_iter().rev().map(|(name, row)| (name.to_string(), row)).collect();
            self.lookup = Lookup::Tree(rows);
        }
        let name = self.get(row as usize).to_string();
        if let Lookup::Tree(rows) = &mut self.lookup {
            rows.entry(name).or_insert(row);
        }
    }
}

/// Whether both are the same bytes, sixteen at a time and the last first: there the names of the pods
/// of a workload differ. They are too short for the call of a library to pay.
fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match (one.last_chunk::<STEP>(), other.last_chunk::<STEP>()) {
        (Some(last), Some(other_last)) => {
            let (blocks, others) = (one.chunks_exact(STEP), other.chunks_exact(STEP));
            last == other_last && blocks.zip(others).all(|(block, other)| block == other)
        }
        _ => one == other,
    }
}

/// A table for so many names is at most half full.
fn slots_for(count: usize) -> usize {
    (count * 2).next_power_of_two().max(16)
}

/// The bits of a slot that hold its row: as many as number the slots, of which half stay free.
fn row_bits(slots: &[u32]) -> u32 {
    u32::try_from(slots.len() - 1).unwrap_or(u32::MAX)
}

/// The slots in which a name of this hash may be.
fn run(slots: &[u32], hash: u32) -> impl Iterator<Item = &u32> {
    let home = hash as usize;
    (home..home + MAX_RUN).map(|slot| &slots[slot & (slots.len() - 1)])
}

/// Fills the first free slot; `false` when too many names want it.
fn put(slots: &mut [u32], hash: u32, row: u32) -> bool {
    let Some(free) = run(slots, hash).position(|slot| *slot == EMPTY) else { return false };
    let slot = (hash as usize + free) & (slots.len() - 1);
    slots[slot] = hash & !row_bits(slots) | row;
    true
}

/// Mixes sixteen bytes at a time by folded multiplication, as wyhash and foldhash do.
#[expect(clippy::cast_possible_truncation, reason = "both halves are mixed into the lower one")]
fn hash(bytes: &[u8]) -> u32 {
    // Digits of pi, as in Blowfish: half of their bits are set.
    const KEYS: [u64; 3] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d0];
    let mut state = KEYS[0] ^ bytes.len() as u64;
    let mut rest = bytes;
    while let Some((words, more)) = rest.split_first_chunk() {
        let (one, other) = halves(u128::from_le_bytes(*words));
        state = fold(state ^ one, KEYS[1] ^ other);
        rest = more;
    }
    // The last sixteen bytes, some of them for the second time.
    let last = match bytes.last_chunk() {
        Some(words) => u128::from_le_bytes(*words),
        None => rest.iter().fold(0, |last, byte| last << 8 | u128::from(*byte)),
    };
    let (one, other) = halves(last);
    let mixed = fold(state ^ one, KEYS[2] ^ other);
    (mixed ^ (mixed >> 32)) as u32
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
const fn halves(words: u128) -> (u64, u64) {
    (words as u64, (words >> 64) as u64)
}

const fn fold(one: u64, other: u64) -> u64 {
    let (low, high) = halves(one as u128 * other as u128);
    low ^ high
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

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
        for step in [1, 1, 3, 4_999, 4_999] {
            let mut cursor = Cursor::default();
            for position in 0..fleet.len() {
                let row = position * step % fleet.len();
                assert_eq!(names.find(&fleet[row], &mut cursor), Some(row), "{step}");
                assert_eq!(names.find(&fleet[row][1..], &mut cursor.clone()), None);
            }
        }
        assert!(names.iter().eq(fleet.iter().map(String::as_str)));
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
            assert_eq!(names.len(), fleet.len());
        }
    }

    #[test]
    fn an_order_that_was_seen_before_is_followed_without_a_lookup() {
        let fleet = fleet(100);
        let mut names = names(&fleet);
        let order: Vec<usize> = (0..100).map(|position| position * 37 % 100).collect();
        let mut cursor = Cursor::default();
        assert!(order.iter().all(|row| names.find(&fleet[*row], &mut cursor) == Some(*row)));
        names.lookup = Lookup::Tree(BTreeMap::new());
        let mut cursor = Cursor::default();
        // One that is missing in an answer is passed over.
        let mut some = order.iter().enumerate().filter(|(position, _)| position % 10 != 9);
        assert!(some.all(|(_, row)| names.find(&fleet[*row], &mut cursor) == Some(*row)));
        let mut cursor = Cursor::default();
        assert!(order.iter().all(|row| names.find(&fleet[*row], &mut cursor) == Some(*row)));
        assert_eq!(names.find("another", &mut cursor), None);
    }

    #[test]
    fn names_made_to_collide_go_into_a_tree() {
        let fleet = fleet(200);
        let mut names = names(&fleet);
        let mut cursor = Cursor { last: None, misses: MAX_MISSES };
        assert_eq!(names.find("b", &mut cursor), None);
        let Lookup::Table(slots) = &mut names.lookup else { panic!("no name collides") };
        // As if all names had one hash.
        let hash = hash(b"b");
        (0..MAX_RUN).for_each(|offset| {
            let slot = (hash as usize + offset) & (slots.len() - 1);
            slots[slot] = hash & !row_bits(slots);
        });
        assert_eq!(names.find_or_add("b", &mut cursor), 200);
        assert!(matches!(names.lookup, Lookup::Tree(_)));
        assert_eq!(names.find_or_add("c", &mut cursor), 201);
        for (row, name) in fleet.iter().map(String::as_str).chain(["b", "c"]).enumerate() {
            assert_eq!(names.find(name, &mut cursor), Some(row), "{name}");
        }
        assert_eq!(names.find("d", &mut cursor), None);
    }

    #[test]
    fn of_equal_names_the_first_is_found() {
        let mut names = names(&[String::from("a"), String::from("a"), String::from("b")]);
        let mut cursor = Cursor { last: None, misses: MAX_MISSES };
        assert_eq!(names.find("a", &mut cursor), Some(0));
        assert_eq!(names.find("b", &mut cursor), Some(2));
    }

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
    fn hashes_of_a_fleet_spread_over_a_table() {
        let fleet = fleet(100_000);
        let mut names = names(&fleet);
        assert_eq!(names.find("another", &mut Cursor::default()), None);
        assert!(matches!(names.lookup, Lookup::Table(_)));
        let mut homes = alloc::vec![0_u32; 1 << 17];
        for name in &fleet {
            homes[hash(name.as_bytes()) as usize & ((1 << 17) - 1)] += 1;
        }
        assert!(homes.iter().all(|names| *names < 12), "at most {:?} in one slot", homes.iter().max());
        for length in 0..80 {
            let one = alloc::vec![b'x'; length];
            for at in 0..length {
                let mut other = one.clone();
                other[at] = b'y';
                assert_ne!(hash(&one), hash(&other), "byte {at} of {length}");
            }
        }
    }
}
