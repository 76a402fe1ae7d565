//! What is sent, and what becomes of servers that are slow, gone, wrong or too generous.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use rebalancer_io::metrics::{MetricQuery, MetricsSource as _};
use rebalancer_io::prometheus::{
    Auth, Endpoint, ErrorKind, Method, PrometheusClient, PrometheusConfig, QueryError, SecretSource,
    SecretString, TimeRange, TransportError,
};

use super::stub::{ONE_POD, Piece, Stub, json, reply};

fn at() -> Timestamp {
    Timestamp::from_millisecond(1_795_410_000_619).expect("a time")
}

fn ask(client: &PrometheusClient) -> Result<usize, QueryError> {
    client.instant(&MetricQuery::new("cpu", "up{a=\"b c\"}"), at()).map(|answer| answer.len())
}

fn kind(config: &PrometheusConfig) -> ErrorKind {
    *ask(&PrometheusClient::new(config).expect("a client")).expect_err("an error").kind
}

#[test]
fn a_query_is_a_form_with_the_pinned_time() {
    let stub = Stub::start(|_| json(ONE_POD));
    assert_eq!(ask(&stub.client()), Ok(1));
    let request = stub.request();
    assert_eq!(request.line, "POST /api/v1/query HTTP/1.1\r\n");
    assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(request.header("accept-encoding"), Some("gzip"));
    assert_eq!(
        request.body,
        "query=up%7Ba%3D%22b%20c%22%7D&time=1795410000.619&timeout=30000ms&partial_response=false&deny_partial_response=1&nocache=1"
    );
}

#[test]
fn a_range_query_and_its_settings_can_go_by_get() {
    let empty = r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#;
    let stub = Stub::start(|_| json(empty));
    let mut config = stub.config();
    config.method = Method::Get;
    config.refuse_partial = false;
    config.timeout = Duration::from_millis(2500);
    config.extra_params = vec![("extra_label".into(), SecretString::from("cluster=a b"))];
    let client = PrometheusClient::new(&config).expect("a client");
    let query = MetricQuery::new("cpu", "up");
    let end = Timestamp::from_second(1_795_410_000).expect("a time");
    let start = Timestamp::from_second(1_795_406_400).expect("a time");
    client.range(&query, TimeRange { start, end, step: Duration::from_secs(60) }).expect("an answer");
    let path = "/api/v1/query_range?query=up&start=1795406400&end=1795410000&step=60";
    let request = stub.request();
    assert!(request.line.starts_with(&format!("GET {path}&")), "{}", request.line);
    assert!(request.line.contains("&timeout=2500ms"), "{}", request.line);
    assert!(!request.line.contains("partial"), "{}", request.line);
    assert!(
        request.line.contains("&extra_label=cluster") && !request.line.contains("a b"),
        "{}",
        request.line
    );
}

#[test]
fn credentials_and_headers_are_sent_and_never_shown() {
    let stub = Stub::start(|_| reply("403 Forbidden", &[], b"no"));
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    let mut config = stub.config();
    config.headers = vec!["X-Scope-OrgID: tenant-hunter2".parse().expect("a header")];
    config.auth = Auth::Bearer(SecretSource::File(token.clone()));
    let client = PrometheusClient::new(&config).expect("a client");
    for secret in ["hunter2-first", "hunter2-second"] {
        fs::write(&token, format!("{secret}\n")).expect("a token");
        let error = ask(&client).expect_err("forbidden");
        let request = stub.request();
        assert_eq!(request.header("authorization"), Some(format!("Bearer {secret}").as_str()), "read again");
        assert_eq!(request.header("x-scope-orgid"), Some("tenant-hunter2"));
        assert!(!format!("{error} {error:?} {config:?}").contains("hunter2"));
    }
    fs::remove_file(&token).expect("it is there");
    let error = ask(&client).expect_err("no token");
    assert!(matches!(*error.kind, ErrorKind::Transport(TransportError::Credentials { .. })), "{error}");
    fs::write(&token, "hunter2\nx").expect("a token");
    let error = ask(&client).expect_err("a token of two lines");
    assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");

    let password = SecretSource::Value(SecretString::from("pa:ss"));
    config.auth = Auth::Basic { username: "prom".into(), password };
    ask(&PrometheusClient::new(&config).expect("a client")).expect_err("forbidden");
    assert_eq!(stub.request().header("authorization"), Some("Basic cHJvbTpwYTpzcw=="));
}

/// A tenant may be named as a pod or an alert is.
#[test]
fn labels_are_read_as_they_are_and_told_without_what_was_sent() {
    let body = r#"{"status":"success","data":{"resultType":"vector","result":[
        {"metric":{"alertname":"orders-late","job":"a"},"value":[1795410000,"1"]},
        {"metric":{"alertname":"Watchdog"},"value":[1795410000,"1"]}]}}"#;
    let stub = Stub::start(move |_| json(body));
    let mut config = stub.config();
    config.headers = vec!["X-Scope-OrgID: orders".parse().expect("a header")];
    let client = PrometheusClient::new(&config).expect("a client");
    let samples = client.raw(&MetricQuery::new("alerts", "ALERTS"), at()).expect("an answer");
    let [late, other] = &samples[..] else { panic!("{samples:?}") };
    assert_eq!((&*late.labels["alertname"], &*late.told()["alertname"]), ("orders-late", "******-late"));
    assert_eq!((&other.masked, other.told()), (&None, &other.labels));
}

#[test]
fn a_redirect_is_reported_and_not_followed() {
    let headers = [("Location", "https://sso.example/login?token=hunter2")];
    let stub = Stub::start(move |_| reply("302 Found", &headers, b""));
    let error = ask(&stub.client()).expect_err("a redirect");
    let expected = ErrorKind::Redirect { status: 302, location: "https://sso.example/login".into() };
    assert_eq!(*error.kind, expected);
}

#[test]
fn a_server_that_is_slow_times_out_in_every_phase() {
    let wait = || Piece::Wait(Duration::from_secs(20));
    let part = || Piece::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"status\":".to_vec());
    for stub in [Stub::start(move |_| vec![wait()]), Stub::start(move |_| vec![part(), wait()])] {
        let mut config = stub.config();
        config.timeout = Duration::from_millis(100);
        let start = Instant::now();
        assert_eq!(kind(&config), ErrorKind::Transport(TransportError::Timeout(Duration::from_millis(100))));
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let endpoint = Endpoint::parse(&format!("http://127.0.0.1:{port}")).expect("an address");
    let error =
        ask(&PrometheusClient::new(&PrometheusConfig::new(endpoint)).expect("a client")).expect_err("nobody");
    assert!(matches!(*error.kind, ErrorKind::Transport(TransportError::Connect(_))), "{error:?}");
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");

    let endpoint = Endpoint::parse("http://no-such-host.invalid").expect("an address");
    assert_eq!(kind(&PrometheusConfig::new(endpoint)), ErrorKind::Transport(TransportError::HostNotFound));
}

#[test]
fn connections_that_break_are_told_from_answers_that_break() {
    let closed = Stub::start(|_| Vec::new());
    assert_eq!(kind(&closed.config()), ErrorKind::Transport(TransportError::Closed));
    let head = Stub::start(|_| vec![Piece::Bytes(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec())]);
    assert!(matches!(kind(&head.config()), ErrorKind::Transport(_)));
    let other = Stub::start(|_| vec![Piece::Bytes(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec())]);
    assert!(matches!(kind(&other.config()), ErrorKind::Transport(TransportError::Other(_))));
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"sta\r\n";
    let chunks = Stub::start(move |_| vec![Piece::Bytes(chunked.to_vec())]);
    assert_eq!(kind(&chunks.config()), ErrorKind::Truncated { bytes: 5 });
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory accepts every write")
}

#[test]
fn compressed_answers_are_read_and_damaged_ones_refused() {
    let headers = [("Content-Encoding", "gzip")];
    let whole = gzip(ONE_POD.as_bytes());
    let cut = whole[..whole.len() / 2].to_vec();
    let mut damaged = whole.clone();
    damaged[20] ^= 0xff;
    let good = Stub::start(move |_| reply("200 OK", &headers, &whole));
    assert_eq!(ask(&good.client()), Ok(1));
    let cut = Stub::start(move |_| reply("200 OK", &headers, &cut));
    assert!(matches!(kind(&cut.config()), ErrorKind::Truncated { .. }), "{:?}", kind(&cut.config()));
    let damaged = Stub::start(move |_| reply("200 OK", &headers, &damaged));
    assert!(ask(&damaged.client()).is_err());
    let plain = Stub::start(move |_| reply("200 OK", &headers, ONE_POD.as_bytes()));
    assert!(
        matches!(kind(&plain.config()), ErrorKind::Transport(TransportError::Decompress(_))),
        "{:?}",
        kind(&plain.config())
    );
}

#[test]
fn the_size_limit_holds_for_decompressed_bytes() {
    let bomb = gzip(&[ONE_POD.as_bytes(), &vec![b' '; 32 << 20]].concat());
    assert!(bomb.len() < 100_000);
    let stub = Stub::start(move |_| reply("200 OK", &[("Content-Encoding", "gzip")], &bomb));
    let mut config = stub.config();
    config.max_response_bytes = 1 << 20;
    assert_eq!(kind(&config), ErrorKind::TooLarge { max_bytes: 1 << 20 });

    let stub = Stub::start(|_| {
        let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"status\":\"".to_vec();
        vec![Piece::Bytes(head), Piece::Endless(vec![b'a'; 1 << 16])]
    });
    config.endpoint = stub.config().endpoint;
    assert_eq!(kind(&config), ErrorKind::TooLarge { max_bytes: 1 << 20 });
}

#[test]
fn an_endless_error_page_is_cut() {
    let stub = Stub::start(|_| {
        let head = b"HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n<title>Oops</title>".to_vec();
        vec![Piece::Bytes(head), Piece::Endless(vec![b'a'; 1 << 16])]
    });
    assert_eq!(kind(&stub.config()), ErrorKind::Http { status: 502, words: "Oops".into() });
}

#[test]
fn a_failed_request_is_not_sent_again() {
    let stub = Stub::start(|_| reply("503 Service Unavailable", &[("Retry-After", "0")], b""));
    ask(&stub.client()).expect_err("unavailable");
    stub.request();
    assert!(stub.is_quiet(), "one request is all that was sent");
}

/// What the message of a refused query ends in.
fn advice(status: &'static str, content_type: &'static str, body: &'static str) -> String {
    let stub = Stub::start(move |_| reply(status, &[("Content-Type", content_type)], body.as_bytes()));
    ask(&stub.client()).expect_err("a refusal").to_string()
}

/// Google's managed Prometheus, and servers that say it in the words of the API.
#[test]
fn a_server_that_refuses_unknown_parameters_is_met_with_the_setting_that_leaves_them_out() {
    let google = r#"{"error": {"code": 400, "message": "Invalid JSON payload received. Unknown name \"partial_response\": Cannot bind query parameter.", "status": "INVALID_ARGUMENT"}}"#;
    let api = r#"{"status":"error","errorType":"bad_data","error":"unknown parameter \"nocache\""}"#;
    for (status, body) in
        [("400 Bad Request", google), ("400 Bad Request", api), ("422 Unprocessable Entity", api)]
    {
        let said = advice(status, "application/json", body);
        assert!(said.contains("set PROMETHEUS_STRICT_PARAMS=false"), "{said}");
    }
    let bad = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
    let said = advice("400 Bad Request", "application/json", bad);
    assert!(said.ends_with("correct the query"), "{said}");
}

/// The tenancy port of `OpenShift`, and proxies that let only GET through.
#[test]
fn a_server_that_refuses_post_is_met_with_the_setting_for_get() {
    let api = r#"{"status":"error","errorType":"forbidden","error":"verb=create"}"#;
    for (status, content_type, body) in [
        ("400 Bad Request", "text/plain", "Bad Request. The request or configuration is malformed."),
        ("403 Forbidden", "text/plain", "Forbidden (verb=create)"),
        ("403 Forbidden", "application/json", api),
        ("405 Method Not Allowed", "text/plain", "Method Not Allowed"),
        ("501 Not Implemented", "text/html", "<title>Not Implemented</title>"),
    ] {
        let said = advice(status, content_type, body);
        assert!(said.contains("PROMETHEUS_METHOD=get"), "{said}");
    }
    let said = advice("404 Not Found", "text/plain", "404 page not found");
    assert!(!said.contains("PROMETHEUS_METHOD"), "{said}");
}

#[test]
fn thanos_is_known_by_its_list_of_stores_and_nobody_else_is() {
    let stores = r#"{"status":"success","data":{"sidecar":[{"name":"a:10901","lastError":null}]}}"#;
    let answers: [(&str, &str, bool); 5] = [
        ("200 OK", stores, true),
        ("404 Not Found", "404 page not found", false),
        ("200 OK", "<html>a web page for every path</html>", false),
        ("200 OK", r#"{"status":"success","data":[]}"#, false),
        ("403 Forbidden", stores, false),
    ];
    for (status, body, expected) in answers {
        let stub = Stub::start(move |_| reply(status, &[], body.as_bytes()));
        assert_eq!(stub.client().is_thanos(), expected, "{status} {body}");
        assert_eq!(stub.request().line, "GET /api/v1/stores HTTP/1.1\r\n");
    }
    assert!(!Stub::start(|_| Vec::new()).client().is_thanos());
}
