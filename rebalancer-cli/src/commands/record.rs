//! `record`: saves everything a decision needs to one file. Decides and changes nothing.

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::ArgMatches;
use rebalancer_io::facts::Kept;
use rebalancer_io::recording::RedactionKey;

use crate::cli::args::RecordArgs;
use crate::failure::Failure;
use crate::pipeline::decide::{find, living, partitions_past};
use crate::pipeline::live::Live;
use crate::pipeline::recorded::Keep;
use crate::render;
use crate::settings::decision::DecisionSettings;

/// Records.
///
/// # Errors
/// A setting, a server or an answer that is wrong, or a file that cannot be written.
pub fn run(args: &RecordArgs, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let decision = DecisionSettings::from(&args.live.decision);
    let key = redaction_key(args)?;
    let live = Live::connect(&args.live, &decision, matches, &Arc::default())?;
    let observation = live.observe(Keep { file: Some(&args.file), page: false, redact: key.as_ref() })?;
    // Facts are fetched whatever the loads: the recording may be replayed with other settings.
    let (workload, finder) = (&observation.subject.workload, observation.finder());
    let live = living(workload);
    drop(find(&decision, &finder, &live, workload.rollout_age(), &Kept::none()));
    drop(partitions_past(&finder, &live));
    observation.save()?;
    let (file, pods) = (args.file.display(), observation.subject.workload.pods.len());
    let text = format!(
        "recorded {pods} pods and {} answers at {} to {file}{}\n",
        observation.requests(),
        observation.answers.at,
        if key.is_some() {
            ", names replaced by keyed hashes; look through it before you share it"
        } else {
            ""
        }
    );
    render::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The key for hashing names, if they are to be hashed.
fn redaction_key(args: &RecordArgs) -> Result<Option<RedactionKey>, Failure> {
    let Some(path) = &args.redact_key_file else {
        let random = || RedactionKey::random().context("the system has no randomness for a key");
        return Ok(args.redact.then(random).transpose()?);
    };
    let shown = path.display();
    let bytes =
        fs::read(path).map_err(|error| Failure::usage(format!("REDACT_KEY_FILE: {shown}: {error}")))?;
    let key = RedactionKey::new(&bytes);
    key.map(Some).map_err(|error| Failure::usage(format!("REDACT_KEY_FILE: {shown}: {error}")))
}
