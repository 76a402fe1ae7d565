//! Runs the program on a real pseudo-terminal of a given width, and types into it.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// Longest wait for a prompt, or for the end.
const LIMIT: Duration = Duration::from_secs(60);

/// A program on a terminal.
pub struct Session {
    child: Child,
    terminal: File,
    shown: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Session {
    /// Starts the command with all three of its streams on a terminal of so many columns.
    pub fn start(columns: u16, command: &mut Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("a pseudo-terminal of ours");
        let size = Winsize { ws_row: 50, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).expect("a terminal has a size");
        let name = ptsname(&master, Vec::new()).expect("its other end has a name");
        let other = open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty());
        let other = File::from(other.expect("its other end can be opened"));
        let end = || other.try_clone().expect("a file can be opened twice");
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn();
        let child = child.expect("the program was built with the tests");
        // The command would keep its ends of the terminal open.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        drop(other);
        let terminal = File::from(master);
        let shown: Arc<Mutex<Vec<u8>>> = Arc::default();
        let reader = thread::spawn({
            let (shown, mut terminal) = (Arc::clone(&shown), terminal.try_clone().expect("a file"));
            move || {
                let mut bytes = [0; 4096];
                // The end is an error of input: the other end is closed.
                while let Ok(read @ 1..) = terminal.read(&mut bytes) {
                    shown.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&bytes[..read]);
                }
            }
        });
        Self { child, terminal, shown, reader }
    }

    /// Waits until the terminal shows `prompt`.
    #[track_caller]
    pub fn wait_for(&self, prompt: &str) {
        let start = Instant::now();
        while !self.screen().contains(prompt) {
            assert!(start.elapsed() < LIMIT, "{prompt:?} does not come: {}", self.screen());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends SIGTERM. What a shell starts in the background ignores SIGINT, and so do its children.
    pub fn terminate(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        let pid = pid.expect("a child has an id");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a child of ours");
    }

    /// Types a line once the terminal shows `prompt`.
    #[track_caller]
    pub fn answer(&mut self, prompt: &str, line: &str) {
        self.wait_for(prompt);
        self.terminal.write_all(format!("{line}\n").as_bytes()).expect("a terminal takes what is typed");
    }

    /// Everything shown so far, with plain line ends.
    pub fn screen(&self) -> String {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&shown).replace("\r\n", "\n")
    }

    /// Exit code and everything shown, once the program has ended.
    #[track_caller]
    pub fn end(mut self) -> (Option<i32>, String) {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child of ours can be waited for") {
                break status;
            }
            if start.elapsed() > LIMIT {
                self.child.kill().expect("a child of ours can be killed");
                panic!("the program still runs after {LIMIT:?}: {}", self.screen());
            }
            thread::sleep(Duration::from_millis(2));
        };
        while !self.reader.is_finished() {
            thread::sleep(Duration::from_millis(2));
        }
        (status.code(), self.screen())
    }
}

/// The text with its colours as words: `‹31›red‹0›`.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        shown.push_str(before);
        let (code, behind) = after.split_once('m').unwrap_or((after, ""));
        write!(shown, "‹{code}›").expect("a String takes every write");
        rest = behind;
    }
    shown + rest
}

/// Columns of the longest line, colours aside.
pub fn widest(text: &str) -> usize {
    let plain = visible(text);
    let columns = |line: &str| {
        let parts = line.split('‹').enumerate().map(|(number, part)| match number {
            0 => part.chars().count(),
            _ => part.split_once('›').map_or(0, |(_, text)| text.chars().count()),
        });
        parts.sum::<usize>()
    };
    plain.lines().map(columns).max().unwrap_or_default()
}
