//! The text format of metrics, version 0.0.4, for Pushgateway, VictoriaMetrics and `node_exporter`. The
//! official client library writes `OpenMetrics`, in varying order.

use std::fmt::Write as _;

/// Metrics as text.
#[derive(Debug, Clone)]
pub struct Exposition {
    common: Vec<(&'static str, String)>,
    text: String,
}

/// Labels of one sample besides the common ones.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

impl Exposition {
    /// Empty; every sample will have the `common` labels.
    pub const fn new(common: Vec<(&'static str, String)>) -> Self {
        Self { common, text: String::new() }
    }

    /// Adds a gauge with one sample per set of labels; nothing without any set.
    pub fn gauge<'a>(
        &mut self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Vec<(&'static str, &'a str)>, f64)>,
    ) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_none() {
            return;
        }
        self.header(name, help);
        for (labels, value) in samples {
            let line = self.sample(name, &labels, value);
            self.text.push_str(&line);
        }
    }

    /// Adds a gauge whose one sample is given as a line of text.
    pub fn written(&mut self, name: &'static str, help: &'static str, line: &str) {
        self.header(name, help);
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.text
    }

    fn header(&mut self, name: &str, help: &str) {
        let _infallible = write!(self.text, "{HELP}{name} {help}\n# TYPE {name} gauge\n");
    }

    fn sample(&self, name: &str, labels: Labels<'_>, value: f64) -> String {
        let common = self.common.iter().map(|(name, value)| (*name, value.as_str()));
        let all: Vec<String> =
            common.chain(labels.iter().copied()).map(|(name, value)| label(name, value)).collect();
        format!("{name}{{{}}} {value}\n", all.join(","))
    }
}

/// What the description of a metric begins with. No label value here contains it.
const HELP: &str = "# HELP ";

/// Several texts in one: each metric stands once, with the samples of all. A reader refuses a metric that comes twice.
pub fn merged(texts: &[String]) -> String {
    let mut metrics: Vec<([&str; 2], String)> = Vec::new();
    for metric in texts.iter().flat_map(|text| text.split(HELP).skip(1)) {
        let mut lines = metric.splitn(3, '\n');
        let header = [lines.next().unwrap_or_default(), lines.next().unwrap_or_default()];
        let samples = lines.next().unwrap_or_default();
        match metrics.iter_mut().find(|(known, _)| *known == header) {
            Some((_, all)) => all.push_str(samples),
            None => metrics.push((header, samples.to_owned())),
        }
    }
    let text = |([help, kind], samples): ([&str; 2], String)| format!("{HELP}{help}\n{kind}\n{samples}");
    metrics.into_iter().map(text).collect()
}

/// The label as a sample shows it.
pub fn label(name: &str, value: &str) -> String {
    format!("{name}=\"{}\"", escaped(value))
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::{Exposition, merged};

    #[test]
    fn a_metric_of_several_texts_stands_once_with_all_samples() {
        let text = |target: &str, names: &[&'static str]| {
            let mut text = Exposition::new(vec![("target", target.to_owned())]);
            for name in names {
                text.gauge(name, "Some time.", [(vec![], 1.0)]);
            }
            text.into_text()
        };
        let all = merged(&[text("a", &["x", "y"]), text("b", &["y", "z"])]);
        let expected = "# HELP x Some time.\n# TYPE x gauge\nx{target=\"a\"} 1\n\
                        # HELP y Some time.\n# TYPE y gauge\ny{target=\"a\"} 1\ny{target=\"b\"} 1\n\
                        # HELP z Some time.\n# TYPE z gauge\nz{target=\"b\"} 1\n";
        assert_eq!(all, expected);
        assert_eq!(merged(&[]), "");
    }

    #[test]
    fn values_and_labels_of_any_kind_stay_on_their_line() {
        let mut text = Exposition::new(vec![("target", "a\"b\\c\nd".to_owned())]);
        text.gauge("x_seconds", "Some time.", [(vec![("kind", "ä")], 1.5e-9), (vec![], 1e18)]);
        text.gauge("none", "Not there.", []);
        let expected = "# HELP x_seconds Some time.\n# TYPE x_seconds gauge\n\
                        x_seconds{target=\"a\\\"b\\\\c\\nd\",kind=\"ä\"} 0.0000000015\n\
                        x_seconds{target=\"a\\\"b\\\\c\\nd\"} 1000000000000000000\n";
        assert_eq!(text.into_text(), expected);
    }
}
