//! The making of the table: what the functions of a program with a symbol table refer to.

use super::code::Code;
use super::{ARCH, FunctionReferences, PACKAGE, Reference, Release};
use crate::GoBinary;
use std::collections::HashMap;

/// Describes a program's runtime; `None` if it has no symbol table, or is for a processor that is not read.
pub fn describe(binary: &GoBinary<'_>, symbols: &[&'static str]) -> Option<Release> {
    let version = binary.build_info().go_version_raw.strip_prefix("go")?.to_owned();
    if binary.is_stripped() || binary.arch() != ARCH {
        return None;
    }
    let found = symbols.iter().zip(binary.runtime_symbols(symbols));
    let variables: Vec<_> = found.filter_map(|(name, info)| Some((*name, info.ok()?))).collect();
    let variable = |target: u64| {
        let holds = |&(name, info): &(&'static str, crate::SymbolInfo)| {
            let addend = target.checked_sub(info.vaddr)?;
            (addend < info.size?).then(|| (name.to_owned(), addend))
        };
        variables.iter().find_map(holds)
    };
    let mut functions = Vec::new();
    binary.functions_among(
        PACKAGE,
        |_| true,
        |function| {
            let Some(code) = Code::read(function.entry, binary.code(&function)) else { return };
            let references = code.operands.iter().enumerate().filter_map(|(operand, &target)| {
                variable(target).map(|(symbol, addend)| Reference { operand: operand as u64, symbol, addend })
            });
            let references: Vec<_> = references.collect();
            if !references.is_empty() {
                functions.push(FunctionReferences {
                    name: function.name.to_owned(),
                    fingerprint: code.fingerprint,
                    references,
                });
            }
        },
    );
    let sizes = variables.iter().filter_map(|(name, info)| Some(((*name).to_owned(), info.size?))).collect();
    Some(Release { version, sizes, functions })
}

/// Keeps the functions that are needed for so many to refer to each symbol, taking them in order.
#[must_use]
pub fn select(release: &Release, wanted: usize) -> Release {
    let mut have: HashMap<&str, usize> = HashMap::new();
    let mut kept = release.clone();
    kept.functions.clear();
    for function in &release.functions {
        let mut symbols: Vec<_> = function.references.iter().map(|reference| reference.symbol.as_str()).collect();
        symbols.sort_unstable();
        symbols.dedup();
        if symbols.iter().any(|symbol| have.get(symbol).is_none_or(|&count| count < wanted)) {
            symbols.into_iter().for_each(|symbol| *have.entry(symbol).or_default() += 1);
            kept.functions.push(function.clone());
        }
    }
    kept
}

/// Adds the other forms that functions have in a program that is built in another way.
#[must_use]
pub fn with_forms(release: &Release, other: &Release) -> Release {
    let mut both = release.clone();
    let known = |function: &&FunctionReferences| {
        let mut forms = release.functions.iter().filter(|known| known.name == function.name).peekable();
        forms.peek().is_some() && forms.all(|known| known.fingerprint != function.fingerprint)
    };
    both.functions.extend(other.functions.iter().filter(known).cloned());
    both
}
