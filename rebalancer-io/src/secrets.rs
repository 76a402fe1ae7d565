//! Masks the secrets of a request wherever its answer is quoted: a server may repeat them.

use std::io::{self, Cursor, Read};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use memchr::memmem;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Characters encoded as `%XX` in forms and addresses: all but letters, digits and `-._~`.
pub(crate) const IN_AN_ADDRESS: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// These pairs as a form has them, and an address behind its question mark.
pub(crate) fn form<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> String {
    let encoded = |text| utf8_percent_encode(text, IN_AN_ADDRESS);
    let pairs = pairs.into_iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value)));
    pairs.collect::<Vec<String>>().join("&")
}

/// Shorter values are not treated as credentials: words such as `true` would be masked everywhere.
const SHORTEST: usize = 5;

/// Headers of our own that are no secrets, and that a server's words may need.
const PLAIN: [&str; 6] =
    ["host", "accept", "accept-encoding", "content-type", "x-amz-content-sha256", "x-amz-date"];

/// Marks the end of a truncated quotation.
const CUT: &[u8] = "…".as_bytes();

/// Shortest part of a secret that is searched for next to a cut. Fewer characters reveal nothing, and many
/// words contain them.
const SHORTEST_PART: usize = 4;

/// Most bytes kept of an answer that is not data: more than any API error needs.
const MAX_BYTES: u64 = 64 << 10;

/// Bytes at the start of an answer that show whether it is data.
const HEAD: usize = 64;

/// Secrets of a request, masked wherever its answer is quoted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Secrets {
    /// Longest first: masking a part of a longer secret would leave the rest readable.
    secrets: Vec<Vec<u8>>,
}

impl Secrets {
    /// The secrets in the headers of a request.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut secrets = Self::default();
        for (name, value) in headers {
            if name == AUTHORIZATION {
                secrets.add_credential(value);
            } else if !PLAIN.contains(&name.as_str()) {
                secrets.add(&String::from_utf8_lossy(value.as_bytes()));
            }
        }
        secrets
    }

    /// Adds the value of the header `Authorization`: `Bearer TOKEN` or `Basic BASE64`.
    pub(crate) fn add_credential(&mut self, value: &HeaderValue) {
        let text = String::from_utf8_lossy(value.as_bytes());
        let credential = text.split_once(' ').map_or(&*text, |(_, credential)| credential);
        self.add(credential);
        let pair = STANDARD.decode(credential).ok().and_then(|pair| String::from_utf8(pair).ok());
        if let Some((_, password)) = pair.as_deref().and_then(|pair| pair.split_once(':')) {
            self.add(password);
        }
    }

    /// Adds all secrets of `other`.
    pub(crate) fn extend(&mut self, other: &Self) {
        if other.secrets.iter().any(|secret| !self.secrets.contains(secret)) {
            self.secrets.extend_from_slice(&other.secrets);
            self.sort();
        }
    }

    /// Adds a secret, and its encodings in addresses and JSON.
    pub(crate) fn add(&mut self, secret: &str) {
        if secret.len() < SHORTEST {
            return;
        }
        let json = serde_json::Value::from(secret).to_string();
        let json = json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).unwrap_or(&json);
        // Go escapes these in JSON.
        let html = json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
        let in_an_address = utf8_percent_encode(secret, IN_AN_ADDRESS).to_string();
        self.secrets.extend([
            secret.as_bytes().to_vec(),
            // As forms have it.
            in_an_address.replace("%20", "+").into_bytes(),
            in_an_address.into_bytes(),
            json.as_bytes().to_vec(),
            html.into_bytes(),
        ]);
        self.sort();
    }

    fn sort(&mut self) {
        self.secrets.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.secrets.dedup();
    }

    /// Overwrites every secret with asterisks. The length stays the same, and so do positions.
    pub(crate) fn mask(&self, bytes: &mut [u8]) {
        for secret in &self.secrets {
            let found: Vec<usize> = memmem::find_iter(bytes, secret).collect();
            for at in found {
                bytes[at..at + secret.len()].fill(b'*');
            }
        }
    }

    /// The quotation with its secrets masked, even those of which a cut has left only a part.
    pub(crate) fn masked(&self, quotation: &str) -> String {
        let masked = self.masked_bytes(quotation.as_bytes());
        masked.map_or(quotation.to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The same for bytes; `None` if there is nothing to mask.
    pub(crate) fn masked_bytes(&self, quotation: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = quotation.to_vec();
        self.mask(&mut bytes);
        let ends = memmem::find_iter(quotation, CUT).chain([quotation.len()]);
        let mut start = 0;
        for end in ends {
            for secret in &self.secrets {
                let (first, last) = parts_at_ends(&quotation[start..end], secret);
                bytes[start..start + first].fill(b'*');
                bytes[end - last..end].fill(b'*');
            }
            start = end + CUT.len();
        }
        (bytes != quotation).then_some(bytes)
    }

    /// The body of an answer. Data passes unchanged, because a tenant may be named like its pods. Anything
    /// else is read up to [`MAX_BYTES`] and masked.
    pub(crate) fn masking(&self, status: u16, mut body: impl Read + Send + 'static) -> Box<dyn Read + Send> {
        let mut head: Vec<u8> = Vec::new();
        let mut read = body.by_ref().take(HEAD as u64).read_to_end(&mut head);
        if read.is_ok() && (200..300).contains(&status) && is_data(&head) {
            return Box::new(Cursor::new(head).chain(body));
        }
        if read.is_ok() {
            read = body.take(MAX_BYTES).read_to_end(&mut head);
        }
        self.mask(&mut head);
        Box::new(Cursor::new(head).chain(Ending(read.err())))
    }
}

/// How many bytes at the start of a piece are the end of the secret, and how many at its end are the start of
/// the secret.
fn parts_at_ends(piece: &[u8], secret: &[u8]) -> (usize, usize) {
    let parts = (SHORTEST_PART..secret.len().min(piece.len() + 1)).rev();
    let first = parts.clone().find(|part| piece.starts_with(&secret[secret.len() - part..]));
    let last = parts.into_iter().find(|part| piece.ends_with(&secret[..*part]));
    (first.unwrap_or_default(), last.unwrap_or_default())
}

/// Whether an answer that starts like this is a JSON object and not an API error.
fn is_data(answer: &[u8]) -> bool {
    let head = &answer[..answer.len().min(HEAD)];
    let tight: Vec<u8> = head.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    tight.starts_with(b"{") && !tight.starts_with(br#"{"status":"error""#)
}

/// The end of a body: an error if the body was interrupted.
pub(crate) struct Ending(pub Option<io::Error>);

impl Read for Ending {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        let mut headers = HeaderMap::new();
        let basic = format!("Basic {}", STANDARD.encode("ada:hunter2"));
        headers.insert(AUTHORIZATION, basic.parse().expect("a header"));
        headers.insert("x-scope-orgid", "hunter2-tenant".parse().expect("a header"));
        headers.insert("x-dedup", "true".parse().expect("a header"));
        headers.insert("host", "prometheus".parse().expect("a header"));
        headers.insert("content-type", "text/plain".parse().expect("a header"));
        let mut secrets = Secrets::of(&headers);
        secrets.add("a \"key\"+");
        secrets
    }

    fn read(status: u16, body: &'static [u8]) -> String {
        let mut text = String::new();
        secrets().masking(status, body).read_to_string(&mut text).expect("bytes in memory");
        text
    }

    #[test]
    fn whatever_was_sent_is_not_repeated() {
        assert_eq!(read(401, b"no such user: hunter2!"), "no such user: *******!");
        assert_eq!(read(401, b"Basic YWRhOmh1bnRlcjI="), "Basic ****************");
        assert_eq!(read(403, b"tenant hunter2-tenant"), "tenant **************");
        assert_eq!(read(400, br#"{"q":"a \"key\"+"}"#), r#"{"q":"**********"}"#);
        assert_eq!(read(404, b"/api?k=a%20%22key%22%2B&dedup=true"), "/api?k=****************&dedup=true");
        assert_eq!(read(200, b"<html>hunter2</html>"), "<html>*******</html>");
        assert_eq!(read(200, br#"{ "status": "error", "error": "hunter2"}"#).matches('*').count(), 7);
        assert_eq!(read(404, b"/api?k=a+%22key%22%2B"), "/api?k=**************");
        assert_eq!(read(502, b"prometheus is down"), "prometheus is down", "a host is no secret");
        assert_eq!(read(415, b"no text/plain here"), "no text/plain here", "nor is a form");
    }

    #[test]
    fn a_part_that_a_cut_has_left_is_not_shown() {
        let secrets = secrets();
        assert_eq!(secrets.masked("who is hunter2-te…r2-tenant said"), "who is **********…********* said");
        assert_eq!(secrets.masked("2-tenant, hunter2"), "********, *******");
        assert_eq!(secrets.masked("hun…"), "hun…", "three characters tell nothing");
    }

    #[test]
    fn a_secret_is_found_as_go_writes_it() {
        let mut secrets = Secrets::default();
        secrets.add("a<b>&c");
        assert_eq!(
            secrets.masked(r"x\u003c: a\u003cb\u003e\u0026c"),
            format!(r"x\u003c: {}", "*".repeat(21))
        );
    }

    #[test]
    fn data_is_left_alone() {
        let data = br#"{"status":"success","data":{"result":[{"metric":{"pod":"hunter2-tenant-1"}}]}}"#;
        assert_eq!(read(200, data).as_bytes(), data);
        assert_eq!(read(200, b""), "");
    }

    #[test]
    fn a_body_that_breaks_off_still_does() {
        let broken = b"who is hunter2".chain(Ending(Some(io::Error::other("reset"))));
        let mut text: Vec<u8> = Vec::new();
        let error = secrets().masking(500, broken).read_to_end(&mut text).expect_err("it broke off");
        assert_eq!((text.as_slice(), error.to_string().as_str()), (&b"who is *******"[..], "reset"));
    }
}
