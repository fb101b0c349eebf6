//! Real executables of the installed Go: what the crate says against what Go's own tools say.

#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use trigon_gobin::runtime_layout::{RUNTIME_FIELDS, RUNTIME_SYMBOLS};
use trigon_gobin::site::{self, Body, CostClass, NoSite, Policy, Register, Registers, Shape, Want, Which};
use trigon_gobin::{
    Error, FieldError, FieldRef, Function, GoBinary, OffsetSource, Parts, Source, SymbolError, SymbolSource,
};

const PROGRAM: &str = r#"package main

import (
	"fmt"
	"net/http"
)

type pair struct{ a, b int }

func sum(p pair) int { return p.a + p.b }

//go:noinline
func outer(n int) int {
	total := 0
	for i := 0; i < n; i++ {
		total += sum(pair{i, n})
	}
	return total
}

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, outer(len(r.URL.Path))) })
	panic(http.ListenAndServe("127.0.0.1:0", nil))
}
"#;

fn build(flags: &[&str]) -> Vec<u8> {
    std::fs::read(build_file(flags)).unwrap()
}

fn build_file(flags: &[&str]) -> PathBuf {
    // Kept for the test process's life; the system's temporary folder is emptied by the system.
    let folder = tempfile::tempdir().unwrap().keep();
    std::fs::write(folder.join("main.go"), PROGRAM).unwrap();
    std::fs::write(folder.join("go.mod"), "module example.com/real\n\ngo 1.21\n").unwrap();
    let out = folder.join("real");
    let done = Command::new("go")
        .current_dir(&folder)
        .args(["build", "-buildvcs=false", "-o"])
        .arg(&out)
        .args(flags)
        .arg(".")
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    out
}

fn plain() -> &'static (PathBuf, Vec<u8>) {
    static BUILT: OnceLock<(PathBuf, Vec<u8>)> = OnceLock::new();
    BUILT.get_or_init(|| {
        let path = build_file(&[]);
        let bytes = std::fs::read(&path).unwrap();
        (path, bytes)
    })
}

/// Several functions may have one name.
fn nm(path: &Path) -> HashMap<String, HashSet<u64>> {
    let done = Command::new("go").args(["tool", "nm"]).arg(path).output().unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    let symbol = |line: &str| {
        let mut parts = line.split_whitespace();
        let address = u64::from_str_radix(parts.next()?, 16).ok()?;
        (parts.next()?.eq_ignore_ascii_case("t")).then_some(())?;
        Some((parts.collect::<Vec<_>>().join(" "), address))
    };
    let mut all: HashMap<String, HashSet<u64>> = HashMap::new();
    for (name, address) in text.lines().filter_map(symbol) {
        // Wrappers for assembly have a suffix here and the plain name in the runtime's own table.
        let plain = name.strip_suffix(".abi0").unwrap_or(&name).to_owned();
        all.entry(plain).or_default().insert(address);
    }
    all
}

#[test]
fn functions_are_where_go_says() {
    let (path, bytes) = plain();
    let binary = GoBinary::parse(bytes).unwrap();
    let truth = nm(path);
    let mut compared = 0;
    for function in binary.functions() {
        if let Some(addresses) = truth.get(function.name) {
            assert!(addresses.contains(&function.entry), "{}", function.name);
            compared += 1;
        }
    }
    assert!(compared > 3000, "{compared}");
    let found = binary.functions_named(&["main.outer", "main.no", "net/http.(*conn).serve"]);
    assert!(truth["main.outer"].contains(&found[0].unwrap().entry));
    assert!(found[1].is_none());
    assert_eq!(binary.function_at(found[2].unwrap().entry + 5), found[2]);
}

#[test]
fn build_information_is_read() {
    let binary = GoBinary::parse(&plain().1).unwrap();
    let info = binary.build_info();
    let version = Command::new("go").args(["env", "GOVERSION"]).output().unwrap();
    assert_eq!(info.go_version_raw, String::from_utf8(version.stdout).unwrap().trim());
    assert_eq!(
        (info.path.as_str(), info.main.as_ref().unwrap().path.as_str()),
        ("example.com/real", "example.com/real")
    );
    assert_eq!(info.setting("GOARCH"), Some("amd64"));
    assert!(binary.has_dwarf() && !binary.is_stripped() && !binary.is_pie());
}

#[test]
fn what_was_inlined_is_found_where_it_lies() {
    let binary = GoBinary::parse(&plain().1).unwrap();
    let outer = binary.functions_named(&["main.outer"])[0].unwrap();
    let inlined = binary.inlined(&outer);
    let sum = inlined.iter().find(|entry| entry.name == "main.sum").unwrap();
    assert!(
        sum.ranges.iter().all(|range| range.start >= outer.entry && range.end <= outer.end && range.start < range.end)
    );
}

/// Against a look at what was inlined into each function.
#[test]
fn all_functions_are_found_into_which_one_was_inlined() {
    for bytes in [&plain().1, &build(&["-buildmode=pie", "-ldflags=-s -w"])] {
        let binary = GoBinary::parse(bytes).unwrap();
        let mut by_name: HashMap<String, HashSet<u64>> = HashMap::new();
        for outer in binary.functions() {
            for inlined in binary.inlined(&outer) {
                by_name.entry(inlined.name).or_default().insert(outer.entry);
            }
        }
        // The last byte of one name may be the first of another: a name that ends in this one's is not it.
        for name in
            ["main.sum", "sync.(*Mutex).Lock", "strings.(*Builder).String", "net/http.(*Request).WithContext", "um"]
        {
            let found: HashSet<_> = binary.inliners(&[name]).iter().map(|(_, function)| function.entry).collect();
            assert_eq!(found, by_name.remove(name).unwrap_or_default(), "{name}");
            assert!(!found.is_empty() || name == "um" || name.ends_with("WithContext"), "{name}");
        }
    }
}

const FIELDS: [FieldRef; 7] = [
    FieldRef { package: "net/http", ty: "Request", field: "Header" },
    FieldRef { package: "net/http", ty: "Request", field: "" },
    FieldRef { package: "net/http", ty: "response", field: "status" },
    FieldRef { package: "net/http", ty: "conn", field: "hijackedv" },
    FieldRef { package: "net/url", ty: "URL", field: "Path" },
    FieldRef { package: "runtime", ty: "g", field: "_panic" },
    FieldRef { package: "net/http", ty: "Request", field: "NoSuchField" },
];

#[test]
fn all_sources_of_offsets_agree_and_survive_stripping() {
    let binary = GoBinary::parse(&plain().1).unwrap();
    let offsets = |binary: &GoBinary<'_>, source| {
        let found = binary.struct_fields_from(&FIELDS, source);
        found.into_iter().map(|result| result.map(|info| (info.offset, info.size))).collect::<Vec<_>>()
    };
    let rtti = offsets(&binary, OffsetSource::Rtti);
    assert!(rtti[..6].iter().all(Result::is_ok), "{rtti:?}");
    assert_eq!(rtti[6], Err(FieldError::NoField));
    assert_eq!(rtti, offsets(&binary, OffsetSource::Dwarf));
    for flags in [&["-ldflags=-s -w"][..], &["-buildmode=pie", "-ldflags=-s -w"]] {
        let bytes = build(flags);
        let stripped = GoBinary::parse(&bytes).unwrap();
        assert!(stripped.is_stripped() && !stripped.has_dwarf());
        assert_eq!(offsets(&stripped, OffsetSource::Rtti), rtti, "{flags:?}");
    }
    // The table has this toolchain's version only if it is the newest of its minor; where it speaks, it agrees.
    for (table, rtti) in offsets(&binary, OffsetSource::Table).into_iter().zip(rtti) {
        assert!(table == Err(FieldError::NoType) || table == rtti, "{table:?} {rtti:?}");
    }
}

#[test]
fn structs_and_arrays_inside_are_entered() {
    let field = |ty, field| FieldRef { package: "runtime", ty, field };
    let binary = GoBinary::parse(&plain().1).unwrap();
    let offset = |wanted: FieldRef, source| binary.struct_fields_from(&[wanted], source).remove(0);
    // The sum of the parts, by both sources.
    for source in [OffsetSource::Rtti, OffsetSource::Dwarf] {
        let of = |wanted| offset(wanted, source).unwrap();
        let sched = of(field("g", "sched")).offset;
        let pc = of(field("g", "sched.pc"));
        assert_eq!((pc.offset, pc.size), (sched + of(field("gobuf", "pc")).offset, 8), "{source}");
        let (runq, element) = (of(field("p", "runq")), of(field("p", "runq[]")));
        assert_eq!((element.offset, element.size, runq.size), (runq.offset, 8, 256 * 8), "{source}");
        for none in ["sched.no", "goid.no", "sched[]", "sched.pc[]", "no.pc", "sched..pc", ".", "[]", "sched.pc."] {
            assert_eq!(offset(field("g", none), source), Err(FieldError::NoField), "{source} {none}");
        }
    }
    // Run-time type information lacks these.
    let of = |wanted| offset(wanted, OffsetSource::Dwarf).unwrap();
    let (stats, one) = (of(field("mstats", "heapStats.stats")), of(field("mstats", "heapStats.stats[]")));
    assert_eq!((one.size, stats.size), (of(field("heapStatsDelta", "")).size, 3 * one.size));
    let in_heap = of(field("mstats", "heapStats.stats[].inHeap"));
    assert_eq!(in_heap.offset, one.offset + of(field("heapStatsDelta", "inHeap")).offset);
}

#[test]
fn symbols_are_where_go_says() {
    let (path, bytes) = plain();
    let done = Command::new("go").args(["tool", "nm", "-size"]).arg(path).output().unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    let symbol = |line: &str| {
        let parts: Vec<_> = line.split_whitespace().collect();
        let address = u64::from_str_radix(parts.first()?, 16).ok()?;
        Some((parts.get(3..)?.join(" "), (address, parts[1].parse::<u64>().ok())))
    };
    let truth: HashMap<_, _> = text.lines().filter_map(symbol).collect();
    let binary = GoBinary::parse(bytes).unwrap();
    let found = binary.runtime_symbols(RUNTIME_SYMBOLS);
    let mut compared = 0;
    for (name, found) in RUNTIME_SYMBOLS.iter().zip(found) {
        match (found, truth.get(*name)) {
            (Ok(info), Some(&truth)) => {
                assert_eq!((info.vaddr, info.size, info.source), (truth.0, truth.1, SymbolSource::SymbolTable));
                compared += 1;
            }
            (found, truth) => assert_eq!((found, truth), (Err(SymbolError::NoSymbol), None), "{name}"),
        }
    }
    assert!(compared > 40, "{compared}");
}

#[test]
fn sites_of_the_http_server_are_emulated() {
    let binary = GoBinary::parse(&plain().1).unwrap();
    let names = [
        "net/http.serverHandler.ServeHTTP",
        "net/http.(*response).finishRequest",
        "net/http.(*conn).serve",
        "net/http.(*conn).readRequest",
        "runtime.morestack_noctxt",
        "runtime.morestack",
    ];
    let found = binary.functions_named(&names);
    let entry = |index: usize| found[index].unwrap().entry;
    let is_morestack = |address| address == entry(4) || address == entry(5);
    let policy = Policy { nop5_call: false, allow_stepped: false };
    let find = |index: usize, want: Want| {
        let function = found[index].unwrap();
        let body = Body { entry: function.entry, code: binary.code(&function) };
        site::find(binary.arch(), &body, &want, &policy, &is_morestack).unwrap()
    };
    let begin = find(0, Want::Entry { needs: Registers::of(&[Register::Cx, Register::Di]) });
    assert_eq!((begin.len(), begin[0].cost, begin[0].shape), (1, CostClass::Emulated, Shape::StackCheck));
    assert_eq!(find(1, Want::Entry { needs: Registers::default() })[0].cost, CostClass::Emulated);
    let needs = Registers::of(&[Register::Ax, Register::Bx]);
    let behind = find(2, Want::AfterCall { callee: entry(3), which: Which::All, needs, spilled: Registers::default() });
    assert_eq!((behind.len(), behind[0].cost), (1, CostClass::Emulated));
}

#[test]
fn results_of_functions_that_defer_lie_where_their_frames_are() {
    let binary = GoBinary::parse(&plain().1).unwrap();
    let found = binary.functions_named(&["runtime.deferreturn", "net/http.(*conn).readRequest"]);
    let (deferreturn, read_request) = (found[0].unwrap().entry, found[1].unwrap());
    let body = |function: &Function<'_>| Body { entry: function.entry, code: binary.code(function) };
    let slots = |function: &Function<'_>| site::result_slots(binary.arch(), &body(function), deferreturn);
    let mut seen = 0;
    for function in binary.functions() {
        if !site::calls(binary.arch(), &body(&function), &[deferreturn])[0] {
            assert_eq!(slots(&function).unwrap_err(), NoSite::NoDefer, "{}", function.name);
            continue;
        }
        let found = slots(&function).unwrap_or_else(|why| panic!("{}: {why}", function.name));
        // Go's own table says how large the frame is where another function is called.
        let want = Want::AtCall { callee: deferreturn, which: Which::First, within: vec![] };
        let policy = Policy { nop5_call: false, allow_stepped: false };
        let call = site::find(binary.arch(), &body(&function), &want, &policy, &|_| false).unwrap()[0].vaddr;
        assert_eq!(binary.unwind_at(call).unwrap().size, Some(found.frame as u32), "{}", function.name);
        assert!(found.displacements.iter().flatten().all(|at| (0..found.frame).contains(at)), "{}", function.name);
        seen += 1;
    }
    assert!(seen > 100, "{seen}");

    // (w *response, err error)
    let found = slots(&read_request).unwrap();
    let [Some(_), Some(kind), Some(data)] = found.displacements[..] else { panic!("{found:?}") };
    assert!(found.direct && data == kind + 8, "{found:?}");
}

#[test]
fn closures_are_found_by_the_functions_they_lie_in() {
    let binary = GoBinary::parse(&plain().1).unwrap();
    let outer = ["net/http.(*Server).Serve", "main.main", "main.mai", "net/http.(*conn).serve", "sync.OnceFunc"];
    let closures = binary.closures_of(&outer);
    for (outer, closures) in outer.iter().zip(&closures) {
        let prefix = format!("{outer}.func");
        let is_number = |name: &str| name[prefix.len()..].bytes().all(|byte| byte.is_ascii_digit());
        let mut expected = binary.functions_with_prefix(&prefix);
        expected.retain(|function| is_number(function.name));
        assert_eq!(closures, &expected, "{outer}");
    }
    let count: Vec<_> = closures.iter().map(Vec::len).collect();
    assert!(count[1] == 1 && count[2] == 0 && count[3] > 0, "{count:?}");
}

/// A file that notes which parts of it were asked for.
#[derive(Debug)]
struct Noted<'b> {
    bytes: &'b [u8],
    kept: std::cell::Cell<usize>,
}

impl Parts for Noted<'_> {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn part(&self, range: std::ops::Range<u64>) -> Option<&[u8]> {
        self.kept.set(self.kept.get().max((range.end - range.start) as usize));
        self.bytes.get(range.start as usize..range.end as usize)
    }

    fn read(&self, at: u64, to: &mut [u8]) -> bool {
        self.bytes.get(at as usize..at as usize + to.len()).map(|bytes| to.copy_from_slice(bytes)).is_some()
    }
}

#[test]
fn a_file_that_gives_its_parts_says_the_same_as_the_whole() {
    for flags in [&[][..], &["-ldflags=-s -w"], &["-buildmode=pie"]] {
        let bytes = build(flags);
        let noted = Noted { bytes: &bytes, kept: std::cell::Cell::new(0) };
        let (whole, parts) = (GoBinary::parse(&bytes).unwrap(), GoBinary::parse(Source::of_parts(&noted)).unwrap());
        assert!(GoBinary::is_go(Source::of_parts(&noted)));
        let offsets = |binary: &GoBinary<'_>, from| binary.struct_fields_from(&FIELDS, from);
        assert_eq!(offsets(&whole, OffsetSource::Rtti), offsets(&parts, OffsetSource::Rtti), "{flags:?}");
        assert_eq!(whole.build_info(), parts.build_info());
        assert_eq!(whole.read_only_data(), parts.read_only_data());
        // No part was most of the file: types lie among strings, code and debug information were not asked for.
        let kept = noted.kept.get();
        assert!(kept < bytes.len() / 2, "{flags:?}: {kept} of {} bytes at once", bytes.len());
        assert!(whole.functions().eq(parts.functions()));
        let name = ["net/http.(*conn).serve"];
        let (code, same) = (whole.functions_named(&name)[0].unwrap(), parts.functions_named(&name)[0].unwrap());
        assert_eq!(whole.code(&code), parts.code(&same));
        assert_eq!(offsets(&whole, OffsetSource::Dwarf), offsets(&parts, OffsetSource::Dwarf), "{flags:?}");
    }
}

#[test]
fn what_is_no_go_executable_is_refused() {
    assert_eq!(GoBinary::parse(b"").unwrap_err(), Error::NotElf);
    assert_eq!(GoBinary::parse(b"\x7fELF").unwrap_err(), Error::NotElf);
    let shell = std::fs::read("/bin/sh").unwrap();
    assert_eq!(GoBinary::parse(&shell).unwrap_err(), Error::NotGo);
    assert!(!GoBinary::is_go(&shell));
}

/// Everything that reads the file.
fn read_all(bytes: &[u8]) {
    let Ok(binary) = GoBinary::parse(bytes) else { return };
    let found = binary.functions_named(&["main.outer", "net/http.(*conn).serve"]);
    for function in found.iter().flatten() {
        let _ = (binary.code(function).len(), binary.inlined(function), binary.file_offset(function.entry));
        let _ = binary.inliners(&[function.name]);
        for pc in (function.entry..function.end).step_by(16).take(4096) {
            let _ = (binary.frames_at(pc), binary.unwind_at(pc));
        }
    }
    let _ = binary.functions().take(50_000).count();
    for source in [OffsetSource::Rtti, OffsetSource::Dwarf] {
        let _ = binary.struct_fields_from(&FIELDS, source);
        let _ = binary.struct_fields_from(RUNTIME_FIELDS, source);
    }
    let _ = binary.runtime_symbols(RUNTIME_SYMBOLS);
    let _ = binary.read_only_data();
}

/// What has no symbol table is read in another way.
fn stripped() -> &'static Vec<u8> {
    static BUILT: OnceLock<Vec<u8>> = OnceLock::new();
    BUILT.get_or_init(|| build(&["-ldflags=-s -w"]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn damaged_executables_give_an_error_or_less(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40),
        in_headers in prop::collection::vec((0_usize..4096, any::<u8>()), 0..4),
        keep in any::<prop::sample::Index>(), cut in any::<bool>(), strip in any::<bool>(),
    ) {
        let mut bytes = if strip { stripped().clone() } else { plain().1.clone() };
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        for (at, value) in in_headers {
            bytes[at] = value;
        }
        if cut {
            bytes.truncate(keep.index(bytes.len()));
        }
        read_all(&bytes);
    }
}
