//! What it came to, in one sentence that stands first, and what the sentence rests on.

use maud::{Markup, html};
use rebalancer_core::Metric;

use super::text::{count, load, ratio, sentence as in_a_sentence, spaced, title};
use super::view::{DecisionView, Rotation, Statistics, Target, Workload};

/// The head of the page.
pub fn section(view: &DecisionView) -> Markup {
    html! {
        @if view.is_dry_run() { (dry_run()) }
        header class={ "verdict " (tone(&view.outcome)) } {
            p.state { span.mark aria-hidden="true" { (mark(&view.outcome)) } " " (spaced(&view.outcome)) }
            h1 { (sentence(view)) }
            p.reason { (in_a_sentence(&view.reason)) }
            @if let Some(rotation) = &view.rotation { (done(rotation)) }
            (place(&view.workload, view.evaluation_time.as_deref()))
        }
        (tiles(view))
        (notes("In the way", "hold", &view.obstacles))
        (notes("Worth knowing", "unknown", &view.warnings))
    }
}

/// The line that no one may overlook.
fn dry_run() -> Markup {
    html! { p.dry { strong { "DRY RUN" } " Nothing was changed." } }
}

/// Which pods, and when.
pub fn place(workload: &Workload, at: Option<&str>) -> Markup {
    let named = [
        ("workload", &workload.owner),
        ("namespace", &workload.namespace),
        ("selector", &workload.selector),
        ("context", &workload.context),
    ];
    html! {
        dl.place {
            @for (word, value) in named {
                @if let Some(value) = value { div { dt { (word) } dd { (value) } } }
            }
            @if let Some(at) = at { div { dt { "evaluated" } dd { time datetime=(at) { (at) } } } }
        }
    }
}

/// How an outcome is to be taken: as calm, as an act, as held back, or as an alarm.
pub fn tone(outcome: &str) -> &'static str {
    match outcome {
        "balanced" => "calm",
        "planned" | "rotated" => "act",
        "partial" | "failed" => "alarm",
        _ => "held",
    }
}

fn mark(outcome: &str) -> &'static str {
    match tone(outcome) {
        "calm" => "✓",
        "act" => "↻",
        "alarm" => "!",
        _ => "✋\u{fe0e}",
    }
}

fn sentence(view: &DecisionView) -> Markup {
    let targets = targets(&view.targets);
    html! {
        @match view.outcome.as_str() {
            "balanced" => "The load is balanced: nothing to do.",
            "insufficient_data" => "Too little data to decide: nothing is done.",
            "withheld" => "A rotation is called for, and held back.",
            "blocked" => { "Nothing was evicted: " (targets) " may not be rotated." },
            "planned" => { "Rotate " (targets) "." },
            "rotated" => { "Rotated " (targets) "." },
            "partial" => { "Only part of the rotation was done: " (targets) "." },
            _ => { "The rotation failed: " (targets) "." },
        }
    }
}

fn targets(targets: &[Target]) -> Markup {
    html! {
        @for (place, target) in targets.iter().enumerate() {
            @if place > 0 { " and " }
            b class=(target.role) { (target.pod) } " (" (spaced(&target.role)) ")"
        }
        @if targets.is_empty() { "no pod" }
    }
}

/// What was done to each pod.
fn done(rotation: &Rotation) -> Markup {
    html! {
        ul.done {
            @for pod in &rotation.deleted { li { "✓ evicted " b { (pod) } } }
            @for (pod, reason) in &rotation.skipped { li { "– " b { (pod) } " not evicted: " (reason.message) } }
            @for (pod, reason) in &rotation.errors { li { "✗ " b { (pod) } ": " (reason.message) } }
        }
    }
}

fn tiles(view: &DecisionView) -> Markup {
    let judged = view.pods.iter().filter(|pod| pod.is_candidate()).count();
    html! {
        div.tiles {
            @for (metric, statistics) in view.statistics.iter() {
                @if let Some(statistics) = statistics { (tile(metric, statistics)) }
            }
            div.tile {
                p.label { "Pods" }
                p.number { (view.workload.pods) }
                @if !view.pods.is_empty() { p.note { (judged) " compared" } }
            }
        }
    }
}

fn tile(metric: Metric, statistics: &Statistics) -> Markup {
    html! {
        div.tile.over[statistics.is_over()] {
            p.label { (title(metric)) " spread" }
            p.number { (ratio(statistics.cv)) }
            p.note {
                @match statistics.threshold {
                    Some(limit) if statistics.is_over() => { "▲ over the threshold " (limit) },
                    Some(limit) if statistics.cv > limit => {
                        "idle: counts as " (ratio(statistics.cv_compared)) ", threshold " (limit)
                    },
                    Some(limit) => { "threshold " (limit) },
                    None => { "around " (load(metric, statistics.mean)) },
                }
            }
        }
    }
}

fn notes(heading: &str, tone: &str, notes: &[String]) -> Markup {
    html! {
        @if !notes.is_empty() {
            section.notes {
                h2 { (heading) " " small { (count(notes.len(), "note", "notes")) } }
                ul { @for note in notes { li class=(tone) { (note) } } }
            }
        }
    }
}
