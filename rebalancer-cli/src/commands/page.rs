//! Writes the HTML page of a report, together with the settings, queries and recording behind it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use clap::ArgMatches;
use rebalancer_io::file;
use rebalancer_io::recording::Recording;
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;
use crate::pipeline::decide::{Known, Purpose, decide};
use crate::pipeline::history::look::before;
use crate::pipeline::live::{Live, Subject};
use crate::pipeline::recorded::read_back;
use crate::pipeline::replay::Replayed;
use crate::render::html::{self, Embedded, Extras, Past, QueryRow};
use crate::report::config::Row;
use crate::report::{Kind, Report};
use crate::settings::decision::DecisionSettings;
use crate::settings::recorded::{RecordedSettings, flags_to_take_up};
use crate::settings::shown;

/// Parts of a report that a replay of its page must reproduce.
const DECISION: [&str; 7] =
    ["should_rebalance", "outliers", "statistics", "pods", "thresholds", "guards", "diagnosis"];

/// Largest relative difference at which two numbers of guards or diagnosis count as equal: smaller than what
/// a reader of the page can see.
const TOLERANCE: f64 = 0.005;

/// The HTML page that a command writes beside its report, if one is wanted.
#[derive(Default)]
pub struct Page {
    path: Option<PathBuf>,
    extras: Extras,
}

impl Page {
    /// A page for the file `path`, or none. Called first, so that an unwritable path stops the command early.
    ///
    /// # Errors
    /// A path that is a folder, or whose folder does not exist.
    pub fn new(path: Option<&Path>) -> Result<Self, Failure> {
        if let Some(path) = path {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = folder.unwrap_or_else(|| Path::new("."));
            let wrong = if path.is_dir() {
                Some("it is a folder".to_owned())
            } else {
                (!folder.is_dir()).then(|| format!("there is no folder {}", folder.display()))
            };
            if let Some(wrong) = wrong {
                return Err(Failure::usage(format!("cannot write the page {}: {wrong}", path.display())));
            }
        }
        Ok(Self { path: path.map(Path::to_owned), extras: Extras::default() })
    }

    /// Whether there is a file for it.
    pub const fn is_wanted(&self) -> bool {
        self.path.is_some()
    }

    /// Sets the page's other content; `extras` is called only if a page is wanted.
    pub fn gather(&mut self, extras: impl FnOnce() -> Extras) {
        if self.is_wanted() {
            self.extras = extras();
        }
    }

    /// Sets the other content of a page about `what`, which asks for more than a page can carry.
    pub fn gather_without_recording(
        &mut self,
        what: &str,
        matches: &ArgMatches,
        queries: impl FnOnce() -> Vec<QueryRow>,
    ) {
        let why = format!("{what} asks for more than a page can carry");
        self.gather(|| Extras {
            settings: page_settings(matches, None),
            queries: queries(),
            recording: Embedded::LeftOut(why),
            pasts: Vec::new(),
        });
    }

    /// Reads what earlier replacements of some workloads changed, and writes the page again with it, if one is wanted. Called last,
    /// because reading takes time and nothing depends on it: what cannot be read is a sentence on the page.
    ///
    /// # Errors
    /// If the page cannot be written.
    pub fn complete<'a>(
        &mut self,
        report: &impl Serialize,
        about: impl Iterator<Item = (&'a Live, &'a DecisionSettings, &'a Subject)>,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        let pasts = about.filter(|_| self.is_wanted()).map(|(live, decision, subject)| {
            let told = before(live, decision, subject, begun).map_err(|failure| failure.words());
            Past { of: subject.described.clone(), told }
        });
        self.extras.pasts = pasts.collect();
        if self.extras.pasts.is_empty() { Ok(()) } else { self.write(report) }
    }

    /// Writes the page of a report, if one is wanted. An existing file is replaced atomically.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, report: &impl Serialize) -> Result<(), Failure> {
        if !self.is_wanted() {
            return Ok(());
        }
        let report = serde_json::to_value(report).context("cannot write the report as JSON")?;
        self.put(&html::page(&report, &self.extras)?)
    }

    /// Writes a finished page in the same way.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn put(&self, text: &str) -> Result<(), Failure> {
        let Some(path) = &self.path else { return Ok(()) };
        let written = file::replace(path, |mut file| {
            file.write_all(text.as_bytes())?;
            Ok(file)
        });
        Ok(written.with_context(|| format!("cannot write the page {}", path.display()))?)
    }
}

/// The other content of a decision's page.
pub fn page_extras(
    matches: &ArgMatches,
    recording: Option<&Recording>,
    report: &Report,
    decision: &DecisionSettings,
    purpose: Purpose<'_>,
) -> Extras {
    let Some(recording) = recording else {
        return Extras { settings: page_settings(matches, None), ..Extras::default() };
    };
    let recorded: Option<RecordedSettings> = serde_json::from_value(recording.config.clone()).ok();
    let recorded = recorded.filter(|_| purpose.kind == Kind::Plan && report.workload.context.is_none());
    let same = |back: &Recording| again(back, decision, purpose).is_ok_and(|again| is_same(report, &again));
    Extras {
        settings: page_settings(matches, recorded.as_ref()),
        queries: html::of_recording(recording),
        recording: Embedded::of(recording, same),
        pasts: Vec::new(),
    }
}

/// The other content of a replay's page.
pub fn replay_extras(replayed: &Replayed, matches: &ArgMatches) -> Extras {
    let Replayed { report, decision, options, recording, .. } = replayed;
    page_extras(matches, recording.as_ref(), report, decision, Purpose::plan(options, true))
}

/// The settings in force, including those taken from a recording.
fn page_settings(matches: &ArgMatches, recorded: Option<&RecordedSettings>) -> Vec<Row> {
    let taken_up = recorded.map(|recorded| flags_to_take_up(recorded, matches)).unwrap_or_default();
    let mut rows = shown::settings(matches);
    for row in &mut rows {
        let recorded = row.flag.as_ref().and_then(|flag| taken_up.get(flag));
        // A recorded value that equals the default is shown as the default.
        if let Some(value) = recorded.filter(|value| Some(*value) != row.value.as_ref()) {
            (row.value, row.source) = (Some(value.clone()), "recording");
        }
    }
    rows.retain(|row| row.value.is_some());
    rows
}

/// Decides again from a recording, with the settings of `decision`.
fn again(recording: &Recording, decision: &DecisionSettings, purpose: Purpose<'_>) -> anyhow::Result<Report> {
    let back = read_back(recording, Path::new("the page"))?;
    let known = Known::of(&back.answers, &back.workload, decision.freshness())?;
    let known = Known { has_past: back.recorded.has_past, ..known };
    let finder = back.recorded.finder(back.answers.at);
    decide(decision, &known, Some(&finder), purpose)
}

/// Whether two reports are the same decision from the same numbers.
fn is_same(one: &Report, other: &Report) -> bool {
    let json = |report: &Report| serde_json::to_value(report).unwrap_or_default();
    let (one, other) = (json(one), json(other));
    DECISION.into_iter().all(|part| {
        let is_exact = !matches!(part, "guards" | "diagnosis");
        if is_exact { one[part] == other[part] } else { is_near(&one[part], &other[part]) }
    })
}

/// Whether two values are equal except for wording and the last digits of numbers.
fn is_near(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) = (one.as_f64().unwrap_or_default(), other.as_f64().unwrap_or_default());
            (one - other).abs() <= TOLERANCE * one.abs().max(other.abs())
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_near(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let in_words = |key: &str| matches!(key, "reason" | "evidence" | "advice");
            one.len() == other.len()
                && one.iter().all(|(key, value)| {
                    other.get(key).is_some_and(|other| in_words(key) || is_near(value, other))
                })
        }
        _ => one == other,
    }
}
