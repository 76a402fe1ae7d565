//! How a spread went over time, and what was decided when.

use std::fmt::Write as _;

use jiff::Timestamp;
use maud::{Markup, html};

use super::text::{coordinate, ratio, spaced, title};
use super::view::{BacktestView, Decision};
use rebalancer_core::Metric;

/// Most points of a line and marks of a lane: more than a screen has room for.
const MOST_COLUMNS: usize = 600;

/// The outcomes, each on a lane of its own, from the top.
const LANES: [&str; 5] = ["planned", "withheld", "blocked", "balanced", "insufficient_data"];

/// Height of a lane in pixels.
const LANE: f64 = 20.0;

/// Height of the line of a spread in pixels.
const LINE: f64 = 120.0;

/// Both spreads over time and the outcomes below.
pub fn section(view: &BacktestView) -> Markup {
    let Some(sums) = view.shown() else { return html! {} };
    let shown = view
        .decisions
        .iter()
        .filter(|decision| (decision.cpu_threshold, decision.lag_threshold) == (sums.cpu, sums.lag));
    let columns = columns(shown);
    html! {
        @if let (Some(from), Some(to)) = (columns.first(), columns.last()) {
            section aria-labelledby="timeline" {
                h2 #timeline { "Timeline" }
                p.small { "At the thresholds CPU " (sums.cpu) " and lag " (sums.lag) "." }
                @for (metric, limit) in [(Metric::Cpu, sums.cpu), (Metric::Lag, sums.lag)] {
                    (line(metric, limit, &columns, view.every_seconds))
                }
                (lanes(&columns))
                p.ends { time { (from.from) } time { (to.from) } }
            }
        }
    }
}

/// Decisions that share a place on the page.
struct Column {
    /// Where, in percent.
    x: f64,
    /// The first moment.
    from: Timestamp,
    cpu: Option<f64>,
    lag: Option<f64>,
    outcomes: Vec<String>,
}

/// The decisions in columns; of several in one the largest spread counts, and every outcome.
fn columns<'a>(decisions: impl Iterator<Item = &'a Decision>) -> Vec<Column> {
    let timed = decisions.filter_map(|decision| Some((decision.time.parse::<Timestamp>().ok()?, decision)));
    let timed: Vec<(Timestamp, &Decision)> = timed.collect();
    let (Some((first, _)), Some((last, _))) = (timed.first(), timed.last()) else { return Vec::new() };
    let span_ms = (last.as_millisecond() - first.as_millisecond()).max(1) as f64;
    let share = |at: Timestamp| (at.as_millisecond() - first.as_millisecond()) as f64 / span_ms;
    let mut columns: Vec<Column> = Vec::new();
    for &(at, decision) in &timed {
        let x = coordinate(100.0 * (share(at) * MOST_COLUMNS as f64).floor() / MOST_COLUMNS as f64);
        let larger = |one: Option<f64>, other: Option<f64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.max(other)),
            (one, other) => one.or(other),
        };
        match columns.last_mut().filter(|column| column.x == x) {
            Some(column) => {
                column.cpu = larger(column.cpu, decision.cpu_cv);
                column.lag = larger(column.lag, decision.lag_cv);
                column.outcomes.push(decision.outcome.clone());
            }
            None => columns.push(Column {
                x,
                from: at,
                cpu: decision.cpu_cv,
                lag: decision.lag_cv,
                outcomes: vec![decision.outcome.clone()],
            }),
        }
    }
    columns
}

fn line(metric: Metric, limit: f64, columns: &[Column], every_seconds: Option<f64>) -> Markup {
    let value = |column: &Column| if metric == Metric::Cpu { column.cpu } else { column.lag };
    let most = columns.iter().filter_map(value).fold(limit * 1.2, f64::max).max(f64::MIN_POSITIVE);
    let y = |spread: f64| coordinate(LINE * (1.0 - spread / most));
    let id = |part: &str| format!("timeline-{}-{part}", metric.name());
    let over = columns.iter().filter(|column| value(column).is_some_and(|spread| spread > limit)).count();
    html! {
        figure.panel.plot {
            figcaption {
                h3 { (title(metric)) " spread" }
                span.fact { "highest " b { (ratio(columns.iter().filter_map(value).fold(0.0, f64::max))) } }
                span.fact { "threshold " b { (ratio(limit)) } }
            }
            svg role="img" width="100%" height=(LINE) aria-labelledby={ (id("title")) " " (id("words")) } {
                title id=(id("title")) { (title(metric)) " spread over time" }
                desc id=(id("words")) { "Above the threshold in " (over) " of " (columns.len()) " stretches of time." }
                rect.over width="100%" height=(y(limit)) {}
                svg viewBox={ "0 0 100 " (LINE) } preserveAspectRatio="none" width="100%" height=(LINE) {
                    path.line d=(path(columns, value, y, every_seconds)) {}
                }
                line.threshold x1="0" x2="100%" y1=(y(limit)) y2=(y(limit)) {}
                text.label x="2" y=(y(limit) - 4.0) { "threshold " (ratio(limit)) }
            }
        }
    }
}

/// The line, broken where there are no data.
fn path(
    columns: &[Column],
    value: impl Fn(&Column) -> Option<f64>,
    y: impl Fn(f64) -> f64,
    every_seconds: Option<f64>,
) -> String {
    let mut path = String::new();
    let mut before: Option<&Column> = None;
    for column in columns {
        let Some(spread) = value(column) else {
            before = None;
            continue;
        };
        let step_s = before
            .map(|before| (column.from.as_millisecond() - before.from.as_millisecond()) as f64 / 1000.0);
        // Two stretches lie apart by one step, or by one column where several moments share it.
        let is_near = step_s.is_some_and(|step| every_seconds.is_none_or(|every| step < 1.5 * every))
            || before.is_some_and(|before| column.x - before.x <= 1.5 * 100.0 / MOST_COLUMNS as f64);
        // A moment without neighbours is a dot: a line of no length with round ends.
        let (x, y) = (column.x, y(spread));
        // Writing to a string cannot fail.
        let _ = if is_near { write!(path, "L{x} {y}") } else { write!(path, "M{x} {y}h0") };
        before = Some(column);
    }
    path
}

fn lanes(columns: &[Column]) -> Markup {
    let seen = |outcome: &str| -> Vec<&Column> {
        columns.iter().filter(|column| column.outcomes.iter().any(|seen| seen == outcome)).collect()
    };
    let lanes: Vec<(&str, Vec<&Column>)> =
        LANES.into_iter().map(|lane| (lane, seen(lane))).filter(|(_, columns)| !columns.is_empty()).collect();
    let words: Vec<String> = lanes
        .iter()
        .map(|(lane, columns)| format!("{} in {} of them", spaced(lane), columns.len()))
        .collect();
    html! {
        figure.panel.plot {
            figcaption { h3 { "Outcomes" } }
            svg role="img" width="100%" height=(LANE * 2.0 * lanes.len() as f64) aria-labelledby="lanes-title lanes-words" {
                title #lanes-title { "Outcomes over time" }
                desc #lanes-words { "Of " (columns.len()) " stretches of time: " (words.join(", ")) "." }
                @for (place, (lane, seen)) in lanes.iter().enumerate() {
                    @let y = place as f64 * 2.0 * LANE;
                    text.label x="0" y=(y + 13.0) { (spaced(lane)) }
                    line.axis x1="0" x2="100%" y1=(y + 2.0 * LANE - 1.0) y2=(y + 2.0 * LANE - 1.0) {}
                    @for column in seen {
                        line class={ "lane " (lane) } x1={ (column.x) "%" } x2={ (column.x) "%" }
                            y1=(y + LANE) y2=(y + 2.0 * LANE - 2.0) {}
                    }
                }
            }
        }
    }
}
