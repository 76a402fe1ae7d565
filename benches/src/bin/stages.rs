//! Measures the stages of a decision beside their floors and peers, all in one run.
//!
//! `stages table COUNT` prints the median CPU time of every variant of every stage, the variants run
//! in turn. `stages count STAGE COUNT TIMES` does our part of one stage so many times and nothing
//! else, for an instruction counter. `stages bodies FOLDER COUNT` writes the four answers.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use rebalancer_benches::stages::{Data, FLOOR, OURS, Variant};
use rebalancer_core::Metric;
use rebalancer_sim::fleet::AnswerOrder;
use rustix::time::{ClockId, clock_gettime};

/// Rounds of which the median is told.
const ROUNDS: usize = 9;

/// CPU time of one measurement; shorter work is repeated until it is reached.
const LEAST: Duration = Duration::from_millis(5);

const STAGES: [(&str, AnswerOrder); 9] = [
    ("decode", AnswerOrder::Shuffled),
    ("decode_wide", AnswerOrder::Shuffled),
    ("join", AnswerOrder::Shuffled),
    ("join", AnswerOrder::Sorted),
    ("spread", AnswerOrder::Sorted),
    ("analyze", AnswerOrder::Sorted),
    ("analyze_columns", AnswerOrder::Sorted),
    ("pipeline", AnswerOrder::Shuffled),
    ("pipeline", AnswerOrder::Sorted),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["table", count] => count.parse().ok().map(table),
        ["count", stage, count, times] => {
            count.parse().ok().zip(times.parse().ok()).and_then(|(count, times)| repeat(stage, count, times))
        }
        ["bodies", folder, count] => count.parse().ok().and_then(|count| bodies(Path::new(folder), count)),
        _ => None,
    };
    if done.is_none() {
        eprintln!("usage: stages table COUNT | count STAGE COUNT TIMES | bodies FOLDER COUNT");
        return ExitCode::from(64);
    }
    ExitCode::SUCCESS
}

fn table(count: usize) {
    println!("| stage, {count} pods | answers | variant | CPU ns a pod | times the floor |");
    println!("|---|---|---|---|---|");
    for order in [AnswerOrder::Shuffled, AnswerOrder::Sorted] {
        let data = Data::new(count, order);
        for (stage, _) in STAGES.iter().filter(|(_, of)| *of == order) {
            let variants = data.stage(stage).expect("the table lists stages that exist");
            let medians = medians(variants, count);
            let floor = medians.iter().find(|(name, _)| *name == FLOOR).map_or(f64::NAN, |(_, time)| *time);
            for (name, time) in medians {
                println!("| {stage} | {order:?} | {name} | {time:.2} | {:.1} |", time / floor);
            }
        }
    }
}

/// The median CPU nanoseconds a pod of each variant.
fn medians(mut variants: Vec<Variant<'_>>, count: usize) -> Vec<(&'static str, f64)> {
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); variants.len()];
    for round in 0..=ROUNDS {
        for (variant, times) in variants.iter_mut().zip(&mut times) {
            let time = measure(variant);
            // The first round warms up.
            if round > 0 {
                times.push(time / count as f64);
            }
        }
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    variants.iter().map(|variant| variant.name).zip(times.into_iter().map(median)).collect()
}

/// CPU nanoseconds of one time.
fn measure(variant: &mut Variant<'_>) -> f64 {
    let start = cpu_time();
    let mut times = 0;
    loop {
        std::hint::black_box((variant.work)());
        times += 1;
        let spent = cpu_time().saturating_sub(start);
        if spent >= LEAST {
            return spent.as_secs_f64() * 1e9 / f64::from(times);
        }
    }
}

/// User and system time of this process.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn repeat(stage: &str, count: usize, times: usize) -> Option<()> {
    let data = Data::new(count, AnswerOrder::Shuffled);
    let mut ours = data.stage(stage)?.into_iter().find(|variant| variant.name == OURS)?;
    for _ in 0..times {
        std::hint::black_box((ours.work)());
    }
    Some(())
}

fn bodies(folder: &Path, count: usize) -> Option<()> {
    let data = Data::new(count, AnswerOrder::Shuffled);
    std::fs::create_dir_all(folder).ok()?;
    for metric in Metric::ALL {
        std::fs::write(folder.join(format!("{metric}.json")), data.body(metric)).ok()?;
    }
    Some(())
}
