//! Where a string ends: at the first quote, if nothing before it is an escape or a control character.

use super::block::{STEP, that_end_strings};
use super::scan::Stop;

/// Where the string whose text begins at `from` ends: at its closing quote. An escape and a raw control
/// character are surprises.
#[inline]
pub(super) fn string_end(bytes: &[u8], from: usize) -> Result<usize, Stop> {
    let mut at = from;
    while let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let ends = that_end_strings(block);
        if ends != 0 {
            return closing(bytes, at + ends.trailing_zeros() as usize);
        }
        at += STEP;
    }
    let ends = |byte: &u8| *byte < b' ' || matches!(byte, b'"' | b'\\');
    let length = bytes.get(at..).and_then(|rest| rest.iter().position(ends)).ok_or(Stop::Short)?;
    closing(bytes, at + length)
}

#[inline]
fn closing(bytes: &[u8], at: usize) -> Result<usize, Stop> {
    if bytes[at] == b'"' { Ok(at) } else { Err(Stop::Surprise) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_ends_at_its_quote_wherever_that_stands() {
        for length in 1..300 {
            for first in 0..length {
                let mut bytes = vec![b'!'; length];
                bytes[length - 1] = b'"';
                for (byte, end) in [
                    (b'"', Ok(first)),
                    (b'\\', Err(Stop::Surprise)),
                    (b'\n', Err(Stop::Surprise)),
                    (0x1f, Err(Stop::Surprise)),
                    (b' ', if first + 1 < length { Ok(length - 1) } else { Err(Stop::Short) }),
                    (b'"' | 0x80, if first + 1 < length { Ok(length - 1) } else { Err(Stop::Short) }),
                ] {
                    bytes[first] = byte;
                    assert_eq!(string_end(&bytes, 0), end, "{byte} at {first} of {length}");
                    assert_eq!(string_end(&bytes, first), end, "{byte} at {first} of {length}");
                }
            }
            assert_eq!(string_end(&vec![b'#'; length], 0), Err(Stop::Short));
        }
        assert_eq!(string_end(b"", 0), Err(Stop::Short));
    }
}
