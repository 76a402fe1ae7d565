//! The program itself, run as its users run it.

use std::env;
use std::ffi::OsStr;
use std::fmt::{self, Display, Formatter};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::process::{busy, peak_memory};
use crate::wait_until;

/// The program with these arguments and nothing in its environment: a test sets what it means.
pub fn pod_rebalancer(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut command = Command::new(built());
    command.args(arguments).env_clear();
    command
}

/// The same as it is released and in the image: optimised and, where the machine has the target and
/// its C compiler, static with musl. Where it has not, the allocator of glibc is told to give memory
/// back as that of musl does.
pub fn released(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    static BINARY: OnceLock<(PathBuf, bool)> = OnceLock::new();
    let (binary, is_static) = BINARY.get_or_init(|| {
        let musl = format!("{}-unknown-linux-musl", env::consts::ARCH);
        if can_build_for(&musl) {
            build(&["build", "--package", "rebalancer-cli", "--release", "--target", &musl]);
            return (target_folder().join(musl).join("release/pod-rebalancer"), true);
        }
        println!("no {musl} here: the program is linked with the C library of this machine");
        build(&["build", "--package", "rebalancer-cli", "--release"]);
        (target_folder().join("release/pod-rebalancer"), false)
    });
    let mut command = Command::new(binary);
    command.args(arguments).env_clear();
    if !is_static {
        command.env("MALLOC_ARENA_MAX", "1").env("MALLOC_MMAP_THRESHOLD_", "131072");
    }
    command
}

/// A run of the program that goes on.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Pipe,
    stderr: Pipe,
}

/// What a child has written so far, read as it comes.
#[derive(Debug)]
struct Pipe {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

/// A run of the program that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
    /// The most memory it held, in bytes, as last seen some milliseconds before its end.
    pub peak_memory_bytes: u64,
    /// The time that it kept a processor busy, in hundredths of a second, as last seen likewise.
    pub own_cpu: Duration,
    /// How long it ran, to some milliseconds.
    pub elapsed: Duration,
}

impl Running {
    /// Starts the command.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program was built");
        let stdout = Pipe::read(child.stdout.take().expect("stdout is piped"));
        let stderr = Pipe::read(child.stderr.take().expect("stderr is piped"));
        Self { child, stdout, stderr }
    }

    /// Asks it to end (SIGTERM).
    ///
    /// # Panics
    /// When it has ended.
    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("the program still runs");
    }

    /// Waits until its standard error holds these words.
    ///
    /// # Panics
    /// When `limit` passes first.
    #[track_caller]
    pub fn wait_said(&self, words: &str, limit: Duration) {
        wait_until(&format!("the program says {words:?}"), limit, || self.stderr.so_far().contains(words));
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When `limit` passes first: the program hangs.
    pub fn wait(mut self, limit: Duration) -> Finished {
        let start = Instant::now();
        let (mut peak_memory_bytes, mut own_cpu) = (0, Duration::ZERO);
        let status = loop {
            peak_memory_bytes = peak_memory_bytes.max(peak_memory(self.child.id()));
            own_cpu = own_cpu.max(busy(self.child.id()));
            if let Some(status) = self.child.try_wait().expect("a child of ours can be waited for") {
                break status;
            }
            if start.elapsed() > limit {
                let _ = self.child.kill();
                let _ = self.child.wait();
                let stderr = self.stderr.whole();
                panic!("the program still ran after {limit:?}; its stderr:\n{stderr}");
            }
            thread::sleep(Duration::from_millis(3));
        };
        Finished {
            code: status.code(),
            stdout: self.stdout.whole(),
            stderr: self.stderr.whole(),
            peak_memory_bytes,
            own_cpu,
            elapsed: start.elapsed(),
        }
    }
}

impl Finished {
    /// Runs the command to its end.
    ///
    /// # Panics
    /// When it cannot be started or takes more than two minutes.
    pub fn of(command: &mut Command) -> Self {
        Running::start(command).wait(Duration::from_secs(120))
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is not JSON ({error}): {self}"))
    }
}

impl Display for Finished {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "exit code {:?}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

/// Builds the program once a test process, in the profile and target folder of the tests.
fn built() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let profile = profile_folder();
        // Cargo builds the program along with the tests of its own package. Asked for in these words it
        // uses the features that the whole workspace's tests use, so no dependency is compiled twice.
        let mut arguments = vec!["test", "--workspace", "--test", "cli", "--no-run"];
        if profile.ends_with("release") {
            arguments.push("--release");
        }
        build(&arguments);
        profile.join("pod-rebalancer")
    })
}

/// The folder `TARGET/PROFILE` of the running test.
fn profile_folder() -> PathBuf {
    let test = env::current_exe().expect("the system knows the path of a running program");
    let profile = test.ancestors().nth(2).expect("cargo puts tests into TARGET/PROFILE/deps");
    profile.to_owned()
}

fn target_folder() -> PathBuf {
    let profile = profile_folder();
    profile.parent().expect("a profile lies in a target folder").to_owned()
}

fn build(arguments: &[&str]) {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into()));
    // Cargo describes the package of a test to it by variables. The build script of `ring` looks at
    // them, and would be run again, and all that depends on it compiled again, each time they change.
    for (name, _) in env::vars_os() {
        let bytes = name.as_encoded_bytes();
        if bytes.starts_with(b"CARGO_PKG_") || bytes.starts_with(b"CARGO_MANIFEST_") {
            command.env_remove(name);
        }
    }
    let status = command
        .args(arguments)
        .args(["--quiet", "--target-dir"])
        .arg(target_folder())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo runs the tests, so it runs");
    assert!(status.success(), "the program does not build");
}

/// Whether the machine has the standard library of the musl target, and a C compiler for it.
fn can_build_for(musl: &str) -> bool {
    let libraries = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", musl])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("a compiler built the tests");
    let folder = String::from_utf8_lossy(&libraries.stdout);
    let path = env::var_os("PATH").unwrap_or_default();
    Path::new(folder.trim()).is_dir()
        && env::split_paths(&path).any(|folder| folder.join("musl-gcc").is_file())
}

impl Pipe {
    fn read(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let held = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut chunk = [0; 4096];
            loop {
                let count = pipe.read(&mut chunk).expect("a pipe of a child can be read");
                if count == 0 {
                    return;
                }
                held.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&chunk[..count]);
            }
        });
        Self { bytes, reader }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// All of it, once the child has ended.
    fn whole(self) -> String {
        let Self { bytes, reader } = self;
        reader.join().expect("the reader of a pipe does not panic");
        String::from_utf8_lossy(&bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}
