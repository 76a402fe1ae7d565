//! A temporary folder and the server processes that live in it, none of which outlives the test.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Lines of a server's log that a failure shows.
const LOG_TAIL_LINES: usize = 25;
const JANITOR_LIVES: &str = "the janitor lives as long as its pipe";
const POLL: Duration = Duration::from_millis(50);

/// Reads which processes live in the folder `$1`; when the test process ends, however it ends,
/// the pipe closes: the janitor kills what is left and removes the folder.
const JANITOR: &str = r#"
pids=" "
while read -r verb pid; do
    case $verb in
        watch) pids="$pids$pid " ;;
        forget) pids="${pids%% "$pid" *} ${pids#* "$pid" }" ;;
    esac
done
for pid in $pids; do kill -9 "$pid" 2>/dev/null; done
rm -rf -- "$1" 2>/dev/null || { sleep 1; rm -rf -- "$1"; }
"#;

/// A temporary folder with its processes: gone when dropped, and also when the test process is
/// killed or leaves the value in a static.
#[derive(Debug)]
pub struct Sandbox {
    folder: PathBuf,
    janitor: Child,
    orders: Mutex<Option<ChildStdin>>,
}

impl Sandbox {
    /// Makes the folder and starts its janitor.
    ///
    /// # Panics
    /// When the machine gives no temporary folder or no shell.
    pub fn new() -> Arc<Self> {
        let folder = tempfile::Builder::new()
            .prefix("pod-rebalancer-e2e-")
            .tempdir()
            .expect("the machine has a temporary folder")
            .keep();
        // A group of its own: Ctrl-C ends the tests, and the janitor cleans up after them.
        let mut janitor = Command::new("sh")
            .args(["-c", JANITOR, "janitor"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("the machine has a shell");
        let orders = Mutex::new(janitor.stdin.take());
        Arc::new(Self { folder, janitor, orders })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Writes a file into the folder and answers its path.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, content).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        path
    }

    /// Fails once the pipe is closed: the janitor has cleaned up, or is at it.
    fn order(&self, verb: &str, pid: u32) -> io::Result<()> {
        let mut orders: MutexGuard<'_, Option<ChildStdin>> =
            self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        let pipe = orders.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(pipe, "{verb} {pid}")
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Best effort: a drop may run while a test panics.
        let _ = self.janitor.wait();
    }
}

/// A server process; killed when dropped.
#[derive(Debug)]
pub struct Server {
    name: String,
    log: PathBuf,
    command: Command,
    child: Child,
    sandbox: Arc<Sandbox>,
}

impl Server {
    /// Starts the command with its output in `NAME.log` of the sandbox.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn start(sandbox: &Arc<Sandbox>, name: &str, mut command: Command) -> Self {
        let log = sandbox.path().join(format!("{name}.log"));
        let output = File::create(&log).expect("the sandbox is writable");
        let errors = output.try_clone().expect("a file handle can be cloned");
        command.stdin(Stdio::null()).stdout(output).stderr(errors).current_dir(sandbox.path());
        let child = spawn(&mut command, sandbox);
        Self { name: name.to_owned(), log, command, child, sandbox: Arc::clone(sandbox) }
    }

    /// Waits until `ready` says so.
    ///
    /// # Panics
    /// With the end of the log, when the server ends first or `limit` passes.
    pub fn wait_ready(&mut self, limit: Duration, mut ready: impl FnMut() -> bool) {
        let start = Instant::now();
        while !ready() {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!(
                    "{} ended with {status} before it was ready; its log ends:\n{}",
                    self.name,
                    self.log_tail()
                );
            }
            assert!(
                start.elapsed() < limit,
                "{} was not ready after {limit:?}; its log ends:\n{}",
                self.name,
                self.log_tail()
            );
            thread::sleep(POLL);
        }
    }

    /// Kills the process without warning and waits for its end.
    ///
    /// # Panics
    /// When the operating system refuses.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child of ours may be killed");
        self.child.wait().expect("a killed child can be waited for");
    }

    /// Starts a killed server again with the same command; the log goes on in the same file.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn restart(&mut self) {
        self.kill();
        self.sandbox.order("forget", self.child.id()).expect(JANITOR_LIVES);
        self.child = spawn(&mut self.command, &self.sandbox);
    }

    /// Freezes the process (SIGSTOP): its connections stay open and nothing answers.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a paused process go on.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The last lines of the server's output.
    pub fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal)
            .unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.name));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Best effort: it may have ended by itself, and a drop may run while a test panics.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = self.sandbox.order("forget", self.child.id());
    }
}

/// Waits until `done` says so.
///
/// # Panics
/// With `what`, when `limit` passes first.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < limit, "{what}: not so after {limit:?}");
        thread::sleep(POLL);
    }
}

/// A loopback port that is free now, below the range the system gives to outgoing connections so
/// that none of those takes it before its server does.
///
/// # Panics
/// When there is none.
pub fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test processes that run side by side begin at different ports.
    let offset =
        u16::try_from(std::process::id().wrapping_mul(101) % u32::from(COUNT)).expect("less than COUNT");
    (0..COUNT)
        .map(|_| FIRST + (offset + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("one of 12,000 loopback ports is free")
}

fn spawn(command: &mut Command, sandbox: &Sandbox) -> Child {
    let child = command
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {}: {error}", command.get_program().display()));
    sandbox.order("watch", child.id()).expect(JANITOR_LIVES);
    child
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn sleeper(sandbox: &Arc<Sandbox>) -> Server {
        let mut command = Command::new("sleep");
        command.arg("1000");
        Server::start(sandbox, "sleeper", command)
    }

    fn runs(pid: u32) -> bool {
        // A killed child that nobody has waited for is a zombie, "Z".
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
    }

    #[test]
    fn the_end_of_the_test_process_ends_servers_and_folder() {
        let sandbox = Sandbox::new();
        let (stopped, left) = (sleeper(&sandbox), sleeper(&sandbox));
        let (folder, stopped_pid, left_pid) = (sandbox.path().to_owned(), stopped.pid(), left.pid());
        drop(stopped);
        assert!(!runs(stopped_pid) && runs(left_pid) && folder.exists());

        // What the system does to the pipe of a process that ends.
        sandbox.orders.lock().expect("nobody panicked with it").take();
        wait_until("the janitor has cleaned up", LIMIT, || !runs(left_pid) && !folder.exists());
    }

    #[test]
    fn a_server_restarts_with_its_command() {
        let sandbox = Sandbox::new();
        let mut server = sleeper(&sandbox);
        let first = server.pid();
        server.restart();
        assert!(!runs(first) && runs(server.pid()) && first != server.pid());
    }

    #[test]
    #[should_panic(expected = "no such option")]
    fn a_server_that_ends_early_shows_its_log() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such option >&2; exit 3"]);
        Server::start(&Sandbox::new(), "broken", command).wait_ready(LIMIT, || false);
    }
}
