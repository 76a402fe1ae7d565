//! Delivers the metrics of a run, and tells a webhook of it. A failed delivery is only a warning.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;

use rebalancer_io::file;
use rebalancer_io::push::{Pusher, Receiver, Replaces};
use rebalancer_io::webhook::Webhook;

use super::notes::Ended;
use super::{message, metrics};
use crate::cli::args::{RunArgs, TextfileArgs, WebhookFormat};
use crate::failure::Failure;
use crate::report::Outcome;
use crate::settings::servers;

/// Larger than the metrics of any run.
const MAX_TEXTFILE_BYTES: u64 = 1 << 20;

/// Where to deliver.
#[derive(Debug)]
pub struct Delivery {
    pusher: Option<(Pusher, Vec<Receiver>)>,
    textfile: Option<PathBuf>,
    listener: Option<Listener>,
}

/// Who is told of a run, how, and of which outcomes.
#[derive(Debug)]
struct Listener {
    webhook: Webhook,
    format: WebhookFormat,
    outcomes: Vec<Outcome>,
}

impl Delivery {
    /// The deliveries that a run's settings allow, and the first unusable setting.
    pub fn of_run(args: &RunArgs) -> (Self, Result<(), Failure>) {
        let RunArgs { push, textfile, webhook, .. } = args;
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
        let mut wrong = wrong.into_iter().find_map(Result::err);
        let webhook_found = servers::webhook(webhook).unwrap_or_else(|failure| {
            wrong.get_or_insert(failure);
            None
        });
        let listener = webhook_found.map(|found| Listener {
            webhook: found,
            format: webhook.webhook_format,
            outcomes: webhook.webhook_outcomes.clone(),
        });
        (Self { pusher, listener, ..Self::to_file(textfile) }, wrong.map_or(Ok(()), Err))
    }

    /// Deliveries of a command that changes nothing.
    pub fn to_file(textfile: &TextfileArgs) -> Self {
        Self { pusher: None, textfile: textfile.metrics_textfile.clone(), listener: None }
    }

    /// Whether any delivery is wanted.
    pub const fn is_wanted(&self) -> bool {
        self.pusher.is_some() || self.textfile.is_some()
    }

    /// Delivers the metrics of a command that has ended, and tells the webhook. A failed delivery is logged as a
    /// warning.
    pub fn deliver(&self, ended: &Ended<'_>) {
        if let Some(path) = &self.textfile {
            write(path, ended);
        }
        let listener = self.listener.as_ref().filter(|told| told.outcomes.contains(&ended.outcome()));
        let message = listener.map(|listener| (listener, message::of(ended, listener.format)));
        let pushed =
            self.pusher.as_ref().map(|(pusher, receivers)| (pusher, receivers, metrics::render(ended, None)));
        // In parallel: several unresponsive servers take no longer than one.
        thread::scope(|scope| {
            if let Some((listener, message)) = &message {
                scope.spawn(|| tell(&listener.webhook, message));
            }
            if let Some((pusher, receivers, text)) = &pushed {
                for receiver in *receivers {
                    let ended: Group<'_> = Group::of(ended);
                    scope.spawn(move || push(pusher, receiver, &ended, text));
                }
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

fn tell(webhook: &Webhook, message: &str) {
    if let Err(error) = webhook.post(message) {
        tracing::warn!(
            event = "webhook.failed",
            server.address = error.server,
            error.type = &*error.kind,
            "cannot tell the webhook of this run: {error}"
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
