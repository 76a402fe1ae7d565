//! What a report was made from: the queries to the metrics server, every setting, and the recording, which is made as small
//! as possible without changing the decision.

use std::path::Path;

use maud::{Markup, PreEscaped, html};
use rebalancer_core::Metric;
use rebalancer_io::metrics::QuerySet;
use rebalancer_io::recording::Recording;

use super::text;
use crate::format::text::{count, masked};
use crate::report::config::Row;

/// Longest query that is shown. One that names every pod of a large workload helps nobody.
const LONGEST: usize = 4000;

/// One query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryRow {
    name: String,
    promql: String,
}

/// The distinct queries of a recording, those of the metrics first.
pub fn of_recording(recording: &Recording) -> Vec<QueryRow> {
    let mut rows: Vec<QueryRow> = Vec::new();
    let metrics = Metric::ALL.map(Metric::name);
    let named = metrics.into_iter().filter_map(|name| Some((name, recording.promql(name)?)));
    let rest = recording.exchanges.iter().map(|exchange| (exchange.name.as_str(), exchange.query.as_str()));
    for (name, promql) in named.chain(rest) {
        // A metric's history uses the same query as the metric.
        if rows.iter().all(|row| row.promql != promql) {
            rows.push(QueryRow { name: name.to_owned(), promql: promql.to_owned() });
        }
    }
    rows
}

/// The queries of the metrics.
pub fn of_queries(queries: &QuerySet) -> Vec<QueryRow> {
    let queries = Metric::ALL.into_iter().filter_map(|metric| queries.get(metric));
    queries.map(|query| QueryRow { name: query.name.clone(), promql: query.promql.clone() }).collect()
}

/// When the queries of a page were asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedAt {
    /// At the moment of the decision.
    Once,
    /// At many moments of the past.
    ManyMoments,
}

/// The queries. Those of the metrics are visible at once in a page about one moment.
pub fn queries(queries: &[QueryRow], asked_at: AskedAt) -> Markup {
    let is_shown = |row: &&QueryRow| {
        asked_at == AskedAt::Once && Metric::ALL.iter().any(|metric| metric.name() == row.name)
    };
    let (shown, folded): (Vec<&QueryRow>, Vec<&QueryRow>) = queries.iter().partition(is_shown);
    html! {
        @if !queries.is_empty() {
            section aria-labelledby="queries" {
                h2 #queries { "Queries" }
                @if asked_at == AskedAt::Once { p.small { "As they were asked, at the evaluation time above." } }
                @for row in shown { (query(row)) }
                @if !folded.is_empty() {
                    details {
                        summary {
                            @match asked_at {
                                AskedAt::Once => { (folded.len()) " more, for the guards and the diagnosis" },
                                AskedAt::ManyMoments => { (count(folded.len(), "query", "queries")) ", asked for each moment" },
                            }
                        }
                        @for row in folded { (query(row)) }
                    }
                }
            }
        }
    }
}

fn query(row: &QueryRow) -> Markup {
    let name = masked(&row.name);
    html! {
        div.query {
            h3 { (name) }
            @if row.promql.len() > LONGEST {
                p.small { "A query of " (row.promql.len()) " characters; the recording holds it." }
            } @else {
                button type="button" hidden aria-label={ "Copy the query " (name) } { "Copy" }
                pre tabindex="0" { code { (masked(&row.promql)) } }
            }
        }
    }
}

/// The settings, with those that were set visible at once.
pub fn settings(settings: &[Row]) -> Markup {
    let (default, set): (Vec<&Row>, Vec<&Row>) = settings.iter().partition(|row| row.source == "default");
    html! {
        @if !settings.is_empty() {
            section aria-labelledby="configuration" {
                h2 #configuration { "Configuration" }
                @if set.is_empty() { p { "Nothing was set: every setting has its default." } }
                @else { (rows("Settings that were set", &set)) }
                @if !default.is_empty() {
                    details {
                        summary { (default.len()) " settings with their defaults" }
                        (rows("Settings with their defaults", &default))
                    }
                }
            }
        }
    }
}

fn rows(caption: &str, rows: &[&Row]) -> Markup {
    let rows = html! {
        @for Row { variable, value, source, .. } in rows {
            tr { th scope="row" { (variable.as_deref().unwrap_or_default()) } td { (masked(value.as_deref().unwrap_or_default())) } td { (source) } }
        }
    };
    text::table("settings", caption, &[("Setting", false), ("Value", false), ("From", false)], &rows)
}

/// Up to this many characters, the recording is kept exactly. With the rest of a page, this keeps a workload
/// of a hundred pods below 150 kB.
const SMALL: usize = 40_000;

/// The largest recording in a page: larger pages open slowly and cannot be mailed. `--record` keeps all.
const LARGEST: usize = 2_000_000;

/// Numbers of significant digits for the past, tried in turn.
const DIGITS: [usize; 3] = [3, 4, 6];

/// The recording as contained in a page.
#[derive(Debug, Default)]
pub enum Embedded {
    /// There is no recording.
    #[default]
    Nothing,
    /// The text of the element, and the number of digits kept of the past.
    Whole { text: String, digits: Option<usize> },
    /// It was left out, for this reason.
    LeftOut(String),
}

impl Embedded {
    /// Embeds a recording. `same` decides again from the page's content, and returns whether the decision is
    /// the same.
    pub fn of(recording: &Recording, same: impl Fn(&Recording) -> bool) -> Self {
        let whole = match recording.to_page(None) {
            Ok(text) => text,
            Err(error) => return Self::LeftOut(format!("it cannot be embedded: {error}")),
        };
        if whole.len() <= SMALL {
            return Self::Whole { text: whole, digits: None };
        }
        let place = Path::new("the page");
        for digits in DIGITS {
            let Ok(text) = recording.to_page(Some(digits)) else { continue };
            let decides = || Recording::from_page(&text, place).is_ok_and(|back| same(&back));
            if text.len() < whole.len() && text.len() <= LARGEST && decides() {
                return Self::Whole { text, digits: Some(digits) };
            }
        }
        if whole.len() <= LARGEST {
            return Self::Whole { text: whole, digits: None };
        }
        Self::LeftOut(format!(
            "it has {} kB when compressed, and a page carries at most {} kB; --record FILE keeps all of it",
            whole.len() / 1000,
            LARGEST / 1000
        ))
    }
}

/// The recording and how to use it.
pub fn recording(embedded: &Embedded) -> Markup {
    html! {
        @match embedded {
            Embedded::Nothing => {},
            Embedded::LeftOut(why) => section aria-labelledby="about-recording" {
                h2 #about-recording { "Recording" }
                p { "The recording is not part of this page: " (why) "." }
            },
            Embedded::Whole { text, digits } => section aria-labelledby="about-recording" {
                h2 #about-recording { "Recording" }
                p {
                    "This page holds the answers that the decision was made from. With this file, "
                    code { "pod-rebalancer replay FILE.html" }
                    " decides again, offline, and with other thresholds if you like."
                }
                @if let Some(digits) = digits {
                    p.small {
                        "To keep the page small, the past of each pod is cut to " (digits)
                        " significant digits. It was checked that the decision is the same."
                    }
                }
                script type=(Recording::ELEMENT_TYPE) id=(Recording::ELEMENT_ID) {
                    // Base64 from this program: none of its characters has a meaning in HTML.
                    (PreEscaped(text))
                }
            },
        }
    }
}
