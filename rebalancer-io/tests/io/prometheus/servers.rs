//! The metric servers that tests run on: Prometheus and VictoriaMetrics, each old and newest.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rebalancer_io::prometheus::{Endpoint, PrometheusClient, PrometheusConfig};

/// Both releases of each server, by the names of their programs.
const PROMETHEUS: [[&str; 2]; 2] = [["prometheus", "promtool"], ["prometheus-newest", "promtool-newest"]];
pub const VICTORIA_METRICS: [&str; 2] = ["victoria-metrics", "victoria-metrics-newest"];

/// A program of the path. Without it the test is skipped, or fails where servers are required.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        assert!(std::env::var_os("E2E_REQUIRED").is_none_or(|value| value != "1"), "{name} is not installed");
        eprintln!("skipped: {name} is not installed");
    }
    found
}

/// Samples of one series: its name, its labels as they stand between braces, and values by milliseconds since 1970.
#[derive(Debug, Clone)]
pub struct TestSeries {
    pub name: String,
    pub labels: String,
    pub samples: Vec<(i64, f64)>,
}

/// Runs `ask` on each server that is installed, filled with these series.
pub fn on_each_server(series: &[TestSeries], ask: impl Fn(&str, &PrometheusClient)) {
    for programs in PROMETHEUS {
        let [Some(server), Some(tool)] = programs.map(program) else { continue };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let started = Server::prometheus([&server, &tool], folder.path(), series);
        ask(programs[0], &started.client());
    }
    for name in VICTORIA_METRICS {
        let Some(server) = program(name) else { continue };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let started = Server::victoria_metrics(&server, folder.path());
        started.import(series);
        ask(name, &started.client());
    }
}

/// A server of its own folder and port, ended with the test.
pub struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// An empty server of a port of its own.
    pub fn victoria_metrics(binary: &Path, folder: &Path) -> Self {
        let address = free_address();
        let mut command = Command::new(binary);
        command
            .arg(format!("-httpListenAddr={address}"))
            .arg(format!("-storageDataPath={}", folder.display()))
            .args(["-search.latencyOffset=0s", "-retentionPeriod=1"]);
        Self::start(command, &address, "/health")
    }

    /// A server over the blocks that its tool makes of these series.
    fn prometheus([server, tool]: [&Path; 2], folder: &Path, series: &[TestSeries]) -> Self {
        let [text, data, config] = ["series.txt", "data", "prometheus.yml"].map(|name| folder.join(name));
        fs::write(&text, open_metrics(series)).expect("a file of samples");
        fs::write(&config, "global: {}\n").expect("a configuration");
        let mut blocks = Command::new(tool);
        blocks.args(["tsdb", "create-blocks-from", "openmetrics", "--quiet"]).args([&text, &data]);
        let output = blocks.output().expect("promtool runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let address = free_address();
        let mut command = Command::new(server);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", data.display()))
            .arg(format!("--web.listen-address={address}"));
        Self::start(command, &address, "/-/ready")
    }

    fn start(mut command: Command, address: &str, ready: &str) -> Self {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the server starts");
        let server = Self { child, address: format!("http://{address}") };
        let deadline = Instant::now() + Duration::from_secs(60);
        while ureq::get(format!("{}{ready}", server.address)).call().is_err() {
            assert!(Instant::now() < deadline, "the server does not become ready");
            sleep(Duration::from_millis(50));
        }
        server
    }

    /// Gives a VictoriaMetrics these series.
    pub fn import(&self, series: &[TestSeries]) {
        let mut body = String::new();
        for TestSeries { name, labels, samples } in series {
            for (at, value) in samples {
                writeln!(body, "{name}{{{labels}}} {value} {at}").expect("a String");
            }
        }
        ureq::post(format!("{}/api/v1/import/prometheus", self.address))
            .send(&body)
            .expect("the import is accepted");
        ureq::get(format!("{}/internal/force_flush", self.address)).call().expect("the data is flushed");
    }

    pub fn client(&self) -> PrometheusClient {
        let endpoint = Endpoint::parse(&self.address).expect("an address");
        PrometheusClient::new(&PrometheusConfig::new(endpoint)).expect("a client")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody to tell.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn free_address() -> String {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("an address").to_string()
}

/// The samples as promtool reads them: all of a metric together.
fn open_metrics(series: &[TestSeries]) -> String {
    let mut sorted: Vec<&TestSeries> = series.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let mut text = String::new();
    for TestSeries { name, labels, samples } in sorted {
        for (at, value) in samples {
            let seconds = *at as f64 / 1000.0;
            writeln!(text, "{name}{{{labels}}} {value} {seconds}").expect("a String");
        }
    }
    text + "# EOF\n"
}
