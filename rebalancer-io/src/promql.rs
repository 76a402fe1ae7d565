//! The small part of `PromQL` that is written and read here: strings, regular expressions, durations.

use std::time::Duration;

/// Escapes a value for a `PromQL` string. The escapes keep it inside whatever quotes are around it.
pub(crate) fn literal(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '\\' => escaped.push_str(r"\\"),
            '"' => escaped.push_str(r#"\""#),
            '\n' => escaped.push_str(r"\n"),
            '\r' => escaped.push_str(r"\r"),
            '\'' => escaped.push_str(r"\x27"),
            '`' => escaped.push_str(r"\x60"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Escapes a name for a regular expression of Go's syntax.
pub(crate) fn regex(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for character in name.chars() {
        if r"\.+*?()|[]{}^$".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// A duration as `PromQL` writes it: `5m`, `90s`, `1500ms`.
pub(crate) fn duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        _ if ms.is_multiple_of(60_000) && ms > 0 => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1000) => format!("{}s", ms / 1000),
        _ => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_in_their_largest_whole_unit() {
        for (ms, expected) in [(300_000, "5m"), (90_000, "90s"), (1500, "1500ms"), (0, "0s")] {
            assert_eq!(duration(Duration::from_millis(ms)), expected);
        }
    }
}
