//! Measures the stages of a decision beside their floors and peers, all in one run.
//!
//! `stages table COUNT` prints the median CPU time of every variant of every stage, the variants run
//! in turn: stage, order of the answers, variant, nanoseconds a pod. `stages count STAGE COUNT TIMES`
//! does our part of one stage so many times and nothing else, for an instruction counter.
//! `stages bodies FOLDER COUNT` writes the four answers, and one of raw series as `wide.json`.
//! `stages read FOLDER` reads the four and checks that they are UTF-8: what a replay cannot do
//! without. `stages run COMMAND...` prints the CPU milliseconds and the peak megabytes of a process.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rebalancer_benches::stages::{Data, OURS, Variant};
use rebalancer_core::Metric;
use rebalancer_sim::fleet::AnswerOrder;
use rustix::time::{ClockId, clock_gettime};

/// Rounds of which the median is told.
const ROUNDS: usize = 9;

/// CPU time of one measurement; shorter work is repeated until it is reached.
const LEAST: Duration = Duration::from_millis(5);

/// Most pods with raw series: those of a million are 800 MB.
const MOST_RAW: usize = 100_000;

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
        ["read", folder] => read(Path::new(folder)).ok(),
        ["run", program, ref arguments @ ..] => run(program, arguments),
        ["bodies", folder, count] => count.parse().ok().and_then(|count| bodies(Path::new(folder), count)),
        _ => None,
    };
    if done.is_none() {
        eprintln!(
            "usage: stages table COUNT | count STAGE COUNT TIMES | bodies FOLDER COUNT | read FOLDER | run COMMAND..."
        );
        return ExitCode::from(64);
    }
    ExitCode::SUCCESS
}

fn table(count: usize) {
    for order in [AnswerOrder::Shuffled, AnswerOrder::Sorted] {
        let data = Data::new(count, order);
        let measured = |stage: &str| count <= MOST_RAW || stage != "decode_wide";
        for (stage, _) in STAGES.iter().filter(|(stage, of)| *of == order && measured(stage)) {
            let variants = data.stage(stage).expect("the table lists stages that exist");
            let medians = medians(variants, count);
            for (name, time) in medians {
                println!("{stage}\t{order:?}\t{name}\t{time:.3}");
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
    if count <= MOST_RAW {
        std::fs::write(folder.join("wide.json"), data.wide()).ok()?;
    }
    Some(())
}

/// Reads through one buffer; a character at its end is moved to the front.
fn read(folder: &Path) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    for metric in Metric::ALL {
        let mut file = File::open(folder.join(format!("{metric}.json")))?;
        let mut kept = 0;
        loop {
            let count = file.read(&mut buffer[kept..])?;
            let end = kept + count;
            let cut = simdutf8::compat::from_utf8(&buffer[..end])
                .map_or_else(|error| error.valid_up_to(), str::len);
            if end - cut > 3 || (count == 0 && cut < end) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if count == 0 {
                break;
            }
            buffer.copy_within(cut..end, 0);
            kept = end - cut;
        }
    }
    Ok(())
}

fn run(program: &str, arguments: &[&str]) -> Option<()> {
    Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .status()
        .ok()
        .filter(std::process::ExitStatus::success)?;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).ok()?;
    let cpu = usage.user_time() + usage.system_time();
    println!("{:.3} {:.1}", cpu.num_microseconds() as f64 / 1e3, usage.max_rss() as f64 / 1024.0);
    Some(())
}
