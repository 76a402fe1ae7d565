//! Questions about sixteen bytes at once, answered by a bit for each of them, the first one lowest.

use wide::u8x16;

/// Bytes looked at in one step.
pub(super) const STEP: usize = 16;

/// The bits of all of them.
pub(super) const ALL: u32 = 0xffff;

/// The bytes that end the plain text of a string: quotes, backslashes and control characters.
#[inline]
pub(super) fn that_end_strings(block: &[u8; STEP]) -> u32 {
    let bytes = u8x16::from(*block);
    let marks = bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\'));
    (marks | bytes.min(u8x16::splat(0x1f)).simd_eq(bytes)).to_bitmask()
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
            let near_marks = one.map(|byte| b"\"\\\n\x1f !]#\x7f\x80\xa2\xdc"[usize::from(byte % 12)]);
            for block in [one, near_marks] {
                let ends = |at: usize| block[at] < b' ' || matches!(block[at], b'"' | b'\\');
                prop_assert_eq!(that_end_strings(&block), told(&ends));
            }
        }
    }
}
