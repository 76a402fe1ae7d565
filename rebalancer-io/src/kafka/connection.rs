//! A connection to one broker: requests and answers one after the other, with limits of time and size.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::Timestamp;
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use secrecy::{ExposeSecret as _, SecretString};

use super::config::{BrokerAddress, Sasl};
use super::error::{KafkaError, KafkaErrorKind, accepted, quoted};
use super::messages::{Api, ApiVersions, Request, SaslAuthenticate, SaslHandshake};
use super::msk_iam;
use super::sasl::{oauth_bearer, plain, scram};
use super::wire::{MAX_ANSWER_BYTES, Reader, Writer};
use crate::secrets::Secrets;

/// Time limit of connecting, and of each answer. A broker answers each of these requests from memory.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Longest time for which a stop goes unnoticed.
const STOP_POLL: Duration = Duration::from_millis(100);

/// When to stop waiting.
#[derive(Debug, Clone)]
pub struct Patience {
    /// The end of the run, if it has one.
    pub deadline: Option<Instant>,
    /// Ends all waiting once it is true.
    pub stop: Arc<AtomicBool>,
}

impl Patience {
    /// Whether waiting is over.
    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }
}

/// A connection to one broker.
pub(super) struct Connection {
    stream: Stream,
    broker: BrokerAddress,
    /// The smallest and the largest version that the broker understands, by request.
    versions: BTreeMap<i16, (i16, i16)>,
    correlation: i32,
    /// Why the broker may close the connection instead of answering the next request.
    closes: &'static str,
}

enum Stream {
    Plain(Patient),
    Tls(Box<StreamOwned<ClientConnection, Patient>>),
}

/// A socket that waits to read and to write until the answer's time is over or a stop is asked for.
struct Patient {
    socket: TcpStream,
    patience: Patience,
    until: Instant,
}

impl Patient {
    /// # Errors
    /// The time is over; the error is of this module's kind.
    fn go_on(&self) -> io::Result<()> {
        if self.patience.is_over() {
            return Err(io::Error::other(KafkaErrorKind::Stopped));
        }
        if self.until <= Instant::now() {
            return Err(io::Error::other(KafkaErrorKind::Timeout(ANSWER_LIMIT)));
        }
        Ok(())
    }
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // Also while bytes arrive: a server may send them one by one.
            self.go_on()?;
            match self.socket.read(buffer) {
                Err(error) if is_pause(&error) => {}
                read => return read,
            }
        }
    }
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            self.go_on()?;
            match self.socket.write(bytes) {
                Err(error) if is_pause(&error) => {}
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// Whether the socket only had nothing to give or to take for [`STOP_POLL`].
fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

impl Connection {
    /// Connects, and signs in.
    pub(super) fn open(
        address: &BrokerAddress,
        tls: Option<&Arc<ClientConfig>>,
        sasl: Option<&Sasl>,
        patience: &Patience,
    ) -> Result<Self, KafkaError> {
        let open = || {
            let socket = connect(address, patience)?;
            let stream = Stream::new(socket, address, tls, patience)?;
            let versions = BTreeMap::new();
            let mut connection =
                Self { stream, broker: address.clone(), versions, correlation: 0, closes: "" };
            connection.ask_versions()?;
            match sasl {
                Some(sasl) => connection.sign_in(sasl, &address.host)?,
                None => connection.closes = "does its listener ask for a sign-in (KAFKA_SASL_MECHANISM)?",
            }
            Ok(connection)
        };
        open().map_err(|kind: KafkaErrorKind| kind.at(address))
    }

    pub(super) const fn broker(&self) -> &BrokerAddress {
        &self.broker
    }

    /// Whether the broker has this request.
    pub(super) fn has(&self, api: Api) -> bool {
        self.version(api).is_some()
    }

    fn version(&self, api: Api) -> Option<i16> {
        let (least, most) = self.versions.get(&api.key)?;
        api.versions.iter().copied().find(|version| (least..=most).contains(&version))
    }

    /// Sends a request and reads its answer.
    pub(super) fn ask<R: Request>(&mut self, request: &R) -> Result<R::Answer, KafkaErrorKind> {
        let unsupported = || unsupported(R::API, self.versions.get(&R::API.key).copied());
        let version = self.version(R::API).ok_or_else(unsupported)?;
        let answer = self.exchange(request, version, self.closes)?;
        self.closes = "";
        Ok(answer)
    }

    fn ask_versions(&mut self) -> Result<(), KafkaErrorKind> {
        let hint = match self.stream {
            Stream::Plain(_) => "is this Kafka, and does its listener ask for KAFKA_TLS?",
            Stream::Tls(_) => {
                "is this Kafka, and does its listener ask for a certificate (KAFKA_CLIENT_CERT)?"
            }
        };
        let (code, versions) = self.exchange(&ApiVersions, ApiVersions::API.versions[0], hint)?;
        accepted(code, "its versions", None)?;
        self.versions = versions.into_iter().map(|[key, least, most]| (key, (least, most))).collect();
        Ok(())
    }

    fn exchange<R: Request>(
        &mut self,
        request: &R,
        version: i16,
        closed: &'static str,
    ) -> Result<R::Answer, KafkaErrorKind> {
        self.correlation = self.correlation.wrapping_add(1);
        let frame = frame(request, version, self.correlation);
        let answer = self.stream.exchange(&frame).map_err(|error| KafkaErrorKind::of(error, closed))?;
        let mut from = Reader::new(&answer, R::API.is_flexible);
        if from.i32()? != self.correlation {
            return Err(KafkaErrorKind::OtherAnswer);
        }
        from.skip_tags()?;
        Ok(R::read(&mut from, version)?)
    }

    fn sign_in(&mut self, sasl: &Sasl, host: &str) -> Result<(), KafkaErrorKind> {
        let mechanism = sasl.mechanism();
        let failed = |reason: String| KafkaErrorKind::SignIn { mechanism, reason };
        let (code, mechanisms) = self.ask(&SaslHandshake(mechanism))?;
        let said = format!("the broker has {}", quoted(&mechanisms.join(", ")));
        accepted(code, mechanism, Some(&said))?;
        match sasl {
            Sasl::Plain { username, password } => {
                let password = password.read()?;
                let message = plain(username, password.expose_secret());
                self.step(mechanism, &message, &password).map(drop)
            }
            Sasl::OauthBearer { token } => {
                let token = token.read()?;
                let said = self.step(mechanism, &oauth_bearer(token.expose_secret()), &token)?;
                // What a server says here is why it refuses.
                let refused =
                    || failed(format!("{}: is KAFKA_TOKEN_FILE right?", quoted(&masked(&said, &token))));
                if said.is_empty() { Ok(()) } else { Err(refused()) }
            }
            Sasl::AwsMskIam(credentials) => {
                let told = "the host name tells no AWS region: set AWS_REGION, such as eu-west-1";
                let region = credentials.region(host).ok_or_else(|| failed(told.to_owned()))?;
                let credential = credentials.load().map_err(|error| failed(error.to_string()))?;
                let message = msk_iam::message(&credential, host, &region, Timestamp::now());
                let token = SecretString::from(credential.session_token.unwrap_or_default());
                self.step(mechanism, &message, &token).map(drop)
            }
            Sasl::Scram { hash, username, password } => {
                let password = password.read()?;
                let nonce = nonce().ok_or_else(|| failed("the system has no randomness".to_owned()))?;
                let step = |message: &str| {
                    let said = self.step(mechanism, message.as_bytes(), &password)?;
                    Ok(String::from_utf8_lossy(&said).into_owned())
                };
                let who = [username.as_str(), password.expose_secret(), nonce.as_str()];
                scram(*hash, who, step, |reason| failed(reason.to_owned()))
            }
        }
    }

    /// One message of signing in, and the answer to it.
    fn step(
        &mut self,
        mechanism: &'static str,
        message: &[u8],
        password: &SecretString,
    ) -> Result<Vec<u8>, KafkaErrorKind> {
        let (code, said, answer) = self.ask(&SaslAuthenticate(message))?;
        let said = masked(said.unwrap_or_default().as_bytes(), password);
        accepted(code, format_args!("signing in by {mechanism}"), Some(&said))?;
        Ok(answer)
    }
}

fn unsupported(api: Api, versions: Option<(i16, i16)>) -> KafkaErrorKind {
    let request = api.name;
    KafkaErrorKind::Unsupported(match versions {
        Some((least, most)) => {
            let known = api.versions.iter().map(i16::to_string).collect::<Vec<String>>().join(" or ");
            format!(
                "it has {request} in the versions {least} to {most}, and this program understands {known}"
            )
        }
        None => format!("it has no {request} that this program understands: Kafka 2.1 or newer is needed"),
    })
}

fn masked(said: &[u8], password: &SecretString) -> String {
    let mut secrets = Secrets::default();
    secrets.add(password.expose_secret());
    secrets.masked(&String::from_utf8_lossy(said))
}

/// A random text.
fn nonce() -> Option<String> {
    let mut bytes = [0; 24];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(STANDARD_NO_PAD.encode(bytes))
}

/// Connects in a thread of its own, because nothing else ends the wait for a name server.
fn connect(address: &BrokerAddress, patience: &Patience) -> Result<TcpStream, KafkaErrorKind> {
    let failed = |error: io::Error| KafkaErrorKind::Connect(error.to_string());
    let (found, answer) = mpsc::channel();
    let (host, port) = (address.host.clone(), address.port);
    let thread = thread::Builder::new().name("kafka-connect".to_owned());
    let connecting = move || drop(found.send(connected(&host, port)));
    thread.spawn(connecting).map_err(failed)?;
    let until = Instant::now() + ANSWER_LIMIT;
    loop {
        if patience.is_over() {
            return Err(KafkaErrorKind::Stopped);
        }
        match answer.recv_timeout(STOP_POLL) {
            Ok(connected) => return connected.map_err(failed),
            Err(RecvTimeoutError::Timeout) if Instant::now() < until => {}
            Err(_) => return Err(KafkaErrorKind::Timeout(ANSWER_LIMIT)),
        }
    }
}

/// A connection to the first of the host's addresses that takes one.
fn connected(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the host name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, ANSWER_LIMIT) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// A request with its header and its length.
fn frame<R: Request>(request: &R, version: i16, correlation: i32) -> Vec<u8> {
    let mut body = Writer::default();
    body.i16(R::API.key);
    body.i16(version);
    body.i32(correlation);
    body.string("pod-rebalancer");
    body.is_compact = R::API.is_flexible;
    body.no_tags();
    request.write(&mut body, version);
    let mut frame = Writer::default();
    frame.bytes(&body.into_bytes());
    frame.into_bytes()
}

impl Stream {
    fn new(
        socket: TcpStream,
        address: &BrokerAddress,
        tls: Option<&Arc<ClientConfig>>,
        patience: &Patience,
    ) -> Result<Self, KafkaErrorKind> {
        let broken = |error: io::Error| KafkaErrorKind::Broken(error.to_string());
        socket.set_nodelay(true).map_err(broken)?;
        socket.set_read_timeout(Some(STOP_POLL)).map_err(broken)?;
        socket.set_write_timeout(Some(STOP_POLL)).map_err(broken)?;
        let until = Instant::now() + ANSWER_LIMIT;
        let mut patient = Patient { socket, patience: patience.clone(), until };
        let Some(config) = tls else { return Ok(Self::Plain(patient)) };
        let name = ServerName::try_from(address.host.clone())
            .map_err(|_| KafkaErrorKind::Tls("the host is no name that a certificate can have".to_owned()))?;
        let mut session = ClientConnection::new(Arc::clone(config), name)
            .map_err(|error| KafkaErrorKind::Tls(error.to_string()))?;
        while session.is_handshaking() {
            let done = session.complete_io(&mut patient);
            done.map_err(|error| KafkaErrorKind::of(error, "is this a listener with TLS?"))?;
        }
        Ok(Self::Tls(Box::new(StreamOwned::new(session, patient))))
    }

    fn exchange(&mut self, frame: &[u8]) -> io::Result<Vec<u8>> {
        let until = Instant::now() + ANSWER_LIMIT;
        match self {
            Self::Plain(stream) => {
                stream.until = until;
                exchange(stream, frame)
            }
            Self::Tls(stream) => {
                stream.sock.until = until;
                exchange(stream, frame)
            }
        }
    }
}

fn exchange(stream: &mut (impl Read + Write), frame: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(frame)?;
    stream.flush()?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > MAX_ANSWER_BYTES {
        return Err(io::Error::other(KafkaErrorKind::TooLarge(length)));
    }
    let mut answer: Vec<u8> = Vec::new();
    // Grows with what arrives.
    let read = stream.take(length.into()).read_to_end(&mut answer)?;
    if read < length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_broker_that_takes_nothing_is_not_waited_for_beyond_the_end_of_the_run() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let socket = TcpStream::connect(address).expect("it listens");
        let (unread, _) = listener.accept().expect("a connection");
        let begun = Instant::now();
        let deadline = begun.checked_add(Duration::from_millis(500));
        let patience = Patience { deadline, stop: Arc::default() };
        let address = BrokerAddress { host: "127.0.0.1".to_owned(), port: address.port() };
        let mut stream = Stream::new(socket, &address, None, &patience).expect("a socket");
        // More than the buffers of both sides take.
        let answer = stream.exchange(&vec![0; 64 << 20]);
        let failed = KafkaErrorKind::of(answer.expect_err("nobody reads"), "");
        assert!(matches!(failed, KafkaErrorKind::Stopped), "{failed}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        drop(unread);
    }
}
