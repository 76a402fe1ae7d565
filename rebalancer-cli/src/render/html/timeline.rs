//! The spread over time, and the decisions.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use maud::{Markup, html};

use super::text::coordinate;
use crate::format::metric::shown;
use crate::format::number::ratio;
use crate::format::text::spaced;
use rebalancer_core::Metric;

use crate::report::Outcome;
use crate::report::backtest::{BacktestReport, Decision};

/// Maximum number of points per line and marks per lane: more than fits on a screen.
const MOST_COLUMNS: usize = 600;

/// The outcomes, one lane each, from the top.
const LANES: [Outcome; 5] =
    [Outcome::Planned, Outcome::Withheld, Outcome::Blocked, Outcome::Balanced, Outcome::InsufficientData];

/// Later steps are treated as this one: no report of this program has more.
const MOST_STEPS: f64 = 1e9;

/// Steps between two dates of the axis, in hours: up to eight of them fit on a phone.
const STEPS_HOURS: [i64; 11] = [1, 3, 6, 12, 24, 48, 168, 336, 720, 2160, 8760];

/// Maximum number of dates on the axis.
const MOST_DATES: i64 = 8;

/// Height of a lane in pixels.
const LANE: f64 = 20.0;

/// Height of the line of a spread in pixels.
const LINE: f64 = 120.0;

/// Both spreads over time and the outcomes below.
pub fn section(report: &BacktestReport) -> Markup {
    let Some(sums) = report.shown() else { return html! {} };
    let shown: Vec<&Decision> = report.decisions.iter().filter(|decision| sums.is_of(decision)).collect();
    let timeline = Timeline::new(&shown, report.every_seconds);
    html! {
        @if let (Some(from), Some(to)) = (shown.first(), shown.last()) {
            section aria-labelledby="timeline" {
                h2 #timeline { "Timeline" }
                p.small { "At the thresholds CPU " (sums.cpu) " and lag " (sums.lag) "." }
                @for (metric, limit) in [(Metric::Cpu, sums.cpu), (Metric::Lag, sums.lag)] {
                    (timeline.spread(metric, limit))
                }
                (timeline.lanes())
                (timeline.axis(&from.time, report.every_seconds))
                p.ends { time { (from.time) } time { (to.time) } }
            }
        }
    }
}

/// Decisions, drawn over the width of the page.
struct Timeline<'a> {
    columns: BTreeMap<usize, Vec<&'a Decision>>,
    /// Number of columns, including those without data.
    count: usize,
    /// Number of moments, including those without data.
    moments: usize,
}

impl<'a> Timeline<'a> {
    /// Decisions in time order, `every_seconds` apart if that is known.
    fn new(decisions: &[&'a Decision], every_seconds: Option<f64>) -> Self {
        let steps = steps(decisions, every_seconds);
        let moments = steps.last().map_or(0, |last| last + 1);
        let count = moments.clamp(1, MOST_COLUMNS);
        let mut columns: BTreeMap<usize, Vec<&Decision>> = BTreeMap::new();
        for (step, decision) in steps.into_iter().zip(decisions) {
            columns.entry(step * count / moments.max(1)).or_default().push(decision);
        }
        Self { columns, count, moments }
    }

    /// The left edge of a column, in percent.
    fn x(&self, column: usize) -> f64 {
        hundredths(100.0 * column as f64 / self.count as f64)
    }

    /// The largest spread of each column that has one.
    fn largest(&self, metric: Metric) -> Vec<(usize, f64)> {
        let spread =
            |decision: &&Decision| if metric == Metric::Cpu { decision.cpu_cv } else { decision.lag_cv };
        let columns = self.columns.iter();
        columns
            .filter_map(|(column, decisions)| {
                Some((*column, decisions.iter().filter_map(spread).max_by(f64::total_cmp)?))
            })
            .collect()
    }

    fn spread(&self, metric: Metric, limit: f64) -> Markup {
        let spreads = self.largest(metric);
        let highest = spreads.iter().map(|(_, spread)| *spread).fold(0.0, f64::max);
        let most = highest.max(limit).max(f64::MIN_POSITIVE) * 1.15;
        let y = |spread: f64| coordinate(LINE * (1.0 - spread / most));
        let id = |part: &str| format!("timeline-{}-{part}", metric.name());
        let over = spreads.iter().filter(|(_, spread)| *spread > limit).count();
        html! {
            figure.panel.plot {
                figcaption {
                    h3 { (shown(metric).title) " spread" }
                    span.fact { "highest " b { (ratio(highest)) } }
                    span.fact { svg.key width="26" height="14" aria-hidden="true" { line.threshold x1="0" x2="26" y1="9" y2="9" {} } "threshold " b { (ratio(limit)) } }
                }
                svg role="img" width="100%" height=(LINE) aria-labelledby={ (id("title")) " " (id("words")) } {
                    title id=(id("title")) { (shown(metric).title) " spread over time" }
                    desc id=(id("words")) { "Above the threshold in " (over) " of " (self.columns.len()) " stretches of time." }
                    rect.over width="100%" height=(y(limit)) {}
                    svg viewBox={ "0 0 100 " (LINE) } preserveAspectRatio="none" width="100%" height=(LINE) {
                        path.line d=(self.path(&spreads, y)) {}
                    }
                    line.threshold x1="0" x2="100%" y1=(y(limit)) y2=(y(limit)) {}
                }
            }
        }
    }

    /// The line, interrupted where there are no data.
    fn path(&self, spreads: &[(usize, f64)], y: impl Fn(f64) -> f64) -> String {
        let mut path = String::new();
        let mut before: Option<usize> = None;
        for &(column, spread) in spreads {
            let x = hundredths(self.x(column) + 50.0 / self.count as f64);
            let y = y(spread);
            // Writing to a string cannot fail. A moment without neighbours is a dot: a zero-length line with
            // round ends.
            let _ = match before {
                Some(before) if column == before + 1 => write!(path, "L{x} {y}"),
                _ => write!(path, "M{x} {y}h0"),
            };
            before = Some(column);
        }
        path
    }

    /// The dates below the lines, on whole hours or days of UTC; nothing if the moments are not evenly spaced.
    fn axis(&self, from: &str, every_seconds: Option<f64>) -> Markup {
        let times = from.parse::<Timestamp>().ok().zip(every_seconds).filter(|(_, every)| *every > 0.0);
        let Some((first, every)) = times else { return html! {} };
        let span_s = every * self.moments as f64;
        html! {
            svg.dates width="100%" height="24" aria-hidden="true" {
                @for (at, words) in dates(first, span_s) {
                    @let x = hundredths(100.0 * (at.as_second() - first.as_second()) as f64 / span_s);
                    line.axis x1={ (x) "%" } x2={ (x) "%" } y1="0" y2="5" {}
                    text x={ (x) "%" } y="18" text-anchor=(if x < 5.0 { "start" } else if x > 95.0 { "end" } else { "middle" }) { (words) }
                }
            }
        }
    }

    /// The columns in which an outcome occurs.
    fn with(&self, outcome: Outcome) -> Vec<usize> {
        let has = |decisions: &[&Decision]| decisions.iter().any(|decision| decision.outcome == outcome);
        self.columns.iter().filter(|(_, decisions)| has(decisions)).map(|(column, _)| *column).collect()
    }

    fn lanes(&self) -> Markup {
        let lanes = LANES.into_iter().map(|outcome| (outcome, self.with(outcome)));
        let lanes: Vec<(Outcome, Vec<usize>)> = lanes.filter(|(_, columns)| !columns.is_empty()).collect();
        let words: Vec<String> = lanes
            .iter()
            .map(|(lane, columns)| format!("{} in {}", spaced(lane.into_str()), columns.len()))
            .collect();
        // Slightly wider than a column, so that no gap shows between two.
        let width = hundredths(100.0 / self.count as f64 + 0.03);
        html! {
            figure.panel.plot {
                figcaption { h3 { "Outcomes" } }
                svg role="img" width="100%" height=(LANE * 2.0 * lanes.len() as f64) aria-labelledby="lanes-title lanes-words" {
                    title #lanes-title { "Outcomes over time" }
                    desc #lanes-words { "Of " (self.columns.len()) " stretches of time: " (words.join(", ")) "." }
                    @for (place, (lane, columns)) in lanes.iter().enumerate() {
                        @let y = place as f64 * 2.0 * LANE;
                        text.label x="0" y=(y + 13.0) { (spaced(lane.into_str())) }
                        line.axis x1="0" x2="100%" y1=(y + 2.0 * LANE - 1.0) y2=(y + 2.0 * LANE - 1.0) {}
                        @for column in columns {
                            rect class={ "lane " (lane.into_str()) } x={ (self.x(*column)) "%" } width={ (width) "%" }
                                y=(y + LANE - 2.0) height=(LANE) {}
                        }
                    }
                }
            }
        }
    }
}

/// The step number of each decision: by time if they are evenly spaced, else by order.
fn steps(decisions: &[&Decision], every_seconds: Option<f64>) -> Vec<usize> {
    let times: Option<Vec<Timestamp>> = decisions.iter().map(|decision| decision.time.parse().ok()).collect();
    let every_ms = every_seconds.map(|every| 1000.0 * every).filter(|every| *every >= 1.0);
    let (Some(times), Some(every_ms)) = (times, every_ms) else { return (0..decisions.len()).collect() };
    let Some(first) = times.first() else { return Vec::new() };
    let step = |at: &Timestamp| (at.as_millisecond() - first.as_millisecond()) as f64 / every_ms;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded before")]
    times.iter().map(|at| step(at).round().clamp(0.0, MOST_STEPS) as usize).collect()
}

/// The whole hours or days within a time, as words: the day, or the hour of a day that has been named.
fn dates(first: Timestamp, span_s: f64) -> Vec<(Timestamp, String)> {
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
    let hours = (span_s / 3600.0) as i64;
    let step = STEPS_HOURS.into_iter().find(|step| hours / step <= MOST_DATES).unwrap_or(8760) * 3600;
    let begin = first.as_second().div_euclid(step) * step;
    let times = (0..=MOST_DATES + 1).filter_map(|index| Timestamp::from_second(begin + index * step).ok());
    let within = |at: &Timestamp| {
        let after_s = at.as_second() - first.as_second();
        after_s >= 0 && after_s as f64 <= span_s
    };
    let words = |at: Timestamp| {
        let is_day = at.as_second().rem_euclid(86_400) == 0;
        (at, at.strftime(if is_day { "%b %-d" } else { "%H:%M" }).to_string())
    };
    times.filter(within).map(words).collect()
}

/// A number with at most two decimal places.
fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_has_a_few_round_dates() {
        let first: Timestamp = "2026-11-23T05:17:00Z".parse().expect("a time");
        let shown = |hours: f64| -> Vec<String> {
            dates(first, 3600.0 * hours).into_iter().map(|(_, words)| words).collect()
        };
        assert_eq!(shown(2.0), ["06:00", "07:00"]);
        assert_eq!(shown(24.0), ["06:00", "09:00", "12:00", "15:00", "18:00", "21:00", "Nov 24", "03:00"]);
        assert_eq!(shown(168.0), ["Nov 24", "Nov 25", "Nov 26", "Nov 27", "Nov 28", "Nov 29", "Nov 30"]);
        for hours in [0.0, 0.2, 5_000.0, 1e6, 1e300, f64::NAN] {
            assert!(shown(hours).len() <= 10, "{hours}");
        }
    }
}
