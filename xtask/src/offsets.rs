//! Generates `crates/gobin/src/table.tsv`: struct offsets of the standard library by exact Go version, from the debug
//! information of a program that is built with each.

use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use trigon_gobin::{FieldError, GoBinary, OffsetSource};
use trigon_probe::FIELDS;
use trigon_tests::golang::root;

/// The first and the newest patch release of each minor. The first of 1.21 on have ".0" in their name.
const VERSIONS: [&str; 14] = [
    "go1.21.0",
    "go1.21.13",
    "go1.22.0",
    "go1.22.12",
    "go1.23.0",
    "go1.23.12",
    "go1.24.0",
    "go1.24.11",
    "go1.25.0",
    "go1.25.5",
    "go1.26.0",
    "go1.26.8",
    "go1.27.0",
    "go1.27.4",
];

const PROGRAM: &str =
    "package main\n\nimport \"net/http\"\n\nfunc main() { panic(http.ListenAndServe(\"127.0.0.1:0\", nil)) }\n";

/// Builds, reads and writes.
pub(crate) fn run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("main.go"), PROGRAM)?;
    fs::write(folder.path().join("go.mod"), "module offsets\n\ngo 1.21\n")?;
    let mut table = String::new();
    for version in VERSIONS {
        let out = folder.path().join(version);
        let done = Command::new("go")
            .current_dir(folder.path())
            .env("GOTOOLCHAIN", version)
            .env("CGO_ENABLED", "0")
            .args(["build", "-buildvcs=false", "-o"])
            .arg(&out)
            .arg(".")
            .output()?;
        anyhow::ensure!(done.status.success(), "{version}: {}", String::from_utf8_lossy(&done.stderr));
        let bytes = fs::read(&out)?;
        let binary = GoBinary::parse(&bytes).with_context(|| version.to_owned())?;
        let fields: Vec<_> = FIELDS.iter().filter(|field| !field.package.contains('.')).copied().collect();
        let other = binary.struct_fields_from(&fields, OffsetSource::Rtti);
        for ((field, found), rtti) in
            fields.iter().zip(binary.struct_fields_from(&fields, OffsetSource::Dwarf)).zip(other)
        {
            // Run-time type information may lack a type; where it speaks, it must say the same.
            let (here, there) = (found.as_ref().map(|f| (f.offset, f.size)), rtti.map(|f| (f.offset, f.size)));
            let agree = there == Err(FieldError::NoType) || here.map_err(Clone::clone) == there;
            anyhow::ensure!(agree, "{version}: {field:?}: debug information and run-time types differ");
            let name = format!("{}.{}.{}", field.package, field.ty, field.field);
            match found {
                Ok(info) => writeln!(table, "{version}\t{name}\t{}\t{}", info.offset, info.size)?,
                Err(FieldError::NoField) => writeln!(table, "{version}\t{name}\t-\t-")?,
                Err(FieldError::NoType) => {}
            }
        }
        println!("{version}: read");
        fs::remove_file(out)?;
    }
    fs::write(root().join("crates/gobin/src/table.tsv"), table)?;
    Ok(())
}
