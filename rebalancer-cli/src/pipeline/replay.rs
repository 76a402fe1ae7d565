//! Decides again from saved data: a recording, a folder of API answers, or a list of pod states.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use anyhow::Context as _;
use clap::{ArgMatches, FromArgMatches};
use jiff::Timestamp;
use rebalancer_core::{Join, JoinError, Joined, LivePod, Metric, PodState, RotationOptions, Workload};
use rebalancer_io::kubernetes::live_pods;
use rebalancer_io::podstate::Answers;
use rebalancer_io::prometheus::{PrometheusConfig, Wanted};
use rebalancer_io::recording::Recording;
use rebalancer_io::snapshot::{Snapshot, join_named_pods, newest_sample};
use rebalancer_io::{file, states};

use crate::cli::args::{Cli, Command, DecisionArgs, SavedArgs};
use crate::cli::usage;
use crate::failure::Failure;
use crate::pipeline::decide::{Known, Purpose, decide};
use crate::pipeline::live::owner;
use crate::pipeline::recorded::{ReadBack, Recorded, read_back};
use crate::report::{Kind, Report, WorkloadReport};
use crate::settings::decision::{DecisionSettings, PLAN_DEADLINE};
use crate::settings::recorded::{RecordedSettings, flags_to_take_up};
use crate::telemetry::notes::{Asked, Notes, Stage};

/// The saved data.
struct Saved {
    loads: Loads,
    /// Without pods if only their names are known.
    workload: Workload,
    settings: RecordedSettings,
    decision: DecisionSettings,
    /// A recording's answers besides the loads; a folder or a list of pods has none.
    recorded: Option<Recorded>,
    /// The whole recording, if it is one.
    recording: Option<Recording>,
}

/// A workload with only the names of its pods known.
const UNKNOWN: Workload = Workload { pods: Vec::new(), owners: Vec::new() };

/// The loads of the pods.
enum Loads {
    Answers(Box<Answers>),
    /// For the pods that the answers name, with the metrics that were queried.
    Named(Box<Join>, Vec<Metric>),
    States(Vec<PodState>),
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
    /// Reads the saved data, and decides.
    ///
    /// # Errors
    /// A path that cannot be read, or that contains something else.
    pub fn new(
        args: &SavedArgs,
        matches: &ArgMatches,
        notes: &Notes,
        detailed: bool,
    ) -> Result<Self, Failure> {
        let saved = notes.time(Stage::Query, || read(args, matches))?;
        let Saved { loads, workload, settings, decision, recorded, recording } = saved;
        let (asked, at) = (loads.asked(), loads.evaluation_time());
        let joined = loads.joined(&workload.pods, &decision).context("cannot tell the pods apart")?;
        let described = WorkloadReport {
            owner: owner(&workload),
            context: None,
            pods: workload.pods.len(),
            namespace: settings.namespace.clone(),
            selector: settings.selector.clone(),
            found: Vec::new(),
        };
        let known = Known {
            joined: &joined,
            workload: &workload,
            asked: &asked,
            evaluation_time: at.map(|time| time.to_string()),
            described,
            cures: None,
            has_past: recorded.as_ref().is_some_and(Recorded::has_past),
        };
        let options = decision.rotation_options(settings.allow_multiple_controllers, PLAN_DEADLINE);
        let finder = recorded.as_ref().zip(at).map(|(recorded, at)| recorded.finder(at));
        let purpose = purpose(&options, detailed);
        let report = notes.time(Stage::Decide, || decide(&decision, &known, finder.as_ref(), purpose))?;
        Ok(Self { report, settings, decision, options, recording })
    }

    /// The target in the metrics of this run.
    pub fn told_about(&self) -> Asked {
        let RecordedSettings { namespace, selector, .. } = self.settings.clone();
        let (namespace, target) = (namespace.unwrap_or_default(), selector.unwrap_or_default());
        Asked { namespace, target, dry_run: "client" }
    }
}

/// A replay decides like a plan.
pub fn purpose(options: &RotationOptions, detailed: bool) -> Purpose<'_> {
    Purpose { kind: Kind::Plan, dry_run: "client", rotation: Some(options), detailed }
}

/// The path that stands for the standard input.
const STANDARD_INPUT: &str = "-";

/// What is read of a file, from its beginning.
type Reader = Box<dyn BufRead + Send>;

fn read(args: &SavedArgs, matches: &ArgMatches) -> Result<Saved, Failure> {
    if args.path == Path::new(STANDARD_INPUT) {
        let path = Path::new("standard input");
        let reader = file::unpacked(BufReader::new(io::stdin())).context("cannot read standard input")?;
        return from_file(path, reader, args, matches);
    }
    let path = args.path.as_path();
    let shown = path.display();
    let facts =
        std::fs::metadata(path).map_err(|error| Failure::usage(format!("cannot replay {shown}: {error}")))?;
    if facts.is_dir() {
        return from_folder(path, args);
    }
    let reader = file::open(path).with_context(|| format!("cannot read {shown}"))?;
    from_file(path, reader, args, matches)
}

fn from_file(
    path: &Path,
    mut reader: Reader,
    args: &SavedArgs,
    matches: &ArgMatches,
) -> Result<Saved, Failure> {
    let shown = path.display();
    let mut start = [0; 64];
    let read = read_start(&mut reader, &mut start).with_context(|| format!("cannot read {shown}"))?;
    let start = start[..read].to_vec();
    let first = start.iter().copied().find(|byte| !byte.is_ascii_whitespace());
    let hint = hint(&start);
    let whole: Reader = Box::new(Cursor::new(start).chain(reader));
    match (first, hint) {
        (Some(b'['), _) => from_states(path, whole, &args.decision),
        (Some(b'{'), Some(hint)) => Err(Failure::Run(anyhow::anyhow!("{shown} {hint}"))),
        (Some(b'{' | b'<'), _) => from_recording(path, whole, matches),
        _ => Err(Failure::Run(anyhow::anyhow!(
            "{shown} is neither a recording nor a JSON array of pod states; \
             a folder of API answers is given by the folder's name"
        ))),
    }
}

/// What to do with a file that belongs in a folder.
fn hint(start: &[u8]) -> Option<&'static str> {
    let holds = |key: &str| start.windows(key.len()).any(|part| part == key.as_bytes());
    if holds("\"format\"") {
        return None;
    }
    if holds("\"status\"") {
        return Some(
            "is the answer to one query: save it in a folder under the name of its metric, such as cpu.json, \
             and replay the folder",
        );
    }
    if holds("\"apiVersion\"") {
        return Some("is a list of pods: save it as pods.json beside the answers, and replay their folder");
    }
    holds("\"api_version\"").then_some("is a report: replay the recording or the folder it was made from")
}

fn read_start(file: &mut impl Read, start: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < start.len() {
        match file.read(&mut start[read..])? {
            0 => break,
            more => read += more,
        }
    }
    Ok(read)
}

fn from_states(path: &Path, reader: Reader, decision: &DecisionArgs) -> Result<Saved, Failure> {
    let pods = states::pod_states(reader).with_context(|| path.display().to_string())?;
    Ok(Saved {
        loads: Loads::States(pods),
        workload: UNKNOWN,
        settings: RecordedSettings::default(),
        decision: DecisionSettings::from(decision),
        recorded: None,
        recording: None,
    })
}

fn from_folder(path: &Path, args: &SavedArgs) -> Result<Saved, Failure> {
    let wanted =
        Wanted { pod_label: &args.pod_label, namespace: None, max_bytes: PrometheusConfig::MAX_SAVED_BYTES };
    let read = |loads: Loads, workload: Workload| Saved {
        loads,
        workload,
        settings: RecordedSettings::default(),
        decision: DecisionSettings::from(&args.decision),
        recorded: None,
        recording: None,
    };
    let max_sample_age = DecisionSettings::from(&args.decision).max_sample_age;
    let named = join_named_pods(path, &wanted, max_sample_age).map_err(anyhow::Error::new)?;
    if let Some((join, asked)) = named {
        return Ok(read(Loads::Named(Box::new(join), asked), UNKNOWN));
    }
    let snapshot = Snapshot::open(path, &wanted).map_err(anyhow::Error::new)?;
    // Answers without a sample have no time; any will do.
    let at = snapshot.evaluation_time().unwrap_or(Timestamp::UNIX_EPOCH);
    let pods = snapshot.pods.as_deref().map(|json| live_pods(json, at)).transpose();
    let pods = pods.with_context(|| format!("{}/pods.json", path.display()))?.unwrap_or_default();
    let answers = Answers::new(at, snapshot.answers);
    Ok(read(Loads::Answers(Box::new(answers)), Workload { pods, owners: Vec::new() }))
}

fn from_recording(path: &Path, reader: Reader, matches: &ArgMatches) -> Result<Saved, Failure> {
    let recording = Recording::read_from(path, reader).map_err(anyhow::Error::new)?;
    let ReadBack { settings, workload, answers, recorded } = read_back(&recording, path)?;
    let decision = DecisionSettings::from(&taken_up(&settings, matches)?);
    let loads = Loads::Answers(Box::new(answers));
    Ok(Saved { loads, workload, settings, decision, recorded: Some(recorded), recording: Some(recording) })
}

/// The decision settings of this call, with recorded values for those not given.
fn taken_up(settings: &RecordedSettings, matches: &ArgMatches) -> Result<DecisionArgs, Failure> {
    // Inserted before the rest: after `--` a flag would be read as a path.
    let flags = flags_to_take_up(settings, matches).into_iter().map(OsString::from);
    let mut typed = std::env::args_os();
    let command: Vec<OsString> = typed.by_ref().take(2).collect();
    let arguments = command.into_iter().chain(flags).chain(typed);
    let parsed =
        usage::command().try_get_matches_from(arguments).and_then(|matches| Cli::from_arg_matches(&matches));
    match parsed.map(|cli| cli.command) {
        Ok(Command::Replay(args)) => Ok(args.saved.decision),
        Ok(Command::Report(args)) => Ok(args.saved.decision),
        Ok(_) => Err(Failure::usage("the recorded settings change the command")),
        Err(error) => Err(Failure::usage(format!("the recorded settings cannot be used: {error}"))),
    }
}

impl Loads {
    /// The loads of the live pods, or of all named pods if the live ones are unknown.
    fn joined(self, live: &[LivePod], decision: &DecisionSettings) -> Result<Joined, JoinError> {
        match self {
            Self::Answers(answers) => answers.join(live, decision.freshness()),
            Self::Named(join, _) => Ok(join.finish()),
            Self::States(pods) => Ok(states::joined(&pods)),
        }
    }

    /// Metrics that were queried.
    fn asked(&self) -> Vec<Metric> {
        match self {
            Self::Answers(answers) => answers.asked(),
            Self::Named(_, asked) => asked.clone(),
            Self::States(pods) => states::present(pods),
        }
    }

    /// The time of the loads; a list of pods, or answers without a sample, have none.
    fn evaluation_time(&self) -> Option<Timestamp> {
        match self {
            Self::Answers(answers) => answers.has_samples().then_some(answers.at),
            Self::Named(join, _) => newest_sample(join),
            Self::States(_) => None,
        }
    }
}
