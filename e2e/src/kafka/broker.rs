//! The settings of brokers, and how to start them.

use std::fmt::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use crate::control_plane::{Identity, Pki};
use crate::require::{Program, path_of};
use crate::sandbox::{Sandbox, Server, free_port};

const START_LIMIT: Duration = Duration::from_secs(120);
/// Any number of 128 bits.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qg";

/// The listeners of a broker that ask who comes; that without any, which the consumers use, lets everybody see
/// everything.
#[derive(Debug)]
pub struct Doors {
    /// By TLS.
    pub tls: String,
    /// By TLS with a client certificate.
    pub mutual: String,
    /// By TLS with a sign-in by SASL: PLAIN as `reader` with [`Doors::PLAIN_PASSWORD`], SCRAM, OAUTHBEARER with a token
    /// that nobody signed.
    pub sasl: String,
    /// Through something that ends TLS and hands on to the broker, which names this address for itself. A test puts a
    /// `TlsProxy` there.
    pub proxied: String,
    /// Where that hands on to.
    pub behind_proxy: String,
    /// The certificate of the brokers.
    pub identity: Identity,
    /// Certificate and key of the authority's client `reader`, and the certificate of the authority.
    pub files: Files,
}

/// PEM files.
#[derive(Debug)]
pub struct Files {
    /// The certificate of the authority.
    pub ca: PathBuf,
    /// The certificate of the client `reader`.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Doors {
    /// The password of `reader` for PLAIN.
    pub const PLAIN_PASSWORD: &str = "plain-reader";

    /// Chooses ports, and writes keys and certificates.
    pub(super) fn new(sandbox: &Sandbox) -> Self {
        let pki = Pki::new();
        let door = || format!("localhost:{}", free_port());
        let (server, client) = (pki.server(), pki.client("reader", "readers"));
        sandbox.write("broker.pem", format!("{}{}", server.key, server.certificate));
        let files = Files {
            ca: sandbox.write("ca.pem", pki.ca()),
            cert: sandbox.write("reader.pem", client.certificate),
            key: sandbox.write("reader.key", client.key),
        };
        let (proxied, behind_proxy) = (door(), local());
        Self { tls: door(), mutual: door(), sasl: door(), proxied, behind_proxy, identity: server, files }
    }

    /// Where the broker listens, or the addresses that it names for itself.
    fn listeners(&self, proxied: &str) -> String {
        format!(",TLS://{},MUTUAL://{},SASL://{},PROXIED://{proxied}", self.tls, self.mutual, self.sasl)
    }

    fn settings(folder: &Path) -> String {
        let login = "org.apache.kafka.common.security";
        let mut text = format!(
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
             super.users=User:ANONYMOUS\n\
             ssl.principal.mapping.rules=RULE:^.*CN=([a-z]+).*$/$1/,DEFAULT\n\
             listener.name.mutual.ssl.client.auth=required\n\
             listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER\n\
             listener.name.sasl.plain.sasl.jaas.config={login}.plain.PlainLoginModule required user_reader=\"{}\";\n\
             listener.name.sasl.scram-sha-256.sasl.jaas.config={login}.scram.ScramLoginModule required;\n\
             listener.name.sasl.scram-sha-512.sasl.jaas.config={login}.scram.ScramLoginModule required;\n\
             listener.name.sasl.oauthbearer.sasl.jaas.config={login}.oauthbearer.OAuthBearerLoginModule required \
             unsecuredLoginStringClaim_sub=\"broker\";\n",
            Self::PLAIN_PASSWORD
        );
        let folder = folder.display();
        for listener in ["tls", "mutual", "sasl"] {
            write!(
                text,
                "listener.name.{listener}.ssl.keystore.type=PEM\n\
                 listener.name.{listener}.ssl.keystore.location={folder}/broker.pem\n\
                 listener.name.{listener}.ssl.truststore.type=PEM\n\
                 listener.name.{listener}.ssl.truststore.location={folder}/ca.pem\n"
            )
            .expect("a String takes every text");
        }
        text
    }
}

/// A broker, and its address without any sign-in.
#[derive(Debug)]
pub struct Broker {
    /// Host and port.
    pub address: String,
    /// The process.
    pub server: Server,
}

/// Starts a broker with these doors.
pub(super) fn start_one(sandbox: &Arc<Sandbox>, doors: &Doors) -> Broker {
    let (address, controllers) = (local(), [local()]);
    let settings = format!(
        "{}{}",
        settings(
            1,
            &address,
            &controllers,
            [doors.listeners(&doors.behind_proxy), doors.listeners(&doors.proxied)],
            sandbox.path()
        ),
        Doors::settings(sandbox.path())
    );
    let mut broker = start(sandbox, 1, address, &settings);
    broker.wait();
    broker
}

/// Starts so many brokers, each of which is a controller too.
pub(super) fn start_many(sandbox: &Arc<Sandbox>, count: usize) -> Vec<Broker> {
    let controllers: Vec<String> = (0..count).map(|_| local()).collect();
    let start = |id: usize| {
        let address = local();
        let settings = settings(id, &address, &controllers, [String::new(), String::new()], sandbox.path());
        start(sandbox, id, address, &settings)
    };
    let mut brokers: Vec<Broker> = (1..=controllers.len()).map(start).collect();
    brokers.iter_mut().for_each(Broker::wait);
    brokers
}

fn local() -> String {
    format!("127.0.0.1:{}", free_port())
}

fn start(sandbox: &Arc<Sandbox>, id: usize, address: String, settings: &str) -> Broker {
    let settings = sandbox.write(&format!("broker-{id}.properties"), settings);
    let mut format = java();
    format.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]).arg(&settings);
    let format = format.output().expect("java is a program");
    assert!(format.status.success(), "no storage for Kafka: {}", String::from_utf8_lossy(&format.stderr));
    let mut command = java();
    command.arg("kafka.Kafka").arg(&settings);
    let server = Server::start(sandbox, &format!("broker-{id}"), command);
    Broker { address, server }
}

impl Broker {
    fn wait(&mut self) {
        let address = self.address.clone();
        self.server.wait_ready(START_LIMIT, || TcpStream::connect(&address).is_ok());
    }
}

/// Java with the classes of Kafka and of the consumers.
pub(super) fn java() -> Command {
    let class = path_of(Program::Kafka, "Consumers.class");
    let folder = class.parent().expect("a file lies in a folder").display();
    let mut command = Command::new("java");
    command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    command.args(["-cp", &format!("{folder}:{folder}/lib/*")]);
    command
}

/// The settings of a node, whose number begins at one, of a cluster with these controllers. It listens at further
/// addresses, and names further ones for itself.
fn settings(
    id: usize,
    address: &str,
    controllers: &[String],
    [listened, named]: [String; 2],
    folder: &Path,
) -> String {
    let replicas = controllers.len();
    let voters: Vec<String> = controllers
        .iter()
        .zip(1..)
        .map(|(controller, id): (_, usize)| format!("{id}@{controller}"))
        .collect();
    let (voters, controller) = (voters.join(","), &controllers[id - 1]);
    let data = folder.join(format!("data-{id}"));
    let data = data.display();
    format!(
        "process.roles=broker,controller\n\
         node.id={id}\n\
         controller.quorum.voters={voters}\n\
         listeners=PLAINTEXT://{address}{listened},CONTROLLER://{controller}\n\
         advertised.listeners=PLAINTEXT://{address}{named}\n\
         listener.security.protocol.map=\
         PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT,TLS:SSL,MUTUAL:SSL,SASL:SASL_SSL\n\
         inter.broker.listener.name=PLAINTEXT\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={data}\n\
         offsets.topic.num.partitions=4\n\
         offsets.topic.replication.factor={replicas}\n\
         transaction.state.log.replication.factor={replicas}\n\
         transaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.replication.factor={replicas}\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=3000\n\
         group.consumer.heartbeat.interval.ms=1000\n\
         group.consumer.min.heartbeat.interval.ms=500\n"
    )
}
