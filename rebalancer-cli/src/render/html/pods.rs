//! Every pod with its loads, the busiest first.

use maud::{Markup, html};
use rebalancer_core::Metric;

use super::text::coordinate;
use crate::format::metric::{heading, short};
use crate::format::number::{age, ratio};
use crate::report::{PodReport, PodVerdict, Report};

/// Maximum number of rows for the busiest pods, the least busy ones, and those not compared: a larger fleet
/// is shown by its ends.
const BUSIEST: usize = 200;
const LEAST_BUSY: usize = 100;
const OTHERS: usize = 100;

/// The table.
pub fn section(report: &Report) -> Markup {
    let (rows, left_out) = rows(report);
    let most = rows.iter().filter_map(|pod| pod.composite_score).fold(1.0, f64::max);
    let nodes = rows.iter().any(|pod| pod.node.is_some());
    html! {
        @if !rows.is_empty() {
            section aria-labelledby="pods" {
                h2 #pods { "Pods" }
                p.small { "The busiest first. A score of 1 is an average pod." }
                @if left_out > 0 {
                    p.note { (left_out) " pods have no row in this page, most of them in the middle; the JSON report has them." }
                }
                div.scroll role="region" aria-label="Pods and their loads" tabindex="0" {
                    table.pods {
                        thead { tr {
                            th scope="col" { "Pod" }
                            th scope="col" { "Verdict" }
                            th scope="col" { "Score" }
                            @for metric in Metric::ALL { th scope="col" { (heading(metric)) } }
                            th scope="col" { "Age" }
                            @if nodes { th scope="col" { "Node" } }
                        } }
                        tbody { @for pod in rows { (row(pod, most, nodes)) } }
                    }
                }
            }
        }
    }
}

fn row(pod: &PodReport, most: f64, nodes: bool) -> Markup {
    let class = pod.verdict.words().replace(' ', "_");
    let class = (pod.verdict != PodVerdict::Keep).then_some(class);
    html! {
        tr class=[class] {
            th scope="row" { (pod.name) }
            td { (verdict(pod)) }
            @match pod.composite_score {
                Some(score) => td.score style={ "--v:" (coordinate(100.0 * score / most)) "%" } { (ratio(score)) },
                None => td { "–" },
            }
            @for metric in Metric::ALL {
                td { (pod.load(metric).map_or_else(|| "–".to_owned(), |value| short(metric, value))) }
            }
            td { (pod.age_seconds.map_or_else(|| "–".to_owned(), |seconds| age(seconds as f64))) }
            @if nodes { td { (pod.node.as_deref().unwrap_or("–")) } }
        }
    }
}

fn verdict(pod: &PodReport) -> String {
    match pod.verdict {
        PodVerdict::Busiest => "▲ busiest".to_owned(),
        PodVerdict::LeastBusy => "▼ least busy".to_owned(),
        PodVerdict::Ill => "▲ ill".to_owned(),
        _ if !pod.missing.is_empty() => format!("no {}", pod.missing.join(", ")),
        other => other.words().to_owned(),
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
