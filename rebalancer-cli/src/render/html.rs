//! A report as one self-contained HTML page: no network, no other file.
//!
//! It is made from the JSON report, so a saved report gives the same page. Hidden characters are masked
//! first, then the template escapes every text: no outside text reaches the page unescaped.

use anyhow::{Context as _, bail, ensure};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::de::DeserializeOwned;
use serde_json::Value;

mod backtest;
mod history;
mod plot;
mod pods;
mod reasons;
mod scan;
mod sources;
mod text;
mod timeline;
mod verdict;

pub use sources::{Embedded, QueryRow, of_queries, of_recording};

use sources::AskedAt;

use crate::format::text::spaced;
use crate::report::backtest::BacktestReport;
use crate::report::config::Row;
use crate::report::history::HistoryReport;
use crate::report::scan::ScanReport;
use crate::report::version::{API_VERSION, RUN_ALL, SCAN};
use crate::report::{Report, WorkloadReport};

/// What the page may load and run: its own style, and only the script with this hash. If the script changes,
/// browsers report a mismatch and the tests fail.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; \
     script-src 'sha256-3qFGHmDvPK8sw4qTNySK4JEtBhL/oipzVdnCssMwv/U='; base-uri 'none'; form-action 'none'";

/// Copies a query, and sorts the index of workloads. The page is complete without it.
const SCRIPT: &str = include_str!("html/page.js");

/// The colours of Okabe and Ito, which colour-blind readers can distinguish. Shapes and words repeat their
/// meaning.
const STYLE: &str = include_str!("html/page.css");

/// A page's content besides the report.
#[derive(Debug, Default)]
pub struct Extras {
    /// The settings with their sources; empty if unknown.
    pub settings: Vec<Row>,
    /// The queries to the metrics server.
    pub queries: Vec<QueryRow>,
    /// The recording, or why there is none.
    pub recording: Embedded,
    /// What earlier replacements of workloads changed, as far as that was asked.
    pub pasts: Vec<Past>,
}

/// What earlier replacements of a workload changed.
#[derive(Debug)]
pub struct Past {
    /// Which workload.
    pub of: WorkloadReport,
    /// What they changed, or why that is not known.
    pub told: Result<HistoryReport, String>,
}

/// Makes the page of a report given as JSON.
///
/// # Errors
/// If it is not a report of a version that this program knows.
pub fn page(report: &Value, extras: &Extras) -> anyhow::Result<String> {
    let report = text::cleaned(report);
    let word = |key: &str| report.get(key).and_then(Value::as_str).map(str::to_owned);
    let head = word("api_version").zip(word("kind"));
    let (version, kind) = head.context("this is no report of pod-rebalancer")?;
    ensure!(
        version == API_VERSION,
        "the report is {version}, this program reads {API_VERSION}; use a newer version"
    );
    let page = match kind.as_str() {
        "Plan" | "RunReport" => {
            let report: Report = read(report)?;
            let title = format!("{}: {}", report.workload.name(), spaced(report.outcome.into_str()));
            document(&title, &decision(&report, &pasts(extras)?), extras, AskedAt::Once)
        }
        "BacktestReport" => {
            let report: BacktestReport = read(report)?;
            let title = format!("{}: backtest", report.workload.name());
            document(&title, &backtest::body(&report), extras, AskedAt::ManyMoments)
        }
        SCAN | RUN_ALL => {
            let report: ScanReport = read(report)?;
            let title = if report.run.is_some() { "run --all" } else { "scan" };
            let pasts = pasts(extras)?;
            let section = |report: &Report| decision(report, &pasts);
            document(title, &scan::body(&report, &section), extras, AskedAt::Once)
        }
        "HistoryReport" => {
            let report: HistoryReport = read(report)?;
            let title = format!("{}: history", report.workload.name());
            document(&title, &history::body(&report), extras, AskedAt::ManyMoments)
        }
        kind => bail!(
            "a report of kind {kind} has no page; these have one: Plan, RunReport, BacktestReport, {SCAN}, {RUN_ALL}, \
             HistoryReport"
        ),
    };
    Ok(page.into_string())
}

fn read<T: DeserializeOwned>(report: Value) -> anyhow::Result<T> {
    serde_json::from_value(report).context("the report has another shape than this program reads")
}

/// What earlier replacements changed. It is cleaned like a report, because it comes from the same servers.
fn pasts(extras: &Extras) -> anyhow::Result<Vec<Past>> {
    let cleaned = |Past { of, told }: &Past| -> serde_json::Result<Past> {
        let told = match told {
            Ok(report) => Ok(serde_json::from_value(text::cleaned(&serde_json::to_value(report)?))?),
            Err(why) => Err(why.clone()),
        };
        Ok(Past { of: of.clone(), told })
    };
    let pasts: serde_json::Result<Vec<Past>> = extras.pasts.iter().map(cleaned).collect();
    pasts.context("cannot write the past as JSON")
}

fn decision(report: &Report, pasts: &[Past]) -> Markup {
    html! {
        (verdict::section(report))
        div.columns {
            (reasons::guards(report))
            (reasons::diagnosis(report))
        }
        (plot::section(report))
        @for past in pasts.iter().filter(|past| past.of.is_same(&report.workload)) {
            (history::section_of_a_decision(past.told.as_ref().map_err(String::as_str)))
        }
        (pods::section(report))
        @if report.is_dry_run() { (verdict::dry_run()) }
    }
}

fn document(title: &str, body: &Markup, extras: &Extras, asked_at: AskedAt) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "pod-rebalancer " (env!("CARGO_PKG_VERSION")) };
                title { (title) " - pod-rebalancer" }
                // Both are constants of this program.
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (body)
                    (sources::queries(&extras.queries, asked_at))
                    (sources::settings(&extras.settings))
                    (sources::recording(&extras.recording))
                }
                footer { "Made by pod-rebalancer " (env!("CARGO_PKG_VERSION")) ". This page is complete: it loads nothing." }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}
