//! The settings: how many were given and how, and what stands beside them.

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::report::Category;
use crate::args::LiveArgs;
use crate::typo::Typo;
use crate::{config_table, secret, usage};

/// Checks the settings, which have been read without an error.
pub fn check(args: &LiveArgs, matches: &ArgMatches, typos: &[Typo]) -> Category {
    let mut category = Category::new("configuration", None);
    let settings = config_table::settings(&usage::defined());
    let known = |id: &str| matches.ids().any(|known| known.as_str() == id);
    let count = |source: ValueSource| {
        let from = |id: &str| known(id) && matches.value_source(id) == Some(source);
        settings.iter().filter(|setting| setting.variable.is_some() && from(&setting.id)).count()
    };
    let secrets = secret::ALL.iter().filter(|secret| secret.is_set()).count();
    category.good(format!(
        "all settings can be used: {} by variable, {} by flag, the rest by default (config shows them)",
        count(ValueSource::EnvVariable) + secrets,
        count(ValueSource::CommandLine)
    ));
    for Typo { variable, meant } in typos {
        category.warn(
            format!("{variable} is set but unknown; did you mean {meant}?"),
            "what it says is not in force: correct its name, or unset it",
        );
    }
    if args.prometheus.prometheus_insecure_skip_tls_verify {
        category.warn(
            "the certificate of the metrics server is not verified",
            "whoever answers in its place decides what is evicted: name its authority by PROMETHEUS_CA_FILE",
        );
    }
    category
}
