//! The help of `-h`, which fits a screen, and the parts of the manual pages that no definition holds: examples, exit
//! codes, the environment.

use std::fmt::Write as _;

use clap::{Arg, Command};

use crate::cli::secrets;

/// Settings that most people use, with a few words for each.
const COMMON: [(&str, &str); 17] = [
    ("namespace", "namespace; by default that of the context"),
    ("selector", "labels of the pods, in place of TARGET"),
    ("prometheus_endpoint", "metrics server; found if not set"),
    ("metrics_preset", "Kafka exporter; found if not set"),
    ("kafka_group", "consumer group; found if not set"),
    ("cpu_variance_threshold", "spread of CPU to act on"),
    ("lag_variance_threshold", "spread of lag to act on"),
    ("strategy", "rotate_outliers or by_cause"),
    ("dry_run", "decide, and change nothing"),
    ("all", "every workload that opted in"),
    ("all_namespaces", "look in all namespaces"),
    ("from", "a time, or how long ago, such as 7d"),
    ("every", "time between two decisions"),
    ("sweep", "such as cpu=0.2..0.6/0.1"),
    ("yes", "evict without asking"),
    ("report", "also write an HTML page"),
    ("output", ""),
];

/// Column of the words beside a flag.
const COLUMN: usize = 39;

/// The formats that a command writes.
fn formats(command: &str) -> &'static str {
    match command {
        "version" => "text, json",
        "check" => "table, short, json, yaml, none",
        "backtest" | "scan" | "run" => "table, wide, json, yaml, csv, name, none",
        _ => "table, wide, json, yaml, name, none",
    }
}

/// What an exit code means.
const EXIT_CODES: [(&str, &str); 7] = [
    ("0", "A decision was made: balanced, too little data, withheld, planned, rotated or blocked."),
    (
        "1",
        "It could not decide or act: a server did not answer, a permission is missing, or only one of two pods was evicted; \
         or check found an error.",
    ),
    ("2", "With --detailed-exitcode: it would act, or acted."),
    ("3", "With --detailed-exitcode: withheld or blocked."),
    ("4", "With --detailed-exitcode: too little data."),
    ("64", "A setting or an argument is wrong."),
    ("130, 143", "A second SIGINT or SIGTERM ended it."),
];

/// Three calls of a command that people make; fewer where there are no more.
fn examples(command: &str) -> &'static [&'static str] {
    match command {
        "run" => &["run deployment/orders --dry-run", "run deployment/orders", "run --all -A --dry-run"],
        "plan" => &[
            "plan orders",
            "plan deployment/orders -n shop -o wide",
            "plan -l app=orders --report plan.html",
        ],
        "scan" => &["scan", "scan -n shop,billing -o wide", "scan -A --report scan.html"],
        "check" => &[
            "check orders",
            "check -l app=orders -o short",
            "check orders --as system:serviceaccount:shop:rebalancer",
        ],
        "record" => &[
            "record orders run.jsonl.gz",
            "record orders run.jsonl --redact",
            "record -l app=orders run.jsonl",
        ],
        "replay" => {
            &["replay run.jsonl.gz", "replay run.jsonl --cpu-variance-threshold 0.2", "replay - < run.jsonl"]
        }
        "backtest" => &[
            "backtest orders --from 7d",
            "backtest orders --from 1d --sweep cpu=0.2..0.6/0.1",
            "backtest --recordings recordings/",
        ],
        "history" => &["history orders", "history orders --since 7d", "history orders --report history.html"],
        "report" => &["report run.jsonl.gz", "report plan.json"],
        "config" => &["config", "config found orders -n shop", "config schema"],
        "completion" => &["completion bash", "completion zsh"],
        "man" => &["man", "man ~/.local/share/man/man1"],
        "" => &["plan orders", "check deployment/orders -n shop", "run orders --dry-run"],
        _ => &[],
    }
}

/// The help of `-h` for the command of this name, or for the program.
pub fn short(program: &mut Command, name: Option<&str>) -> Option<String> {
    program.build();
    let binary = program.get_bin_name().unwrap_or("pod-rebalancer").to_owned();
    let command = match name {
        None => program,
        Some(name) => program.find_subcommand_mut(name)?,
    };
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut text = format!("{}\n\n", first_sentence(&about));
    let usage = command.render_usage().to_string();
    let _ = writeln!(text, "{}", usage.lines().next().unwrap_or_default());
    let commands: Vec<&Command> = command.get_subcommands().collect();
    if name.is_none() {
        for command in commands {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {:12} {about}", command.get_name());
        }
    }
    // What `report` writes is always a page.
    let is_told = |(arg, _): &(&Arg, &str)| name != Some("report") || arg.get_id() != "output";
    let settings: Vec<(&Arg, &str)> = common(command).filter(is_told).collect();
    if !settings.is_empty() {
        text.push('\n');
        for (arg, words) in settings {
            let words = if arg.get_id() == "output" { formats(command.get_name()) } else { words };
            let _ = writeln!(text, "{:COLUMN$}{words}", flag(arg));
        }
    }
    let examples = examples(name.unwrap_or_default());
    if !examples.is_empty() {
        text.push_str("\nExamples:\n");
        for example in examples {
            let _ = writeln!(text, "  {binary} {example}");
        }
    }
    let all = name.map_or(binary.clone(), |name| format!("{binary} {name}"));
    let _ = writeln!(text, "Everything: {all} --help");
    Some(text)
}

fn common(command: &Command) -> impl Iterator<Item = (&Arg, &'static str)> {
    COMMON
        .iter()
        .filter_map(|(id, words)| Some((command.get_arguments().find(|arg| arg.get_id() == id)?, *words)))
}

/// A flag as it is typed.
fn flag(arg: &Arg) -> String {
    let short = arg.get_short().map_or("    ".to_owned(), |short| format!("-{short}, "));
    let long = arg.get_long().unwrap_or_default();
    let takes_value = arg.get_action().takes_values();
    let name = arg.get_value_names().and_then(|names| names.first()).filter(|_| takes_value);
    let is_optional = arg.get_num_args().is_some_and(|count| count.min_values() == 0);
    let value = match name {
        None => String::new(),
        Some(name) if is_optional => format!("[={name}]"),
        Some(name) => format!(" {name}"),
    };
    format!("  {short}--{long}{value}")
}

fn first_sentence(text: &str) -> &str {
    text.split_once(". ").map_or(text, |(first, _)| first).trim_end_matches('.')
}

/// The sections of the manual page of a command that its definition does not hold, in the language of manual pages.
pub fn sections(command: &Command, binary: &str) -> String {
    let name = command.get_name();
    let is_program = command.get_subcommands().next().is_some();
    let mut page = String::new();
    let variables = command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(|arg| {
        let variable = arg.get_env()?.to_string_lossy().into_owned();
        Some((variable, format!("Flag \\-\\-{}.", escaped(arg.get_long()?))))
    });
    let mut variables: Vec<(String, String)> = variables.collect();
    if variables.iter().any(|(variable, _)| variable.starts_with("PROMETHEUS_")) {
        let of_secrets = |secret: secrets::Secret| (secret.variable.to_owned(), escaped(secret.help));
        variables.extend(secrets::ALL.map(of_secrets));
    }
    if !variables.is_empty() {
        page.push_str(
            ".SH ENVIRONMENT\nA flag counts before its variable, and an empty variable counts as unset.\n",
        );
        for (variable, words) in variables {
            let _ = writeln!(page, ".TP\n\\fB{}\\fR\n{words}", escaped(&variable));
        }
    }
    page.push_str(".SH \"EXIT STATUS\"\n");
    for (code, meaning) in EXIT_CODES {
        let _ = writeln!(page, ".TP\n\\fB{code}\\fR\n{}", escaped(meaning));
    }
    let examples = examples(if is_program { "" } else { name });
    if !examples.is_empty() {
        page.push_str(".SH EXAMPLES\n.nf\n");
        for example in examples {
            let _ = writeln!(page, "{}", escaped(&format!("{binary} {example}")));
        }
        page.push_str(".fi\n");
    }
    page
}

/// The text as manual pages write it.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('-', "\\-").replace('\'', "\\(aq")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::usage;

    #[test]
    fn the_short_help_fits_a_screen() {
        let mut program = usage::command();
        let names: Vec<String> =
            program.get_subcommands().map(|command| command.get_name().to_owned()).collect();
        for name in names.iter().map(String::as_str).map(Some).chain([None]) {
            let help = short(&mut program, name).expect("a command of ours");
            assert!(help.lines().count() <= 24, "{name:?} has {} lines: {help}", help.lines().count());
            assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
            assert!(!help.contains('…'), "no sentence is cut: {help}");
        }
    }

    #[test]
    fn the_examples_are_understood() {
        let program = usage::command();
        let names: Vec<&str> = program.get_subcommands().map(Command::get_name).chain([""]).collect();
        for example in names.iter().flat_map(|name| examples(name)) {
            let typed = example.split(" < ").next().unwrap_or_default();
            let words = ["pod-rebalancer"].into_iter().chain(typed.split(' '));
            let parsed = program.clone().try_get_matches_from(words);
            assert!(parsed.is_ok(), "{example}: {}", parsed.expect_err("it is not understood"));
        }
        for command in program.get_subcommands().map(Command::get_name) {
            for format in formats(command).split(", ") {
                let words: &[&str] = match command {
                    "record" | "replay" | "report" => &["file"],
                    "backtest" => &["--from=1d"],
                    _ => &[],
                };
                let typed = [&["pod-rebalancer", command], words, &["-o", format]].concat();
                let parsed = program.clone().try_get_matches_from(typed);
                assert!(parsed.is_ok() || ["completion", "man"].contains(&command), "{command} -o {format}");
            }
        }
        for command in ["run", "plan", "scan", "check", "replay", "backtest", "history"] {
            assert_eq!(examples(command).len(), 3, "{command}");
        }
    }
}
