//! `pod-rebalancer`: decides whether two pods of a workload should be rotated, and rotates them.

mod cli;
mod commands;
mod exit;
mod failure;
mod format;
mod pipeline;
mod render;
mod report;
mod revision;
mod settings;
mod telemetry;

use std::process::ExitCode;

use cli::args::Command;
use cli::spelling;
use cli::usage::{self, Usage};
use commands::{check, config, plan, program, record, replay, run, run_all, scan};
use telemetry::logging;

fn main() -> ExitCode {
    let Usage { mut cli, matches, typos, renamed } = match usage::parse() {
        Ok(usage) => usage,
        Err(stopped) => {
            stopped.wrong.iter().for_each(run::could_not_start);
            return stopped.code;
        }
    };
    if let Some(output) = cli.command.output() {
        if let Err(failure) = logging::start(output) {
            run::could_not_start(&failure);
            return failure.report();
        }
        spelling::warn(&typos);
        for told in renamed {
            tracing::warn!(event = "setting.renamed", "{told}");
        }
    }
    let done = match &mut cli.command {
        Command::Run(args) if args.all.all => run_all::run(args, &matches),
        Command::Run(args) => run::run(args, &matches),
        Command::Plan(args) => plan::run(args, &matches),
        Command::Scan(args) => scan::run(args, &matches),
        Command::Check(args) => check::run(args, &matches, &typos),
        Command::Record(args) => record::run(args, &matches),
        Command::Replay(args) => replay::run(args, &matches),
        Command::Backtest(args) => commands::backtest::run(args, &matches),
        Command::History(args) => commands::history::run(args, &matches),
        Command::Report(args) => commands::report::run(args, &matches),
        Command::Config(args) => config::run(args, &matches),
        Command::Completion(args) => program::completion(args),
        Command::Man(args) => program::man(args),
        Command::Version(args) => program::version(args),
    };
    done.unwrap_or_else(|failure| failure.report())
}
