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
/// Places with the magic that are tried: Go tools (`go version`) hold it in their own data, too.
const MAX_CANDIDATES: usize = 16;
/// Modules and settings that are kept.
const MAX_LINES: usize = 65_536;

/// A module that is linked in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The path by which it is imported, also if it was replaced.
    pub path: String,
    /// Version of what is linked in, e.g. `v1.2.3` or `(devel)`; empty for a folder that stands in for it.
    pub version: String,
    /// The other module, or the folder, that stands in for it by a `replace` directive.
    pub replacement: Option<String>,
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
    /// Its checksum (`h1:…`), if it was built as a module of that version and not from a working copy.
    pub main_checksum: String,
    /// The others.
    pub deps: Vec<Module>,
    /// Build settings, e.g. (`-buildmode`, `pie`), (`GOEXPERIMENT`, …), (`vcs.revision`, …).
    pub settings: Vec<(String, String)>,
}

impl BuildInfo {
    pub(crate) fn find(image: &Image<'_>) -> Option<Self> {
        let section = image.section(".go.buildinfo").and_then(|section| image.section_bytes(section));
        section.and_then(Self::parse).or_else(|| Self::scan(image))
    }

    /// Without usable section headers: looks for the magic at the alignment that the linker gives it, in writable data
    /// first, where it lies.
    pub(crate) fn scan(image: &Image<'_>) -> Option<Self> {
        let in_segments = |write: bool| {
            let segments = image.segments().iter().filter(move |segment| segment.write == write && !segment.exec);
            segments.filter_map(|segment| image.from(segment.vaddr)).find_map(|bytes| {
                let starts = bytes.chunks(ALIGN).enumerate().filter(|(_, chunk)| chunk.starts_with(MAGIC));
                starts.take(MAX_CANDIDATES).find_map(|(index, _)| Self::parse(bytes.get(index * ALIGN..)?))
            })
        };
        in_segments(true).or_else(|| in_segments(false))
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
            let module = Module {
                path: first.to_owned(),
                version: parts.next().unwrap_or_default().to_owned(),
                replacement: None,
            };
            let checksum = parts.next().unwrap_or_default();
            match kind {
                "path" => first.clone_into(&mut self.path),
                "mod" => {
                    self.main = Some(module);
                    checksum.clone_into(&mut self.main_checksum);
                }
                "dep" => self.deps.push(module),
                // A replacement stands behind the module that it replaces, and keeps that one's import path.
                "=>" => {
                    if let Some(replaced) = self.deps.last_mut() {
                        replaced.version = module.version;
                        replaced.replacement = Some(module.path);
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
        self.module(path).map(|module| module.version.as_str())
    }

    /// A module that is linked in, by the path by which it is imported.
    pub fn module(&self, path: &str) -> Option<&Module> {
        self.deps.iter().chain(self.main.as_ref()).find(|module| module.path == path)
    }
}

/// A varint length and that many bytes; the rest behind them.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, used) = crate::varint::unsigned(bytes)?;
    let len = usize::try_from(len).ok().filter(|&len| len <= MAX_TEXT)?;
    bytes.get(used..)?.split_at_checked(len)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn header(version: &str, modules: &str) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend([8, INLINE]);
        // The magic is 14 bytes, pointer size and flags are two more.
        assert_eq!(bytes.len(), 16);
        bytes.resize(HEADER, 0);
        let frame = "0123456789abcdef";
        for text in [version.to_owned(), format!("{frame}{modules}{frame}")] {
            let mut len = text.len();
            while len > 0x7f {
                bytes.push(len as u8 | 0x80);
                len >>= 7;
            }
            bytes.push(len as u8);
            bytes.extend(text.as_bytes());
        }
        bytes
    }

    #[test]
    fn modules_replacements_and_settings() {
        let text = "path\texample.com/cmd/shop\nmod\texample.com\tv1.2.3\th1:sum=\n\
            dep\tgolang.org/x/net\tv0.23.0\th1:abc=\n\
            dep\tgolang.org/x/text\tv0.1.0\n=>\texample.com/fork\tv0.2.0\th1:def=\n\
            dep\texample.com/local\tv1.0.0\n=>\t../local\t\t\n\
            build\t-buildmode=pie\nbuild\tDefaultGODEBUG=\"a=1,b=2\"\nunknown\tline\n";
        let info = BuildInfo::parse(&header("go1.26.8", text)).unwrap();
        assert_eq!(info.go_version, GoVersion::parse("go1.26.8"));
        assert_eq!(
            (info.path.as_str(), info.main.as_ref().unwrap().path.as_str()),
            ("example.com/cmd/shop", "example.com")
        );
        assert_eq!((info.main.as_ref().unwrap().version.as_str(), info.main_checksum.as_str()), ("v1.2.3", "h1:sum="));
        assert_eq!(info.module_version("golang.org/x/net"), Some("v0.23.0"));
        let replaced = info.module("golang.org/x/text").unwrap();
        assert_eq!((replaced.version.as_str(), replaced.replacement.as_deref()), ("v0.2.0", Some("example.com/fork")));
        let local = info.module("example.com/local").unwrap();
        assert_eq!((local.version.as_str(), local.replacement.as_deref()), ("", Some("../local")));
        assert_eq!((info.setting("-buildmode"), info.setting("DefaultGODEBUG")), (Some("pie"), Some("a=1,b=2")));
        assert_eq!(info.setting("CGO_ENABLED"), None);
    }

    #[test]
    fn what_ends_early_or_is_older_is_refused() {
        let whole = header("go1.26.8", "path\tx\n");
        for len in 0..HEADER + 9 {
            assert_eq!(BuildInfo::parse(&whole[..len]), None, "{len}");
        }
        let mut pointers = whole;
        pointers[15] = 0;
        assert_eq!(BuildInfo::parse(&pointers), None);
    }
}
