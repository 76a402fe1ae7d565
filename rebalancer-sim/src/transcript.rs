//! Recorded answers of a real API server, from `testdata/kubernetes`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// One recorded answer, as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcript {
    /// HTTP status code; 0 when the connection ended without an answer.
    pub code: u16,
    /// Headers that carry meaning: `Content-Type`, `Retry-After`, `Warning`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Transcript {
    /// Reads the transcript of this name, such as `201_evict_429_pdb`.
    ///
    /// # Panics
    /// When there is none or it cannot be read: a broken checkout.
    pub fn named(name: &str) -> Self {
        let path: PathBuf = folder().join(format!("{name}.json"));
        let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let recorded: Recorded =
            serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self::from(recorded.response)
    }

    /// The names of all transcripts whose name starts so, in order.
    ///
    /// # Panics
    /// When the folder of the transcripts is missing: a broken checkout.
    pub fn names(prefix: &str) -> Vec<String> {
        let entries = fs::read_dir(folder()).expect("testdata/kubernetes is part of the repository");
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|file| file.strip_suffix(".json").map(str::to_owned))
            .filter(|name| name.starts_with(prefix))
            .collect();
        names.sort();
        names
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/kubernetes")
}

#[derive(Deserialize)]
struct Recorded {
    response: Response,
}

#[derive(Deserialize)]
struct Response {
    code: u16,
    headers: Vec<String>,
    body: Value,
}

impl From<Response> for Transcript {
    fn from(response: Response) -> Self {
        let kept = ["content-type", "retry-after", "warning"];
        let headers = response.headers.iter().filter_map(|line| line.split_once(": "));
        let headers = headers.filter(|(name, _)| kept.contains(&name.to_ascii_lowercase().as_str()));
        let body = match response.body {
            // What was not JSON was recorded as text.
            Value::String(text) => text.into_bytes(),
            Value::Null => Vec::new(),
            json => format!("{json}\n").into_bytes(),
        };
        Self {
            code: response.code,
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body,
        }
    }
}
