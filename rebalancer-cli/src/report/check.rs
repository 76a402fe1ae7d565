//! The report of `check`.

use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::{Failure, chain};
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
    /// The checks by category.
    pub categories: Vec<Category>,
}

/// Checks of one side.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Category {
    /// Its name.
    pub name: &'static str,
    /// What is checked, such as the address of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What was looked at.
    pub checks: Vec<Check>,
}

/// One thing looked at.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Check {
    /// What was looked at, and what was found.
    pub description: String,
    /// How it looks.
    pub result: Grade,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// What to do, or what it means.
    pub hint: Option<String>,
}

/// How it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// As it should.
    Success,
    /// Worth reading; a run can act all the same.
    Warning,
    /// No run can act.
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

    /// Something that is as it should be, or worth reading where there is a hint.
    pub fn note(&mut self, description: impl Into<String>, hint: Option<impl Into<String>>) {
        let grade = if hint.is_some() { Grade::Warning } else { Grade::Success };
        self.add(grade, description, hint.map(Into::into));
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

    /// How many checks came to `grade`.
    pub fn count(&self, grade: Grade) -> usize {
        let all = self.categories.iter().flat_map(|category| &category.checks);
        all.filter(|check| check.result == grade).count()
    }
}
