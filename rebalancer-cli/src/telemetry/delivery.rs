//! Delivers the metrics of a run, and tells a webhook of it. A failed delivery is only a warning.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rebalancer_io::file;
use rebalancer_io::push::{Pusher, Receiver, Replaces};
use rebalancer_io::webhook::Webhook;

use super::notes::Ended;
use super::{exposition, message, metrics};
use crate::cli::args::{RunArgs, TextfileArgs, WebhookFormat};
use crate::failure::Failure;
use crate::report::Outcome;
use crate::report::scan::ScanReport;
use crate::settings::servers;

/// Larger than the metrics of any run: 15 kB for each of 4,000 workloads.
const MAX_TEXTFILE_BYTES: u64 = 64 << 20;

/// A push to a receiver begins only within so many times the limit of one push, and may then take that limit itself. A run of
/// all has one push for each workload.
const PUSHES_IN_ALL: u32 = 6;

/// Where to deliver.
#[derive(Debug)]
pub struct Delivery {
    pusher: Option<(Pusher, Vec<Receiver>, Duration)>,
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
        let mut wrong: Vec<Failure> = Vec::new();
        let receivers: Vec<Receiver> =
            servers::receivers(push).into_iter().filter_map(|found| usable(found, &mut wrong)).collect();
        let pusher = servers::push(push)
            .and_then(|config| Pusher::new(config).map_err(|error| Failure::Usage(error.into())));
        let pusher = usable(pusher, &mut wrong).filter(|_| !receivers.is_empty());
        let longest = push.metrics_timeout.saturating_mul(PUSHES_IN_ALL);
        let listener = usable(servers::webhook(webhook), &mut wrong).flatten().map(|found| Listener {
            webhook: found,
            format: webhook.webhook_format,
            outcomes: webhook.webhook_outcomes.clone(),
        });
        let pusher = pusher.map(|pusher| (pusher, receivers, longest));
        let delivery = Self { pusher, listener, ..Self::to_file(textfile) };
        (delivery, wrong.into_iter().next().map_or(Ok(()), Err))
    }

    /// Deliveries of a command that changes nothing.
    pub fn to_file(textfile: &TextfileArgs) -> Self {
        Self { pusher: None, textfile: textfile.metrics_textfile.clone(), listener: None }
    }

    /// The same without metrics: what is not about one workload has none.
    #[must_use]
    pub fn without_metrics(self) -> Self {
        Self { pusher: None, textfile: None, ..self }
    }

    /// Whether any delivery is wanted.
    pub const fn is_wanted(&self) -> bool {
        self.pusher.is_some() || self.textfile.is_some()
    }

    /// Delivers the metrics of a command that has ended, and tells the webhook. A failed delivery is logged as a
    /// warning.
    pub fn deliver(&self, ended: &Ended<'_>) {
        // The target is not always known where a run failed, and an earlier run had no other.
        let told_by = |_: &Ended<'_>| Vec::new();
        let message = |listener: &Listener| message::of(ended, listener.format);
        self.deliver_each(std::slice::from_ref(ended), &told_by, &[ended.outcome()], &message);
    }

    /// Delivers the metrics of each workload of a run of all, and tells the webhook once, if any of the outcomes is one
    /// that it wants.
    pub fn deliver_all(&self, ended: &[Ended<'_>], report: &ScanReport) {
        let message = |listener: &Listener| message::of_all(report, listener.format, &listener.outcomes);
        // What could not be listed has failed.
        let unlisted = (!report.unlisted.is_empty()).then_some(Outcome::Failed);
        let outcomes: Vec<Outcome> = ended.iter().map(Ended::outcome).chain(unlisted).collect();
        self.deliver_each(ended, &labels_of, &outcomes, &message);
    }

    /// Delivers in parallel: several unresponsive servers take no longer than one. A receiver that refuses one push, or
    /// does not answer, gets no more, and one that is slow gets no more after some time.
    fn deliver_each(
        &self,
        ended: &[Ended<'_>],
        told_by: &dyn Fn(&Ended<'_>) -> Vec<String>,
        outcomes: &[Outcome],
        message: &dyn Fn(&Listener) -> String,
    ) {
        if let Some(path) = &self.textfile {
            write(path, ended, told_by);
        }
        let is_told = |told: &&Listener| outcomes.iter().any(|outcome| told.outcomes.contains(outcome));
        let message = self.listener.as_ref().filter(is_told).map(|listener| (listener, message(listener)));
        let targets: Vec<Push<'_>> =
            if self.pusher.is_some() { ended.iter().map(Push::of).collect() } else { Vec::new() };
        thread::scope(|scope| {
            if let Some((listener, message)) = &message {
                scope.spawn(|| tell(&listener.webhook, message));
            }
            let Some((pusher, receivers, longest)) = &self.pusher else { return };
            for receiver in receivers {
                scope.spawn(|| push_each(pusher, receiver, *longest, &targets));
            }
        });
    }
}

/// What a setting gives; if it is unusable, why is added to `wrong`.
fn usable<T>(found: Result<T, Failure>, wrong: &mut Vec<Failure>) -> Option<T> {
    found.map_err(|failure| wrong.push(failure)).ok()
}

/// The metrics for one target, and the labels by which a Pushgateway groups them.
struct Push<'a> {
    labels: [(&'static str, &'a str); 3],
    replaces: Replaces,
    text: String,
}

impl<'a> Push<'a> {
    fn of(ended: &'a Ended<'_>) -> Self {
        let (namespace, target) = (&*ended.asked.namespace, &*ended.asked.target);
        let labels = [("job", "pod-rebalancer"), ("target_namespace", namespace), ("target", target)];
        // A failure must not overwrite the last success.
        let replaces = if ended.is_success() { Replaces::Group } else { Replaces::SameNames };
        Self { labels, replaces, text: metrics::render([(ended, None)]) }
    }

    /// Sends them, and says whether that was done.
    fn send(&self, pusher: &Pusher, receiver: &Receiver) -> bool {
        let done = pusher.push(receiver, &self.labels, self.replaces, &self.text);
        if let Err(error) = &done {
            tracing::warn!(
                event = "metrics.push_failed",
                url.full = error.place,
                http.response.status_code = error.http_status,
                error.type = &*error.kind,
                "cannot push the metrics of this run: {error}"
            );
        }
        done.is_ok()
    }
}

/// Sends the metrics for each target, until one push fails. None begins after the `longest` time.
fn push_each(pusher: &Pusher, receiver: &Receiver, longest: Duration, targets: &[Push<'_>]) {
    let begun = Instant::now();
    for (done, target) in targets.iter().enumerate() {
        let taken = begun.elapsed();
        if taken >= longest {
            let all = targets.len();
            tracing::warn!(
                event = "metrics.push_slow",
                url.full = receiver.address(),
                "{} took {taken:.0?} for the metrics of {done} of {all} workloads; the others are left out",
                receiver.address()
            );
            return;
        }
        if !target.send(pusher, receiver) {
            return;
        }
    }
}

fn tell(webhook: &Webhook, message: &str) {
    if let Err(error) = webhook.post(message) {
        tracing::warn!(
            event = "webhook.failed",
            server.address = error.place.trim_end_matches("/…"),
            error.type = &*error.kind,
            "cannot tell the webhook of this run: {error}"
        );
    }
}

/// The labels of one of several workloads. A Deployment and a stateful set may be found by the same labels of pods.
fn labels_of(ended: &Ended<'_>) -> Vec<String> {
    let (kind, name) = ended.owner();
    let asked = [("target_namespace", &ended.asked.namespace), ("target", &ended.asked.target)];
    let owner = [("target_kind", &kind), ("target_name", &name)];
    let owner = owner.into_iter().filter(|(_, value)| !value.is_empty());
    asked.into_iter().chain(owner).map(|(name, value)| exposition::label(name, value)).collect()
}

/// Writes the metrics of one run, or of each workload of a run of all. After a failure, the earlier line of the last success with
/// the labels that `told_by` gives is kept.
fn write(path: &Path, ended: &[Ended<'_>], told_by: &dyn Fn(&Ended<'_>) -> Vec<String>) {
    let known = if ended.iter().all(Ended::is_success) { String::new() } else { earlier(path) };
    let kept = |of: &Ended<'_>| if of.is_success() { None } else { last_success(&known, &told_by(of)) };
    let text = metrics::render(ended.iter().map(|ended| (ended, kept(ended))));
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

/// What an earlier run wrote; empty where nothing can be read.
fn earlier(path: &Path) -> String {
    let mut text = String::new();
    // Opening a pipe for reading would wait for a writer.
    if fs::metadata(path).is_ok_and(|found| found.is_file()) {
        let read = File::open(path).map(|file| file.take(MAX_TEXTFILE_BYTES).read_to_string(&mut text));
        if !matches!(read, Ok(Ok(_))) {
            text.clear();
        }
    }
    text
}

/// The line about the last success with these labels.
fn last_success<'t>(text: &'t str, labels: &[String]) -> Option<&'t str> {
    let (name, _) = metrics::LAST_SUCCESS;
    let is_it = |line: &&str| {
        let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']));
        rest.is_some_and(|rest| labels.iter().all(|label| rest.contains(label.as_str())))
    };
    text.lines().find(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;
    use crate::telemetry::notes::{Asked, Notes};

    #[test]
    fn workloads_with_the_same_labels_of_pods_are_told_apart() {
        let notes = ["Deployment/orders", "StatefulSet/orders"].map(|owner| {
            let notes = Notes::begin();
            notes.found(Some(owner.to_owned()), 3);
            notes
        });
        let asked = || Asked { namespace: "shop".into(), target: "app=orders".into(), dry_run: "none" };
        let failure = Failure::usage("gone");
        let failed = |notes: &Notes| {
            let end: Result<&Report, &Failure> = Err(&failure);
            labels_of(&notes.end(asked(), end))
        };
        let (name, _) = metrics::LAST_SUCCESS;
        let line = |kind: &str| {
            format!(
                "{name}{{target_namespace=\"shop\",target=\"app=orders\",target_kind=\"{kind}\",target_name=\"orders\"}} 1"
            )
        };
        let lines = ["Deployment", "StatefulSet"].map(line);
        let text = lines.join("\n");
        for (line, labels) in lines.iter().zip(notes.each_ref().map(failed)) {
            assert_eq!(last_success(&text, &labels), Some(line.as_str()));
        }
        assert_eq!(last_success(&text, &[]), Some(lines[0].as_str()), "a run of one has one");
    }
}
