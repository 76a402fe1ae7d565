//! Texts and numbers as a page shows them.

use std::borrow::Cow;

use rebalancer_core::Metric;
use serde_json::Value;

use crate::render::text::number;

/// The same JSON without characters that could hide or reorder text.
pub fn cleaned(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(clean(text).into_owned()),
        Value::Array(values) => values.iter().map(cleaned).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (clean(key).into_owned(), cleaned(value))).collect()
        }
        _ => value.clone(),
    }
}

/// Text from outside without control characters and without marks that turn the direction of
/// reading; a line break or a tab stays.
pub fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|char| if is_hidden(char) { '\u{fffd}' } else { char }).collect())
}

fn is_hidden(char: char) -> bool {
    let is_control = char.is_control() && char != '\n' && char != '\t';
    is_control
        || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// A load with its unit.
pub fn load(metric: Metric, value: f64) -> String {
    number::with_unit(metric, value)
}

/// A load without its unit.
pub fn short(metric: Metric, value: f64) -> String {
    number::short(metric, value)
}

/// A spread, or another ratio.
pub fn ratio(value: f64) -> String {
    number::ratio(value)
}

/// A share in percent.
pub fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// A duration in the largest unit of which there are two or more.
pub fn duration(seconds: f64) -> String {
    const UNITS: [(f64, &str); 3] = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "min")];
    let unit = UNITS.into_iter().find(|(length, _)| seconds >= 2.0 * length);
    let (length, name) = unit.unwrap_or((1.0, "s"));
    format!("{} {name}", (seconds / length).floor())
}

/// A count of things, in the singular for one.
pub fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// A number with at most one decimal place, for coordinates.
pub fn coordinate(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// What a metric is called.
pub const fn title(metric: Metric) -> &'static str {
    match metric {
        Metric::Cpu => "CPU",
        Metric::Memory => "Memory",
        Metric::Lag => "Kafka lag",
        Metric::Rate => "Message rate",
    }
}

/// Words of the report as a sentence.
pub fn sentence(words: &str) -> String {
    if let Some(rest) = words.strip_prefix("cpu ") {
        return format!("CPU {rest}.");
    }
    let mut chars = words.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

/// A word of the report as people write it.
pub fn spaced(word: &str) -> String {
    word.replace('_', " ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_hidden_is_left_in_a_text() {
        let report =
            json!({"a\u{0}": ["\u{1b}[31mred", "\u{202e}txt.exe", "two\nlines", "zero\u{200b}width"]});
        let expected =
            json!({"a\u{fffd}": ["\u{fffd}[31mred", "\u{fffd}txt.exe", "two\nlines", "zero\u{fffd}width"]});
        assert_eq!(cleaned(&report), expected);
    }

    #[test]
    fn durations_read_well() {
        let cases = [(0.0, "0 s"), (119.0, "119 s"), (300.0, "5 min"), (10_800.0, "3 h"), (172_800.5, "2 d")];
        for (seconds, words) in cases {
            assert_eq!(duration(seconds), words);
        }
    }
}
