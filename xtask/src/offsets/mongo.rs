//! Struct offsets of the MongoDB driver by its own version: those of which run-time type information does not speak. They
//! hold structs of the standard library only by pointer, or such that never changed, so that any toolchain will do.

use super::layout::{self, Block, Cells};
use super::releases::{output, work};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use trigon_gobin::{FieldRef, GoBinary};
use trigon_probe::FIELDS;

/// A major of the driver.
struct Major {
    module: &'static str,
    /// How a client is made.
    connect: &'static str,
    /// Releases that are looked at: of each minor the first and the last, and those between where the structs changed.
    releases: &'static [[u32; 3]],
}

const MAJORS: [Major; 2] = [
    Major {
        module: "go.mongodb.org/mongo-driver",
        connect: "mongo.Connect(context.Background())",
        releases: &[
            [1, 11, 0],
            [1, 11, 9],
            [1, 12, 0],
            [1, 12, 1],
            [1, 12, 2],
            [1, 13, 0],
            [1, 13, 4],
            [1, 14, 0],
            [1, 15, 0],
            [1, 15, 1],
            [1, 16, 0],
            [1, 16, 1],
            [1, 17, 0],
            [1, 17, 10],
        ],
    },
    Major {
        module: "go.mongodb.org/mongo-driver/v2",
        connect: "mongo.Connect()",
        releases: &[
            [2, 0, 0],
            [2, 1, 0],
            [2, 2, 0],
            [2, 2, 3],
            [2, 3, 0],
            [2, 4, 0],
            [2, 4, 1],
            [2, 5, 0],
            [2, 6, 0],
            [2, 7, 0],
            [2, 8, 0],
            [2, 8, 2],
            [2, 9, 0],
            [2, 9, 3],
            [2, 10, 0],
        ],
    },
];

/// The modules, as blocks of the table name them.
pub(super) fn modules() -> impl Iterator<Item = &'static str> {
    MAJORS.iter().map(|major| major.module)
}

/// A block for each major.
pub(super) fn blocks() -> Result<Vec<Block>> {
    let block = |major: &Major| {
        let mut block = Block::new(major.module, "*");
        for release in major.releases {
            block.add(*release, cells(major, *release)?);
            println!("{} {release:?}: read", major.module);
        }
        Ok(block)
    };
    MAJORS.iter().map(block).collect()
}

fn cells(major: &Major, [first, minor, patch]: [u32; 3]) -> Result<Cells> {
    let version = format!("v{first}.{minor}.{patch}");
    let folder = work().join("mongo");
    let program = folder.join(&version);
    if !program.exists() {
        let source = folder.join("src").join(&version);
        fs::create_dir_all(&source)?;
        let (module, connect) = (major.module, major.connect);
        let text = format!(
            "package main\n\nimport (\n\t\"context\"\n\n\t\"{module}/bson\"\n\t\"{module}/mongo\"\n)\n\n\
             func main() {{\n\tclient, _ := {connect}\n\t\
             client.Database(\"a\").Collection(\"b\").InsertOne(context.Background(), bson.D{{}})\n}}\n"
        );
        fs::write(source.join("main.go"), text)?;
        fs::write(source.join("go.mod"), format!("module offsets\n\ngo 1.21\n\nrequire {module} {version}\n"))?;
        let mut go = Command::new("go");
        go.current_dir(&source).env("GOTOOLCHAIN", "auto").env("CGO_ENABLED", "0");
        output(go.args(["build", "-mod=mod", "-buildvcs=false", "-o"]).arg(&program).arg("."))?;
    }
    let bytes = fs::read(program)?;
    let binary = GoBinary::parse(&bytes)?;
    let linked = binary.build_info().module_version(major.module);
    ensure!(linked == Some(version.as_str()), "{version}: {linked:?} is linked");
    let package = format!("{}/x/mongo/driver", major.module);
    let fields: Vec<FieldRef> = FIELDS.iter().filter(|field| field.package == package).copied().collect();
    layout::cells(&binary, &fields, &BTreeSet::new()).with_context(|| version)
}
