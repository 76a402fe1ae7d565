//! The page of a comparison: each goal with what was measured, and the medians behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::measure::median;

const GOALS: &str = include_str!("goals.txt");

/// What a figure is of: stage, answers and variant.
type Of = (String, String, String);

/// What is to be reached at some numbers of pods.
struct Goal<'a> {
    what: &'a str,
    of: Of,
    /// What it is divided by; by nothing when it is a goal in itself.
    by: Option<Of>,
    /// `at most` or `at least`, a number and a unit.
    limit: &'a str,
    sizes: Vec<usize>,
}

/// Medians, and what they are of in the order in which it was measured.
struct Figures {
    numbers: BTreeMap<(usize, Of), f64>,
    order: Vec<Of>,
    /// Numbers of pods; without 0, which stands for what is not a matter of pods.
    sizes: Vec<usize>,
}

/// Makes the page of lines `pods TAB stage TAB answers TAB variant TAB number`; several numbers of one
/// variant become their median. Lines that begin with `# ` are told as they are.
///
/// # Panics
/// When the list of goals is broken.
pub fn page(lines: &str) -> String {
    let figures = Figures::of(lines);
    let remarks: Vec<&str> = lines.lines().filter_map(|line| line.strip_prefix("# ")).collect();
    let mut page = remarks.join("\n");
    page.push_str("\n\n## Goals\n\nBold is reached; else by how much it is missed.\n\n");
    page.push_str(&figures.goals());
    page.push_str("\n## Stages\n\nCPU nanoseconds a pod; of `decode_memory`, bytes a pod.\n\n");
    page.push_str(&figures.table("stage | answers | variant", |(stage, ..)| !stage.contains(' ')));
    page.push_str("\n## The whole program\n\n");
    page.push_str(
        &figures.table("measure | of | program", |(stage, of, _)| stage.contains(' ') && of != "start"),
    );
    page.push_str("\n## Start\n\n");
    page.push_str(&figures.start());
    page
}

impl Figures {
    fn of(lines: &str) -> Self {
        let mut all: BTreeMap<(usize, Of), Vec<f64>> = BTreeMap::new();
        let mut order: Vec<Of> = Vec::new();
        for line in lines.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let [pods, stage, answers, variant, number] = fields[..] else { continue };
            let (Ok(pods), Ok(number)) = (pods.parse(), number.parse()) else { continue };
            let of = (stage.to_owned(), answers.to_owned(), variant.to_owned());
            if !order.contains(&of) {
                order.push(of.clone());
            }
            all.entry((pods, of)).or_default().push(number);
        }
        let seen = order.clone();
        order.sort_by_key(|of| {
            let stage = seen.iter().position(|other| other.0 == of.0);
            (stage, seen.iter().position(|other| (&other.0, &other.1) == (&of.0, &of.1)))
        });
        let sizes: BTreeSet<usize> = all.keys().map(|(pods, _)| *pods).filter(|pods| *pods > 0).collect();
        let numbers = all.into_iter().map(|(of, numbers)| (of, median(&numbers))).collect();
        Self { numbers, order, sizes: sizes.into_iter().collect() }
    }

    fn number(&self, pods: usize, of: &Of) -> Option<f64> {
        self.numbers.get(&(pods, of.clone())).copied()
    }

    /// A row a goal and a column a number of pods, then the goals that are no matter of pods.
    fn goals(&self) -> String {
        let mut table = header("goal | limit", &self.sizes);
        let of_pods = |goal: &Goal<'_>| goal.sizes != [0];
        for goal in goals().into_iter().filter(of_pods) {
            if !goal.sizes.iter().any(|pods| self.sizes.contains(pods)) {
                continue;
            }
            let _ = write!(table, "| {} | {} |", goal.what, goal.limit);
            for pods in &self.sizes {
                let _ = write!(table, " {} |", self.reached(&goal, *pods));
            }
            table.push('\n');
        }
        table
    }

    fn start(&self) -> String {
        let mut table = String::from("| goal | limit | measured |\n|---|---|---|\n");
        for goal in goals().into_iter().filter(|goal| goal.sizes == [0]) {
            let _ = writeln!(table, "| {} | {} | {} |", goal.what, goal.limit, self.reached(&goal, 0));
        }
        table.push_str("\n| program | CPU ms | peak MB |\n|---|---|---|\n");
        let of_start = self.order.iter().filter(|(stage, of, _)| of == "start" && stage == "CPU ms");
        for (_, of, program) in of_start {
            let shown = |stage: &str| {
                self.number(0, &(stage.to_owned(), of.clone(), program.clone()))
                    .map_or_else(String::new, three_digits)
            };
            let _ = writeln!(table, "| {program} | {} | {} |", shown("CPU ms"), shown("peak MB"));
        }
        table
    }

    /// What was measured of a goal; nothing where none is set or nothing was measured.
    fn reached(&self, goal: &Goal<'_>, pods: usize) -> String {
        if !goal.sizes.contains(&pods) {
            return String::new();
        }
        let by = goal.by.as_ref().map_or(Some(1.0), |by| self.number(pods, by));
        let Some((of, by)) = self.number(pods, &goal.of).zip(by) else { return "not measured".to_owned() };
        let (value, (at_least, limit, unit)) = (of / by, goal.limit());
        let missed = if at_least { limit / value } else { value / limit };
        let value = three_digits(value);
        if missed <= 1.0 { format!("**{value} {unit}**") } else { format!("{value} {unit}, by {missed:.2}") }
    }

    /// A row for everything that `is_in` picks and a column a number of pods.
    fn table(&self, head: &str, is_in: impl Fn(&Of) -> bool) -> String {
        let mut table = header(head, &self.sizes);
        for of in self.order.iter().filter(|of| is_in(of)) {
            let _ = write!(table, "| {} | {} | {} |", of.0, of.1, of.2);
            for pods in &self.sizes {
                let shown = self.number(*pods, of).map_or_else(String::new, three_digits);
                let _ = write!(table, " {shown} |");
            }
            table.push('\n');
        }
        table
    }
}

impl Goal<'_> {
    /// Whether it is a least one, the number and its unit.
    fn limit(&self) -> (bool, f64, &str) {
        let words: Vec<&str> = self.limit.split(' ').collect();
        let [_, sense, number, unit] = words[..] else { panic!("{}: {}", self.what, self.limit) };
        (sense == "least", number.parse().expect("a limit is a number"), unit)
    }
}

fn goals() -> Vec<Goal<'static>> {
    let lines = GOALS.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('|').map(str::trim).collect();
            let [what, of, by, limit, sizes] = fields[..] else { panic!("not a goal: {line}") };
            let of = of_text(of).unwrap_or_else(|| panic!("nothing to measure: {line}"));
            let sizes = sizes.split(' ').map(|pods| pods.parse().expect("a number of pods")).collect();
            Goal { what, of, by: of_text(by), limit, sizes }
        })
        .collect()
}

fn of_text(text: &str) -> Option<Of> {
    let (stage, rest) = text.split_once('/')?;
    let (answers, variant) = rest.split_once('/')?;
    Some((stage.to_owned(), answers.to_owned(), variant.to_owned()))
}

fn header(head: &str, sizes: &[usize]) -> String {
    let names: Vec<String> = sizes.iter().map(|pods| short(*pods)).collect();
    let columns = head.split('|').count() + sizes.len();
    format!("| {head} | {} |\n{}|\n", names.join(" | "), "|---".repeat(columns))
}

/// A number of pods in few letters.
fn short(pods: usize) -> String {
    match pods {
        million if million.is_multiple_of(1_000_000) => format!("{}M", million / 1_000_000),
        thousand if thousand.is_multiple_of(1_000) => format!("{}k", thousand / 1_000),
        pods => pods.to_string(),
    }
}

/// Three digits that count, all of those before the point.
fn three_digits(number: f64) -> String {
    let decimals = match number.abs() {
        large if large >= 100.0 => 0,
        large if large >= 10.0 => 1,
        large if large >= 1.0 => 2,
        _ => 3,
    };
    format!("{number:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_medians_and_goals() {
        let lines = "# Of a test.\n\
            10000\tdecode\tPrometheus\tfloor\t10\n\
            10000\tdecode\tPrometheus\tpod-rebalancer\t50\n\
            10000\tdecode\tPrometheus\tpod-rebalancer\t30\n\
            10000\tdecode\tPrometheus\tpod-rebalancer\t31\n\
            10000\tdecode\tPrometheus\tGo reference\t1550\n\
            0\tCPU ms\tstart\tpod-rebalancer\t1\n\
            0\tCPU ms\tstart\tGo reference\t4\n";
        let page = page(lines);
        for expected in [
            "Of a test.\n\n## Goals",
            "| goal | limit | 10k |\n|---|---|---|\n",
            "| decode, times the floor | at most 4 x | **3.10 x** |\n",
            "| decode, times less than Go | at least 70 x | 50.0 x, by 1.40 |\n",
            "| memory of decoding | at most 130 bytes | not measured |\n",
            "| stage | answers | variant | 10k |\n|---|---|---|---|\n| decode | Prometheus | floor | 10.0 |\n",
            "| start, times the CPU of the Go reference's | at most 0.4 x | **0.250 x** |\n",
            "| pod-rebalancer | 1.00 |  |\n",
        ] {
            assert!(page.contains(expected), "{expected}\nis not in\n{page}");
        }
    }
}
