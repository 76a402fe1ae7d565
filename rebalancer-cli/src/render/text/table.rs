//! The report for people: the observation, the decision, and the reasons. The first and the last line say
//! whether it is a dry run.

use rebalancer_core::diagnosis::Remedy;
use rebalancer_core::guard::Standing;

use super::screen::{BOLD, Mark, PLAIN, Screen};
use super::{lines, named, pods, spreads};
use crate::cli::args::OutputFormat;
use crate::format::names::shared_prefix;
use crate::format::number::ratio;
use crate::format::text::{count, plain, spaced};
use crate::render::terminal::Terminal;
use crate::report::diagnosis::{CauseCode, DiagnosisReport, SpreadReport};
use crate::report::verdict::VerdictReport;
use crate::report::{FoundReport, Kind, Outcome, Report, TargetReport};

/// Renders the report. As names, the pods that would be, or were, evicted.
pub fn render(report: &Report, format: OutputFormat, terminal: Terminal) -> String {
    if format == OutputFormat::Name {
        let deleted = report.rotation.iter().flat_map(|rotation| &rotation.deleted);
        let planned = report.targets.iter().filter(|_| report.acts()).map(|target| &target.pod);
        return lines(deleted.chain(planned));
    }
    let wide = format == OutputFormat::Wide;
    let mut screen = Screen::new(terminal);
    write_dry_run(&mut screen, report);
    if let Some(found) = FoundReport::words(&report.workload.found) {
        screen.prose(PLAIN, &plain(&found));
    }
    screen.prose(PLAIN, &headline(report));
    screen.blank();
    let prefix = shared_prefix(report.pods.iter().map(|pod| pod.name.as_str()));
    spreads::write(&mut screen, report, terminal.width, &prefix, wide);
    if !report.pods.is_empty() {
        screen.blank();
        pods::write(&mut screen, report, terminal.width, &prefix, wide);
    }
    screen.blank();
    screen.prose(BOLD, &verdict(report));
    for guard in by_weight(report) {
        screen.item(mark(guard.verdict), &format!("{}: {}", guard.name, plain(&guard.reason)));
    }
    for obstacle in &report.obstacles {
        screen.item(Mark::Bad, &plain(obstacle));
    }
    for warning in &report.warnings {
        screen.item(Mark::Notice, &plain(warning));
    }
    write_diagnosis(&mut screen, report, wide);
    write_rotation(&mut screen, report);
    write_dry_run(&mut screen, report);
    screen.finish()
}

/// Renders the result of a plan that was already shown.
pub fn render_result(report: &Report, terminal: Terminal) -> String {
    let mut screen = Screen::new(terminal);
    screen.blank();
    if report.rotation.is_some() {
        screen.prose(BOLD, &verdict(report));
        write_rotation(&mut screen, report);
    } else {
        screen.prose(BOLD, "Not confirmed: nothing was evicted.");
    }
    write_dry_run(&mut screen, report);
    screen.finish()
}

/// The guards: first those that hold, then the unknown ones, then those that pass.
fn by_weight(report: &Report) -> Vec<&VerdictReport> {
    let mut guards: Vec<&VerdictReport> = report.guards.iter().collect();
    guards.sort_by_key(|guard| match guard.verdict {
        Standing::Hold => 0,
        Standing::Unknown => 1,
        Standing::Pass => 2,
    });
    guards
}

/// The cause, what would help, and how even the load could be; with `wide`, also every test.
fn write_diagnosis(screen: &mut Screen, report: &Report, wide: bool) {
    let DiagnosisReport { steps, notes, advice, assignor, assignor_is_a_guess, spread, remedy, .. } =
        &report.diagnosis;
    if report.diagnosis.is_empty() {
        return;
    }
    screen.blank();
    screen.prose(PLAIN, &format!("Why: {}.", why(&report.diagnosis, wide)));
    if *remedy != Remedy::None {
        screen.prose(PLAIN, &format!("Remedy: {}.", report.diagnosis.remedy_words()));
    }
    if let Some(other) = &report.alternative {
        screen.item(Mark::Notice, &plain(&other.words()));
    }
    for note in notes {
        screen.item(Mark::Notice, &format!("also {}", plain(note)));
    }
    for line in advice {
        screen.item(Mark::Advice, &plain(line));
    }
    if let Some(spread) = spread {
        write_spread(screen, spread);
    }
    if !wide || steps.is_empty() {
        return;
    }
    let looks = if *assignor_is_a_guess { "looks like " } else { "" };
    let assignor = assignor.as_deref().map_or_else(|| "not known".to_owned(), plain);
    screen.indented(2, &format!("assignor: {looks}{assignor}"));
    for step in steps {
        screen.item(mark(step.verdict), &format!("{}: {}", step.name, plain(&step.reason)));
    }
}

/// The cause; of an unknown one, what came of the tests.
fn why(diagnosis: &DiagnosisReport, wide: bool) -> String {
    if diagnosis.cause.code != CauseCode::Unknown || diagnosis.steps.is_empty() {
        return plain(&diagnosis.evidence);
    }
    let passed = count(diagnosis.tests(Standing::Pass), "test", "tests");
    let untold = match diagnosis.tests(Standing::Unknown) {
        0 => String::new(),
        untold => format!(", {untold} could not tell{}", if wide { "" } else { " (-o wide shows why)" }),
    };
    format!("not known. {passed} found no cause{untold}")
}

/// How even the load could be.
fn write_spread(screen: &mut Screen, spread: &SpreadReport) {
    let SpreadReport { now, expected, expected_low, expected_high, unmodelled, best, .. } = spread;
    let expected = match (expected, expected_low, expected_high) {
        (Some(expected), Some(low), Some(high)) if low < high => {
            format!("{} expected after this rotation ({} to {})", ratio(*expected), ratio(*low), ratio(*high))
        }
        (Some(expected), ..) => format!("{} expected after this rotation", ratio(*expected)),
        (None, ..) => "not known after this rotation".to_owned(),
    };
    if let Some(why) = unmodelled {
        screen.item(Mark::Notice, &plain(why));
    }
    let (now, best) = (ratio(*now), ratio(*best));
    screen.indented(
        2,
        &format!("spread of the partitions over the pods: {now} now, {expected}, {best} at best"),
    );
}

const fn mark(standing: Standing) -> Mark {
    match standing {
        Standing::Pass => Mark::Good,
        Standing::Hold => Mark::Bad,
        Standing::Unknown => Mark::Unknown,
    }
}

fn write_dry_run(screen: &mut Screen, report: &Report) {
    // A plan says at its end that nothing was changed.
    let words = match report.dry_run.as_str() {
        _ if report.kind != Kind::RunReport => return,
        "client" => "DRY RUN: nothing is changed",
        "server" => "DRY RUN: the cluster is asked, nothing is changed",
        _ => return,
    };
    screen.prose(BOLD, words);
}

fn headline(report: &Report) -> String {
    let workload = &report.workload;
    let mut parts = named([
        ("context", &workload.context),
        ("namespace", &workload.namespace),
        ("selector", &workload.selector),
    ]);
    parts.extend(workload.owner.as_deref().map(plain));
    parts.push(count(workload.pods, "pod", "pods"));
    parts.extend(report.evaluation_time.as_ref().map(|time| format!("at {time}")));
    parts.join(" · ")
}

/// The sentence to read first.
fn verdict(report: &Report) -> String {
    let why = plain(&report.reason);
    let targets = targets(&report.targets);
    match report.outcome {
        Outcome::Balanced => format!("Balanced: no action. {why}."),
        Outcome::InsufficientData => format!("Insufficient data: no action. {why}."),
        Outcome::Withheld => format!("Withheld: no action. {why}."),
        Outcome::Blocked => format!("Blocked: nothing was evicted. {why}."),
        Outcome::Planned => format!("Plan: evict {targets}. {why}. Nothing has been changed."),
        Outcome::Rotated => format!("Rotated: evicted {targets}. {why}."),
        Outcome::Partial => format!("PARTIAL: not all targets were evicted. {why}."),
        Outcome::Failed => format!("FAILED: {why}."),
    }
}

fn targets(targets: &[TargetReport]) -> String {
    let named =
        targets.iter().map(|target| format!("{} ({})", plain(&target.pod), spaced(target.role.name())));
    named.collect::<Vec<String>>().join(" and ")
}

fn write_rotation(screen: &mut Screen, report: &Report) {
    let Some(rotation) = &report.rotation else { return };
    for pod in &rotation.deleted {
        screen.item(Mark::Good, &format!("{} evicted", plain(pod)));
    }
    for (pod, reason) in &rotation.skipped {
        screen.item(Mark::Left, &format!("{} not evicted: {}", plain(pod), plain(&reason.message)));
    }
    for (pod, reason) in &rotation.errors {
        screen.item(Mark::Bad, &format!("{}: {}", plain(pod), plain(&reason.message)));
    }
    let took = rotation.steps.last().filter(|_| report.dry_run == "none");
    if let Some(last) = took {
        let (evicted, left, failed) = (rotation.deleted.len(), rotation.skipped.len(), rotation.errors.len());
        let seconds = last.at_ms as f64 / 1000.0;
        screen.prose(
            PLAIN,
            &format!("Done after {seconds:.1}s: {evicted} evicted, {left} not evicted, {failed} failed."),
        );
    }
}
