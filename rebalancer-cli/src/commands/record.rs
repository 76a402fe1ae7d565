//! `record`: save everything a decision needs to one file; decides and changes nothing.

use std::process::ExitCode;

use clap::ArgMatches;

use crate::args::RecordArgs;
use crate::decide::{DecisionSettings, find, living};
use crate::failure::Failure;
use crate::live::{Keep, Live};
use crate::{exit, output};

/// Records.
///
/// # Errors
/// A setting, a server or an answer that is wrong, or a file that cannot be written.
pub fn run(args: &RecordArgs, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let decision = DecisionSettings::from(&args.live.decision);
    let live = Live::connect(&args.live, &decision, matches)?;
    let observation = live.observe(Keep { file: Some(&args.file), page: false })?;
    // Whatever the loads are: the recording may be replayed with other settings.
    let workload = &observation.workload;
    drop(find(&decision, &observation.finder(), &living(workload), workload.rollout_age()));
    observation.save()?;
    let (file, pods) = (args.file.display(), observation.workload.pods.len());
    let text = format!(
        "recorded {pods} pods and {} answers at {} to {file}\n",
        observation.requests(),
        observation.answers.at
    );
    output::print(&text, std::io::stdout())?;
    Ok(ExitCode::from(exit::DECIDED))
}
