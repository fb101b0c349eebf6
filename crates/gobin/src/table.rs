//! The shipped table of struct offsets, for what an executable does not describe itself. `cargo xtask offsets` generates
//! it from the debug information of small programs, one for each version.
//!
//! A block begins with `@`, the module (`std` for the standard library), the processor and the versions; each of its lines
//! is a field (`package.Type.field`; the struct itself ends with the dot) and one cell for each version: `offset:size`,
//! [`NO_FIELD`] or [`NO_TYPE`]. Cells are separated by tabs.

use crate::Arch;
use crate::buildinfo::BuildInfo;
use crate::field::{FieldError, FieldInfo, FieldRef, OffsetSource};
use std::cmp::Ordering;

/// The version's struct lacks the field.
pub(crate) const NO_FIELD: &str = "-";
/// The version lacks the struct.
pub(crate) const NO_TYPE: &str = "~";
/// The standard library, whose version is the toolchain's.
pub(crate) const STD: &str = "std";

const TABLE: &str = include_str!("table.tsv");

/// What the table says of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Where it is, or that the struct lacks it.
    Known(Result<FieldInfo, FieldError>),
    /// The struct does not exist in this version.
    NoType,
}

/// Looks a field up for exactly this build. A patch release between two that agree takes their value; any other version
/// that is not in the table is unknown: `None`.
pub(crate) fn look_up(info: &BuildInfo, arch: Arch, field: &FieldRef) -> Option<Cell> {
    look_up_in(TABLE, info, arch, field)
}

fn look_up_in(table: &str, info: &BuildInfo, arch: Arch, field: &FieldRef) -> Option<Cell> {
    let mut lines = table.lines();
    let name = format!("{}.{}.{}", field.package, field.ty, field.field);
    while let Some(line) = lines.next() {
        let Some(header) = line.strip_prefix('@') else { continue };
        let mut header = header.split('\t');
        let (module, block_arch) = (header.next()?, header.next()?);
        if block_arch != arch.name() || !contains(module, field.package) {
            continue;
        }
        let Some(version) = linked_version(info, module) else { continue };
        let row = lines.clone().take_while(|line| !line.starts_with('@')).find_map(|line| {
            let (field, cells) = line.split_once('\t')?;
            (field == name).then_some(cells)
        });
        let versions = header.map_while(Version::parse);
        return between(versions.zip(row?.split('\t')), version).and_then(parse_cell);
    }
    None
}

/// Whether a package belongs to a module. The first element of the standard library's import paths has no dot.
fn contains(module: &str, package: &str) -> bool {
    let standard = !package.split('/').next().unwrap_or_default().contains('.');
    match package.strip_prefix(module) {
        Some(rest) if !standard => rest.is_empty() || rest.starts_with('/'),
        _ => standard && module == STD,
    }
}

/// The cell of a version, or that of the releases around it if they agree. Versions rise.
fn between<'t>(cells: impl Iterator<Item = (Version, &'t str)>, wanted: Version) -> Option<&'t str> {
    let mut below = None;
    for (version, cell) in cells.filter(|(version, _)| version.minor() == wanted.minor()) {
        match version.cmp(&wanted) {
            Ordering::Equal => return Some(cell),
            Ordering::Less => below = Some(cell),
            Ordering::Greater => return below.filter(|&below| below == cell),
        }
    }
    None
}

fn parse_cell(cell: &str) -> Option<Cell> {
    match cell {
        NO_TYPE => Some(Cell::NoType),
        NO_FIELD => Some(Cell::Known(Err(FieldError::NoField))),
        _ => {
            let (offset, size) = cell.split_once(':')?;
            let (offset, size) = (offset.parse().ok()?, size.parse().ok()?);
            Some(Cell::Known(Ok(FieldInfo { offset, size, source: OffsetSource::Table })))
        }
    }
}

/// The version of a module that is linked in, if it is the released one and not something that stands in for it.
fn linked_version(info: &BuildInfo, module: &str) -> Option<Version> {
    if module == STD {
        // Experiments, vendors' patches and candidates say so behind the number: nothing is known of them.
        return Version::parse(info.go_version_raw.strip_prefix("go")?);
    }
    let linked = info.module(module).filter(|linked| linked.replacement.is_none())?;
    Version::parse(linked.version.strip_prefix('v')?)
}

/// A release: three numbers and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version([u32; 3]);

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|number| {
            let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| number.parse().ok())?
        });
        let version = Self([numbers.next()??, numbers.next()??, numbers.next()??]);
        numbers.next().is_none().then_some(version)
    }

    fn minor(self) -> [u32; 2] {
        let Self([major, minor, _]) = self;
        [major, minor]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::Module;

    const TABLE: &str = "# comment\n@std\tarm64\t1.21.0\nruntime.g.goid\t1:1\n\
        @std\tamd64\t1.21.0\t1.21.13\t1.22.0\t1.22.12\t1.23.0\n\
        runtime.g.goid\t152:8\t152:8\t152:8\t160:8\t160:8\n\
        net/http.Request.Pattern\t-\t-\t-\t-\t232:16\nnet/http.pattern.\t~\t~\t0:88\t0:88\t0:88\n\
        @golang.org/x/net\tamd64\t0.10.0\t0.17.0\ngolang.org/x/net/http2.responseWriter.rws\t0:8\t8:8\n";

    const GOID: FieldRef = FieldRef { package: "runtime", ty: "g", field: "goid" };

    fn built_by(version: &str) -> BuildInfo {
        BuildInfo { go_version_raw: version.to_owned(), ..BuildInfo::default() }
    }

    fn offset(info: &BuildInfo, field: &FieldRef) -> Option<u64> {
        match look_up_in(TABLE, info, Arch::Amd64, field) {
            Some(Cell::Known(Ok(found))) => Some(found.offset),
            None => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_patch_release_between_two_that_agree_takes_their_value() {
        let goid = |version| offset(&built_by(version), &GOID);
        assert_eq!((goid("go1.21.0"), goid("go1.21.5"), goid("go1.21.13")), (Some(152), Some(152), Some(152)));
        assert_eq!((goid("go1.22.0"), goid("go1.22.12")), (Some(152), Some(160)));
        assert_eq!(goid("go1.22.5"), None, "they disagree");
        assert_eq!((goid("go1.21.14"), goid("go1.23.1"), goid("go1.24.0")), (None, None, None), "beyond the known");
    }

    #[test]
    fn what_is_not_exactly_a_release_is_unknown() {
        for version in ["go1.21.5 X:nocoverageredesign", "go1.21rc2", "go1.21", "go1.21.5-vendor", "devel go1.21.5", ""]
        {
            assert_eq!(look_up_in(TABLE, &built_by(version), Arch::Amd64, &GOID), None, "{version}");
        }
    }

    #[test]
    fn absent_fields_and_structs_are_told_apart() {
        let pattern = FieldRef { package: "net/http", ty: "Request", field: "Pattern" };
        let of = |version, field| look_up_in(TABLE, &built_by(version), Arch::Amd64, field);
        assert_eq!(of("go1.22.5", &pattern), Some(Cell::Known(Err(FieldError::NoField))));
        let size = FieldRef { package: "net/http", ty: "pattern", field: "" };
        assert_eq!(of("go1.21.0", &size), Some(Cell::NoType));
        assert_eq!(offset(&built_by("go1.22.0"), &size), Some(0));
        assert_eq!(of("go1.22.0", &FieldRef { field: "x", ..size }), None);
    }

    #[test]
    fn modules_are_looked_up_by_their_own_version() {
        let rws = FieldRef { package: "golang.org/x/net/http2", ty: "responseWriter", field: "rws" };
        let with = |version: &str, replacement: Option<&str>| {
            let module = Module {
                path: "golang.org/x/net".to_owned(),
                version: version.to_owned(),
                replacement: replacement.map(str::to_owned),
            };
            BuildInfo { deps: vec![module], ..built_by("go1.21.0") }
        };
        assert_eq!(offset(&with("v0.10.0", None), &rws), Some(0));
        assert_eq!(offset(&with("v0.17.0", None), &rws), Some(8));
        for (version, replacement) in [
            ("v0.11.0", None),
            ("v0.10.0", Some("example.com/fork")),
            ("v0.0.0-20230101000000-abcdef", None),
            ("", None),
        ] {
            assert_eq!(offset(&with(version, replacement), &rws), None, "{version}");
        }
        assert_eq!(offset(&built_by("go1.21.0"), &rws), None, "not linked");
    }

    #[test]
    fn packages_belong_to_modules() {
        assert!(contains(STD, "net/http") && contains(STD, "runtime"));
        assert!(!contains(STD, "golang.org/x/net/http2") && !contains(STD, "std.example/x"));
        assert!(
            contains("golang.org/x/net", "golang.org/x/net/http2") && contains("golang.org/x/net", "golang.org/x/net")
        );
        assert!(!contains("golang.org/x/net", "golang.org/x/network"));
    }
}
