//! A loopback HTTP server that keeps what it is asked and answers what a test says.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rebalancer_io::prometheus::{Endpoint, PrometheusClient, PrometheusConfig};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `POST /api/v1/query HTTP/1.1`.
    pub line: String,
    /// Headers in lower case, values as sent.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A piece of an answer.
pub enum Piece {
    Bytes(Vec<u8>),
    Wait(Duration),
    /// The same bytes until the client has enough.
    Endless(Vec<u8>),
}

/// The server; it lives as long as the process.
pub struct Stub {
    pub address: String,
    requests: Mutex<Receiver<Request>>,
}

impl Stub {
    pub fn start(answer: impl Fn(&Request) -> Vec<Piece> + Send + Sync + 'static) -> Self {
        Self::with_tls(None, answer)
    }

    pub fn with_tls(
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&Request) -> Vec<Piece> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let address = format!("{scheme}://{}", listener.local_addr().expect("an address"));
        let (sender, requests) = channel();
        let answer = Arc::new(answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, sender, tls) = (Arc::clone(&answer), sender.clone(), tls.clone());
                thread::spawn(move || {
                    let served = match tls {
                        None => serve(stream, &*answer, |request| drop(sender.send(request))),
                        Some(config) => {
                            let connection = ServerConnection::new(config).expect("a TLS server");
                            serve(StreamOwned::new(connection, stream), &*answer, |request| {
                                drop(sender.send(request));
                            })
                        }
                    };
                    // A client that gives up is what many tests are about.
                    served.ok();
                });
            }
        });
        Self { address, requests: Mutex::new(requests) }
    }

    /// The next request that came.
    pub fn request(&self) -> Request {
        let requests = self.requests.lock().expect("no test panics while it reads");
        requests.recv_timeout(Duration::from_secs(10)).expect("a request came")
    }

    /// Whether every request that came was taken by [`Stub::request`].
    pub fn is_quiet(&self) -> bool {
        self.requests.lock().expect("no test panics while it reads").try_recv().is_err()
    }

    pub fn config(&self) -> PrometheusConfig {
        PrometheusConfig::new(Endpoint::parse(&self.address).expect("an address"))
    }

    pub fn client(&self) -> PrometheusClient {
        PrometheusClient::new(&self.config()).expect("a client")
    }
}

fn serve(
    stream: impl Read + Write,
    answer: &(impl Fn(&Request) -> Vec<Piece> + ?Sized),
    seen: impl FnOnce(Request),
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut request = Request::default();
    stream.read_line(&mut request.line)?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        request.headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length: u64 = request.header("content-length").map_or(0, |text| text.parse().expect("a length"));
    stream.by_ref().take(length).read_to_string(&mut request.body)?;
    let pieces = answer(&request);
    seen(request);
    let writer = stream.get_mut();
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => writer.write_all(&bytes)?,
            Piece::Wait(time) => thread::sleep(time),
            Piece::Endless(bytes) => loop {
                writer.write_all(&bytes)?;
            },
        }
        writer.flush()?;
    }
    Ok(())
}

/// A whole answer that closes the connection.
pub fn reply(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<Piece> {
    let lines: Vec<String> = headers
        .iter()
        .map(|(name, value)| {
            format!(
                "{name}: {value}
"
            )
        })
        .collect();
    let declared = headers.iter().any(|(name, _)| *name == "Content-Length");
    let length = if declared {
        String::new()
    } else {
        format!(
            "Content-Length: {}
",
            body.len()
        )
    };
    let head = format!(
        "HTTP/1.1 {status}
Connection: close
{}{length}",
        lines.concat()
    );
    vec![Piece::Bytes([format!("{head}\r\n").as_bytes(), body].concat())]
}

pub fn json(body: &str) -> Vec<Piece> {
    reply("200 OK", &[("Content-Type", "application/json")], body.as_bytes())
}

/// A good answer with one pod.
pub const ONE_POD: &str = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"pod":"a"},"value":[1,"2"]}]}}"#;

pub fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(name)
}
