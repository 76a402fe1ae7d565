//! Delivers the metrics of a run. A failed delivery is only a warning.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;

use rebalancer_io::file;
use rebalancer_io::push::{Pusher, Receiver, Replaces};

use super::metrics;
use super::notes::Ended;
use crate::cli::args::{PushArgs, TextfileArgs};
use crate::failure::Failure;
use crate::settings::servers;

/// Larger than the metrics of any run.
const MAX_TEXTFILE_BYTES: u64 = 1 << 20;

/// Where to deliver.
#[derive(Debug)]
pub struct Delivery {
    pusher: Option<(Pusher, Vec<Receiver>)>,
    textfile: Option<PathBuf>,
}

impl Delivery {
    /// The deliveries that a run's settings allow, and the first unusable setting.
    pub fn of_run(push: &PushArgs, textfile: &TextfileArgs) -> (Self, Result<(), Failure>) {
        let (receivers, mut wrong): (Vec<_>, Vec<_>) =
            servers::receivers(push).into_iter().partition(Result::is_ok);
        let receivers: Vec<Receiver> = receivers.into_iter().filter_map(Result::ok).collect();
        let pusher = servers::push(push)
            .and_then(|config| Pusher::new(config).map_err(|error| Failure::Usage(error.into())));
        let pusher = match pusher {
            Ok(pusher) => Some((pusher, receivers)).filter(|(_, receivers)| !receivers.is_empty()),
            Err(failure) => {
                wrong.push(Err(failure));
                None
            }
        };
        let wrong = wrong.into_iter().find_map(Result::err);
        (Self { pusher, ..Self::to_file(textfile) }, wrong.map_or(Ok(()), Err))
    }

    /// Deliveries of a command that changes nothing.
    pub fn to_file(textfile: &TextfileArgs) -> Self {
        Self { pusher: None, textfile: textfile.metrics_textfile.clone() }
    }

    /// Whether any delivery is wanted.
    pub const fn is_wanted(&self) -> bool {
        self.pusher.is_some() || self.textfile.is_some()
    }

    /// Delivers the metrics of a command that has ended. A failed delivery is logged as a warning.
    pub fn deliver(&self, ended: &Ended<'_>) {
        if let Some(path) = &self.textfile {
            write(path, ended);
        }
        let Some((pusher, receivers)) = &self.pusher else { return };
        let text = metrics::render(ended, None);
        // In parallel: two unresponsive servers take no longer than one.
        thread::scope(|scope| {
            for receiver in receivers {
                let text = text.as_str();
                let ended: Group<'_> = Group::of(ended);
                scope.spawn(move || push(pusher, receiver, &ended, text));
            }
        });
    }
}

/// The labels by which a Pushgateway groups the pushes for one target.
struct Group<'a> {
    namespace: &'a str,
    target: &'a str,
    replaces: Replaces,
}

impl<'a> Group<'a> {
    fn of(ended: &'a Ended<'_>) -> Self {
        // A failure must not overwrite the last success.
        let replaces = if ended.is_success() { Replaces::Group } else { Replaces::SameNames };
        Self { namespace: &ended.asked.namespace, target: &ended.asked.target, replaces }
    }
}

fn push(pusher: &Pusher, receiver: &Receiver, group: &Group<'_>, text: &str) {
    let labels = [("job", "pod-rebalancer"), ("target_namespace", group.namespace), ("target", group.target)];
    if let Err(error) = pusher.push(receiver, &labels, group.replaces, text) {
        tracing::warn!(
            event = "metrics.push_failed",
            url.full = error.url,
            http.response.status_code = error.kind.http_status(),
            error.type = &*error.kind.code(),
            "cannot push the metrics of this run: {error}"
        );
    }
}

fn write(path: &Path, ended: &Ended<'_>) {
    let kept = if ended.is_success() { None } else { last_success(path) };
    let text = metrics::render(ended, kept.as_deref());
    let written = file::replace(path, |mut file| {
        file.write_all(text.as_bytes())?;
        readable_by_all(&file)?;
        Ok(file)
    });
    if let Err(error) = written {
        tracing::warn!(
            event = "metrics.textfile_failed",
            file.path = %path.display(),
            error.type = ?error.kind(),
            "cannot write the metrics of this run to {}: {error}; is the folder there and writable?",
            path.display()
        );
    }
}

/// Makes a file readable for `node_exporter`, which runs as another user. A pipe, a terminal or an existing
/// file keeps its mode.
fn readable_by_all(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    if file.metadata()?.is_file() {
        use std::os::unix::fs::PermissionsExt as _;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

/// The line about the last success in a file written by an earlier run.
fn last_success(path: &Path) -> Option<String> {
    // Opening a pipe for reading would wait for a writer.
    fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    let mut text = String::new();
    File::open(path).ok()?.take(MAX_TEXTFILE_BYTES).read_to_string(&mut text).ok()?;
    let (name, _) = metrics::LAST_SUCCESS;
    let is_it = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    text.lines().find(is_it).map(str::to_owned)
}
