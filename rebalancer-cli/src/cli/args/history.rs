//! What `history` takes beside the settings of every decision.
#![allow(clippy::doc_markdown, reason = "these comments are the help texts")]

use clap::Args;

use super::backtest::{Moment, moment};
use super::live::LiveArgs;
use super::page::PageArgs;

/// Arguments of `history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    #[command(flatten)]
    pub live: LiveArgs,
    #[command(flatten)]
    pub page: PageArgs,
    /// Start of the past to look at: a time such as 2026-11-23T05:00:00Z, or a duration before now such as
    /// 7d
    #[arg(long, visible_alias = "since", value_name = "TIME", value_parser = moment, default_value = "3d", help_heading = "History")]
    pub from: Moment,
    /// End of the past to look at, written the same way; by default now
    #[arg(long, value_name = "TIME", value_parser = moment, help_heading = "History")]
    pub to: Option<Moment>,
}
