//! One spelling of a topic. Kafka clients write a topic with dots as `a_b`, since 4.1 as `a.b` too, and later as
//! `a.b` alone; exporters outside the pods write `a.b`. Kafka refuses to have both `a.b` and `a_b` in one
//! cluster, so names that differ only in dots and underscores are one topic.

/// Matches series of a topic that has no dots.
const PLAIN: &str = r#"topic=~"[^.]+""#;

/// Matches series of a topic that has dots.
const DOTTED: &str = r#"topic=~"[^.]*[.].*""#;

/// Numbers of dots that each step replaces, 15 in all: `PromQL` cannot repeat a step.
const DOTS: [usize; 4] = [8, 4, 2, 1];

/// The expression that `series` makes of the matchers it is given, with topics spelled with underscores. Each
/// topic counts once among series that agree in `labels`, of which the topic must be one.
pub(super) fn one_spelling(labels: &str, series: impl Fn(&str) -> String) -> String {
    format!("({} or on ({labels}) {})", series(PLAIN), underscored(&series(DOTTED)))
}

/// The series with underscores in place of the dots of their topic. No two of them may differ only in that.
pub(super) fn underscored(series: &str) -> String {
    DOTS.into_iter().fold(series.to_owned(), |series, dots| {
        let pattern = format!("{}(.*)", "([^.]*)[.]".repeat(dots));
        let pieces: Vec<String> = (1..=dots + 1).map(|group| format!("${{{group}}}")).collect();
        format!(r#"label_replace({series}, "topic", "{}", "topic", "{pattern}")"#, pieces.join("_"))
    })
}
