//! What the crate ships about releases of Go, against programs that an old, a middle and the newest of them build.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::Command;
use trigon_gobin::runtime_layout::{RUNTIME_FIELDS, RUNTIME_SYMBOLS};
use trigon_gobin::{FieldError, FieldRef, GoBinary, OffsetSource, SymbolError, SymbolInfo, SymbolSource};

const TOOLCHAINS: [&str; 3] = ["go1.21.13", "go1.24.13", "go1.27.4"];

const PROGRAM: &str = r#"package main

import (
	"context"
	"fmt"
	"runtime/pprof"
)

func main() {
	pprof.Do(context.Background(), pprof.Labels("a", "b"), func(context.Context) { fmt.Println("hello") })
}
"#;

const SERVER: &str =
    "package main\n\nimport \"net/http\"\n\nfunc main() { panic(http.ListenAndServe(\"127.0.0.1:0\", nil)) }\n";

/// Builds a program; an empty toolchain is the default one.
fn build(toolchain: &str, program: &str, cgo: bool, flags: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let program =
        if cgo { program.replacen("package main\n", "package main\n\nimport \"C\"\n", 1) } else { program.to_owned() };
    std::fs::write(folder.path().join("main.go"), program).unwrap();
    std::fs::write(folder.path().join("go.mod"), "module example.com/releases\n\ngo 1.21\n").unwrap();
    let out = folder.path().join("program");
    let mut go = Command::new("go");
    go.current_dir(&folder).env("CGO_ENABLED", if cgo { "1" } else { "0" });
    if !toolchain.is_empty() {
        go.env("GOTOOLCHAIN", toolchain);
    }
    // Without -trimpath the flags are a part of the program's data, and move all that lies behind them.
    let done =
        go.args(["build", "-buildvcs=false", "-trimpath", "-o"]).arg(&out).args(flags).arg(".").output().unwrap();
    assert!(done.status.success(), "{go:?}: {}", String::from_utf8_lossy(&done.stderr));
    std::fs::read(out).unwrap()
}

#[test]
fn debug_information_and_run_time_types_and_the_table_agree() {
    for toolchain in TOOLCHAINS {
        let bytes = build(toolchain, PROGRAM, false, &["-ldflags=-w=0"]);
        let binary = GoBinary::parse(&bytes).unwrap();
        let places = |source| {
            let found = binary.struct_fields_from(RUNTIME_FIELDS, source);
            found.into_iter().map(|result| result.map(|info| (info.offset, info.size))).collect::<Vec<_>>()
        };
        let (dwarf, rtti, table) =
            (places(OffsetSource::Dwarf), places(OffsetSource::Rtti), places(OffsetSource::Table));
        let (mut spoken, mut found) = (0, 0);
        for (((field, dwarf), rtti), table) in RUNTIME_FIELDS.iter().zip(dwarf).zip(rtti).zip(table) {
            assert_eq!(dwarf, table, "{toolchain} {field:?}");
            if rtti != Err(FieldError::NoType) {
                assert_eq!(dwarf, rtti, "{toolchain} {field:?}");
                spoken += usize::from(rtti.is_ok());
            }
            found += usize::from(dwarf.is_ok());
        }
        assert!(found > 450 && spoken > 250, "{toolchain}: {found} found, {spoken} by run-time types");
    }
}

#[test]
fn a_stripped_program_has_all_fields_by_its_types_and_the_table() {
    let field = |ty, field| FieldRef { package: "runtime", ty, field };
    let wanted =
        [field("g", "goid"), field("schedt", "timeToRun"), field("mstats", "heapStats.gen"), field("schedt", "no")];
    let bytes = build(TOOLCHAINS[1], PROGRAM, false, &["-ldflags=-s -w"]);
    let found = GoBinary::parse(&bytes).unwrap().struct_fields(&wanted);
    let sources: Vec<_> = found.iter().map(|result| result.as_ref().map(|info| info.source)).collect();
    assert_eq!(sources[..3], [Ok(OffsetSource::Rtti), Ok(OffsetSource::Table), Ok(OffsetSource::Table)]);
    // The table holds what is listed, and knows nothing of other fields.
    assert_eq!(sources[3], Err(&FieldError::NoType));
}

type Symbols = Vec<Result<SymbolInfo, SymbolError>>;

/// The variables of a program by its symbol table, and those of the same program without one by its code.
fn twins(toolchain: &str, program: &str, cgo: bool, flags: &[&str], link: &str) -> (Symbols, Symbols, Vec<u8>) {
    let with = |more: &str| build(toolchain, program, cgo, &[flags, &[&format!("-ldflags={link} {more}")]].concat());
    let (plain, stripped) = (with(""), with("-s -w"));
    let truth = GoBinary::parse(&plain).unwrap();
    let binary = GoBinary::parse(&stripped).unwrap();
    assert!(!truth.is_stripped() && binary.is_stripped());
    (truth.runtime_symbols(RUNTIME_SYMBOLS), binary.runtime_symbols(RUNTIME_SYMBOLS), stripped)
}

/// What a goroutine dump and the metrics cannot do without.
const NEEDED: [&str; 14] = [
    "runtime.memstats",
    "runtime.gcController",
    "runtime.work",
    "runtime.mheap_",
    "runtime.sched",
    "runtime.allgs",
    "runtime.allglen",
    "runtime.allgptr",
    "runtime.allp",
    "runtime.allm",
    "runtime.gomaxprocs",
    "runtime.ncgocall",
    "runtime.firstmoduledata",
    "runtime.waitReasonStrings",
];

/// Compares; returns how many were found.
fn compare(what: &str, truth: &Symbols, found: &Symbols) -> usize {
    let mut same = 0;
    for ((name, truth), found) in RUNTIME_SYMBOLS.iter().zip(truth).zip(found) {
        match (truth, found) {
            (Ok(truth), Ok(found)) => {
                assert_eq!((found.vaddr, found.size), (truth.vaddr, truth.size), "{what} {name}");
                assert_eq!(found.source, SymbolSource::ReferenceTable);
                same += 1;
            }
            (Err(_), Ok(found)) => panic!("{what} {name}: there is no such symbol, but {found:?} was found"),
            (Ok(_), Err(error)) => assert!(!NEEDED.contains(name), "{what} {name}: {error}"),
            (Err(_), Err(_)) => {}
        }
    }
    same
}

#[test]
fn variables_of_stripped_programs_are_where_the_unstripped_twins_have_them() {
    for toolchain in TOOLCHAINS {
        for (mode, cgo, flags, link) in [
            ("plain", false, &[][..], ""),
            ("pie", false, &["-buildmode=pie"], ""),
            ("cgo", true, &[], "-linkmode=external"),
            ("cgo pie", true, &["-buildmode=pie"], "-linkmode=external"),
        ] {
            let (truth, found, _) = twins(toolchain, PROGRAM, cgo, flags, link);
            let known = truth.iter().filter(|result| result.is_ok()).count();
            let same = compare(&format!("{toolchain} {mode}"), &truth, &found);
            assert!(known > 45 && same >= known, "{toolchain} {mode}: {same} of {known}: {found:?}");
        }
    }
}

#[test]
fn a_server_has_what_small_programs_have() {
    let (truth, found, _) = twins("", SERVER, false, &[], "");
    let known = truth.iter().filter(|result| result.is_ok()).count();
    let same = compare("server", &truth, &found);
    assert!(same + 1 >= known, "{same} of {known}: {found:?}");
}

/// What the metrics of `GODEBUG` settings need.
const OF_GODEBUG: [&str; 3] = ["runtime.metricsInit", "runtime.metrics", "internal/godebugs.All"];
/// Reads its metrics, and knows nothing of `GODEBUG`.
const READER: &str =
    "package main\n\nimport \"runtime/metrics\"\n\nfunc main() { metrics.Read(make([]metrics.Sample, 1)) }\n";
/// Behaves as `GODEBUG` asks for, and never reads a metric.
const COUNTER: &str = "package main\n\nimport \"math/rand\"\n\nfunc main() { rand.Int() }\n";

#[test]
fn what_not_every_program_has_is_found_where_it_is() {
    for toolchain in TOOLCHAINS {
        for (program, flags) in [(READER, &[][..]), (COUNTER, &[]), (READER, &["-buildmode=pie"])] {
            let (truth, found, _) = twins(toolchain, program, false, flags, "");
            compare(toolchain, &truth, &found);
            for (name, found) in RUNTIME_SYMBOLS.iter().zip(&found).filter(|(name, _)| OF_GODEBUG.contains(name)) {
                assert!(found.is_ok(), "{toolchain} {name}: {found:?} in {program}");
            }
        }
        let (_, found, _) = twins(toolchain, "package main\n\nfunc main() {}\n", false, &[], "");
        for (name, found) in RUNTIME_SYMBOLS.iter().zip(&found).filter(|(name, _)| OF_GODEBUG.contains(name)) {
            assert!(matches!(found, Err(SymbolError::Unsure { votes: 0, .. })), "{toolchain} {name}: {found:?}");
        }
    }
}

/// The same program, which says that another release built it.
fn claiming(stripped: &[u8], built_by: &str, claimed: &str) -> Symbols {
    assert_eq!(built_by.len(), claimed.len());
    let mut bytes = stripped.to_vec();
    let places: Vec<_> = bytes.windows(built_by.len()).enumerate().filter(|(_, w)| *w == built_by.as_bytes()).collect();
    let places: Vec<_> = places.into_iter().map(|(at, _)| at).collect();
    for at in places {
        bytes[at..at + claimed.len()].copy_from_slice(claimed.as_bytes());
    }
    let binary = GoBinary::parse(&bytes).unwrap();
    assert_eq!(binary.build_info().go_version_raw, claimed);
    binary.runtime_symbols(RUNTIME_SYMBOLS)
}

#[test]
fn what_another_release_built_is_refused() {
    let (truth, _, stripped) = twins("go1.24.13", PROGRAM, false, &[], "");
    // Another minor: some of its code is the same, which would mislead.
    for minor in ["go1.25.13", "go1.23.12", "go1.21.13"] {
        let found = claiming(&stripped, "go1.24.13", minor);
        assert!(found.iter().all(|result| matches!(result, Err(SymbolError::OtherCode(_)))), "{minor}: {found:?}");
    }
    // A patch release that changed the runtime's structs: what is found all the same is right.
    let found = claiming(&stripped, "go1.24.13", "go1.24.10");
    compare("go1.24.13 as go1.24.10", &truth, &found);
    // Releases that nobody looked at.
    for unknown in ["go1.24.99", "go1.24rc1", "go1.24.1x"] {
        let found = claiming(&stripped, "go1.24.13", unknown);
        assert!(found.iter().all(|result| matches!(result, Err(SymbolError::NoTable(_)))), "{unknown}: {found:?}");
    }
}
