//! The page of a backtest: what would have been decided over the past, at each pair of thresholds.

use maud::{Markup, html};

use super::timeline;
use super::verdict::place;
use crate::format::number::{percent, ratio};
use crate::format::text::{count, spaced};
use crate::report::Outcome;
use crate::report::backtest::{BacktestReport, Decision, Sums};

/// Maximum number of decisions in the table, the latest ones: a year has thousands.
const MOST: usize = 200;

/// The table's columns that contain words.
const WORDS: [&str; 4] = ["Outcome", "Cause", "To rotate", "Held by"];

/// Everything between the document head and its queries.
pub fn body(report: &BacktestReport) -> Markup {
    html! {
        header.verdict.held {
            p.state { span.mark aria-hidden="true" { "⟲" } " backtest" }
            h1 { (sentence(report)) }
            p.reason {
                "The smaller number of rotations holds if the first one of each episode cures it, the larger one if no rotation "
                "changes the loads. Pods of a rotation count as young at later moments."
            }
            p.reason { "A backtest cannot show what an eviction would have changed: these are decisions, not benefits." }
            (place(&report.workload, &[("from", report.from.as_deref()), ("to", report.to.as_deref())]))
        }
        (timeline::section(report))
        (thresholds(report))
        (decisions(report))
    }
}

fn sentence(report: &BacktestReport) -> Markup {
    let moments = count(report.moments, "moment", "moments");
    html! {
        @match report.shown() {
            Some(sums) if report.moments > 0 => {
                @let rotations = sums.rotations_in_words();
                "In " (moments) ", " (rotations) @if rotations == "1" { " rotation" } @else { " rotations" } " would have begun"
                @if let Some(episodes) = sums.episodes { " in " (count(episodes, "episode", "episodes")) " over a threshold" }
                @if let Some(daily) = sums.evictions_per_day { ", at most " (format!("{daily:.1}")) " evictions a day" }
                "."
            },
            _ => "There were no data to decide by.",
        }
        @if report.skipped > 0 { " " small { (count(report.skipped, "moment", "moments")) " without data." } }
    }
}

fn thresholds(report: &BacktestReport) -> Markup {
    html! {
        section aria-labelledby="thresholds" {
            h2 #thresholds { "Thresholds" }
            div.scroll role="region" aria-label="What each pair of thresholds comes to" tabindex="0" {
                table.numbers {
                    thead { tr {
                        @for heading in ["CPU", "Lag", "Over", "Episodes", "Withheld", "Rotations", "Evictions a day", "Still over next", "Held by"] {
                            th.words[heading == "Held by"] scope="col" { (heading) }
                        }
                    } }
                    tbody { @for sums in &report.thresholds { (row(sums, report.thresholds.len() > 1)) } }
                }
            }
            p.small {
                "Still over next: how often the moment after one over a threshold was over it too, without any eviction. "
                "High is an imbalance that lasts, low is noise that passes by itself."
            }
        }
    }
}

fn row(sums: &Sums, several: bool) -> Markup {
    let share = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), percent);
    let held: Vec<String> =
        sums.held_by.iter().map(|(guard, times)| format!("{} {times}", spaced(guard))).collect();
    html! {
        tr.current[several && sums.current] {
            th scope="row" { (sums.cpu) @if several && sums.current { " ← set" } }
            td { (sums.lag) }
            td { (share(sums.over_threshold)) }
            td { (sums.episodes.map_or_else(|| "–".to_owned(), |episodes| episodes.to_string())) }
            td { (sums.count(Outcome::Withheld)) }
            td { (sums.rotations_in_words()) }
            td { (sums.evictions_per_day.map_or_else(|| "–".to_owned(), |daily| format!("{daily:.1}"))) }
            td { (share(sums.still_over_next)) }
            td.words { (held.join(", ")) }
        }
    }
}

fn decisions(report: &BacktestReport) -> Markup {
    let Some(sums) = report.shown() else { return html! {} };
    let over = report.decisions.iter().filter(|decision| decision.should_rebalance && sums.is_of(decision));
    let over: Vec<&Decision> = over.collect();
    let left_out = over.len().saturating_sub(MOST);
    html! {
        @if !over.is_empty() {
            section aria-labelledby="decisions" {
                h2 #decisions { "Moments over a threshold" }
                p.small { "At the thresholds CPU " (sums.cpu) " and lag " (sums.lag) ", the latest first." }
                @if left_out > 0 {
                    p.note { "The latest " (MOST) "; " (left_out) " earlier ones are left out of this page, the JSON report has them." }
                }
                div.scroll role="region" aria-label="Moments over a threshold" tabindex="0" {
                    table.numbers {
                        thead { tr {
                            @for heading in ["Time", "CPU", "Lag", "Pods", "Outcome", "Cause", "To rotate", "Held by"] {
                                th.words[WORDS.contains(&heading)] scope="col" { (heading) }
                            }
                        } }
                        tbody { @for decision in over.into_iter().rev().take(MOST) { (decided(decision)) } }
                    }
                }
            }
        }
    }
}

fn decided(decision: &Decision) -> Markup {
    let spread = |cv: Option<f64>, limit: f64| cv.map(|cv| format!("{} of {limit}", ratio(cv)));
    html! {
        tr {
            th scope="row" { time { (decision.time) } }
            td { (spread(decision.cpu_cv, decision.cpu_threshold).unwrap_or_default()) }
            td { (spread(decision.lag_cv, decision.lag_threshold).unwrap_or_default()) }
            td { (decision.pods) }
            td.words { (spaced(decision.outcome.name())) }
            td.words { (spaced(&decision.cause)) }
            td.words { (decision.targets.join(", ")) }
            td.words { (decision.held_by.iter().map(|guard| spaced(guard)).collect::<Vec<String>>().join(", ")) }
        }
    }
}
