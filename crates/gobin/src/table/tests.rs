#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::Module;
use crate::runtime_layout::RUNTIME_FIELDS;
use std::collections::BTreeSet;

const SAMPLE: &str = "# comment\n@std\tarm64\t*\t1.21.0\nruntime.g.goid\t1:1\n\
    @std\tamd64\t*\t1.21.0-1.21.2\t1.21.13\t1.22.0\t1.22.12\t1.23.0\n\
    runtime.g.goid\t152:8\t152:8\t152:8\t160:8\nruntime.g.m\t48:8\nruntime.g.new\t?\t?\t-\n\
    net/http.Request.Pattern\t-\t-\t-\t-\t232:16\nnet/http.pattern.\t~\t~\t0:88\n\
    @golang.org/x/net\tamd64\t1.21-1.26\t0.10.0-0.12.0\t0.17.0\ngolang.org/x/net/http2.responseWriter.rws\t0:8\t8:8\n\
    @golang.org/x/net\tamd64\t1.27-1.27\t0.17.0\ngolang.org/x/net/http2.responseWriter.rws\t~\n";

const GOID: FieldRef = FieldRef { package: "runtime", ty: "g", field: "goid" };
const RWS: FieldRef = FieldRef { package: "golang.org/x/net/http2", ty: "responseWriter", field: "rws" };

/// Modules of MongoDB's driver, and their package of operations.
const DRIVERS: [(&str, &str); 2] = [
    ("go.mongodb.org/mongo-driver", "go.mongodb.org/mongo-driver/x/mongo/driver"),
    ("go.mongodb.org/mongo-driver/v2", "go.mongodb.org/mongo-driver/v2/x/mongo/driver"),
];

fn built_by(version: &str) -> BuildInfo {
    BuildInfo { go_version_raw: version.to_owned(), ..BuildInfo::default() }
}

fn with_xnet(go: &str, version: &str, replacement: Option<&str>) -> BuildInfo {
    with_module("golang.org/x/net", go, version, replacement)
}

fn with_module(path: &str, go: &str, version: &str, replacement: Option<&str>) -> BuildInfo {
    let module =
        Module { path: path.to_owned(), version: version.to_owned(), replacement: replacement.map(str::to_owned) };
    BuildInfo { deps: vec![module], ..built_by(go) }
}

fn cell(table: &str, info: &BuildInfo, field: FieldRef) -> Option<Cell> {
    look_up_in(table, info, Arch::Amd64, &[field]).remove(0)
}

fn offset(info: &BuildInfo, field: FieldRef) -> Option<u64> {
    match cell(SAMPLE, info, field) {
        Some(Cell::Known(Ok(found))) => Some(found.offset),
        None => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_patch_release_between_two_that_agree_takes_their_value() {
    let goid = |version| offset(&built_by(version), GOID);
    assert_eq!((goid("go1.21.0"), goid("go1.21.1"), goid("go1.21.2")), (Some(152), Some(152), Some(152)), "in a range");
    assert_eq!((goid("go1.21.5"), goid("go1.21.13")), (Some(152), Some(152)));
    assert_eq!((goid("go1.22.0"), goid("go1.22.12")), (Some(152), Some(160)));
    assert_eq!(goid("go1.22.5"), None, "they disagree");
    assert_eq!((goid("go1.21.14"), goid("go1.23.1"), goid("go1.24.0")), (None, None, None), "beyond the known");
    assert_eq!(goid("go1.20.5"), None, "before the known");
}

#[test]
fn the_last_cell_stands_for_those_behind_it() {
    let m = FieldRef { field: "m", ..GOID };
    for version in ["go1.21.0", "go1.22.3", "go1.23.0"] {
        assert_eq!(offset(&built_by(version), m), Some(48), "{version}");
    }
    assert_eq!(offset(&built_by("go1.23.0"), GOID), Some(160));
}

#[test]
fn what_is_not_exactly_a_release_is_unknown() {
    for version in ["go1.21.5 X:nocoverageredesign", "go1.21rc2", "go1.21", "go1.21.5-vendor", "devel go1.21.5", ""] {
        assert_eq!(cell(SAMPLE, &built_by(version), GOID), None, "{version}");
    }
}

#[test]
fn absent_unknown_and_missing_are_told_apart() {
    let pattern = FieldRef { package: "net/http", ty: "Request", field: "Pattern" };
    let of = |version, field| cell(SAMPLE, &built_by(version), field);
    assert_eq!(of("go1.22.5", pattern), Some(Cell::Known(Err(FieldError::NoField))));
    let size = FieldRef { package: "net/http", ty: "pattern", field: "" };
    assert_eq!(of("go1.21.0", size), Some(Cell::NoType));
    assert_eq!(offset(&built_by("go1.22.0"), size), Some(0));
    assert_eq!(of("go1.22.0", FieldRef { field: "x", ..size }), None);
    let new = FieldRef { field: "new", ..GOID };
    assert_eq!((of("go1.21.0", new), of("go1.22.0", new)), (None, Some(Cell::Known(Err(FieldError::NoField)))));
}

#[test]
fn modules_are_looked_up_by_their_own_version_and_the_toolchain() {
    let with = |version, replacement| offset(&with_xnet("go1.21.0", version, replacement), RWS);
    assert_eq!((with("v0.10.0", None), with("v0.11.0", None), with("v0.17.0", None)), (Some(0), Some(0), Some(8)));
    for (version, replacement) in
        [("v0.13.0", None), ("v0.10.0", Some("example.com/fork")), ("v0.0.0-20230101000000-abcdef", None), ("", None)]
    {
        assert_eq!(with(version, replacement), None, "{version}");
    }
    assert_eq!(offset(&built_by("go1.21.0"), RWS), None, "not linked");
    let by = |go| cell(SAMPLE, &with_xnet(go, "v0.17.0", None), RWS);
    assert_eq!(by("go1.27.3"), Some(Cell::NoType));
    assert!(matches!(by("go1.26.99"), Some(Cell::Known(Ok(_)))));
    assert_eq!((by("go1.28.0"), by("go1.20.14")), (None, None));
}

/// Every version that a block of the shipped table names, with the block's module and toolchains.
fn shipped() -> Vec<(&'static str, &'static str, Version)> {
    let headers = TABLE.lines().filter_map(|line| line.strip_prefix('@'));
    let versions = |header: &'static str| {
        let cells: Vec<_> = header.split('\t').collect();
        let (module, toolchains) = (cells[0], cells[2]);
        assert!(Arch::ALL.iter().any(|arch| arch.name() == cells[1]) && cells.len() > 3, "{header}");
        let ranges: Vec<_> = cells[3..].iter().map(|cell| Range::parse(cell).unwrap()).collect();
        assert!(ranges.iter().all(|range| range.first <= range.last), "{header}");
        assert!(ranges.windows(2).all(|pair| pair[0].last < pair[1].first), "{header}");
        ranges.into_iter().flat_map(move |range| [range.first, range.last]).map(move |v| (module, toolchains, v))
    };
    headers.flat_map(versions).collect()
}

fn text(version: Version) -> String {
    let Version([major, minor, patch]) = version;
    format!("{major}.{minor}.{patch}")
}

#[test]
fn the_shipped_table_answers_for_every_version_in_it() {
    let known = |info: &BuildInfo, field| matches!(cell(TABLE, info, field), Some(Cell::Known(Ok(_))));
    let http = FieldRef { package: "net/http", ty: "Request", field: "Method" };
    let mongo = |package| FieldRef { package, ty: "Operation", field: "Database" };
    let (mut go, mut xnet, mut drivers) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (module, toolchains, version) in shipped() {
        if module == STD {
            let info = built_by(&format!("go{}", text(version)));
            assert!(known(&info, GOID) && known(&info, http), "go{}", text(version));
            let answers = look_up_in(TABLE, &info, Arch::Amd64, RUNTIME_FIELDS);
            let found = answers.iter().filter(|cell| matches!(cell, Some(Cell::Known(Ok(_)))));
            assert!(found.count() > 450, "go{}: {answers:?}", text(version));
            go.insert(version);
        } else if let Some(of) = DRIVERS.iter().find(|(driver, _)| *driver == module) {
            let info = with_module(module, "go1.27.0", &format!("v{}", text(version)), None);
            assert!(known(&info, mongo(of.1)), "{module} {}", text(version));
            drivers.insert(version);
        } else {
            let go = toolchains.split_once('-').map_or("1.26", |(_, last)| last);
            let info = with_xnet(&format!("go{go}.0"), &format!("v{}", text(version)), None);
            assert!(cell(TABLE, &info, RWS).is_some(), "{module} {} {toolchains}", text(version));
            xnet.insert(version);
        }
    }
    // The first and the newest patch release of each minor when this was written.
    for version in [
        [1, 21, 0],
        [1, 21, 13],
        [1, 22, 0],
        [1, 22, 12],
        [1, 23, 0],
        [1, 23, 12],
        [1, 24, 0],
        [1, 24, 13],
        [1, 25, 0],
        [1, 25, 14],
        [1, 26, 0],
        [1, 26, 11],
        [1, 27, 0],
        [1, 27, 4],
    ] {
        assert!(go.contains(&Version(version)), "{version:?}");
    }
    for version in [[1, 11, 0], [1, 17, 10], [2, 0, 0], [2, 10, 0]] {
        assert!(drivers.contains(&Version(version)), "{version:?}");
    }
    assert!(xnet.contains(&Version([0, 1, 0])) && xnet.contains(&Version([0, 62, 0])), "{xnet:?}");
}

#[test]
fn every_line_of_the_shipped_table_is_understood() {
    for line in TABLE.lines().filter(|line| !line.starts_with(['@', '#'])) {
        let (_, cells) = line.split_once('\t').unwrap();
        for cell in cells.split('\t') {
            assert!(cell == UNKNOWN || parse_cell(cell).is_some(), "{line}");
        }
    }
    assert!(TABLE.len() < 300_000, "too large to review: {}", TABLE.len());
}
