//! Every stage and the pipeline, over sizes, beside floors and peers; after each group the ratio of
//! this project's way to the floor, taken in turn.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use rebalancer_benches::SIZES;
use rebalancer_benches::measure::{median, rounds};
use rebalancer_benches::recorded::Server;
use rebalancer_benches::stages::{Data, STAGES};

/// Rounds that a ratio is taken from.
const ROUNDS: usize = 5;

fn stages(criterion: &mut Criterion) {
    for server in Server::ALL {
        for count in SIZES {
            let data = Data::new(count, server);
            for (stage, _) in STAGES.iter().filter(|(_, of)| *of == server) {
                measure(criterion, &data, stage, server, count);
            }
        }
    }
}

fn measure(criterion: &mut Criterion, data: &Data, stage: &str, server: Server, count: usize) {
    let mut variants = data.stage(stage).expect("the list is of stages that exist");
    let mut group = criterion.benchmark_group(format!("{stage}/{server}"));
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(count as u64));
    group.warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_millis(500));
    let mut measured = 0;
    for variant in &mut variants {
        group.bench_function(BenchmarkId::new(variant.name, count), |bencher| {
            measured += 1;
            bencher.iter(&mut variant.work);
        });
    }
    group.finish();
    // A filter on the command line may have left the whole group out.
    if measured > 0 {
        let times = rounds(&mut variants, ROUNDS);
        let (floor, ours) = (times.first().expect("a floor"), times.last().expect("an own way"));
        println!("{stage}/{server}/{count}: {:.2} times the floor\n", median(ours) / median(floor));
    }
}

criterion_group!(benches, stages);
criterion_main!(benches);
