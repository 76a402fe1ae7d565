//! One spelling of a topic. Kafka clients report `a.b` as `a_b`, since 4.1 as both, and later only as `a.b`;
//! exporters outside the pods report `a.b`. Kafka refuses to have both `a.b` and `a_b` in one cluster, so
//! names that differ only in dots and underscores are the same topic.

/// Matches series of topics without dots.
const PLAIN: &str = r#"topic=~"[^.]+""#;

/// Matches series of topics with dots.
const DOTTED: &str = r#"topic=~"[^.]*[.].*""#;

/// Numbers of dots that the steps replace, 15 in total: `PromQL` cannot repeat a step.
const DOTS: [usize; 4] = [8, 4, 2, 1];

/// Applies `series` to matchers, and spells topics with underscores. Among series with equal `labels`, which
/// must include the topic, each topic counts once.
pub(super) fn one_spelling(labels: &str, series: impl Fn(&str) -> String) -> String {
    format!("({} or on ({labels}) {})", series(PLAIN), underscored(&series(DOTTED)))
}

/// The series with underscores instead of the dots of their topic. No two of them may differ only in that.
pub(super) fn underscored(series: &str) -> String {
    DOTS.into_iter().fold(series.to_owned(), |series, dots| {
        let pattern = format!("{}(.*)", "([^.]*)[.]".repeat(dots));
        let pieces: Vec<String> = (1..=dots + 1).map(|group| format!("${{{group}}}")).collect();
        format!(r#"label_replace({series}, "topic", "{}", "topic", "{pattern}")"#, pieces.join("_"))
    })
}
