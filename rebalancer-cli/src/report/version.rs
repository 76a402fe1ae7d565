//! The report versions that this program writes and reads.

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

impl Head {
    /// Checks that a page can be made from the report.
    ///
    /// # Errors
    /// Another version, or a kind without a page.
    pub fn check(&self) -> anyhow::Result<()> {
        const KNOWN: [&str; 6] = ["Plan", "RunReport", "BacktestReport", SCAN, RUN_ALL, "HistoryReport"];

        anyhow::ensure!(
            self.api_version == API_VERSION,
            "the report is {}, this program reads {API_VERSION}; use a newer version",
            self.api_version
        );
        anyhow::ensure!(
            KNOWN.contains(&self.kind.as_str()),
            "a report of kind {} has no page; these have one: {}",
            self.kind,
            KNOWN.join(", ")
        );
        Ok(())
    }

    /// Whether it is the report of a backtest.
    pub fn is_backtest(&self) -> bool {
        self.kind == "BacktestReport"
    }

    /// Whether it is the report of what replacements changed.
    pub fn is_history(&self) -> bool {
        self.kind == "HistoryReport"
    }

    /// Whether it is the report of a look at all workloads, or of a run of all.
    pub fn is_scan(&self) -> bool {
        [SCAN, RUN_ALL].contains(&self.kind.as_str())
    }
}
