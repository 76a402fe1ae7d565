//! The stack of examples/docker-compose.yml without its containers: its exporter, its questions
//! and the program find the two unevenly loaded pods.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use e2e::{Finished, Fleet, MetricServer, Sandbox, pod_rebalancer, require};
use serde_json::json;

/// Between two scrapes, as in scrape.yml; a rate needs both.
const SCRAPE_INTERVAL: Duration = Duration::from_secs(5);

#[test]
fn the_local_stack_plans_to_rotate_its_skewed_pods() {
    require!(VictoriaMetrics, Curl);
    // As the compose file starts it.
    let nothing = Fleet::even("elsewhere", "other", 1);
    let server = MetricServer::victoria_metrics(&nothing, &["-search.latencyOffset=1s"]);
    for pause in [SCRAPE_INTERVAL, Duration::from_secs(2)] {
        import(&server, &script("skewed-pods.sh", &[]));
        thread::sleep(pause);
    }

    let sandbox = Sandbox::new();
    let folder = sandbox.path().display().to_string();
    script("ask.sh", &[server.url(), &folder, "once"]);
    let replay = Finished::of(&mut pod_rebalancer(["replay", folder.as_str(), "--output", "json"]));
    assert_eq!(replay.code, Some(0), "{replay}");
    let report = replay.json();
    assert_eq!(report["outcome"], "planned", "{replay}");
    let targets =
        json!([{ "pod": "orders-4", "role": "busiest" }, { "pod": "orders-5", "role": "least_busy" }]);
    assert_eq!(report["targets"], targets, "{replay}");
    assert_eq!(report["workload"]["pods"], 6, "{replay}");
}

fn import(server: &MetricServer, metrics: &str) {
    for (path, body) in [("/api/v1/import/prometheus", metrics), ("/internal/force_flush", "")] {
        let posted = ureq::post(format!("{}{path}", server.url())).send(body);
        posted.unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

/// Runs a script of the local stack and answers what it prints.
fn script(name: &str, arguments: &[&str]) -> String {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("e2e lies in the repository");
    let path = repository.join("examples/local-stack").join(name);
    let output = Command::new("sh").arg(path).args(arguments).output().expect("the machine has a shell");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.is_empty(), "{name}: {}: {errors}", output.status);
    String::from_utf8(output.stdout).expect("metrics are UTF-8")
}
