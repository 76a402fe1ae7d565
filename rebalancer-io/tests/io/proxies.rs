//! The proxy of the environment: both clients and the pushes go by the same rules.
//!
//! The environment is that of the whole process, so each case asks in a process of its own.

use std::env;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_io::kubernetes::{Cluster, ConnectOptions, Selector};
use rebalancer_io::metrics::{MetricQuery, MetricsSource as _};
use rebalancer_io::prometheus::{Auth, Endpoint, PrometheusClient, PrometheusConfig};
use rebalancer_io::push::{PushConfig, Pusher, Receiver, Replaces};

/// A proxy that refuses everything, and says so in words that only it has.
fn proxy() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head: Vec<u8> = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
                head.extend(byte);
            }
            stream.write_all(b"HTTP/1.1 418 Through-the-proxy\r\nContent-Length: 0\r\n\r\n").ok();
        }
    });
    format!("http://{address}")
}

/// What each client says of a server at `host`, where nothing listens.
fn asked(host: &str, no_proxy: &str) -> String {
    let proxy = proxy();
    let done = Command::new(env::current_exe().expect("this test"))
        .args(["--exact", "proxies::asks_by_the_environment", "--nocapture"])
        .env("ASKED_HOST", host)
        .envs([("HTTP_PROXY", &proxy), ("HTTPS_PROXY", &proxy)])
        .env("NO_PROXY", no_proxy)
        .env_remove("no_proxy")
        .output()
        .expect("this test runs");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

/// Asks by each client; does nothing where no other test has set what to ask.
#[test]
fn asks_by_the_environment() {
    let Ok(host) = env::var("ASKED_HOST") else { return };
    let endpoint = format!("http://{host}:9");
    let mut config = PrometheusConfig::new(Endpoint::parse(&endpoint).expect("an address"));
    config.timeout = Duration::from_secs(2);
    let client = PrometheusClient::new(&config).expect("a client");
    let query = client.instant(&MetricQuery::new("cpu", "up"), Timestamp::UNIX_EPOCH);
    println!("metrics: {:?}", query.expect_err("nothing listens there").kind);

    let pusher = Pusher::new(PushConfig { auth: Auth::None, ca_file: None, timeout: Duration::from_secs(2) });
    let receiver = Receiver::at("METRICS_PUSH_URL", &format!("{endpoint}/api/v1/import/prometheus"))
        .expect("an address");
    let refused = pusher.expect("a pusher").push(&receiver, &[], Replaces::Group, "");
    println!("push: {:?}", refused.expect_err("nothing listens there").kind);

    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = folder.path().join("config");
    rebalancer_sim::apiserver::write_kubeconfig(&kubeconfig, &endpoint, "shop");
    let call_timeout = Duration::from_secs(2);
    let options = ConnectOptions { kubeconfig: Some(kubeconfig), call_timeout, ..ConnectOptions::default() };
    let cluster = Cluster::connect(&options).expect("a kubeconfig");
    let listed = cluster.observer(Selector::new("app=orders").expect("a selector")).workload();
    println!("cluster: {}", listed.expect_err("nothing listens there").failure.message);
}

/// Which of the clients said that they asked through the proxy.
fn through_proxy(said: &str) -> Vec<&str> {
    let clients = ["metrics: ", "push: ", "cluster: "];
    let line =
        |client: &str| said.lines().find_map(|line| line.split_once(client).map(|(_, said)| said.to_owned()));
    let is_proxied = |client: &&str| {
        let line = line(client).unwrap_or_else(|| panic!("{client}{said}"));
        line.contains("Proxy(") || line.contains("proxy") || line.contains("tunnel") || line.contains("418")
    };
    clients.into_iter().filter(is_proxied).collect()
}

#[test]
fn a_network_of_no_proxy_is_asked_directly_by_all() {
    // An address of this machine that no rule takes for one: a network that is not routed.
    for no_proxy in ["127.0.0.0/8", "203.0.113.0/24", "localhost,203.0.113.0/24", "203.0.113.7:9"] {
        let said = asked("203.0.113.7", no_proxy);
        let expected = if no_proxy.starts_with("127") { 3 } else { 0 };
        assert_eq!(through_proxy(&said).len(), expected, "{no_proxy}: {said}");
    }
    let said = asked("127.0.0.1", "");
    assert_eq!(through_proxy(&said), Vec::<&str>::new(), "this machine: {said}");
}
