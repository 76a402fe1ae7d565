//! Every setting in one table, derived from the clap definition; used by `config` and the README.

use clap::{Arg, Command};

/// One setting.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The argument's id.
    pub id: String,
    /// The environment variable.
    pub variable: Option<String>,
    /// The flag with its dashes.
    pub flag: Option<String>,
    /// The default, as written.
    pub default: Option<String>,
    /// What it does, in one sentence.
    pub help: String,
    /// The heading it appears under.
    pub heading: String,
}

/// The settings of the commands, each once, in the order of their definition, without earlier names.
pub fn settings(command: &Command) -> Vec<Setting> {
    let mut settings: Vec<Setting> = Vec::new();
    for arg in command.get_subcommands().flat_map(Command::get_arguments) {
        let known = settings.iter().any(|setting| setting.id == arg.get_id().as_str());
        if !known && !arg.is_positional() && !arg.is_hide_set() && arg.get_id() != "help" {
            settings.push(setting(arg));
        }
    }
    // Settings of the same heading are grouped, in the order in which headings first appear.
    let headings: Vec<String> = settings.iter().map(|setting| setting.heading.clone()).collect();
    settings.sort_by_key(|setting| headings.iter().position(|heading| *heading == setting.heading));
    settings
}

fn setting(arg: &Arg) -> Setting {
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    let flagless_switch = matches!(arg.get_action(), clap::ArgAction::SetTrue);
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    Setting {
        id: arg.get_id().to_string(),
        variable: arg.get_env().map(|name| name.to_string_lossy().into_owned()),
        flag: arg.get_long().map(|long| format!("--{long}")),
        default: Some(defaults.join(",")).filter(|default| !default.is_empty() && !flagless_switch),
        help: help.split_whitespace().collect::<Vec<&str>>().join(" "),
        heading: arg.get_help_heading().unwrap_or("Other").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;
    use std::{env, fs};

    use super::*;
    use crate::cli::secrets;
    use crate::cli::usage;

    const BEGIN: &str = "<!-- configuration: begin -->\n";
    const END: &str = "<!-- configuration: end -->";

    /// To regenerate the table: `UPDATE_README=1 cargo test -p rebalancer-cli`.
    #[test]
    fn the_readme_shows_every_setting_as_it_is() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
        let readme = fs::read_to_string(&path).expect("the README");
        let (before, rest) = readme.split_once(BEGIN).expect("the README marks where the table begins");
        let (shown, after) = rest.split_once(END).expect("the README marks where the table ends");
        let table = markdown(&usage::command());
        if env::var_os("UPDATE_README").is_some() {
            fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}"))
                .expect("the README can be written");
            return;
        }
        assert_eq!(shown, table, "run UPDATE_README=1 cargo test -p rebalancer-cli");
    }

    #[test]
    fn every_setting_has_words_and_no_secret_has_a_flag() {
        let command = usage::command();
        for setting in settings(&command) {
            assert!(setting.help.len() > 10, "{setting:?}");
            let secret =
                secrets::ALL.iter().any(|secret| Some(secret.variable) == setting.variable.as_deref());
            assert!(!secret, "{setting:?}");
        }
    }

    /// The README's table, in Markdown; `config -o wide` shows the same.
    fn markdown(command: &Command) -> String {
        let mut text = String::from("| Variable | Flag | Default | What it does |\n|---|---|---|---|\n");
        let cell = |text: &str| text.replace('|', "\\|");
        let code = |text: Option<&str>| text.map_or_else(String::new, |text| format!("`{}`", cell(text)));
        let mut heading = String::new();
        for setting in settings(command) {
            if setting.heading != heading {
                let _ = writeln!(text, "| **{}** | | | |", setting.heading);
                heading.clone_from(&setting.heading);
            }
            let [variable, flag, default] =
                [&setting.variable, &setting.flag, &setting.default].map(|text| code(text.as_deref()));
            let _ = writeln!(text, "| {variable} | {flag} | {default} | {} |", cell(&setting.help));
        }
        let _ = writeln!(text, "| **Secrets (variables only)** | | | |");
        for secret in secrets::ALL {
            let _ = writeln!(text, "| `{}` | | | {} |", secret.variable, cell(secret.help));
        }
        text
    }
}
