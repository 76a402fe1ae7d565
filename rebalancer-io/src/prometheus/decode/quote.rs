//! Finds the end of a JSON string, sixteen bytes at a time.

use wide::u8x16;

/// Bytes looked at in one step.
const STEP: usize = 16;

/// Why the scanner stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// The text read so far ends too early.
    Short,
    /// The text is not in the compact form.
    Unexpected,
}

/// Position of the closing quote of the string whose text begins at `from`. An escape or a raw control
/// character is unexpected.
#[inline]
pub(super) fn string_end(bytes: &[u8], from: usize) -> Result<usize, Stop> {
    let mut at = from;
    while let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let marks = marks(block);
        if marks != 0 {
            return closing(bytes, at + marks.trailing_zeros() as usize);
        }
        at += STEP;
    }
    let is_mark = |byte: &u8| *byte < b' ' || matches!(byte, b'"' | b'\\');
    let length = bytes.get(at..).and_then(|rest| rest.iter().position(is_mark)).ok_or(Stop::Short)?;
    closing(bytes, at + length)
}

/// A bit mask of the bytes that end the plain text of a string: quotes, backslashes and control characters.
/// The lowest bit is the first byte.
#[inline]
fn marks(block: &[u8; STEP]) -> u32 {
    let bytes = u8x16::from(*block);
    let marks = bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\'));
    (marks | bytes.min(u8x16::splat(0x1f)).simd_eq(bytes)).to_bitmask()
}

#[inline]
fn closing(bytes: &[u8], at: usize) -> Result<usize, Stop> {
    if bytes[at] == b'"' { Ok(at) } else { Err(Stop::Unexpected) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_a_mark_or_not_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            let is_mark = byte < b' ' || matches!(byte, b'"' | b'\\');
            for at in 0..STEP {
                let mut block = [b'!'; STEP];
                block[at] = byte;
                assert_eq!(marks(&block), u32::from(is_mark) << at, "{byte:#x} at {at}");
                let mut string = block.to_vec();
                string.push(b'"');
                let end = if is_mark { at } else { STEP };
                let expected = if string[end] == b'"' { Ok(end) } else { Err(Stop::Unexpected) };
                assert_eq!(string_end(&string, 0), expected, "{byte:#x} at {at}");
            }
        }
    }

    #[test]
    fn a_string_ends_at_its_quote_wherever_that_stands() {
        for length in 1..300 {
            for first in 0..length {
                let mut bytes = vec![b'!'; length];
                bytes[length - 1] = b'"';
                for (byte, end) in [
                    (b'"', Ok(first)),
                    (b'\\', Err(Stop::Unexpected)),
                    (b'\n', Err(Stop::Unexpected)),
                    (0x1f, Err(Stop::Unexpected)),
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
