//! Ways to a cluster that end before its first answer: each is one clear error, in time.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rebalancer_core::FailureKind;
use rebalancer_io::driver::WorkloadSource;
use rebalancer_io::kubernetes::{Cluster, ClusterError, ConnectError, ConnectOptions, Selector};
use rebalancer_sim::apiserver::{ApiServer, Effect, Fault, Fleet, write_kubeconfig};
use tempfile::TempDir;

fn options(kubeconfig: PathBuf) -> ConnectOptions {
    ConnectOptions {
        kubeconfig: Some(kubeconfig),
        call_timeout: Duration::from_secs(1),
        ..ConnectOptions::default()
    }
}

fn list(options: &ConnectOptions) -> Result<usize, ClusterError> {
    let cluster = Cluster::connect(options).expect("a usable kubeconfig");
    let workload = cluster.observer(Selector::new("app=orders").expect("a selector")).workload()?;
    Ok(workload.pods.len())
}

#[track_caller]
fn refused(options: &ConnectOptions) -> ConnectError {
    match Cluster::connect(options) {
        Ok(_) => panic!("connected"),
        Err(error) => error,
    }
}

/// A kubeconfig of this text in a folder of its own.
fn kubeconfig(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config");
    fs::write(&path, text).expect("a file");
    (folder, path)
}

fn with_user(user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: sim\n\
         clusters:\n- name: sim\n  cluster: {{server: \"http://127.0.0.1:9\"}}\n\
         users:\n- name: sim\n  user: {user}\n\
         contexts:\n- name: sim\n  context: {{cluster: sim, user: sim, namespace: shop}}\n"
    )
}

#[test]
fn an_unusable_kubeconfig_is_named_with_its_context_and_what_is_wrong() {
    let missing = PathBuf::from("/nonexistent/config");
    let error = refused(&options(missing));
    assert_eq!(
        error.to_string(),
        "kubeconfig /nonexistent/config: cannot be read: No such file or directory (os error 2)"
    );

    for (text, expected) in [
        ("clusters: [", "is not valid YAML of a kubeconfig"),
        ("clusters: 3\n", "is not valid YAML of a kubeconfig"),
        ("apiVersion: v1\nkind: Config\n", "sets no current-context"),
        ("current-context: prod\n", "there is no such context"),
        ("current-context: a\ncontexts:\n- name: a\n  context: {cluster: x}\n", "cluster of context: x"),
    ] {
        let (_folder, path) = kubeconfig(text);
        let words = refused(&options(path.clone())).to_string();
        assert!(words.starts_with(&format!("kubeconfig {}", path.display())), "{words}");
        assert!(words.contains(expected), "{words}");
    }

    let (_folder, path) = kubeconfig(&with_user("{token: t}"));
    let unknown = ConnectOptions { context: Some("prod".to_owned()), ..options(path) };
    let words = refused(&unknown).to_string();
    assert!(words.contains("context prod: there is no such context"), "{words}");
}

#[test]
fn credentials_that_cannot_be_had_are_an_error_without_their_secrets() {
    let failing = "{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, \
                   args: [-c, \"echo s3cret-token; echo login has expired >&2; exit 3\"]}}";
    let (_folder, path) = kubeconfig(&with_user(failing));
    let words = refused(&options(path.clone())).to_string();
    assert!(words.contains("context sim") && words.contains(&path.display().to_string()), "{words}");
    assert!(words.contains("exit status: 3; login has expired"), "{words}");
    assert!(!words.contains("s3cret"), "{words}");

    for user in [
        "{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: /nonexistent/plugin}}",
        "{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: echo, args: [nonsense]}}",
        "{client-certificate: /nonexistent/cert.pem, client-key: /nonexistent/key.pem}",
        "{client-certificate-data: bm9uc2Vuc2U=, client-key-data: bm9uc2Vuc2U=}",
    ] {
        let (_folder, path) = kubeconfig(&with_user(user));
        let words = refused(&options(path)).to_string();
        assert!(words.starts_with("credentials of kubeconfig"), "{user}: {words}");
    }
}

#[test]
fn an_exec_plugin_that_hangs_is_given_up_in_time() {
    let hanging = "{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, \
                   command: sleep, args: [\"20\"]}}";
    let (_folder, path) = kubeconfig(&with_user(hanging));
    let begun = Instant::now();
    let words = refused(&options(path)).to_string();
    assert!(words.contains("the exec plugin sleep did not end within 1.0 s"), "{words}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[test]
fn options_that_contradict_themselves_are_refused() {
    let (_folder, path) = kubeconfig(&with_user("{token: t}"));
    for namespace in ["a/b", "../kube-system", "Shop", ""] {
        let wrong = ConnectOptions { namespace: Some(namespace.to_owned()), ..options(path.clone()) };
        assert!(matches!(refused(&wrong), ConnectError::Namespace(_)), "{namespace}");
    }
    let groups = ConnectOptions { impersonate_groups: vec!["ops".to_owned()], ..options(path) };
    assert!(matches!(refused(&groups), ConnectError::GroupsWithoutUser));
}

#[test]
fn a_context_without_a_namespace_means_default() {
    for namespace in ["namespace: \"\"", "extensions: []"] {
        let (_folder, path) = kubeconfig(&with_user("{token: t}").replace("namespace: shop", namespace));
        let cluster = Cluster::connect(&options(path)).expect("a usable kubeconfig");
        assert_eq!(cluster.namespace(), "default", "{namespace}");
        assert_eq!(cluster.requests(), 0, "connecting asks nothing");
    }
}

#[test]
fn namespace_and_impersonation_reach_the_server() {
    let server = ApiServer::start(Fleet::deployment("orders", 3));
    let acting = ConnectOptions {
        namespace: Some("carts".to_owned()),
        impersonate_user: Some("ada".to_owned()),
        impersonate_groups: vec!["ops".to_owned()],
        ..options(server.kubeconfig_path())
    };
    assert_eq!(list(&acting).expect("an empty list"), 0, "a namespace without pods");
    let request = &server.requests()[0];
    assert_eq!(request.path(), "/api/v1/namespaces/carts/pods");
    assert_eq!(request.header("impersonate-user"), Some("ada"));
    assert_eq!(request.header("impersonate-group"), Some("ops"));
}

#[test]
fn a_server_that_is_not_there_is_unreachable() {
    let (_folder, path) = kubeconfig(&with_user("{token: t}"));
    let error = list(&options(path)).expect_err("nothing listens there");
    assert_eq!(error.failure.kind, FailureKind::Unreachable, "{error}");
    let words = error.to_string();
    assert!(words.contains("http://127.0.0.1:9") && words.contains("refused"), "{words}");
    assert_eq!(words.to_lowercase().matches("refused").count(), 1, "said once: {words}");
}

#[test]
fn tls_that_fails_is_unreachable_and_says_why() {
    let server = ApiServer::start(Fleet::deployment("orders", 3));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config");
    write_kubeconfig(&path, &server.url().replace("http:", "https:"), "shop");
    let error = list(&options(path)).expect_err("no TLS there");
    assert!(
        matches!(error.failure.kind, FailureKind::Unreachable | FailureKind::NoAnswer),
        "{:?}: {error}",
        error.failure.kind
    );
}

#[test]
fn a_server_that_never_answers_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config");
    let address = listener.local_addr().expect("an address");
    write_kubeconfig(&path, &format!("http://{address}"), "shop");
    let begun = Instant::now();
    let error = list(&options(path)).expect_err("silence");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(error.failure.kind, FailureKind::NoAnswer, "{error}");
}

#[test]
fn a_deadline_cuts_a_call_short() {
    let server = ApiServer::start(Fleet::deployment("orders", 3));
    server.inject(Fault::on("GET", "/pods", Effect::Stall(Duration::from_secs(20))));
    let hurried = ConnectOptions {
        call_timeout: Duration::from_secs(60),
        deadline: Some(Instant::now()),
        ..options(server.kubeconfig_path())
    };
    let begun = Instant::now();
    let error = list(&hurried).expect_err("too slow");
    assert_eq!(error.failure.kind, FailureKind::NoAnswer, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn a_connection_that_breaks_and_a_server_that_goes_away_are_told() {
    let server = ApiServer::start(Fleet::deployment("orders", 3));
    for effect in [Effect::Hangup, Effect::Truncate] {
        server.inject(Fault::on("GET", "/pods", effect).times(1));
        let error = list(&options(server.kubeconfig_path())).expect_err("broken");
        assert_eq!(error.failure.kind, FailureKind::NoAnswer, "{error}");
    }
    assert_eq!(server.requests().len(), 2, "neither was asked again");

    let cluster = Cluster::connect(&options(server.kubeconfig_path())).expect("a cluster");
    let mut observer = cluster.observer(Selector::new("app=orders").expect("a selector"));
    observer.workload().expect("it is still there");
    server.stop();
    let error = observer.workload().expect_err("gone");
    assert!(
        matches!(error.failure.kind, FailureKind::Unreachable | FailureKind::NoAnswer),
        "{:?}: {error}",
        error.failure.kind
    );
}

#[test]
fn an_expired_token_is_unauthorized() {
    let server = ApiServer::start(Fleet::deployment("orders", 3));
    assert_eq!(list(&options(server.kubeconfig_path())).expect("a list"), 3);
    server.expire_token();
    let error = list(&options(server.kubeconfig_path())).expect_err("expired");
    assert_eq!(error.failure.kind, FailureKind::Unauthorized, "{error}");
    assert!(error.to_string().contains("renew the token"), "{error}");
}

#[test]
fn a_certificate_authority_that_is_no_certificate_is_an_error() {
    let text = with_user("{token: t}").replace(
        "cluster: {server: \"http://127.0.0.1:9\"}",
        "cluster: {server: \"https://127.0.0.1:9\", certificate-authority: ca.pem}",
    );
    let (folder, path) = kubeconfig(&text);
    assert!(refused(&options(path.clone())).to_string().contains("ca.pem"), "the missing file is named");
    fs::write(Path::new(folder.path()).join("ca.pem"), "nonsense").expect("a file");
    let words = match Cluster::connect(&options(path.clone())) {
        Ok(_) => list(&options(path)).expect_err("nothing is trusted").to_string(),
        Err(error) => error.to_string(),
    };
    assert!(words.contains("context sim"), "{words}");
}
