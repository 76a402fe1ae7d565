//! The table of pods: how loaded each is, and what the decision makes of it.

use clap::builder::styling::Style;
use comfy_table::Cell;
use rebalancer_core::Metric;

use super::bar::bar;
use super::names::Naming;
use super::number::{age, ratio, short, times};
use super::screen::{CYAN, PLAIN, RED, Screen};
use super::sheet::{Sheet, right};
use crate::report::{Outcome, PodReport, PodVerdict, Report};

/// Rows of pods shown in a plain table; the rest is summed up. `wide` shows all.
const MOST_PODS: usize = 20;

/// What a form of the table shows.
#[derive(Debug, Clone, Copy)]
struct Form {
    naming: Naming,
    metrics: &'static [Metric],
    score: bool,
    /// Columns of the bar of the score.
    bar: usize,
    /// Whether the targets say why.
    why: bool,
    age: bool,
}

const ALL: &[Metric] = &Metric::ALL;
/// What can ask for a rotation.
const TRIGGERS: &[Metric] = &[Metric::Cpu, Metric::Lag];

/// From all there is to what fits into 40 columns.
const FORMS: [Form; 9] = [
    Form { naming: Naming::Full, metrics: ALL, score: true, bar: 16, why: true, age: false },
    Form { naming: Naming::Short, metrics: ALL, score: true, bar: 16, why: true, age: false },
    Form { naming: Naming::Short, metrics: ALL, score: true, bar: 8, why: true, age: false },
    Form { naming: Naming::Short, metrics: ALL, score: true, bar: 8, why: false, age: false },
    Form { naming: Naming::Short, metrics: TRIGGERS, score: true, bar: 8, why: false, age: false },
    Form { naming: Naming::Short, metrics: TRIGGERS, score: false, bar: 6, why: false, age: false },
    Form { naming: Naming::Short, metrics: TRIGGERS, score: false, bar: 4, why: false, age: false },
    Form { naming: Naming::Last(10), metrics: TRIGGERS, score: false, bar: 4, why: false, age: false },
    Form { naming: Naming::Last(10), metrics: TRIGGERS, score: false, bar: 0, why: false, age: false },
];

/// Writes the table; `wide` shows every pod and column, however wide that is.
pub fn write(screen: &mut Screen, report: &Report, width: Option<usize>, prefix: &str, wide: bool) {
    let shown = Shown::of(report, wide);
    let forms = FORMS.into_iter().map(|form| sheet(report, &shown, Form { age: wide, ..form }, prefix));
    let gap = shown.gap(report);
    Sheet::write_fitting(screen, width.filter(|_| !wide), forms, |row, screen| {
        if let Some(gap) = gap.as_deref().filter(|_| row == shown.head) {
            screen.prose(PLAIN, gap);
        }
    });
}

fn sheet(report: &Report, shown: &Shown<'_>, form: Form, prefix: &str) -> Sheet {
    let mut header = vec!["POD"];
    header.extend(form.metrics.iter().map(|metric| match metric {
        Metric::Cpu => "CPU",
        Metric::Memory => "MEMORY",
        Metric::Lag => "LAG",
        Metric::Rate => "RATE",
    }));
    if form.score {
        header.push("SCORE");
    }
    if form.bar > 0 {
        header.push("");
    }
    if form.age {
        header.push("AGE");
    }
    header.push("VERDICT");
    let most = report.pods.iter().filter_map(|pod| pod.composite_score).fold(0.0, f64::max);
    let mut sheet = Sheet::new(header);
    for pod in &shown.pods {
        sheet.row(style(pod), row(report, pod, most, form, prefix));
    }
    sheet
}

fn row(report: &Report, pod: &PodReport, most: f64, form: Form, prefix: &str) -> Vec<Cell> {
    let or_dash = |text: Option<String>| right(text.unwrap_or_else(|| "-".to_owned()));
    let mut row = vec![Cell::new(form.naming.of(&pod.name, prefix))];
    row.extend(form.metrics.iter().map(|&metric| or_dash(pod.load(metric).map(|load| short(metric, load)))));
    if form.score {
        row.push(or_dash(pod.composite_score.map(ratio)));
    }
    if form.bar > 0 {
        row.push(Cell::new(pod.composite_score.map_or_else(String::new, |score| bar(score, most, form.bar))));
    }
    if form.age {
        row.push(or_dash(pod.age_seconds.map(age)));
    }
    row.push(Cell::new(verdict(report, pod, form.why)));
    row
}

const fn style(pod: &PodReport) -> Style {
    match pod.verdict {
        PodVerdict::Busiest => RED,
        PodVerdict::LeastBusy => CYAN,
        _ => PLAIN,
    }
}

/// Such as `evict: busiest (cpu 3.4×, lag 5.3×)`.
fn verdict(report: &Report, pod: &PodReport, why: bool) -> String {
    if !pod.missing.is_empty() {
        return format!("no {}", pod.missing.join(", "));
    }
    let words = pod.verdict.words();
    if !matches!(pod.verdict, PodVerdict::Busiest | PodVerdict::LeastBusy) || !why {
        return words.to_owned();
    }
    let evicted = report.rotation.as_ref().is_some_and(|rotation| rotation.deleted.contains(&pod.name));
    let fate = match report.outcome {
        Outcome::Planned => "evict: ",
        _ if evicted => "evicted: ",
        _ => "",
    };
    let reasons: Vec<String> = TRIGGERS.iter().filter_map(|&metric| over_mean(report, pod, metric)).collect();
    let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
    format!("{fate}{words}{reasons}")
}

fn over_mean(report: &Report, pod: &PodReport, metric: Metric) -> Option<String> {
    let statistics = report.statistics[metric].as_ref().filter(|statistics| statistics.mean > 0.0)?;
    Some(format!("{metric} {}", times(pod.load(metric)? / statistics.mean)))
}

/// The pods of a table, busiest first, pods without a score last; a plain table of a large fleet
/// keeps both ends.
struct Shown<'a> {
    pods: Vec<&'a PodReport>,
    /// Rows before the gap.
    head: usize,
    /// Scores of the pods that are left out, highest first.
    left_out: Vec<f64>,
}

impl<'a> Shown<'a> {
    fn of(report: &'a Report, wide: bool) -> Self {
        let mut pods: Vec<&PodReport> = report.pods.iter().collect();
        let score = |pod: &PodReport| pod.composite_score.unwrap_or(f64::NEG_INFINITY);
        let rank = |pod: &PodReport| match pod.verdict {
            PodVerdict::Busiest => 0,
            PodVerdict::LeastBusy => 2,
            _ if pod.composite_score.is_none() => 3,
            _ => 1,
        };
        pods.sort_by(|a, b| {
            rank(a)
                .cmp(&rank(b))
                .then_with(|| score(b).total_cmp(&score(a)))
                .then_with(|| a.name.cmp(&b.name))
        });
        if wide || pods.len() <= MOST_PODS {
            return Self { pods, head: 0, left_out: Vec::new() };
        }
        let last_scored = pods.iter().rposition(|pod| pod.composite_score.is_some());
        let end = last_scored.map_or(pods.len(), |last| last + 1);
        let head = MOST_PODS / 2;
        let tail = end.saturating_sub(MOST_PODS - head).max(head);
        pods.drain(end..);
        let left_out = pods.drain(head..tail.min(end)).filter_map(|pod| pod.composite_score).collect();
        Self { pods, head, left_out }
    }

    /// What the line between both ends says.
    fn gap(&self, report: &Report) -> Option<String> {
        let hidden = report.pods.len() - self.pods.len();
        if hidden == 0 {
            return None;
        }
        let range = match (self.left_out.last(), self.left_out.first()) {
            (Some(low), Some(high)) => format!(", score {} to {}", ratio(*low), ratio(*high)),
            _ => String::new(),
        };
        Some(format!(" … {hidden} more pods{range} (-o wide shows all)"))
    }
}
