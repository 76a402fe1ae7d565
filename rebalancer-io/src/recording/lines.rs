//! The lines of a recording, read and written within limits.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::exchange::{Exchange, Recording, RecordingError};
use super::matrix::{Grid, Matrix};
use crate::json::{MAX_VALUES, is_crowded};
use crate::prometheus::{TimeRange, When, words};

/// The version that is read and written.
const FORMAT: &str = "pod-rebalancer/recording/v1";

/// Prefix of the formats of all versions.
const FAMILY: &str = "pod-rebalancer/recording/";

/// 256 MiB before compression, for reading and writing: fits in memory, and a run over 10,000 pods is fifty
/// times smaller. The values of one line are limited too.
pub(super) const MAX_BYTES: u64 = 256 << 20;

/// What is said of a recording that ends too early.
const CUT: &str = "the recording is truncated here; record again";

#[derive(Serialize, Deserialize)]
struct Header {
    format: String,
    tool_version: String,
    recorded_at: String,
    evaluation_time: String,
    config: Value,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line {
    Exchange(Box<ExchangeLine>),
    Workload { facts: Value },
    End { exchanges: usize },
}

#[derive(Serialize, Deserialize)]
struct ExchangeLine {
    name: String,
    query: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<RangeLine>,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_matrix: Option<Matrix>,
}

#[derive(Serialize, Deserialize)]
struct RangeLine {
    start: String,
    end: String,
    step_ms: u64,
}

/// Reads the lines of a recording; `path` names it in messages.
pub(super) fn read_lines(path: &Path, reader: impl Read) -> Result<Recording, RecordingError> {
    let mut lines = Lines { path, reader: BufReader::new(reader), number: 0, bytes: 0 };
    let header = read_header(&mut lines)?;
    let mut recording = Recording {
        recorded_at: lines.time(&header.recorded_at)?,
        evaluation_time: lines.time(&header.evaluation_time)?,
        tool_version: header.tool_version,
        config: header.config,
        exchanges: Vec::new(),
        workload: None,
    };
    loop {
        let line = lines.read_line()?;
        match lines.parse(&line)? {
            Line::Exchange(line) => recording.exchanges.push(exchange(*line, &mut lines)?),
            Line::Workload { facts } => recording.workload = Some(facts),
            Line::End { exchanges } if exchanges == recording.exchanges.len() => break,
            Line::End { exchanges } => {
                let found = recording.exchanges.len();
                return Err(lines.error(format!("the recording had {exchanges} exchanges, {found} are left")));
            }
        }
    }
    // The checksum of a compressed file is compared only here, behind its last byte.
    match lines.reader.fill_buf().map(<[u8]>::is_empty) {
        Ok(true) => Ok(recording),
        Ok(false) => Err(lines.error("there is more behind the end of the recording")),
        Err(error) => Err(lines.unreadable(&error)),
    }
}

fn read_header<R: BufRead>(lines: &mut Lines<'_, R>) -> Result<Header, RecordingError> {
    #[derive(Deserialize)]
    struct Version {
        format: String,
    }
    let first = lines.read_line()?;
    let version: Version = serde_json::from_slice(&first)
        .map_err(|_| lines.error("this is not a recording of pod-rebalancer"))?;
    if version.format == FORMAT {
        return lines.parse(&first);
    }
    let said = words(&version.format);
    Err(lines.error(if version.format.starts_with(FAMILY) {
        format!("the recording is {said}, this program reads {FORMAT}; replay with a newer version")
    } else {
        format!("this is {said:?}, not {FORMAT}")
    }))
}

fn exchange<R>(line: ExchangeLine, lines: &mut Lines<'_, R>) -> Result<Exchange, RecordingError> {
    let when = match (&line.time, &line.range) {
        (Some(time), None) => When::Instant(lines.time(time)?),
        (None, Some(RangeLine { start, end, step_ms })) => {
            let step = Duration::from_millis(*step_ms);
            When::Range(TimeRange { start: lines.time(start)?, end: lines.time(end)?, step })
        }
        _ => return Err(lines.error("an exchange has either a time or a range")),
    };
    let body = match (line.body, line.body_base64, line.body_matrix) {
        (Some(text), None, None) => text.into_bytes(),
        (None, Some(base64), None) => {
            STANDARD.decode(base64).map_err(|error| lines.error(format!("body_base64: {error}")))?
        }
        (None, None, Some(matrix)) => {
            let grid = Grid::of(&when).ok_or_else(|| lines.error("body_matrix: there is no range"))?;
            let body =
                matrix.body(grid, MAX_BYTES).map_err(|error| lines.error(format!("body_matrix: {error}")))?;
            lines.count(body.len())?;
            body
        }
        _ => return Err(lines.error("an exchange has one of body, body_base64 and body_matrix")),
    };
    Ok(Exchange {
        name: line.name,
        query: line.query,
        when,
        status: line.status,
        content_type: line.content_type,
        location: line.location,
        body: body.into(),
    })
}

/// The lines of a file, numbered for messages.
struct Lines<'a, R> {
    path: &'a Path,
    reader: R,
    number: usize,
    bytes: u64,
}

impl<R: BufRead> Lines<'_, R> {
    /// The next line; a recording always has one until its end was read.
    fn read_line(&mut self) -> Result<Vec<u8>, RecordingError> {
        self.number += 1;
        let mut line: Vec<u8> = Vec::new();
        let read = self.reader.read_until(b'\n', &mut line);
        self.count(read.map_err(|error| self.unreadable(&error))?)?;
        let whole = line.pop_if(|last| *last == b'\n').is_some();
        // A single unterminated line is no incomplete recording but something else; the caller reports it.
        if whole || (self.number == 1 && !line.is_empty()) {
            return Ok(line);
        }
        Err(self.error(if self.bytes == 0 { "the file is empty" } else { CUT }))
    }
}

impl<R> Lines<'_, R> {
    /// Counts retained bytes against the limit.
    fn count(&mut self, bytes: usize) -> Result<(), RecordingError> {
        self.bytes += bytes as u64;
        if self.bytes > MAX_BYTES {
            return Err(self.error(format!("the recording is larger than {MAX_BYTES} bytes")));
        }
        Ok(())
    }

    fn parse<'de, T: Deserialize<'de>>(&self, line: &'de [u8]) -> Result<T, RecordingError> {
        if is_crowded(line, MAX_VALUES) {
            return Err(self.error(format!("the line holds more than {MAX_VALUES} values")));
        }
        serde_json::from_slice(line).map_err(|error| {
            let text = error.to_string();
            // We count the line; the parser sees only one.
            let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
            self.error(format!("{} at column {}", words(reason), error.column()))
        })
    }

    fn time(&self, text: &str) -> Result<Timestamp, RecordingError> {
        text.parse().map_err(|_| self.error(format!("{:?} is not a time", words(text))))
    }

    fn unreadable(&self, error: &io::Error) -> RecordingError {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return self.error(CUT);
        }
        self.error(words(&error.to_string()))
    }

    fn error(&self, reason: impl Into<String>) -> RecordingError {
        RecordingError::new(self.path, Some(self.number), reason)
    }
}

/// Writes the lines; `digits` as for [`Recording::to_page`].
pub(super) fn write_lines(
    recording: &Recording,
    writer: &mut impl Write,
    digits: Option<usize>,
) -> io::Result<()> {
    let mut left = MAX_BYTES;
    let header = Header {
        format: FORMAT.into(),
        tool_version: recording.tool_version.clone(),
        recorded_at: recording.recorded_at.to_string(),
        evaluation_time: recording.evaluation_time.to_string(),
        config: recording.config.clone(),
    };
    write_line(&header, writer, &mut left)?;
    for exchange in &recording.exchanges {
        write_line(&Line::Exchange(Box::new(exchange_line(exchange, digits))), writer, &mut left)?;
    }
    if let Some(facts) = &recording.workload {
        write_line(&Line::Workload { facts: facts.clone() }, writer, &mut left)?;
    }
    write_line(&Line::End { exchanges: recording.exchanges.len() }, writer, &mut left)
}

fn exchange_line(exchange: &Exchange, digits: Option<usize>) -> ExchangeLine {
    let (time, range) = match exchange.when {
        When::Instant(at) => (Some(at.to_string()), None),
        When::Range(TimeRange { start, end, step }) => {
            let step_ms = u64::try_from(step.as_millis()).unwrap_or(u64::MAX);
            (None, Some(RangeLine { start: start.to_string(), end: end.to_string(), step_ms }))
        }
    };
    let body_matrix = digits.and_then(|digits| Matrix::of(exchange, digits));
    let (body, body_base64) = match str::from_utf8(&exchange.body) {
        _ if body_matrix.is_some() => (None, None),
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(&exchange.body))),
    };
    ExchangeLine {
        name: exchange.name.clone(),
        query: exchange.query.clone(),
        time,
        range,
        status: exchange.status,
        content_type: exchange.content_type.clone(),
        location: exchange.location.clone(),
        body,
        body_base64,
        body_matrix,
    }
}

/// Refuses to write what could not be read back: more than the bytes that are left.
fn write_line(line: &impl Serialize, writer: &mut impl Write, left: &mut u64) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    *left = left.checked_sub(text.len() as u64).ok_or_else(|| {
        io::Error::other(format!("it is larger than {MAX_BYTES} bytes; aggregate the queries by pod"))
    })?;
    writer.write_all(&text)
}

#[cfg(test)]
mod tests {
    use super::write_line;

    #[test]
    fn what_could_not_be_read_again_is_not_written() {
        let (mut written, mut left) = (Vec::new(), 10);
        write_line(&"1234567", &mut written, &mut left).expect("the limit itself is allowed");
        assert_eq!((written.len(), left), (10, 0));
        let error = write_line(&1, &mut written, &mut left).expect_err("one more");
        assert!(error.to_string().starts_with("it is larger than"), "{error}");
    }
}
