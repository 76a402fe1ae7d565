//! Who may ask: TLS, client certificates, SASL and ACLs.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use e2e::{Doors, Finished, Kafka, Sandbox, TlsProxy, require};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::stage::{Group, Scene};

const USER: &str = "reader";
const SCRAM_PASSWORD: &str = "scram-reader-secret";

/// A group, and who may see it.
struct Guarded {
    group: Group<'static>,
    doors: &'static Doors,
    name: &'static str,
}

impl Guarded {
    fn begin(name: &'static str, assignor: &'static str) -> Self {
        let group = Group::begin(Scene { name, assignor, ..Scene::JAVA });
        Self { group, doors: Kafka::shared().doors(), name }
    }

    /// Lets the user describe the group and its topic, or no longer.
    fn grant(&self, kind: &str, may: bool) {
        Kafka::shared().may_describe(USER, (kind, self.name), may);
    }

    /// `plan` through a door.
    fn plan(&self, door: &str, env: &[(&str, &str)]) -> Finished {
        let always = [("KAFKA_BOOTSTRAP_SERVERS", door), ("KAFKA_WATCH", "2s")];
        self.group.program(&["plan"], &[&always, env].concat())
    }

    /// `plan` by TLS with the authority of the brokers.
    fn plan_by_tls(&self, door: &str, env: &[(&str, &str)]) -> Finished {
        let tls =
            [("KAFKA_TLS", "true"), ("KAFKA_CA_FILE", self.doors.files.ca.to_str().expect("a path of ours"))];
        self.plan(door, &[&tls, env].concat())
    }

    fn sign_in(&self, mechanism: &str, password: &str) -> Finished {
        let env =
            [("KAFKA_SASL_MECHANISM", mechanism), ("KAFKA_USERNAME", USER), ("KAFKA_PASSWORD", password)];
        self.plan_by_tls(&self.doors.sasl, &env)
    }
}

#[track_caller]
fn assert_seen(run: &Finished) {
    assert_eq!(run.code, Some(0), "{run}");
    assert_eq!(run.json()["outcome"], "balanced", "{run}");
}

#[track_caller]
fn assert_refused(run: &Finished, words: &[&str]) {
    assert_eq!(run.code, Some(1), "{run}");
    for words in words {
        assert!(run.stderr.contains(words), "not said: {words}\n{run}");
    }
}

#[test]
fn brokers_are_believed_and_clients_known_by_their_certificates() {
    require!(ControlPlane, Kafka);
    let guarded = Guarded::begin("by-certificate", "uniform");
    let doors = guarded.doors;
    assert_seen(&guarded.plan_by_tls(&doors.tls, &[]));
    // With an address, which has no name to send.
    assert_seen(&guarded.plan_by_tls(&doors.tls.replace("localhost", "127.0.0.1"), &[]));
    assert_refused(&guarded.plan(&doors.tls, &[("KAFKA_TLS", "true")]), &["TLS: ", "KAFKA_CA_FILE"]);
    assert_refused(&guarded.plan(&doors.tls, &[]), &["KAFKA_TLS"]);
    let plaintext = &Kafka::shared().addresses()[0];
    assert_refused(&guarded.plan_by_tls(plaintext, &[]), &["TLS"]);

    assert_refused(&guarded.plan_by_tls(&doors.mutual, &[]), &["TLS: ", "KAFKA_CLIENT_CERT"]);
    let [cert, key] =
        [&doors.files.cert, &doors.files.key].map(|path| path.to_str().expect("a path of ours"));
    let certified =
        || guarded.plan_by_tls(&doors.mutual, &[("KAFKA_CLIENT_CERT", cert), ("KAFKA_CLIENT_KEY", key)]);
    assert_refused(&certified(), &["GROUP_AUTHORIZATION_FAILED"]);
    guarded.grant("group", true);
    guarded.grant("topic", true);
    assert_seen(&certified());
    guarded.group.end();
}

#[test]
fn a_user_signs_in_by_every_mechanism() {
    require!(ControlPlane, Kafka);
    let guarded = Guarded::begin("by-password", "range");
    guarded.grant("group", true);
    guarded.grant("topic", true);
    Kafka::shared().user(USER, SCRAM_PASSWORD);
    for (mechanism, password) in [
        ("plain", Doors::PLAIN_PASSWORD),
        ("scram-sha-256", SCRAM_PASSWORD),
        ("scram-sha-512", SCRAM_PASSWORD),
    ] {
        assert_seen(&guarded.sign_in(mechanism, password));
        let wrong = guarded.sign_in(mechanism, "not-the-password");
        let name = format!("signing in by {}", mechanism.to_uppercase());
        assert_refused(&wrong, &[&name, "SASL_AUTHENTICATION_FAILED (58)", "KAFKA_PASSWORD"]);
        assert!(!wrong.stderr.contains("not-the-password"), "{wrong}");
    }
    let none = guarded.plan_by_tls(&guarded.doors.sasl, &[]);
    assert_refused(&none, &["KAFKA_SASL_MECHANISM"]);
    let unasked = [("KAFKA_SASL_MECHANISM", "plain"), ("KAFKA_USERNAME", USER), ("KAFKA_PASSWORD", "x")];
    let unasked = guarded.plan(&Kafka::shared().addresses()[0], &unasked);
    assert_refused(&unasked, &["unset KAFKA_SASL_MECHANISM"]);
    guarded.group.end();
}

/// A token for the user that nobody signed, which the broker's default validator takes.
fn token(lasts_s: i64) -> String {
    let now = Timestamp::now().as_second();
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({ "sub": USER, "iat": now - 600, "exp": now + lasts_s });
    format!("{}.{}.", part(&json!({ "alg": "none" })), part(&claims))
}

#[test]
fn a_user_signs_in_by_the_token_that_the_file_holds_now() {
    require!(ControlPlane, Kafka);
    let guarded = Guarded::begin("by-token", "roundrobin");
    guarded.grant("group", true);
    guarded.grant("topic", true);
    let sandbox = Sandbox::new();
    let plan = |token: &str| {
        let file = sandbox.write("token", token);
        let file = file.to_str().expect("a path of ours");
        let env = [("KAFKA_SASL_MECHANISM", "oauthbearer"), ("KAFKA_TOKEN_FILE", file)];
        guarded.plan_by_tls(&guarded.doors.sasl, &env)
    };
    let expired = token(-300);
    let refused = plan(&expired);
    assert_refused(&refused, &["signing in by OAUTHBEARER failed", "KAFKA_TOKEN_FILE"]);
    assert!(!refused.stderr.contains(&expired), "{refused}");
    assert_seen(&plan(&token(300)));
    guarded.group.end();
}

/// As a load balancer does that knows the broker by its name.
#[test]
fn the_name_of_the_broker_is_sent_to_what_ends_tls_before_it() {
    require!(ControlPlane, Kafka);
    let guarded = Guarded::begin("by-name", "sticky");
    let doors = guarded.doors;
    let proxy = TlsProxy::start(&doors.proxied, &doors.behind_proxy, &doors.identity);
    assert_seen(&guarded.plan_by_tls(&doors.proxied, &[]));
    assert_eq!(proxy.names().into_iter().collect::<Vec<String>>(), ["localhost"]);
    guarded.group.end();
}

#[test]
fn a_right_that_lacks_is_named() {
    require!(ControlPlane, Kafka);
    for (name, assignor) in [("rights-classic", "cooperative-sticky"), ("rights-of-brokers", "uniform")] {
        let guarded = Guarded::begin(name, assignor);
        let plan = || guarded.sign_in("plain", Doors::PLAIN_PASSWORD);
        assert_refused(&plan(), &[&format!("group {name}"), "GROUP_AUTHORIZATION_FAILED (30)", "Describe"]);
        guarded.grant("group", true);
        assert_refused(&plan(), &["TOPIC_AUTHORIZATION_FAILED (29)", "Describe", "topic"]);
        if assignor != "uniform" {
            assert_refused(&plan(), &[&format!("topic {name}")]);
        }
        guarded.grant("topic", true);
        assert_seen(&plan());
        guarded.grant("group", false);
        assert_refused(&plan(), &["GROUP_AUTHORIZATION_FAILED (30)"]);
        guarded.group.assert_nothing_evicted();
        guarded.group.end();
    }
}
