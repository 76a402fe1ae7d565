//! Every setting as it is in force, with where its value comes from. A secret shows that it is set, never
//! what it is.

use clap::ArgMatches;
use rebalancer_io::prometheus::Endpoint;
use rebalancer_io::push::Receiver;

use crate::cli::catalog::{self, Setting};
use crate::cli::{secrets, usage};
use crate::report::config::Row;

/// Every setting, as the arguments of one command have it.
pub fn settings(matches: &ArgMatches) -> Vec<Row> {
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
