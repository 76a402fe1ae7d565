//! A part of a series, and which of its label values vary from one series to the next.

use std::ops::Range;

use super::quote::string_end;

/// Bytes compared in one step.
const STEP: usize = 16;

/// The text of the last series, to find where the same part of the next series ends.
#[derive(Default)]
pub(super) struct Template {
    text: Vec<u8>,
    /// The positions of its label values, which may vary.
    label_values: Vec<Range<usize>>,
    /// Label values that have been seen to vary. The text between them is constant, so comparing it
    /// predicts well.
    varying: Vec<Range<usize>>,
}

impl Template {
    /// A template of `bytes[span]`; label values outside the span are left out.
    pub(super) fn new(bytes: &[u8], span: Range<usize>, values: &[Range<usize>]) -> Self {
        let inside = values.iter().filter(|value| span.start <= value.start && value.end < span.end);
        Self {
            label_values: inside.map(|value| value.start - span.start..value.end - span.start).collect(),
            text: bytes[span].to_vec(),
            varying: Vec::new(),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The end of the part that begins at `start`; `None` if the text there is different.
    #[inline]
    pub(super) fn end(&mut self, bytes: &[u8], start: usize) -> Option<usize> {
        let (mut from, mut at) = (0, start);
        for varying in &self.varying {
            let same_text = &self.text[from..varying.start];
            if !is_at(same_text, bytes, at) {
                return self.end_with_one_more(bytes, start, from..varying.start, at);
            }
            (from, at) = (varying.end, string_end(bytes, at + same_text.len()).ok()?);
        }
        let same_text = &self.text[from..];
        if !is_at(same_text, bytes, at) {
            return self.end_with_one_more(bytes, start, from..self.text.len(), at);
        }
        Some(at + same_text.len())
    }

    /// The same, if `self.text[span]` is not at `at`: one more label value may vary.
    #[cold]
    fn end_with_one_more(
        &mut self,
        bytes: &[u8],
        start: usize,
        span: Range<usize>,
        at: usize,
    ) -> Option<usize> {
        let pairs = self.text[span.clone()].iter().zip(&bytes[at..]);
        let different = span.start + pairs.take_while(|(ours, theirs)| ours == theirs).count();
        // The text is the same up to here, so the value begins where it does in the template.
        let holds = |value: &&Range<usize>| value.start <= different && different <= value.end;
        let another = self.label_values.iter().find(holds)?.clone();
        if self.varying.contains(&another) {
            return None;
        }
        let place = self.varying.partition_point(|other| other.start < another.start);
        self.varying.insert(place, another);
        self.end(bytes, start)
    }
}

/// Whether `piece` is at `at`. In steps, because the C library of a static program compares byte by byte.
#[inline]
fn is_at(piece: &[u8], bytes: &[u8], at: usize) -> bool {
    let Some(found) = bytes.get(at..at + piece.len()) else { return false };
    let (blocks, rest) = piece.as_chunks::<STEP>();
    let (others, other_rest) = found.as_chunks::<STEP>();
    let same = blocks.iter().zip(others).all(|(block, other)| block == other);
    // The last step overlaps the previous one.
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
            let in_value = template().label_values.iter().any(|value| value.contains(&at));
            let changed = String::from_utf8(changed).expect("it is ASCII");
            assert_eq!(end(&changed).is_some(), in_value, "{changed}");
        }
        assert_eq!(end(r#"{"a":"one","x":"","cc":"two","pod":"#), None, "another key");
        assert_eq!(end(r#"{"a":"one","b":"","b":"","cc":"two","pod":"#), None, "one more label");
        assert_eq!(end(r#"{"a":"one","cc":"two","pod":"#), None, "one label less");
        assert_eq!(end("{\"a\":\"o\\\"e\",\"b\":\"\",\"cc\":\"two\",\"pod\":"), None, "an escape");
    }
}
