//! Decides again from saved data: a recording, a folder of API answers, or a list of pod states.

use std::borrow::Cow;
use std::io::{self, BufRead, BufReader, Cursor, Read as _};
use std::mem;
use std::path::Path;

use anyhow::Context as _;
use clap::ArgMatches;
use jiff::Timestamp;
use rebalancer_core::{Joined, Metric, RotationOptions, Workload};
use rebalancer_io::kubernetes::live_pods;
use rebalancer_io::prometheus::{PrometheusConfig, Wanted};
use rebalancer_io::recording::Recording;
use rebalancer_io::snapshot::Snapshot;
use rebalancer_io::{file, states};

use crate::cli::args::{DecisionArgs, SavedArgs};
use crate::failure::Failure;
use crate::pipeline::clocks::of_known_age;
use crate::pipeline::decide::{Known, Purpose, decide};
use crate::pipeline::live::owner;
use crate::pipeline::recorded::{ReadBack, Recorded, read_back};
use crate::report::{Report, WorkloadReport};
use crate::settings::decision::{DecisionSettings, PLAN_DEADLINE};
use crate::settings::recorded::{self, RecordedSettings};
use crate::telemetry::notes::{Asked, Notes, Stage};

/// The saved data.
struct Saved {
    /// The loads of the live pods, or of all named pods if the live ones are unknown.
    joined: Joined,
    /// Metrics that were queried.
    asked: Vec<Metric>,
    /// The time of the loads; a list of pods, or answers without a sample, have none.
    at: Option<Timestamp>,
    /// What a run would have said of the answers.
    told: Vec<String>,
    /// Without pods if only their names are known.
    workload: Workload,
    settings: RecordedSettings,
    decision: DecisionSettings,
    /// The whole recording, and its answers besides the loads; a folder or a list of pods has none.
    recorded: Option<(Recording, Recorded)>,
}

/// Saved data and the new decision.
pub struct Replayed {
    /// The decision.
    pub report: Report,
    /// The recorded settings.
    pub settings: RecordedSettings,
    /// The settings used for the decision.
    pub decision: DecisionSettings,
    /// How a rotation would be carried out.
    pub options: RotationOptions,
    /// The recording; `None` for a folder or a list of pods.
    pub recording: Option<Recording>,
}

impl Replayed {
    /// Reads the saved data, as [`open`] gave them, and decides.
    ///
    /// # Errors
    /// A path that cannot be read, or that contains something else.
    pub fn new(
        opened: Option<Reader>,
        args: &SavedArgs,
        matches: &ArgMatches,
        notes: &Notes,
        detailed: bool,
    ) -> Result<Self, Failure> {
        let saved = notes.time(Stage::Query, || read(opened, args, matches))?;
        let Saved { joined, asked, at, told, workload, settings, decision, recorded } = saved;
        let described = WorkloadReport {
            owner: owner(&workload),
            pods: workload.pods.len(),
            namespace: settings.namespace.clone(),
            selector: settings.selector.clone(),
            ..WorkloadReport::default()
        };
        let known = Known {
            evaluation_time: at.map(|time| time.to_string()),
            described,
            has_past: recorded.as_ref().is_some_and(|(_, recorded)| recorded.has_past),
            ..Known::new(Cow::Owned(joined), &workload, asked)
        };
        let options = decision.rotation_options(settings.allow_multiple_controllers, PLAN_DEADLINE);
        let finder = recorded.as_ref().zip(at).map(|((_, recorded), at)| recorded.finder(at));
        let purpose = Purpose::plan(&options, detailed);
        let mut report = notes.time(Stage::Decide, || decide(&decision, &known, finder.as_ref(), purpose))?;
        report.warnings.splice(..0, told);
        let recording = recorded.map(|(recording, _)| recording);
        Ok(Self { report, settings, decision, options, recording })
    }

    /// The target in the metrics of this run.
    pub fn told_about(&self) -> Asked {
        let RecordedSettings { namespace, selector, .. } = self.settings.clone();
        let (namespace, target) = (namespace.unwrap_or_default(), selector.unwrap_or_default());
        Asked { namespace, target, dry_run: "client" }
    }
}

/// The path that stands for the standard input.
const STANDARD_INPUT: &str = "-";

/// What is read of a file, from its beginning.
pub type Reader = Box<dyn BufRead + Send>;

/// Opens saved data, or standard input, to `use_it` as the word says; `None` for a folder.
///
/// # Errors
/// A path that cannot be read.
pub fn open(path: &Path, use_it: &str) -> Result<Option<Reader>, Failure> {
    if path == Path::new(STANDARD_INPUT) {
        let reader = file::unpacked(BufReader::new(io::stdin())).context("cannot read standard input")?;
        return Ok(Some(reader));
    }
    let shown = path.display();
    let facts = std::fs::metadata(path)
        .map_err(|error| Failure::usage(format!("cannot {use_it} {shown}: {error}")))?;
    if facts.is_dir() {
        return Ok(None);
    }
    Ok(Some(file::open(path).with_context(|| format!("cannot read {shown}"))?))
}

fn read(opened: Option<Reader>, args: &SavedArgs, matches: &ArgMatches) -> Result<Saved, Failure> {
    let path = args.path.as_path();
    let Some(mut reader) = opened else { return from_folder(path, args) };
    let path = if path == Path::new(STANDARD_INPUT) { Path::new("standard input") } else { path };
    let shown = path.display();
    let mut start: Vec<u8> = Vec::new();
    (&mut reader).take(64).read_to_end(&mut start).with_context(|| format!("cannot read {shown}"))?;
    let first = start.iter().copied().find(|byte| !byte.is_ascii_whitespace());
    let hint = hint(&start);
    let whole: Reader = Box::new(Cursor::new(start).chain(reader));
    match (first, hint) {
        (Some(b'['), _) => from_states(path, whole, &args.decision),
        (Some(b'{'), Some(hint)) => Err(Failure::Run(anyhow::anyhow!("{shown} {hint}"))),
        (Some(b'{' | b'<'), _) => from_recording(path, whole, &args.decision, matches),
        _ => Err(Failure::Run(anyhow::anyhow!(
            "{shown} is neither a recording nor a JSON array of pod states; \
             a folder of API answers is given by the folder's name"
        ))),
    }
}

/// What to do with a file that belongs in a folder, by the keys in its start.
fn hint(start: &[u8]) -> Option<&'static str> {
    const HINTS: [(&str, &str); 3] = [
        (
            "\"status\"",
            "is the answer to one query: save it in a folder under the name of its metric, such as cpu.json, \
             and replay the folder",
        ),
        (
            "\"apiVersion\"",
            "is a list of pods: save it as pods.json beside the answers, and replay their folder",
        ),
        ("\"api_version\"", "is a report: replay the recording or the folder it was made from"),
    ];
    let holds = |key: &str| start.windows(key.len()).any(|part| part == key.as_bytes());
    let found = HINTS.into_iter().filter(|_| !holds("\"format\"")).find(|(key, _)| holds(key));
    found.map(|(_, hint)| hint)
}

fn from_states(path: &Path, reader: Reader, decision: &DecisionArgs) -> Result<Saved, Failure> {
    let pods = states::pod_states(reader).with_context(|| path.display().to_string())?;
    Ok(Saved::plain(states::joined(&pods), states::present(&pods), None, decision))
}

fn from_folder(path: &Path, args: &SavedArgs) -> Result<Saved, Failure> {
    let wanted =
        Wanted { pod_label: &args.pod_label, namespace: None, max_bytes: PrometheusConfig::MAX_SAVED_BYTES };
    let decision = DecisionSettings::from(&args.decision);
    let mut snapshot = Snapshot::open(path, &wanted).map_err(anyhow::Error::new)?;
    let (asked, at) = (mem::take(&mut snapshot.asked), snapshot.at);
    let unclear = "cannot tell the pods apart";
    let Some(pods) = snapshot.pods.take() else {
        let joined = snapshot.with_named(decision.max_sample_age).context(unclear)?;
        return Ok(Saved::plain(joined, asked, at, &args.decision));
    };
    // Answers without a sample have no time; any will do.
    let pods = live_pods(pods.as_slice(), at.unwrap_or(Timestamp::UNIX_EPOCH))
        .with_context(|| format!("{}/pods.json", path.display()))?;
    let joined = snapshot.with_live(&pods, decision.freshness()).context(unclear)?;
    let workload = Workload { pods, owners: Vec::new() };
    Ok(Saved { workload, ..Saved::plain(joined, asked, at, &args.decision) })
}

fn from_recording(
    path: &Path,
    reader: Reader,
    args: &DecisionArgs,
    matches: &ArgMatches,
) -> Result<Saved, Failure> {
    let recording = Recording::read_from(path, reader).map_err(anyhow::Error::new)?;
    let ReadBack { settings, workload, answers, recorded } = read_back(&recording, path)?;
    let decision = DecisionSettings::from(&recorded::taken_up(args, &settings, matches)?);
    let mut told: Vec<String> = of_known_age(&answers, &decision)?;
    told.extend(recorded::unknown(&settings));
    let joined = answers.join(&workload.pods, decision.freshness()).context("cannot tell the pods apart")?;
    let (asked, at) = (answers.asked(), answers.has_samples().then_some(answers.at));
    let recorded = Some((recording, recorded));
    Ok(Saved { joined, asked, at, told, workload, settings, decision, recorded })
}

impl Saved {
    /// Loads without recorded settings, and without live pods yet.
    fn plain(joined: Joined, asked: Vec<Metric>, at: Option<Timestamp>, decision: &DecisionArgs) -> Self {
        let (workload, settings) = (Workload::default(), RecordedSettings::default());
        let decision = DecisionSettings::from(decision);
        Self { joined, asked, at, told: Vec::new(), workload, settings, decision, recorded: None }
    }
}
