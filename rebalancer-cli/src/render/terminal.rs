//! The capabilities of the output: width, colours, and characters beyond ASCII.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use indicatif::{ProgressBar, ProgressDrawTarget};
use terminal_size::{Height, Width};

use crate::cli::args::Color;

/// Narrower terminals are treated as this wide; no table is readable on less.
const NARROWEST: usize = 40;

/// A terminal, a file or a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// Columns; `None` if lines may have any length.
    pub width: Option<usize>,
    /// Whether colours are shown.
    pub color: bool,
    /// Whether more than ASCII is shown.
    pub unicode: bool,
}

impl Terminal {
    /// Standard output.
    pub fn stdout(color: Color) -> Self {
        let out = io::stdout();
        Self::of(&out, terminal_size::terminal_size_of(&out), color)
    }

    /// Standard error.
    pub fn stderr(color: Color) -> Self {
        let err = io::stderr();
        Self::of(&err, terminal_size::terminal_size_of(&err), color)
    }

    /// The capabilities of `stream`.
    fn of(stream: &impl RawStream, size: Option<(Width, Height)>, color: Color) -> Self {
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            // Respects NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM.
            Color::Auto => AutoStream::choice(stream) != ColorChoice::Never,
        };
        // A terminal that does not know its size reports 0.
        let width =
            size.map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0 && stream.is_terminal());
        let width = width.map(|width| width.max(NARROWEST));
        Self { width, color, unicode: shows_unicode(|name| std::env::var_os(name)) }
    }

    /// The text in characters that can be shown.
    pub fn letters(self, text: String) -> String {
        if self.unicode || text.is_ascii() { text } else { text.chars().map(ascii).collect() }
    }
}

/// Only a locale with another character set rules out Unicode. Containers set no locale, and their logs are
/// read elsewhere.
fn shows_unicode(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let locale =
        ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable).find(|value| !value.is_empty());
    let Some(locale) = locale else { return true };
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}

/// Replaces a character by one ASCII character, so that the columns of a table stay aligned.
const fn ascii(letter: char) -> char {
    match letter {
        '✓' => '+',
        '✗' | '×' => 'x',
        '▲' => '^',
        '→' | '›' => '>',
        '·' | '–' => '-',
        '…' => '~',
        '÷' => '/',
        '█' => '#',
        '▏' | '▎' | '▍' | '▌' | '▋' | '▊' | '▉' => '=',
        letter if letter.is_ascii() => letter,
        _ => '?',
    }
}

/// A bar about so many things, or one without an end, on standard error, on a terminal only.
pub fn progress_bar(all: Option<u64>) -> ProgressBar {
    let terminal = io::stderr().is_terminal();
    let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(all, target);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_locale_of_other_letters_speaks_against_unicode() {
        let of = |set: &[(&str, &str)]| {
            shows_unicode(|name| set.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
        };
        assert!(of(&[]) && of(&[("LANG", "de_DE.UTF-8")]) && of(&[("LANG", "C.utf8")]));
        assert!(!of(&[("LANG", "C")]) && !of(&[("LANG", "en_US.ISO-8859-1")]));
        assert!(!of(&[("LC_ALL", "POSIX"), ("LANG", "C.UTF-8")]), "LC_ALL wins");
        assert!(of(&[("LC_ALL", ""), ("LANG", "C.UTF-8")]), "empty is unset");
    }

    #[test]
    fn every_letter_keeps_its_place_in_ascii() {
        let plain = Terminal { width: None, color: false, unicode: false };
        assert_eq!(plain.letters("✓ 5.3× ███▌ …-a é".to_owned()), "+ 5.3x ###= ~-a ?");
    }
}
