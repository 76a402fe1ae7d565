//! Ends TLS before a broker that has none, as a load balancer does that chooses the broker by the name in the handshake.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustls::{ServerConnection, StreamOwned};

use crate::control_plane::Identity;
use crate::tls::server_config;

/// A running proxy; its thread ends with the test process.
#[derive(Debug)]
pub struct TlsProxy {
    names: Arc<Mutex<BTreeSet<String>>>,
}

impl TlsProxy {
    /// Listens at one address and hands on to another.
    ///
    /// # Panics
    /// When the address is taken.
    pub fn start(address: &str, broker: &str, identity: &Identity) -> Self {
        let listener = TcpListener::bind(address).expect("the port was free");
        let (config, broker) = (server_config(identity), broker.to_owned());
        let names: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let seen = Arc::clone(&names);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let tls = ServerConnection::new(Arc::clone(&config)).expect("the configuration is right");
                let (broker, seen) = (broker.clone(), Arc::clone(&seen));
                // A client or broker that has gone ends its connection only.
                thread::spawn(move || drop(serve(StreamOwned::new(tls, client), &broker, &seen)));
            }
        });
        Self { names }
    }

    /// The names that clients sent in their handshakes.
    pub fn names(&self) -> BTreeSet<String> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Hands requests on, and the answer to each.
fn serve(
    mut client: StreamOwned<ServerConnection, TcpStream>,
    broker: &str,
    names: &Mutex<BTreeSet<String>>,
) -> io::Result<()> {
    let mut broker = TcpStream::connect(broker)?;
    loop {
        hand_on(&mut client, &mut broker)?;
        let name = client.conn.server_name().unwrap_or_default().to_owned();
        names.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
        hand_on(&mut broker, &mut client)?;
    }
}

/// A message, with its length before it.
fn hand_on(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut message = vec![0; u32::from_be_bytes(length) as usize];
    from.read_exact(&mut message)?;
    to.write_all(&length)?;
    to.write_all(&message)?;
    to.flush()
}
