//! The spread of one metric, beside the plain sum of its loads and `statrs`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rebalancer_benches::{SIZES, pods};
use rebalancer_core::{Load, Spread};
use rebalancer_sim::exact::Exact;
use statrs::statistics::Statistics;

fn statistics(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("statistics");
    for count in SIZES {
        let loads: Vec<f64> = pods(count).iter().filter_map(|pod| pod.cpu_usage).map(Load::value).collect();
        assert_answer(&loads);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_with_input(BenchmarkId::new("plain_sum", count), &loads, |bencher, loads| {
            bencher.iter(|| black_box(loads).iter().sum::<f64>());
        });
        group.bench_with_input(BenchmarkId::new("statrs", count), &loads, |bencher, loads| {
            bencher.iter(|| {
                let loads = black_box(loads);
                (loads.mean(), loads.population_variance(), loads.min(), loads.max())
            });
        });
        group.bench_with_input(BenchmarkId::new("spread", count), &loads, |bencher, loads| {
            bencher.iter(|| Spread::of(black_box(loads)));
        });
    }
    group.finish();
}

fn assert_answer(loads: &[f64]) {
    let (spread, exact) = (Spread::of(loads).expect("not empty"), Exact::of(loads));
    assert_eq!(spread.count, loads.len());
    for (found, exact) in
        [(spread.mean, exact.mean), (spread.variance, exact.variance), (spread.cv, exact.cv)]
    {
        assert!((found - exact).abs() <= 1e-14 * exact, "{found} is not {exact}");
    }
}

criterion_group!(benches, statistics);
criterion_main!(benches);
