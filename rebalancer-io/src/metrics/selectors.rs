//! The series a query reads, found in its text: to ask how old their newest samples are, which the
//! answer of a query no longer tells.

use super::MetricQuery;

/// One kind of series that a query reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSeries {
    /// Name of the metric.
    pub metric: String,
    selector: String,
}

impl SourceSeries {
    /// The series that `promql` selects in braces, each metric once, in the order of the text. What
    /// it selects by a bare name is not found: only a parser could tell that from a label.
    pub fn of(promql: &str) -> Vec<Self> {
        let mut found: Vec<Self> = Vec::new();
        let mut rest = promql;
        while let Some(at) = rest.find(['"', '\'', '`', '{']) {
            let (before, here) = rest.split_at(at);
            if !here.starts_with('{') {
                rest = &here[quoted(here)..];
                continue;
            }
            let end = braces(here);
            let name = metric(before);
            if !name.is_empty() && found.iter().all(|known| known.metric != name) {
                found.push(Self { metric: name.to_owned(), selector: format!("{name}{}", &here[..end]) });
            }
            rest = &here[end..];
        }
        found
    }

    /// Asks for the age of the newest sample in seconds: one sample, or none where the server has
    /// none of the last five minutes.
    pub fn newest_sample(&self) -> MetricQuery {
        let promql = format!("time() - max(timestamp({}))", self.selector);
        MetricQuery::new(format!("age of {}", self.metric), promql)
    }
}

/// The name of a metric that `text` ends in.
fn metric(text: &str) -> &str {
    let text = text.trim_end();
    let letter = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == ':';
    let start = text
        .rfind(|char: char| !letter(char))
        .map_or(0, |before| before + text[before..].chars().next().map_or(1, char::len_utf8));
    text[start..].trim_start_matches(|char: char| char.is_ascii_digit())
}

/// Length of the string that `text` begins with, quotes included; all of it where it does not end.
fn quoted(text: &str) -> usize {
    let mut letters = text.char_indices();
    let Some((_, quote)) = letters.next() else { return 0 };
    while let Some((at, letter)) = letters.next() {
        match letter {
            // Between backquotes a backslash is a letter.
            '\\' if quote != '`' => drop(letters.next()),
            letter if letter == quote => return at + quote.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Length of the braces that `text` begins with; all of it where they do not end.
fn braces(text: &str) -> usize {
    let mut at = 0;
    while let Some(next) = text[at..].find(['"', '\'', '`', '}']) {
        at += next;
        if text[at..].starts_with('}') {
            return at + 1;
        }
        at += quoted(&text[at..]);
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
    fn series_are_found_by_their_braces() {
        assert_eq!(selectors("sum by (pod) (rate(cpu_total{a=\"b\"}[5m]))"), ["cpu_total{a=\"b\"}"]);
        assert_eq!(
            selectors("a:b {x=~\"y{2}\"} / on (pod) c{d='e}\\'', f=`}\\`} or a:b{z=\"\"}"),
            ["a:b{x=~\"y{2}\"}", "c{d='e}\\'', f=`}\\`}"]
        );
        assert_eq!(selectors("label_replace(up{}, \"a{b}\", \"$1\", \"c\", \"d{}\")"), ["up{}"]);
        assert_eq!(selectors("up"), Vec::<String>::new());
        assert_eq!(selectors("sum({job=\"x\"})"), Vec::<String>::new(), "no name, no metric");
    }

    #[test]
    fn what_is_no_query_is_no_reason_to_panic() {
        for text in ["{", "a{", "a{\"", "\"", "ä{}", "2a{}", "a{b=\"ö", "'\\", "a{'\\"] {
            let _ = selectors(text);
        }
        assert_eq!(selectors("äa{}"), ["a{}"]);
        assert_eq!(selectors("2 * a{}"), ["a{}"]);
    }

    #[test]
    fn the_age_is_asked_of_the_series_as_selected() {
        let age = SourceSeries::of("rate(a{b=\"c\"}[5m])")[0].newest_sample();
        assert_eq!(age.promql, "time() - max(timestamp(a{b=\"c\"}))");
    }
}
