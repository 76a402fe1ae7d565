//! What the chart makes of its values, rendered by a real helm.

use std::collections::BTreeSet;

use std::process::Command;

use e2e::{Sandbox, require};
use serde_json::Value;

use crate::packages::{CHART, everything, helm, read, repository, run, text};

/// The manifests as objects, of release `r` with these values; helm itself turns them into JSON.
fn objects(values: &[&str]) -> Vec<Value> {
    let mut command = helm();
    command.args(["template", "r", CHART, "--kube-version=1.37", "--values", &everything()]);
    for value in values {
        command.args(["--set", value]);
    }
    let rendered = run(&mut command, "");
    assert!(rendered.status.success(), "{}", text(&rendered));
    let manifests = String::from_utf8(rendered.stdout).expect("manifests are UTF-8");
    manifests.split("\n---\n").filter_map(object).collect()
}

/// What a manifest is called, and the lines of it that tests look at.
fn object(manifest: &str) -> Option<Value> {
    let field = |name: &str| {
        let line = manifest.lines().find(|line| line.trim_start().starts_with(&format!("{name}: ")))?;
        Some(line.split_once(": ")?.1.trim_matches('"').to_owned())
    };
    Some(serde_json::json!({
        "kind": field("kind")?, "name": field("name"), "schedule": field("schedule"), "text": manifest,
    }))
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|it| it["kind"] == kind).collect()
}

#[test]
fn many_targets_do_not_run_at_the_same_minute() {
    require!(Helm);
    let named = |number: usize| {
        format!(
            "targets[{number}].name=orders-{number},targets[{number}].selector=app=x,\
             targets[{number}].workload=deployment/x"
        )
    };
    let targets: Vec<String> = (0..30).map(named).collect();
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    let minutes = |values: &[&str]| -> BTreeSet<String> {
        let objects = objects(&[&targets[..], values].concat());
        let schedules = of_kind(&objects, "CronJob").into_iter().map(|it| it["schedule"].as_str());
        schedules.map(|schedule| schedule.expect("a CronJob has a schedule").to_owned()).collect()
    };
    let own_schedule = "targets[1].schedule=5 * * * *";

    let spread = minutes(&[own_schedule]);
    assert!(spread.contains("5 * * * *"), "a schedule without a step stays: {spread:?}");
    let begins: BTreeSet<u32> =
        spread.iter().filter_map(|it| it.strip_suffix("-59/10 * * * *")?.parse().ok()).collect();
    assert!(begins.len() >= 7 && begins.iter().all(|minute| *minute < 10), "{spread:?}");
    assert_eq!(begins.len() + 1, spread.len(), "{spread:?}");
    assert_eq!(spread, minutes(&[own_schedule]), "an upgrade moves none");

    let hourly = minutes(&["schedule=@hourly", own_schedule]);
    assert!(hourly.len() > 10 && !hourly.contains("@hourly"), "{hourly:?}");
    let together = minutes(&["spreadMinutes=false", own_schedule]);
    assert_eq!(together, BTreeSet::from(["*/10 * * * *".to_owned(), "5 * * * *".to_owned()]));
}

/// The program ends by itself before Kubernetes ends its job, whose log is then gone.
#[test]
fn a_job_may_take_longer_than_its_run() {
    require!(Helm);
    let deadlines = |values: &[&str]| -> Vec<String> {
        let objects = objects(values);
        let of = |it: &&Value| {
            let text = it["text"].as_str().expect("a manifest");
            let line = |name: &str| text.lines().find_map(|line| line.trim().strip_prefix(name));
            let (_, passed) = text.split_once("- name: RUN_TIMEOUT").expect("the time limit is passed");
            let passed = passed.lines().nth(1).and_then(|line| line.trim().strip_prefix("value: "));
            let passed = passed.expect("a value").trim_matches('"');
            format!("{passed} {}", line("activeDeadlineSeconds: ").expect("a deadline"))
        };
        let [cronjobs, jobs] = ["CronJob", "Job"].map(|kind| of_kind(&objects, kind));
        let found: Vec<String> = cronjobs.iter().map(of).collect();
        assert_eq!(found, jobs.iter().map(of).collect::<Vec<String>>(), "that of `helm test`");
        found
    };
    assert_eq!(deadlines(&[]), ["90s 150", "90s 150"]);
    assert_eq!(deadlines(&["scope=cluster", "targets=null"]), ["3m 240"]);
    let own = "targets[1].settings.RUN_TIMEOUT=1h 2min 3s";
    assert_eq!(deadlines(&["settings.RUN_TIMEOUT=2m", own]), ["2m 180", "1h 2min 3s 3783"]);
    assert_eq!(deadlines(&["activeDeadlineSeconds=120"]), ["90s 120", "90s 120"]);
    for (value, words) in [
        ("activeDeadlineSeconds=119", "too short for target orders"),
        ("settings.RUN_TIMEOUT=1 day", "hours, minutes and seconds"),
        ("extraEnv[0].name=RUN_TIMEOUT,extraEnv[0].value=5m", "belongs into settings"),
    ] {
        let mut command = helm();
        command.args([
            "template",
            "r",
            CHART,
            "--kube-version=1.37",
            "--values",
            &everything(),
            "--set",
            value,
        ]);
        let rendered = run(&mut command, "");
        assert!(
            !rendered.status.success() && text(&rendered).contains(words),
            "{value}: {}",
            text(&rendered)
        );
    }
}

#[test]
fn pods_of_the_release_reach_their_servers_only() {
    require!(Helm);
    let policy = |values: &[&str]| -> Vec<String> {
        let objects = objects(values);
        let policies = of_kind(&objects, "NetworkPolicy");
        let text = policies.first().map_or("", |it| it["text"].as_str().unwrap_or_default());
        let port = |line: &str| Some(line.trim().strip_prefix("- { port: ")?.split_once(',')?.0.to_owned());
        text.lines().filter_map(port).collect()
    };
    assert_eq!(policy(&[]), ["53", "53", "443", "6443", "9091", "8480"]);
    let other = "prometheus.endpoint=http://prometheus.monitoring:9090/prom";
    assert_eq!(policy(&[other]), ["53", "53", "443", "6443", "9090", "9091", "8480"]);
    let service = "prometheus.endpoint=kube:monitoring/prometheus:9090/prom";
    assert_eq!(policy(&[service]), ["53", "53", "443", "6443", "9090", "9091", "8480"]);
    let plain = ["prometheus.endpoint=http://prometheus", "metrics.pushUrl="];
    assert_eq!(policy(&plain), ["53", "53", "443", "6443", "80"]);
    let of_targets =
        "settings.KAFKA_BOOTSTRAP_SERVERS=kafka,targets[1].settings.KAFKA_BOOTSTRAP_SERVERS=k:9095";
    let with_brokers = [&plain[..], &[of_targets, "settings.METRICS_PUSH_URL=http://p:9999"]].concat();
    assert_eq!(policy(&with_brokers), ["53", "53", "443", "6443", "80", "9999", "9092", "9095"]);
    assert_eq!(policy(&["networkPolicy.enabled=false"]), Vec::<String>::new());
}

#[test]
fn names_can_be_overridden() {
    require!(Helm);
    let cronjob = |values: &[&str]| -> String {
        of_kind(&objects(values), "CronJob")[0]["name"].as_str().expect("a name").to_owned()
    };
    assert_eq!(cronjob(&[]), "r-pod-rebalancer-orders");
    assert_eq!(cronjob(&["nameOverride=shuffle"]), "r-shuffle-orders");
    assert_eq!(cronjob(&["fullnameOverride=evener"]), "evener-orders");
}

/// `helm test` runs `check` as a run would run.
#[test]
fn the_test_of_the_release_checks_each_target_as_its_cronjob_runs() {
    require!(Helm);
    let objects = objects(&[]);
    let pod = |it: &Value| -> Vec<String> {
        let text = it["text"].as_str().expect("a manifest");
        let (_, pod) = text.split_once("restartPolicy: Never").expect("a pod");
        pod.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
    };
    let (jobs, cronjobs) = (of_kind(&objects, "Job"), of_kind(&objects, "CronJob"));
    assert_eq!((jobs.len(), cronjobs.len()), (2, 2));
    for (job, cronjob) in jobs.into_iter().zip(cronjobs) {
        let name = cronjob["name"].as_str().expect("a name");
        assert_eq!(job["name"], format!("{name}-check"));
        assert!(job["text"].as_str().is_some_and(|text| text.contains("helm.sh/hook: test")), "{job}");
        let (checks, runs) = (pod(job), pod(cronjob));
        let differing: Vec<_> = checks.iter().zip(&runs).filter(|(check, run)| check != run).collect();
        assert_eq!(checks.len(), runs.len());
        assert_eq!(differing, [(&r#"args: ["check"]"#.to_owned(), &r#"args: ["run"]"#.to_owned())]);
    }
}

#[test]
fn the_readme_of_the_chart_names_every_value() {
    let readme = read("deploy/helm/pod-rebalancer/README.md");
    let values = read("deploy/helm/pod-rebalancer/values.yaml");
    let mut parent = String::new();
    for line in values.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let Some((key, value)) = line.split_once(':') else { continue };
        let name = match key.strip_prefix("  ") {
            None => {
                key.clone_into(&mut parent);
                // What has values of its own is named by them.
                if value.is_empty() && key != "settings" {
                    continue;
                }
                key.to_owned()
            }
            // What stands deeper is Kubernetes' own.
            Some(key) if !key.starts_with([' ', '-']) => format!("{parent}.{key}"),
            Some(_) => continue,
        };
        let is_free = ["settings", "resources", "podSecurityContext", "securityContext"].contains(&&*parent)
            || parent == "dashboard";
        assert!(is_free || readme.contains(&format!("`{name}`")), "the README of the chart lacks {name}");
    }
}

#[test]
fn the_manifests_of_a_release_have_its_version_and_its_checksums() {
    let sandbox = Sandbox::new();
    let platforms = ["linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64"];
    let address = "https://example.com/some/repository";
    for platform in platforms {
        sandbox.write(&format!("pod-rebalancer-v1.2.3-{platform}.tar.gz"), platform);
    }
    for template in ["deploy/krew/rebalance-pods.yaml", "deploy/homebrew/pod-rebalancer.rb"] {
        let mut fill = Command::new("bash");
        fill.current_dir(repository()).args(["deploy/fill", template, "1.2.3", address]).arg(sandbox.path());
        let filled = run(&mut fill, "");
        assert!(filled.status.success(), "{}", text(&filled));
        let filled = text(&filled);
        let marks = ["@VERSION", "@REPOSITORY", "@SHA256"];
        assert!(marks.iter().all(|mark| !filled.contains(mark)), "{filled}");
        for platform in platforms {
            let archive =
                format!("{address}/releases/download/v1.2.3/pod-rebalancer-v1.2.3-{platform}.tar.gz");
            let mut sum = Command::new("sha256sum");
            sum.arg(sandbox.path().join(format!("pod-rebalancer-v1.2.3-{platform}.tar.gz")));
            let sum = text(&run(&mut sum, ""));
            let sum = sum.split(' ').next().expect("a checksum");
            let (_, rest) = filled.split_once(&archive).expect("the archive");
            let quoted = rest.split('"').find(|word| word.len() == 64).expect("its checksum follows");
            assert_eq!(quoted, sum, "{template}: {platform}");
        }

        // An archive that is not there is no release.
        let mut fill = Command::new("bash");
        fill.current_dir(repository()).args(["deploy/fill", template, "9.9.9", address]).arg(sandbox.path());
        assert!(!run(&mut fill, "").status.success());
    }
}
