//! Finds names of a list by their hash.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::input::name_list::{NameList, same};

/// A slot without a name: no row has this number, nor half of it. So many pods do not exist, their
/// names alone would fill 50 GB.
const EMPTY: u32 = u32::MAX;

/// Longest run of full slots. Names that are not made to collide stay far below it in a table that
/// is at most half full; names that are get a tree instead.
const MAX_RUN: usize = 64;

/// Names hashed one after another.
const BATCH: usize = 64;

/// The rows of the first names of a list: a row is the position of a name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NameTable {
    lookup: Lookup,
    /// So many rows have been entered.
    entered: usize,
}

#[derive(Debug, Clone, PartialEq)]
enum Lookup {
    /// Open addressing in a power of two of slots: a row, in the bits above it those of the hash of its
    /// name; or [`EMPTY`].
    Table(Vec<u32>),
    Tree(BTreeMap<String, u32>),
}

/// What a table has under a name.
enum Place {
    Row(u32),
    /// Nothing, and this slot for it.
    Free(usize),
    /// Nothing, and no slot: too many names want it.
    Full,
}

impl Default for NameTable {
    fn default() -> Self {
        Self { lookup: Lookup::Table(Vec::new()), entered: 0 }
    }
}

impl NameTable {
    /// The row of `name`, the first one of equal names, among all of `names`: those that are not in the
    /// table are entered before.
    #[inline]
    pub(crate) fn find(&mut self, names: &NameList, name: &str) -> Option<u32> {
        if self.entered < names.len() {
            self.enter_all(names, |_| {});
        }
        match &self.lookup {
            Lookup::Table(slots) => match place(slots, hash(name.as_bytes()), |row| names.is(row, name)) {
                Place::Row(row) => Some(row),
                Place::Free(_) | Place::Full => None,
            },
            Lookup::Tree(rows) => rows.get(name).copied(),
        }
    }

    /// Enters the rows of `names` that are not in the table, and tells those whose names are there already.
    pub(crate) fn enter_all(&mut self, names: &NameList, mut again: impl FnMut(usize)) {
        if let Lookup::Table(slots) = &mut self.lookup
            && slots.len() < slots_for(names.len())
        {
            *slots = alloc::vec![EMPTY; slots_for(names.len())];
            self.entered = 0;
        }
        let mut hashes = [0; BATCH];
        while self.entered < names.len() {
            let batch = self.entered..names.len().min(self.entered + BATCH);
            // Apart from the search for a slot, whose branches nobody can foresee.
            for (hash, row) in hashes.iter_mut().zip(batch.clone()) {
                *hash = self::hash(names.bytes(row));
            }
            for (hash, row) in hashes.iter().zip(batch.clone()) {
                if !self.enter(row, *hash, names) {
                    again(row);
                }
            }
            self.entered = batch.end;
        }
    }

    /// Makes the row findable; `false` when its name is there already.
    #[inline]
    fn enter(&mut self, row: usize, hash: u32, names: &NameList) -> bool {
        let number = u32::try_from(row).expect("so many names do not fit into memory");
        if let Lookup::Table(slots) = &mut self.lookup {
            match place(slots, hash, |other| same(names.bytes(other), names.bytes(row))) {
                Place::Row(_) => return false,
                Place::Free(slot) => {
                    slots[slot] = hash & !row_bits(slots) | number;
                    return true;
                }
                Place::Full => self.grow_a_tree(row, names),
            }
        }
        let Lookup::Tree(rows) = &mut self.lookup else { return true };
        *rows.entry(names.get(row).to_string()).or_insert(number) == number
    }

    /// Makes a tree of the names before a row.
    #[cold]
    fn grow_a_tree(&mut self, row: usize, names: &NameList) {
        let before = names.iter().zip(0..).take(row).collect::<Vec<(&str, u32)>>();
        // The first of equal names stays.
        let rows = before.into_iter().rev().map(|(name, row)| (name.to_string(), row)).collect();
        self.lookup = Lookup::Tree(rows);
    }
}

/// Where a name of this hash is in a table, `is` telling whether a row has it.
#[inline]
fn place(slots: &[u32], hash: u32, is: impl Fn(usize) -> bool) -> Place {
    let rows = row_bits(slots);
    for at in hash as usize..hash as usize + MAX_RUN {
        let at = at & slots.len().wrapping_sub(1);
        // A table without names has no slots.
        let Some(&slot) = slots.get(at) else { break };
        if slot == EMPTY {
            return Place::Free(at);
        }
        if (slot ^ hash) & !rows == 0 && is((slot & rows) as usize) {
            return Place::Row(slot & rows);
        }
    }
    Place::Full
}

/// A table for so many names is at most half full.
fn slots_for(count: usize) -> usize {
    (count * 2).next_power_of_two().max(16)
}

/// The bits of a slot that hold its row: as many as number the slots, of which half stay free.
fn row_bits(slots: &[u32]) -> u32 {
    u32::try_from(slots.len().wrapping_sub(1)).unwrap_or(u32::MAX)
}

/// Mixes sixteen bytes at a time by folded multiplication, as wyhash and foldhash do.
#[inline]
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

    fn fleet(count: usize) -> NameList {
        let names: Vec<String> =
            (0..count).map(|index| format!("orders-consumer-{}-{index}", index % 7)).collect();
        names.iter().map(String::as_str).collect()
    }

    fn entered(names: &NameList) -> NameTable {
        let mut table = NameTable::default();
        table.enter_all(names, |row| panic!("{} is there once", names.get(row)));
        table
    }

    #[test]
    fn every_name_is_found_and_no_other() {
        let mut names = fleet(5_000);
        let mut table = entered(&names);
        for row in 0..5_000_u32 {
            let name = names.get(row as usize);
            assert_eq!(table.find(&names, name), Some(row));
            assert_eq!(table.find(&names, &name[1..]), None);
        }
        // Within the room of the table, and beyond it.
        for row in 5_000..20_000_u32 {
            let name = format!("more-{row}");
            assert_eq!(table.find(&names, &name), None);
            names.push(&name);
            assert_eq!(table.find(&names, &name), Some(row));
        }
        assert_eq!(NameTable::default().find(&NameList::default(), ""), None);
    }

    #[test]
    fn names_made_to_collide_go_into_a_tree() {
        let mut names = fleet(200);
        let mut table = entered(&names);
        let Lookup::Table(slots) = &mut table.lookup else { panic!("no name collides") };
        // As if all names had one hash.
        let hash = hash(b"b");
        (0..MAX_RUN).for_each(|offset| {
            let slot = (hash as usize + offset) & (slots.len() - 1);
            slots[slot] = hash & !row_bits(slots);
        });
        let first = names.get(0).to_string();
        names.push(&first);
        for (row, name) in (201..).zip(["b", "c"]) {
            names.push(name);
            assert_eq!(table.find(&names, name), Some(row));
            assert!(matches!(table.lookup, Lookup::Tree(_)));
        }
        for (row, name) in (0..).zip(names.iter()).filter(|(row, _)| *row != 200) {
            assert_eq!(table.find(&names, name), Some(row), "{name}");
        }
        assert_eq!(table.find(&names, "d"), None);
        names.push("b");
        let mut again: Vec<usize> = Vec::new();
        table.enter_all(&names, |row| again.push(row));
        assert_eq!(again, [203]);
        assert_eq!(table.find(&names, "b"), Some(201));
    }

    #[test]
    fn names_of_one_hash_are_told_apart() {
        let names: NameList = ["a", "b"].into_iter().collect();
        let mut table = entered(&names);
        let Lookup::Table(slots) = &mut table.lookup else { panic!("no name collides") };
        // As if "a" had the hash of "b".
        let hash = hash(b"b");
        let tag = hash & !row_bits(slots);
        let home = hash as usize & (slots.len() - 1);
        let next = (home + 1) & (slots.len() - 1);
        (slots[home], slots[next]) = (tag, tag | 1);
        assert_eq!(table.find(&names, "b"), Some(1));
    }

    #[test]
    fn of_equal_names_the_first_is_found_and_the_others_are_told() {
        let names: NameList = ["a", "a", "b", "a"].into_iter().collect();
        let mut table = NameTable::default();
        let mut again: Vec<usize> = Vec::new();
        table.enter_all(&names, |row| again.push(row));
        assert_eq!(again, [1, 3]);
        assert_eq!(table.find(&names, "a"), Some(0));
        assert_eq!(table.find(&names, "b"), Some(2));
    }

    #[test]
    fn hashes_of_a_fleet_spread_over_a_table() {
        let names = fleet(100_000);
        assert!(matches!(entered(&names).lookup, Lookup::Table(_)));
        let mut homes = alloc::vec![0_u32; 1 << 17];
        for name in names.iter() {
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
