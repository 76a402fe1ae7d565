//! Prometheus and VictoriaMetrics, of the releases that are in the field, filled with the series of a fleet.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

use crate::fleet::Fleet;
use crate::require::{Program, path_of};
use crate::sandbox::{Sandbox, Server, free_port};
use crate::series::{Series, json_lines, open_metrics};

const START_LIMIT: Duration = Duration::from_secs(60);

/// A metric server that tests run on, see [`on_each_metric_server!`](crate::on_each_metric_server).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Prometheus as Debian has it (2.42).
    Prometheus,
    /// The newest Prometheus.
    NewestPrometheus,
    /// VictoriaMetrics as Debian has it (1.79).
    VictoriaMetrics,
    /// The newest VictoriaMetrics.
    NewestVictoriaMetrics,
}

impl Release {
    /// The path of one of its programs.
    ///
    /// # Panics
    /// When it is not installed.
    fn program(self, name: &str) -> PathBuf {
        let (program, suffix) = match self {
            Self::Prometheus => (Program::Prometheus, ""),
            Self::NewestPrometheus => (Program::NewestPrometheus, "-newest"),
            Self::VictoriaMetrics => (Program::VictoriaMetrics, ""),
            Self::NewestVictoriaMetrics => (Program::NewestVictoriaMetrics, "-newest"),
        };
        path_of(program, &format!("{name}{suffix}"))
    }
}

/// Makes a test of each case on each metric server: `CASE::prometheus` and so on. A case is a function of
/// the [`Release`] that it starts; a server that the machine lacks is skipped as [`require!`](crate::require)
/// says.
#[macro_export]
macro_rules! on_each_metric_server {
    ($($case:ident),+ $(,)?) => { $(
        mod $case {
            #[test]
            fn prometheus() {
                $crate::require!(Prometheus);
                super::$case($crate::Release::Prometheus);
            }

            #[test]
            fn newest_prometheus() {
                $crate::require!(NewestPrometheus);
                super::$case($crate::Release::NewestPrometheus);
            }

            #[test]
            fn victoria_metrics() {
                $crate::require!(VictoriaMetrics);
                super::$case($crate::Release::VictoriaMetrics);
            }

            #[test]
            fn newest_victoria_metrics() {
                $crate::require!(NewestVictoriaMetrics);
                super::$case($crate::Release::NewestVictoriaMetrics);
            }
        }
    )+ };
}

/// A running metric server; ends with its value.
#[derive(Debug)]
pub struct MetricServer {
    server: Server,
    url: String,
}

impl MetricServer {
    /// One of these servers, filled with the series of the fleet, with further flags.
    ///
    /// # Panics
    /// When it is not installed, refuses the data or does not start.
    pub fn start(release: Release, fleet: &Fleet, flags: &[&str]) -> Self {
        Self::filled(release, fleet.series(), flags)
    }

    /// One of these servers, filled with these series, with further flags.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn filled(release: Release, series: impl IntoIterator<Item = Series>, flags: &[&str]) -> Self {
        match release {
            Release::Prometheus | Release::NewestPrometheus => Self::prometheus_in(
                &Sandbox::new(),
                release,
                series,
                "global: {scrape_interval: 15s}\n",
                flags,
            ),
            Release::VictoriaMetrics | Release::NewestVictoriaMetrics => {
                Self::victoria_metrics_of(release, series, flags)
            }
        }
    }

    /// Debian's Prometheus, filled with the series of the fleet, with further flags.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn prometheus(fleet: &Fleet, flags: &[&str]) -> Self {
        Self::start(Release::Prometheus, fleet, flags)
    }

    /// Debian's VictoriaMetrics, filled with the series of the fleet, with further flags.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub fn victoria_metrics(fleet: &Fleet, flags: &[&str]) -> Self {
        Self::start(Release::VictoriaMetrics, fleet, flags)
    }

    /// Prometheus with this configuration over blocks that `promtool` made of the series, which lie in the
    /// folder `data` of the sandbox.
    pub(crate) fn prometheus_in(
        sandbox: &Arc<Sandbox>,
        release: Release,
        series: impl IntoIterator<Item = Series>,
        config: &str,
        flags: &[&str],
    ) -> Self {
        let series = sandbox.write("series.txt", open_metrics(series));
        let data = sandbox.path().join("data");
        let backfill = Command::new(release.program("promtool"))
            .args(["tsdb", "create-blocks-from", "openmetrics", "--quiet"])
            .args([&series, &data])
            .output()
            .expect("promtool is a program");
        assert!(backfill.status.success(), "promtool failed: {}", String::from_utf8_lossy(&backfill.stderr));

        let address = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new(release.program("prometheus"));
        command
            .arg(format!("--config.file={}", sandbox.write("prometheus.yml", config).display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address={address}"))
            .args(flags);
        Self::ready(Server::start(sandbox, "prometheus", command), &address, "/-/ready")
    }

    fn victoria_metrics_of(
        release: Release,
        series: impl IntoIterator<Item = Series>,
        flags: &[&str],
    ) -> Self {
        let sandbox = Sandbox::new();
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new(release.program("victoria-metrics"));
        command
            .arg(format!("-storageDataPath={}", sandbox.path().join("data").display()))
            .arg(format!("-httpListenAddr={address}"))
            .args(flags);
        let started = Self::ready(Server::start(&sandbox, "victoria-metrics", command), &address, "/health");
        post(&format!("{}/api/v1/import", started.url), json_lines(series));
        // Imported rows are searchable only after a flush, which the server does every second.
        post(&format!("{}/internal/force_flush", started.url), String::new());
        started
    }

    /// An empty Pushgateway.
    ///
    /// # Panics
    /// When it is not installed or does not start.
    pub fn pushgateway() -> Self {
        let sandbox = Sandbox::new();
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new(path_of(Program::Pushgateway, "prometheus-pushgateway"));
        command.arg(format!("--web.listen-address={address}"));
        Self::ready(Server::start(&sandbox, "pushgateway", command), &address, "/-/ready")
    }

    /// Prometheus of this release that scrapes the metrics of another server every second, as it is told to scrape a
    /// Pushgateway.
    ///
    /// # Panics
    /// When it is not installed or does not start.
    pub fn prometheus_of(release: Release, other: &Self) -> Self {
        let sandbox = Sandbox::new();
        let scraped = other.url.trim_start_matches("http://");
        let jobs = format!(
            "[{{job_name: gateway, honor_labels: true, static_configs: [{{targets: ['{scraped}']}}]}}]"
        );
        let config = format!("{{global: {{scrape_interval: 1s}}, scrape_configs: {jobs}}}\n");
        let address = format!("127.0.0.1:{}", free_port());
        let mut command = Command::new(release.program("prometheus"));
        command
            .arg(format!("--config.file={}", sandbox.write("prometheus.yml", config).display()))
            .arg(format!("--storage.tsdb.path={}", sandbox.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"));
        Self::ready(Server::start(&sandbox, "prometheus", command), &address, "/-/ready")
    }

    /// Where it listens, for `PROMETHEUS_ENDPOINT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process.
    pub fn server(&mut self) -> &mut Server {
        &mut self.server
    }

    /// How long the server took to answer queries so far, in seconds, as it tells of itself.
    ///
    /// # Panics
    /// When it does not tell.
    pub fn seconds_of_queries(&self) -> f64 {
        const SUMS: [&str; 4] = [
            "prometheus_http_request_duration_seconds_sum{handler=\"/api/v1/query",
            // Thanos names what is asked, and not where.
            "http_request_duration_seconds_sum{code=\"200\",handler=\"query\"",
            "http_request_duration_seconds_sum{code=\"200\",handler=\"query_range\"",
            "vm_request_duration_seconds_sum{path=\"/api/v1/query",
        ];
        // VictoriaMetrics tells the same for a second.
        thread::sleep(Duration::from_millis(1_100));
        let url = format!("{}/metrics", self.url);
        let answer = Agent::new_with_defaults().get(&url).call();
        let text = answer
            .and_then(|mut answer| answer.body_mut().read_to_string())
            .unwrap_or_else(|error| panic!("{url}: {error}"));
        let of_queries = text.lines().filter(|line| SUMS.iter().any(|sum| line.starts_with(sum)));
        let seconds = of_queries.filter_map(|line| -> Option<f64> { line.rsplit(' ').next()?.parse().ok() });
        seconds.sum()
    }

    /// An instant query at the server's own "now", as pod → value.
    ///
    /// # Panics
    /// When the server does not answer with one vector sample per pod.
    pub fn by_pod(&self, query: &str) -> BTreeMap<String, f64> {
        let samples = self.vector(query);
        let sample = |sample: &Value| {
            Some((sample["metric"]["pod"].as_str()?.to_owned(), sample["value"][1].as_str()?.parse().ok()?))
        };
        let pods: BTreeMap<String, f64> = samples
            .iter()
            .map(|element| sample(element).unwrap_or_else(|| panic!("not a sample of a pod: {element}")))
            .collect();
        assert_eq!(pods.len(), samples.len(), "{query}: a pod has two samples");
        pods
    }

    /// The samples of an instant query at the server's own "now".
    ///
    /// # Panics
    /// When the server does not answer with a vector.
    pub fn vector(&self, query: &str) -> Vec<Value> {
        let url = format!("{}/api/v1/query", self.url);
        let answer = Agent::new_with_defaults().get(&url).query("query", query).call();
        let body = answer
            .and_then(|mut answer| answer.body_mut().read_to_string())
            .unwrap_or_else(|error| panic!("{query} at {url}: {error}"));
        let body: Value = serde_json::from_str(&body)
            .unwrap_or_else(|error| panic!("{query} at {url} answered no JSON ({error}): {body}"));
        let samples = body["data"]["result"].as_array();
        samples.unwrap_or_else(|| panic!("{query} at {url} answered no vector: {body}")).clone()
    }

    /// A server that was started, once it answers at this path.
    pub(crate) fn ready(mut server: Server, address: &str, path: &str) -> Self {
        let url = format!("http://{address}");
        server.wait_ready(START_LIMIT, || {
            Agent::new_with_defaults().get(format!("{url}{path}")).call().is_ok()
        });
        Self { server, url }
    }
}

fn post(url: &str, body: String) {
    let answer = Agent::new_with_defaults().post(url).send(body);
    answer.unwrap_or_else(|error| panic!("POST {url}: {error}"));
}
