//! The page of a look at all workloads: an index that can be sorted, and a section for each workload whose report is there.

use maud::{Markup, PreEscaped, html};

use super::verdict;
use crate::format::number::ratio;
use crate::format::text::{count, spaced};
use crate::render::text::history::seconds;
use crate::render::text::scan::{decided, sentence, undecided};
use crate::report::diagnosis::CauseCode;
use crate::report::scan::{ScanReport, ScanRow};
use crate::report::{Outcome, Report};

/// Maximum number of rows in the index, the worst first.
const MOST_ROWS: usize = 2_000;

/// Maximum number of workloads with a section.
const MOST_SECTIONS: usize = 50;

/// The column of the best spread, which is left out where none is known.
const BEST: &str = "Best spread";

/// The columns of the index, and whether they contain words.
const COLUMNS: [(&str, bool); 9] = [
    ("Workload", true),
    ("Namespace", true),
    ("Pods", false),
    ("CPU spread", false),
    ("Lag spread", false),
    ("Cause", true),
    ("Remedy", true),
    (BEST, false),
    ("Verdict", true),
];

/// Everything between the document head and its queries. `whole` makes the page of one report.
pub fn body(report: &ScanReport, whole: &dyn Fn(&Report) -> Markup) -> Markup {
    let shown = &report.workloads[..report.workloads.len().min(MOST_ROWS)];
    // What could not be looked at, and what else there is to know.
    let worth_knowing = [undecided(report), report.unlisted.clone(), report.warnings.clone()].concat();
    html! {
        header.verdict.held {
            p.state { span.mark aria-hidden="true" { "☰" } (state(report)) }
            h1 { (sentence(report)) }
            (done(report))
            (place(report))
        }
        (verdict::notes("Worth knowing", "unknown", worth_knowing.iter()))
        (index(shown, report))
        @for (number, row) in shown.iter().take(MOST_SECTIONS).enumerate() { (section(number, row, whole)) }
    }
}

fn state(report: &ScanReport) -> String {
    let Some(run) = &report.run else { return " scan · nothing was changed".to_owned() };
    match (report.evicted().count(), run.dry_run.as_str()) {
        (0, "none") => " run of all workloads · nothing was evicted".to_owned(),
        (0, _) => " dry run of all workloads · nothing was changed".to_owned(),
        (pods, _) => format!(" run of all workloads · {} evicted", count(pods, "pod was", "pods were")),
    }
}

/// What a run did, or would do: a line for each workload.
fn done(report: &ScanReport) -> Markup {
    let several = |pods: &[String]| if pods.is_empty() { "no pod".to_owned() } else { pods.join(" and ") };
    let line = |row: &ScanRow| {
        let rotation = row.report.as_ref().and_then(|report| report.rotation.as_ref());
        let (mark, what) = match (row.outcome?, rotation) {
            (Outcome::Planned, _) => ("–", format!("would evict {}", several(&row.targets))),
            (Outcome::Rotated, Some(rotation)) => ("✓", format!("evicted {}", several(&rotation.deleted))),
            (outcome, Some(rotation)) => {
                ("✗", format!("{}, evicted {}", spaced(outcome.into_str()), several(&rotation.deleted)))
            }
            (_, None) => return None,
        };
        Some((mark, format!("{}: {what}", row.named())))
    };
    let acted = report.workloads.iter().filter(|_| report.run.is_some());
    let lines: Vec<(&str, String)> = acted.filter_map(line).collect();
    html! {
        @if !lines.is_empty() {
            ul.done { @for (mark, words) in &lines { li { span aria-hidden="true" { (mark) " " } (words) } } }
        }
    }
}

fn place(report: &ScanReport) -> Markup {
    let namespaces = report.namespaces.as_ref().map_or_else(|| "all".to_owned(), |names| names.join(", "));
    let named = [
        ("context", report.context.clone()),
        ("namespaces", Some(namespaces)),
        ("selector", report.selector.clone()),
        ("pods", Some(report.pods.to_string())),
        (
            "rotations",
            report.run.as_ref().map(|run| format!("{} of at most {}", run.rotations, run.max_rotations)),
        ),
        ("not opted in", report.run.as_ref().map(|run| run.not_opted_in.to_string())),
        ("evaluated", Some(seconds(&report.evaluation_time))),
    ];
    verdict::place_of(named.into_iter().map(|(word, value)| (word, value.map(|value| html! { (value) }))))
}

fn index(rows: &[ScanRow], report: &ScanReport) -> Markup {
    let left_out = report.workloads.len() - rows.len();
    let without_section = rows.iter().skip(MOST_SECTIONS).any(|row| row.report.is_some());
    let has_best = rows.iter().any(|row| row.best_cv.is_some());
    html! {
        section aria-labelledby="workloads" {
            h2 #workloads { "Workloads" }
            p.small {
                "The worst first. The heads of the columns sort."
                @if without_section { " Only the first " (MOST_SECTIONS) " lead to a section of their own." }
            }
            p.small {
                code { "pod-rebalancer history KIND/NAME -n NAMESPACE" } " tells what earlier replacements of one changed."
            }
            @if left_out > 0 { p.note { (left_out) " workloads have no row in this page; the JSON report has them." } }
            div.scroll role="region" aria-label="Every workload" tabindex="0" {
                table.sortable {
                    thead { tr {
                        @for (title, words) in COLUMNS {
                            @if title != BEST || has_best {
                                th scope="col" class=[words.then_some("words")] { button type="button" { (title) } }
                            }
                        }
                    } }
                    tbody { @for (number, row) in rows.iter().enumerate() { (index_row(number, row, has_best)) } }
                }
            }
        }
    }
}

fn index_row(number: usize, row: &ScanRow, has_best: bool) -> Markup {
    let spread = |name: &str, cv: Option<f64>| {
        html! { td data-n=(name) data-v=(cv.map_or_else(String::new, |cv| cv.to_string())) { (cv.map_or_else(|| "–".to_owned(), ratio)) } }
    };
    html! {
        tr {
            th.words scope="row" {
                @if has_section(number, row) { a href={ "#" (anchor(number)) } { (row.target()) } } @else { (row.target()) }
            }
            td.words data-n="Namespace" { (row.namespace) }
            td data-n="Pods" data-v=(row.pods) { (row.pods) }
            (spread("CPU spread", row.cpu_cv))
            (spread("Lag spread", row.lag_cv))
            td.words data-n="Cause" { (spaced(row.cause.into_str())) }
            td.words data-n="Remedy" { (row.remedy.words()) }
            @if has_best { (spread(BEST, row.best_cv)) }
            td.words data-n="Verdict" { (decided(row.outcome)) }
        }
    }
}

fn has_section(number: usize, row: &ScanRow) -> bool {
    number < MOST_SECTIONS && row.report.is_some()
}

fn anchor(number: usize) -> String {
    format!("workload-{number}")
}

fn section(number: usize, row: &ScanRow, whole: &dyn Fn(&Report) -> Markup) -> Markup {
    let Some(report) = &row.report else { return html! {} };
    let cause = match row.cause {
        CauseCode::Balanced | CauseCode::Unknown => String::new(),
        cause => format!(", {}", spaced(cause.into_str())),
    };
    let title = format!("{}: {}{cause}", row.named(), decided(row.outcome));
    html! {
        details.workload id=(anchor(number)) {
            summary { (title) }
            (PreEscaped(apart(&whole(report).into_string(), number)))
        }
    }
}

/// The markup of one report as a part of a page: each name may stand in a page once, so it gets names of its own, and its
/// headings are one level lower, since a page has one title. Quotes and signs in a text are escaped, so that no text is taken
/// for a name or a heading.
fn apart(markup: &str, number: usize) -> String {
    let lower = |markup: String, (from, to): (&str, &str)| {
        markup
            .replace(&format!("<{from}"), &format!("<{to}"))
            .replace(&format!("</{from}>"), &format!("</{to}>"))
    };
    let markup = [("h3", "h4"), ("h2", "h3"), ("h1", "h2")].into_iter().fold(markup.to_owned(), lower);
    let mut apart = String::with_capacity(markup.len());
    let mut rest = markup.as_str();
    while let Some((before, name)) = [" id=\"", " aria-labelledby=\""]
        .iter()
        .filter_map(|start| Some((rest.find(start)? + start.len(), start)))
        .min()
        .map(|(end, _)| rest.split_at(end))
    {
        let (names, behind) = name.split_once('"').unwrap_or((name, ""));
        let names: Vec<String> = names.split(' ').map(|name| format!("{name}-{number}")).collect();
        apart.push_str(before);
        apart.push_str(&names.join(" "));
        apart.push('"');
        rest = behind;
    }
    apart + rest
}

#[cfg(test)]
mod tests {
    use super::apart;

    #[test]
    fn names_of_one_section_are_its_own() {
        let markup = r#"<h1>&lt;h1&gt;</h1><h2 id="pods">a id=&quot;b&quot;</h2><svg aria-labelledby="t d"><title id="t"></title></svg>"#;
        let expected = r#"<h2>&lt;h1&gt;</h2><h3 id="pods-7">a id=&quot;b&quot;</h3><svg aria-labelledby="t-7 d-7"><title id="t-7"></title></svg>"#;
        assert_eq!(apart(markup, 7), expected);
        assert_eq!(apart("", 7), "");
    }
}
