//! Reports on a terminal: as wide, as colourful and in such letters as it has; and the question before
//! anything is evicted.

use std::thread;
use std::time::Duration;

use rebalancer_core::Metric;
use rebalancer_sim::apiserver::Fleet;
use serde_json::Value;

use crate::program::{Done, Running, command};
use crate::pty::{Session, visible, widest};
use crate::servers::{BUSIEST, LEAST_BUSY, Servers, fleet};

const RECORDING: &str = "testdata/recordings/orders-12.jsonl";
const TERMINAL: (&str, &str) = ("TERM", "xterm-256color");

/// What the program shows on a terminal of so many columns.
#[track_caller]
fn shown(columns: u16, args: &[&str], env: &[(&str, &str)]) -> String {
    let env: Vec<(&str, &str)> = [TERMINAL].into_iter().chain(env.iter().copied()).collect();
    let (code, screen) = Session::start(columns, &mut command(args, &env)).end();
    assert_eq!(code, Some(0), "{screen}");
    screen
}

#[test]
fn a_report_is_as_wide_as_the_terminal() {
    for columns in [40, 80, 120, 200] {
        let screen = shown(columns, &["replay", RECORDING], &[]);
        // Names of pods stay whole, to be copied; these are shorter than 40 columns.
        assert!(widest(&screen) <= usize::from(columns), "{columns}: {screen}");
        insta::assert_snapshot!(format!("terminal-{columns}"), visible(&screen));
    }
}

#[test]
fn a_large_fleet_shows_both_ends() {
    let screen = shown(80, &["replay", "testdata/snapshots/streams-1000-prometheus"], &[]);
    assert!(widest(&screen) <= 80, "{screen}");
    assert!(screen.lines().count() < 60, "{screen}");
    insta::assert_snapshot!("terminal-large", visible(&screen));
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    let has_colour = |args: &[&str], env: &[(&str, &str)]| {
        let args: Vec<&str> = ["replay", RECORDING].into_iter().chain(args.iter().copied()).collect();
        shown(80, &args, env).contains('\u{1b}')
    };
    assert!(has_colour(&[], &[]));
    assert!(!has_colour(&[], &[("NO_COLOR", "1")]));
    assert!(has_colour(&[], &[("NO_COLOR", "")]), "empty is unset");
    assert!(!has_colour(&[], &[("TERM", "dumb")]));
    assert!(!has_colour(&["--color", "never"], &[]));
    assert!(has_colour(&["--color", "always"], &[("NO_COLOR", "1")]), "the flag wins");
    let piped = |args: &[&str], env: &[(&str, &str)]| {
        let args: Vec<&str> = ["replay", RECORDING].into_iter().chain(args.iter().copied()).collect();
        Running::start(&mut command(&args, env)).wait().stdout
    };
    assert!(!piped(&[], &[]).contains('\u{1b}'), "nor into a pipe");
    assert!(piped(&[], &[("CLICOLOR_FORCE", "1")]).contains('\u{1b}'));
    assert!(piped(&["--color=always"], &[]).contains('\u{1b}'));
    assert!(!piped(&["--color=always", "-o", "json"], &[]).contains('\u{1b}'), "never in JSON");
}

/// Of a log that says something, the report left out.
#[test]
fn the_log_has_the_colours_of_the_report() {
    let args = |color: &'static str| {
        ["replay", RECORDING, "-o=none", "--log-level=debug", "--log-format=text", color]
    };
    let unknown = ("KUBE_NAMESPASE", "typo");
    let on_a_terminal = |color: &'static str, env: &[(&str, &str)]| {
        let env: Vec<(&str, &str)> = [unknown].into_iter().chain(env.iter().copied()).collect();
        let screen = shown(80, &args(color), &env);
        assert!(screen.contains("KUBE_NAMESPASE"), "something is logged: {screen}");
        screen.contains('\u{1b}')
    };
    assert!(on_a_terminal("--color=auto", &[]));
    assert!(!on_a_terminal("--color=auto", &[("NO_COLOR", "1")]));
    assert!(!on_a_terminal("--color=never", &[]));
    assert!(on_a_terminal("--color=always", &[("NO_COLOR", "1")]), "the flag wins");
    let piped = |args: &[&str]| {
        let done = Running::start(&mut command(args, &[unknown])).wait();
        assert!(done.stderr.contains("KUBE_NAMESPASE"), "{done}");
        done.stderr.contains('\u{1b}')
    };
    assert!(!piped(&args("--color=auto")));
    assert!(piped(&args("--color=always")));
    assert!(!piped(&["replay", RECORDING, "--log-format=json", "--color=always"]), "never in JSON");
}

#[test]
fn a_terminal_without_unicode_gets_ascii() {
    for locale in [("LANG", "C"), ("LC_ALL", "en_US.ISO-8859-1")] {
        let screen = shown(80, &["replay", RECORDING, "--color=never"], &[locale]);
        assert!(screen.is_ascii(), "{screen}");
        assert!(screen.contains("####") && screen.contains("+ floor"), "{screen}");
    }
    assert!(!shown(80, &["replay", RECORDING], &[("LANG", "C.UTF-8")]).is_ascii());
}

/// A terminal does what escape sequences say; names and words of others must not get there.
#[test]
fn names_cannot_steer_the_terminal() {
    let folder = tempfile::TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("pods.json");
    let states = r#"[{"name":"a\u001b[2J\u001b]0;owned\u0007","cpu_usage":1},{"name":"\u202eb","cpu_usage":2},
        {"name":"c\r\nd\u0085\u009b31m","cpu_usage":9},{"name":"\u200b","cpu_usage":1},{"name":"<b>&","cpu_usage":1}]"#;
    std::fs::write(&file, states).expect("a file in a folder of ours");
    let path = file.to_str().expect("a path of ours");
    for form in ["table", "wide", "name"] {
        let screen = shown(80, &["replay", path, "-o", form, "--color", "never"], &[]);
        let is_harmless =
            |char: char| char == '\n' || !(char.is_control() || "\u{202e}\u{200b}".contains(char));
        assert!(screen.chars().all(is_harmless), "{screen:?}");
    }
}

/// `run` with what a person has set, and a log that says nothing.
fn run(servers: &Servers, args: &[&str]) -> Session {
    let args: Vec<&str> = ["run"].into_iter().chain(args.iter().copied()).collect();
    let set = [TERMINAL, ("KUBE_LABEL_SELECTOR", "app=orders-consumer"), ("LOG_LEVEL", "error")];
    let mut command = command(&args, &set);
    command
        .env("PROMETHEUS_ENDPOINT", servers.metrics.url())
        .env("KUBECONFIG", servers.cluster.kubeconfig_path());
    Session::start(100, &mut command)
}

const PROMPT: &str = "Only 'yes' will be accepted: ";

#[test]
fn a_person_is_shown_the_plan_and_asked() {
    let servers = Servers::start();
    let mut session = run(&servers, &[]);
    session.answer(PROMPT, "yes");
    let (code, screen) = session.end();
    assert_eq!(code, Some(0), "{screen}");
    assert_eq!(servers.evictions(), [BUSIEST, LEAST_BUSY], "{screen}");
    let (plan, result) = screen.split_once(PROMPT).expect("the question");
    assert!(plan.contains("context sim · namespace tiny · selector app=orders-consumer"), "{screen}");
    assert!(plan.contains("Plan: evict"), "{screen}");
    let asked =
        format!("This will evict 2 pods in namespace tiny of context sim ({}/).", servers.cluster.url());
    assert!(plan.contains(&asked), "{screen}");
    // What was shown is not shown again.
    assert!(result.contains("Rotated: evicted") && !result.contains("METRIC"), "{screen}");
    let last = result.lines().last().unwrap_or_default();
    let is_told = last.starts_with("Done after ") && last.ends_with("s: 2 evicted, 0 not evicted, 0 failed.");
    assert!(is_told, "{screen}");
    for pod in [BUSIEST, LEAST_BUSY] {
        assert!(visible(result).contains(&format!("‹32›✓‹0› {pod} evicted")), "{screen}");
    }
}

/// Of pods that a cluster has told of: how old they are and where they run, as long as there is room.
#[test]
fn a_wide_terminal_shows_age_and_node_of_the_pods() {
    let servers = Servers::start();
    let screen = |columns: u16| {
        let set = [TERMINAL, ("KUBE_LABEL_SELECTOR", "app=orders-consumer"), ("LOG_LEVEL", "error")];
        let mut command = command(&["plan", "--color=never"], &set);
        command
            .env("PROMETHEUS_ENDPOINT", servers.metrics.url())
            .env("KUBECONFIG", servers.cluster.kubeconfig_path());
        let screen = Session::start(columns, &mut command).end().1;
        assert!(widest(&screen) <= usize::from(columns), "{columns}: {screen}");
        screen
    };
    let wide = screen(160);
    let columns = |word: &str| wide.lines().find(|line| line.contains(word)).map(str::to_owned);
    let (header, pod) = (columns("VERDICT").expect("a header"), columns(" keep").expect("a pod"));
    assert!(header.contains("AGE  NODE "), "{wide}");
    assert!(pod.contains(" 2d  node-1 "), "{wide}");
    assert!(!screen(60).contains("NODE"));
}

#[test]
fn nothing_but_yes_is_taken_for_yes() {
    let servers = Servers::start();
    for answer in ["", "y", "YES", "yes please", "no"] {
        let mut session = run(&servers, &[]);
        session.answer(PROMPT, answer);
        let (code, screen) = session.end();
        assert_eq!(code, Some(0), "{screen}");
        assert!(screen.contains("Not confirmed: nothing was evicted."), "{screen}");
    }
    servers.assert_untouched();
}

#[test]
fn a_balanced_workload_asks_nobody() {
    let servers = Servers::start();
    let screen = run(&servers, &["--cpu-variance-threshold=9", "--lag-variance-threshold=9"]).end().1;
    assert!(screen.contains("Balanced: no action") && !screen.contains(PROMPT), "{screen}");
    servers.metrics.answer_body(Metric::Cpu, "{}");
    let (code, screen) = run(&servers, &[]).end();
    assert_eq!(code, Some(1), "{screen}");
    servers.assert_untouched();
}

#[test]
fn the_first_and_the_last_line_say_that_it_is_a_dry_run() {
    for (mode, words) in
        [("client", "DRY RUN: nothing is changed"), ("server", "DRY RUN: the cluster is asked")]
    {
        let servers = Servers::start();
        let (code, screen) = run(&servers, &[&format!("--dry-run={mode}")]).end();
        assert_eq!(code, Some(0), "{screen}");
        for line in [screen.lines().next(), screen.lines().last()] {
            assert!(line.is_some_and(|line| line.contains(words)), "{mode}: {screen}");
        }
        servers.assert_untouched();
    }
}

#[test]
fn a_budget_that_is_in_the_way_is_told_before_anyone_is_asked() {
    let servers = Servers::over(fleet().with_budget("orders", 1));
    let mut session = run(&servers, &[]);
    session.answer(PROMPT, "no");
    let screen = session.end().1.replace("\n    ", " ");
    let words = "PodDisruptionBudget orders allows 1 disruption now, 2 needed: `run` would be blocked";
    assert!(screen.contains(words), "{screen}");
    let plan = servers.run(&["plan"], &[]);
    assert!(plan.json()["warnings"].to_string().contains(words), "{plan}");
    servers.assert_untouched();
}

/// What is told of budgets is what comes of them.
#[test]
fn budgets_are_told_of_as_the_rotation_is_held_against_them() {
    let told = |done: &Done| {
        let warnings = done.json()["warnings"].as_array().cloned().unwrap_or_default();
        let blocked = |said: &&Value| said.as_str().is_some_and(|said| said.contains("would be blocked"));
        warnings.iter().filter(blocked).map(ToString::to_string).collect::<Vec<String>>().join("; ")
    };
    let unseen = |mut fleet: Fleet| {
        fleet.budgets[0].generation = 2;
        fleet
    };
    let one = || fleet().with_budget("orders", 1);
    let cases = [
        (one(), &[][..], "2 needed: `run` would be blocked unless PACING=wait-ready"),
        (one(), &[("PACING", "wait-ready")][..], ""),
        (
            fleet().with_budget("orders", 0),
            &[("PACING", "wait-ready")],
            "0 disruptions now, 1 needed: `run` would be blocked\"",
        ),
        (
            unseen(fleet().with_budget("orders", 2)),
            &[],
            "are older than its specification: `run` would be blocked",
        ),
        (
            fleet().with_budget("orders", 9).with_budget("twice", 9),
            &[],
            "is matched by 2 PodDisruptionBudgets",
        ),
    ];
    for (fleet, env, words) in cases {
        let servers = Servers::over(fleet);
        let planned = servers.run(&["run", "--dry-run"], env);
        let said = told(&planned);
        assert!(said.contains(words) && said.is_empty() == words.is_empty(), "{words}: {planned}");
        let done = servers.run(&["run", "--yes", "--dry-run=server"], env);
        let expected = if words.is_empty() { "planned" } else { "blocked" };
        assert_eq!(done.json()["outcome"], expected, "{done}");
    }
}

/// The run has fifteen seconds, of which the last ten are too late for an eviction.
#[test]
fn the_time_that_a_person_takes_to_answer_is_not_the_runs() {
    let servers = Servers::start();
    let mut session = run(&servers, &["--run-timeout=15s", "--guards=off"]);
    session.wait_for(PROMPT);
    thread::sleep(Duration::from_secs(7));
    session.answer(PROMPT, "yes");
    let (code, screen) = session.end();
    assert_eq!(code, Some(0), "{screen}");
    assert_eq!(servers.evictions(), [BUSIEST, LEAST_BUSY], "{screen}");
}

#[test]
fn loads_that_grew_old_at_the_question_are_not_acted_on() {
    let servers = Servers::start();
    let mut session = run(&servers, &["--max-sample-age=2s", "--guards=off"]);
    session.wait_for(PROMPT);
    thread::sleep(Duration::from_secs(3));
    session.answer(PROMPT, "yes");
    let (code, screen) = session.end();
    assert_eq!(code, Some(0), "{screen}");
    assert!(screen.contains("MAX_SAMPLE_AGE"), "{screen}");
    servers.assert_untouched();
}

/// A signal at the question ends the run there and then.
#[test]
fn an_interrupted_question_is_no_yes() {
    let servers = Servers::start();
    let session = run(&servers, &[]);
    session.wait_for(PROMPT);
    session.terminate();
    let (code, screen) = session.end();
    assert_eq!(code, None, "ended by the signal: {screen}");
    servers.assert_untouched();
}
