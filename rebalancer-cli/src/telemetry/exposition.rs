//! The text format of metrics, version 0.0.4, for Pushgateway, VictoriaMetrics and `node_exporter`. The
//! official client library writes `OpenMetrics`, in varying order.

/// Metrics as text: each stands once, with all its samples. A reader refuses a metric that comes twice.
#[derive(Debug, Default)]
pub struct Exposition {
    /// Labels of the samples that are added now.
    common: Vec<(&'static str, String)>,
    /// The head of each metric, and its samples.
    metrics: Vec<(String, String)>,
}

impl Exposition {
    /// Gives the samples that are added from now on these labels besides their own.
    pub fn label(&mut self, common: Vec<(&'static str, String)>) {
        self.common = common;
    }

    /// Adds a gauge without labels of its own.
    pub fn number(&mut self, name: &'static str, help: &'static str, value: f64) {
        self.gauge(name, help, &[], value);
    }

    /// Adds a gauge with a sample for each word of a label; nothing without any word.
    pub fn by<'a>(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        samples: impl IntoIterator<Item = (&'a str, f64)>,
    ) {
        samples.into_iter().for_each(|(word, value)| self.gauge(name, help, &[(label, word)], value));
    }

    /// Adds a gauge that is 1 for the word `is` of a label, and 0 for its other `words`.
    pub fn one_of(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        words: impl IntoIterator<Item = &'static str>,
        is: &str,
    ) {
        self.by(name, help, label, words.into_iter().map(|word| (word, f64::from(word == is))));
    }

    /// Adds a sample of a gauge.
    pub fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
        value: f64,
    ) {
        let common = self.common.iter().map(|(name, value)| (*name, value.as_str()));
        let all: Vec<String> =
            common.chain(labels.iter().copied()).map(|(name, value)| label(name, value)).collect();
        self.written(name, help, &format!("{name}{{{}}} {value}", all.join(",")));
    }

    /// Adds one sample of a gauge, given as a line of text.
    pub fn written(&mut self, name: &'static str, help: &'static str, line: &str) {
        let head = format!("# HELP {name} {help}\n# TYPE {name} gauge\n");
        let sample = format!("{line}\n");
        match self.metrics.iter_mut().find(|(known, _)| *known == head) {
            Some((_, samples)) => samples.push_str(&sample),
            None => self.metrics.push((head, sample)),
        }
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.metrics.into_iter().map(|(head, samples)| head + &samples).collect()
    }
}

/// The label as a sample shows it.
pub fn label(name: &str, value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::Exposition;

    #[test]
    fn a_metric_of_several_targets_stands_once_with_all_samples() {
        let mut all = Exposition::default();
        for (target, names) in [("a", ["x", "y"]), ("b", ["y", "z"])] {
            all.label(vec![("target", target.to_owned())]);
            for name in names {
                all.number(name, "Some time.", 1.0);
            }
        }
        let expected = "# HELP x Some time.\n# TYPE x gauge\nx{target=\"a\"} 1\n\
                        # HELP y Some time.\n# TYPE y gauge\ny{target=\"a\"} 1\ny{target=\"b\"} 1\n\
                        # HELP z Some time.\n# TYPE z gauge\nz{target=\"b\"} 1\n";
        assert_eq!(all.into_text(), expected);
        assert_eq!(Exposition::default().into_text(), "");
    }

    #[test]
    fn values_and_labels_of_any_kind_stay_on_their_line() {
        let mut text = Exposition::default();
        text.label(vec![("target", "a\"b\\c\nd".to_owned())]);
        text.by("x_seconds", "Some time.", "kind", [("ä", 1.5e-9)]);
        text.number("x_seconds", "Some time.", 1e18);
        text.by("none", "Not there.", "kind", []);
        let expected = "# HELP x_seconds Some time.\n# TYPE x_seconds gauge\n\
                        x_seconds{target=\"a\\\"b\\\\c\\nd\",kind=\"ä\"} 0.0000000015\n\
                        x_seconds{target=\"a\\\"b\\\\c\\nd\"} 1000000000000000000\n";
        assert_eq!(text.into_text(), expected);
    }
}
