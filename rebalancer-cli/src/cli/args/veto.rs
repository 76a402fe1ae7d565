//! Settings of what may forbid a rotation.
#![allow(clippy::doc_markdown, reason = "these comments are the help texts")]

use clap::Args;
use rebalancer_io::metrics::AlertPattern;

use crate::cli::values::{self, Guarded};

/// What may forbid a rotation beside the loads.
#[derive(Debug, Args)]
#[command(next_help_heading = "Decision")]
pub struct VetoArgs {
    /// Do nothing while this query returns a sample or cannot be answered; placeholders as in QUERY_CPU.
    /// GUARDS=off turns it off too
    #[arg(long, value_name = "PROMQL", env = "VETO_QUERY", default_value = "off", value_parser = values::text_or_off)]
    pub veto_query: Guarded<String>,
    /// Do nothing while an alert fires whose name this regular expression matches (any part of the name,
    /// unless it has ^ and $). GUARDS=off turns it off too
    #[arg(long, value_name = "REGEX", env = "VETO_ALERTS", default_value = "off", value_parser = values::alerts_or_off)]
    pub veto_alerts: Guarded<AlertPattern>,
}
