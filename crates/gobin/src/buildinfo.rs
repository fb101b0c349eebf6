//! What the Go linker wrote about the build: `debug/buildinfo`'s format since Go 1.18 (strings inline).

use crate::image::Image;
use crate::version::GoVersion;

const MAGIC: &[u8] = b"\xff Go buildinf:";
const ALIGN: usize = 16;
const HEADER: usize = 32;
/// Flag bit: the two strings follow as varint length and bytes.
const INLINE: u8 = 2;
/// The module text is framed by 16 bytes on either side (cmd/go/internal/modload.ModInfoProg).
const FRAME: usize = 16;
/// Largest text that is believed.
const MAX_TEXT: usize = 4 << 20;
/// Modules and settings that are kept.
const MAX_LINES: usize = 65_536;

/// A module that is linked in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Import path; of the replacement, if it was replaced.
    pub path: String,
    /// Version, e.g. `v1.2.3` or `(devel)`.
    pub version: String,
}

/// The build as the linker describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BuildInfo {
    /// As written, e.g. `go1.26.8`.
    pub go_version_raw: String,
    /// Parsed, if it is a release.
    pub go_version: Option<GoVersion>,
    /// Import path of the main package.
    pub path: String,
    /// The main module.
    pub main: Option<Module>,
    /// The others.
    pub deps: Vec<Module>,
    /// Build settings, e.g. (`-buildmode`, `pie`), (`GOEXPERIMENT`, …), (`vcs.revision`, …).
    pub settings: Vec<(String, String)>,
}

impl BuildInfo {
    pub(crate) fn find(image: &Image<'_>) -> Option<Self> {
        if let Some(section) = image.section(".go.buildinfo")
            && let Some(info) = image.section_bytes(section).and_then(Self::parse)
        {
            return Some(info);
        }
        image.segments().iter().find_map(|segment| Self::scan(image.from(segment.vaddr)?))
    }

    /// Looks for the magic at the alignment that the linker gives it.
    fn scan(bytes: &[u8]) -> Option<Self> {
        let mut from = 0;
        while let Some(at) = find(bytes.get(from..)?, MAGIC).map(|at| from + at) {
            if at % ALIGN == 0
                && let Some(info) = Self::parse(bytes.get(at..)?)
            {
                return Some(info);
            }
            from = at + 1;
        }
        None
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(MAGIC) || bytes.get(15)? & INLINE == 0 {
            return None;
        }
        let (version, rest) = text(bytes.get(HEADER..)?)?;
        let modules = text(rest).map(|(modules, _)| modules).unwrap_or_default();
        let version = String::from_utf8_lossy(version).into_owned();
        let mut info = Self { go_version: GoVersion::parse(&version), go_version_raw: version, ..Self::default() };
        if let Some(inner) = modules.get(FRAME..modules.len().saturating_sub(FRAME)) {
            info.read_modules(&String::from_utf8_lossy(inner));
        }
        Some(info)
    }

    fn read_modules(&mut self, text: &str) {
        for line in text.lines().take(MAX_LINES) {
            let mut parts = line.split('\t');
            let (kind, first) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let module = Module { path: first.to_owned(), version: parts.next().unwrap_or_default().to_owned() };
            match kind {
                "path" => first.clone_into(&mut self.path),
                "mod" => self.main = Some(module),
                "dep" => self.deps.push(module),
                // A replacement stands behind the module that it replaces, and keeps that one's import path.
                "=>" => {
                    if let Some(replaced) = self.deps.last_mut() {
                        replaced.version = module.version;
                    }
                }
                "build" => {
                    if let Some((key, value)) = first.split_once('=') {
                        self.settings.push((key.to_owned(), value.trim_matches('"').to_owned()));
                    }
                }
                _ => {}
            }
        }
    }

    /// A build setting.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The version of a module that is linked in.
    pub fn module_version(&self, path: &str) -> Option<&str> {
        self.deps.iter().chain(self.main.as_ref()).find(|module| module.path == path).map(|m| m.version.as_str())
    }
}

/// Where the magic begins, looked for without reading all of a large file's other bytes twice.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// A varint length and that many bytes; the rest behind them.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, used) = crate::varint::unsigned(bytes)?;
    let len = usize::try_from(len).ok().filter(|&len| len <= MAX_TEXT)?;
    Some((bytes.get(used..used + len)?, bytes.get(used + len..)?))
}
