//! A piece of a series in which only the values of some labels change from one to the next.

use std::ops::Range;

use super::scan::Text;

/// Bytes compared in one step.
const STEP: usize = 16;

#[derive(Default)]
pub(super) struct Template {
    text: Vec<u8>,
    /// Where in it values stand that may be others.
    values: Vec<Range<usize>>,
}

impl Template {
    /// A template of `bytes[span]`, with those of `values` that lie in it.
    pub(super) fn new(bytes: &[u8], span: Range<usize>, values: &[Range<usize>]) -> Self {
        let inside = values.iter().filter(|value| span.start <= value.start && value.end < span.end);
        Self {
            values: inside.map(|value| value.start - span.start..value.end - span.start).collect(),
            text: bytes[span].to_vec(),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Where the piece at `at` ends; `None` when something else stands there.
    #[inline]
    pub(super) fn end(&self, text: Text<'_>, at: usize) -> Option<usize> {
        if text.all.as_bytes()[at..].starts_with(&self.text) {
            return Some(at + self.text.len());
        }
        self.end_with_others(text, at)
    }

    fn end_with_others(&self, text: Text<'_>, at: usize) -> Option<usize> {
        let bytes = text.all.as_bytes();
        let mut values = self.values.iter();
        let (mut from, mut at) = (0, at);
        loop {
            let same = common(&self.text[from..], &bytes[at..]);
            (from, at) = (from + same, at + same);
            if from == self.text.len() {
                return Some(at);
            }
            // Up to here the text is the same, so this value begins where that of the template did.
            let other = values.find(|value| from <= value.end).filter(|value| value.start <= from)?;
            (from, at) = (other.end, text.string_end(at).ok()?);
        }
    }
}

/// How many bytes both begin with.
fn common(one: &[u8], other: &[u8]) -> usize {
    let length = one.len().min(other.len());
    let (one, other) = (&one[..length], &other[..length]);
    let mut at = 0;
    while let (Some(ours), Some(theirs)) = (one[at..].first_chunk(), other[at..].first_chunk()) {
        if ours != theirs {
            return at + common_in_step(ours, theirs);
        }
        at += STEP;
    }
    match (one.last_chunk(), other.last_chunk()) {
        // The last bytes, some of them for the second time.
        (Some(ours), Some(theirs)) => length - STEP + common_in_step(ours, theirs),
        _ => one.iter().zip(other).take_while(|(ours, theirs)| ours == theirs).count(),
    }
}

fn common_in_step(one: &[u8; STEP], other: &[u8; STEP]) -> usize {
    let difference = u128::from_le_bytes(*one) ^ u128::from_le_bytes(*other);
    difference.trailing_zeros() as usize / 8
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
        template().end(Text::new(text), 0)
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
