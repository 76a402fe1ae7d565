//! The pictures of the documentation: pages of real metric servers. `UPDATE_SCREENSHOTS=1` takes them
//! anew; without it the same pages are made and looked at all the same.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use e2e::{Browser, Finished, Fleet, Level, Look, MetricServer, Sandbox, pod_rebalancer, require};
use rebalancer_sim::apiserver::{ApiServer, Fleet as Workload};

use super::pages::root;

/// Most bytes of a picture in the repository.
const MOST_BYTES: u64 = 150_000;

/// A hot partition among 24 pods: over a threshold, held back, explained, and advised on.
#[test]
fn pictures_of_a_plan() {
    require!(Prometheus, Browser);
    let mut fleet = fleet(24);
    let hot = &mut fleet.pods[7];
    (hot.cpu, hot.rate, hot.lag) =
        (Some(Level::from(1.25)), Some(Level::from(2000.0)), Some(Level::from(20_000.0)));
    hot.first_share = 0.9;
    let sandbox = Sandbox::new();
    let page = sandbox.path().join("plan.html");
    let made = program(&fleet, &["plan"], &page);
    assert!(made.stdout.contains("\"hot_partition\""), "{made}");
    let browser = Browser::shared();
    browser.open(&page);
    picture(&browser, "report-light", Look { width: 1100, dark: false, print: false }, 1900);
    picture(&browser, "report-dark", Look { width: 1100, dark: true, print: false }, 1900);
    picture(&browser, "report-narrow", Look { width: 360, dark: false, print: false }, 1600);
    let printed = sandbox.path().join("plan.pdf");
    browser.look(Look { width: 1100, dark: true, print: true });
    browser.print(&printed);
    assert!(std::fs::read(&printed).expect("a PDF").starts_with(b"%PDF-"));
    assert_eq!(browser.console(), Vec::<String>::new());
}

/// A day in which a pod fell ill, and the noise before it.
#[test]
fn pictures_of_a_backtest() {
    require!(Prometheus, Browser);
    let mut fleet = Fleet {
        history: Duration::from_secs(12 * 3600),
        scrape_interval: Duration::from_secs(60),
        ..fleet(12)
    };
    let mut random = fastrand::Rng::with_seed(11);
    for (place, pod) in fleet.pods.iter_mut().enumerate() {
        let ill = place == 7;
        let steps = (0..72).map(|step| {
            let ago = Duration::from_secs(600 * (72 - step));
            let noise = 0.9 + 0.2 * random.f64();
            let burst = if (step / 6) % 4 == 1 && place % 5 == 0 { 1.8 } else { 1.0 };
            (ago, 0.25 * noise * burst * if ill && step > 45 { 3.0 } else { 1.0 })
        });
        pod.cpu = Some(steps.fold(Level::from(0.25), |level, (ago, cores)| level.then(ago, cores)));
    }
    let sandbox = Sandbox::new();
    let page = sandbox.path().join("backtest.html");
    let made = program(
        &fleet,
        &["backtest", "--from", "11h", "--every", "5m", "--sweep", "cpu=0.2..0.6/0.1"],
        &page,
    );
    assert!(made.stdout.contains("\"sick_pod\""), "{made}");
    let browser = Browser::shared();
    browser.open(&page);
    picture(&browser, "backtest-light", Look { width: 1100, dark: false, print: false }, 1250);
    assert_eq!(browser.console(), Vec::<String>::new());
}

fn fleet(pods: usize) -> Fleet {
    let mut fleet =
        Fleet { history: Duration::from_secs(2 * 3600), ..Fleet::even("streams", "orders", pods) };
    let mut random = fastrand::Rng::with_seed(5);
    for pod in &mut fleet.pods {
        let load = 0.6 + 0.8 * random.f64();
        pod.cpu = Some(Level::from(0.25 * load));
        pod.rate = Some(Level::from((400.0 * load).round()));
        pod.lag = Some(Level::from((1500.0 * load * (0.8 + 0.4 * random.f64())).round()));
        pod.memory = Some(Level::from((400.0 * (0.9 + 0.2 * random.f64())).round() * 1_048_576.0));
    }
    fleet
}

fn program(fleet: &Fleet, arguments: &[&str], page: &Path) -> Finished {
    let server = MetricServer::prometheus(fleet, &[]);
    let names: Vec<&str> = fleet.pods.iter().map(|pod| pod.name.as_str()).collect();
    let mut workload = Workload::named("orders", &names);
    workload.namespace.clone_from(&fleet.namespace);
    let cluster = ApiServer::start(workload);
    let mut command = pod_rebalancer(arguments);
    command
        .args(["--output", "json", "--namespace", &fleet.namespace, "--selector", "app=orders"])
        .arg("--kubeconfig")
        .arg(cluster.kubeconfig_path())
        .arg("--report")
        .arg(page)
        .env("PROMETHEUS_ENDPOINT", server.url())
        .env("METRICS_PRESET", "kafka-exporter")
        .env("KAFKA_GROUP", "orders");
    let made = Finished::of(&mut command);
    assert_eq!(made.code, Some(0), "{made}");
    made
}

fn picture(browser: &Browser, name: &str, look: Look, height: u64) {
    browser.look(look);
    let sandbox = Sandbox::new();
    let taken = sandbox.path().join(format!("{name}.png"));
    browser.screenshot(&taken, Some(height));
    assert!(std::fs::read(&taken).expect("a picture").starts_with(b"\x89PNG"));
    let kept = root().join(format!("docs/images/{name}.png"));
    if std::env::var_os("UPDATE_SCREENSHOTS").is_some() {
        std::fs::create_dir_all(kept.parent().expect("a folder")).expect("a folder of the repository");
        let made = Command::new("pngquant")
            .args(["--force", "--strip", "--speed", "1", "64", "--output"])
            .arg(&kept)
            .arg(&taken)
            .status();
        assert!(made.is_ok_and(|made| made.success()), "pngquant makes the pictures small; install it");
    }
    let size = std::fs::metadata(&kept).map_or(0, |facts| facts.len());
    assert!(size > 0 && size < MOST_BYTES, "{}: {size} bytes", kept.display());
}
