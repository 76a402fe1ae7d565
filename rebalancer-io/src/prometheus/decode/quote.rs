//! Where a string ends: the first quote in some bytes.

use super::block::{STEP, that_are};

/// Steps before the search is left to `memchr`. Most strings are shorter; its call would cost more
/// than they do.
const STEPS: usize = 16;

/// Where the first quote stands.
#[inline]
pub(super) fn quote(bytes: &[u8]) -> Option<usize> {
    let mut rest = bytes;
    for step in 0..STEPS {
        let Some((block, more)) = rest.split_first_chunk() else {
            return rest.iter().position(|byte| *byte == b'"').map(|length| step * STEP + length);
        };
        let quotes = that_are(block, b'"');
        if quotes != 0 {
            return Some(step * STEP + quotes.trailing_zeros() as usize);
        }
        rest = more;
    }
    memchr::memchr(b'"', rest).map(|length| STEPS * STEP + length)
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
