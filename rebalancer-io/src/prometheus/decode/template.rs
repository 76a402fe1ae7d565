//! A piece of a series in which only the values of some labels change from one to the next.

use std::ops::Range;

use super::quote::string_end;

/// Bytes compared in one step.
const STEP: usize = 16;

#[derive(Default)]
pub(super) struct Template {
    text: Vec<u8>,
    /// Where in it values stand that may be others.
    values: Vec<Range<usize>>,
    /// Those of them that have been others. What lies between has one length, so the processor foresees
    /// every step.
    others: Vec<Range<usize>>,
}

impl Template {
    /// A template of `bytes[span]`, with those of `values` that lie in it.
    pub(super) fn new(bytes: &[u8], span: Range<usize>, values: &[Range<usize>]) -> Self {
        let inside = values.iter().filter(|value| span.start <= value.start && value.end < span.end);
        Self {
            values: inside.map(|value| value.start - span.start..value.end - span.start).collect(),
            text: bytes[span].to_vec(),
            others: Vec::new(),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Where the piece at `start` ends; `None` when something else stands there.
    #[inline]
    pub(super) fn end(&mut self, bytes: &[u8], start: usize) -> Option<usize> {
        let (mut from, mut at) = (0, start);
        for other in &self.others {
            let same_text = &self.text[from..other.start];
            if !stands(same_text, bytes, at) {
                return self.end_with_another(bytes, start, from..other.start, at);
            }
            (from, at) = (other.end, string_end(bytes, at + same_text.len()).ok()?);
        }
        let same_text = &self.text[from..];
        if !stands(same_text, bytes, at) {
            return self.end_with_another(bytes, start, from..self.text.len(), at);
        }
        Some(at + same_text.len())
    }

    /// The same, with one more value that is another: `self.text[span]` does not stand at `at`.
    #[cold]
    fn end_with_another(
        &mut self,
        bytes: &[u8],
        start: usize,
        span: Range<usize>,
        at: usize,
    ) -> Option<usize> {
        let pairs = self.text[span.clone()].iter().zip(&bytes[at..]);
        let different = span.start + pairs.take_while(|(ours, theirs)| ours == theirs).count();
        // Up to here the text is the same, so this value begins where that of the template did.
        let holds = |value: &&Range<usize>| value.start <= different && different <= value.end;
        let another = self.values.iter().find(holds)?.clone();
        if self.others.contains(&another) {
            return None;
        }
        let place = self.others.partition_point(|other| other.start < another.start);
        self.others.insert(place, another);
        self.end(bytes, start)
    }
}

/// Whether `piece` stands at `at`. In steps, for the C library of a static program compares byte by byte.
#[inline]
fn stands(piece: &[u8], bytes: &[u8], at: usize) -> bool {
    let Some(found) = bytes.get(at..at + piece.len()) else { return false };
    let (blocks, rest) = piece.as_chunks::<STEP>();
    let (others, other_rest) = found.as_chunks::<STEP>();
    let same = blocks.iter().zip(others).all(|(block, other)| block == other);
    // The last bytes, some of them for the second time.
    same && match (piece.last_chunk::<STEP>(), found.last_chunk::<STEP>()) {
        (Some(last), Some(other_last)) => last == other_last,
        _ => rest == other_rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERIES: &str = r#"{"a":"one","b":"","cc":"two","pod":"#;

    fn template() -> Template {
        let value = |text: &str| {
            let start = SERIES.find(text).expect("it is there") + text.len();
            start..start + SERIES[start..].find('"').expect("it ends")
        };
        let values = [value(r#""a":""#), value(r#""b":""#), value(r#""cc":""#)];
        Template::new(SERIES.as_bytes(), 0..SERIES.len(), &values)
    }

    fn end(text: &str) -> Option<usize> {
        template().end(text.as_bytes(), 0)
    }

    #[test]
    fn values_may_be_others() {
        let values = ["", "o", "one", "ones", "other", "a longer value than the one that was there before"];
        for a in values {
            for b in values {
                for c in values {
                    let series = format!(r#"{{"a":"{a}","b":"{b}","cc":"{c}","pod":"#);
                    assert_eq!(end(&format!("{series}\"x")), Some(series.len()), "{series}");
                }
            }
        }
    }

    #[test]
    fn anything_else_is_not_followed() {
        let series = SERIES.as_bytes();
        assert_eq!(end(SERIES), Some(SERIES.len()));
        for at in 0..series.len() {
            assert_eq!(end(&SERIES[..at]), None, "{at}");
            let mut changed = series.to_vec();
            changed[at] = b'#';
            let in_value = template().values.iter().any(|value| value.contains(&at));
            let changed = String::from_utf8(changed).expect("it is ASCII");
            assert_eq!(end(&changed).is_some(), in_value, "{changed}");
        }
        assert_eq!(end(r#"{"a":"one","x":"","cc":"two","pod":"#), None, "another key");
        assert_eq!(end(r#"{"a":"one","b":"","b":"","cc":"two","pod":"#), None, "one more label");
        assert_eq!(end(r#"{"a":"one","cc":"two","pod":"#), None, "one label less");
        assert_eq!(end("{\"a\":\"o\\\"e\",\"b\":\"\",\"cc\":\"two\",\"pod\":"), None, "an escape");
    }
}
