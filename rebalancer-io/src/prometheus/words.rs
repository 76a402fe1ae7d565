//! Quotes the other side in messages: short, escaped, and in words.

use std::error::Error;
use std::fmt::Write as _;
use std::io;

use regex::Regex;
use rustls::CertificateError;

use crate::text::is_hidden;

/// Longest quotation of the other side, in characters: enough for an error, short in a log.
pub(crate) const MAX_WORDS: usize = 200;

/// The TLS error wrapped in another error.
pub(crate) fn tls_error<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let mut error = error;
    loop {
        if let Some(tls) = error.downcast_ref() {
            return Some(tls);
        }
        // An IO error does not report the error inside it as its source.
        error = error.downcast_ref::<io::Error>()?.get_ref()?;
    }
}

/// A TLS error in words: some of the library's are only identifiers.
pub(crate) fn tls_words(error: &rustls::Error) -> String {
    let certificate = match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(certificate)) => certificate.to_string(),
        other => return other.to_string(),
    };
    let (what, to_do) = match certificate.as_str() {
        "CaUsedAsEndEntity" => (
            "is that of an authority (CA:TRUE), as `openssl req -x509` makes it by default",
            "give the server one with basicConstraints=CA:FALSE, or one that this authority has signed",
        ),
        "UnsupportedCertVersion" => (
            "is of version 1, which holds no names",
            "give the server one of version 3 with a subjectAltName",
        ),
        "EndEntityUsedAsCa" => (
            "is signed by a certificate that is not that of an authority (CA:FALSE)",
            "sign it with one that is, or give the server's own certificate as its authority",
        ),
        _ => {
            let spelled: String = certificate
                .chars()
                .flat_map(|c| [c.is_uppercase().then_some(' '), Some(c.to_ascii_lowercase())])
                .flatten()
                .collect();
            return format!("the server's certificate cannot be used:{spelled}");
        }
    };
    format!("the server's certificate {what}, so it proves no server: {to_do}")
}

/// An error text of the API, shortened in its middle: the cause is at its end.
pub(crate) fn cause(text: &str) -> String {
    const HEAD: usize = MAX_WORDS / 4;

    let length = text.chars().count();
    if length <= MAX_WORDS {
        return words(text);
    }
    let tail: String = text.chars().skip(length - (MAX_WORDS - HEAD)).collect();
    format!("{} {}", shortened(text, HEAD), shortened(&tail, MAX_WORDS))
}

/// A text of the other side: HTML reduced to its text, white space collapsed, hidden characters escaped, cut
/// to 200 characters.
pub(crate) fn words(text: &str) -> String {
    let text = text.trim_start();
    let plain = if text.starts_with('<') { without_tags(text) } else { text.to_owned() };
    let joined: Vec<&str> = plain.split_whitespace().collect();
    if joined.is_empty() {
        return "(an empty body)".to_owned();
    }
    shortened(&joined.join(" "), MAX_WORDS)
}

pub(crate) fn shortened(text: &str, max: usize) -> String {
    let mut short = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == max {
            short.push('…');
            break;
        }
        if character == '\n' || character == '\t' {
            short.push(' ');
        } else if is_hidden(character) {
            write!(short, "{}", character.escape_unicode()).expect("a String accepts every write");
        } else {
            short.push(character);
        }
    }
    short
}

/// The title of a page, else its text.
fn without_tags(html: &str) -> String {
    let pattern = |text| Regex::new(text).expect("the pattern is valid");
    match pattern("(?is)<title>(.*?)</title>").captures(html) {
        Some(title) => title[1].to_owned(),
        None => pattern("<[^>]*>?").replace_all(html, "").into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{cause, words};

    #[test]
    fn a_long_error_keeps_its_cause() {
        let text = format!("error when executing query={}: the limit is 5", "x".repeat(500));
        let short = cause(&text);
        assert!(short.starts_with("error when") && short.ends_with(": the limit is 5"), "{short}");
        assert!(short.chars().count() <= 202, "{short}");
        assert_eq!(cause("short"), "short");
    }

    #[test]
    fn words_are_short_plain_and_escaped() {
        assert_eq!(words("<html>\n<title>502 Bad\nGateway</title><h1>x</h1>"), "502 Bad Gateway");
        assert_eq!(words("<p>no <b>title</b></p>"), "no title");
        assert_eq!(words("</title><title>"), "(an empty body)");
        assert_eq!(words(" \r\n "), "(an empty body)");
        assert_eq!(words("a\u{1b}[31mb\u{202e}c"), "a\\u{1b}[31mb\\u{202e}c");
        assert_eq!(words(&"é".repeat(500)).chars().count(), 201);
    }
}
