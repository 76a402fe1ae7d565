//! A report as one HTML page that needs nothing but itself: no network, no other file.
//!
//! It is made from the report as JSON, so that a saved report makes the same page. Every text is
//! escaped by the template and has lost its control characters before; nothing from outside is ever
//! put into the page as it is.

use anyhow::Context as _;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

mod backtest;
mod configuration;
mod guards;
mod plot;
mod pods;
mod queries;
mod recording;
mod style;
mod text;
mod timeline;
mod verdict;
mod view;
mod what_if;

pub use configuration::SettingRow;
pub use queries::{QueryRow, of_queries, of_recording};
pub use recording::Embedded;

use view::{BacktestView, DecisionView, Kind};

/// What a page shows beside the report.
#[derive(Debug, Default)]
pub struct Extras {
    /// The settings with their sources; none where they are not known.
    pub settings: Vec<SettingRow>,
    /// What was asked of the metrics server.
    pub queries: Vec<QueryRow>,
    /// The recording, or why there is none.
    pub recording: Embedded,
}

/// Makes the page of a report, which is given as JSON.
///
/// # Errors
/// When it is no report of a version that this program knows.
pub fn page(report: &Value, extras: &Extras) -> anyhow::Result<String> {
    let report = text::cleaned(report);
    let kind: Kind = serde_json::from_value(report.clone()).context("this is no report of pod-rebalancer")?;
    kind.check()?;
    let shape = "the report has another shape than this program reads";
    let page = if kind.is_backtest() {
        let view: BacktestView = serde_json::from_value(report).context(shape)?;
        document(&view.title(), &backtest::body(&view), extras)
    } else {
        let view: DecisionView = serde_json::from_value(report).context(shape)?;
        document(&view.title(), &decision(&view), extras)
    };
    Ok(page.into_string())
}

fn decision(view: &DecisionView) -> Markup {
    html! {
        (verdict::section(view))
        div.columns {
            (guards::section(view))
            (what_if::section(view))
        }
        (plot::section(view))
        (pods::section(view))
        @if view.is_dry_run() { (verdict::dry_run()) }
    }
}

fn document(title: &str, body: &Markup, extras: &Extras) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(style::POLICY);
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "pod-rebalancer " (env!("CARGO_PKG_VERSION")) };
                title { (title) }
                // Both are constants of this program.
                style { (PreEscaped(style::STYLE)) }
            }
            body {
                main {
                    (body)
                    (queries::section(&extras.queries))
                    (configuration::section(&extras.settings))
                    (recording::section(&extras.recording))
                }
                footer { "Made by pod-rebalancer " (env!("CARGO_PKG_VERSION")) ". This page is complete: it loads nothing." }
                script { (PreEscaped(style::SCRIPT)) }
            }
        }
    }
}
