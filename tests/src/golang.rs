//! Building Go programs with any toolchain and build mode; what was built once is kept under `target/e2e`.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// How to build.
#[derive(Debug, Clone, Default)]
pub struct Build {
    /// `go1.21.13`; empty: the default toolchain.
    pub toolchain: &'static str,
    /// Arguments of `go build`, e.g. `-ldflags=-s -w`.
    pub flags: Vec<String>,
    /// `CGO_ENABLED`.
    pub cgo: bool,
}

impl Build {
    /// With a toolchain and no flags.
    pub fn with(toolchain: &'static str) -> Self {
        Self { toolchain, ..Self::default() }
    }

    /// With one more flag.
    #[must_use]
    pub fn flag(mut self, flag: impl Into<String>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// With cgo.
    #[must_use]
    pub fn with_cgo(mut self) -> Self {
        self.cgo = true;
        self
    }
}

/// The repository's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Where builds are kept.
pub fn cache() -> PathBuf {
    target().join("e2e")
}

/// Cargo's target folder and the profile, from where this very program lies: `target/debug/deps/…` of a test,
/// `target/release/…` of a tool.
fn own_place() -> Option<(PathBuf, &'static str)> {
    let exe = std::env::current_exe().ok()?;
    exe.ancestors().skip(1).find_map(|folder| {
        let profile = match folder.file_name()?.to_str()? {
            "debug" => "debug",
            "release" => "release",
            _ => return None,
        };
        Some((folder.parent()?.to_path_buf(), profile))
    })
}

/// Cargo's target folder.
pub fn target() -> PathBuf {
    own_place().map_or_else(|| root().join("target"), |(target, _)| target)
}

/// `debug` or `release`, as this program was built itself: a benchmark measures an optimised agent.
pub fn profile() -> &'static str {
    own_place().map_or("debug", |(_, profile)| profile)
}

/// Builds a package of `tests/programs` (`server`, `client`, …) and returns the executable. Go's own cache makes a
/// repeated build quick, and changed sources are built again.
///
/// # Errors
/// The build's output.
pub fn build(package: &str, build: &Build) -> Result<PathBuf> {
    let own_module = root().join("tests/programs").join(package).join("go.mod").exists();
    let (directory, argument) = if own_module {
        (root().join("tests/programs").join(package), ".".to_owned())
    } else {
        (root().join("tests/programs"), format!("./{package}"))
    };
    let mut name = format!("{package}-{}", if build.toolchain.is_empty() { "default" } else { build.toolchain });
    for flag in &build.flags {
        let short: String =
            flag.rsplit('/').next().unwrap_or(flag).chars().filter(char::is_ascii_alphanumeric).collect();
        name = format!("{name}-{short}");
    }
    if build.cgo {
        name.push_str("-cgo");
    }
    let out = cache().join(name);
    std::fs::create_dir_all(cache())?;
    let mut command = Command::new("go");
    command.current_dir(directory).args(["build", "-buildvcs=false", "-o"]).arg(&out).args(&build.flags).arg(argument);
    command.env("CGO_ENABLED", if build.cgo { "1" } else { "0" });
    if !build.toolchain.is_empty() {
        command.env("GOTOOLCHAIN", build.toolchain);
    }
    let done = command.output().context("cannot run go: is it installed and in PATH?")?;
    if !done.status.success() {
        bail!("{command:?} failed:\n{}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(out)
}
