//! What all checks came to, for people and for programs.

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::args::{OutputArgs, OutputFormat};
use crate::failure::{Failure, chain};
use crate::render;
use crate::render::terminal::Terminal;
use crate::render::text::screen::{BOLD, Mark, Screen};
use crate::report::version::API_VERSION;

/// What all checks came to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CheckReport {
    #[schemars(extend("const" = API_VERSION))]
    api_version: &'static str,
    #[schemars(extend("const" = "CheckReport"))]
    kind: &'static str,
    /// No check failed; warnings do not count.
    pub success: bool,
    categories: Vec<Category>,
}

/// Checks of one side.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Category {
    name: &'static str,
    /// What is checked, such as the address of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
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

/// How it looks: as it should; worth reading, though a run can act; so that no run can act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    Success,
    Warning,
    Error,
}

impl Category {
    /// A category without checks.
    pub const fn new(name: &'static str, subject: Option<String>) -> Self {
        Self { name, subject, checks: Vec::new() }
    }

    /// Something that is as it should be.
    pub fn good(&mut self, description: impl Into<String>) {
        self.add(Grade::Success, description, None);
    }

    /// Something worth reading.
    pub fn warn(&mut self, description: impl Into<String>, hint: impl Into<String>) {
        self.add(Grade::Warning, description, Some(hint.into()));
    }

    /// Something that keeps every run from acting, in the words of the failure.
    pub fn fail(&mut self, what: &str, failure: &Failure) {
        let (Failure::Usage(error) | Failure::Run(error)) = failure;
        self.add(Grade::Error, what, Some(chain(error)));
    }

    /// A check of this grade.
    pub fn add(&mut self, result: Grade, description: impl Into<String>, hint: Option<String>) {
        self.checks.push(Check { description: description.into(), result, hint });
    }
}

impl CheckReport {
    /// The report of these categories.
    pub fn new(categories: Vec<Category>) -> Self {
        let mut report = Self { api_version: API_VERSION, kind: "CheckReport", success: true, categories };
        report.success = report.count(Grade::Error) == 0;
        report
    }

    /// Writes the report to standard output.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, args: &OutputArgs) -> anyhow::Result<()> {
        let text = match args.output {
            OutputFormat::Json => {
                serde_json::to_string_pretty(self).context("cannot write the checks as JSON")? + "\n"
            }
            OutputFormat::Yaml => serde_saphyr::to_string(self).context("cannot write the checks as YAML")?,
            OutputFormat::Csv | OutputFormat::None => String::new(),
            OutputFormat::Short => self.page(Terminal::stdout(args.color), true),
            OutputFormat::Table | OutputFormat::Wide | OutputFormat::Name => {
                self.page(Terminal::stdout(args.color), false)
            }
        };
        render::print(&text, std::io::stdout())
    }

    /// The report for people; `short` leaves out what is good.
    fn page(&self, terminal: Terminal, short: bool) -> String {
        let mut screen = Screen::new(terminal);
        for category in &self.categories {
            let shown = category.checks.iter().filter(|check| !short || check.result != Grade::Success);
            let shown: Vec<&Check> = shown.collect();
            if shown.is_empty() {
                continue;
            }
            let subject = category.subject.as_ref().map_or_else(String::new, |it| format!("  {it}"));
            screen.prose(BOLD, &render::plain(&format!("{}{subject}", category.name)));
            for check in shown {
                screen.item(check.result.mark(), &render::plain(&check.description));
                if let Some(hint) = &check.hint {
                    screen.indented(6, &render::plain(hint));
                }
            }
        }
        screen.prose(BOLD, &self.verdict());
        screen.finish()
    }

    fn verdict(&self) -> String {
        let counted = |grade: Grade, word: &str| match self.count(grade) {
            1 => format!("1 {word}"),
            count => format!("{count} {word}s"),
        };
        let (errors, warnings) = (counted(Grade::Error, "error"), counted(Grade::Warning, "warning"));
        let verdict = if self.success { "a run would work" } else { "no run could act" };
        format!("{errors}, {warnings}: {verdict}")
    }

    fn count(&self, grade: Grade) -> usize {
        let all = self.categories.iter().flat_map(|category| &category.checks);
        all.filter(|check| check.result == grade).count()
    }
}

impl Grade {
    const fn mark(self) -> Mark {
        match self {
            Self::Success => Mark::Good,
            Self::Warning => Mark::Notice,
            Self::Error => Mark::Bad,
        }
    }
}
