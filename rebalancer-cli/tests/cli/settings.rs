//! Settings: a bad value of any is an error that names variable, value and fix; a flag wins over its
//! variable; an empty variable is unset.

use std::fmt::Write as _;

use crate::program::{Running, check, command, run};

/// What every live command needs, with servers that nobody listens on.
const LIVE: [(&str, &str); 3] = [
    ("PROMETHEUS_ENDPOINT", "http://127.0.0.1:9"),
    ("KUBE_LABEL_SELECTOR", "app=orders"),
    ("KUBECONFIG", "testdata/kubeconfig.yaml"),
];

const SNAPSHOT: &str = "testdata/snapshots/orders-12-prometheus";

/// Bad values of settings that every command has.
const OF_A_DECISION: [(&str, &str); 55] = [
    ("CPU_VARIANCE_THRESHOLD", "NaN"),
    ("CPU_VARIANCE_THRESHOLD", "-0.1"),
    ("CPU_VARIANCE_THRESHOLD", "0,3"),
    ("LAG_VARIANCE_THRESHOLD", "inf"),
    ("LAG_VARIANCE_THRESHOLD", "half"),
    ("MIN_PODS_REQUIRED", "1"),
    ("MIN_PODS_REQUIRED", "-3"),
    ("MIN_PODS_REQUIRED", "2.5"),
    ("MIN_COVERAGE", "2"),
    ("MIN_COVERAGE", "101%"),
    ("FLOORS", "cpu=-1"),
    ("FLOORS", "memory=64MiB"),
    ("FLOORS", "lag=NaN"),
    ("FLOORS", "rate=1e999"),
    ("FLOORS", "1000"),
    ("FLOORS", "lag=1,lag=2"),
    ("LAG_FLOOR", "NaN"),
    ("SCORE_WEIGHTS", "cpu"),
    ("SCORE_WEIGHTS", "nothing=1"),
    ("SCORE_WEIGHTS", "cpu=1,cpu=2"),
    ("SCORE_WEIGHTS", "cpu=-1"),
    ("SCORE_WEIGHTS", "cpu=NaN"),
    ("SCORE_WEIGHTS", "cpu=0,lag=0"),
    ("STRATEGY", "random"),
    ("GUARDS", "maybe"),
    ("WARMUP", "300"),
    ("WARMUP", "-5m"),
    ("MAX_SAMPLE_AGE", "0s"),
    ("MAX_SAMPLE_AGE", "180"),
    ("OUTPUT", "xml"),
    ("DETAILED_EXITCODE", "yess"),
    ("LOG_FORMAT", "xml"),
    ("LOG_LEVEL", "loud"),
    ("LOG_LEVEL", "info,loud"),
    ("LOG_LEVEL", "a=b=c"),
    ("CPU_VARIANCE_THRESHOLD", " "),
    ("COOLDOWN", "30"),
    ("FUTILITY_AGE", "three hours"),
    ("PERSISTENCE", "60"),
    ("PERSISTENCE", "window=60"),
    ("PERSISTENCE", "factor=NaN"),
    ("PERSISTENCE", "factor=-1"),
    ("PERSISTENCE", "percent=101%"),
    ("PERSISTENCE", "percent=most"),
    ("PERSISTENCE", "share=80%"),
    ("PERSISTENCE_WINDOW", "60"),
    ("PERSISTENCE_FACTOR", "-1"),
    ("PERSISTENCE_PERCENT", "most"),
    ("CHURN_BUDGET", "-10%"),
    ("CHURN_BUDGET", "some"),
    ("OUTLIER_TRIGGER", "0"),
    ("KAFKA_ASSIGNOR", "random"),
    ("CONSUMERS_PER_POD", "0"),
    ("CONSUMERS_PER_POD", "1.5"),
    ("STATIC_MEMBERSHIP", "maybe"),
];

/// Bad values of settings of the servers and of an eviction.
const OF_A_RUN: [(&str, &str); 43] = [
    ("DRY_RUN", "yess"),
    ("DRY_RUN", "2"),
    ("PACING", "fast"),
    ("EVICTION_METHOD", "kill"),
    ("CLAIM", "maybe"),
    ("GRACE_PERIOD", "30"),
    ("RUN_TIMEOUT", "90"),
    ("RUN_TIMEOUT", "0s"),
    ("KUBE_TIMEOUT", "soon"),
    ("KUBE_NAMESPACE", "Shop/.."),
    ("KUBE_CONTEXT", "nowhere"),
    ("KUBE_LABEL_SELECTOR", " , "),
    ("KUBE_LABEL_SELECTOR", "a=b=c"),
    ("ALLOW_MULTIPLE_CONTROLLERS", "perhaps"),
    ("ALLOWED_CONTROLLERS", "CloneSet"),
    ("ALLOWED_CONTROLLERS", "CloneSet.apps.kruise.io,Job.batch"),
    ("ALLOWED_CONTROLLERS", "CloneSet.v1alpha1.apps.kruise.io"),
    ("LOCAL_STORAGE", "perhaps"),
    ("PROMETHEUS_ENDPOINT", "prometheus:9090"),
    ("PROMETHEUS_ENDPOINT", "ftp://prometheus"),
    ("PROMETHEUS_ENDPOINT", "http://prometheus?token=1"),
    ("PROMETHEUS_TIMEOUT", "30"),
    ("PROMETHEUS_METHOD", "put"),
    ("PROMETHEUS_AUTH", "aws"),
    ("PROMETHEUS_AUTH", "alibaba"),
    ("PROMETHEUS_MAX_RESPONSE", "0"),
    ("PROMETHEUS_STRICT_PARAMS", "yess"),
    ("PROMETHEUS_INSECURE_SKIP_TLS_VERIFY", "2"),
    ("PROMETHEUS_QUERY_PARAMS", "dedup"),
    ("PROMETHEUS_MATCHERS", "cluster=eu-1"),
    ("PROMETHEUS_MATCHERS", "cluster=\"eu-1\"} or up{a=\"b\""),
    ("PROMETHEUS_CA_FILE", "absent.pem"),
    ("PROMETHEUS_CLIENT_CERT", "absent.pem"),
    ("PROMETHEUS_HEADERS", "X-Scope-OrgID"),
    ("PROMETHEUS_HEADERS", "X Scope: 1"),
    ("PROMETHEUS_USERNAME", "ada"),
    ("PROMETHEUS_PASSWORD", "secret"),
    ("METRICS_PRESET", "kafka"),
    ("METRICS_PRESET", "klag-ip"),
    ("QUERY_CPU", "sum(rate(cpu[{{windw}}]))"),
    ("QUERY_LAG", "lag{group=\"{{group}}\"}"),
    ("QUERY_RATE", "rate{container=\"{{container}}\"}"),
    ("WINDOW", "5"),
];

fn refusals(args: &[&str], base: &[(&str, &str)], bad: &[(&str, &str)]) -> String {
    let mut said = String::new();
    for &(variable, value) in bad {
        let env: Vec<(&str, &str)> =
            base.iter().copied().filter(|(known, _)| *known != variable).chain([(variable, value)]).collect();
        let done = run(args, &env);
        let message = done.assert_one_error(64);
        assert!(message.contains(variable), "{variable}={value}: {message}");
        assert_eq!(done.stdout, "", "{variable}={value}");
        writeln!(said, "{variable}={value}\n    {message}").expect("a String takes every write");
    }
    said
}

#[test]
fn every_bad_value_of_a_decision_is_refused() {
    insta::assert_snapshot!("of_a_decision", refusals(&["replay", SNAPSHOT], &[], &OF_A_DECISION));
}

#[test]
fn every_bad_value_of_a_run_is_refused() {
    insta::assert_snapshot!("of_a_run", refusals(&["run", "--yes"], &LIVE, &OF_A_RUN));
}

/// `config` fails where a run would, though it shows the settings first.
#[test]
fn config_refuses_what_a_run_refuses() {
    let webhook = [("WEBHOOK_URL", "http://127.0.0.1:1/a"), ("WEBHOOK_URL_FILE", "url")];
    let kafka = [("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"), ("KAFKA_USERNAME", "ada")];
    let one = OF_A_RUN
        .iter()
        .filter(|(variable, _)| variable.starts_with("METRICS_") || variable.starts_with("QUERY_"));
    for wrong in one.map(std::slice::from_ref).chain([&webhook[..], &kafka]) {
        let env = [&LIVE[..], wrong].concat();
        for args in [&["run", "--yes"][..], &["config"]] {
            let done = run(args, &env);
            assert_eq!(done.code, Some(64), "{wrong:?}: {done}");
        }
    }
    assert_eq!(run(&["config"], &LIVE).code, Some(0));
}

#[test]
fn credentials_that_contradict_each_other_are_refused() {
    let bearer = ("PROMETHEUS_BEARER_TOKEN", "t0ken");
    let basic = [("PROMETHEUS_USERNAME", "ada"), ("PROMETHEUS_PASSWORD", "pass")];
    let cases: [Vec<(&str, &str)>; 5] = [
        vec![bearer, ("PROMETHEUS_BEARER_TOKEN_FILE", "token")],
        vec![bearer, basic[0], basic[1]],
        vec![basic[0], basic[1], ("PROMETHEUS_PASSWORD_FILE", "password")],
        vec![bearer, basic[1]],
        vec![bearer, ("PROMETHEUS_AUTH", "azure")],
    ];
    let mut said = String::new();
    for case in cases {
        let env: Vec<(&str, &str)> = LIVE.into_iter().chain(case).collect();
        writeln!(said, "{}", run(&["plan"], &env).assert_one_error(64)).expect("a String takes every write");
    }
    insta::assert_snapshot!(said);
}

#[test]
fn what_is_required_is_asked_for() {
    let (absent, _) = LIVE[1];
    let set = LIVE.into_iter().filter(|(variable, _)| *variable != absent);
    let unset: Vec<(&str, &str)> = set.clone().collect();
    let empty: Vec<(&str, &str)> = set.chain([(absent, "")]).collect();
    for command in ["run", "plan", "check", "config", "record"] {
        let args = match command {
            "run" => vec!["run", "--yes"],
            "record" => vec!["record", "/nowhere/run.jsonl"],
            command => vec![command, "-o", "none"],
        };
        for env in [&unset, &empty] {
            let done = run(&args, env);
            let message = done.assert_one_error(64);
            assert!(message.starts_with(&format!("error: {absent} is not set: ")), "{message}");
        }
    }
}

#[test]
fn an_empty_selector_means_no_pod_and_not_every_pod() {
    for selector in ["--selector=", "--selector= ", "--selector=,"] {
        let done = run(&["run", "--yes", selector], &LIVE);
        assert!(done.assert_one_error(64).contains("selector"), "{done}");
    }
}

#[test]
fn without_a_cluster_the_way_to_one_is_told() {
    let env = [LIVE[0], LIVE[1]];
    let done = run(&["plan"], &env);
    assert!(done.assert_one_error(64).contains("--kubeconfig"), "{done}");
    let done = run(&["plan", "--kubeconfig", "/nowhere/config"], &env);
    assert!(done.assert_one_error(64).contains("/nowhere/config"), "{done}");
}

#[test]
fn empty_is_unset() {
    let settings = [
        "CPU_VARIANCE_THRESHOLD",
        "LAG_VARIANCE_THRESHOLD",
        "MIN_PODS_REQUIRED",
        "MIN_COVERAGE",
        "FLOORS",
        "LAG_FLOOR",
        "SCORE_WEIGHTS",
        "STRATEGY",
        "GUARDS",
        "WARMUP",
        "COOLDOWN",
        "FUTILITY_AGE",
        "PERSISTENCE",
        "PERSISTENCE_WINDOW",
        "CHURN_BUDGET",
        "OUTLIER_TRIGGER",
        "KAFKA_ASSIGNOR",
        "CONSUMERS_PER_POD",
        "STATIC_MEMBERSHIP",
        "MAX_SAMPLE_AGE",
        "OUTPUT",
        "DETAILED_EXITCODE",
        "LOG_FORMAT",
        "LOG_LEVEL",
        "POD_LABEL",
    ];
    let env = settings.map(|variable| (variable, ""));
    assert_eq!(check(&["replay", SNAPSHOT], &env), check(&["replay", SNAPSHOT], &[]));
}

#[test]
fn a_flag_wins_over_its_variable() {
    let cpu = |args: &[&str], env: &[(&str, &str)]| {
        let args: Vec<&str> =
            ["replay", SNAPSHOT, "-o", "json"].into_iter().chain(args.iter().copied()).collect();
        run(&args, env).json()["thresholds"]["cpu"].clone()
    };
    let env = [("CPU_VARIANCE_THRESHOLD", "0.7")];
    assert_eq!(cpu(&[], &[]), 0.3);
    assert_eq!(cpu(&[], &env), 0.7);
    assert_eq!(cpu(&["--cpu-variance-threshold", "90%"], &env), 0.9);
    // The flag is the one that is named then.
    let done = run(&["replay", SNAPSHOT, "--cpu-variance-threshold=NaN"], &env);
    assert!(done.assert_one_error(64).contains("--cpu-variance-threshold is \"NaN\""), "{done}");
}

#[test]
fn config_shows_where_each_value_comes_from() {
    let env: Vec<(&str, &str)> =
        LIVE.into_iter().chain([("CPU_VARIANCE_THRESHOLD", "0.7"), ("WARMUP", "")]).collect();
    let done = run(&["config", "-o", "json", "--min-pods", "4"], &env);
    assert_eq!(done.code, Some(0), "{done}");
    let rows = done.json();
    let row = |variable: &str| {
        let rows = rows.as_array().expect("a list").iter();
        let row =
            rows.clone().find(|row| row["variable"] == variable).unwrap_or_else(|| panic!("{variable}"));
        (row["value"].as_str().map(str::to_owned), row["source"].as_str().map(str::to_owned))
    };
    let expected = |value: &str, source: &str| (Some(value.to_owned()), Some(source.to_owned()));
    assert_eq!(row("CPU_VARIANCE_THRESHOLD"), expected("0.7", "environment"));
    assert_eq!(row("MIN_PODS_REQUIRED"), expected("4", "flag"));
    assert_eq!(row("WARMUP"), expected("5m", "default"));
    assert_eq!(row("KAFKA_GROUP"), (None, Some("unset".to_owned())));
}

/// Settings that became parts of others are still read, as those parts, and a warning says what to set.
#[test]
fn earlier_names_are_read_with_a_warning() {
    let shown = |env: &[(&str, &str)], args: &[&str]| {
        let args: Vec<&str> = ["config", "-o", "json"].into_iter().chain(args.iter().copied()).collect();
        let done = run(&args, &[&LIVE[..], env].concat());
        assert_eq!(done.code, Some(0), "{done}");
        let value = |name: &str| {
            let rows = done.json();
            let rows = rows.as_array().expect("a list");
            assert!(rows.iter().all(|row| row["variable"] != "LAG_FLOOR"), "{done}");
            rows.iter().find(|row| row["variable"] == name).expect(name)["value"].as_str().map(str::to_owned)
        };
        (value("FLOORS"), value("PERSISTENCE"), done.stderr.clone())
    };
    let (floors, persistence, said) =
        shown(&[("LAG_FLOOR", "2M"), ("PERSISTENCE_PERCENT", "off")], &["--cpu-floor", "1"]);
    assert_eq!(floors.as_deref(), Some("cpu=1,lag=2M"));
    assert_eq!(persistence.as_deref(), Some("percent=off"));
    for told in [
        "LAG_FLOOR is an earlier name: set FLOORS=lag=VALUE instead",
        "PERSISTENCE_PERCENT is an earlier name: set PERSISTENCE=percent=VALUE instead",
        "--cpu-floor is an earlier name: set FLOORS=cpu=VALUE instead",
    ] {
        assert_eq!(said.matches(told).count(), 1, "{told}: {said}");
    }
    let both = run(&["config"], &[("LAG_FLOOR", "2M"), ("FLOORS", "cpu=1")]);
    assert!(both.assert_one_error(64).contains("LAG_FLOOR is now a part of FLOORS"), "{both}");
    let decided = |env: &[(&str, &str)]| run(&["replay", SNAPSHOT, "-o", "json"], env).json();
    assert_eq!(decided(&[("LAG_FLOOR", "2M")]), decided(&[("FLOORS", "lag=2M")]));
    assert_eq!(decided(&[("LAG_FLOOR", "2M")])["thresholds"]["score_floors"]["lag"], 2e6);
}

#[test]
fn what_is_typed_wrong_is_a_usage_error() {
    for args in [&[][..], &["frobnicate"], &["plan", "--frobnicate"], &["replay"], &["replay", "a", "b"]] {
        let done = run(args, &[]);
        assert_eq!(done.code, Some(64), "{done}");
        assert_eq!(done.stdout, "", "{done}");
        assert!(!done.stderr.is_empty());
    }
}

#[test]
fn help_and_version_are_no_errors() {
    for args in [&["--help"][..], &["-V"], &["help", "run"], &["replay", "--help"]] {
        let done = run(args, &[]);
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done}");
        assert!(!done.stdout.is_empty());
    }
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf_8_is_named() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    for variable in ["CPU_VARIANCE_THRESHOLD", "PROMETHEUS_BEARER_TOKEN"] {
        let mut plan = command(&["plan"], &LIVE);
        let done = Running::start(plan.env(variable, OsStr::from_bytes(b"0.\xff"))).wait();
        assert_eq!(done.assert_one_error(64), format!("error: {variable} is not UTF-8"));
    }
}

/// What was typed is not blamed on a variable, also where the short flag was typed.
#[test]
fn a_wrong_value_of_a_short_flag_names_the_flag() {
    for typed in [&["-o", "xml"][..], &["-oxml"], &["--output", "xml"], &["--output=xml"]] {
        let done = run(&[&["plan"][..], typed].concat(), &[]);
        assert!(done.assert_one_error(64).contains("--output is \"xml\""), "{typed:?}: {done}");
    }
    assert!(run(&["plan"], &[("OUTPUT", "xml")]).assert_one_error(64).contains("OUTPUT is \"xml\""));
}
