//! The shipped table of struct offsets, for what an executable does not describe itself. `cargo xtask offsets` generates
//! it from the debug information of small programs, one for each version.
//!
//! A block begins with `@`, the module (`std` for the standard library), the processor, the toolchains for which it holds
//! ([`ANY`], or two minors as in `1.21-1.26`), and the versions of its columns: one, or the first and the last of several
//! that agree in every line, as in `1.21.0-1.21.3`, each of which was looked at. Each of its lines is a field
//! (`package.Type.field`; the struct itself ends with the dot) and one cell for each column: `offset:size`, [`NO_FIELD`],
//! [`NO_TYPE`] or [`UNKNOWN`]; the last one written stands for all columns behind it, too. Cells are separated by tabs.

use crate::Arch;
use crate::buildinfo::BuildInfo;
use crate::field::{FieldError, FieldInfo, FieldRef, OffsetSource};
use std::collections::HashMap;

/// The version's struct lacks the field.
pub(crate) const NO_FIELD: &str = "-";
/// The version lacks the struct.
pub(crate) const NO_TYPE: &str = "~";
/// The version has the struct, but the program that was looked at does not describe it.
pub(crate) const UNKNOWN: &str = "?";
/// The standard library, whose version is the toolchain's.
pub(crate) const STD: &str = "std";
/// A block that holds whatever toolchain built the program.
pub(crate) const ANY: &str = "*";

const TABLE: &str = include_str!("table.tsv");

/// What the table says of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Where it is, or that the struct lacks it.
    Known(Result<FieldInfo, FieldError>),
    /// The struct does not exist in this version.
    NoType,
}

/// Looks fields up for exactly this build, in one pass. A patch release between two that agree takes their value; any other
/// version that is not in the table is unknown: `None`.
pub(crate) fn look_up(info: &BuildInfo, arch: Arch, fields: &[FieldRef]) -> Vec<Option<Cell>> {
    look_up_in(TABLE, info, arch, fields)
}

fn look_up_in(table: &str, info: &BuildInfo, arch: Arch, fields: &[FieldRef]) -> Vec<Option<Cell>> {
    let name = |field: &FieldRef| format!("{}.{}.{}", field.package, field.ty, field.field);
    let mut found: HashMap<String, Option<Cell>> = fields.iter().map(|field| (name(field), None)).collect();
    let mut columns = None;
    for line in table.lines() {
        if let Some(header) = line.strip_prefix('@') {
            columns = Columns::of(header, info, arch);
        } else if let Some(columns) = &columns
            && let Some((name, cells)) = line.split_once('\t')
            && let Some(slot @ None) = found.get_mut(name)
        {
            *slot = columns.cell(cells).and_then(parse_cell);
        }
    }
    fields.iter().map(|field| found.get(&name(field)).cloned().flatten()).collect()
}

/// The columns of a block that speak of a version: its own twice, or its neighbours.
#[derive(Debug, Clone, Copy)]
struct Columns {
    below: usize,
    above: usize,
}

impl Columns {
    /// From a block's first line, if the block is about this build.
    fn of(header: &str, info: &BuildInfo, arch: Arch) -> Option<Self> {
        let mut header = header.split('\t');
        let (module, block_arch, toolchains) = (header.next()?, header.next()?, header.next()?);
        if block_arch != arch.name() || !(toolchains == ANY || includes(toolchains, info)) {
            return None;
        }
        Self::around(header.map_while(Range::parse), linked_version(info, module)?)
    }

    /// Ranges rise and do not overlap.
    fn around(ranges: impl Iterator<Item = Range>, wanted: Version) -> Option<Self> {
        let mut below = None;
        for (index, range) in ranges.enumerate() {
            if range.first <= wanted && wanted <= range.last {
                return Some(Self { below: index, above: index });
            }
            if range.last < wanted && range.last.minor() == wanted.minor() {
                below = Some(index);
            }
            if range.first > wanted {
                let same = range.first.minor() == wanted.minor();
                return below.filter(|_| same).map(|below| Self { below, above: index });
            }
        }
        None
    }

    /// The cell, if the columns agree.
    fn cell<'t>(&self, cells: &'t str) -> Option<&'t str> {
        let (mut below, mut above) = (None, None);
        for (index, cell) in cells.split('\t').enumerate() {
            below = if index <= self.below { Some(cell) } else { below };
            above = if index <= self.above { Some(cell) } else { above };
        }
        below.filter(|_| below == above)
    }
}

/// Whether the toolchain that built the program is within two minors as in `1.21-1.26`.
fn includes(toolchains: &str, info: &BuildInfo) -> bool {
    let minor = |text: &str| {
        let (major, minor) = text.split_once('.')?;
        Some([major.parse().ok()?, minor.parse().ok()?])
    };
    let built_by = linked_version(info, STD).map(Version::minor);
    let bounds = toolchains.split_once('-').and_then(|(first, last)| Some(minor(first)?..=minor(last)?));
    built_by.zip(bounds).is_some_and(|(minor, bounds)| bounds.contains(&minor))
}

fn parse_cell(cell: &str) -> Option<Cell> {
    match cell {
        NO_TYPE => Some(Cell::NoType),
        NO_FIELD => Some(Cell::Known(Err(FieldError::NoField))),
        UNKNOWN => None,
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

/// The versions of one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: Version,
    last: Version,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Some(Self { first: Version::parse(first)?, last: Version::parse(last)? })
    }
}

#[cfg(test)]
mod tests;
