//! As much HTTP/1.1 as one client needs: requests with a length, answers with a length.

use std::io::{self, Read, Write};
use std::net::TcpStream;

use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};

use crate::transcript::Transcript;

/// One request as it came over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimRequest {
    /// Such as `GET`.
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body, byte for byte.
    pub body: Vec<u8>,
}

impl SimRequest {
    /// The first header of this name, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The path without the query.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(&self.target, |(path, _)| path)
    }

    /// The decoded value of a query parameter.
    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        field(query, name)
    }

    /// The decoded value of a parameter, given in the query or in a form.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.query(name).or_else(|| field(std::str::from_utf8(&self.body).ok()?, name))
    }
}

/// The decoded value of this name in a query or form.
fn field(pairs: &str, name: &str) -> Option<String> {
    let mut pairs = pairs.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| decode(value))
}

/// Reads one request; `None` when the other side has closed or does not speak HTTP.
pub(crate) fn read(connection: &mut TcpStream, unread: &mut Vec<u8>) -> Option<SimRequest> {
    loop {
        if let Some((mut request, head, length)) = parse(unread)? {
            while unread.len() < head + length {
                fill(connection, unread)?;
            }
            request.body = unread[head..head + length].to_vec();
            unread.drain(..head + length);
            return Some(request);
        }
        fill(connection, unread)?;
    }
}

/// The request head in the bytes, its length and that of the body; `Some(None)` when it is not
/// there yet, `None` when it is no HTTP.
#[expect(clippy::option_option, reason = "not yet and never are different answers")]
fn parse(bytes: &[u8]) -> Option<Option<(SimRequest, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(head) = parsed.parse(bytes).ok()? else { return Some(None) };
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    let headers = parsed.headers.iter().map(|header| (header.name.to_ascii_lowercase(), text(header.value)));
    let request = SimRequest {
        method: parsed.method?.to_owned(),
        target: parsed.path?.to_owned(),
        headers: headers.collect(),
        body: Vec::new(),
    };
    let length = request.header("content-length").map_or(Some(0), |length| length.parse().ok())?;
    Some(Some((request, head, length)))
}

fn fill(connection: &mut TcpStream, unread: &mut Vec<u8>) -> Option<()> {
    let mut buffer = [0; 8192];
    let read = connection.read(&mut buffer).ok().filter(|read| *read > 0)?;
    unread.extend_from_slice(&buffer[..read]);
    Some(())
}

/// Dates an answer by a clock that is `ahead_s` seconds ahead; a server without a clock dates none.
pub(crate) fn date(answer: &mut Transcript, ahead_s: Option<i64>) {
    let Some(ahead_s) = ahead_s else { return };
    let at = Timestamp::now() + SignedDuration::from_secs(ahead_s);
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&at).expect("a date of our days");
    answer.headers.push(("Date".to_owned(), date));
}

/// Writes an answer.
pub(crate) fn write(connection: &mut TcpStream, answer: &Transcript) -> io::Result<()> {
    connection.write_all(&bytes(answer))
}

/// Writes the first half of an answer's body and then no more.
pub(crate) fn write_half(connection: &mut TcpStream, answer: &Transcript) {
    let bytes = bytes(answer);
    // The other side may be gone already, which is as good.
    drop(connection.write_all(&bytes[..bytes.len() - answer.body.len().div_ceil(2)]));
}

fn bytes(answer: &Transcript) -> Vec<u8> {
    let headers: Vec<String> =
        answer.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let headers = headers.concat();
    // A recorded length may be wrong on purpose.
    let length = match answer.header("content-length") {
        Some(_) => String::new(),
        None => format!("Content-Length: {}\r\n", answer.body.len()),
    };
    let head = format!("HTTP/1.1 {} {}\r\n{headers}{length}\r\n", answer.code, reason(answer.code));
    [head.as_bytes(), &answer.body].concat()
}

const fn reason(code: u16) -> &'static str {
    match code {
        200 => "OK",
        201 => "Created",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        410 => "Gone",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        504 => "Gateway Timeout",
        _ => "Unknown",
    }
}

fn decode(value: &str) -> String {
    let mut decoded: Vec<u8> = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        let escaped = || {
            let digits = [rest.clone().next()?, rest.clone().nth(1)?];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()
        };
        match byte {
            b'+' => decoded.push(b' '),
            b'%' => match escaped() {
                Some(byte) => {
                    decoded.push(byte);
                    rest.nth(1);
                }
                None => decoded.push(b'%'),
            },
            byte => decoded.push(byte),
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded() {
        let request = SimRequest {
            method: "GET".to_owned(),
            target: "/pods?&labelSelector=app%3Dorders%2Ctier+in+%28a%29&limit=5".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        assert_eq!(request.path(), "/pods");
        assert_eq!(request.query("labelSelector").as_deref(), Some("app=orders,tier in (a)"));
        assert_eq!(request.query("limit").as_deref(), Some("5"));
        assert_eq!(request.query("continue"), None);
    }
}
