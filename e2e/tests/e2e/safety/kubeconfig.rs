//! Ways to reach no API server: one clear error that names file and context, in time.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use e2e::{ControlPlane, Finished, Pki, free_port, pod_rebalancer, require};
use serde_json::{Value, json};

/// `KUBE_TIMEOUT` and `RUN_TIMEOUT` of these runs, and how much later they may end on a machine
/// whose cores are busy.
const TIMEOUT: &str = "5s";
const IN_TIME: Duration = Duration::from_secs(20);

fn run(kubeconfig: &Path) -> Finished {
    let mut program = pod_rebalancer(["run", "--yes"]);
    program
        // Nobody listens there, and nobody is asked: the cluster comes first.
        .env("PROMETHEUS_ENDPOINT", "http://127.0.0.1:9")
        .env("KUBE_LABEL_SELECTOR", "app=orders")
        .env("KUBE_TIMEOUT", TIMEOUT)
        .env("RUN_TIMEOUT", TIMEOUT)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("KUBECONFIG", kubeconfig);
    Finished::of(&mut program)
}

/// One error line, this exit code, these words, and the file it is about.
#[track_caller]
fn assert_refused(kubeconfig: &Path, code: i32, words: &[&str]) {
    let run = run(kubeconfig);
    assert_eq!((run.code, run.stdout.as_str()), (Some(code), ""), "{run}");
    assert!(run.elapsed < IN_TIME, "{:?} {run}", run.elapsed);
    let errors: Vec<&str> = run.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{run}");
    for word in words.iter().copied().chain([kubeconfig.to_str().expect("a path of ours")]) {
        assert!(errors[0].contains(word), "{word:?} is not said\n{run}");
    }
}

/// A kubeconfig of the shared control plane with these changes.
fn write(name: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
    let plane = ControlPlane::shared();
    let own = fs::read_to_string(plane.admin_kubeconfig("default")).expect("it was just written");
    let mut config: Value = serde_json::from_str(&own).expect("it is JSON");
    change(&mut config);
    let path = plane.folder().join(name);
    fs::write(&path, config.to_string()).expect("the folder is writable");
    path
}

#[test]
fn a_file_that_cannot_be_used_is_a_configuration_error() {
    require!(ControlPlane);
    let folder = ControlPlane::shared().folder();
    assert_refused(&folder.join("there-is-none"), 64, &["cannot be read", "No such file"]);
    let malformed = folder.join("malformed");
    fs::write(&malformed, "clusters: [}").expect("the folder is writable");
    assert_refused(&malformed, 64, &["is not valid YAML"]);
    let other = folder.join("other");
    fs::write(&other, "apiVersion: v1\nkind: Config\n").expect("the folder is writable");
    assert_refused(&other, 64, &["sets no current-context"]);
    let context = write("no-such-context", |config| config["current-context"] = "prod".into());
    assert_refused(&context, 64, &["context prod", "there is no such context"]);
}

#[test]
fn a_server_that_cannot_be_trusted_or_reached_is_named() {
    require!(ControlPlane);
    let plane = ControlPlane::shared();
    let nobody = format!("https://127.0.0.1:{}", free_port());
    let unreachable =
        write("unreachable", |config| config["clusters"][0]["cluster"]["server"] = nobody.as_str().into());
    assert_refused(&unreachable, 1, &["context test", "cannot be reached", &nobody]);

    let foreign = plane.folder().join("foreign.crt");
    fs::write(&foreign, Pki::new().ca()).expect("the folder is writable");
    let wrong_ca = write("wrong-ca", |config| {
        config["clusters"][0]["cluster"]["certificate-authority"] = foreign.to_str().into();
    });
    assert_refused(&wrong_ca, 1, &["context test", plane.url().trim_end_matches('/'), "certificate"]);
}

#[test]
fn a_certificate_whose_time_is_over_is_refused() {
    require!(ControlPlane);
    let plane = ControlPlane::shared();
    let with = |name: &str, identity: e2e::Identity| {
        let (certificate, key) =
            (plane.folder().join(format!("{name}.crt")), plane.folder().join(format!("{name}.key")));
        fs::write(&certificate, identity.certificate).expect("the folder is writable");
        fs::write(&key, identity.key).expect("the folder is writable");
        write(name, |config| {
            config["users"][0]["user"] = json!({ "client-certificate": certificate, "client-key": key });
        })
    };
    let good = run(&with("client", plane.pki().client("ada", "system:masters")));
    assert!(good.stderr.contains("127.0.0.1:9"), "the cluster was asked, and then the metrics: {good}");
    let expired = with("expired", plane.pki().expired_client("ada", "system:masters"));
    assert_refused(&expired, 1, &["context test", "renew the token or certificate"]);
}

#[test]
fn an_exec_plugin_gives_credentials_or_is_named() {
    require!(ControlPlane);
    let with = |name: &str, script: &str| {
        let plugin = ControlPlane::shared().folder().join(format!("{name}.sh"));
        fs::write(&plugin, format!("#!/bin/sh\n{script}\n")).expect("the folder is writable");
        fs::set_permissions(&plugin, fs::Permissions::from_mode(0o755)).expect("a file of ours");
        exec(name, plugin.to_str().expect("a path of ours"))
    };
    let token = "admin-of-the-tests";
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": { "token": token },
    });
    let good = run(&with("plugin", &format!("echo '{credential}'")));
    assert!(good.stderr.contains("127.0.0.1:9"), "the cluster was asked, and then the metrics: {good}");

    assert_refused(
        &exec("plugin-missing", "no-such-plugin"),
        64,
        &["context test", "no-such-plugin", "is it installed"],
    );
    let failing = with("plugin-failing", "echo secret-of-the-plugin; echo 'please log in' >&2; exit 3");
    assert_refused(&failing, 64, &["context test", "please log in"]);
    assert!(!run(&failing).stderr.contains("secret-of-the-plugin"));
    assert_refused(&with("plugin-hanging", "sleep 60"), 64, &["context test", "did not end within 5.0 s"]);
}

fn exec(name: &str, command: &str) -> PathBuf {
    write(&format!("{name}.kubeconfig"), |config| {
        config["users"][0]["user"] = json!({ "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": command, "interactiveMode": "Never",
        } });
    })
}
