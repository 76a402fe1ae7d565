//! Counts under callgrind the instructions that each stage takes of 10,000 pods, and fails where they
//! are far more than was recorded. `benches/instructions` runs it.
#![expect(unused_qualifications, missing_docs, reason = "what the macros write")]

use std::hint::black_box;

use gungraun::prelude::*;
use gungraun::{Callgrind, EventKind};
use rebalancer_benches::instructions::{PODS, limit};
use rebalancer_benches::recorded::Server;
use rebalancer_benches::stages::{Data, OURS, Variant};

fn held_to(stage: &str) -> LibraryBenchmarkConfig {
    let limits = Callgrind::default().hard_limits([(EventKind::Ir, limit(stage))]).clone();
    LibraryBenchmarkConfig::default().tool(limits).clone()
}

/// Our way to do the work of a stage, which is done once before it is counted.
fn ours(stage: &str) -> Variant<'static> {
    let data = Box::leak(Box::new(Data::new(PODS, Server::Prometheus)));
    let variants = data.stage(stage).expect("a stage that exists");
    variants.into_iter().find(|variant| variant.name == OURS).expect("every stage has it")
}

#[library_benchmark(setup = ours)]
#[bench::decode(args = ("decode"), config = held_to("decode"))]
#[bench::decode_raw(args = ("decode_raw"), config = held_to("decode_raw"))]
#[bench::join(args = ("join"), config = held_to("join"))]
#[bench::join_live(args = ("join_live"), config = held_to("join_live"))]
#[bench::analyze(args = ("analyze"), config = held_to("analyze"))]
#[bench::analyze_columns(args = ("analyze_columns"), config = held_to("analyze_columns"))]
#[bench::pipeline(args = ("pipeline"), config = held_to("pipeline"))]
fn stage(mut ours: Variant<'static>) -> f64 {
    black_box((ours.work)())
}

library_benchmark_group!(name = stages, benchmarks = stage);
main!(library_benchmark_groups = stages);
