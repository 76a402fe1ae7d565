//! Texts, numbers and tables on a page.

use maud::{Markup, html};
use serde_json::Value;

use crate::format::text::masked;

/// The same JSON without characters that could hide or reorder text.
pub fn cleaned(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(masked(text).into_owned()),
        Value::Array(values) => values.iter().map(cleaned).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (masked(key).into_owned(), cleaned(value))).collect()
        }
        _ => value.clone(),
    }
}

/// A table of this class and name, which can be moved sideways. `columns` are its headings, each with whether words stand below.
pub fn table(class: &str, name: &str, columns: &[(&str, bool)], rows: &Markup) -> Markup {
    html! {
        div.scroll role="region" aria-label=(name) tabindex="0" {
            table class=(class) {
                thead { tr { @for (heading, words) in columns { th class=[words.then_some("words")] scope="col" { (heading) } } } }
                tbody { (rows) }
            }
        }
    }
}

/// A number with at most one decimal place, for coordinates.
pub fn coordinate(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
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
}
