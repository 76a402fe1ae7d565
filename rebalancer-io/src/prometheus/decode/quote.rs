//! Where a string ends: the first quote in some bytes.

/// Bytes looked at in one step.
const STEP: usize = 16;

/// Steps before the search is left to `memchr`. Most strings are shorter; its call would cost more
/// than they do.
const STEPS: usize = 8;

/// Where the first quote stands.
#[inline]
pub(super) fn quote(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    for step in 0..STEPS {
        let Some((block, more)) = rest.split_first_chunk() else {
            return rest.iter().position(|byte| *byte == b'"').map(|length| step * STEP + length);
        };
        if let Some(length) = in_block(block) {
            return Some(step * STEP + length);
        }
        rest = more;
    }
    memchr::memchr(b'"', rest).map(|length| STEPS * STEP + length)
}

/// Eight bytes at a time, both halves at once.
#[inline]
fn in_block(block: &[u8; STEP]) -> Option<usize> {
    let (words, _) = block.as_chunks();
    let [one, other] = [zeros(words[0]), zeros(words[1])];
    if one | other == 0 {
        return None;
    }
    let (zeros, before) = if one == 0 { (other, 8) } else { (one, 0) };
    Some(before + zeros.trailing_zeros() as usize / 8)
}

/// The high bit of each quote; above the lowest one there may be wrong ones.
const fn zeros(word: [u8; 8]) -> u64 {
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
    let word = u64::from_le_bytes(word) ^ QUOTES;
    word.wrapping_sub(LOW) & !word & HIGH
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn the_first_quote_is_found_wherever_it_stands() {
        for length in 0..300 {
            for first in 0..length {
                let mut bytes = vec![b'!'; length];
                bytes[first] = b'"';
                bytes[length - 1] = b'"';
                assert_eq!(quote(&bytes), Some(first), "{first} of {length}");
                bytes[first] = b'"' | 0x80;
                assert_eq!(quote(&bytes), (first + 1 < length).then_some(length - 1), "{first} of {length}");
            }
            assert_eq!(quote(&vec![b'#'; length]), None);
        }
    }
}
