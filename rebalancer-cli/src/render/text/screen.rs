//! Text for people, wrapped and coloured as the terminal allows.

use clap::builder::styling::{AnsiColor, Style};
use textwrap::{Options, WordSplitter};

use crate::render::terminal::Terminal;

/// No colour.
pub const PLAIN: Style = Style::new();
/// The sentence to read first.
pub const BOLD: Style = Style::new().bold();
/// Over its limit, or to be evicted as the busiest.
pub const RED: Style = AnsiColor::Red.on_default();
/// Good.
pub const GREEN: Style = AnsiColor::Green.on_default();
/// Worth a look.
pub const YELLOW: Style = AnsiColor::Yellow.on_default();
/// The least busy pod.
pub const CYAN: Style = AnsiColor::Cyan.on_default();

/// The mark before a list item. The words after it say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Passes, or is done.
    Good,
    /// Does not pass, or failed.
    Bad,
    /// Unknown.
    Unknown,
    /// Worth reading.
    Notice,
    /// Was not done.
    Left,
    /// What to do.
    Advice,
}

impl Mark {
    const fn shown(self) -> (Style, &'static str) {
        match self {
            Self::Good => (GREEN, "✓"),
            Self::Bad => (RED, "✗"),
            Self::Unknown => (YELLOW, "?"),
            Self::Notice => (YELLOW, "!"),
            Self::Left => (PLAIN, "-"),
            Self::Advice => (PLAIN, "→"),
        }
    }
}

/// The lines of a table, each in its style.
pub type Sheet = Vec<(Style, String)>;

/// Output text under construction.
#[derive(Debug)]
pub struct Screen {
    terminal: Terminal,
    text: String,
}

impl Screen {
    /// An empty screen.
    pub const fn new(terminal: Terminal) -> Self {
        Self { terminal, text: String::new() }
    }

    /// An empty line.
    pub fn blank(&mut self) {
        self.text.push('\n');
    }

    /// A line, unchanged.
    pub fn line(&mut self, style: Style, line: &str) {
        let line = self.paint(style, line);
        self.text.push_str(&line);
        self.text.push('\n');
    }

    /// The lines of a table.
    pub fn sheet(&mut self, sheet: &Sheet) {
        for (style, line) in sheet {
            self.line(*style, line);
        }
    }

    /// A paragraph, wrapped at the terminal's width.
    pub fn prose(&mut self, style: Style, text: &str) {
        for line in self.wrapped(text, 0) {
            self.line(style, &line);
        }
    }

    /// A paragraph, indented by this many columns.
    pub fn indented(&mut self, indent: usize, text: &str) {
        for line in self.wrapped(text, indent) {
            self.line(PLAIN, &format!("{:indent$}{line}", ""));
        }
    }

    /// An item of a list.
    pub fn item(&mut self, mark: Mark, text: &str) {
        let (style, mark) = mark.shown();
        let mark = self.paint(style, mark);
        for (number, line) in self.wrapped(text, 4).into_iter().enumerate() {
            let before = if number == 0 { format!("  {mark} ") } else { "    ".to_owned() };
            self.line(PLAIN, &format!("{before}{line}"));
        }
    }

    /// The text.
    pub fn finish(self) -> String {
        self.terminal.letters(self.text)
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.terminal.color && style != PLAIN {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    /// Words longer than a line are not broken, so that they can be copied.
    fn wrapped(&self, text: &str, indent: usize) -> Vec<String> {
        let Some(width) = self.terminal.width else { return vec![text.to_owned()] };
        let options = Options::new(width.saturating_sub(indent))
            .break_words(false)
            .word_splitter(WordSplitter::NoHyphenation);
        textwrap::wrap(text, options).into_iter().map(std::borrow::Cow::into_owned).collect()
    }
}
