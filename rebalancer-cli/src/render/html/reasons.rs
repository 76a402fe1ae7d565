//! What speaks for and against a rotation: the guards, and the diagnosis with its forecast.

use maud::{Markup, html};
use rebalancer_core::diagnosis::Remedy;
use rebalancer_core::guard::Standing;

use super::text::{coordinate, sentence};
use super::verdict::is_told;
use crate::format::number::{age, percent, ratio};
use crate::format::text::{count, spaced};
use crate::report::Report;
use crate::report::diagnosis::SpreadReport;
use crate::report::verdict::VerdictReport;

/// The guards, each with its number and its limit.
pub fn guards(report: &Report) -> Markup {
    html! {
        section.panel aria-labelledby="guards" {
            h2 #guards { "Guards" }
            @if report.thresholds.guards == "off" {
                p { "Guards are off: the thresholds alone decide." }
            }
            (checks(&report.guards, report))
        }
    }
}

/// Checks of a report, one below another.
fn checks(checks: &[VerdictReport], report: &Report) -> Markup {
    html! {
        ul.checks {
            @for check in checks {
                @let [class, mark, word] = shown(check.verdict);
                li class=(class) {
                    span.mark aria-hidden="true" { (mark) }
                    span.name { (spaced(&check.name)) }
                    span.word { (word) }
                    span.numbers { (numbers(check)) }
                    @if !is_told(report, &check.reason) && !is_evidence(report, &check.reason) {
                        span.why { (check.reason) }
                    }
                }
            }
        }
    }
}

/// Whether the diagnosis says this as its evidence.
fn is_evidence(report: &Report, sentence: &str) -> bool {
    !report.diagnosis.is_empty() && report.diagnosis.evidence == sentence
}

/// The class of a verdict in the style sheet, its mark, and its words.
const fn shown(verdict: Standing) -> [&'static str; 3] {
    match verdict {
        Standing::Pass => ["pass", "✓", "passes"],
        Standing::Hold => ["hold", "✗", "holds back"],
        Standing::Unknown => ["unknown", "?", "not known"],
    }
}

/// The number and its limit, each in the unit of the guard.
fn numbers(check: &VerdictReport) -> Markup {
    let unit = |value: f64| -> String {
        match check.name.as_str() {
            "cooldown" | "futility" | "illness_age" | "cured_before" => age(value),
            "coverage" => percent(value),
            "persistence" => percent(value / 100.0),
            _ if value.fract() == 0.0 => format!("{value}"),
            _ => ratio(value),
        }
    };
    html! {
        @match (check.value, check.limit) {
            // The diagnosis as a whole has no number, but its tests have.
            _ if check.name == "diagnosis" => "",
            (Some(value), Some(limit)) if check.name == "warm_up" => {
                (pods(value)) " below " (age(limit))
            },
            (Some(value), Some(limit)) => { (unit(value)) span.limit { " limit " (unit(limit)) } },
            (Some(value), None) => (unit(value)),
            (None, Some(limit)) => span.limit { "limit " (unit(limit)) },
            (None, None) => "",
        }
    }
}

fn pods(value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    count(value as usize, "pod", "pods")
}

/// Why the load is uneven, and how even a rotation could make it.
pub fn diagnosis(report: &Report) -> Markup {
    let diagnosis = &report.diagnosis;
    html! {
        section.panel aria-labelledby="diagnosis" {
            h2 #diagnosis { "Diagnosis" }
            @if diagnosis.is_empty() {
                p { "Nothing asks for a rotation, so there is nothing to diagnose." }
            } @else {
                @if !is_told(report, &diagnosis.evidence) { p.evidence { (sentence(&diagnosis.evidence)) } }
                @if diagnosis.remedy != Remedy::None { p { "Remedy: " b { (diagnosis.remedy_words()) } "." } }
                @if let Some(other) = &report.alternative { p { (other.words()) "." } }
                @if !diagnosis.notes.is_empty() {
                    h3 { "What else is known" }
                    ul.advice { @for note in &diagnosis.notes { li { (note) } } }
                }
                @if !diagnosis.advice.is_empty() {
                    h3 { "What helps instead" }
                    ul.advice { @for line in &diagnosis.advice { li { (line) } } }
                }
                h3 { "What a rotation would change" }
                (what_if(diagnosis.spread.as_ref()))
                @if let Some(assignor) = &diagnosis.assignor {
                    p.small { "Assignor: " @if diagnosis.assignor_is_a_guess { "looks like " } (assignor) "." }
                }
                @if !diagnosis.steps.is_empty() { details {
                    summary {
                        "The " (diagnosis.steps.len()) " tests"
                        @let untold = diagnosis.tests(Standing::Unknown);
                        @if untold > 0 { "; " (untold) " could not tell" }
                    }
                    (checks(&diagnosis.steps, report))
                } }
            }
        }
    }
}

fn what_if(spread: Option<&SpreadReport>) -> Markup {
    let Some(SpreadReport { now, expected, expected_low, expected_high, unmodelled, best, .. }) = spread
    else {
        return html! {
            p { "Not known: the metrics do not tell which pod reads which partition, and how loaded each is." }
        };
    };
    let most = [Some(*now), *expected, Some(*best)].into_iter().flatten().fold(f64::MIN_POSITIVE, f64::max);
    let bars = [("now", Some(*now)), ("expected after it", *expected), ("best possible", Some(*best))];
    html! {
        p.small { "Spread of the partitions' load over the pods; lower is more even." }
        dl.bars {
            @for (label, value) in bars {
                div {
                    dt { (label) }
                    @match value {
                        Some(value) => dd {
                            span.bar style={ "width:" (coordinate(70.0 * value / most)) "%" } {}
                            " " (ratio(value))
                        },
                        None if unmodelled.is_some() => dd { "not known" },
                        None => dd { "not known without the assignor" },
                    }
                }
            }
        }
        @if let Some(why) = unmodelled { p.small { (sentence(why)) } }
        @if let (Some(low), Some(high)) = (expected_low, expected_high) && low < high {
            p.small {
                "What comes of it depends on the order of the new consumers, which nobody knows: from "
                (ratio(*low)) " to " (ratio(*high)) " in eight of ten orders."
            }
        }
    }
}
