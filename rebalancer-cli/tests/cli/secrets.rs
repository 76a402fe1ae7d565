//! A secret appears nowhere: not in output, logs, errors, reports, recordings, nor help.

use std::fs;
use std::path::Path;
use std::thread;

use rebalancer_core::Metric;
use rebalancer_sim::apiserver::{Effect, Fault};
use rebalancer_sim::metrics_server::recorded_answers;
use rebalancer_sim::receiver::Receiver;
use rebalancer_sim::transcript::Transcript;
use tempfile::TempDir;

use crate::program::{Done, root, run};
use crate::servers::Servers;

const SECRET: &str = "hunter2";

/// What each way of signing in sets, besides a file with the secret.
fn ways(file: &str) -> Vec<Vec<(&str, &str)>> {
    let common = [
        ("PROMETHEUS_HEADERS", "X-Api-Key: hunter2\nX-Scope-OrgID: hunter2-tenant"),
        ("PROMETHEUS_QUERY_PARAMS", "apikey=hunter2&dedup=true"),
        ("METRICS_USERNAME", "bob"),
        ("METRICS_PASSWORD", "hunter2-push"),
        ("LOG_LEVEL", "trace"),
    ];
    let credentials = [
        vec![("PROMETHEUS_BEARER_TOKEN", SECRET)],
        vec![("PROMETHEUS_BEARER_TOKEN_FILE", file)],
        vec![("PROMETHEUS_USERNAME", "ada"), ("PROMETHEUS_PASSWORD", SECRET)],
        vec![("PROMETHEUS_USERNAME", "ada"), ("PROMETHEUS_PASSWORD_FILE", file)],
        vec![
            ("PROMETHEUS_AUTH", "aws"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "hunter2-id"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2-key"),
            ("AWS_SESSION_TOKEN", "hunter2-session"),
        ],
    ];
    credentials.into_iter().map(|set| set.into_iter().chain(common).collect()).collect()
}

/// Tries each way of signing in with a folder of its own, all of them side by side.
fn for_each_way(attempt: impl Fn(&Path, &[(&str, &str)]) + Sync) {
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("secret");
    fs::write(&file, SECRET).expect("a file in a folder of ours");
    thread::scope(|scope| {
        for (number, env) in ways(file.to_str().expect("a path of ours")).into_iter().enumerate() {
            let (own, attempt) = (folder.path().join(number.to_string()), &attempt);
            fs::create_dir(&own).expect("a folder of ours");
            scope.spawn(move || attempt(&own, &env));
        }
    });
}

/// The secret, and what basic authentication makes of it.
#[track_caller]
fn assert_silent(done: &Done) {
    assert_without_secrets(&done.stdout);
    assert_without_secrets(&done.stderr);
}

#[track_caller]
fn assert_without_secrets(text: &str) {
    for word in [SECRET, "aHVudGVyMg", "YWRhOmh1bnRlcjI", "Ym9iOmh1bnRlcjI", "sim-token"] {
        let line = text.lines().find(|line| line.contains(word));
        assert_eq!(line, None, "{word}");
    }
}

#[test]
fn no_output_holds_a_secret() {
    for_each_way(|folder, env| {
        let path_of = |name: &str| folder.join(name).to_str().expect("a path of ours").to_owned();
        let (recording, page) = (path_of("run.jsonl"), path_of("run.html"));
        let files = [path_of("hidden.jsonl"), path_of("run.prom")];
        let servers = Servers::start();
        let (gateway, refusing) = (Receiver::answering(202, ""), Receiver::answering(401, "who are you?"));
        let both = format!("{},{}/api/v1/import/prometheus", gateway.url(), refusing.url());
        let env = [env, &[("METRICS_PUSH_URL", both.as_str())]].concat();
        for args in [
            &["record", &recording][..],
            &["record", "--redact", &files[0]],
            &["plan", "--metrics-textfile", &files[1]],
            &["run", "--dry-run", "--log-format=text"],
            &["replay", &recording],
            &["backtest", "--from=1h", "--every=30m"],
            &["config", "schema"],
            &["config", "-o", "json"],
            &["plan", "--record", &recording, "--report", &page, "-o", "wide"],
            &["run", "--yes", "-o", "yaml"],
            &["check"],
            &["config", "-o", "wide"],
            &["config"],
            &["run", "--help"],
            &["help", "plan"],
        ] {
            let done = servers.run(args, &env);
            assert_eq!(done.code, Some(0), "{args:?}: {done}");
            assert_silent(&done);
        }
        let asked = servers.metrics.requests();
        assert!(asked.len() >= 12, "{}", asked.len());
        for request in asked {
            assert!(request.header("authorization").is_some_and(|value| !value.is_empty()), "{request:?}");
            assert_eq!(request.header("x-api-key"), Some(SECRET));
            assert_eq!(request.parameter("apikey").as_deref(), Some(SECRET));
        }
        for push in gateway.requests().into_iter().chain(refusing.requests()) {
            assert_eq!(push.header("authorization"), Some("Basic Ym9iOmh1bnRlcjItcHVzaA=="));
            assert_without_secrets(&String::from_utf8_lossy(&push.body));
            assert_without_secrets(&push.target);
        }
        for file in files {
            let written = fs::read_to_string(file).expect("every file was written");
            assert_without_secrets(&written);
        }
        let kept = fs::read_to_string(&recording).expect("a recording");
        let shown = fs::read_to_string(&page).expect("a page");
        assert!(shown.contains("PROMETHEUS_HEADERS") && !shown.contains(SECRET), "{shown}");
        assert!(kept.contains("container_cpu_usage_seconds_total") && !kept.contains(SECRET), "{kept}");
    });
}

#[test]
fn no_error_holds_a_secret() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("secret");
    fs::write(&file, SECRET).expect("a file in a folder of ours");
    let errors = recorded_answers().into_iter().filter(|recorded| {
        recorded.file.starts_with("nginx/html")
            || recorded.file.contains("err_401")
            || recorded.file.ends_with("err_timeout_503.json")
    });
    let errors: Vec<Transcript> = errors.map(|recorded| recorded.answer).collect();
    assert!(errors.len() > 10, "{}", errors.len());
    let env = ways(file.to_str().expect("a path of ours"));
    for (number, answer) in errors.into_iter().enumerate() {
        let servers = Servers::start();
        servers.metrics.answer(Metric::Lag, answer);
        let done = servers.run(&["run", "--yes"], &env[number % env.len()]);
        assert_eq!(done.code, Some(1), "{done}");
        assert_silent(&done);
    }
}

/// What a careless metrics server repeats of a request.
const ECHO: &str =
    "X-Api-Key: hunter2, tenant hunter2-tenant, /api/v1/query?apikey=hunter2&dedup=true, no access with";

/// How a server that echoes may answer.
fn echoes(said: &str) -> Vec<Transcript> {
    let answer = |code: u16, content_type: &str, body: String| {
        let headers = [("content-type", content_type), ("location", "http://login/hunter2")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Transcript { code, headers, body: body.into_bytes() }
    };
    let api = format!(r#"{{"status":"error","errorType":"unauthorized","error":"{said}"}}"#);
    let kubernetes = format!(r#"{{"kind":"Status","status":"Failure","message":"{said}","code":401}}"#);
    [
        answer(401, "text/plain", said.to_owned()),
        answer(403, "application/json", api.clone()),
        answer(200, "application/json", api),
        answer(200, "text/html; token=hunter2", format!("<html><p>{said}</p></html>")),
        answer(401, "application/json", kubernetes),
        answer(302, "text/plain", said.to_owned()),
    ]
    .into_iter()
    .chain(successes(said).map(|body| answer(200, "application/json", body)))
    .collect()
}

/// Answers that call themselves a success, and repeat it where only a reader of the whole finds it.
fn successes(said: &str) -> impl Iterator<Item = String> {
    let long = "x".repeat(100);
    let vector = r#""resultType":"vector","result":[]"#;
    [
        format!(r#"{{"status":"success","warnings":["{said}"],"data":{{{vector}}}}}"#),
        format!(r#"{{"status":"success","warnings":["{long}{long}{said}"],"data":{{{vector}}}}}"#),
        format!(
            r#"{{"note":"{said}","long":"{long}","status":"error","errorType":"{said}","error":"{said}"}}"#
        ),
        format!(r#"{{"status":"success","data":{{"resultType":"{said}","result":[]}}}}"#),
        format!(r#"{{"status":"success","data":{{"note":"{said}" x}}}}"#),
        format!(r#"{{"status":"success","data":{{"resultType":"vector","result":"{said}"}}}}"#),
        format!(r#"{{"kind":"Status","status":"Failure","message":"{said}","code":200}}"#),
        format!(r#"{{"kind":"{said}","items":[]}}"#),
    ]
    .into_iter()
}

#[test]
fn a_metrics_server_that_echoes_a_secret_is_not_quoted_with_it() {
    for_each_way(|folder, env| {
        let recording = folder.join("run.jsonl");
        let path = recording.to_str().expect("a path of ours");
        let is_basic = env.iter().any(|(name, _)| *name == "PROMETHEUS_USERNAME");
        let credential = if is_basic { "Basic YWRhOmh1bnRlcjI= (ada:hunter2)" } else { "Bearer hunter2" };
        for echo in echoes(&format!("{ECHO} {credential}")) {
            let servers = Servers::start();
            servers.metrics.answer(Metric::Lag, echo);
            for args in [&["plan", "--record", path][..], &["record", path], &["check"], &["run", "--yes"]] {
                let done = servers.run(args, env);
                assert_silent(&done);
                assert_ne!(done.code, Some(64), "{args:?}: {done}");
                if let Ok(kept) = fs::read_to_string(&recording) {
                    assert_without_secrets(&kept);
                }
            }
            servers.assert_untouched();
        }
    });
}

#[test]
fn an_api_server_that_echoes_a_secret_is_not_quoted_with_it() {
    for echo in echoes("no user has the token sim-token") {
        let servers = Servers::start();
        servers.cluster.inject(Fault::on("GET", "/pods", Effect::Answer(echo)));
        for args in [&["plan"][..], &["check"], &["run", "--yes"]] {
            let done = servers.run(args, &[("LOG_LEVEL", "trace")]);
            assert_eq!(done.code, Some(1), "{args:?}: {done}");
            assert_silent(&done);
        }
        servers.assert_untouched();
    }
}

/// What a server says beside data that is whole is told, and recorded.
#[test]
fn a_remark_that_echoes_a_secret_is_told_without_it() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let recording = folder.path().join("run.jsonl");
    let path = recording.to_str().expect("a path of ours");
    let servers = Servers::start();
    let body = format!(
        r#"{{"status":"success","infos":["{ECHO} Bearer hunter2-hunter2"],"data":{{"resultType":"vector","result":[{{"metric":{{"pod":"hunter2-tenant-1"}},"value":[1795410000,"1"]}}]}}}}"#
    );
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    servers.metrics.answer(Metric::Rate, Transcript { code: 200, headers, body: body.into_bytes() });
    let env = [
        ("PROMETHEUS_BEARER_TOKEN", "hunter2-hunter2"),
        ("PROMETHEUS_HEADERS", "X-Api-Key: hunter2\nX-Scope-OrgID: hunter2-tenant"),
        ("LOG_LEVEL", "trace"),
    ];
    let done = servers.run(&["record", path], &env);
    assert_silent(&done);
    let kept = fs::read_to_string(&recording).expect("a recording");
    assert!(kept.contains("hunter2-tenant-1"), "a pod may be called as its tenant is: {kept}");
    assert_without_secrets(&kept.replace("hunter2-tenant-1", ""));
}

/// A token that an exec plugin hands out, or that a file holds, is known by the request alone.
#[test]
fn a_token_of_a_plugin_or_a_file_is_not_quoted_either() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let (config, token) = (folder.path().join("config"), folder.path().join("token"));
    fs::write(&token, "sim-token\n").expect("a file in a folder of ours");
    let credential = r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"sim-token"}}"#;
    let renewed = credential.replace("}}", r#","expirationTimestamp":"2099-01-01T00:00:00Z"}}"#);
    let plugin = |printed: &str| {
        let script = format!("echo '{printed}'").replace('"', "\\\"");
        format!(
            "exec: {{command: sh, args: [-c, \"{script}\"], apiVersion: client.authentication.k8s.io/v1}}"
        )
    };
    for user in [plugin(credential), plugin(&renewed), "tokenFile: token".to_owned()] {
        for echo in echoes("no user has the token sim-token") {
            let servers = Servers::start();
            let given = fs::read_to_string(servers.cluster.kubeconfig_path()).expect("a kubeconfig");
            assert!(given.contains("{token: sim-token}"), "{given}");
            let kubeconfig = given.replace("{token: sim-token}", &format!("{{{user}}}"));
            fs::write(&config, kubeconfig).expect("a file in a folder of ours");
            servers.cluster.inject(Fault::on("GET", "/pods", Effect::Answer(echo)));
            let env = [("KUBECONFIG", config.to_str().expect("a path of ours")), ("LOG_LEVEL", "trace")];
            let done = servers.run(&["plan"], &env);
            assert_eq!(done.code, Some(1), "{done}");
            assert_silent(&done);
        }
    }
}

#[test]
fn a_receiver_of_metrics_that_echoes_a_secret_is_not_quoted_with_it() {
    let servers = Servers::start();
    let gateway = Receiver::answering(401, "no access for Ym9iOmh1bnRlcjItcHVzaA== (bob:hunter2-push)");
    let url = gateway.url();
    let both = format!("{url},{url}/api/v1/import/prometheus");
    let env = [
        ("METRICS_PUSH_URL", both.as_str()),
        ("METRICS_USERNAME", "bob"),
        ("METRICS_PASSWORD", "hunter2-push"),
        ("LOG_LEVEL", "trace"),
    ];
    let done = servers.run(&["run", "--dry-run"], &env);
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(done.stderr.matches("HTTP 401: no access for ****").count(), 2, "the rest is told: {done}");
    assert_silent(&done);
}

#[test]
fn no_refused_setting_shows_a_secret() {
    let base = [
        ("KUBE_LABEL_SELECTOR", "app=orders"),
        ("KUBECONFIG", "testdata/kubeconfig.yaml"),
        ("LOG_LEVEL", "trace"),
    ];
    let endpoint = ("PROMETHEUS_ENDPOINT", "http://127.0.0.1:9");
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("key.pem");
    fs::write(&file, "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n")
        .expect("a file of ours");
    let key = file.to_str().expect("a path of ours");
    let cases: [&[(&str, &str)]; 11] = [
        &[endpoint, ("PROMETHEUS_CLIENT_KEY", key), ("PROMETHEUS_CLIENT_CERT", key)],
        &[endpoint, ("METRICS_PUSH_URL", "http://bob:hunter2@gateway:9091")],
        &[endpoint, ("METRICS_PUSH_URL", "http://vm:8428?authKey=hunter2")],
        &[
            endpoint,
            ("METRICS_USERNAME", "bob"),
            ("METRICS_PASSWORD", SECRET),
            ("METRICS_BEARER_TOKEN", SECRET),
        ],
        &[endpoint, ("METRICS_PASSWORD", SECRET), ("METRICS_PUSH_URL", "http://127.0.0.1:9")],
        &[("PROMETHEUS_ENDPOINT", "http://ada:hunter2@prometheus:9090")],
        &[("PROMETHEUS_ENDPOINT", "http://prometheus:9090?token=hunter2")],
        &[endpoint, ("PROMETHEUS_HEADERS", "hunter2")],
        &[endpoint, ("PROMETHEUS_HEADERS", "X-Api-Key: hunter2\u{7f}")],
        &[endpoint, ("PROMETHEUS_QUERY_PARAMS", "hunter2")],
        &[endpoint, ("PROMETHEUS_BEARER_TOKEN", SECRET), ("PROMETHEUS_PASSWORD", SECRET)],
    ];
    for case in cases {
        let env: Vec<(&str, &str)> = base.into_iter().chain(case.iter().copied()).collect();
        let done = run(&["run", "--yes"], &env);
        done.assert_one_error(64);
        assert_silent(&done);
        assert_silent(&run(&["config"], &env));
        assert_silent(&run(&["config", "-o", "json"], &env));
        assert_silent(&run(&["run", "--help"], &env));
    }
}

/// A token with a line break would smuggle a header.
#[test]
fn a_token_that_no_header_can_carry_is_refused_unseen() {
    let servers = Servers::start();
    let done = servers.run(&["plan"], &[("PROMETHEUS_BEARER_TOKEN", "hunter2\nX-Evil: 1")]);
    done.assert_one_error(1);
    assert_silent(&done);
    assert!(servers.metrics.requests().is_empty());
}

/// Addresses with a credential that are not the program's own settings: of the cluster, of a proxy.
#[test]
fn an_address_with_a_credential_is_not_repeated() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("kubeconfig");
    let kubeconfig = fs::read_to_string(root().join("testdata/kubeconfig.yaml")).expect("a kubeconfig");
    let with_secrets = kubeconfig
        .replace("http://127", "http://ada:hunter2@127")
        .replace("user: {}", "user: {token: hunter2}");
    assert!(with_secrets.contains("ada:hunter2@") && with_secrets.contains("token: hunter2"));
    fs::write(&file, with_secrets).expect("a file in a folder of ours");
    let kubeconfig = file.to_str().expect("a path of ours");
    let servers = Servers::start();
    for level in ["info", "trace"] {
        let env = [("KUBECONFIG", kubeconfig), ("LOG_LEVEL", level)];
        let done = servers.run(&["run", "--yes"], &env);
        assert_ne!(done.code, Some(0), "{done}");
        assert_silent(&done);
        let proxies = [
            ("HTTP_PROXY", "http://ada:hunter2@127.0.0.1:9"),
            ("HTTPS_PROXY", "http://ada:hunter2@127.0.0.1:9"),
            ("ALL_PROXY", "http://ada:hunter2@127.0.0.1:9"),
            ("LOG_LEVEL", level),
        ];
        for args in [&["run", "--yes"][..], &["check"], &["config"]] {
            assert_silent(&servers.run(args, &proxies));
        }
    }
}
