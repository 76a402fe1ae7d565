//! `config`: every setting with its value and where the value comes from. Secrets show that they
//! are set, never what they are.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::ArgMatches;
use comfy_table::{ContentArrangement, Table, presets};
use rebalancer_io::prometheus::Endpoint;
use rebalancer_io::push::Receiver;
use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::args::{ConfigArgs, OutputFormat, Shown};
use crate::cli::catalog::{self, Setting};
use crate::cli::secrets;
use crate::cli::usage;
use crate::exit;
use crate::failure::Failure;
use crate::render;
use crate::report::schema;
use crate::settings::servers;

/// One setting as it is in force.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Setting")]
pub struct Row {
    /// The environment variable.
    pub variable: Option<String>,
    /// The flag with its dashes.
    pub flag: Option<String>,
    /// The value; a secret is hidden.
    pub value: Option<String>,
    /// `flag`, `environment`, `default` or `unset`.
    pub source: &'static str,
    default: Option<String>,
    help: String,
}

/// Every setting.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct ConfigReport(Vec<Row>);

/// Shows the settings, and fails on one that cannot be used.
///
/// # Errors
/// A setting that is wrong or missing.
pub fn run(args: &ConfigArgs, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    if args.what == Shown::Schema {
        return show_schema();
    }
    let rows = rows(matches);
    let text = match args.live.output.output {
        OutputFormat::Json => {
            serde_json::to_string_pretty(&ConfigReport(rows)).context("cannot write the settings as JSON")?
                + "\n"
        }
        OutputFormat::Yaml => serde_saphyr::to_string(&rows).context("cannot write the settings as YAML")?,
        OutputFormat::Csv | OutputFormat::Short | OutputFormat::None => String::new(),
        OutputFormat::Table | OutputFormat::Name => table(&rows, false),
        OutputFormat::Wide => table(&rows, true),
    };
    render::print(&text, std::io::stdout())?;
    servers::prometheus(&args.live.prometheus)?;
    servers::selector(&args.live.kubernetes)?;
    servers::receivers(&args.push).into_iter().collect::<Result<Vec<_>, Failure>>()?;
    servers::push(&args.push)?;
    Ok(ExitCode::from(exit::DECIDED))
}

/// Prints the JSON schema of every report, whatever the settings are.
fn show_schema() -> Result<ExitCode, Failure> {
    let text =
        serde_json::to_string_pretty(&schema::document()).context("cannot write the schema as JSON")?;
    render::print(&(text + "\n"), std::io::stdout())?;
    Ok(ExitCode::from(exit::DECIDED))
}

/// Every setting, as the arguments of one command have it.
pub fn rows(matches: &ArgMatches) -> Vec<Row> {
    let known = |id: &str| matches.ids().any(|known| known.as_str() == id);
    let value = |id: &str| -> Option<String> {
        let raw = matches.try_get_raw(id).ok().flatten()?;
        Some(raw.map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(","))
    };
    // As it is defined: a variable that is set to nothing is a setting all the same.
    let command = usage::defined();
    let shown = catalog::settings(&command).into_iter().filter(|setting| setting.variable.is_some());
    let plain = shown.map(|setting| {
        let source = if known(&setting.id) { usage::source(matches, &setting.id) } else { "unset" };
        let value = value(&setting.id).map(|value| without_secret(&setting.id, value));
        let Setting { variable, flag, default, help, .. } = setting;
        Row { variable, flag, value, source, default, help }
    });
    let secrets = secrets::ALL.into_iter().map(|secret| {
        let set = secret.is_set();
        let value = set.then(|| "(hidden)".to_owned());
        Row {
            variable: Some(secret.variable.to_owned()),
            flag: None,
            value,
            source: if set { "environment" } else { "unset" },
            default: None,
            help: secret.help.to_owned(),
        }
    });
    plain.chain(secrets).collect()
}

/// The value of a setting as it may be shown: parameters may be keys, and an address may hold one.
fn without_secret(id: &str, value: String) -> String {
    match id {
        "prometheus_query_params" => "(hidden)".to_owned(),
        "prometheus_endpoint" => Endpoint::parse(&value)
            .map_or_else(|_| "(cannot be used)".to_owned(), |endpoint| endpoint.to_string()),
        "metrics_pushgateway_url" | "metrics_import_url" => match Receiver::import("", &value) {
            Ok(_) => value,
            Err(_) => "(cannot be used)".to_owned(),
        },
        _ => value,
    }
}

/// The settings as a table; `wide` shows defaults and what each setting does.
fn table(rows: &[Row], wide: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let mut header = vec!["VARIABLE", "FLAG", "VALUE", "FROM"];
    if wide {
        header.extend(["DEFAULT", "WHAT IT DOES"]);
    }
    table.set_header(header);
    for row in rows {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let mut cells = vec![text(&row.variable), text(&row.flag), text(&row.value), row.source.to_owned()];
        if wide {
            cells.extend([text(&row.default), row.help.clone()]);
        }
        table.add_row(cells);
    }
    format!("{}\n", table.trim_fmt())
}
