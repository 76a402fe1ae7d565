//! Counts under callgrind the instructions of a whole replay of 10,000 pods, from the start of the
//! process to its end. `benches/instructions` runs it, and says where the program and the answers are.
#![expect(missing_docs, reason = "what the macros write")]

use std::path::PathBuf;

use gungraun::prelude::*;
use gungraun::{Callgrind, Command, EventKind};
use rebalancer_benches::instructions::limit;

fn held_to(stage: &str) -> BinaryBenchmarkConfig {
    let limits = Callgrind::default().hard_limits([(EventKind::Ir, limit(stage))]).clone();
    BinaryBenchmarkConfig::default().tool(limits).clone()
}

fn given(variable: &str) -> PathBuf {
    std::env::var_os(variable).map(PathBuf::from).expect("benches/instructions says where it is")
}

#[binary_benchmark]
#[bench::replay(config = held_to("replay"))]
fn program() -> Command {
    Command::new(given("POD_REBALANCER")).args(["replay", "-o", "name"]).arg(given("ANSWERS")).build()
}

binary_benchmark_group!(name = programs, benchmarks = program);
main!(binary_benchmark_groups = programs);
