//! Text from outside: characters that must not be shown unescaped.

/// Whether a character could deceive the reader of a terminal, a log or a page: control characters, which can
/// move the cursor, and characters that are invisible or change the direction of text.
///
/// ```
/// use rebalancer_io::text::is_hidden;
///
/// assert!(is_hidden('\u{1b}') && is_hidden('\u{202e}') && is_hidden('\u{200b}'));
/// assert!(!is_hidden('a') && !is_hidden(' ') && !is_hidden('é'));
/// ```
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
