//! Ways to a cluster that end before its first answer: each is one clear error, in time.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rebalancer_core::FailureKind;
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
        (
            "current-context: a\ncontexts:\n- name: a\n  context: {cluster: x}\n",
            "the `cluster` of this context is not among the `clusters`",
        ),
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
fn an_exec_plugin_that_is_given_up_is_stopped() {
    let folder = tempfile::tempdir().expect("a folder");
    let late = folder.path().join("late");
    let slow = format!(
        "{{exec: {{apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, \
         args: [-c, \"sleep 2; touch {}\"]}}}}",
        late.display()
    );
    let (_folder, path) = kubeconfig(&with_user(&slow));
    let words = refused(&options(path)).to_string();
    assert!(words.contains("did not end within 1.0 s and was stopped"), "{words}");
    std::thread::sleep(Duration::from_secs(2));
    assert!(!late.exists(), "the plugin went on");
}

#[test]
fn an_exec_plugin_that_prints_without_end_is_refused() {
    let endless = "{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, \
                   args: [-c, \"yes s3cret-token | head -c 20000000\"]}}";
    let (_folder, path) = kubeconfig(&with_user(endless));
    let words = refused(&options(path)).to_string();
    assert!(words.contains("the exec plugin sh printed more than 1024 KiB"), "{words}");
    assert!(!words.contains("s3cret"), "{words}");
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
    let words = refused(&options(path.clone())).to_string();
    assert!(words.contains("`certificate-authority` names cannot be read: No such file"), "{words}");
    fs::write(Path::new(folder.path()).join("ca.pem"), "nonsense").expect("a file");
    let words = refused(&options(path)).to_string();
    assert!(words.contains("context sim") && words.contains("holds no PEM certificate"), "{words}");
}

/// Stands wherever a kubeconfig holds something that nobody else may read.
const SECRET: &str = "hunter2-hunter2-hunter2";

#[track_caller]
fn assert_silent(words: &str) {
    for part in [SECRET, "hunter2", "aHVudGVyMi"] {
        assert!(!words.contains(part), "{words}");
    }
}

/// A kubeconfig in blocks, one key a line.
fn in_blocks(user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: sim\nclusters:\n- name: sim\n  cluster:\n    \
         server: http://127.0.0.1:9\ncontexts:\n- name: sim\n  context:\n    cluster: sim\n    user: sim\n\
         users:\n- name: sim\n  user:\n{user}\n"
    )
}

#[test]
fn no_value_of_a_damaged_kubeconfig_is_quoted() {
    let data = "aHVudGVyMi1odW50ZXIyLWh1bnRlcjI=";
    let users = [
        (format!("    token: {SECRET}\n\tpassword: {SECRET}"), "line 16"),
        (format!("    token: {SECRET}\n    token: {SECRET}"), "line 17: a key stands there twice"),
        (format!("    token: [{SECRET}]"), "line 16: a value there is of the wrong type"),
        (format!("    token: {{a: {SECRET}}}"), "line 16"),
        (format!("    token: \"{SECRET}"), "line"),
        (format!("    token: {SECRET}: {SECRET}"), "line 16"),
        (format!("    {SECRET}"), "line"),
        (format!("    token: |\n      {SECRET}\n   {SECRET}: x"), "line"),
        (format!("    token: *{SECRET}"), "line 16"),
        (format!("    token: !!int {SECRET}"), "line 16"),
        (format!("    as-groups: {SECRET}"), "line 16: a value there is of the wrong type"),
        (format!("    exec: {SECRET}"), "line 16: "),
        (format!("    exec:\n      command: x\n      interactiveMode: {SECRET}"), "line 18"),
        (format!("    exec:\n      command: x\n      provideClusterInfo: {SECRET}"), "line 18: "),
        (format!("    client-key-data: {SECRET}!\n    client-certificate-data: {data}"), "not base64"),
        (format!("    client-key-data: {data}\n    client-certificate-data: {data}"), "holds no PEM"),
        (format!("    client-key-data: {data}"), "go together"),
        (format!("    client-certificate: {SECRET}\n    client-key: {SECRET}"), "`client-certificate` names"),
        (format!("    tokenFile: {SECRET}"), "the token file cannot be used"),
        (format!("    token: \"{SECRET}\\u0001\""), "characters that a header cannot carry"),
        (format!("    username: a\n    password: b\n    as: \"{SECRET}\\u0001\""), "a name to act as"),
        (format!("    auth-provider: {{name: {SECRET}}}"), "`auth-provider`"),
        (format!("    exec: {{command: \"{SECRET} x\", interactiveMode: Never}}"), "cannot be started"),
    ];
    for (user, expected) in users {
        let (_folder, path) = kubeconfig(&in_blocks(&user));
        let words = refused(&options(path)).to_string();
        assert_silent(&words);
        assert!(words.contains(expected), "{user}: {words}");
    }
    let good = in_blocks("    token: t");
    for (from, to, expected) in [
        ("http://127.0.0.1:9", SECRET, "`server` of its cluster is no address"),
        ("http://127.0.0.1:9", "http://ada:hunter2@", "`server`"),
        ("    server:", "    proxy-url: socks5://ada:hunter2@proxy\n    server:", "`proxy-url`"),
        ("    server:", "    tls-server-name: hunter2..\n    server:", "`tls-server-name`"),
        (
            "    server:",
            "    certificate-authority-data: hunter2-\n    server:",
            "`certificate-authority-data` is not",
        ),
        (
            "    server:",
            "    certificate-authority-data: LS0tLS1CRUdJTiBodW50ZXIyLS0tLS0KLS0tLS1FTkQgaHVudGVyMy0tLS0tCg==\n    server:",
            "holds no PEM certificate",
        ),
        (
            "    user: sim",
            "    user: sim\n    namespace: [hunter2]",
            "line 13: a value there is of the wrong type",
        ),
        ("    cluster: sim", "    cluster: hunter2", "is not among the `clusters`"),
    ] {
        assert!(good.contains(from), "{from}");
        let (_folder, path) = kubeconfig(&good.replace(from, to));
        let words = refused(&options(path)).to_string();
        assert_silent(&words);
        assert!(words.contains(expected), "{to}: {words}");
    }
}

#[test]
fn nothing_that_an_exec_plugin_prints_is_quoted() {
    let head = r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential""#;
    let status = |status: &str| format!(r#"{head},"status":{status}}}"#);
    let printed = [
        format!("token: {SECRET}\n\ttoken: {SECRET}"),
        format!(r#"{{"token":"{SECRET}""#),
        status(&format!(r#"["{SECRET}"]"#)),
        status(&format!(r#"{{"token":"{SECRET}","expirationTimestamp":"{SECRET}"}}"#)),
        status(&format!(r#"{{"token":["{SECRET}"]}}"#)),
        status(&format!(r#"{{"token":"{SECRET}\u0001"}}"#)),
        status(&format!(r#"{{"token":"{SECRET}\n{SECRET}"}}"#)),
        status(r#"{"clientCertificateData":"a certificate without its key"}"#),
        status(&format!(r#"{{"clientCertificateData":"{SECRET}","clientKeyData":"{SECRET}"}}"#)),
        format!(r#"{head},"note":"{SECRET}"}}"#),
        SECRET.to_owned(),
    ];
    for text in printed {
        let is_unsendable = text.contains("\\u0001") || text.contains("\\n");
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("printed"), &text).expect("a file");
        let file = folder.path().join("printed");
        let user =
            format!("    exec: {{command: cat, args: [\"{}\"], interactiveMode: Never}}", file.display());
        let (_folder, path) = kubeconfig(&in_blocks(&user));
        let words = refused(&options(path)).to_string();
        assert_silent(&words);
        assert!(words.starts_with("credentials of kubeconfig"), "{text}: {words}");
        assert_eq!(words.contains("characters that a header cannot carry"), is_unsendable, "{text}: {words}");
    }
    let script = format!("echo {SECRET}; echo no {SECRET} $PASS for {SECRET} >&2; exit 3");
    let user = format!(
        "    exec: {{command: sh, args: [-c, \"{script}\"], interactiveMode: Never, env: [{{name: PASS, value: pa55w0rd}}]}}"
    );
    let (_folder, path) = kubeconfig(&in_blocks(&user));
    let words = refused(&options(path)).to_string();
    assert_silent(&words);
    assert!(!words.contains("pa55w0rd") && words.contains("exit status: 3; no ***"), "{words}");
}

#[test]
fn files_that_do_not_fit_together_are_told_without_their_values() {
    let (_first, one) = kubeconfig("kind: Config\napiVersion: v1\n");
    let (_second, two) = kubeconfig(&format!("kind: {SECRET}\n"));
    // The variable is of the whole process, so it is a process of its own that is asked.
    let listed = std::env::join_paths([&one, &two]).expect("plain paths");
    let done = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "kubernetes::connect::connects_by_the_environment", "--nocapture"])
        .env("KUBECONFIG", listed)
        .env("KUBECONFIG_IS_REFUSED", "1")
        .output()
        .expect("this test runs");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(said.contains("is of another `kind`") && said.contains(&two.display().to_string()), "{said}");
    assert_silent(&said);
}

/// Asks for what the environment says, where the test above has set it.
#[test]
fn connects_by_the_environment() {
    if std::env::var_os("KUBECONFIG_IS_REFUSED").is_none() {
        return;
    }
    println!("{}", refused(&ConnectOptions::default()));
}

#[test]
fn a_kubeconfig_is_read_within_limits() {
    let (_folder, path) = kubeconfig(&format!("# {}\n", "x".repeat(9 << 20)));
    let words = refused(&options(path)).to_string();
    assert!(words.contains("is larger than 8 MiB"), "{words}");
}

#[test]
fn a_token_is_sent_without_the_white_space_around_it() {
    let server = ApiServer::start(Fleet::deployment("orders", 3));
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    fs::write(&token, "sim-token\n").expect("a file");
    for user in ["    tokenFile: token", "    token: |\n      sim-token"] {
        let text = in_blocks(user).replace("http://127.0.0.1:9", &server.url());
        let path = folder.path().join("config");
        fs::write(&path, text).expect("a file");
        list(&options(path)).expect("an answer");
        let asked = server.requests();
        let last = asked.last().expect("a request");
        assert_eq!(last.header("authorization"), Some("Bearer sim-token"), "{user}");
    }
}

#[test]
fn a_token_file_is_read_again_and_outlives_its_file() {
    let server = ApiServer::start(Fleet::deployment("orders", 3));
    let folder = tempfile::tempdir().expect("a folder");
    let (token, path) = (folder.path().join("token"), folder.path().join("config"));
    fs::write(&token, "first\n").expect("a file");
    fs::write(&path, in_blocks("    tokenFile: token").replace("http://127.0.0.1:9", &server.url()))
        .expect("a file");
    let cluster = Cluster::connect(&options(path)).expect("a usable kubeconfig");
    let mut observer = cluster.observer(Selector::new("app=orders").expect("a selector"));
    let mut sent = || {
        observer.workload().ok();
        server.requests().last().and_then(|request| request.header("authorization").map(str::to_owned))
    };
    assert_eq!(sent().as_deref(), Some("Bearer first"));
    fs::write(&token, " second \n").expect("a file");
    assert_eq!(sent().as_deref(), Some("Bearer second"));
    fs::remove_file(&token).expect("a file");
    assert_eq!(sent().as_deref(), Some("Bearer second"));
}

#[test]
fn what_to_do_about_a_plugin_that_is_not_there_is_its_own_hint() {
    let user = "    exec: {command: no-such-plugin, interactiveMode: IfAvailable, installHint: get it from the intranet}";
    let (_folder, path) = kubeconfig(&in_blocks(user));
    let words = refused(&options(path)).to_string();
    assert!(words.contains("no-such-plugin") && words.ends_with("get it from the intranet"), "{words}");
}
