//! Text from outside, made safe to print.

use std::borrow::Cow;

use rebalancer_io::text::is_hidden;

/// Replaces a hidden character.
const MASK: char = '\u{fffd}';

/// Text from outside as one line, with hidden characters masked.
pub fn plain(text: &str) -> String {
    let parts: Vec<&str> = text.split(['\r', '\n']).map(str::trim).filter(|part| !part.is_empty()).collect();
    parts.join(" ").chars().map(|char| if is_hidden(char) { MASK } else { char }).collect()
}

/// Text from outside with hidden characters masked; line breaks and tabs stay.
pub fn masked(text: &str) -> Cow<'_, str> {
    let is_hidden = |char| is_hidden(char) && char != '\n' && char != '\t';
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|char| if is_hidden(char) { MASK } else { char }).collect())
}

/// A count of things, in the singular for one: `1 pod`, `12 pods`.
pub fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// The first names of a list, and how many more there are: `a, b and 3 more`.
pub fn first_of(names: &[impl AsRef<str>], most: usize) -> String {
    let shown: Vec<&str> = names.iter().take(most).map(AsRef::as_ref).collect();
    let more = names.len() - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// A report's word in readable form: `least busy` for `least_busy`.
pub fn spaced(word: &str) -> String {
    word.replace('_', " ")
}
