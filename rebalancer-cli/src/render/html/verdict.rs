//! The outcome in one sentence, and the numbers behind it.

use maud::{Markup, html};
use rebalancer_core::Metric;
use rebalancer_core::guard::Standing;

use super::text::sentence as in_a_sentence;
use crate::format::metric::{shown, with_unit};
use crate::format::number::ratio;
use crate::format::text::{count, spaced};
use crate::render::text::history::seconds;
use crate::report::rotation::RotationReport;
use crate::report::{CoverageReport, Kind, Outcome, Report, StatisticsReport, TargetReport, WorkloadReport};

/// The top of the page.
pub fn section(report: &Report) -> Markup {
    let (tone, mark) = tone(report.outcome);
    html! {
        @if report.is_dry_run() { (dry_run()) }
        header class={ "verdict " (tone) } {
            p.state {
                span.mark aria-hidden="true" { (mark) } " " (spaced(report.outcome.into_str()))
                @if report.kind == Kind::Plan { " · a plan, nothing was changed" }
            }
            h1 { (sentence(report)) }
            @if !is_told(report, &report.reason) { p.reason { (in_a_sentence(&report.reason)) } }
            @if let Some(rotation) = &report.rotation { (done(rotation)) }
            (place(&report.workload, &[("evaluated", report.evaluation_time.as_deref())]))
        }
        (tiles(report))
        (notes("In the way", "hold", report.obstacles.iter().filter(|note| !is_told(report, note))))
        (notes("Worth knowing", "unknown", report.warnings.iter()))
    }
}

/// The line that says it is a dry run.
pub fn dry_run() -> Markup {
    html! { p.dry { strong { "DRY RUN" } " Nothing was changed." } }
}

/// Which pods, and when.
pub fn place(workload: &WorkloadReport, times: &[(&str, Option<&str>)]) -> Markup {
    let named = [
        ("workload", &workload.owner),
        ("namespace", &workload.namespace),
        ("selector", &workload.selector),
        ("context", &workload.context),
    ];
    let named = named.map(|(word, value)| (word, value.as_ref().map(|value| html! { (value) })));
    let time = |time: &str| html! { time datetime=(time) { (seconds(time)) } };
    place_of(named.into_iter().chain(times.iter().map(|(word, at)| (*word, at.map(time)))))
}

/// What the page is about, each with its word; what is not known is left out.
pub fn place_of<'w>(known: impl Iterator<Item = (&'w str, Option<Markup>)>) -> Markup {
    html! {
        dl.place {
            @for (word, value) in known {
                @if let Some(value) = value { div { dt { (word) } dd { (value) } } }
            }
        }
    }
}

/// The tone of an outcome, also its class in the style sheet, and its mark.
const fn tone(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Balanced => ("calm", "✓"),
        Outcome::Planned | Outcome::Rotated => ("act", "↻"),
        Outcome::Partial | Outcome::Failed => ("alarm", "!"),
        Outcome::InsufficientData | Outcome::Withheld | Outcome::Blocked => ("held", "‖"),
    }
}

fn sentence(report: &Report) -> Markup {
    let targets = targets(&report.targets);
    html! {
        @match report.outcome {
            Outcome::Balanced => "The load is balanced: nothing to do.",
            Outcome::InsufficientData => "Too little data to decide: nothing is done.",
            Outcome::Withheld => { "No rotation: " (told(report).unwrap_or_default()) "." },
            Outcome::Blocked => { "Nothing was evicted: " (told(report).unwrap_or_default()) "." },
            Outcome::Planned => { "Rotate " (targets) "." },
            Outcome::Rotated => { "Rotated " (targets) "." },
            Outcome::Partial => { "Only part of the rotation was done: " (targets) "." },
            Outcome::Failed => { "The rotation failed: " (targets) "." },
        }
    }
}

/// The sentence of the report that stands at the top of the page. It stands nowhere else in it.
pub fn told(report: &Report) -> Option<&str> {
    match report.outcome {
        Outcome::Withheld => Some(hindrance(report)),
        Outcome::Blocked => Some(report.obstacles.first().unwrap_or(&report.reason)),
        _ => None,
    }
}

/// Whether the top of the page says this.
pub fn is_told(report: &Report, sentence: &str) -> bool {
    told(report) == Some(sentence)
}

/// What holds a rotation back: the most important reason.
fn hindrance(report: &Report) -> &str {
    let held = report.guards.iter().find(|guard| guard.verdict == Standing::Hold);
    match held {
        Some(guard) if guard.name == "diagnosis" => &report.diagnosis.evidence,
        Some(guard) => &guard.reason,
        // An unknown guard holds back too.
        None => {
            let unknown = report.guards.iter().find(|guard| guard.verdict == Standing::Unknown);
            let unknown = unknown.map(|guard| &guard.reason);
            report.obstacles.first().or(unknown).unwrap_or(&report.reason)
        }
    }
}

fn targets(targets: &[TargetReport]) -> Markup {
    html! {
        @for (place, target) in targets.iter().enumerate() {
            @if place > 0 { " and " }
            b class=(target.role) { (target.pod) } " (" (spaced(target.role.name())) ")"
        }
        @if targets.is_empty() { "no pod" }
    }
}

/// What was done to each pod.
fn done(rotation: &RotationReport) -> Markup {
    html! {
        ul.done {
            @for pod in &rotation.deleted { li { "✓ evicted " b { (pod) } } }
            @for (pod, reason) in &rotation.skipped { li { "– " b { (pod) } " not evicted: " (reason.message) } }
            @for (pod, reason) in &rotation.errors { li { "✗ " b { (pod) } ": " (reason.message) } }
        }
    }
}

fn tiles(report: &Report) -> Markup {
    let judged = report.pods.iter().filter(|pod| pod.verdict.is_candidate()).count();
    let compared = html! { @if !report.pods.is_empty() { p.note { (judged) " compared" } } };
    html! {
        div.tiles {
            @for (metric, statistics) in report.statistics.iter() {
                @let label = format!("{} spread", shown(metric).title);
                @match statistics {
                    Some(spread) => (tile(spread.is_over(), &label, &ratio(spread.cv), &held(metric, spread))),
                    None if report.coverage[metric].asked => {
                        (tile(false, &label, "–", &lacking(&report.coverage[metric])))
                    },
                    None => {},
                }
            }
            (tile(false, "Pods", &report.workload.pods.to_string(), &compared))
        }
    }
}

fn tile(is_over: bool, label: &str, number: &str, note: &Markup) -> Markup {
    html! { div.tile.over[is_over] { p.label { (label) } p.number { (number) } (note) } }
}

/// How many pods have a metric that was queried but not used.
fn lacking(coverage: &CoverageReport) -> Markup {
    html! {
        p.note {
            @if coverage.having == 0 { "absent: no pod has it" }
            @else { (coverage.having) " of " (coverage.eligible) " pods have it, " (coverage.needed) " must" }
        }
    }
}

/// What a spread was held against; the mean where it is held against nothing.
fn held(metric: Metric, spread: &StatisticsReport) -> Markup {
    html! {
        p.note {
            @match spread.threshold {
                Some(limit) if spread.is_over() => { "▲ over the threshold " (limit) },
                Some(limit) if spread.cv > limit => {
                    "idle: counts as " (ratio(spread.cv_compared)) ", threshold " (limit)
                },
                Some(limit) => { "threshold " (limit) },
                None => { "around " (with_unit(metric, spread.mean)) },
            }
        }
    }
}

/// Notes of one tone, below a heading that counts them.
pub fn notes<'n>(heading: &str, tone: &str, notes: impl Iterator<Item = &'n String>) -> Markup {
    let notes: Vec<&String> = notes.collect();
    html! {
        @if !notes.is_empty() {
            section.notes {
                h2 { (heading) " " small { (count(notes.len(), "note", "notes")) } }
                ul { @for note in &notes { li class=(tone) { (note) } } }
            }
        }
    }
}
