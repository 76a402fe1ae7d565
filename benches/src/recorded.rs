//! The recorded answers of 10,000 pods, and answers of the same shape for fewer and for more.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use rebalancer_core::{Metric, PerMetric};

/// The moment all answers are about, in seconds since the Unix epoch.
pub const NOW_S: u32 = 1_795_410_000;

/// Pods that were recorded.
const RECORDED: usize = 10_000;

/// Which server's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// Its series come in the order of the label sets below the sum.
    Prometheus,
    /// Its series come in the order of their pods' names.
    VictoriaMetrics,
}

impl Server {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Prometheus, Self::VictoriaMetrics];

    /// Its folder in `data` and among the files that are made.
    pub const fn folder(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::VictoriaMetrics => "victoriametrics",
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The four answers for `count` pods: the recorded bytes for 10,000.
///
/// # Panics
/// When the recorded answers cannot be read, and for a count that is neither a divisor nor a multiple
/// of 10,000.
pub fn answers(server: Server, count: usize) -> PerMetric<String> {
    let bodies = PerMetric::from_fn(|metric| recorded(server, metric.name()));
    if count == RECORDED {
        return bodies;
    }
    let numbers = numbers();
    bodies.map(|body| resized(&body, &numbers, server, count))
}

/// The answer of raw cAdvisor series for the CPU of `count` pods, one series a pod.
///
/// # Panics
/// As [`answers`].
pub fn raw_answer(count: usize) -> String {
    let body = recorded(Server::Prometheus, "cpu_raw");
    let (head, series) = taken_apart(&body);
    let of_app = series.filter(|series| series.before.contains(r#""container":"app""#));
    let body = put_together(head, of_app.map(|series| series.with(series.pod, series.number)));
    resized(&body, &numbers(), Server::Prometheus, count)
}

/// Pod and number of each series of an answer made here, found by searching its text.
pub fn pairs(body: &str) -> impl Iterator<Item = (&str, &str)> {
    taken_apart(body).1.map(|series| (series.pod, series.number))
}

/// One series of the compact form that both servers write.
#[derive(Debug, Clone, Copy)]
struct Series<'a> {
    before: &'a str,
    pod: &'a str,
    between: &'a str,
    number: &'a str,
}

impl Series<'_> {
    fn with(&self, pod: &str, number: &str) -> String {
        [self.before, pod, self.between, number, "\"]}"].concat()
    }
}

fn recorded(server: Server, name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data")
        .join(server.folder())
        .join(format!("{name}.json.gz"));
    let mut body = String::new();
    File::open(&path)
        .and_then(|file| GzDecoder::new(file).read_to_string(&mut body))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    body
}

/// The text in front of the series, and the series.
fn taken_apart(body: &str) -> (&str, impl Iterator<Item = Series<'_>>) {
    let start = body.find(r#""result":["#).expect("an answer has a result") + r#""result":["#.len();
    let (head, series) = body.split_at(start);
    let series = series.strip_suffix("\"]}]}}").expect("it ends with its last number");
    let series = series.split("\"]},").map(|text| {
        let pod = text.find(r#""pod":""#).expect("every series names a pod") + r#""pod":""#.len();
        let pod_end = pod + text[pod..].find('"').expect("a string ends");
        let number = text.rfind('"').expect("a number is in quotes") + 1;
        Series {
            before: &text[..pod],
            pod: &text[pod..pod_end],
            between: &text[pod_end..number],
            number: &text[number..],
        }
    });
    (head, series)
}

fn put_together(head: &str, series: impl Iterator<Item = String>) -> String {
    let mut body = String::from(head);
    for (position, series) in series.enumerate() {
        body.push_str(if position == 0 { "" } else { "," });
        body.push_str(&series);
    }
    body.push_str("]}}");
    body
}

/// A number for each pod, the same in every answer of both servers.
fn numbers() -> HashMap<String, usize> {
    let cpu = recorded(Server::Prometheus, Metric::Cpu.name());
    pairs(&cpu).enumerate().map(|(number, (pod, _))| (pod.to_owned(), number)).collect()
}

/// The answer with fewer pods, or with all of them several times under other names: each time in the
/// recorded order, with the recorded values turned.
fn resized(body: &str, numbers: &HashMap<String, usize>, server: Server, count: usize) -> String {
    let (head, series) = taken_apart(body);
    let series: Vec<Series<'_>> = series.collect();
    if count <= RECORDED {
        assert_eq!(RECORDED % count, 0, "a part of the recorded pods");
        let kept = series.iter().filter(|series| numbers[series.pod].is_multiple_of(RECORDED / count));
        return put_together(head, kept.map(|series| series.with(series.pod, series.number)));
    }
    assert_eq!(count % RECORDED, 0, "a multiple of the recorded pods");
    let mut order: Vec<(String, usize, usize)> = Vec::with_capacity(count);
    for time in 0..count / RECORDED {
        for (position, series) in series.iter().enumerate() {
            let workload = series.pod.rsplit_once('-').map_or(series.pod, |(workload, _)| workload);
            let pod = format!("{workload}-{}", suffix(numbers[series.pod] * 101 + time));
            order.push((pod, position, time));
        }
    }
    if server == Server::VictoriaMetrics {
        order.sort_unstable();
    }
    let turned = |position: usize, time: usize| match time {
        0 => series[position].number,
        _ => series[(position * 7 + time * 131) % series.len()].number,
    };
    put_together(
        head,
        order.iter().map(|(pod, position, time)| series[*position].with(pod, turned(*position, *time))),
    )
}

/// Five letters and digits, different for every number below 36 to the fifth.
fn suffix(number: usize) -> String {
    const DIGITS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    // The factor shares no divisor with 36.
    let mut rest = (number as u64).wrapping_mul(2_654_435_761) % 36_u64.pow(5);
    let mut text = [b'0'; 5];
    for digit in text.iter_mut().rev() {
        *digit = DIGITS[usize::try_from(rest % 36).expect("below 36")];
        rest /= 36;
    }
    text.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn answers_of_every_size_have_the_recorded_orders() {
        for count in [100, 10_000, 20_000] {
            let pods = |server, metric| -> Vec<String> {
                pairs(&answers(server, count)[metric]).map(|(pod, _)| pod.to_owned()).collect()
            };
            let prometheus = PerMetric::from_fn(|metric| pods(Server::Prometheus, metric));
            let sorted = pods(Server::VictoriaMetrics, Metric::Cpu);
            let names: BTreeSet<&String> = prometheus.cpu.iter().collect();
            assert_eq!(names.len(), count, "every pod has a name of its own");
            assert_eq!(prometheus.cpu, prometheus.memory);
            assert_ne!(prometheus.cpu, sorted);
            assert!(names.into_iter().eq(&sorted), "both servers name the same pods, one sorted");
            assert!((count * 98 / 100..count).contains(&prometheus.lag.len()), "some lack lag");
            assert!(pods(Server::VictoriaMetrics, Metric::Rate).is_sorted());
        }
    }

    #[test]
    fn raw_series_are_one_a_pod() {
        let body = raw_answer(100);
        let pods: BTreeSet<&str> = pairs(&body).map(|(pod, _)| pod).collect();
        assert_eq!(pods.len(), 100);
        assert!(body.len() > 100 * 600);
    }
}
