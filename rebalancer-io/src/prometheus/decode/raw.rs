//! The complete label sets of a small answer, for decisions about labels that are not known in advance.

use std::collections::BTreeMap;
use std::io::Read;

use serde::Deserialize;

use super::answer::Wanted;
use super::decoder::labelled;
use crate::json::is_crowded;
use crate::prometheus::error::{ErrorKind, TransportError};

/// Largest answer that is read here, in bytes: a few hundred series with all labels are a tenth of it.
const MAX_BYTES: u64 = 4 << 20;

/// Maximum number of label names and values: here a few bytes of text use much memory.
const MAX_VALUES: usize = 1 << 18;

/// One series with all its labels.
#[derive(Debug, Clone, PartialEq)]
pub struct RawSample {
    /// The labels by name; those without a value are absent.
    pub labels: BTreeMap<String, String>,
    /// The same with the credentials masked that they repeat; `None` if they repeat none.
    pub masked: Option<BTreeMap<String, String>>,
    /// The value as sent; may be NaN, infinite or negative.
    pub value: f64,
}

impl RawSample {
    /// The labels as a message may show them. What is decided goes by [`RawSample::labels`]: a name may equal that of a
    /// tenant, which counts as a credential.
    pub fn told(&self) -> &BTreeMap<String, String> {
        self.masked.as_ref().unwrap_or(&self.labels)
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    metric: BTreeMap<String, String>,
    value: (serde_json::Number, String),
}

/// Decodes the answer to an instant query, keeping every label.
///
/// # Errors
/// Anything but a complete vector of numbers.
pub fn raw(mut body: impl Read, wanted: &Wanted<'_>) -> Result<Vec<RawSample>, ErrorKind> {
    let max_bytes = wanted.max_bytes.min(MAX_BYTES);
    let mut bytes: Vec<u8> = Vec::new();
    body.by_ref().take(max_bytes + 1).read_to_end(&mut bytes).map_err(TransportError::from_body)?;
    if bytes.len() as u64 > max_bytes || is_crowded(&bytes, MAX_VALUES) {
        return Err(ErrorKind::TooLarge { max_bytes });
    }
    // The check for a complete answer is in one place.
    labelled(&*bytes, &Wanted { max_bytes, ..*wanted }, &["__name__"])?;
    let malformed = |reason: String| ErrorKind::NotAnAnswer { at: 0, reason };
    let answer: Answer = serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
    let rows = answer.data.result.into_iter().map(|row| {
        let value = row.value.1.parse().map_err(|_| malformed("a value that is no number".to_owned()))?;
        let labels = row.metric.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        Ok(RawSample { labels, masked: None, value })
    });
    rows.collect()
}
