//! Go's releases, and programs that are built with them.

use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use trigon_tests::golang::target;

/// The minors that are supported.
const MINORS: std::ops::RangeInclusive<u32> = 21..=27;

/// What every program has; its debug information describes all of the runtime that is read.
const EMPTY: &str = "package main\n\nfunc main() {}\n";
/// Labels of profiles.
const PPROF: &str = r#"package main

import (
	"context"
	"runtime/pprof"
)

func main() {
	pprof.Do(context.Background(), pprof.Labels("a", "b"), func(context.Context) {})
}
"#;
/// Reads its own metrics and may count behaviour that `GODEBUG` asked for: only such programs have this part of the runtime.
const METRICS: &str = r#"package main

import (
	"math/rand"
	"runtime/metrics"
)

func main() {
	metrics.Read([]metrics.Sample{{Name: metrics.All()[rand.Int()&1].Name}})
}
"#;
const HTTP: &str =
    "package main\n\nimport \"net/http\"\n\nfunc main() { panic(http.ListenAndServe(\"127.0.0.1:0\", nil)) }\n";
/// Packages whose structs are asked for.
const PACKAGES: [&str; 6] =
    ["runtime", "runtime/pprof", "internal/runtime/pprof/label", "net/http", "net/http/internal/http2", "net/url"];

/// One release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Release {
    /// Major, minor, patch.
    pub(super) number: [u32; 3],
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.number;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// Every patch release of the minors up to the newest that is published.
pub(super) fn all() -> Result<Vec<Release>> {
    let text = output(Command::new("go").args(["list", "-m", "-versions", "golang.org/toolchain"]))?;
    let mut newest = BTreeMap::new();
    for version in text.split_whitespace() {
        let release = version.strip_prefix("v0.0.1-go1.").and_then(|rest| rest.strip_suffix(".linux-amd64"));
        let Some((minor, patch)) = release.and_then(|release| release.split_once('.')) else { continue };
        if let (Ok(minor), Ok(patch)) = (minor.parse::<u32>(), patch.parse::<u32>())
            && MINORS.contains(&minor)
        {
            newest.entry(minor).and_modify(|newest: &mut u32| *newest = patch.max(*newest)).or_insert(patch);
        }
    }
    ensure!(newest.len() == MINORS.count(), "releases of some minor are not listed: {newest:?}");
    let of = |(minor, newest)| (0..=newest).map(move |patch| Release { number: [1, minor, patch] });
    Ok(newest.into_iter().flat_map(of).collect())
}

/// The newest of each minor.
pub(super) fn newest() -> Result<Vec<Release>> {
    let all = all()?;
    Ok(all.iter().filter(|release| release.next().is_none_or(|next| !all.contains(&next))).copied().collect())
}

impl Release {
    fn next(self) -> Option<Self> {
        let [major, minor, patch] = self.number;
        Some(Self { number: [major, minor, patch.checked_add(1)?] })
    }

    /// Whether it is the first or the newest of its minor.
    pub(super) fn is_outermost(self, all: &[Self]) -> bool {
        let [.., patch] = self.number;
        patch == 0 || self.next().is_none_or(|next| !all.contains(&next))
    }

    fn folder(self) -> PathBuf {
        work().join(format!("go{self}"))
    }

    /// A program that [`Self::build`] has built: `empty`, `pie`, `metrics`, or `pprof` and `http` for the outermost releases.
    pub(super) fn program(self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// The names of all structs that the packages declare, so that one which a program does not happen to describe is not
    /// taken for one that does not exist.
    pub(super) fn types(self) -> Result<BTreeSet<String>> {
        Ok(fs::read_to_string(self.folder().join("types"))?.lines().map(str::to_owned).collect())
    }

    /// Builds the programs that are not there yet. The toolchain goes where nobody else looks, and away afterwards: all of
    /// them together have 20 GB. False if the release is not published.
    pub(super) fn build(self, all: &[Self]) -> Result<bool> {
        // Code of position-independent programs differs where the runtime loads g.
        let mut programs = vec![("empty", EMPTY, "exe"), ("pie", EMPTY, "pie"), ("metrics", METRICS, "exe")];
        if self.is_outermost(all) {
            programs.extend([("pprof", PPROF, "exe"), ("http", HTTP, "exe")]);
        }
        programs.retain(|(name, ..)| !self.program(name).exists());
        let (types, missing) = (self.folder().join("types"), self.folder().join("missing"));
        if programs.is_empty() && types.exists() {
            return Ok(true);
        }
        if missing.exists() {
            return Ok(false);
        }
        fs::create_dir_all(self.folder())?;
        let goroot = match output(self.go(&work()).args(["env", "GOROOT"])) {
            Err(error) if format!("{error:#}").contains("toolchain not available") => {
                fs::write(missing, "")?;
                return Ok(false);
            }
            other => other?,
        };
        for (name, text, mode) in programs {
            let folder = work().join("src").join(name);
            fs::create_dir_all(&folder)?;
            fs::write(folder.join("main.go"), text)?;
            fs::write(folder.join("go.mod"), "module offsets\n\ngo 1.21\n")?;
            // Half a program, of a run that was interrupted, must not be taken for one.
            let unfinished = self.folder().join("unfinished");
            output(self.go(&folder).args(["build", "-trimpath", "-buildmode", mode, "-o"]).arg(&unfinished).arg("."))?;
            fs::rename(unfinished, self.program(name))?;
        }
        let declared: BTreeSet<_> =
            PACKAGES.into_iter().flat_map(|package| declared(Path::new(goroot.trim()), package)).collect();
        fs::write(types, declared.into_iter().collect::<String>())?;
        clean()?;
        Ok(true)
    }

    /// The `go` command of this release, for a program without cgo for this table's processor.
    pub(super) fn go(self, folder: &Path) -> Command {
        let mut command = Command::new("go");
        command.current_dir(folder).env("GOTOOLCHAIN", format!("go{self}")).env("CGO_ENABLED", "0");
        command.env("GOMODCACHE", work().join("modcache")).env("GOCACHE", work().join("gocache"));
        command.envs([("GOOS", "linux"), ("GOARCH", "amd64"), ("GOAMD64", "v1"), ("GOEXPERIMENT", "")]);
        command.env("GOFLAGS", "-mod=mod -modcacherw -buildvcs=false");
        command
    }
}

/// Where programs are kept.
pub(super) fn work() -> PathBuf {
    target().join("offsets")
}

/// Removes toolchains and what they compiled.
pub(super) fn clean() -> Result<()> {
    for folder in ["modcache", "gocache"].map(|name| work().join(name)).into_iter().filter(|folder| folder.exists()) {
        // A toolchain is unpacked without permission to write.
        output(Command::new("chmod").args(["-R", "u+w"]).arg(&folder))?;
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

/// The types that a package of the standard library declares, one a line.
fn declared(goroot: &Path, package: &str) -> Vec<String> {
    let files =
        fs::read_dir(goroot.join("src").join(package)).into_iter().flatten().flatten().map(|entry| entry.path());
    let sources = files.filter(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.ends_with(".go") && !name.ends_with("_test.go")
    });
    let mut found = Vec::new();
    for text in sources.filter_map(|path| fs::read_to_string(path).ok()) {
        for line in text.lines() {
            let alone =
                line.strip_prefix("type ").map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next());
            let grouped =
                line.strip_prefix('\t').and_then(|rest| rest.split_once(" struct")).map(|(name, _)| Some(name));
            if let Some(name) = alone.or(grouped).flatten() {
                found.push(format!("{package}.{name}\n"));
            }
        }
    }
    found
}

/// The output of a command that must succeed.
pub(super) fn output(command: &mut Command) -> Result<String> {
    let done = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
