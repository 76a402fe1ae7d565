//! What `backtest` and `history` take beside the settings of every decision.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::live::LiveArgs;
use super::output::PageArgs;
use crate::cli::sweep::Sweep;
use crate::cli::values;

/// Arguments of `backtest`.
#[derive(Debug, Clone, Args)]
pub struct BacktestArgs {
    #[command(flatten)]
    pub live: LiveArgs,
    #[command(flatten)]
    pub page: PageArgs,
    /// Start of the time to test: a time such as 2026-11-23T05:00:00Z, or how long ago, such as 7d
    #[arg(long, value_name = "TIME", value_parser = moment, help_heading = "Backtest", required_unless_present = "recordings")]
    pub from: Option<Moment>,
    /// End of the time to test, written the same way; by default now
    #[arg(long, value_name = "TIME", value_parser = moment, help_heading = "Backtest")]
    pub to: Option<Moment>,
    /// Time between two decisions: the schedule of the job
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = every, help_heading = "Backtest")]
    pub every: Duration,
    /// Use the recordings (.jsonl, .jsonl.gz) in this folder instead of the metrics server
    #[arg(long, value_name = "DIR", help_heading = "Backtest", conflicts_with_all = ["from", "to"])]
    pub recordings: Option<PathBuf>,
    /// Try several values of a threshold, such as cpu=0.2..0.6/0.1 for 0.2 to 0.6 in steps of 0.1; once
    /// each for cpu and lag
    #[arg(long, value_name = "SWEEP", help_heading = "Backtest")]
    pub sweep: Vec<Sweep>,
}

/// Arguments of `history`.
#[derive(Debug, Clone, Args)]
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

/// A moment as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// This one.
    At(Timestamp),
    /// This long before now.
    Ago(Duration),
}

impl Moment {
    /// The moment, in whole milliseconds; `None` where time does not reach.
    pub fn resolve(self, now: Timestamp) -> Option<Timestamp> {
        let at_ms = match self {
            Self::At(at) => at.as_millisecond(),
            Self::Ago(ago) => now.as_millisecond().checked_sub(i64::try_from(ago.as_millis()).ok()?)?,
        };
        Timestamp::from_millisecond(at_ms).ok()
    }
}

fn moment(text: &str) -> Result<Moment, String> {
    if let Ok(at) = text.parse() {
        return Ok(Moment::At(at));
    }
    let expected = "expected a time such as 2026-11-23T05:00:00Z or a duration ago such as 7d";
    values::duration(text).map(Moment::Ago).map_err(|_| expected.to_owned())
}

fn every(text: &str) -> Result<Duration, String> {
    match values::duration(text)? {
        every if every < Duration::from_secs(1) => Err("it must be 1s or longer, such as 15m".to_owned()),
        every => Ok(every),
    }
}
