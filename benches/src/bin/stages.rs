//! Measures the stages of a decision beside their floors and peers; `benches/compare` makes one page
//! of what this and the Go reference print.
//!
//! `stages table COUNT ROUNDS` prints the CPU time of every variant of every stage in each round:
//! pods, stage, server, variant, nanoseconds a pod. `stages bodies FOLDER COUNT`
//! writes the answers of both servers, and one of raw series as `raw.json`. `stages read FOLDER` reads
//! four answers and checks that they are UTF-8. `stages peak FILE` decodes an answer from a file and
//! prints by how many bytes a pod the memory of the process grew at most, beside the buffer. `stages run COMMAND...`
//! prints the CPU milliseconds and the peak megabytes of a process. `stages report FILE` makes the
//! page of lines as `table` prints them.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rebalancer_benches::measure::rounds;
use rebalancer_benches::read;
use rebalancer_benches::recorded::{Server, raw_answer};
use rebalancer_benches::report::page;
use rebalancer_benches::stages::{Data, STAGES, WANTED};
use rebalancer_io::prometheus::decode_instant;

const USAGE: &str = "usage: stages table COUNT ROUNDS | bodies FOLDER COUNT \
                     | read FOLDER | peak FILE | run COMMAND... | report FILE";

/// The fixed buffer through which an answer is read.
const BUFFER_BYTES: f64 = 65_536.0;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<usize>().ok();
    let done = match arguments[..] {
        ["table", count, rounds] => {
            number(count).zip(number(rounds)).map(|(count, rounds)| table(count, rounds))
        }
        ["bodies", folder, count] => number(count).and_then(|count| bodies(Path::new(folder), count)),
        ["read", folder] => read(Path::new(folder)).ok(),
        ["peak", file] => peak(Path::new(file)),
        ["run", program, ref arguments @ ..] => run(program, arguments),
        ["report", file] => fs::read_to_string(file).ok().map(|lines| print!("{}", page(&lines))),
        _ => None,
    };
    if done.is_none() {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    }
    ExitCode::SUCCESS
}

fn table(count: usize, times: usize) {
    for server in Server::ALL {
        let data = Data::new(count, server);
        for (stage, _) in STAGES.iter().filter(|(_, of)| *of == server) {
            let mut variants = data.stage(stage).expect("the list is of stages that exist");
            let measured = rounds(&mut variants, times);
            for (variant, times) in variants.iter().zip(measured) {
                for time in times {
                    println!("{count}\t{stage}\t{server}\t{}\t{:.3}", variant.name, time / count as f64);
                }
            }
        }
    }
}

fn bodies(folder: &Path, count: usize) -> Option<()> {
    for server in Server::ALL {
        let folder = folder.join(server.folder());
        fs::create_dir_all(&folder).ok()?;
        Data::new(count, server).write(&folder);
    }
    fs::write(folder.join("raw.json"), raw_answer(count)).ok()
}

fn peak(file: &Path) -> Option<()> {
    let file = File::open(file).ok()?;
    let before = peak_bytes();
    let answer = decode_instant(file, &WANTED).ok()?;
    println!("{:.1}", (peak_bytes() - before - BUFFER_BYTES) / answer.len() as f64);
    Some(())
}

/// The most memory that this process had at any time.
fn peak_bytes() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("every process may ask for its own");
    usage.max_rss() as f64 * 1024.0
}

fn run(program: &str, arguments: &[&str]) -> Option<()> {
    let mut command = Command::new(program);
    command.args(arguments).stdout(Stdio::null()).status().ok().filter(ExitStatus::success)?;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).ok()?;
    let cpu = usage.user_time() + usage.system_time();
    println!("{:.3} {:.1}", cpu.num_microseconds() as f64 / 1e3, usage.max_rss() as f64 / 1024.0);
    Some(())
}
