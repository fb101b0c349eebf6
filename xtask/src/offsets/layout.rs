//! Blocks of the table of struct offsets: `crates/gobin/src/table.rs` has the format.

use anyhow::{Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use trigon_gobin::{FieldError, FieldRef, GoBinary, OffsetSource};

/// Where one version has its fields.
pub(super) type Cells = BTreeMap<String, String>;

/// What a program says of fields. `declared` are the types that the source declares.
pub(super) fn cells(binary: &GoBinary<'_>, fields: &[FieldRef], declared: &BTreeSet<String>) -> Result<Cells> {
    let from_types = binary.struct_fields_from(fields, OffsetSource::Rtti);
    let mut cells = Cells::new();
    for ((field, found), other) in
        fields.iter().zip(binary.struct_fields_from(fields, OffsetSource::Dwarf)).zip(from_types)
    {
        // Run-time type information may lack a type; where it speaks, it must say the same.
        let (here, there) = (found.as_ref().map(|f| (f.offset, f.size)), other.map(|f| (f.offset, f.size)));
        let agree = there == Err(FieldError::NoType) || here.map_err(Clone::clone) == there;
        ensure!(agree, "{field:?}: debug information and run-time types differ");
        let ty = format!("{}.{}", field.package, field.ty);
        let cell = match found {
            Ok(info) => format!("{}:{}", info.offset, info.size),
            Err(FieldError::NoField) => "-".to_owned(),
            Err(FieldError::NoType) if declared.contains(&ty) => "?".to_owned(),
            Err(FieldError::NoType) => "~".to_owned(),
        };
        cells.insert(format!("{ty}.{}", field.field), cell);
    }
    Ok(cells)
}

/// One block: versions in rising order.
pub(super) struct Block {
    module: String,
    toolchains: String,
    /// Versions from the first to the last agree; none between them is left out.
    columns: Vec<([u32; 3], [u32; 3], Cells)>,
    /// Whether a module's minors follow one another like patch releases.
    spans_minors: bool,
}

impl Block {
    pub(super) fn new(module: &str, toolchains: &str) -> Self {
        let spans_minors = module != "std";
        Self { module: module.to_owned(), toolchains: toolchains.to_owned(), columns: Vec::new(), spans_minors }
    }

    pub(super) fn add(&mut self, version: [u32; 3], cells: Cells) {
        let spans_minors = self.spans_minors;
        let follows = |last: [u32; 3]| {
            let [major, minor, patch] = last;
            version == [major, minor, patch + 1] || (spans_minors && version == [major, minor + 1, 0])
        };
        match self.columns.last_mut() {
            Some((_, last, same)) if *same == cells && follows(*last) => *last = version,
            _ => self.columns.push((version, version, cells)),
        }
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!("@{}\tamd64\t{}", self.module, self.toolchains);
        let number = |[major, minor, patch]: [u32; 3]| format!("{major}.{minor}.{patch}");
        for (first, last, _) in &self.columns {
            let _ = write!(text, "\t{}", number(*first));
            if first != last {
                let _ = write!(text, "-{}", number(*last));
            }
        }
        text.push('\n');
        let names: BTreeSet<_> = self.columns.iter().flat_map(|(.., cells)| cells.keys()).collect();
        for name in names {
            let mut row: Vec<_> =
                self.columns.iter().map(|(.., cells)| cells.get(name).map_or("?", String::as_str)).collect();
            // The last cell stands for those behind it.
            while let [.., before, last] = row[..]
                && before == last
            {
                row.pop();
            }
            let _ = writeln!(text, "{name}\t{}", row.join("\t"));
        }
        text
    }
}
