//! Every setting in use, with the source of its value. For a secret only whether it is set.

use clap::ArgMatches;
use rebalancer_io::kubernetes::ServiceAddress;
use rebalancer_io::prometheus::Endpoint;
use rebalancer_io::push::Receiver;

use crate::cli::catalog::{self, described};
use crate::cli::{secrets, usage};
use crate::report::config::Row;

/// Every setting, from the arguments of one command.
pub fn settings(matches: &ArgMatches) -> Vec<Row> {
    // From the definition: a variable set to nothing is still a setting.
    let command = usage::defined();
    let shown = catalog::settings(&command).into_iter().filter(|setting| setting.get_env().is_some());
    let plain = shown.map(|setting| {
        let id = setting.get_id().as_str();
        let value = catalog::text(matches, id).map(|value| without_secret(id, value));
        Row { value, source: usage::source(matches, id), ..described(setting) }
    });
    let secrets = secrets::ALL.into_iter().map(|secret| {
        let set = secret.is_set();
        Row {
            variable: Some(secret.variable.to_owned()),
            flag: None,
            value: set.then(|| "(hidden)".to_owned()),
            source: if set { "environment" } else { "unset" },
            default: None,
            help: secret.help.to_owned(),
        }
    });
    plain.chain(secrets).collect()
}

/// The displayable value of a setting: parameters may be keys, and an address may contain one.
fn without_secret(id: &str, value: String) -> String {
    match id {
        "prometheus_query_params" => "(hidden)".to_owned(),
        "prometheus_endpoint" if ServiceAddress::is_meant_by(&value) => {
            let address: Result<ServiceAddress, _> = value.parse();
            address.map_or_else(|_| "(cannot be used)".to_owned(), |address| address.to_string())
        }
        "prometheus_endpoint" => Endpoint::parse(&value)
            .map_or_else(|_| "(cannot be used)".to_owned(), |endpoint| endpoint.to_string()),
        "metrics_push_url" => {
            let shown = value.split(',').map(|url| match Receiver::at("", url.trim()) {
                Ok(_) => url,
                Err(_) => "(cannot be used)",
            });
            shown.collect::<Vec<&str>>().join(",")
        }
        _ => value,
    }
}
