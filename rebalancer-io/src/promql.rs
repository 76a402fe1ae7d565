//! The part of `PromQL` that is parsed and written here: string literals, regular expressions, durations.

use std::time::Duration;

/// Length in bytes of the string literal at the start of `text`, including both quotes; `None` if it is not
/// closed, or if `text` does not begin with a quote. Between backquotes, a backslash is a plain character.
pub(crate) fn string_length(text: &str) -> Option<usize> {
    let mut letters = text.char_indices();
    let (_, quote) = letters.next().filter(|(_, quote)| matches!(quote, '"' | '\'' | '`'))?;
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' if quote != '`' => drop(letters.next()),
            letter if letter == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The value of the string literal at the start of `text`, and the rest; `None` if there is no complete
/// literal, or if it has an unknown escape.
pub(crate) fn string_value(text: &str) -> Option<(String, &str)> {
    let (literal, behind) = text.split_at(string_length(text)?);
    let inside = &literal[1..literal.len() - 1];
    if literal.starts_with('`') {
        return Some((inside.to_owned(), behind));
    }
    let mut value = String::new();
    let mut letters = inside.chars();
    while let Some(letter) = letters.next() {
        value.push(match letter {
            '\\' => escaped(&mut letters)?,
            letter => letter,
        });
    }
    Some((value, behind))
}

/// The character of an escape; `letters` are those after its backslash.
fn escaped(letters: &mut impl Iterator<Item = char>) -> Option<char> {
    Some(match letters.next()? {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        // A byte. Only an ASCII byte is a character by itself.
        'x' => {
            let (high, low) = (letters.next()?.to_digit(16)?, letters.next()?.to_digit(16)?);
            char::from_u32(16 * high + low).filter(char::is_ascii)?
        }
        escaped @ ('\\' | '"' | '\'') => escaped,
        _ => return None,
    })
}

/// Escapes a value for a `PromQL` string, whatever quotes are around it.
pub(crate) fn literal(value: &str) -> String {
    let escaped = value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n").replace('\r', r"\r");
    escaped.replace('\'', r"\x27").replace('`', r"\x60")
}

/// Escapes a name for a regular expression in Go's syntax.
pub(crate) fn regex(name: &str) -> String {
    let escaped = |letter: char| [r"\.+*?()|[]{}^$".contains(letter).then_some('\\'), Some(letter)];
    name.chars().flat_map(escaped).flatten().collect()
}

/// How many bytes a name takes as one of several in a pattern.
pub(crate) fn text_of(name: &str) -> usize {
    literal(&regex(name)).len() + 1
}

/// Most bytes of a query that is made of parts: `VictoriaMetrics` refuses more than 16,384.
const MOST_BYTES: usize = 15_000;

/// What any of these parts answers, in as few queries as servers take, each of at most `most` parts and with their number.
pub(crate) fn joined_by_or(parts: impl IntoIterator<Item = String>, most: usize) -> Vec<(String, usize)> {
    const OR: &str = " or ";
    let mut queries: Vec<(String, usize)> = Vec::new();
    for part in parts {
        let has_room = |(last, count): &&mut (String, usize)| {
            *count < most && last.len() + OR.len() + part.len() <= MOST_BYTES
        };
        if let Some((last, count)) = queries.last_mut().filter(has_room) {
            last.push_str(OR);
            last.push_str(&part);
            *count += 1;
        } else {
            queries.push((part, 1));
        }
    }
    queries
}

/// A duration in `PromQL`: `5m`, `90s`, `1500ms`.
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
    fn a_string_ends_at_its_own_quote() {
        for (text, length) in [(r#""a\"b" c"#, 6), (r"'\\'x", 4), ("`\\`x", 3), ("\"ä'`\"", 6), ("''", 2)] {
            assert_eq!(string_length(text), Some(length), "{text}");
        }
        for text in ["", "a", "\"", "\"a", r#""a\""#, "'\"", r"'\"] {
            assert_eq!((string_length(text), string_value(text)), (None, None), "{text}");
        }
    }

    #[test]
    fn what_is_escaped_is_the_value_again() {
        for value in ["it's", "a\"} or up{b='`\\\n", "\r", "ä"] {
            let text = format!("\"{}\" x", literal(value));
            assert_eq!(string_value(&text), Some((value.to_owned(), " x")), "{text}");
        }
        assert_eq!(string_value(r"`\d`"), Some((r"\d".to_owned(), "")));
        assert_eq!(string_value(r#""\d""#), None, "an escape that is none");
        assert_eq!(string_value(r#""\xe9""#), None, "half of a letter");
    }

    #[test]
    fn parts_are_joined_until_a_query_is_full() {
        let parts = ["a".repeat(9_000), "b".repeat(5_000), "c".repeat(5_000)];
        let queries = joined_by_or(parts.clone(), 3);
        assert_eq!(queries, [(format!("{} or {}", parts[0], parts[1]), 2), (parts[2].clone(), 1)]);
        let counts = |most: usize| -> Vec<usize> {
            joined_by_or(["a"; 5].map(str::to_owned), most).into_iter().map(|(_, count)| count).collect()
        };
        assert_eq!((counts(2), counts(9)), (vec![2, 2, 1], vec![5]));
        assert!(joined_by_or([], 3).is_empty());
    }

    #[test]
    fn durations_are_written_in_their_largest_whole_unit() {
        for (ms, expected) in [(300_000, "5m"), (90_000, "90s"), (1500, "1500ms"), (0, "0s")] {
            assert_eq!(duration(Duration::from_millis(ms)), expected);
        }
    }
}
