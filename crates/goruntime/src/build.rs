//! Which build a process executes.

use trigon_gobin::BuildInfo;

/// Which build a process executes: what `debug.ReadBuildInfo` would say of its main module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Build {
    /// The toolchain as it calls itself, e.g. `go1.26.8`.
    pub go_version: String,
    /// Import path of the main package.
    pub package: String,
    /// Path of the main module; empty outside of modules.
    pub module: String,
    /// Its version; `(devel)` of a working copy.
    pub version: String,
    /// Its checksum, if it was built as a module of that version.
    pub checksum: String,
    /// The version control system, e.g. `git`.
    pub vcs: Option<String>,
    /// The revision that was built.
    pub revision: Option<String>,
    /// When that was committed, as the build wrote it (RFC 3339).
    pub revision_time: Option<String>,
    /// Whether the working copy had changes besides.
    pub modified: Option<bool>,
}

impl Build {
    /// From what the linker wrote.
    pub fn of(info: &BuildInfo) -> Self {
        let setting = |key| info.setting(key).map(str::to_owned);
        let main = info.main.as_ref();
        Self {
            go_version: info.go_version_raw.clone(),
            package: info.path.clone(),
            module: main.map(|main| main.path.clone()).unwrap_or_default(),
            version: main.map(|main| main.version.clone()).unwrap_or_default(),
            checksum: info.main_checksum.clone(),
            vcs: setting("vcs"),
            revision: setting("vcs.revision"),
            revision_time: setting("vcs.time"),
            modified: info.setting("vcs.modified").and_then(|modified| modified.parse().ok()),
        }
    }
}
