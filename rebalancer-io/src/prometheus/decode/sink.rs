//! What takes samples while they are read.

/// A value at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Milliseconds since 1970, the resolution of Prometheus.
    pub timestamp_ms: i64,
    /// The value as sent: it may be NaN, infinite or negative.
    pub value: f64,
}

/// Takes samples as they are read. What has been taken of an answer that turns out to be none is of
/// no use.
pub(crate) trait Sink {
    /// Takes one.
    fn take(&mut self, pod: &str, point: Point);

    /// The pods that were taken again, once for each time after the first.
    fn repeated(&self) -> Vec<&str>;
}
