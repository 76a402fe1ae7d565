//! The page of what became of a workload when its pods changed.

use maud::{Markup, html};
use rebalancer_core::Metric;

use super::text::table;
use super::verdict::{self, place};
use crate::format::metric::shown;
use crate::format::number::{percent, ratio};
use crate::format::text::count;
use crate::render::text::history::{notes, seconds};
use crate::report::history::{Helped, HistoryReport, ReplacementReport};

/// Everything between the document head and its queries.
pub fn body(report: &HistoryReport) -> Markup {
    html! {
        header.verdict.held {
            p.state { span.mark aria-hidden="true" { "⟲" } " history" }
            h1 { (report.sentence()) }
            p.reason { (HOW_IT_IS_JUDGED) }
            (place(&report.workload, &[("from", Some(&report.from)), ("to", Some(&report.to))]))
        }
        (verdict::notes("Worth knowing", "unknown", notes(report).iter()))
        (section(&report.replacements))
    }
}

/// How a change is judged.
const HOW_IT_IS_JUDGED: &str = "A spread is that of the mean loads over up to an hour before and after a change. It fell or \
     rose if it did so by a tenth or more, and by more than the noise of the loads explains.";

/// The part of a decision's page about the changes before it, or why they are not known.
pub fn section_of_a_decision(past: Result<&HistoryReport, &str>) -> Markup {
    html! {
        section aria-labelledby="earlier" {
            h2 #earlier { "What earlier replacements changed" }
            @match past {
                Err(why) => p { "This is not known: " (why) "." },
                Ok(report) => {
                    p { (report.sentence()) }
                    p.small {
                        "From " (seconds(&report.from)) " until this decision. "
                        @if !report.replacements.is_empty() { (HOW_IT_IS_JUDGED) }
                    }
                    @let notes = notes(report);
                    @if !notes.is_empty() { ul.notes { @for note in &notes { li.unknown { (note) } } } }
                    @for replacement in report.replacements.iter().rev() { (entry(replacement)) }
                }
            }
        }
    }
}

/// What each change came to, the latest first.
fn section(replacements: &[ReplacementReport]) -> Markup {
    html! {
        @if !replacements.is_empty() {
            section aria-labelledby="replacements" {
                h2 #replacements { "Replacements" }
                @for replacement in replacements.iter().rev() { (entry(replacement)) }
            }
        }
    }
}

fn entry(replacement: &ReplacementReport) -> Markup {
    let ReplacementReport { began, sentence, .. } = replacement;
    html! {
        div.panel.replacement {
            h3 { time datetime=(began) { (seconds(began)) } " · " (replacement.pods_words()) }
            p class=(tone(replacement.helped)) { (sentence) @if replacement.cure { " An ill pod was replaced." } }
            p.small { (replacement.who()) }
            (spreads(replacement))
            details {
                summary { (count(pods(replacement).count(), "pod", "pods")) }
                @for (word, pods) in [("Gone", &replacement.gone), ("Came", &replacement.came), ("Restarted", &replacement.restarted)] {
                    @if !pods.is_empty() { p.small { (word) ": " (pods.join(", ")) } }
                }
            }
        }
    }
}

fn pods(replacement: &ReplacementReport) -> impl Iterator<Item = &String> {
    replacement.gone.iter().chain(&replacement.came).chain(&replacement.restarted)
}

/// The numbers behind the sentence.
fn spreads(replacement: &ReplacementReport) -> Markup {
    let known = Metric::TRIGGERS
        .into_iter()
        .filter_map(|metric| Some((metric, replacement.spreads[metric].as_ref()?)));
    let rows = html! {
        @for (metric, spread) in known {
            tr {
                th scope="row" { (shown(metric).title) }
                td data-n="Before" { (ratio(spread.before)) }
                td data-n="After" { (ratio(spread.after)) }
                td data-n="Noise" { "±" (ratio(spread.noise)) }
                td data-n="Moved" { (spread.moved.map_or_else(|| "–".to_owned(), percent)) }
            }
        }
    };
    if replacement.spreads.iter().all(|(_, spread)| spread.is_none()) {
        return html! {};
    }
    let columns = ["Spread", "Before", "After", "Noise", "Moved"].map(|heading| (heading, false));
    table("numbers", "Spread before and after", &columns, &rows)
}

/// The class of a sentence in the style sheet.
const fn tone(helped: Helped) -> &'static str {
    match helped {
        Helped::Yes | Helped::WasEven => "pass",
        Helped::No | Helped::Worse | Helped::Mixed => "hold",
        Helped::Unknown => "unknown",
    }
}
