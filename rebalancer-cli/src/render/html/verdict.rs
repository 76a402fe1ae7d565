//! What it came to, in one sentence that stands first, and what the sentence rests on.

use maud::{Markup, html};
use rebalancer_core::Metric;

use super::text::{count, load, ratio, sentence as in_a_sentence, spaced, title};
use super::view::{Coverage, DecisionView, Rotation, Statistics, Target, Workload};

/// The head of the page.
pub fn section(view: &DecisionView) -> Markup {
    html! {
        @if view.is_dry_run() { (dry_run()) }
        header class={ "verdict " (tone(&view.outcome)) } {
            p.state {
                span.mark aria-hidden="true" { (mark(&view.outcome)) } " " (spaced(&view.outcome))
                @if view.kind == "Plan" { " · a plan, nothing was changed" }
            }
            h1 { (sentence(view)) }
            p.reason { (in_a_sentence(&view.reason)) }
            @if let Some(rotation) = &view.rotation { (done(rotation)) }
            (place(&view.workload, &[("evaluated", view.evaluation_time.as_deref())]))
        }
        (tiles(view))
        (notes("In the way", "hold", &view.obstacles))
        (notes("Worth knowing", "unknown", &view.warnings))
    }
}

/// The line that no one may overlook.
pub fn dry_run() -> Markup {
    html! { p.dry { strong { "DRY RUN" } " Nothing was changed." } }
}

/// Which pods, and when.
pub fn place(workload: &Workload, times: &[(&str, Option<&str>)]) -> Markup {
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
            @for (word, time) in times {
                @if let Some(time) = time { div { dt { (word) } dd { time datetime=(time) { (time) } } } }
            }
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
        _ => "‖",
    }
}

fn sentence(view: &DecisionView) -> Markup {
    let targets = targets(&view.targets);
    html! {
        @match view.outcome.as_str() {
            "balanced" => "The load is balanced: nothing to do.",
            "insufficient_data" => "Too little data to decide: nothing is done.",
            "withheld" => { "No rotation: " (hindrance(view)) "." },
            "blocked" => { "Nothing was evicted: " (view.obstacles.first().unwrap_or(&view.reason)) "." },
            "planned" => { "Rotate " (targets) "." },
            "rotated" => { "Rotated " (targets) "." },
            "partial" => { "Only part of the rotation was done: " (targets) "." },
            _ => { "The rotation failed: " (targets) "." },
        }
    }
}

/// What holds a rotation back, in the words that say most.
fn hindrance(view: &DecisionView) -> &str {
    let held = view.guards.iter().find(|guard| guard.verdict == "hold");
    match held {
        Some(guard) if guard.name == "diagnosis" => &view.diagnosis.evidence,
        Some(guard) => &guard.reason,
        // A run also heeds what it cannot know.
        None => {
            let unknown = view.guards.iter().find(|guard| guard.verdict == "unknown");
            let unknown = unknown.map(|guard| &guard.reason);
            view.obstacles.first().or(unknown).unwrap_or(&view.reason)
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
                @match (statistics, view.coverage.as_ref().map(|coverage| &coverage[metric])) {
                    (Some(statistics), _) => (tile(metric, statistics)),
                    (None, Some(coverage)) if coverage.asked => (lacking(metric, coverage)),
                    (None, _) => {},
                }
            }
            div.tile {
                p.label { "Pods" }
                p.number { (view.workload.pods) }
                @if !view.pods.is_empty() { p.note { (judged) " compared" } }
            }
        }
    }
}

/// A metric that was asked for and decides nothing.
fn lacking(metric: Metric, coverage: &Coverage) -> Markup {
    html! {
        div.tile {
            p.label { (title(metric)) " spread" }
            p.number { "–" }
            p.note {
                @if coverage.having == 0 { "absent: no pod has it" }
                @else { (coverage.having) " of " (coverage.eligible) " pods have it, " (coverage.needed) " must" }
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
