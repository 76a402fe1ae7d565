//! Finds the series that a query's text reads, to query the age of their newest samples, which the query's
//! own answer does not show. A word mistaken for a series has no samples, which does no harm.

use crate::prometheus::MetricQuery;
use crate::promql::{literal, string_length};

/// Words that are followed by labels in parentheses.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// Words that are not metric names when they stand alone.
const KEYWORDS: [&str; 10] =
    ["and", "or", "unless", "atan2", "bool", "offset", "inf", "nan", "default", "keep_metric_names"];

/// One kind of series that a query reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSeries {
    /// Name of the metric; the whole selector if it has no name before its braces.
    pub metric: String,
    selector: String,
}

impl SourceSeries {
    /// The series that `promql` selects, each selector once, in order of appearance.
    pub fn of(promql: &str) -> Vec<Self> {
        let mut found: Vec<Self> = Vec::new();
        let mut rest = promql;
        while let Some(letter) = rest.chars().next() {
            let (length, series) = match letter {
                '"' | '\'' | '`' => (string(rest), None),
                '#' => (rest.find('\n').unwrap_or(rest.len()), None),
                '[' => (rest.find(']').unwrap_or(rest.len()), None),
                '{' => {
                    let selector = rest[..enclosed(rest, '}')].to_owned();
                    (selector.len(), Some(Self { metric: selector.clone(), selector }))
                }
                _ if letter.is_ascii_digit() => (word(rest).len(), None),
                _ if is_of_a_name(letter) => named(rest),
                _ => (letter.len_utf8(), None),
            };
            found.extend(series.filter(|series| !found.contains(series)));
            rest = &rest[length..];
        }
        found
    }

    /// The selector as written in the query.
    pub fn selector(&self) -> &str {
        &self.selector
    }

    /// Queries the age of the newest sample in seconds: one sample, or none if the server has none from the
    /// last five minutes.
    pub fn newest_sample(&self) -> MetricQuery {
        let promql = format!("time() - max(timestamp({}))", self.selector);
        MetricQuery::new(format!("age of {}", self.metric), promql)
    }

    /// Counts the series that name a pod of `namespace` in `exported_pod`: a scrape without `honorLabels`
    /// replaces the reported pod by the exporter's own.
    pub fn exported(&self, namespace: &str) -> MetricQuery {
        let labels = format!("exported_namespace=\"{}\", exported_pod!=\"\"", literal(namespace));
        MetricQuery::new(format!("exported {}", self.metric), format!("count({}{{{labels}}})", self.metric))
    }
}

/// Reads a name and the selector or grouping labels that belong to it; returns the length of both, and the
/// series if it is one.
fn named(text: &str) -> (usize, Option<SourceSeries>) {
    let name = word(text);
    let after = text[name.len()..].trim_start();
    let gap = text.len() - name.len() - after.len();
    let is_one_of = |words: &[&str], word: &str| words.iter().any(|known| known.eq_ignore_ascii_case(word));
    if after.starts_with('{') {
        let length = name.len() + gap + enclosed(after, '}');
        let selector = format!("{name}{}", &text[name.len() + gap..length]);
        return (length, Some(SourceSeries { metric: name.to_owned(), selector }));
    }
    if after.starts_with('(') {
        let labels = if is_one_of(&GROUPING, name) { gap + enclosed(after, ')') } else { 0 };
        return (name.len() + labels, None);
    }
    let is_aggregation = is_one_of(&["by", "without"], word(after));
    if is_aggregation || is_one_of(&KEYWORDS, name) || is_one_of(&GROUPING, name) {
        return (name.len(), None);
    }
    (name.len(), Some(SourceSeries { metric: name.to_owned(), selector: name.to_owned() }))
}

const fn is_of_a_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == ':'
}

/// The name, number or duration at the start of `text`.
fn word(text: &str) -> &str {
    &text[..text.find(|letter| !is_of_a_name(letter)).unwrap_or(text.len())]
}

/// Length of the string at the start of `text`; all of it if the string is not closed.
fn string(text: &str) -> usize {
    string_length(text).unwrap_or(text.len())
}

/// Length up to the first `end` outside strings; all of the text if there is none.
fn enclosed(text: &str, end: char) -> usize {
    let mut at = 0;
    while let Some(next) = text[at..].find(['"', '\'', '`', end]) {
        at += next;
        if text[at..].starts_with(end) {
            return at + 1;
        }
        at += string(&text[at..]);
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selectors(promql: &str) -> Vec<String> {
        SourceSeries::of(promql).into_iter().map(|series| series.selector).collect()
    }

    #[test]
    fn series_are_found_by_their_selectors() {
        assert_eq!(selectors("sum by (pod) (rate(cpu_total{a=\"b\"}[5m]))"), ["cpu_total{a=\"b\"}"]);
        assert_eq!(
            selectors("a:b {x=~\"y{2}\"} / on (pod) c{d='e}\\'', f=`}\\`} or a:b{z=\"\"}"),
            ["a:b{x=~\"y{2}\"}", "c{d='e}\\'', f=`}\\`}", "a:b{z=\"\"}"]
        );
        assert_eq!(selectors("a{b=\"c\"} - a{b=\"c\"}"), ["a{b=\"c\"}"], "once");
        assert_eq!(selectors("label_replace(up{}, \"a{b}\", \"$1\", \"c\", \"d{}\")"), ["up{}"]);
        assert_eq!(selectors("sum({job=\"x\"}) + {\"a.b\"}"), ["{job=\"x\"}", "{\"a.b\"}"]);
    }

    #[test]
    fn series_are_found_without_braces_too() {
        let cases: [(&str, &[&str]); 9] = [
            ("up", &["up"]),
            ("sum by (pod, job) (rate(a_total[5m] offset 1m))", &["a_total"]),
            ("sum(rate(a:b[5m:30s])) without (job)", &["a:b"]),
            (
                "SUM BY (\"k8s.pod\") (a) / ON (pod) group_left (x, y) b OR c unless ignoring(d) e",
                &["a", "b", "c", "e"],
            ),
            ("a > bool 2e3 and b @ end() * Inf", &["a", "b"]),
            ("histogram_quantile(0.9, sum by (le) (a_bucket))", &["a_bucket"]),
            ("label_replace(a, \"pod\", \"$1\", \"instance\", \"(.+):.+\") # not b", &["a"]),
            ("topk(3, a) or vector(0)", &["a"]),
            ("1 + 0x1F", &[]),
        ];
        for (promql, expected) in cases {
            assert_eq!(selectors(promql), expected, "{promql}");
        }
    }

    #[test]
    fn what_is_no_query_is_no_reason_to_panic() {
        for text in
            ["{", "a{", "a{\"", "\"", "ä{}", "2a{}", "a{b=\"ö", "'\\", "a{'\\", "by(", "on (\"", "a[", "#"]
        {
            let _ = selectors(text);
        }
        assert_eq!(selectors("äa{}"), ["a{}"]);
        assert_eq!(selectors("2 * a{}"), ["a{}"]);
    }

    #[test]
    fn the_age_is_asked_of_the_series_as_selected() {
        let age = SourceSeries::of("rate(a{b=\"c\"}[5m])")[0].newest_sample();
        assert_eq!(age.promql, "time() - max(timestamp(a{b=\"c\"}))");
        let exported = SourceSeries::of("a{b=\"c\"}")[0].exported("sh\"op");
        assert_eq!(exported.promql, r#"count(a{exported_namespace="sh\"op", exported_pod!=""})"#);
    }
}
