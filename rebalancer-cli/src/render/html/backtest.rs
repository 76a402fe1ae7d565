//! The page of a backtest: what would have been decided over the past, at each pair of thresholds.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::text;
use super::timeline;
use super::verdict::place;
use crate::format::names::{Naming, shared_prefix};
use crate::format::number::{age, percent, ratio};
use crate::format::text::{count, spaced};
use crate::report::Outcome;
use crate::report::backtest::{BacktestReport, Decision, Sums, episodes};

/// Maximum number of episodes in the page, the latest ones: a year has thousands.
const MOST: usize = 200;

/// Maximum number of episodes that are visible at once.
const AT_ONCE: usize = 15;

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
        (table(report))
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

/// The columns of the sums, and whether they contain words.
const SUMS: [(&str, bool); 9] = [
    ("CPU", false),
    ("Lag", false),
    ("Over", false),
    ("Episodes", false),
    ("Withheld", false),
    ("Rotations", false),
    ("Evictions a day", false),
    ("Still over next", false),
    ("Held by", true),
];

fn thresholds(report: &BacktestReport) -> Markup {
    let several = report.thresholds.len() > 1;
    let rows = html! { @for sums in &report.thresholds { (row(sums, several)) } };
    html! {
        section aria-labelledby="thresholds" {
            h2 #thresholds { "Thresholds" }
            (text::table("numbers", "What each pair of thresholds comes to", &SUMS, &rows))
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
            th scope="row" data-n="CPU" { (sums.cpu) @if several && sums.current { " ← set" } }
            td data-n="Lag" { (sums.lag) }
            td data-n="Over" { (share(sums.over_threshold)) }
            td data-n="Episodes" { (sums.episodes.map_or_else(|| "–".to_owned(), |episodes| episodes.to_string())) }
            td data-n="Withheld" { (sums.count(Outcome::Withheld)) }
            td data-n="Rotations" { (sums.rotations_in_words()) }
            td data-n="Evictions a day" { (sums.evictions_per_day.map_or_else(|| "–".to_owned(), |daily| format!("{daily:.1}"))) }
            td data-n="Still over next" { (share(sums.still_over_next)) }
            td.words data-n="Held by" { (held.join(", ")) }
        }
    }
}

fn table(report: &BacktestReport) -> Markup {
    let Some(sums) = report.shown() else { return html! {} };
    let decisions: Vec<&Decision> = report.decisions.iter().filter(|decision| sums.is_of(decision)).collect();
    let mut all: Vec<&[&Decision]> = episodes(&decisions).collect();
    all.reverse();
    let left_out = all.len().saturating_sub(MOST);
    all.truncate(MOST);
    let (latest, earlier) = all.split_at(all.len().min(AT_ONCE));
    let prefix =
        shared_prefix(decisions.iter().flat_map(|decision| decision.targets.iter().map(String::as_str)));
    html! {
        @if !latest.is_empty() {
            section aria-labelledby="episodes" {
                h2 #episodes { "Episodes over a threshold" }
                p.small { "At the thresholds CPU " (sums.cpu) " and lag " (sums.lag) ", the latest first." }
                (rows("Episodes over a threshold", latest, &prefix))
                @if !earlier.is_empty() {
                    details {
                        summary { (count(earlier.len(), "earlier episode", "earlier episodes")) }
                        (rows("Earlier episodes", earlier, &prefix))
                        @if left_out > 0 { p.note { (left_out) " still earlier ones are left out of this page, the JSON report has them." } }
                    }
                }
            }
        }
    }
}

/// The columns, and whether they contain words.
const COLUMNS: [(&str, bool); 8] = [
    ("Began", false),
    ("Lasted", false),
    ("CPU, highest", false),
    ("Lag, highest", false),
    ("Outcomes", true),
    ("Cause", true),
    ("To rotate first", true),
    ("Held by", true),
];

/// `prefix` is what all names of pods begin with.
fn rows(name: &str, episodes: &[&[&Decision]], prefix: &str) -> Markup {
    let rows = html! { @for all in episodes { (episode(all, prefix)) } };
    text::table("numbers episodes", name, &COLUMNS, &rows)
}

/// A row of moments over a threshold.
fn episode(all: &[&Decision], prefix: &str) -> Markup {
    let (Some(first), Some(last)) = (all.first(), all.last()) else { return html! {} };
    let highest = |spread: fn(&Decision) -> Option<f64>, limit: f64| {
        let highest = all.iter().filter_map(|decision| spread(decision)).max_by(f64::total_cmp);
        highest.map_or_else(String::new, |cv| format!("{} of {limit}", ratio(cv)))
    };
    let to_rotate = all.iter().find(|decision| !decision.targets.is_empty());
    html! {
        tr {
            th scope="row" { time datetime=(first.time) { (minute(&first.time)) } }
            td data-n="Lasted" { (lasted(first, last, all.len())) }
            td data-n="CPU, highest" { (highest(|decision| decision.cpu_cv, first.cpu_threshold)) }
            td data-n="Lag, highest" { (highest(|decision| decision.lag_cv, first.lag_threshold)) }
            td.words data-n="Outcomes" { (most_first(all.iter().map(|decision| decision.outcome.into_str()))) }
            td.words data-n="Cause" { (most_first(all.iter().map(|decision| decision.cause.as_str()))) }
            td.words data-n="To rotate first" { @if let Some(decision) = to_rotate { (decision.targets.iter().map(|pod| Naming::Short.of(pod, prefix)).collect::<Vec<String>>().join(", ")) } }
            td.words data-n="Held by" { (most_first(all.iter().flat_map(|decision| decision.held_by.iter().map(String::as_str)))) }
        }
    }
}

/// From the first moment to the last one, and how many there are.
fn lasted(first: &Decision, last: &Decision, moments: usize) -> String {
    let moments = count(moments, "moment", "moments");
    let time = |decision: &Decision| decision.time.parse::<jiff::Timestamp>().ok();
    match (time(first), time(last)) {
        (Some(first), Some(last)) if first < last => {
            format!("{}, {moments}", age(last.duration_since(first).as_secs_f64()))
        }
        _ => moments,
    }
}

/// Words with their numbers, the most frequent first; a word alone without one.
fn most_first<'w>(words: impl Iterator<Item = &'w str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    words.filter(|word| !word.is_empty()).for_each(|word| *counts.entry(word).or_default() += 1);
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, number)| std::cmp::Reverse(*number));
    if let [(word, _)] = counts[..] {
        return spaced(word);
    }
    let words = counts.iter().map(|(word, number)| format!("{} {number}", spaced(word)));
    words.collect::<Vec<String>>().join(", ")
}

/// A time to the minute, as `2026-11-23 06:15`; as it is, if it is none.
fn minute(time: &str) -> String {
    let at = time.parse::<jiff::Timestamp>();
    at.map_or_else(|_| time.to_owned(), |at| at.strftime("%Y-%m-%d %H:%M").to_string())
}
