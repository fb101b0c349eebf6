//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::Period;

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// In the file, counted from 1. Line 0 stands for the file as a whole.
    File {
        /// Line.
        line: u64,
        /// Column.
        column: u64,
    },
    /// In an environment variable.
    Variable(Arc<str>),
    /// In a flag of the command line.
    Flag(&'static str),
    /// Nowhere: it is built in.
    Default,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Where.
    pub(crate) origin: Origin,
    /// Which key, such as `discovery.include[0].pid`; empty if it is about no key.
    pub(crate) key: String,
    /// What is wrong, and what helps.
    pub(crate) message: String,
}

/// A configuration that cannot be used, with all that is wrong with it.
#[derive(Debug, Clone)]
pub(crate) struct Invalid {
    /// The file that was read, if any.
    pub(crate) file: Option<PathBuf>,
    /// At least one.
    pub(crate) problems: Vec<Problem>,
}

/// A problem as a program reads it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    file: Option<String>,
    line: Option<u64>,
    column: Option<u64>,
    variable: Option<String>,
    flag: Option<&'static str>,
    key: Option<String>,
    message: String,
}

/// Problems that the checks find in well-typed values; the loader knows where these values come from.
#[derive(Debug, Default)]
pub(super) struct Findings(pub(super) Vec<(String, String)>);

impl Findings {
    /// The value of `key` is wrong. The message continues the key: "is 2, must be from 0 to 1".
    pub(super) fn add(&mut self, key: &str, message: impl Into<String>) {
        self.0.push((key.to_owned(), message.into()));
    }

    /// A length of time must lie within bounds.
    pub(super) fn period(&mut self, key: &str, value: Period, min: Duration, max: Duration) {
        if !(min..=max).contains(&value.duration()) {
            let (min, max) = (Period::from(min), Period::from(max));
            self.add(key, format!("is {value}, must be from {min} to {max}"));
        }
    }
}

impl Problem {
    /// As `PLACE: KEY: MESSAGE`, given the name of the file.
    fn show(&self, file: &str) -> String {
        let place = match &self.origin {
            Origin::File { line: 0, .. } => format!("{file}: "),
            Origin::File { line, column } => format!("{file}:{line}:{column}: "),
            Origin::Variable(name) => format!("{name}: "),
            Origin::Flag(name) => format!("{name}: "),
            Origin::Default => String::new(),
        };
        let key = if self.key.is_empty() { String::new() } else { format!("{}: ", self.key) };
        format!("{place}{key}{}", self.message)
    }
}

impl Invalid {
    /// Every problem as a program reads it.
    pub(crate) fn reports(&self) -> Vec<Report> {
        let report = |problem: &Problem| {
            let mut report = Report {
                file: None,
                line: None,
                column: None,
                variable: None,
                flag: None,
                key: (!problem.key.is_empty()).then(|| problem.key.clone()),
                message: problem.message.clone(),
            };
            match &problem.origin {
                Origin::File { line, column } => {
                    report.file = self.file.as_ref().map(|file| file.display().to_string());
                    report.line = (*line > 0).then_some(*line);
                    report.column = (*line > 0).then_some(*column);
                }
                Origin::Variable(name) => report.variable = Some(name.to_string()),
                Origin::Flag(name) => report.flag = Some(name),
                Origin::Default => {}
            }
            report
        };
        self.problems.iter().map(report).collect()
    }
}

impl fmt::Display for Invalid {
    /// One line for each problem.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_ref().map_or_else(String::new, |file| file.display().to_string());
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{}", problem.show(&file))?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}
