//! Questions about sixteen bytes at once, answered by a bit for each of them, the first one lowest.

use wide::u8x16;

/// Bytes looked at in one step.
pub(super) const STEP: usize = 16;

/// The bits of all of them.
pub(super) const ALL: u32 = 0xffff;

/// The bytes that are this one.
#[inline]
pub(super) fn that_are(block: &[u8; STEP], byte: u8) -> u32 {
    that_agree(block, &[byte; STEP])
}

/// The bytes that are the same in both.
#[inline]
pub(super) fn that_agree(one: &[u8; STEP], other: &[u8; STEP]) -> u32 {
    u8x16::from(*one).simd_eq(u8x16::from(*other)).to_bitmask()
}

/// Whether both are the same; of most pieces their first and their last block tell.
#[inline]
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let agree = match (one.first_chunk(), other.first_chunk(), one.last_chunk(), other.last_chunk()) {
        (Some(first), Some(other_first), Some(last), Some(other_last)) => {
            that_agree(last, other_last) & that_agree(first, other_first) == ALL
        }
        _ => one == other,
    };
    agree && (one.len() <= 2 * STEP || one == other)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_are_told_as_one_by_one(one: [u8; STEP], mut other: [u8; STEP], alike: [bool; STEP]) {
            for (at, alike) in alike.into_iter().enumerate() {
                if alike {
                    other[at] = one[at];
                }
            }
            let told = |holds: &dyn Fn(usize) -> bool| {
                (0..STEP).filter(|at| holds(*at)).map(|at| 1 << at).sum::<u32>()
            };
            prop_assert_eq!(that_agree(&one, &other), told(&|at| one[at] == other[at]));
            prop_assert_eq!(that_agree(&one, &one), ALL);
            for length in 0..100 {
                let bytes: Vec<u8> = one.into_iter().cycle().take(length).collect();
                prop_assert!(same(&bytes, &bytes.clone()));
                prop_assert!(!same(&bytes, &[&bytes[..], b"x"].concat()));
                for at in 0..length {
                    let mut changed = bytes.clone();
                    changed[at] ^= 1;
                    prop_assert!(!same(&bytes, &changed), "byte {} of {}", at, length);
                }
            }
            for byte in one {
                prop_assert_eq!(that_are(&other, byte), told(&|at| other[at] == byte));
            }
        }
    }
}
