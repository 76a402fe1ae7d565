//! The reader under the parser: counts and caps the bytes, checks that they are UTF-8, and keeps
//! what lies around the current one for error messages.

use std::fmt;
use std::io::{self, Read};

use super::super::error::{ErrorKind, TransportError, words};

/// 16 KiB: a few network packets a read, and room for an excerpt.
const SIZE: usize = 16 << 10;

/// Bytes quoted before and after an error.
const EXCERPT: usize = 30;

/// Longest quotation of a body that is no JSON, in bytes; its title lies near the beginning.
const HEAD: usize = 4 << 10;

pub(super) struct Window<R> {
    inner: R,
    buffer: Box<[u8]>,
    /// `buffer[next..valid]` is checked and not yet handed out, `buffer[valid..end]` not yet checked.
    next: usize,
    valid: usize,
    end: usize,
    /// Offset in the body of `buffer[0]`.
    base: u64,
    max_bytes: u64,
}

impl<R: Read> Window<R> {
    pub(super) fn new(inner: R, max_bytes: u64) -> Self {
        Self { inner, buffer: vec![0; SIZE].into(), next: 0, valid: 0, end: 0, base: 0, max_bytes }
    }

    /// The first byte that is no white space, not handed out; `None` for an empty body.
    pub(super) fn first_byte(&mut self) -> io::Result<Option<u8>> {
        loop {
            while self.next < self.valid {
                let byte = self.buffer[self.next];
                if !byte.is_ascii_whitespace() {
                    return Ok(Some(byte));
                }
                self.next += 1;
            }
            if !self.refill()? {
                return Ok(None);
            }
        }
    }

    /// The beginning of what was not handed out yet.
    pub(super) fn excerpt_ahead(&mut self) -> String {
        String::from_utf8_lossy(&self.ahead(HEAD)).into_owned()
    }

    /// Says in our own words what stopped the parser.
    pub(super) fn explain(&mut self, error: serde_json::Error) -> ErrorKind {
        use serde_json::error::Category;

        let at = self.base + self.next as u64;
        let reason = || {
            let text = error.to_string();
            // The parser counts lines and columns; an answer is one line, the offset says it better.
            words(text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason))
        };
        match error.classify() {
            Category::Io => match failure(error.into()) {
                ErrorKind::Transport(TransportError::Closed) => ErrorKind::Truncated { bytes: at },
                kind => kind,
            },
            Category::Eof => ErrorKind::Truncated { bytes: at },
            Category::Syntax => ErrorKind::Malformed { at, reason: reason(), excerpt: self.excerpt_around() },
            Category::Data => ErrorKind::NotAnAnswer { at, reason: reason() },
        }
    }

    fn excerpt_around(&mut self) -> String {
        let mut around = self.buffer[self.next.saturating_sub(EXCERPT)..self.next].to_vec();
        around.extend(self.ahead(EXCERPT));
        words(&String::from_utf8_lossy(&around))
    }

    /// The next `count` bytes, or as many as can be read: in one piece or in many, they are the same.
    fn ahead(&mut self, count: usize) -> Vec<u8> {
        let mut bytes: Vec<u8> = Vec::new();
        // An excerpt ends where reading fails; the failure it is for has been found already.
        let _ = self.take(count as u64).read_to_end(&mut bytes);
        bytes
    }

    /// Makes `next < valid`; `false` at the end of the body.
    fn refill(&mut self) -> io::Result<bool> {
        // What is left is the beginning of a character; the bytes before it serve excerpts.
        let keep_from = self.valid.saturating_sub(EXCERPT);
        self.buffer.copy_within(keep_from..self.end, 0);
        self.base += keep_from as u64;
        self.next = self.valid - keep_from;
        self.valid = self.next;
        self.end -= keep_from;
        loop {
            let count = match self.inner.read(&mut self.buffer[self.end..]) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.end += count;
            if self.base + self.end as u64 > self.max_bytes {
                return Err(io::Error::other(Stop::TooLarge(self.max_bytes)));
            }
            let cut = match str::from_utf8(&self.buffer[self.valid..self.end]) {
                Ok(text) => text.len(),
                Err(error) if error.valid_up_to() > 0 => error.valid_up_to(),
                Err(error) if error.error_len().is_none() && count > 0 => continue,
                Err(_) => {
                    return Err(io::Error::other(Stop::NotUtf8(self.base + self.valid as u64)));
                }
            };
            self.valid += cut;
            return Ok(cut > 0);
        }
    }
}

impl<R: Read> Read for Window<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.next == self.valid && !self.refill()? {
            return Ok(0);
        }
        let count = out.len().min(self.valid - self.next);
        out[..count].copy_from_slice(&self.buffer[self.next..self.next + count]);
        self.next += count;
        Ok(count)
    }
}

/// Why the window itself ends the reading.
#[derive(Debug, Clone, Copy)]
enum Stop {
    TooLarge(u64),
    NotUtf8(u64),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Stop {}

/// What a failed read of the window means.
pub(super) fn failure(error: io::Error) -> ErrorKind {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Stop>()) {
        Some(Stop::TooLarge(max_bytes)) => ErrorKind::TooLarge { max_bytes: *max_bytes },
        Some(Stop::NotUtf8(at)) => ErrorKind::NotUtf8 { at: *at },
        None => ErrorKind::Transport(TransportError::from_body(error)),
    }
}
