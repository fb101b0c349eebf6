//! Frames of real executables: what the crate says of an address against what the program says of itself.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;
use std::process::Command;
use trigon_gobin::GoBinary;

/// An old, a middle and the newest Go.
const TOOLCHAINS: [&str; 3] = ["go1.21.13", "go1.24.11", "go1.27.4"];

/// Prints its own call stacks: address, function, line and file of each call, innermost first.
const PROGRAM: &str = r#"package main

import (
	"fmt"
	"runtime"
	"sort"
)

//go:noinline
func print() {
	pcs := make([]uintptr, 64)
	pcs = pcs[:runtime.Callers(1, pcs)]
	for _, pc := range pcs {
		frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
		fmt.Printf("%d %s %d %s\n", pc, frame.Function, frame.Line, frame.File)
	}
	fmt.Println()
}

func innermost() { print() }

func middle(n int) {
	if n > 0 {
		innermost()
	}
	innermost()
}

type thing struct{ n int }

func (t thing) method()   { middle(t.n) }
func (t *thing) pointer() { t.method() }

type list[T any] struct{ items []T }

func (l list[T]) each(do func(T)) {
	for _, item := range l.items {
		do(item)
	}
}

//go:noinline
func generic[T any](items ...T) {
	list[T]{items}.each(func(T) { middle(1) })
}

//go:noinline
func deep(n int) {
	if n == 0 {
		middle(0)
		return
	}
	deep(n - 1)
}

var methods interface{ method() }

func main() {
	middle(1)
	methods = &thing{1}
	methods.method()
	t := &thing{1}
	call := t.pointer
	call()
	generic("a", "b")
	generic(struct{ x, y int }{1, 2})
	deep(20)
	sort.Slice([]int{2, 1}, func(i, j int) bool { print(); return i < j })
	defer func() { recover(); print() }()
	var nothing *thing
	nothing.method()
}
"#;

fn build(toolchain: &str, flags: &[&str]) -> PathBuf {
    // Kept for the test process's life; the system's temporary folder is emptied by the system.
    let folder = tempfile::tempdir().unwrap().keep();
    std::fs::write(folder.join("main.go"), PROGRAM).unwrap();
    std::fs::write(folder.join("go.mod"), "module example.com/frames\n\ngo 1.21\n").unwrap();
    let out = folder.join("frames");
    let done = Command::new("go")
        .current_dir(&folder)
        .env("GOTOOLCHAIN", toolchain)
        .args(["build", "-buildvcs=false", "-o"])
        .arg(&out)
        .args(flags)
        .arg(".")
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    out
}

/// A call as the program prints it.
#[derive(Debug)]
struct Truth {
    pc: u64,
    function: String,
    line: u32,
    file: String,
}

fn truth(line: &str) -> Truth {
    // Names of generic functions have spaces, for example `main.generic[...]` of a struct.
    let (pc, rest) = line.split_once(' ').unwrap();
    let (rest, file) = rest.rsplit_once(' ').unwrap();
    let (function, number) = rest.rsplit_once(' ').unwrap();
    Truth { pc: pc.parse().unwrap(), function: function.into(), line: number.parse().unwrap(), file: file.into() }
}

#[test]
fn frames_are_those_that_the_program_itself_sees() {
    for toolchain in TOOLCHAINS {
        for flags in [&[][..], &["-ldflags=-s -w"], &["-trimpath"], &["-gcflags=-l"]] {
            let path = build(toolchain, flags);
            let bytes = std::fs::read(&path).unwrap();
            let binary = GoBinary::parse(&bytes).unwrap();
            let output = String::from_utf8(Command::new(&path).output().unwrap().stdout).unwrap();
            let stacks: Vec<Vec<Truth>> =
                output.split_terminator("\n\n").map(|stack| stack.lines().map(truth).collect()).collect();
            assert!(stacks.len() > 8, "{toolchain} {flags:?}: {output}");
            let (mut inlined, mut compared) = (0, 0);
            for stack in &stacks {
                let mut rest = stack.as_slice();
                while let Some(first) = rest.first() {
                    let frames = binary.frames_at(first.pc - 1).unwrap();
                    let (physical, calls) = frames.split_last().unwrap();
                    assert!(!physical.inlined && calls.iter().all(|frame| frame.inlined), "{frames:?}");
                    for frame in frames.iter().filter(|frame| !frame.wrapper) {
                        let (truth, others) = rest.split_first().unwrap();
                        let said = (frame.function, frame.line, frame.file);
                        let generic = frame.function.contains('[');
                        if generic {
                            let short = |name: &str| name.split('[').next().map(str::to_owned);
                            assert_eq!(short(said.0), short(&truth.function), "{toolchain} {flags:?}");
                        } else {
                            assert_eq!(said.0, truth.function, "{toolchain} {flags:?}");
                        }
                        assert_eq!((said.1, said.2), (Some(truth.line), Some(truth.file.as_str())), "{truth:?}");
                        inlined += usize::from(frame.inlined && frame.function.starts_with("main."));
                        compared += 1;
                        rest = others;
                    }
                }
            }
            assert!(compared > 60, "{toolchain} {flags:?}: {compared}");
            assert_eq!(inlined == 0, flags == ["-gcflags=-l"], "{toolchain} {flags:?}: {inlined}");
        }
    }
}

#[test]
fn frames_are_walked_by_what_the_runtime_itself_uses() {
    for toolchain in TOOLCHAINS {
        let bytes = std::fs::read(build(toolchain, &[])).unwrap();
        let binary = GoBinary::parse(&bytes).unwrap();
        let names = ["runtime.goexit", "runtime.mcall", "runtime.asyncPreempt", "main.deep"];
        let found = binary.functions_named(&names);
        let unwind = |index: usize| found[index].and_then(|function| binary.unwind_at(function.entry + 1)).unwrap();
        assert!(unwind(0).top && !unwind(3).top, "{toolchain}");
        assert!(unwind(1).switches && !unwind(3).switches, "{toolchain}");
        assert!(unwind(2).injected && !unwind(3).injected, "{toolchain}");
        // At its first instruction a function has pushed nothing yet.
        let deep = found[3].unwrap();
        assert_eq!(binary.unwind_at(deep.entry).unwrap().size, Some(0), "{toolchain}");
        let sizes: Vec<_> = (deep.entry..deep.end).filter_map(|pc| binary.unwind_at(pc)?.size).collect();
        assert!(
            sizes.iter().any(|&size| size >= 16) && sizes.iter().all(|size| size % 8 == 0),
            "{toolchain} {sizes:?}"
        );
        // The compiler makes a method for pointers where there is one for values.
        let wrapper = binary.functions_named(&["main.(*thing).method"])[0].unwrap();
        assert!(binary.frames_at(wrapper.entry).unwrap().last().unwrap().wrapper, "{toolchain}");
    }
}
