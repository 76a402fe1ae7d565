//! Every pod with its loads, the busiest first.

use maud::{Markup, html};
use rebalancer_core::Metric;

use super::text::{self, coordinate};
use crate::format::metric::{short, shown};
use crate::format::number::{age, ratio};
use crate::report::{PodReport, PodVerdict, Report};

/// Maximum number of rows for the busiest pods, the least busy ones, and those not compared: a larger fleet
/// is shown by its ends.
const BUSIEST: usize = 200;
const LEAST_BUSY: usize = 100;
const OTHERS: usize = 100;

/// With more rows than this, those between the two ends are folded away.
const MOST_UNFOLDED: usize = 100;

/// Rows of each end that are always visible then.
const VISIBLE_BUSIEST: usize = 20;
const VISIBLE_LEAST_BUSY: usize = 10;

/// What of the table depends on all its rows.
#[derive(Debug, Clone, Copy)]
struct Form {
    /// The highest score.
    most: f64,
    /// Whether ages are known, and nodes.
    ages: bool,
    nodes: bool,
}

/// The table.
pub fn section(report: &Report) -> Markup {
    let (rows, left_out) = rows(report);
    let most = rows.iter().filter_map(|pod| pod.composite_score).fold(1.0, f64::max);
    let nodes = rows.iter().any(|pod| pod.node.is_some());
    // On a phone the columns are named by their place, so that nodes never stand where ages do.
    let ages = nodes || rows.iter().any(|pod| pod.age_seconds.is_some());
    let form = Form { most, ages, nodes };
    let (visible, folded) = folded(rows);
    html! {
        @if !visible.is_empty() {
            section aria-labelledby="pods" {
                h2 #pods { "Pods" }
                p.small {
                    "The busiest first. A score of 1 is an average pod."
                    @if !folded.is_empty() { " Those between the two ends, and those that are not compared, follow below." }
                }
                @if left_out > 0 {
                    p.note { (left_out) " pods have no row in this page, most of them in the middle; the JSON report has them." }
                }
                (table(&visible, "Pods and their loads", form))
                @if !folded.is_empty() {
                    details {
                        summary { (folded.len()) " more pods" }
                        (table(&folded, "More pods and their loads", form))
                    }
                }
            }
        }
    }
}

fn table(rows: &[&PodReport], label: &str, form: Form) -> Markup {
    let mut columns = vec!["Pod", "Verdict", "Score"];
    columns.extend(Metric::ALL.map(|metric| shown(metric).heading));
    columns.extend(form.ages.then_some("Age"));
    columns.extend(form.nodes.then_some("Node"));
    let columns: Vec<(&str, bool)> = columns.into_iter().map(|heading| (heading, false)).collect();
    text::table("pods", label, &columns, &html! { @for pod in rows { (row(pod, form)) } })
}

/// The rows that are always visible, and those that are folded away.
fn folded(rows: Vec<&PodReport>) -> (Vec<&PodReport>, Vec<&PodReport>) {
    if rows.len() <= MOST_UNFOLDED {
        return (rows, Vec::new());
    }
    let scored = rows.iter().rposition(|pod| pod.composite_score.is_some()).map_or(0, |last| last + 1);
    let least_busy = scored.saturating_sub(VISIBLE_LEAST_BUSY)..scored;
    let is_visible = |place: usize| place < VISIBLE_BUSIEST || least_busy.contains(&place);
    let (visible, folded): (Vec<_>, Vec<_>) =
        rows.into_iter().enumerate().partition(|(place, _)| is_visible(*place));
    let pods = |rows: Vec<(usize, _)>| rows.into_iter().map(|(_, pod)| pod).collect();
    (pods(visible), pods(folded))
}

fn row(pod: &PodReport, form: Form) -> Markup {
    let class = (pod.verdict != PodVerdict::Keep).then_some(<&str>::from(pod.verdict));
    html! {
        tr class=[class] {
            th scope="row" { (pod.name) }
            td { (verdict(pod)) }
            @match pod.composite_score {
                Some(score) => td.score style={ "--v:" (coordinate(100.0 * score / form.most)) "%" } { (ratio(score)) },
                None => td { "–" },
            }
            @for metric in Metric::ALL {
                td { (pod.load(metric).map_or_else(|| "–".to_owned(), |value| short(metric, value))) }
            }
            @if form.ages { td { (pod.age_seconds.map_or_else(|| "–".to_owned(), |seconds| age(seconds as f64))) } }
            @if form.nodes { td { (pod.node.as_deref().unwrap_or("–")) } }
        }
    }
}

fn verdict(pod: &PodReport) -> String {
    match pod.verdict {
        PodVerdict::Busiest => "▲ busiest".to_owned(),
        PodVerdict::LeastBusy => "▼ least busy".to_owned(),
        PodVerdict::Ill => "▲ ill".to_owned(),
        _ if !pod.missing.is_empty() => format!("no {}", pod.missing.join(", ")),
        other => other.words(),
    }
}

/// The rows in order, and how many pods are left out.
fn rows(report: &Report) -> (Vec<&PodReport>, usize) {
    let mut rows = report.pods_by_load();
    if rows.len() <= BUSIEST + LEAST_BUSY + OTHERS {
        return (rows, 0);
    }
    let scored = rows.iter().rposition(|pod| pod.composite_score.is_some()).map_or(0, |last| last + 1);
    let mut others = rows.split_off(scored);
    others.truncate(OTHERS);
    let tail = rows.split_off(rows.len().saturating_sub(LEAST_BUSY).max(BUSIEST.min(rows.len())));
    rows.truncate(BUSIEST);
    rows.extend(tail);
    rows.extend(others);
    let left_out = report.pods.len() - rows.len();
    (rows, left_out)
}
