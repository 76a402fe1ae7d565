//! What forbids a rotation: the samples of the user's own query, and the alerts that fire.

use rebalancer_core::{Fact, Objecting, Veto};

use super::finder::FactFinder;
use crate::metrics::{MetricsSource as _, VetoQuery};
use crate::prometheus::{RawSample, shortened};

/// Most samples or alerts that are quoted.
const QUOTED: usize = 3;

/// Most characters of one quotation: a metric with a few labels.
const MAX_QUOTATION: usize = 160;

/// Label with the name of the metric.
const NAME: &str = "__name__";

/// Label with the name of the alert.
const ALERT: &str = "alertname";

/// Labels that say nothing about an alert that is known to fire.
const OF_ANY_ALERT: [&str; 3] = [NAME, ALERT, "alertstate"];

impl FactFinder<'_> {
    /// Asks each question that may forbid a rotation.
    pub fn vetoes(&self) -> Vec<Veto> {
        self.queries.vetoes().iter().map(|veto| self.veto(veto)).collect()
    }

    /// Asks one of them. Whatever is no whole answer is a failure: it might have forbidden the rotation.
    pub fn veto(&self, veto: &VetoQuery) -> Veto {
        let VetoQuery { by, query, pattern } = veto;
        let found = match self.source.raw(query, self.at) {
            Ok(mut samples) => {
                let name = |sample: &RawSample| sample.labels.get(ALERT).cloned().unwrap_or_default();
                samples
                    .retain(|sample| pattern.as_ref().is_none_or(|pattern| pattern.matches(&name(sample))));
                samples.sort_by(|a, b| a.labels.cmp(&b.labels));
                let quote = if pattern.is_some() { quoted_alert } else { quoted_sample };
                let quoted =
                    samples.iter().take(QUOTED).map(|sample| shortened(&quote(sample), MAX_QUOTATION));
                Fact::Known(Objecting { count: samples.len(), quoted: quoted.collect() })
            }
            Err(error) => Fact::Failed(format!("could not be had: {error}")),
        };
        Veto { by: *by, found }
    }
}

/// A sample as `PromQL` writes it, such as `up{job="kafka"} 0`.
fn quoted_sample(sample: &RawSample) -> String {
    let name = sample.told().get(NAME).map_or("", String::as_str);
    format!("{name}{} {}", labels(sample, &[NAME]), sample.value)
}

/// An alert with its labels.
fn quoted_alert(sample: &RawSample) -> String {
    let name = sample.told().get(ALERT).map_or("", String::as_str);
    format!("{name}{}", labels(sample, &OF_ANY_ALERT))
}

/// The labels in braces, without some.
fn labels(sample: &RawSample, without: &[&str]) -> String {
    let told = sample.told().iter().filter(|(label, _)| !without.contains(&label.as_str()));
    let told: Vec<String> = told.map(|(label, value)| format!("{label}={value:?}")).collect();
    if told.is_empty() && without != [NAME] { String::new() } else { format!("{{{}}}", told.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(labels: &[(&str, &str)], value: f64) -> RawSample {
        let labels = labels.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned()));
        RawSample { labels: labels.collect(), masked: None, value }
    }

    #[test]
    fn a_sample_is_quoted_as_it_is_written_and_shows_what_is_hidden() {
        let up = sample(&[(NAME, "up"), ("job", "kafka\u{1b}[31m"), ("a", "\"")], f64::NAN);
        assert_eq!(quoted_sample(&up), r#"up{a="\"", job="kafka\u{1b}[31m"} NaN"#);
        assert_eq!(quoted_sample(&sample(&[], 1.0)), "{} 1");
        let alert = sample(&[(NAME, "ALERTS"), (ALERT, "BrokerDown"), ("alertstate", "firing")], 1.0);
        assert_eq!(quoted_alert(&alert), "BrokerDown");
    }
}
