//! Series with their samples, in the two forms that metric servers are filled with.

use std::fmt::Write;

use serde_json::{Map, Value, json};

/// One series.
#[derive(Debug)]
pub struct Series {
    /// Its metric name.
    pub name: String,
    /// Names and values of its labels.
    pub labels: Vec<(String, String)>,
    /// Its samples as milliseconds since the Unix epoch and value, by time.
    pub samples: Vec<(i64, f64)>,
}

impl Series {
    /// A series of this name.
    pub fn new(name: &str, labels: &[(&str, String)], samples: Vec<(i64, f64)>) -> Self {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Self { name: name.to_owned(), labels, samples }
    }
}

/// The series as `promtool` makes blocks of them.
pub(crate) fn open_metrics(all: impl IntoIterator<Item = Series>) -> String {
    let mut text = String::new();
    for series in all {
        let labels: Vec<String> =
            series.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let labels = labels.join(",");
        for (time_ms, value) in series.samples {
            writeln!(text, "{}{{{labels}}} {value} {}", series.name, time_ms as f64 / 1000.0)
                .expect("a String takes every line");
        }
    }
    text.push_str("# EOF\n");
    text
}

/// The series as VictoriaMetrics imports them, a line each.
pub(crate) fn json_lines(all: impl IntoIterator<Item = Series>) -> String {
    let lines = all.into_iter().map(|series| {
        let labels = series.labels.into_iter();
        let mut metric: Map<String, Value> = labels.map(|(name, value)| (name, Value::from(value))).collect();
        metric.insert("__name__".to_owned(), Value::from(series.name));
        let (times, values): (Vec<i64>, Vec<f64>) = series.samples.into_iter().unzip();
        format!("{}\n", json!({ "metric": metric, "values": values, "timestamps": times }))
    });
    lines.collect()
}
