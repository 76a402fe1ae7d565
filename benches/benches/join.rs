//! The join of live pods with four answers, sorted as `VictoriaMetrics` gives them and in no order
//! as Prometheus does.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rebalancer_benches::{NOW_S, SIZES, pods};
use rebalancer_core::{Join, JoinRules, Joined, LivePod, Metric, PodState, Sample};
use rebalancer_sim::fleet::live_pods;

fn join(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("join");
    for count in SIZES {
        let mut pods = pods(count);
        let shuffled = pods.clone();
        pods.sort_by(|one, other| one.name.cmp(&other.name));
        let live = live_pods(1, &pods);
        group.throughput(Throughput::Elements(count as u64));
        for (order, answer) in [("sorted", &pods), ("shuffled", &shuffled)] {
            assert_eq!(joined(&live, answer).pods, pods, "the fleet comes back");
            group.bench_with_input(BenchmarkId::new(order, count), answer, |bencher, answer| {
                bencher.iter_with_large_drop(|| joined(black_box(&live), answer));
            });
        }
    }
    group.finish();
}

fn joined(live: &[LivePod], answer: &[PodState]) -> Joined {
    let now_s = f64::from(NOW_S);
    let (warm_up, max_sample_age) = (Duration::from_secs(300), Duration::from_secs(180));
    let mut join = Join::new(live, JoinRules { warm_up, max_sample_age, now_s });
    for metric in Metric::ALL {
        let samples = answer.iter().filter_map(|pod| {
            Some(Sample { pod: &pod.name, value: pod.load(metric)?.value(), timestamp_s: now_s })
        });
        join.add(metric, samples).expect("one sample a pod");
    }
    join.finish()
}

criterion_group!(benches, join);
criterion_main!(benches);
