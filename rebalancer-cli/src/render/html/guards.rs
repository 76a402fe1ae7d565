//! Each guard with its number and its limit.

use maud::{Markup, html};

use super::verdict::is_told;
use crate::format::number::{age, percent, ratio};
use crate::format::text::{count, spaced};
use rebalancer_core::guard::Standing;

use crate::report::Report;
use crate::report::verdict::VerdictReport;

/// The checklist.
pub fn section(report: &Report) -> Markup {
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
pub fn checks(checks: &[VerdictReport], report: &Report) -> Markup {
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
