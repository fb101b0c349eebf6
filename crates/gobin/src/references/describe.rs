//! The making of the table: what the functions of a program with a symbol table refer to.

use super::code::Code;
use super::{ARCH, FunctionReferences, PACKAGES, Reference, Release};
use crate::GoBinary;
use std::collections::{HashMap, HashSet};

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
        &PACKAGES,
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

/// Adds the variables that only another program has, one that does more. Of others its functions say nothing here: a program
/// that lacks them must not be less sure for that.
#[must_use]
pub fn with_variables(release: &Release, other: &Release) -> Release {
    let mut both = release.clone();
    let known: HashSet<_> = referred(&release.functions).collect();
    let more = other.functions.iter().filter_map(|function| {
        let mut function = function.clone();
        function.references.retain(|reference| !known.contains(reference.symbol.as_str()));
        Some(function).filter(|function| !function.references.is_empty())
    });
    both.functions.extend(more);
    let sized: HashSet<_> = release.sizes.iter().map(|(symbol, _)| symbol).collect();
    let added: HashSet<_> = referred(&both.functions).filter(|symbol| !known.contains(symbol)).collect();
    let needed = |(symbol, _): &&(String, u64)| added.contains(symbol.as_str()) && !sized.contains(symbol);
    both.sizes.extend(other.sizes.iter().filter(needed).cloned());
    both
}

/// What functions refer to.
fn referred(functions: &[FunctionReferences]) -> impl Iterator<Item = &str> {
    functions.iter().flat_map(|function| &function.references).map(|reference| reference.symbol.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(name: &str, symbols: &[&str]) -> FunctionReferences {
        let reference = |symbol: &&str| Reference { operand: 0, symbol: (*symbol).to_owned(), addend: 0 };
        let references = symbols.iter().map(reference).collect();
        FunctionReferences { name: name.to_owned(), fingerprint: 1, references }
    }

    #[test]
    fn a_program_that_does_more_adds_only_what_it_alone_has() {
        let release = |sizes: &[&str], functions| Release {
            version: String::new(),
            sizes: sizes.iter().map(|symbol| ((*symbol).to_owned(), 8)).collect(),
            functions,
        };
        let empty = release(&["a", "b"], vec![function("f", &["a"])]);
        let more = vec![function("f", &["a"]), function("g", &["a", "b", "c"]), function("h", &["a"])];
        // No function of the empty program refers to b, although it is there; nothing at all refers to d.
        let both = with_variables(&empty, &release(&["a", "b", "c", "d"], more));
        assert_eq!(both, release(&["a", "b", "c"], vec![function("f", &["a"]), function("g", &["b", "c"])]));
    }
}
