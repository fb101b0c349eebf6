//! The Go runtime itself.

use super::{Library, Probe, Program, Role, Target, When};
use trigon_gobin::site::Register;

/// Ends each stop of a Go program.
pub(crate) const START_WORLD: &str = "runtime.startTheWorldWithSema";

pub(super) const PROBES: &[Probe] = &[
    Probe {
        id: "runtime.world.start",
        library: Library::Runtime,
        purpose: "the program runs on after a stop: cycles of the garbage collector and all other pauses",
        role: Role::WorldStart,
        when: When::Minors(23, 27),
        reads: &[],
        program: Program::WorldStart,
        target: Target::Entry {
            function: START_WORLD,
            needs: &[Register::Ax, Register::Bx, Register::Cx, Register::Di],
        },
        hits: "2 a garbage collection, 1 any other stop",
        versions: "Go 1.23 to 1.27",
        misses: "the last microseconds of stops that are not the end of a cycle",
    },
    Probe {
        id: "runtime.world.start.go1.22",
        library: Library::Runtime,
        purpose: "the same in Go 1.22",
        role: Role::WorldStart,
        when: When::Minors(22, 22),
        reads: &[],
        program: Program::WorldStartGo122,
        target: Target::Entry { function: START_WORLD, needs: &[Register::Ax, Register::Bx, Register::Cx] },
        hits: "2 a garbage collection, 1 any other stop",
        versions: "Go 1.22",
        misses: "as above; how long it took until all stood still",
    },
    Probe {
        id: "runtime.world.start.go1.21",
        library: Library::Runtime,
        purpose: "the same in Go 1.21, by the runtime's variables: the function has no arguments",
        role: Role::WorldStart,
        when: When::Minors(21, 21),
        reads: &[],
        program: Program::WorldStartGo121,
        target: Target::Entry { function: START_WORLD, needs: &[] },
        hits: "2 a garbage collection, 1 any other stop",
        versions: "Go 1.21",
        misses: "as above; how long stops took that are not the collector's",
    },
];
