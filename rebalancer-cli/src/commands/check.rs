//! `check`: whether a run would work, category by category; changes nothing.

use std::collections::HashSet;
use std::process::ExitCode;

use anyhow::Context as _;
use rebalancer_core::{Method, Metric, Workload};
use rebalancer_io::kubernetes::{Permission, to_run};
use rebalancer_io::metrics::MetricsSource;
use rebalancer_io::prometheus::InstantAnswer;
use schemars::JsonSchema;
use serde::Serialize;

use clap::ArgMatches;

use crate::args::{CheckArgs, OutputFormat};
use crate::decide::DecisionSettings;
use crate::failure::{Failure, chain};
use crate::live::{Live, now, owner};
use crate::report::API_VERSION;
use crate::{exit, output};

/// What all checks came to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CheckReport {
    #[schemars(extend("const" = API_VERSION))]
    api_version: &'static str,
    #[schemars(extend("const" = "CheckReport"))]
    kind: &'static str,
    /// No check failed; warnings do not count.
    success: bool,
    categories: Vec<Category>,
}

/// Checks of one side.
#[derive(Debug, Serialize, JsonSchema)]
struct Category {
    name: &'static str,
    checks: Vec<Check>,
}

/// One thing looked at.
#[derive(Debug, Serialize, JsonSchema)]
struct Check {
    description: String,
    result: Grade,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// How it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Grade {
    Success,
    Warning,
    Error,
}

/// Checks. Fails when any check does; warnings never fail it.
///
/// # Errors
/// A setting that is missing or wrong.
pub fn run(args: &CheckArgs, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let decision = DecisionSettings::from(&args.live.decision);
    let live = Live::connect(&args.live, &decision, matches)?;
    let mut configuration = Category { name: "configuration", checks: Vec::new() };
    configuration.add(
        Grade::Success,
        "the settings can be used (config shows them and where they come from)".to_owned(),
        None,
    );
    let mut kubernetes = Category { name: "kubernetes", checks: Vec::new() };
    let workload = check_workload(&live, &decision, &mut kubernetes);
    check_permissions(&live, args.method.method(), &mut kubernetes);
    let mut prometheus = Category { name: "prometheus", checks: Vec::new() };
    check_queries(&live, &workload, &mut prometheus)?;
    let categories = vec![configuration, prometheus, kubernetes];
    let failed =
        categories.iter().flat_map(|category| &category.checks).any(|check| check.result == Grade::Error);
    let report = CheckReport { api_version: API_VERSION, kind: "CheckReport", success: !failed, categories };
    write(&report, args.live.output.output)?;
    Ok(ExitCode::from(if failed { exit::FAILED } else { exit::DECIDED }))
}

fn check_workload(live: &Live, decision: &DecisionSettings, category: &mut Category) -> Workload {
    let workload = match live.workload() {
        Ok(workload) => workload,
        Err(failure) => {
            category.fail("list the workload", &failure);
            return Workload::default();
        }
    };
    let selector = live.selector.as_str();
    let ready = workload.living().filter(|pod| pod.ready && !pod.terminating).count();
    let seen = format!("selector {selector} matches {} pods, {ready} of them Ready", workload.pods.len());
    let required = decision.thresholds.min_pods;
    if ready < required {
        let hint =
            format!("{required} Ready pods are required (MIN_PODS_REQUIRED): every run will do nothing");
        category.add(Grade::Warning, seen, Some(hint));
    } else {
        category.add(Grade::Success, seen, None);
    }
    match owner(&workload) {
        Some(owner) if workload.owners.len() == 1 => {
            category.add(Grade::Success, format!("owned by {owner}"), None);
        }
        Some(owners) => category.add(
            Grade::Warning,
            format!("several controllers: {owners}"),
            Some("narrow the selector, or set ALLOW_MULTIPLE_CONTROLLERS=true".to_owned()),
        ),
        None if workload.pods.is_empty() => {}
        None => category.add(
            Grade::Warning,
            "the pods have no controller".to_owned(),
            Some("nothing would recreate them, so none is ever evicted".to_owned()),
        ),
    }
    workload
}

fn check_permissions(live: &Live, method: Method, category: &mut Category) {
    let wanted: Vec<Permission> = to_run(method);
    match live.cluster.missing_permissions(&wanted) {
        Err(error) => category.fail("permissions", &Failure::Run(error.into())),
        Ok(missing) => {
            for permission in wanted {
                let allowed = !missing.contains(&permission);
                // Without Events a run still does its work.
                let grade = match (allowed, permission.resource) {
                    (true, _) => Grade::Success,
                    (false, "events") => Grade::Warning,
                    (false, _) => Grade::Error,
                };
                let hint = (!allowed)
                    .then(|| format!("grant it in namespace {} by a Role", live.cluster.namespace()));
                category.add(grade, format!("may {permission}"), hint);
            }
        }
    }
}

fn check_queries(live: &Live, workload: &Workload, category: &mut Category) -> Result<(), Failure> {
    let queries = match live.queries(workload) {
        Ok(queries) => queries,
        Err(failure) => {
            category.fail("queries", &failure);
            return Ok(());
        }
    };
    let client = live.client()?;
    let at = now();
    for metric in Metric::ALL {
        let Some(query) = queries.get(metric) else {
            category.add(Grade::Warning, format!("{metric}: not asked for"), None);
            continue;
        };
        match client.instant(query, at) {
            Ok(answer) => check_answer(metric, &answer, workload, category),
            Err(error) => category.fail(metric.name(), &Failure::Run(error.into())),
        }
    }
    Ok(())
}

fn check_answer(metric: Metric, answer: &InstantAnswer, workload: &Workload, category: &mut Category) {
    let living = workload.living().count();
    let answered: HashSet<&str> = answer.samples.pods().collect();
    let matched = workload.living().filter(|pod| answered.contains(pod.name.as_str())).count();
    let seen = format!("{metric}: {} series, {matched} of {living} live pods", answer.samples.len());
    if matched == living && living > 0 {
        return category.add(Grade::Success, seen, None);
    }
    let hint = if answer.samples.is_empty() {
        format!(
            "the answer is empty; is METRICS_PRESET right? else give your own query by QUERY_{}",
            metric.name().to_uppercase()
        )
    } else {
        "pods without a sample take no part; a metric that too few pods have is not used (MIN_COVERAGE)"
            .to_owned()
    };
    category.add(Grade::Warning, seen, Some(hint));
}

impl Category {
    fn add(&mut self, result: Grade, description: String, hint: Option<String>) {
        self.checks.push(Check { description, result, hint });
    }

    fn fail(&mut self, what: &str, failure: &Failure) {
        let (Failure::Usage(error) | Failure::Run(error)) = failure;
        self.add(Grade::Error, what.to_owned(), Some(chain(error)));
    }
}

fn write(report: &CheckReport, format: OutputFormat) -> Result<(), Failure> {
    let text = match format {
        OutputFormat::Json => {
            serde_json::to_string_pretty(report).context("cannot write the checks as JSON")? + "\n"
        }
        OutputFormat::Yaml => serde_saphyr::to_string(report).context("cannot write the checks as YAML")?,
        OutputFormat::Csv | OutputFormat::None => String::new(),
        OutputFormat::Table | OutputFormat::Wide | OutputFormat::Name => lines(report),
    };
    Ok(output::print(&text, std::io::stdout())?)
}

fn lines(report: &CheckReport) -> String {
    let mut lines: Vec<String> = Vec::new();
    for category in &report.categories {
        lines.push(category.name.to_owned());
        for check in &category.checks {
            let mark = match check.result {
                Grade::Success => '✓',
                Grade::Warning => '!',
                Grade::Error => '✗',
            };
            lines.push(format!("  {mark} {}", check.description));
            lines.extend(check.hint.iter().map(|hint| format!("      {hint}")));
        }
    }
    let all = || report.categories.iter().flat_map(|category| &category.checks);
    let count = |grade| all().filter(|check| check.result == grade).count();
    let (errors, warnings) = (count(Grade::Error), count(Grade::Warning));
    let verdict = if report.success { "a run would work" } else { "a run would fail" };
    lines.push(format!("{errors} errors, {warnings} warnings: {verdict}\n"));
    lines.join("\n")
}
