//! The page of figures: the goals with what was measured, and a row for each stage.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::measure::median;
use crate::stages::{FLOOR, OURS};

const GO: &str = "Go reference";

/// Stage, answers and variant of a figure.
type Of = (&'static str, &'static str, &'static str);

/// A ratio of two figures that is to stay within a limit.
struct Goal {
    what: &'static str,
    of: Of,
    by: Of,
    sense: Sense,
    /// The limit at each number of pods.
    limits: &'static [(usize, f64)],
}

#[derive(Clone, Copy, PartialEq)]
enum Sense {
    AtMost,
    AtLeast,
}

const GOALS: [Goal; 4] = [
    Goal {
        what: "decode, CPU times its floor",
        of: ("decode", "Prometheus", OURS),
        by: ("decode", "Prometheus", FLOOR),
        sense: Sense::AtMost,
        limits: &[(10_000, 4.0), (100_000, 4.0)],
    },
    Goal {
        what: "replay, CPU of Go times ours",
        of: ("CPU ms", "replay", GO),
        by: ("CPU ms", "replay", OURS),
        sense: Sense::AtLeast,
        limits: &[(10_000, 25.0), (100_000, 25.0)],
    },
    Goal {
        what: "replay, memory of Go times ours",
        of: ("peak MB", "replay", GO),
        by: ("peak MB", "replay", OURS),
        sense: Sense::AtLeast,
        limits: &[(10_000, 4.0), (100_000, 8.0)],
    },
    Goal {
        what: "start, CPU of the Go reference times ours",
        of: ("CPU ms", "start", GO),
        by: ("CPU ms", "start", OURS),
        sense: Sense::AtLeast,
        limits: &[(0, 1.0)],
    },
];

/// Medians by number of pods, stage, answers and variant.
struct Figures {
    medians: BTreeMap<(usize, String, String, String), f64>,
    /// Stages with their answers, in the order in which they were measured.
    stages: Vec<(String, String)>,
    /// Numbers of pods, without the 0 of a start.
    sizes: Vec<usize>,
}

/// Makes the page from lines `pods TAB stage TAB answers TAB variant TAB number`. Several numbers of one
/// variant become their median. Lines that begin with `# ` are copied.
pub fn page(lines: &str) -> String {
    let figures = Figures::of(lines);
    let remarks: Vec<&str> = lines.lines().filter_map(|line| line.strip_prefix("# ")).collect();
    let mut page = format!("{}\n\n| goal | limit | measured |\n|---|---|---|\n", remarks.join("\n"));
    for goal in &GOALS {
        for &(pods, limit) in goal.limits {
            figures.tell_goal(&mut page, goal, pods, limit);
        }
    }
    let sizes: Vec<String> = figures.sizes.iter().map(|pods| short(*pods)).collect();
    let sizes = sizes.join(" / ");
    let _ = write!(
        page,
        "\nAt {sizes} pods, CPU nanoseconds a pod (`decode_memory`: bytes a pod; the program: as said):\n\n"
    );
    page.push_str("| stage | floor | pod-rebalancer | Go reference | others |\n|---|---|---|---|---|\n");
    for (stage, answers) in &figures.stages {
        figures.tell_stage(&mut page, stage, answers);
    }
    page
}

impl Figures {
    fn of(lines: &str) -> Self {
        let mut numbers: BTreeMap<(usize, String, String, String), Vec<f64>> = BTreeMap::new();
        let mut stages: Vec<(String, String)> = Vec::new();
        for line in lines.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let [pods, stage, answers, variant, number] = fields[..] else { continue };
            let (Ok(pods), Ok(number)) = (pods.parse(), number.parse()) else { continue };
            let of = (stage.to_owned(), answers.to_owned());
            if !stages.contains(&of) {
                stages.push(of.clone());
            }
            numbers.entry((pods, of.0, of.1, variant.to_owned())).or_default().push(number);
        }
        let mut sizes: Vec<usize> = numbers.keys().map(|(pods, ..)| *pods).filter(|pods| *pods > 0).collect();
        sizes.dedup();
        let medians = numbers.into_iter().map(|(of, numbers)| (of, median(&numbers))).collect();
        Self { medians, stages, sizes }
    }

    fn median(&self, pods: usize, (stage, answers, variant): (&str, &str, &str)) -> Option<f64> {
        self.medians.get(&(pods, stage.to_owned(), answers.to_owned(), variant.to_owned())).copied()
    }

    /// A row of the goals, bold where it is reached.
    fn tell_goal(&self, page: &mut String, goal: &Goal, pods: usize, limit: f64) {
        let what = if pods == 0 { goal.what.to_owned() } else { format!("{}, {}", goal.what, short(pods)) };
        let (words, measured) = (
            if goal.sense == Sense::AtMost { "at most" } else { "at least" },
            self.median(pods, goal.of).zip(self.median(pods, goal.by)),
        );
        let shown = match measured.map(|(of, by)| of / by) {
            None => "not measured".to_owned(),
            Some(ratio) if (ratio <= limit) == (goal.sense == Sense::AtMost) || ratio == limit => {
                format!("**{} x**", three_digits(ratio))
            }
            Some(ratio) => format!("{} x", three_digits(ratio)),
        };
        let _ = writeln!(page, "| {what} | {words} {limit} x | {shown} |");
    }

    /// A row with the figures of one stage.
    fn tell_stage(&self, page: &mut String, stage: &str, answers: &str) {
        let variants = self.medians.keys().filter(|(_, of, on, _)| of == stage && on == answers);
        let mut others: Vec<&str> = variants.map(|(.., variant)| variant.as_str()).collect();
        others.sort_unstable();
        others.dedup();
        others.retain(|variant| ![FLOOR, OURS, GO].contains(variant));
        let others: Vec<String> = others
            .iter()
            .map(|variant| format!("{variant} {}", self.sizes_of(stage, answers, variant)))
            .collect();
        let [floor, ours, go] = [FLOOR, OURS, GO].map(|variant| self.sizes_of(stage, answers, variant));
        let _ = writeln!(page, "| {stage}, {answers} | {floor} | {ours} | {go} | {} |", others.join(", "));
    }

    /// The medians of a variant at all numbers of pods.
    fn sizes_of(&self, stage: &str, answers: &str, variant: &str) -> String {
        let sizes: &[usize] = if answers == "start" { &[0] } else { &self.sizes };
        let medians = sizes.iter().filter_map(|pods| self.median(*pods, (stage, answers, variant)));
        medians.map(three_digits).collect::<Vec<String>>().join(" / ")
    }
}

/// A number of pods in few letters.
fn short(pods: usize) -> String {
    match pods {
        million if million.is_multiple_of(1_000_000) => format!("{}M", million / 1_000_000),
        thousand if thousand.is_multiple_of(1_000) => format!("{}k", thousand / 1_000),
        pods => pods.to_string(),
    }
}

/// Three significant digits, and all digits before the point.
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
    fn a_page_shows_goals_and_medians() {
        let lines = "# Of a test.\n\
            10000\tdecode\tPrometheus\tfloor\t10\n\
            10000\tdecode\tPrometheus\tpod-rebalancer\t50\n\
            10000\tdecode\tPrometheus\tpod-rebalancer\t30\n\
            10000\tdecode\tPrometheus\tpod-rebalancer\t31\n\
            10000\tdecode\tPrometheus\tserde_json\t150\n\
            10000\tdecode\tPrometheus\tGo reference\t1550\n\
            10000\tCPU ms\treplay\tGo reference\t24\n\
            10000\tCPU ms\treplay\tpod-rebalancer\t1\n\
            0\tCPU ms\tstart\tpod-rebalancer\t1\n\
            0\tCPU ms\tstart\tGo reference\t4\n";
        let page = page(lines);
        for expected in [
            "Of a test.\n\n| goal | limit | measured |",
            "| decode, CPU times its floor, 10k | at most 4 x | **3.10 x** |\n",
            "| decode, CPU times its floor, 100k | at most 4 x | not measured |\n",
            "| replay, CPU of Go times ours, 10k | at least 25 x | 24.0 x |\n",
            "| start, CPU of the Go reference times ours | at least 1 x | **4.00 x** |\n",
            "At 10k pods,",
            "| decode, Prometheus | 10.0 | 31.0 | 1550 | serde_json 150 |\n",
            "| CPU ms, start |  | 1.00 | 4.00 |  |\n",
        ] {
            assert!(page.contains(expected), "{expected}\nis not in\n{page}");
        }
    }
}
