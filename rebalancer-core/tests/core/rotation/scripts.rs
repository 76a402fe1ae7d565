//! Runs the scripts beside this file: one line an answer, and what the rotation asks for next.
//!
//! `UPDATE_SCRIPTS=1 cargo test -p rebalancer-core --test core scripts` writes what comes
//! after each `=>` and the reports anew; read the difference before committing it.

use super::fleet;
use core::fmt::Write;
use core::time::Duration;
use rebalancer_core::{
    Action, Answer, ApiFailure, Budget, Claim, ClaimFate, FailureKind, Method, Mode, Pacing, Presence,
    Rotation, RotationOptions, RotationReport, UnexpectedAnswer, Workload,
};
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_script_plays_as_written() {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/core/rotation");
    let mut scripts: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the folder of this file")
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    scripts.sort();
    assert!(scripts.len() >= 5, "the scripts lie beside this file, found {scripts:?}");
    for path in scripts {
        let written: String = fs::read_to_string(&path).expect("a readable script");
        let played: String = play(&written);
        if std::env::var_os("UPDATE_SCRIPTS").is_some() {
            fs::write(&path, &played).expect("a writable script");
            continue;
        }
        let first_difference =
            written.lines().zip(played.lines()).find(|(written, played)| written != played);
        assert!(written == played, "{}: {first_difference:?}\nplayed:\n{played}", path.display());
    }
}

/// Plays all scenarios of a script and writes it down as it went.
fn play(script: &str) -> String {
    let mut out: String = String::new();
    let mut run: Option<Run> = None;
    // A blank line ends a scenario, so the last one is ended too.
    for line in script.lines().chain([""]) {
        if line.starts_with('#') {
            writeln!(out, "{line}").expect("a string");
        } else if line.is_empty() {
            if let Some(run) = run.take() {
                out.push_str(&told(&run.rotation.finish()));
            }
            out.push('\n');
        } else if !line.starts_with(' ') {
            let command: &str = line.split("=>").next().unwrap_or_default().trim();
            let said: String = match &mut run {
                None => run.insert(Run::begin(command)).asked(),
                Some(run) => run.answer(command),
            };
            writeln!(out, "{command} => {said}").expect("a string");
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// One scenario being played.
struct Run {
    rotation: Rotation,
    workload: Workload,
    now: Duration,
    /// Whether the scenario itself answers about claims.
    tells_claims: bool,
}

impl Run {
    fn begin(command: &str) -> Self {
        let mut words = command.split_whitespace();
        assert_eq!(words.next(), Some("plan"), "a scenario begins with its plan: {command}");
        let mut options: RotationOptions = RotationOptions::until(Duration::from_secs(60));
        let (mut kind, mut targets, mut tells_claims) = ("ReplicaSet", vec!["a", "d"], false);
        for word in words {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            match (name, value) {
                ("kind", value) => kind = value,
                ("targets", value) => targets = value.split(',').collect(),
                ("pacing", "wait_ready") => options.pacing = Pacing::WaitReady,
                ("mode", "server_dry_run") => options.mode = Mode::ServerDryRun,
                ("method", "delete") => options.method = Method::Delete,
                ("claims", "") => tells_claims = true,
                ("no_claim", "") => options.claim = false,
                ("many_controllers", "") => options.allow_many_controllers = true,
                ("grace_s", value) => options.grace_period_s = Some(value.parse().expect("seconds")),
                ("deadline_s", value) => options.deadline = seconds(value),
                ("warm_up_s", value) => options.warm_up = seconds(value),
                ("min_pods", value) => options.min_pods = value.parse().expect("a count"),
                _ => panic!("{word}: not understood"),
            }
        }
        let workload: Workload = fleet::workload(kind, &["a", "b", "c", "d"]);
        let plan = fleet::plan(&targets, &workload, options);
        let mut run = Self { rotation: Rotation::new(plan), workload, now: Duration::ZERO, tells_claims };
        run.claim_unless_told();
        run
    }

    /// Finds no claim in force, and wins its own, where the scenario does not tell of claims.
    fn claim_unless_told(&mut self) {
        let answer: Answer = match self.rotation.poll_action() {
            Action::FindClaims { .. } if !self.tells_claims => Answer::Claims(Ok(Vec::new())),
            Action::Claim(_) if !self.tells_claims => Answer::Claimed(Ok(ClaimFate::Won)),
            _ => return,
        };
        self.rotation.handle(self.now, answer).expect("it was asked for");
    }

    /// Hands in an answer, one second after the last unless it begins with `@SECONDS`.
    fn answer(&mut self, command: &str) -> String {
        let mut command: &str = command;
        self.now += Duration::from_secs(1);
        if let Some((at, rest)) = command.strip_prefix('@').and_then(|timed| timed.split_once(' ')) {
            (self.now, command) = (seconds(at), rest);
        }
        let answer: Answer = parse_answer(command, &self.workload);
        let handled: Result<(), UnexpectedAnswer> = self.rotation.handle(self.now, answer);
        self.claim_unless_told();
        handled.map_or_else(|unexpected| format!("unexpected: {unexpected}"), |()| self.asked())
    }

    fn asked(&self) -> String {
        let action: Action = self.rotation.poll_action();
        let code: &str = action.code();
        match action {
            Action::ListBudgets { targets } => {
                let names: Vec<String> = targets.into_iter().map(|target| target.name).collect();
                format!("{code} {}", names.join(" "))
            }
            Action::Preflight(request) | Action::Evict(request) => {
                let delete: &str = if request.method == Method::Delete { " by delete" } else { "" };
                let grace: String = request.grace_period_s.map_or(String::new(), |s| format!(" grace {s}s"));
                format!("{code} {} {}{delete}{grace}", request.target.name, request.target.uid)
            }
            Action::LookUp(target) | Action::AwaitEviction(target) => format!("{code} {}", target.name),
            Action::Wait { until } => {
                format!("{code} until {}s for the evicted pod's replacement to be Ready", until.as_secs())
            }
            Action::Claim(request) => {
                let names: Vec<String> = request.targets.into_iter().map(|target| target.name).collect();
                let (generation, valid_s) = (request.generation, request.valid_for.as_secs());
                format!("{code} generation={generation} valid_s={valid_s} {}", names.join(" "))
            }
            Action::FindClaims { workload } => format!("{code} {} {}", workload.kind, workload.name),
            Action::ListWorkload | Action::Stop => code.to_string(),
        }
    }
}

fn seconds(number: &str) -> Duration {
    Duration::from_secs(number.parse().expect("seconds"))
}

fn parse_answer(command: &str, planned: &Workload) -> Answer {
    let (kind, rest) = command.split_once(' ').unwrap_or((command, ""));
    let failure: Option<ApiFailure> = rest.strip_prefix('!').map(parse_failure);
    match (kind, failure) {
        ("claims", Some(failure)) => Answer::Claims(Err(failure)),
        ("claims", None) => Answer::Claims(Ok(rest.split_whitespace().map(parse_claim).collect())),
        ("claimed", Some(failure)) => Answer::Claimed(Err(failure)),
        ("claimed", None) => {
            Answer::Claimed(Ok(if rest == "lost" { ClaimFate::Lost } else { ClaimFate::Won }))
        }
        ("workload", Some(failure)) => Answer::Workload(Err(failure)),
        ("workload", None) => {
            let mut workload: Workload = planned.clone();
            rest.split_whitespace().for_each(|word| fleet::change(&mut workload, word));
            Answer::Workload(Ok(workload))
        }
        ("budgets", Some(failure)) => Answer::Budgets(Err(failure)),
        ("budgets", None) => Answer::Budgets(Ok(rest.split_whitespace().map(parse_budget).collect())),
        ("preflight", failure) => Answer::Preflight(failure.map_or(Ok(()), Err)),
        ("eviction", failure) => Answer::Eviction(failure.map_or(Ok(()), Err)),
        ("looked_up", Some(failure)) => Answer::LookedUp(Err(failure)),
        ("looked_up", None) => Answer::LookedUp(Ok(parse_presence(rest))),
        ("not_sent", None) => Answer::NotSent,
        ("waited", None) => Answer::Waited,
        ("stop_requested", None) => Answer::StopRequested,
        _ => panic!("{command}: not understood"),
    }
}

/// `!code [HTTP] [retry=SECONDS] words of the server`
fn parse_failure(text: &str) -> ApiFailure {
    let (code, mut rest) = text.split_once(' ').unwrap_or((text, ""));
    let kind: FailureKind = *FailureKind::ALL
        .iter()
        .find(|kind| kind.code() == code)
        .unwrap_or_else(|| panic!("{code}: no such failure"));
    let mut failure: ApiFailure = ApiFailure::new(kind, "");
    if let Some((status, words)) = rest.split_once(' ').filter(|(word, _)| word.parse::<u16>().is_ok()) {
        (failure.http_status, rest) = (status.parse().ok(), words);
    }
    if let Some((wait, words)) = rest.strip_prefix("retry=").and_then(|rest| rest.split_once(' ')) {
        (failure.retry_after, rest) = (wait.parse().ok().map(Duration::from_secs), words);
    }
    failure.message = rest.to_string();
    failure
}

/// `name=ALLOWED:a,d`, with a `?` after the number when it is older than the specification.
fn parse_budget(word: &str) -> Budget {
    let (name, rest) = word.split_once('=').expect("name=allowed:targets");
    let (allowed, covers) = rest.split_once(':').expect("name=allowed:targets");
    Budget {
        name: name.to_string(),
        covers: covers.split(',').map(str::to_string).collect(),
        disruptions_allowed: allowed.trim_end_matches('?').parse().expect("a number"),
        generation: 2,
        observed_generation: if allowed.ends_with('?') { 1 } else { 2 },
    }
}

/// `GENERATION:AGE/VALID`, both in seconds.
fn parse_claim(word: &str) -> Claim {
    let (generation, times) = word.split_once(':').expect("generation:age/valid");
    let (age, valid_for) = times.split_once('/').expect("generation:age/valid");
    Claim {
        generation: generation.parse().expect("a number"),
        holder: "node-7".to_string(),
        age: seconds(age),
        valid_for: seconds(valid_for),
    }
}

/// `absent`, or `UID` or `UID terminating`.
fn parse_presence(words: &str) -> Presence {
    if words == "absent" {
        return Presence::Absent;
    }
    let (uid, state) = words.split_once(' ').unwrap_or((words, ""));
    Presence::Present { uid: uid.to_string(), terminating: state == "terminating" }
}

fn told(report: &RotationReport) -> String {
    let mut out: String =
        format!("  {}: {}\n  because {}\n", report.outcome, report.reason.code(), report.reason);
    for (name, pods) in [("attempted", &report.attempted), ("deleted", &report.deleted)] {
        if !pods.is_empty() {
            writeln!(out, "  {name} {}", pods.join(" ")).expect("a string");
        }
    }
    if let Some(why) = &report.unclaimed {
        writeln!(out, "  unclaimed: {}", why.code()).expect("a string");
    }
    for (name, pods) in [("skipped", &report.skipped), ("error", &report.errors)] {
        for (pod, reason) in pods {
            writeln!(out, "  {name} {pod}: {}", reason.code()).expect("a string");
        }
    }
    out
}

#[test]
fn a_report_tells_every_step_as_json() {
    const NO_CLAIM: &str = "claims are turned off (CLAIM=off)";
    let mut run: Run = Run::begin("plan no_claim targets=a");
    for command in
        ["workload", "budgets", "preflight", "eviction !no_answer timed out", "looked_up uid-a terminating"]
    {
        run.answer(command);
    }
    let report: serde_json::Value =
        serde_json::to_value(run.rotation.finish()).expect("a report is plain data");
    let step = |at_ms: u64, action: &str, pod: Option<&str>, result: &str, message: &str| serde_json::json!({"at_ms": at_ms, "action": action, "pod": pod, "result": result, "message": message});
    let expected: serde_json::Value = serde_json::json!({
        "outcome": "rotated",
        "reason": {"code": "done", "message": "every target was evicted"},
        "attempted": ["a"],
        "deleted": ["a"],
        "skipped": {},
        "errors": {},
        "unclaimed": {"code": "no_claim_wanted", "message": NO_CLAIM},
        "steps": [
            step(1000, "list_workload", None, "ok", ""),
            step(2000, "list_budgets", None, "ok", ""),
            step(3000, "preflight", Some("a"), "ok", ""),
            step(4000, "evict", Some("a"), "no_answer", "no answer came: timed out"),
            step(5000, "look_up", Some("a"), "ok", ""),
        ],
    });
    assert_eq!(report, expected);
}
