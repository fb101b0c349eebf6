//! Struct offsets of `golang.org/x/net/http2` by its own version.
//!
//! What it declares depends on the toolchain: newer ones are only a wrapper around the standard library's HTTP/2
//! for Go 1.27. So each version is built with the oldest minor that can build it, and the newest two.

use super::layout::{self, Block, Cells};
use super::releases::{self, Release, output, work};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use trigon_gobin::{FieldRef, GoBinary};
use trigon_probe::FIELDS;

const MODULE: &str = "golang.org/x/net";
const PACKAGE: &str = "golang.org/x/net/http2";
const PROGRAM: &str = r#"package main

import (
	"net/http"

	"golang.org/x/net/http2"
)

func main() {
	server := &http.Server{Addr: "127.0.0.1:0"}
	if err := http2.ConfigureServer(server, nil); err != nil {
		panic(err)
	}
	panic(server.ListenAndServe())
}
"#;

/// Two blocks: up to the newest minor but one, and the newest.
pub(super) fn blocks() -> Result<Vec<Block>> {
    let toolchains = releases::newest()?;
    let [first, .., before, newest] = toolchains[..] else { bail!("too few minors") };
    let minor = |release: Release| format!("{}.{}", release.number[0], release.number[1]);
    let mut old = Block::new(MODULE, &format!("{}-{}", minor(first), minor(before)));
    let mut new = Block::new(MODULE, &format!("{0}-{0}", minor(newest)));
    for version in versions()? {
        let [major, middle, patch] = version;
        let name = format!("v{major}.{middle}.{patch}");
        let mut oldest = None;
        for &toolchain in &toolchains {
            if build(&name, toolchain)?.is_some() {
                oldest = Some(toolchain);
                break;
            }
        }
        let oldest = oldest.with_context(|| format!("{name}: no toolchain builds it"))?;
        if oldest != newest {
            let (least, most) = (cells(&name, oldest)?, cells(&name, before)?);
            ensure!(least == most, "{name} differs between {oldest} and {before}");
            old.add(version, most);
        }
        new.add(version, cells(&name, newest)?);
        println!("{MODULE} {name}: read");
    }
    releases::clean()?;
    Ok(vec![old, new])
}

/// All releases, in rising order.
fn versions() -> Result<Vec<[u32; 3]>> {
    let text = output(Command::new("go").args(["list", "-m", "-versions", MODULE]))?;
    let parse = |version: &str| {
        let mut numbers = version.strip_prefix('v')?.split('.').map(|number| number.parse().ok());
        Some([numbers.next()??, numbers.next()??, numbers.next()??])
    };
    let mut versions: Vec<_> = text.split_whitespace().filter_map(parse).collect();
    versions.sort_unstable();
    ensure!(!versions.is_empty(), "no versions of {MODULE}");
    Ok(versions)
}

/// The program, unless the toolchain is too old for this version of the module.
fn build(version: &str, toolchain: Release) -> Result<Option<PathBuf>> {
    let folder = work().join("xnet");
    let (program, refused) =
        (folder.join(format!("{version}-go{toolchain}")), folder.join(format!("{version}-go{toolchain}.refused")));
    if program.exists() {
        return Ok(Some(program));
    }
    if refused.exists() {
        return Ok(None);
    }
    let source = folder.join("src");
    fs::create_dir_all(&source)?;
    fs::write(source.join("main.go"), PROGRAM)?;
    fs::write(source.join("go.mod"), format!("module offsets\n\ngo 1.21\n\nrequire {MODULE} {version}\n"))?;
    let _ = fs::remove_file(source.join("go.sum"));
    match output(toolchain.go(&source).args(["build", "-o"]).arg(&program).arg(".")) {
        Ok(_) => Ok(Some(program)),
        Err(error) if format!("{error:#}").contains("requires go >= ") => {
            fs::write(refused, "")?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn cells(version: &str, toolchain: Release) -> Result<Cells> {
    let program = build(version, toolchain)?.with_context(|| format!("{version} is too new for {toolchain}"))?;
    let bytes = fs::read(program)?;
    let binary = GoBinary::parse(&bytes)?;
    let linked = binary.build_info().module_version(MODULE);
    ensure!(linked == Some(version), "{version}: {linked:?} is linked");
    let fields: Vec<FieldRef> = FIELDS.iter().filter(|field| field.package == PACKAGE).copied().collect();
    layout::cells(&binary, &fields, &BTreeSet::new()).with_context(|| format!("{version} by {toolchain}"))
}
