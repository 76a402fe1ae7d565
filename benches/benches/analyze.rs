//! The whole decision on pod states: coverage, candidates, statistics, scores and outliers.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rebalancer_benches::{SIZES, pods};
use rebalancer_core::{Engine, Load, Metric, Thresholds};
use rebalancer_sim::oracle;

fn analyze(criterion: &mut Criterion) {
    let engine = Engine::new(Thresholds::default());
    let mut group = criterion.benchmark_group("analyze");
    for count in SIZES {
        let pods = pods(count);
        let analysis = engine.analyze(&pods).expect("default thresholds");
        assert_eq!(oracle::compare(&analysis), Ok(()));
        group.throughput(Throughput::Elements(count as u64));
        group.bench_with_input(BenchmarkId::new("plain_sums", count), &pods, |bencher, pods| {
            bencher.iter(|| {
                let sum = |metric: Metric| -> f64 {
                    black_box(pods).iter().filter_map(|pod| pod.load(metric)).map(Load::value).sum()
                };
                Metric::ALL.map(sum)
            });
        });
        group.bench_with_input(BenchmarkId::new("oracle", count), &pods, |bencher, pods| {
            bencher.iter(|| oracle::decide(black_box(pods), &Thresholds::default()));
        });
        group.bench_with_input(BenchmarkId::new("engine", count), &pods, |bencher, pods| {
            bencher.iter(|| engine.analyze(black_box(pods)).map(|analysis| analysis.targets()));
        });
    }
    group.finish();
}

criterion_group!(benches, analyze);
criterion_main!(benches);
