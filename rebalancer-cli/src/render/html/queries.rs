//! The queries to the metrics server, so that readers can repeat them.

use maud::{Markup, html};
use rebalancer_core::Metric;
use rebalancer_io::metrics::MetricQuery;
use rebalancer_io::recording::Recording;

use crate::format::text::{count, masked};

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

/// Rows for these queries.
pub fn of_queries<'a>(queries: impl Iterator<Item = &'a MetricQuery>) -> Vec<QueryRow> {
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
pub fn section(queries: &[QueryRow], asked_at: AskedAt) -> Markup {
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
