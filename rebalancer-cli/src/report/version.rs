//! The report versions that this program writes and reads.

use anyhow::Context as _;
use serde::Deserialize;

/// Version of the reports' format.
pub const API_VERSION: &str = "pod-rebalancer/v1";

/// The kind of a look at all workloads.
pub const SCAN: &str = "ScanReport";

/// The kind of a run of all workloads that opted in.
pub const RUN_ALL: &str = "RunAllReport";

/// The head of a saved report.
#[derive(Debug, Deserialize)]
pub struct Head {
    api_version: String,
    kind: String,
}

/// What kind of page a report has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageKind {
    /// That of a decision.
    Decision,
    /// That of a backtest.
    Backtest,
    /// That of a look at all workloads, or of a run of all.
    Scan,
    /// That of what replacements changed.
    History,
}

impl Head {
    /// The kind of page that can be made from the report.
    ///
    /// # Errors
    /// Another version, or a kind without a page.
    pub fn page(&self) -> anyhow::Result<PageKind> {
        const KNOWN: [(&str, PageKind); 6] = [
            ("Plan", PageKind::Decision),
            ("RunReport", PageKind::Decision),
            ("BacktestReport", PageKind::Backtest),
            (SCAN, PageKind::Scan),
            (RUN_ALL, PageKind::Scan),
            ("HistoryReport", PageKind::History),
        ];

        anyhow::ensure!(
            self.api_version == API_VERSION,
            "the report is {}, this program reads {API_VERSION}; use a newer version",
            self.api_version
        );
        let known = KNOWN.into_iter().find(|(kind, _)| *kind == self.kind);
        known.map(|(_, page)| page).with_context(|| {
            let known = KNOWN.map(|(kind, _)| kind).join(", ");
            format!("a report of kind {} has no page; these have one: {known}", self.kind)
        })
    }
}
