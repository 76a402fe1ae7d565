//! Reads and writes the basic types of Kafka's protocol.
//!
//! Every number in an answer comes from outside, lengths and counts included. So nothing is allocated for what has not
//! been read yet: a list grows element by element, and each element takes at least one byte of the answer.

/// Largest answer that is read: that of a group with 10,000 partitions and 1,000 members has less than 2 MB.
pub(super) const MAX_ANSWER_BYTES: u32 = 16 << 20;

/// An answer that does not follow the protocol; the text says what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer does not follow Kafka's protocol: {0}")]
pub struct Malformed(pub(super) &'static str);

type Read<T> = Result<T, Malformed>;

/// Reads the body of an answer.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    /// How many elements all its lists together may still have.
    elements: usize,
}

/// Most elements of all lists in an answer: a partition has seven, with three replicas, and takes at least as many bytes in
/// memory as on the wire.
const MOST_ELEMENTS: usize = 800_000;

/// Longest name of a topic.
const MOST_TOPIC_BYTES: usize = 249;

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, elements: MOST_ELEMENTS }
    }

    /// Reads what is written inside of this answer. Its lists count as those of the answer.
    pub(super) fn inside<T>(&mut self, bytes: &'a [u8], read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        let mut inner = Self { bytes, elements: self.elements };
        let found = read(&mut inner);
        self.elements = inner.elements;
        found
    }

    /// The name of a topic.
    pub(super) fn topic(&mut self) -> Read<String> {
        self.string().and_then(short)
    }

    /// The name of a topic, of the compact form.
    pub(super) fn compact_topic(&mut self) -> Read<String> {
        self.compact_string().and_then(short)
    }

    fn take(&mut self, length: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(Malformed("it ends too early"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| Malformed("it ends too early"))
    }

    pub(super) fn bool(&mut self) -> Read<bool> {
        Ok(self.array::<1>()? != [0])
    }

    pub(super) fn i16(&mut self) -> Read<i16> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub(super) fn i32(&mut self) -> Read<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(super) fn i64(&mut self) -> Read<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// A text; `None` for null.
    pub(super) fn nullable_string(&mut self) -> Read<Option<String>> {
        match self.i16()? {
            -1 => Ok(None),
            length => self.text(length.into()).map(Some),
        }
    }

    pub(super) fn string(&mut self) -> Read<String> {
        self.nullable_string()?.ok_or(Malformed("a text is null"))
    }

    /// Bytes; empty for null.
    pub(super) fn bytes(&mut self) -> Read<&'a [u8]> {
        match self.i32()? {
            -1 => Ok(&[]),
            length => self.take(usize::try_from(length).map_err(|_| Malformed("a length is negative"))?),
        }
    }

    /// A list; empty for null.
    pub(super) fn list<T>(&mut self, element: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        match self.i32()? {
            -1 => Ok(Vec::new()),
            count => self.elements(count.into(), element),
        }
    }

    /// A text of the compact form; `None` for null.
    pub(super) fn compact_nullable_string(&mut self) -> Read<Option<String>> {
        match self.varint()? {
            0 => Ok(None),
            length => self.text(i64::from(length) - 1).map(Some),
        }
    }

    pub(super) fn compact_string(&mut self) -> Read<String> {
        self.compact_nullable_string()?.ok_or(Malformed("a text is null"))
    }

    /// A list of the compact form; empty for null.
    pub(super) fn compact_list<T>(&mut self, element: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        match self.varint()? {
            0 => Ok(Vec::new()),
            count => self.elements(i64::from(count) - 1, element),
        }
    }

    /// Skips an identifier of 16 bytes.
    pub(super) fn skip_uuid(&mut self) -> Read<()> {
        self.take(16).map(drop)
    }

    /// Skips the fields of later versions.
    pub(super) fn skip_tags(&mut self) -> Read<()> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let length = self.varint()?;
            self.take(usize::try_from(length).map_err(|_| Malformed("a length is too large"))?)?;
        }
        Ok(())
    }

    fn text(&mut self, length: i64) -> Read<String> {
        let length = usize::try_from(length).map_err(|_| Malformed("a length is negative"))?;
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| Malformed("a text is not UTF-8"))?;
        Ok(text.to_owned())
    }

    fn elements<T>(&mut self, count: i64, mut element: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let count = usize::try_from(count).map_err(|_| Malformed("a count is negative"))?;
        if count > self.bytes.len() {
            return Err(Malformed("a list has more elements than the answer has bytes"));
        }
        let left = self.elements.checked_sub(count);
        self.elements = left.ok_or(TOO_MANY)?;
        let mut elements: Vec<T> = Vec::new();
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    fn varint(&mut self) -> Read<u32> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            let bits = u32::from(byte & 0x7f);
            value |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits).ok_or(TOO_LARGE)?;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(TOO_LARGE)
    }
}

/// A name that is not longer than those of topics.
fn short(name: String) -> Read<String> {
    if name.len() > MOST_TOPIC_BYTES {
        return Err(Malformed("the name of a topic is too long"));
    }
    Ok(name)
}

const TOO_LARGE: Malformed = Malformed("a number is too large");

/// What is said of an answer with more elements than are read.
pub(super) const TOO_MANY: Malformed = Malformed("its lists have more elements than are read");

/// Writes a request.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.bytes.push(value.into());
    }

    pub(super) fn i8(&mut self, value: i8) {
        self.bytes.extend(value.to_be_bytes());
    }

    pub(super) fn i16(&mut self, value: i16) {
        self.bytes.extend(value.to_be_bytes());
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.bytes.extend(value.to_be_bytes());
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.bytes.extend(value.to_be_bytes());
    }

    /// A text. What is longer than the protocol allows is cut; Kafka knows no such name.
    pub(super) fn string(&mut self, text: &str) {
        let text = &text.as_bytes()[..text.len().min(i16::MAX as usize)];
        self.i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
        self.bytes.extend(text);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        self.bytes.extend(bytes);
    }

    pub(super) fn list<T>(
        &mut self,
        elements: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        self.i32(i32::try_from(elements.len()).unwrap_or(i32::MAX));
        elements.for_each(|element| write(self, element));
    }

    /// A list of texts of the compact form.
    pub(super) fn compact_texts(&mut self, texts: &[&str]) {
        self.varint(u32::try_from(texts.len() + 1).unwrap_or(u32::MAX));
        for text in texts {
            let text = &text.as_bytes()[..text.len().min(i16::MAX as usize)];
            self.varint(u32::try_from(text.len() + 1).unwrap_or(u32::MAX));
            self.bytes.extend(text);
        }
    }

    /// No fields of later versions.
    pub(super) fn no_tags(&mut self) {
        self.varint(0);
    }

    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        #[expect(clippy::cast_possible_truncation, reason = "less than 128")]
        self.bytes.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_beyond_the_answer_is_refused_before_anything_is_kept() {
        let mut many = Reader::new(&[0x7f, 0xff, 0xff, 0xff, 0]);
        assert!(many.list(Reader::i64).is_err());
        let mut many = Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0]);
        assert!(many.compact_list(Reader::i64).is_err());
        let mut negative = Reader::new(&[0xff, 0xff, 0xff, 0xfe]);
        assert!(negative.list(Reader::i16).is_err());
        let mut null = Reader::new(&[0xff, 0xff, 0xff, 0xff]);
        assert_eq!(null.list(Reader::i16), Ok(Vec::new()));
    }

    #[test]
    fn lists_in_lists_and_in_bytes_share_one_limit_and_names_of_topics_have_theirs() {
        let bytes = vec![0; MOST_ELEMENTS];
        let mut reader = Reader::new(&bytes);
        reader.elements = 3;
        assert!(reader.clone().elements(4, Reader::bool).is_err());
        assert!(reader.inside(&bytes, |inner| inner.elements(2, Reader::bool)).is_ok());
        assert!(reader.elements(2, Reader::bool).is_err(), "one is left");
        let mut long = Writer::default();
        long.string(&"a".repeat(250));
        assert!(Reader::new(&long.into_bytes()).topic().is_err());
    }

    #[test]
    fn a_number_of_any_size_is_read_as_it_was_written() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, u32::MAX] {
            let mut writer = Writer::default();
            writer.varint(value);
            assert_eq!(Reader::new(&writer.into_bytes()).varint(), Ok(value));
        }
        for bytes in [&[0xff_u8, 0xff, 0xff, 0xff, 0x7f][..], &[0x80; 6], &[0x80]] {
            assert!(Reader::new(bytes).varint().is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn texts_and_tags_are_read_to_their_end_and_not_further() {
        let mut reader = Reader::new(b"\x00\x02ab\xff\xff\x03cd\x01\x05\x01x\x2a");
        assert_eq!(reader.string().as_deref(), Ok("ab"));
        assert_eq!(reader.nullable_string(), Ok(None));
        assert_eq!(reader.compact_string().as_deref(), Ok("cd"));
        assert_eq!(reader.skip_tags(), Ok(()));
        assert_eq!(reader.array(), Ok([0x2a]));
        assert!(reader.array::<1>().is_err());
        assert!(Reader::new(b"\x00\x02\xff\xfe").string().is_err(), "not UTF-8");
    }
}
