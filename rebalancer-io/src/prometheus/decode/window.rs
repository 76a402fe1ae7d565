//! The reader below both parsers. It counts and limits the bytes, checks that they are UTF-8, and keeps the
//! bytes around the current position for error messages.

use std::io::{self, Read};

use super::super::error::{ErrorKind, TransportError};
use super::super::words::words;

/// 64 KiB: few reads per answer, room for any element that a server writes, and four of them fit in the
/// second-level cache.
const SIZE: usize = 64 << 10;

/// Bytes quoted before and after an error.
const EXCERPT: usize = 30;

/// Longest string that is read, in bytes: longer than any name, and four times the longest annotation that a
/// label can contain. The parser keeps a string whole.
const MAX_STRING: usize = 1 << 20;

/// Longest excerpt of a body that is not JSON, in bytes; its title is near the beginning.
const HEAD: usize = 4 << 10;

pub(super) struct Window<R> {
    inner: R,
    buffer: Box<[u8]>,
    /// `buffer[next..valid]` is checked and not yet returned, `buffer[valid..end]` is not yet checked.
    next: usize,
    valid: usize,
    end: usize,
    /// Offset in the body of `buffer[0]`.
    base: u64,
    max_bytes: u64,
    /// Nothing more is read: the body has ended, or reading has failed.
    ended: bool,
    /// Why reading failed; returned after everything before it has been returned.
    failure: Option<io::Error>,
    /// The string that the parser is in, if any.
    string: Text,
}

/// Whether a parser is in a string, and the string's length.
#[derive(Default)]
struct Text {
    /// Bytes of the string so far; `None` outside a string.
    length: Option<usize>,
    is_escaped: bool,
}

impl Text {
    /// Follows the parser; `false` if a string has become too long.
    fn follow(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            match (&mut self.length, byte) {
                (None, b'"') => self.length = Some(0),
                (None, _) => {}
                (Some(_), b'"') if !self.is_escaped => self.length = None,
                (Some(length), byte) => {
                    *length += 1;
                    self.is_escaped = *byte == b'\\' && !self.is_escaped;
                    if *length > MAX_STRING {
                        return false;
                    }
                }
            }
        }
        true
    }
}

impl<R: Read> Window<R> {
    pub(super) fn new(inner: R, max_bytes: u64) -> Self {
        Self {
            inner,
            buffer: vec![0; SIZE].into(),
            next: 0,
            valid: 0,
            end: 0,
            base: 0,
            max_bytes,
            ended: false,
            failure: None,
            string: Text::default(),
        }
    }

    /// The first byte that is not white space, without consuming it; `None` for an empty body.
    pub(super) fn first_byte(&mut self) -> io::Result<Option<u8>> {
        while self.make_ready()? {
            let text = &self.buffer[self.next..self.valid];
            if let Some(blank) = text.iter().position(|byte| !byte.is_ascii_whitespace()) {
                self.next += blank;
                return Ok(Some(self.buffer[self.next]));
            }
            self.next = self.valid;
        }
        Ok(None)
    }

    /// The bytes read but not yet returned, as far as they are UTF-8.
    pub(super) fn text(&mut self) -> &str {
        let bytes = &self.buffer[self.next..self.end];
        let text = simdutf8::basic::from_utf8(bytes)
            .unwrap_or_else(|_| bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid()));
        self.valid = self.next + text.len();
        text
    }

    /// Consumes the first `count` bytes of [`Window::text`].
    pub(super) fn advance(&mut self, count: usize) {
        self.next += count;
    }

    /// Reads once; `false` if there is nothing more to read or no room for it.
    pub(super) fn fill(&mut self) -> bool {
        // The bytes before the next one are kept for excerpts.
        let keep_from = self.next.saturating_sub(EXCERPT);
        self.buffer.copy_within(keep_from..self.end, 0);
        self.base += keep_from as u64;
        self.next -= keep_from;
        self.valid -= keep_from;
        self.end -= keep_from;
        if self.ended || self.end == self.buffer.len() {
            return false;
        }
        let count = loop {
            match self.inner.read(&mut self.buffer[self.end..]) {
                Ok(count) => break count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failure = Some(error);
                    break 0;
                }
            }
        };
        self.ended = count == 0;
        let room = self.max_bytes - self.base - self.end as u64;
        if count as u64 <= room {
            self.end += count;
            return count > 0;
        }
        self.ended = true;
        self.failure = Some(io::Error::other(ErrorKind::TooLarge { max_bytes: self.max_bytes }));
        // Less than `count`, which is a `usize`.
        self.end += usize::try_from(room).unwrap_or(count);
        room > 0
    }

    /// Explains in plain words what stopped the parser.
    pub(super) fn explain(&mut self, error: serde_json::Error) -> ErrorKind {
        use serde_json::error::Category;

        let at = self.base + self.next as u64;
        let text = error.to_string();
        // The parser counts lines and columns. An answer is one line, so the offset is more useful.
        let reason = words(text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason));
        match error.classify() {
            Category::Io => match failure(error.into()) {
                ErrorKind::Transport(TransportError::Closed) => ErrorKind::Truncated { bytes: at },
                kind => kind,
            },
            Category::Eof => ErrorKind::Truncated { bytes: at },
            Category::Syntax => ErrorKind::Malformed { at, reason, excerpt: self.excerpt_around() },
            Category::Data => ErrorKind::NotAnAnswer { at, reason },
        }
    }

    /// The beginning of what has not been returned yet.
    pub(super) fn excerpt_ahead(&mut self) -> String {
        let end = self.look_ahead(HEAD);
        String::from_utf8_lossy(&self.buffer[self.next..end]).into_owned()
    }

    fn excerpt_around(&mut self) -> String {
        let end = self.look_ahead(EXCERPT);
        words(&String::from_utf8_lossy(&self.buffer[self.next.saturating_sub(EXCERPT)..end]))
    }

    /// Reads until `count` bytes are ahead or the body ends; returns the end of the last whole character
    /// among them. This makes excerpts independent of the pieces in which bytes arrive.
    fn look_ahead(&mut self, count: usize) -> usize {
        while self.end - self.next < count && self.fill() {}
        let text = self.text();
        let mut length = text.len().min(count);
        while !text.is_char_boundary(length) {
            length -= 1;
        }
        self.next + length
    }

    /// Makes `next < valid`; `false` at the end of the body.
    fn make_ready(&mut self) -> io::Result<bool> {
        while self.next == self.valid {
            if !self.text().is_empty() {
                break;
            }
            let rest = &self.buffer[self.next..self.end];
            let broken = str::from_utf8(rest).is_err_and(|error| error.error_len().is_some());
            if broken || !self.fill() {
                let cut = self.end > self.next && self.failure.is_none();
                self.ended = true;
                if broken || cut {
                    self.end = self.next;
                    let at = self.base + self.next as u64;
                    return Err(io::Error::other(ErrorKind::NotUtf8 { at }));
                }
                return self.failure.take().map_or(Ok(false), Err);
            }
        }
        Ok(true)
    }
}

impl<R: Read> Read for Window<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if !self.make_ready()? {
            return Ok(0);
        }
        let count = out.len().min(self.valid - self.next);
        out[..count].copy_from_slice(&self.buffer[self.next..self.next + count]);
        self.next += count;
        if !self.string.follow(&out[..count]) {
            return Err(io::Error::other(ErrorKind::LongString { max_bytes: MAX_STRING }));
        }
        Ok(count)
    }
}

/// What a failed read of the window means.
pub(super) fn failure(error: io::Error) -> ErrorKind {
    error.downcast().unwrap_or_else(|error| TransportError::from_body(error).into())
}
