//! Runs the built program with nothing in its environment but what a test sets.

use std::fmt::{self, Display, Formatter};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest run of any test here; a program that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// Folder of the repository, in which the program is run: paths in messages are relative to it.
pub fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package lies in the repository").to_owned()
}

/// The program with these arguments and variables and no others.
pub fn command(args: &[&str], env: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pod-rebalancer"));
    command.args(args).env_clear().envs(env.iter().copied()).current_dir(root());
    command
}

/// Runs the program to its end.
pub fn run(args: &[&str], env: &[(&str, &str)]) -> Done {
    Running::start(&mut command(args, env)).wait()
}

/// Runs the program to its end; exit code, output and log as a snapshot shows them.
pub fn check(args: &[&str], env: &[(&str, &str)]) -> String {
    run(args, env).to_string()
}

/// A run that goes on.
pub struct Running {
    child: Child,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
}

impl Running {
    /// Starts the command, with nothing on its standard input.
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program was built with the tests");
        let stdout = collect(child.stdout.take().expect("stdout is piped"));
        let stderr = collect(child.stderr.take().expect("stderr is piped"));
        Self { child, stdout, stderr }
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end, and fails when it hangs.
    #[track_caller]
    pub fn wait(mut self) -> Done {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours can be waited for") {
                break status;
            }
            if start.elapsed() > LIMIT {
                self.child.kill().expect("a child of ours can be killed");
                let stderr = self.stderr.join().unwrap_or_default();
                panic!("the program still runs after {LIMIT:?}; its log:\n{stderr}");
            }
            thread::sleep(Duration::from_millis(2));
        };
        Done {
            code: status.code(),
            stdout: self.stdout.join().expect("the reader of stdout does not panic"),
            stderr: self.stderr.join().expect("the reader of stderr does not panic"),
        }
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes: Vec<u8> = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe of a child can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A run that has ended.
#[derive(Debug)]
pub struct Done {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// All of standard output.
    pub stdout: String,
    /// All of standard error.
    pub stderr: String,
}

impl Done {
    /// The report.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self}"))
    }

    /// The lines of standard error that are no log: what a person is told.
    pub fn told(&self) -> Vec<&str> {
        self.stderr.lines().filter(|line| !line.starts_with('{')).collect()
    }

    /// Fails unless the run ended with this code and one message, and did not panic.
    #[track_caller]
    pub fn assert_one_error(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{self}");
        let told = self.told();
        assert_eq!(told.len(), 1, "{self}");
        assert!(told[0].starts_with("error: "), "{self}");
        assert!(!self.stderr.contains("panicked"), "{self}");
        told[0]
    }
}

impl Display for Done {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let code = self.code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
        write!(out, "exit {code}\n--- stdout\n{}--- stderr\n{}", self.stdout, self.stderr)
    }
}
