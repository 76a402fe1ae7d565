//! The receivers of samples while they are read.

/// A value at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Milliseconds since 1970, the resolution of Prometheus.
    pub timestamp_ms: i64,
    /// The value as sent; may be NaN, infinite or negative.
    pub value: f64,
}

/// Receives samples while they are read. If the answer turns out to be unusable, discard them.
pub(crate) trait Sink {
    /// Takes the sample of one pod.
    fn take(&mut self, pod: &str, point: Point);

    /// The pods with more than one sample, one entry for each repetition.
    fn repeated(&self) -> Vec<&str>;
}
