//! Go's text of goroutines, read so that two of them can be compared.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;

/// One goroutine of a traceback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goroutine {
    /// What its header has between brackets, for example `chan receive, locked to thread`.
    pub status: String,
    /// Functions without their arguments, files with lines and offsets, the creator: line by line.
    pub lines: Vec<String>,
}

/// Goroutines by number. Those of the scheduler (number 0) are left out.
///
/// # Errors
/// A line that no traceback has.
pub fn parse(text: &str) -> Result<BTreeMap<u64, Goroutine>> {
    let mut goroutines = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(rest) = line.strip_prefix("goroutine ") else { continue };
        let id = rest.split(' ').next().unwrap_or_default().parse().with_context(|| line.to_owned())?;
        let (_, status) = rest.split_once('[').with_context(|| line.to_owned())?;
        let status = status.strip_suffix("]:").with_context(|| line.to_owned())?.to_owned();
        let body = lines.by_ref().take_while(|line| !line.is_empty()).map(normal).collect();
        if id != 0 {
            ensure!(goroutines.insert(id, Goroutine { status, lines: body }).is_none(), "goroutine {id} twice");
        }
    }
    Ok(goroutines)
}

/// A line without what is not compared: arguments, and stack addresses that `GOTRACEBACK=system` adds.
fn normal(line: &str) -> String {
    if line.starts_with('\t') {
        return line.split(" fp=0x").next().unwrap_or_default().to_owned();
    }
    if line.starts_with("created by ") || line.starts_with("...") {
        return line.to_owned();
    }
    line.rsplit_once('(').map_or(line, |(function, _)| function).to_owned()
}
