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
    /// Whether lengths are written in the compact form, and tags after each structure.
    is_compact: bool,
}

/// Most elements of all lists in an answer: a partition has seven, with three replicas, and takes at least as many bytes in
/// memory as on the wire.
const MOST_ELEMENTS: usize = 800_000;

/// Longest name of a topic.
const MOST_TOPIC_BYTES: usize = 249;

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8], is_compact: bool) -> Self {
        Self { bytes, elements: MOST_ELEMENTS, is_compact }
    }

    /// Reads what a client wrote inside of this answer; `None` where it has another form. Its lists count as those of the
    /// answer.
    pub(super) fn inside<T>(
        &mut self,
        bytes: &'a [u8],
        read: impl FnOnce(&mut Self) -> Read<T>,
    ) -> Read<Option<T>> {
        let mut inner = Self { bytes, elements: self.elements, is_compact: false };
        let found = read(&mut inner);
        self.elements = inner.elements;
        if let Err(TOO_MANY) = found { Err(TOO_MANY) } else { Ok(found.ok()) }
    }

    /// The name of a topic.
    pub(super) fn topic(&mut self) -> Read<String> {
        let name = self.string()?;
        if name.len() > MOST_TOPIC_BYTES {
            return Err(Malformed("the name of a topic is too long"));
        }
        Ok(name)
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
        let length = if self.is_compact { self.compact_length()? } else { self.i16()?.into() };
        let Some(length) = not_null(length)? else { return Ok(None) };
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| Malformed("a text is not UTF-8"))?;
        Ok(Some(text.to_owned()))
    }

    pub(super) fn string(&mut self) -> Read<String> {
        self.nullable_string()?.ok_or(Malformed("a text is null"))
    }

    /// Bytes; empty for null.
    pub(super) fn bytes(&mut self) -> Read<&'a [u8]> {
        let length = self.count()?;
        self.take(length)
    }

    /// A list; empty for null.
    pub(super) fn list<T>(&mut self, mut element: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let count = self.count()?;
        if count > self.bytes.len() {
            return Err(Malformed("a list has more elements than the answer has bytes"));
        }
        self.elements = self.elements.checked_sub(count).ok_or(TOO_MANY)?;
        let mut elements: Vec<T> = Vec::new();
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(elements)
    }

    /// Skips an identifier of 16 bytes.
    pub(super) fn skip_uuid(&mut self) -> Read<()> {
        self.take(16).map(drop)
    }

    /// Skips the fields of later versions, which only the compact form has.
    pub(super) fn skip_tags(&mut self) -> Read<()> {
        let tags = if self.is_compact { self.varint()? } else { 0 };
        for _ in 0..tags {
            self.varint()?;
            let length = self.varint()?;
            self.take(usize::try_from(length).map_err(|_| TOO_LARGE)?)?;
        }
        Ok(())
    }

    /// How many bytes or elements follow; none for null.
    fn count(&mut self) -> Read<usize> {
        let count = if self.is_compact { self.compact_length()? } else { self.i32()?.into() };
        Ok(not_null(count)?.unwrap_or_default())
    }

    fn compact_length(&mut self) -> Read<i64> {
        Ok(i64::from(self.varint()?) - 1)
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

/// A length; `None` for that of null.
fn not_null(length: i64) -> Read<Option<usize>> {
    match length {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_| Malformed("a length is negative")),
    }
}

const TOO_LARGE: Malformed = Malformed("a number is too large");

/// What is said of an answer with more elements than are read.
pub(super) const TOO_MANY: Malformed = Malformed("its lists have more elements than are read");

/// Writes a request.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    /// As of a [`Reader`].
    pub(super) is_compact: bool,
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
        if self.is_compact {
            self.compact_length(text.len());
        } else {
            self.i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
        }
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
        if self.is_compact {
            self.compact_length(elements.len());
        } else {
            self.i32(i32::try_from(elements.len()).unwrap_or(i32::MAX));
        }
        elements.for_each(|element| write(self, element));
    }

    /// No fields of later versions, which only the compact form has.
    pub(super) fn no_tags(&mut self) {
        if self.is_compact {
            self.varint(0);
        }
    }

    fn compact_length(&mut self, length: usize) {
        self.varint(u32::try_from(length + 1).unwrap_or(u32::MAX));
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

    fn reader(bytes: &[u8]) -> Reader<'_> {
        Reader::new(bytes, false)
    }

    fn compact(bytes: &[u8]) -> Reader<'_> {
        Reader::new(bytes, true)
    }

    #[test]
    fn a_count_beyond_the_answer_is_refused_before_anything_is_kept() {
        assert!(reader(&[0x7f, 0xff, 0xff, 0xff, 0]).list(Reader::i64).is_err());
        assert!(compact(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0]).list(Reader::i64).is_err());
        assert!(reader(&[0xff, 0xff, 0xff, 0xfe]).list(Reader::i16).is_err(), "negative");
        assert_eq!(reader(&[0xff, 0xff, 0xff, 0xff]).list(Reader::i16), Ok(Vec::new()), "null");
        assert_eq!(compact(&[0]).list(Reader::i16), Ok(Vec::new()), "null");
    }

    #[test]
    fn lists_in_lists_and_in_bytes_share_one_limit_and_names_of_topics_have_theirs() {
        let (four, two) = ([0, 0, 0, 4, 0, 0, 0, 0], [0, 0, 0, 2, 0, 0]);
        let mut outer = Reader { elements: 3, ..reader(&two) };
        assert_eq!(outer.clone().inside(&four, |inner| inner.list(Reader::bool)), Err(TOO_MANY));
        assert_eq!(outer.clone().inside(&four[..6], |inner| inner.list(Reader::bool)), Ok(None));
        assert!(outer.inside(&two, |inner| inner.list(Reader::bool)).is_ok_and(|read| read.is_some()));
        assert_eq!(outer.list(Reader::bool), Err(TOO_MANY), "one is left");
        let mut long = Writer::default();
        long.string(&"a".repeat(250));
        assert!(reader(&long.into_bytes()).topic().is_err());
    }

    #[test]
    fn a_number_of_any_size_is_read_as_it_was_written() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, u32::MAX] {
            let mut writer = Writer::default();
            writer.varint(value);
            assert_eq!(reader(&writer.into_bytes()).varint(), Ok(value));
        }
        for bytes in [&[0xff_u8, 0xff, 0xff, 0xff, 0x7f][..], &[0x80; 6], &[0x80]] {
            assert!(reader(bytes).varint().is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn texts_and_tags_are_read_to_their_end_and_not_further() {
        let mut older = reader(b"\x00\x02ab\xff\xff\x2a");
        assert_eq!((older.string().as_deref(), older.nullable_string()), (Ok("ab"), Ok(None)));
        assert_eq!((older.skip_tags(), older.array()), (Ok(()), Ok([0x2a])), "it has no tags");
        assert!(older.array::<1>().is_err());
        let mut newer = compact(b"\x03cd\x00\x01\x05\x01x\x2a");
        assert_eq!((newer.string().as_deref(), newer.nullable_string()), (Ok("cd"), Ok(None)));
        assert_eq!((newer.skip_tags(), newer.array()), (Ok(()), Ok([0x2a])));
        assert!(reader(b"\x00\x02\xff\xfe").string().is_err(), "not UTF-8");
    }

    #[test]
    fn texts_and_lists_of_either_form_are_read_as_they_were_written() {
        for is_compact in [false, true] {
            let mut to = Writer { is_compact, ..Writer::default() };
            to.list(["ab", ""].into_iter(), Writer::string);
            to.no_tags();
            let bytes = to.into_bytes();
            let mut from = Reader::new(&bytes, is_compact);
            assert_eq!(from.list(Reader::string), Ok(vec!["ab".to_owned(), String::new()]));
            assert_eq!((from.skip_tags(), from.bytes.len()), (Ok(()), 0));
        }
    }
}
