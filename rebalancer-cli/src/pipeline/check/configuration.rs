//! Checks the settings: how many were given, and what looks wrong.

use clap::ArgMatches;
use clap::parser::ValueSource;

use rebalancer_io::metrics::{Matchers, query_variable};

use crate::cli::args::LiveArgs;
use crate::cli::catalog;
use crate::cli::secrets;
use crate::cli::spelling::Typo;
use crate::cli::usage;
use crate::report::check::Category;

/// Checks the settings, which were parsed without an error.
pub fn check(args: &LiveArgs, matches: &ArgMatches, typos: &[Typo]) -> Category {
    let mut category = Category::new("configuration", None);
    let command = usage::defined();
    let settings = catalog::settings(&command);
    let count = |source: ValueSource| {
        let from = |id: &str| catalog::source(matches, id) == Some(source);
        settings
            .iter()
            .filter(|setting| setting.get_env().is_some() && from(setting.get_id().as_str()))
            .count()
    };
    let secrets = secrets::ALL.iter().filter(|secret| secret.is_set()).count();
    category.good(format!(
        "all settings are valid: {} set by variable, {} by flag, the rest are defaults (see `config`)",
        count(ValueSource::EnvVariable) + secrets,
        count(ValueSource::CommandLine)
    ));
    for Typo { variable, meant } in typos {
        category.warn(
            format!("{variable} is set but unknown; did you mean {meant}?"),
            "it has no effect: correct its name, or unset it",
        );
    }
    for variable in without_matchers(args) {
        category.warn(
            format!("{variable} has no {{{{matchers}}}}: PROMETHEUS_MATCHERS has no effect there"),
            "write {{matchers}} between the braces of each of its selectors",
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

/// The user's own queries that leave out the given matchers.
fn without_matchers(live: &LiveArgs) -> Vec<String> {
    let args = &live.queries;
    if args.prometheus_matchers.as_ref().is_none_or(Matchers::is_empty) {
        return Vec::new();
    }
    let own = args.own.by_metric().into_pairs();
    let of_metrics = own.map(|(metric, query)| (query_variable(metric), query));
    let others = [
        ("QUERY_PARTITION_LOAD", args.query_partition_load.clone()),
        ("QUERY_ASSIGNED_PARTITIONS", args.query_assigned_partitions.clone()),
        ("VETO_QUERY", live.vetoes.veto_query.clone()),
    ];
    let others = others.map(|(variable, query)| (variable.to_owned(), query));
    let lacks = |query: &Option<String>| query.as_ref().is_some_and(|query| !query.contains("matchers}}"));
    of_metrics.chain(others).filter(|(_, query)| lacks(query)).map(|(variable, _)| variable).collect()
}
