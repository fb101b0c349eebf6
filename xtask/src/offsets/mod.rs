//! Generates what `crates/gobin` ships about versions: `src/table.tsv`, struct offsets of the standard library and of
//! modules, and `src/references/table.bin`, which instructions of the runtime refer to which variable. Both come from
//! programs that are built with each release; these are kept under `target/offsets`, so that a second run is quick and an
//! interrupted one goes on.

mod layout;
mod modules;
mod mongo;
mod releases;

use anyhow::{Context, Result};
use layout::{Block, Cells};
use releases::Release;
use std::collections::BTreeSet;
use std::fs;
use trigon_gobin::runtime_layout::{RUNTIME_FIELDS, RUNTIME_SYMBOLS};
use trigon_gobin::{FieldRef, GoBinary, references};
use trigon_probe::FIELDS;
use trigon_tests::golang::root;

/// Functions of the runtime that refer to a symbol and are kept. Those that a program's build changed have no say, so this
/// is some times what a sure majority needs.
const REFERENCES: usize = 24;

/// Builds programs for the releases given; or with `mongo` reads only this driver's; or builds what is missing and writes everything.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    if arguments == ["mongo"] {
        return only_mongo();
    }
    let releases = releases::all()?;
    if !arguments.is_empty() {
        for argument in arguments {
            let named = |release: &&Release| release.to_string() == argument.trim_start_matches("go");
            releases.iter().find(named).with_context(|| format!("no release {argument}"))?.build(&releases)?;
        }
        return Ok(());
    }
    let (runtime, others): (Vec<_>, Vec<_>) = standard_fields().partition(|field| field.package == "runtime");
    let (of_pprof, of_http): (Vec<_>, Vec<_>) = others.into_iter().partition(|field| field.package.contains("pprof"));
    let (mut of_runtime, mut of_others) = (Block::new("std", "*"), Block::new("std", "*"));
    let mut described = Vec::new();
    for release in &releases {
        if !release.build(&releases)? {
            println!("{release}: not to be had");
            continue;
        }
        of_runtime.add(release.number, cells(*release, "empty", &runtime)?);
        if release.is_outermost(&releases) {
            let mut found = cells(*release, "http", &of_http)?;
            found.extend(cells(*release, "pprof", &of_pprof)?);
            of_others.add(release.number, found);
        }
        described.push(describe(*release)?);
        println!("{release}: read");
    }
    let mut blocks = vec![of_runtime, of_others];
    blocks.extend(modules::blocks()?);
    blocks.extend(mongo::blocks()?);
    let table: String = blocks.iter().map(Block::text).collect();
    fs::write(root().join("crates/gobin/src/table.tsv"), &table)?;
    let packed = references::encode(&described)?;
    fs::write(root().join("crates/gobin/src/references/table.bin"), &packed)?;
    println!("{} releases, struct offsets: {} bytes, references: {} bytes", described.len(), table.len(), packed.len());
    Ok(())
}

/// The blocks of the MongoDB driver alone, in place of those that the table has.
fn only_mongo() -> Result<()> {
    let place = root().join("crates/gobin/src/table.tsv");
    let table = fs::read_to_string(&place)?;
    let mut keeps = true;
    let mut kept = String::new();
    for line in table.lines() {
        if let Some(header) = line.strip_prefix('@') {
            keeps = !mongo::modules().any(|module| header.split('\t').next() == Some(module));
        }
        if keeps {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept.extend(mongo::blocks()?.iter().map(Block::text));
    Ok(fs::write(place, kept)?)
}

/// The fields of the standard library, each once.
fn standard_fields() -> impl Iterator<Item = FieldRef> {
    let all: BTreeSet<_> =
        FIELDS.iter().chain(RUNTIME_FIELDS).map(|field| (field.package, field.ty, field.field)).collect();
    let all = all.into_iter().map(|(package, ty, field)| FieldRef { package, ty, field });
    all.filter(|field| !field.package.contains('.'))
}

fn cells(release: Release, program: &str, fields: &[FieldRef]) -> Result<Cells> {
    let bytes = fs::read(release.program(program))?;
    let binary = GoBinary::parse(&bytes).with_context(|| release.to_string())?;
    layout::cells(&binary, fields, &release.types()?).with_context(|| release.to_string())
}

/// What the runtime's functions refer to, in a program that does nothing but what all do; and what is said only where a
/// program reads its metrics. Position-independent code has other forms of the former; of the latter, tests say that it has
/// none.
fn describe(release: Release) -> Result<references::Release> {
    let of = |program| {
        let bytes = fs::read(release.program(program))?;
        let binary = GoBinary::parse(&bytes).with_context(|| release.to_string())?;
        references::describe(&binary, RUNTIME_SYMBOLS).context("a program without symbols")
    };
    let (all, some) = (references::select(&of("empty")?, REFERENCES), of("metrics")?);
    Ok(references::with_variables(&references::with_forms(&all, &of("pie")?), &some))
}
