//! The decoding of an instant answer, through the client with its checks, beside a reading of every
//! byte and a tree of JSON values.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use rebalancer_benches::{Canned, NOW_S, SIZES, pods};
use rebalancer_core::{Load, Metric, PodState};
use rebalancer_io::metrics::MetricQuery;
use rebalancer_io::prometheus::PrometheusClient;
use rebalancer_sim::fleet::{AnswerOrder, instant_answer};
use serde_json::Value;

const MAX_BYTES: u64 = 256 << 20;

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    let query = MetricQuery::new("cpu", "up");
    for count in SIZES {
        let pods = pods(count);
        let body = instant_answer(&pods, Metric::Cpu, NOW_S, AnswerOrder::Shuffled, 1);
        let client = PrometheusClient::over(Canned::new(&body), MAX_BYTES);
        assert_answer(&client, &query, &pods);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_with_input(BenchmarkId::new("utf8_check", count), &body, |bencher, body| {
            bencher.iter(|| std::str::from_utf8(black_box(body.as_bytes())).is_ok());
        });
        group.bench_with_input(BenchmarkId::new("value_tree", count), &body, |bencher, body| {
            bencher.iter(|| {
                let tree: Value = serde_json::from_slice(black_box(body.as_bytes())).expect("it is JSON");
                tree
            });
        });
        group.bench_function(BenchmarkId::new("client", count), |bencher| {
            bencher.iter(|| client.query(black_box(&query), Timestamp::UNIX_EPOCH).expect("it is sound"));
        });
    }
    group.finish();
}

fn assert_answer(client: &PrometheusClient<Canned>, query: &MetricQuery, pods: &[PodState]) {
    let answer = client.query(query, Timestamp::UNIX_EPOCH).expect("it is sound");
    let mut found: Vec<(&str, f64)> =
        answer.samples.iter().map(|sample| (sample.pod, sample.value)).collect();
    let mut expected: Vec<(&str, f64)> =
        pods.iter().map(|pod| (pod.name.as_str(), pod.cpu_usage.map_or(f64::NAN, Load::value))).collect();
    found.sort_by(|one, other| one.0.cmp(other.0));
    expected.sort_by(|one, other| one.0.cmp(other.0));
    assert_eq!(found, expected);
}

criterion_group!(benches, decode);
criterion_main!(benches);
