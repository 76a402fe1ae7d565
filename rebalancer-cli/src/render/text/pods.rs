//! The table of pods: how loaded each is, and the decision about it.

use clap::builder::styling::Style;
use rebalancer_core::Metric;

use super::screen::{CYAN, PLAIN, RED, Screen, Sheet};
use super::sheet::{Columns, UNKNOWN, fitting};
use crate::format::metric::{short, shown};
use crate::format::names::{Naming, shared_prefix};
use crate::format::number::{age, ratio, times};
use crate::format::text::plain;
use crate::report::{Outcome, PodReport, PodVerdict, Report};

/// Pods shown in a plain table; the rest is summarised. `wide` shows all.
const MOST_PODS: usize = 20;

/// The columns of one form of the table.
#[derive(Debug, Clone, Copy)]
struct Form {
    naming: Naming,
    metrics: &'static [Metric],
    score: bool,
    /// Width of the score bar, in columns.
    bar: usize,
    /// Whether targets show the reason.
    why: bool,
    /// Whether the age and the node of each pod are shown, if known.
    whereabouts: bool,
}

const ALL: &[Metric] = &Metric::ALL;
/// The metrics that can ask for a rotation.
const TRIGGERS: &[Metric] = &Metric::TRIGGERS;

/// All columns.
const FULL: Form =
    Form { naming: Naming::Full, metrics: ALL, score: true, bar: 16, why: true, whereabouts: true };
const SHORT: Form = Form { naming: Naming::Short, ..FULL };
const PLAIN_PODS: Form = Form { whereabouts: false, ..SHORT };
const NARROW: Form = Form { metrics: TRIGGERS, score: false, bar: 4, why: false, ..PLAIN_PODS };

/// From the widest form to one that fits in 40 columns.
const FORMS: [Form; 12] = [
    FULL,
    SHORT,
    Form { bar: 8, ..SHORT },
    Form { naming: Naming::Full, ..PLAIN_PODS },
    PLAIN_PODS,
    Form { bar: 8, ..PLAIN_PODS },
    Form { bar: 8, why: false, ..PLAIN_PODS },
    Form { score: true, bar: 8, ..NARROW },
    Form { bar: 6, ..NARROW },
    NARROW,
    Form { naming: Naming::Last(10), ..NARROW },
    Form { naming: Naming::Last(10), bar: 0, ..NARROW },
];

/// Writes the table; `wide` shows every pod and column, whatever the width.
pub fn write(screen: &mut Screen, report: &Report, width: Option<usize>, prefix: &str, wide: bool) {
    let shown = Shown::of(report, wide);
    let known = Known::of(report);
    let forms = FORMS.into_iter().map(|form| sheet(report, &shown, &known, form, prefix));
    for (row, (style, line)) in fitting(width.filter(|_| !wide), forms).iter().enumerate() {
        screen.line(*style, line);
        if let Some(gap) = shown.gap(report).filter(|_| row == shown.head) {
            screen.prose(PLAIN, &gap);
        }
    }
}

/// What is known about age and node of the pods.
#[derive(Debug, Clone)]
struct Known {
    ages: bool,
    nodes: bool,
    /// The common prefix of the short node names.
    node_prefix: String,
}

impl Known {
    fn of(report: &Report) -> Self {
        let nodes: Vec<&str> = report.pods.iter().filter_map(|pod| pod.node.as_deref()).collect();
        Self {
            ages: report.pods.iter().any(|pod| pod.age_seconds.is_some()),
            nodes: !nodes.is_empty(),
            node_prefix: shared_prefix(nodes.into_iter().map(host)),
        }
    }

    fn node(&self, name: &str, naming: Naming) -> String {
        match naming {
            Naming::Full => plain(name),
            naming => naming.of(host(name), &self.node_prefix),
        }
    }
}

/// The name of a node without its domain; an address has none.
fn host(node: &str) -> &str {
    let is_address = node.chars().all(|char| char.is_ascii_digit() || char == '.');
    if is_address { node } else { node.split('.').next().unwrap_or(node) }
}

fn sheet(report: &Report, rows: &Shown<'_>, known: &Known, form: Form, prefix: &str) -> Sheet {
    let most = report.pods.iter().filter_map(|pod| pod.composite_score).fold(0.0, f64::max);
    let mut columns: Columns<'_, PodReport> = Columns::new();
    columns.words("POD", |pod| form.naming.of(&pod.name, prefix));
    for &metric in form.metrics {
        columns.numbers(shown(metric).column, move |pod| Some(short(metric, pod.load(metric)?)));
    }
    if form.score {
        columns.numbers("SCORE", |pod| pod.composite_score.map(ratio));
    }
    if form.bar > 0 {
        columns
            .words("", |pod| pod.composite_score.map(|score| bar(score, most, form.bar)).unwrap_or_default());
    }
    if known.ages && form.whereabouts {
        columns.numbers("AGE", |pod| Some(age(pod.age_seconds? as f64)));
    }
    if known.nodes && form.whereabouts {
        columns.words("NODE", |pod| {
            pod.node.as_deref().map_or_else(|| UNKNOWN.to_owned(), |node| known.node(node, form.naming))
        });
    }
    columns.words("VERDICT", |pod| verdict(report, pod, form.why));
    columns.sheet(rows.pods.iter().map(|pod| (style(pod), columns.cells(pod))))
}

const fn style(pod: &PodReport) -> Style {
    match pod.verdict {
        PodVerdict::Busiest | PodVerdict::Ill => RED,
        PodVerdict::LeastBusy => CYAN,
        _ => PLAIN,
    }
}

/// For example `evict: busiest (cpu 3.4×, lag 5.3×)`.
fn verdict(report: &Report, pod: &PodReport, why: bool) -> String {
    if !pod.missing.is_empty() {
        return format!("no {}", pod.missing.join(", "));
    }
    let words = pod.verdict.words();
    if !matches!(pod.verdict, PodVerdict::Busiest | PodVerdict::LeastBusy | PodVerdict::Ill) || !why {
        return words;
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

/// A bar of `value` where `most` fills `width` columns, to an eighth of a column.
fn bar(value: f64, most: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if most <= 0.0 || !value.is_finite() {
        return String::new();
    }
    let share = (value / most).clamp(0.0, 1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a width")]
    let eighths = (share * width as f64 * 8.0).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// The pods in a table. For a large workload, a plain table shows only both ends.
struct Shown<'a> {
    pods: Vec<&'a PodReport>,
    /// Rows before the gap.
    head: usize,
    /// Scores of the pods that are left out, highest first.
    left_out: Vec<f64>,
}

impl<'a> Shown<'a> {
    fn of(report: &'a Report, wide: bool) -> Self {
        let mut pods = report.pods_by_load();
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

    /// The line that replaces the pods left out.
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

#[cfg(test)]
mod tests {
    use super::{bar, host};

    #[test]
    fn a_node_is_called_by_its_host() {
        assert_eq!(host("ip-10-0-1-4.eu-central-1.compute.internal"), "ip-10-0-1-4");
        assert_eq!(host("gke-pool-1a2b"), "gke-pool-1a2b");
        assert_eq!(host("10.0.1.4"), "10.0.1.4", "an address says nothing without its end");
    }

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert_eq!(bar(4.0, 4.0, 8), "████████");
        assert_eq!(bar(1.0, 4.0, 8), "██");
        assert_eq!(bar(0.25, 4.0, 8), "▌");
        assert_eq!(bar(0.0, 4.0, 8), "");
        assert_eq!(bar(1.0, 0.0, 8), "");
        assert_eq!(bar(9.0, 4.0, 2), "██", "never beyond its column");
    }
}
