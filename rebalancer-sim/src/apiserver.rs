//! A loopback API server: it holds a fleet, answers as a real server was recorded to, and fails
//! where it is told to.

mod answers;
mod fleet;
mod many;
mod objects;
mod services;

use std::env;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::http;
use crate::transcript::Transcript;

pub use crate::http::SimRequest;
pub use fleet::{Fleet, SimBudget, SimPod, WorkloadKind};

/// The bearer token of the written kubeconfig, which the server takes until it is told otherwise.
const TOKEN: &str = "sim-token";

/// A running server on a free port of the loopback interface; dropping it stops it.
///
/// ```no_run
/// use rebalancer_sim::apiserver::{ApiServer, Effect, Fault, Fleet};
///
/// let server = ApiServer::start(Fleet::deployment("orders", 3));
/// server.inject(Fault::on("POST", "/eviction", Effect::Hangup));
/// // ... run the program with --kubeconfig server.kubeconfig_path() ...
/// assert!(server.requests().iter().all(|request| request.method != "DELETE"));
/// ```
pub struct ApiServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    folder: PathBuf,
}

/// What the threads of the connections share.
struct Shared {
    state: Mutex<State>,
    stopped: AtomicBool,
}

struct State {
    fleets: Vec<Fleet>,
    faults: Vec<Fault>,
    requests: Vec<SimRequest>,
    token: String,
    denied: Vec<String>,
    clock_ahead_s: Option<i64>,
}

/// Something that goes wrong with requests of one kind.
#[derive(Debug, Clone)]
pub struct Fault {
    method: String,
    path: String,
    skip: usize,
    times: usize,
    effect: Effect,
}

/// What goes wrong.
#[derive(Debug, Clone)]
pub enum Effect {
    /// This is answered, and nothing is done.
    Answer(Transcript),
    /// What was asked for is done, and this is answered: as by a proxy that asks twice and hands on the
    /// second answer.
    AnswerAfter(Transcript),
    /// The connection is closed without an answer, and nothing is done.
    Hangup,
    /// What was asked for is done, and the connection closed without an answer.
    HangupAfter,
    /// What was asked for is done, and the connection closed in the middle of the answer.
    Truncate,
    /// What was asked for is done; the answer comes after this time.
    Stall(Duration),
}

impl Fault {
    /// Strikes every request of this method whose path and query contain `path`.
    pub fn on(method: &str, path: &str, effect: Effect) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), skip: 0, times: usize::MAX, effect }
    }

    /// Spares the first `count` such requests.
    #[must_use]
    pub fn after(self, count: usize) -> Self {
        Self { skip: count, ..self }
    }

    /// Strikes `count` times only.
    #[must_use]
    pub fn times(self, count: usize) -> Self {
        Self { times: count, ..self }
    }

    fn strikes(&mut self, request: &SimRequest) -> Option<Effect> {
        if request.method != self.method || !request.target.contains(&self.path) || self.times == 0 {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        self.times -= 1;
        Some(self.effect.clone())
    }
}

impl ApiServer {
    /// Starts a server that holds this fleet, and writes a kubeconfig for it.
    ///
    /// # Panics
    /// When the loopback interface or the folder for temporary files cannot be used.
    pub fn start(fleet: Fleet) -> Self {
        Self::start_all(vec![fleet])
    }

    /// Starts a server that holds these fleets; the kubeconfig is for the namespace of the first.
    ///
    /// # Panics
    /// As [`ApiServer::start`], and without any fleet.
    pub fn start_all(fleets: Vec<Fleet>) -> Self {
        static STARTED: AtomicU64 = AtomicU64::new(0);
        let numbered = fleets.into_iter().enumerate().map(|(number, fleet)| Fleet { number, ..fleet });
        let fleets: Vec<Fleet> = numbered.collect();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("pod-rebalancer-sim-{}-{number}", process::id()));
        fs::create_dir_all(&folder).expect("a folder for the kubeconfig");
        // Without an authority of its own, each run of the program reads all of the system's: a fifth of a short run.
        let authority = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/cluster-ca.pem");
        let cluster =
            format!("server: \"http://{address}\", certificate-authority: \"{}\"", authority.display());
        write_config(&folder.join("kubeconfig"), &cluster, &fleets[0].namespace);
        let state = State {
            fleets,
            faults: Vec::new(),
            requests: Vec::new(),
            token: TOKEN.to_owned(),
            denied: Vec::new(),
            clock_ahead_s: Some(0),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), stopped: AtomicBool::new(false) });
        let of_acceptor = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &of_acceptor));
        Self { shared, address, folder }
    }

    /// URL of the server.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A kubeconfig with the one context `sim`, the fleet's namespace and a valid token.
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// Everything asked so far, in order of arrival.
    pub fn requests(&self) -> Vec<SimRequest> {
        self.lock().requests.clone()
    }

    /// The pods there are now, terminating ones included.
    pub fn pods(&self) -> Vec<SimPod> {
        let mut state = self.lock();
        state.fleets.iter_mut().for_each(Fleet::advance);
        state.fleets.iter().flat_map(|fleet| fleet.pods.clone()).collect()
    }

    /// Changes the first fleet behind the clients' backs.
    pub fn change(&self, change: impl FnOnce(&mut Fleet)) {
        change(&mut self.lock().fleets[0]);
    }

    /// Adds a fault; of several that match one request the first added strikes.
    pub fn inject(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Makes every token so far invalid.
    pub fn expire_token(&self) {
        self.lock().token.clear();
    }

    /// Takes a permission away, written as a refusal names it: `create pods/eviction`,
    /// `get deployments.apps`; that of a list also for one namespace, `list pods in shop`, or for the whole cluster at
    /// once, `list pods in *`.
    pub fn deny(&self, permission: &str) {
        self.lock().denied.push(permission.to_owned());
    }

    /// Dates answers by a clock so many seconds ahead from now on; `None` dates none.
    pub fn set_clock(&self, ahead_s: Option<i64>) {
        self.lock().clock_ahead_s = ahead_s;
    }

    /// Stops answering: connections break, new ones are refused.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the acceptor, which then closes the port.
        drop(TcpStream::connect(self.address));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.shared)
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.stop();
        // What cannot be removed is a temporary file.
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// Writes a kubeconfig with one context `sim`, for tests of a server that is not simulated too.
///
/// # Panics
/// When the file cannot be written.
pub fn write_kubeconfig(path: &Path, server: &str, namespace: &str) {
    write_config(path, &format!("server: \"{server}\""), namespace);
}

fn write_config(path: &Path, cluster: &str, namespace: &str) {
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: sim\n\
         clusters:\n- name: sim\n  cluster: {{{cluster}}}\n\
         users:\n- name: sim\n  user: {{token: {TOKEN}}}\n\
         contexts:\n- name: sim\n  context: {{cluster: sim, user: sim, namespace: {namespace}}}\n"
    );
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    // A test that failed while it held the lock has said why already.
    shared.state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for connection in listener.incoming().map_while(Result::ok) {
        if shared.stopped.load(Ordering::Relaxed) {
            return;
        }
        let shared = Arc::clone(shared);
        thread::spawn(move || serve(connection, &shared));
    }
}

/// Answers the requests of one connection until either side is done with it.
fn serve(mut connection: TcpStream, shared: &Shared) {
    let mut unread: Vec<u8> = Vec::new();
    while let Some(request) = http::read(&mut connection, &mut unread) {
        if shared.stopped.load(Ordering::Relaxed) {
            return;
        }
        let (mut answer, effect) = handle(&request, &mut lock(shared));
        http::date(&mut answer, lock(shared).clock_ahead_s);
        let sent = match effect {
            None | Some(Effect::Answer(_) | Effect::AnswerAfter(_)) => http::write(&mut connection, &answer),
            Some(Effect::Stall(time)) => {
                thread::sleep(time);
                http::write(&mut connection, &answer)
            }
            Some(Effect::Truncate) => return http::write_half(&mut connection, &answer),
            Some(Effect::Hangup | Effect::HangupAfter) => return,
        };
        if sent.is_err() {
            return;
        }
    }
}

fn handle(request: &SimRequest, state: &mut State) -> (Transcript, Option<Effect>) {
    let effect = state.faults.iter_mut().find_map(|fault| fault.strikes(request));
    state.requests.push(request.clone());
    let answer = match &effect {
        Some(Effect::Answer(transcript)) => transcript.clone(),
        Some(Effect::Hangup) => Transcript { code: 0, headers: Vec::new(), body: Vec::new() },
        _ if request.header("authorization") != Some(&format!("Bearer {}", state.token)) => {
            Transcript::named("300_401_bad_token")
        }
        _ => services::answer(request, &state.fleets[0], &state.denied)
            .unwrap_or_else(|| many::answer(request, &mut state.fleets, &state.denied)),
    };
    if let Some(Effect::AnswerAfter(transcript)) = &effect {
        return (transcript.clone(), effect);
    }
    (answer, effect)
}
