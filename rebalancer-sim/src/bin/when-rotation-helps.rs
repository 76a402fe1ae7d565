//! Measures when a rotation helps and writes the tables of `docs/when-rotation-helps.md` in place.
//!
//! `cargo run --release -p rebalancer-sim --bin when-rotation-helps [GROUPS]`, from the root of the
//! repository; `GROUPS` is the number of simulated groups a row, 100 by default.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use rebalancer_core::Strategy;
use rebalancer_core::kafka::Assignor;
use rebalancer_sim::closed_loop::{Knowledge, Outcome, Policy, Schedule, run};
use rebalancer_sim::consumer_group::{GroupShape, Rates};

const PAGE: &str = "docs/when-rotation-helps.md";

/// A table is a name that the page marks and the lines between the marks.
type Table = (&'static str, fn(u64) -> String);

const TABLES: [Table; 4] = [("futile", futile), ("sick", sick), ("balanced", balanced), ("planned", planned)];

fn main() -> ExitCode {
    let groups: Option<u64> = match std::env::args().nth(1) {
        Some(text) => text.parse().ok().filter(|groups| *groups > 0),
        None => Some(100),
    };
    let Some(groups) = groups else {
        eprintln!("usage: when-rotation-helps [GROUPS], a number of groups above 0");
        return ExitCode::from(64);
    };
    match write(Path::new(PAGE), groups) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{PAGE}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(page: &Path, groups: u64) -> Result<(), String> {
    let mut text = std::fs::read_to_string(page).map_err(|error| error.to_string())?;
    for (name, table) in TABLES {
        let (start, end) = (format!("<!-- measured: {name} -->\n"), "<!-- end -->");
        let from = text.find(&start).ok_or_else(|| format!("the mark {} is missing", start.trim()))?;
        let from = from + start.len();
        let to = text[from..].find(end).ok_or_else(|| format!("the table {name} has no end"))?;
        eprintln!("{name}: {groups} groups a row");
        text.replace_range(from..from + to, &table(groups));
    }
    std::fs::write(page, text).map_err(|error| error.to_string())
}

/// Groups no rotation can even out.
fn futile(groups: u64) -> String {
    let mut table = String::from(
        "| group | plain rule: rotations | guards, pods only | the same, 20 % noise | 20 % noise, CPU alone | and the assignor | and the partitions | spread before → after the plain rule | cause named |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    let skewed = |assignor, partitions, pods, rates| GroupShape {
        rates,
        noise: 0.1,
        ..GroupShape::healthy(assignor, partitions, pods)
    };
    for (name, shape) in [
        ("`range`, log-normal 0.7", skewed(Assignor::Range, 48, 12, Rates::LogNormal(0.7))),
        ("`range`, Zipf 1", skewed(Assignor::Range, 48, 12, Rates::Zipf(1.0))),
        ("`roundrobin`, log-normal 0.7", skewed(Assignor::RoundRobin, 48, 12, Rates::LogNormal(0.7))),
        ("`range`, one partition at 30 %", skewed(Assignor::Range, 48, 12, Rates::Hot(0.3))),
        ("`sticky`, one partition at 30 %", skewed(Assignor::Sticky, 48, 12, Rates::Hot(0.3))),
        ("`uniform`, one partition at 30 %", skewed(Assignor::Uniform, 48, 12, Rates::Hot(0.3))),
        ("any, 16 partitions on 16 pods", skewed(Assignor::CooperativeSticky, 16, 16, Rates::LogNormal(0.7))),
    ] {
        let plain = outcomes(groups, &shape, Policy::PLAIN);
        let standard = |knowledge| outcomes(groups, &shape, Policy::STANDARD.knowing(knowledge));
        let noisy = GroupShape { noise: 0.2, ..shape.clone() };
        let informed = standard(Knowledge::Partitions);
        row(
            &mut table,
            &[
                name.to_owned(),
                rotations(&plain),
                rotations(&standard(Knowledge::Pods)),
                rotations(&outcomes(groups, &noisy, Policy::STANDARD)),
                rotations(&outcomes(groups, &noisy, Policy::STANDARD.knowing(Knowledge::Cpu))),
                rotations(&standard(Knowledge::Assignor)),
                rotations(&informed),
                spreads(&plain),
                main_cause(&informed),
            ],
        );
    }
    table
}

/// Groups with a pod that spends three times the CPU of the others on a message.
fn sick(groups: u64) -> String {
    let mut table = String::from(
        "| group | plain rule: rotations | guards: rotations | guards: cured | spread before → after | `by_cause`: pods evicted | cured |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for assignor in [Assignor::Range, Assignor::CooperativeSticky, Assignor::Uniform] {
        for relapse in [0.0, 0.1] {
            let shape = GroupShape {
                rates: Rates::LogNormal(0.3),
                sickness: 3.0,
                relapse,
                ..GroupShape::healthy(assignor, 96, 12)
            };
            let name = match relapse {
                0.0 => format!("`{assignor}`"),
                _ => format!("`{assignor}`, 10 % of replacements sick too"),
            };
            let plain = outcomes(groups, &shape, Policy::PLAIN);
            let policy = Policy::STANDARD.knowing(Knowledge::Assignor);
            let standard = outcomes(groups, &shape, policy);
            let alone = outcomes(groups, &shape, policy.with(Strategy::ByCause));
            let evicted = mean(&alone, |outcome| outcome.evictions as f64);
            let cells = [
                name,
                rotations(&plain),
                rotations(&standard),
                cured(&standard),
                spreads(&standard),
                format!("{evicted:.1}"),
                cured(&alone),
            ];
            row(&mut table, &cells);
        }
    }
    table
}

/// Groups in which nothing is wrong.
fn balanced(groups: u64) -> String {
    let mut table = String::from(
        "| pods | noise | plain rule: rotations | guards: rotations | runs over a threshold |\n|---|---|---|---|---|\n",
    );
    for pods in [3, 10, 50] {
        for noise in [0.2, 0.3, 0.4] {
            let shape = GroupShape { noise, ..GroupShape::healthy(Assignor::Range, 4 * pods, pods as usize) };
            let plain = outcomes(groups, &shape, Policy::PLAIN);
            let standard = outcomes(groups, &shape, Policy::STANDARD);
            let over = mean(&standard, |outcome| outcome.triggered as f64);
            row(
                &mut table,
                &[
                    pods.to_string(),
                    format!("{:.0} %", 100.0 * noise),
                    rotations(&plain),
                    rotations(&standard),
                    format!("{over:.1}"),
                ],
            );
        }
    }
    table
}

/// Groups whose rotation deals anew, where it matters which pair is taken.
fn planned(groups: u64) -> String {
    let mut table = String::from(
        "| group | spread before | `rotate_outliers`: after | rotations | `by_cause`: after | rotations |\n|---|---|---|---|---|---|\n",
    );
    for assignor in [Assignor::CooperativeSticky, Assignor::Uniform] {
        for (partitions, pods, rates, words) in [
            (24, 6, Rates::LogNormal(0.7), "log-normal 0.7"),
            (48, 12, Rates::LogNormal(0.7), "log-normal 0.7"),
            (48, 12, Rates::Zipf(1.0), "Zipf 1"),
        ] {
            let shape = GroupShape { rates, noise: 0.1, ..GroupShape::healthy(assignor, partitions, pods) };
            let policy = Policy::STANDARD.knowing(Knowledge::Partitions);
            let outliers = outcomes(groups, &shape, policy);
            let pair = outcomes(groups, &shape, policy.with(Strategy::ByCause));
            let left = |outcomes: &[Outcome]| format!("{:.3}", mean(outcomes, |outcome| outcome.cv_after));
            row(
                &mut table,
                &[
                    format!("`{assignor}`, {partitions} partitions on {pods} pods, {words}"),
                    format!("{:.3}", mean(&pair, |outcome| outcome.cv_before)),
                    left(&outliers),
                    rotations(&outliers),
                    left(&pair),
                    rotations(&pair),
                ],
            );
        }
    }
    table
}

fn outcomes(groups: u64, shape: &GroupShape, policy: Policy) -> Vec<Outcome> {
    (0..groups).map(|seed| run(seed, shape, &policy, Schedule::FIFTY)).collect()
}

fn mean(outcomes: &[Outcome], number: impl Fn(&Outcome) -> f64) -> f64 {
    outcomes.iter().map(number).sum::<f64>() / outcomes.len() as f64
}

/// Mean number of rotations, and the most of any group.
fn rotations(outcomes: &[Outcome]) -> String {
    let most = outcomes.iter().map(|outcome| outcome.rotations).max().unwrap_or(0);
    format!("{:.1} (at most {most})", mean(outcomes, |outcome| outcome.rotations as f64))
}

fn cured(outcomes: &[Outcome]) -> String {
    format!("{:.0} %", 100.0 * mean(outcomes, |outcome| f64::from(outcome.cured)))
}

fn spreads(outcomes: &[Outcome]) -> String {
    let before = mean(outcomes, |outcome| outcome.cv_before);
    format!("{before:.3} → {:.3}", mean(outcomes, |outcome| outcome.cv_after))
}

/// The cause named most often, with its share of the runs over a threshold.
fn main_cause(outcomes: &[Outcome]) -> String {
    let mut counts = std::collections::BTreeMap::new();
    for (cause, count) in outcomes.iter().flat_map(|outcome| &outcome.causes) {
        *counts.entry(cause).or_insert(0) += count;
    }
    let total: usize = counts.values().sum();
    let Some((cause, count)) = counts.into_iter().max_by_key(|(_, count)| *count) else {
        return "none".to_owned();
    };
    format!("`{cause}` {:.0} %", 100.0 * count as f64 / total as f64)
}

fn row(table: &mut String, cells: &[String]) {
    writeln!(table, "| {} |", cells.join(" | ")).expect("a string takes every line");
}
