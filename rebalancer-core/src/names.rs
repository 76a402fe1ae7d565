//! Finds names among those of a workload: by the order they came in last time, or by their hash.

use alloc::vec::Vec;

/// A slot without a name. So many pods do not exist: their names alone would fill 100 GB.
const EMPTY: u32 = u32::MAX;

/// Longest run of full slots. Names that are not made to collide stay far below it in a table that
/// is half empty; names that are get a sorted list instead.
const MAX_RUN: usize = 64;

/// After so many wrong guesses in a row an answer is in an order of its own.
const MAX_MISSES: u32 = 8;

/// Borrowed names and where they are.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    all: Vec<&'a str>,
    lookup: Lookup,
    /// The row that came after each row in the last answer; at first the next one.
    followers: Vec<u32>,
}

#[derive(Debug)]
enum Lookup {
    /// Open addressing: the [`tag`] of a name and its row, or [`EMPTY`].
    Table(Vec<(u32, u32)>),
    /// Rows in the order of their names.
    Sorted(Vec<u32>),
}

/// Where an answer is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cursor {
    /// The row of the name before.
    last: Option<u32>,
    misses: u32,
}

impl<'a> Names<'a> {
    /// Of two equal names the first is found.
    pub(crate) fn new(names: Vec<&'a str>) -> Self {
        let count = u32::try_from(names.len()).expect("so many names do not fit into memory");
        let lookup = table(&names).map_or_else(|| Lookup::Sorted(sorted(&names)), Lookup::Table);
        Self { all: names, lookup, followers: (1..=count).collect() }
    }

    /// The row of `name`, which is the next one in the answer of `cursor`.
    pub(crate) fn find(&mut self, name: &str, cursor: &mut Cursor) -> Option<usize> {
        if cursor.misses < MAX_MISSES {
            let guess = cursor.last.map_or(0, |last| self.followers[last as usize]);
            if self.all.get(guess as usize).is_some_and(|candidate| *candidate == name) {
                cursor.last = Some(guess);
                cursor.misses = 0;
                return Some(guess as usize);
            }
            cursor.misses += 1;
        }
        let row = self.look_up(name)?;
        if let Some(last) = cursor.last.replace(row) {
            self.followers[last as usize] = row;
        }
        Some(row as usize)
    }

    pub(crate) fn into_vec(self) -> Vec<&'a str> {
        self.all
    }

    fn look_up(&self, name: &str) -> Option<u32> {
        match &self.lookup {
            Lookup::Table(slots) => {
                let hash = hash(name.as_bytes());
                for (found, row) in run(slots, hash) {
                    if *row == EMPTY {
                        return None;
                    }
                    if *found == tag(hash) && self.all[*row as usize] == name {
                        return Some(*row);
                    }
                }
                None
            }
            Lookup::Sorted(rows) => {
                let before = rows.partition_point(|row| self.all[*row as usize] < name);
                rows.get(before).copied().filter(|row| self.all[*row as usize] == name)
            }
        }
    }
}

/// `None` when too many names want the same slots.
fn table(names: &[&str]) -> Option<Vec<(u32, u32)>> {
    let mut slots = alloc::vec![(0, EMPTY); (names.len() * 2).next_power_of_two()];
    let mask = slots.len() - 1;
    for (row, name) in (0..).zip(names) {
        let hash = hash(name.as_bytes());
        let free = run(&slots, hash).position(|(_, row)| *row == EMPTY)?;
        let slot = (home(hash, slots.len()) + free) & mask;
        slots[slot] = (tag(hash), row);
    }
    Some(slots)
}

/// The slots in which a name of this hash may be.
fn run(slots: &[(u32, u32)], hash: u64) -> impl Iterator<Item = &(u32, u32)> {
    let home = home(hash, slots.len());
    (home..home + MAX_RUN).map(|slot| &slots[slot & (slots.len() - 1)])
}

fn sorted(names: &[&str]) -> Vec<u32> {
    let mut rows: Vec<u32> = (0..).take(names.len()).collect();
    // Stable: of equal names the first comes first.
    rows.sort_by_key(|row| names[*row as usize]);
    rows
}

/// The slot a hash begins at, from its upper bits; `slots` is a power of two.
fn home(hash: u64, slots: usize) -> usize {
    (hash >> 32) as usize & (slots - 1)
}

/// What a slot keeps of a hash: its lower bits.
fn tag(hash: u64) -> u32 {
    (hash & 0xffff_ffff) as u32
}

/// Mixes eight bytes at a time by folded multiplication, as wyhash and foldhash do.
fn hash(bytes: &[u8]) -> u64 {
    // Digits of pi, as in Blowfish: odd, and half of their bits are set.
    const KEYS: [u64; 2] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345];
    let mut state = KEYS[0] ^ bytes.len() as u64;
    let mut rest = bytes;
    while let Some((word, more)) = rest.split_first_chunk() {
        state = fold(state ^ u64::from_le_bytes(*word), KEYS[1]);
        rest = more;
    }
    let tail = match bytes.last_chunk() {
        // The last eight bytes, some of them for the second time.
        Some(word) => u64::from_le_bytes(*word),
        None => rest.iter().fold(0, |tail, byte| tail << 8 | u64::from(*byte)),
    };
    fold(state ^ tail, KEYS[0])
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::String;

    fn fleet(count: usize) -> Vec<String> {
        (0..count).map(|index| format!("orders-consumer-{}-{index}", index % 7)).collect()
    }

    fn borrowed(names: &[String]) -> Vec<&str> {
        names.iter().map(String::as_str).collect()
    }

    #[test]
    fn every_name_is_found_in_any_order_and_no_other() {
        let fleet = fleet(5_000);
        let mut names = Names::new(borrowed(&fleet));
        for step in [1, 1, 3, 4_999, 4_999] {
            let mut cursor = Cursor::default();
            for position in 0..fleet.len() {
                let row = position * step % fleet.len();
                assert_eq!(names.find(&fleet[row], &mut cursor), Some(row), "{step}");
                assert_eq!(names.find(&fleet[row][1..], &mut cursor.clone()), None);
            }
        }
        assert_eq!(Names::new(Vec::new()).find("", &mut Cursor::default()), None);
    }

    #[test]
    fn an_order_that_was_seen_before_is_followed_without_a_lookup() {
        let fleet = fleet(100);
        let mut names = Names::new(borrowed(&fleet));
        let order: Vec<usize> = (0..100).map(|position| position * 37 % 100).collect();
        let mut cursor = Cursor::default();
        assert!(order.iter().all(|row| names.find(&fleet[*row], &mut cursor) == Some(*row)));
        names.lookup = Lookup::Sorted(Vec::new());
        let mut cursor = Cursor::default();
        assert!(order.iter().all(|row| names.find(&fleet[*row], &mut cursor) == Some(*row)));
        assert_eq!(names.find("another", &mut cursor), None);
    }

    #[test]
    fn names_made_to_collide_are_sorted() {
        // One name many times has one hash.
        let mut fleet = alloc::vec![String::from("a"); 200];
        fleet.push("b".into());
        let mut names = Names::new(borrowed(&fleet));
        assert!(matches!(names.lookup, Lookup::Sorted(_)));
        let mut cursor = Cursor { last: None, misses: MAX_MISSES };
        assert_eq!(names.find("a", &mut cursor), Some(0), "the first of equal ones");
        assert_eq!(names.find("b", &mut cursor), Some(200));
        assert_eq!(names.find("c", &mut cursor), None);
    }

    #[test]
    fn hashes_of_a_fleet_spread_over_a_table() {
        let fleet = fleet(100_000);
        assert!(table(&borrowed(&fleet)).is_some());
        let mut homes = alloc::vec![0_u32; 1 << 17];
        for name in &fleet {
            homes[home(hash(name.as_bytes()), 1 << 17)] += 1;
        }
        assert!(homes.iter().all(|names| *names < 12), "at most {:?} in one slot", homes.iter().max());
        for length in 0..40 {
            let one = alloc::vec![b'x'; length];
            for at in 0..length {
                let mut other = one.clone();
                other[at] = b'y';
                assert_ne!(hash(&one), hash(&other), "byte {at} of {length}");
            }
        }
    }
}
