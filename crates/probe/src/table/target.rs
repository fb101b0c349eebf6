//! Where in a program a probe sits.

use std::fmt;
use trigon_gobin::site::Register;

/// Where calls are whose results a probe takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallPlace {
    /// The calling function.
    pub within: Within,
    /// The functions that it calls, one of them; none: the only one that it calls through a pointer.
    pub callees: &'static [&'static str],
}

/// A function, or closures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Within {
    /// This function.
    Function(&'static str),
    /// The closures of this function that make such a call.
    ClosureOf(&'static str),
}

impl Within {
    /// The function's name.
    pub fn function(self) -> &'static str {
        match self {
            Self::Function(name) | Self::ClosureOf(name) => name,
        }
    }
}

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function(name) => f.write_str(name),
            Self::ClosureOf(name) => write!(f, "a closure of {name}"),
        }
    }
}

/// Where in a program a probe sits.
#[derive(Debug)]
pub enum Target {
    /// The beginning of a function, with arguments in these registers; empty: only g.
    Entry {
        /// The function.
        function: &'static str,
        /// The registers that must still hold arguments.
        needs: &'static [Register],
    },
    /// The same before the function has made its frame, so that arguments on the stack lie right behind its return address.
    EntryBeforeFrame {
        /// The function.
        function: &'static str,
        /// The registers that must still hold arguments.
        needs: &'static [Register],
    },
    /// The beginnings of those of these functions that are linked.
    Entries {
        /// The functions.
        functions: &'static [&'static str],
        /// The registers that must still hold arguments.
        needs: &'static [Register],
    },
    /// Behind calls, with results in registers, in all of these places that are linked.
    AfterCalls {
        /// The places.
        places: &'static [CallPlace],
        /// The registers that must still hold results.
        needs: &'static [Register],
    },
    /// The beginning of the closure of one of these functions that recovers from panics: its deferred end. A closure's
    /// number may change with every release, so it is found by its call to `runtime.gorecover`.
    DeferredEnd {
        /// The functions, of which one release has one.
        functions: &'static [&'static str],
    },
    /// The call of `callee` in `function`, where its arguments are in registers.
    AtCall {
        /// The function.
        function: &'static str,
        /// Which call.
        callee: &'static str,
    },
    /// Behind the only call of `callee` in `function`, with results in registers and arguments on the stack.
    AfterCall {
        /// The function.
        function: &'static str,
        /// Whose call is behind.
        callee: &'static str,
        /// The registers that must still hold results.
        needs: &'static [Register],
        /// Arguments of `function` that must lie in their places on the stack.
        spilled: &'static [Register],
    },
    /// The same, or, where there is no such site, behind where other calls lead in with their results in these registers: those
    /// are hits as well.
    AfterJoinedCall {
        /// The function.
        function: &'static str,
        /// Whose call is behind.
        callee: &'static str,
        /// The registers that must still hold results.
        needs: &'static [Register],
    },
    /// The call of `callee` in `function` that comes right before the one of a handler, whose argument lies on the stack.
    BeforeHandler {
        /// The function.
        function: &'static str,
        /// What it calls.
        callee: &'static str,
    },
    /// Behind that handler, called or not.
    BehindHandler {
        /// The function.
        function: &'static str,
        /// What it calls right before.
        callee: &'static str,
    },
    /// Where `function` goes only when its call of `callee` returned false, the only result.
    AfterCallFalse {
        /// The function.
        function: &'static str,
        /// Whose call.
        callee: &'static str,
    },
    /// The same where an argument of the call is the address of a place on the stack, in which the program looks.
    AfterCallWithPlace {
        /// The function.
        function: &'static str,
        /// Whose call is behind.
        callee: &'static str,
        /// The registers that must still hold results.
        needs: &'static [Register],
        /// The argument that is the address.
        place: Register,
    },
    /// Behind the only call of `callee` in `function`, which has a variable on its stack: it is loaded from there for its
    /// only call of another function, as an argument.
    AfterCallWithVariable {
        /// The function.
        function: &'static str,
        /// Whose call is behind.
        callee: &'static str,
        /// What is given the variable later, on some path.
        passed_to: &'static str,
        /// As which argument.
        argument: Register,
    },
    /// Where `function` returns: the beginning of the only function that it defers, with a result in its place on the
    /// stack. Before it defers, nothing is seen of its returns.
    AtReturn {
        /// The function.
        function: &'static str,
        /// The register in which the result will be returned.
        result: Register,
    },
    /// Where `function` goes only when its call of `callee` returned an error.
    AfterCallFailed {
        /// The function.
        function: &'static str,
        /// Whose call failed.
        callee: &'static str,
        /// The result with the error's first word.
        error: Register,
        /// The registers that must still hold results.
        needs: &'static [Register],
    },
    /// Where `inlined` was inlined into `function`: behind the call of `callee`, with results in these registers.
    AfterCallIfInlined {
        /// The function that was inlined.
        inlined: &'static str,
        /// Into this one.
        function: &'static str,
        /// Whose call is behind.
        callee: &'static str,
        /// The registers that must still hold results.
        needs: &'static [Register],
    },
    /// Where `inlined` was inlined into `function`: at the first call of `callee` in its body, which is on every path.
    AtCallIfInlined {
        /// The function that was inlined.
        inlined: &'static str,
        /// Into this one.
        function: &'static str,
        /// Which call.
        callee: &'static str,
    },
}
