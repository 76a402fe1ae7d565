//! What takes samples while they are read.

/// A value at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Milliseconds since 1970, the resolution of Prometheus.
    pub timestamp_ms: i64,
    /// The value as sent: it may be NaN, infinite or negative.
    pub value: f64,
}

/// Takes samples while they are read. If the answer then turns out to be unusable, so is what was taken.
pub(crate) trait Sink {
    /// Takes the sample of one pod.
    fn take(&mut self, pod: &str, point: Point);

    /// The pods that came more than once, one entry for each time after the first.
    fn repeated(&self) -> Vec<&str>;
}
