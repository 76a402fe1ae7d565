//! Why the load is uneven, and how even a rotation could make it.

use maud::{Markup, html};
use rebalancer_core::diagnosis::Remedy;
use rebalancer_core::guard::Standing;

use super::guards;
use super::text::{coordinate, sentence};
use super::verdict::is_told;
use crate::format::number::ratio;
use crate::report::Report;
use crate::report::diagnosis::SpreadReport;

/// The diagnosis and the forecast.
pub fn section(report: &Report) -> Markup {
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
                    (guards::checks(&diagnosis.steps, report))
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
