//! What Go's own tracebacks show and what they leave out (runtime/traceback.go: `showfuncinfo`, `isExportedRuntime`,
//! `isSystemGoroutine`), so that text for people is what they know.

use trigon_gobin::GoVersion;

const RUNTIME: &str = "runtime.";
const PANIC: &str = "runtime.gopanic";
/// A wrapper that one of these interrupts is shown: the panic is in it.
const PANICS: [&str; 3] = [PANIC, "runtime.sigpanic", "runtime.panicwrap"];
/// Always shown from Go 1.25 on.
const CONTEXT: [&str; 2] = ["runtime.runFinalizers", "runtime.runCleanups"];
/// Functions of the runtime in whose goroutines the program's code may run at times.
const SOMETIMES_USER: [&str; 3] = ["runtime.runfinq", "runtime.runFinalizers", "runtime.runCleanups"];
/// Functions of the runtime whose goroutines are the program's.
const USER: [&str; 3] = ["runtime.main", "runtime.corostart", "runtime.handleAsyncEvent"];

/// Which calls are shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Visibility {
    minor: u16,
}

impl Visibility {
    pub(super) fn of(version: &GoVersion) -> Self {
        Self { minor: version.minor }
    }

    /// Whether a call is shown; `callee` is the function that it called.
    pub(super) fn shows(self, function: &str, wrapper: bool, first: bool, callee: Option<&str>) -> bool {
        if wrapper && callee.is_none_or(|callee| !PANICS.contains(&callee)) {
            return false;
        }
        if (self.minor >= 25 && CONTEXT.contains(&function)) || (function == PANIC && !first) {
            return true;
        }
        match function.strip_prefix(RUNTIME) {
            Some(name) => self.is_exported(name),
            None => function.contains('.'),
        }
    }

    /// Whether a function of the runtime, without its package, is for everyone.
    fn is_exported(self, name: &str) -> bool {
        let upper = |name: &str| name.starts_with(|c: char| c.is_ascii_uppercase());
        // Methods are known to be exported since Go 1.23.
        let Some((receiver, method)) = name.rsplit_once('.').filter(|_| self.minor >= 23) else { return upper(name) };
        let pointer = receiver.strip_prefix("(*").and_then(|receiver| receiver.strip_suffix(')'));
        upper(method) && upper(pointer.unwrap_or(receiver))
    }
}

/// Whether a goroutine belongs to the runtime: by its function, and for some by whether code of the program is on its stack.
pub(super) fn is_system(start_function: &str, has_user_code: bool) -> bool {
    if USER.contains(&start_function) {
        return false;
    }
    let sometimes = SOMETIMES_USER.contains(&start_function);
    start_function.starts_with(RUNTIME) && !(sometimes && has_user_code)
}

/// Whether a function is of the program, not of the runtime.
pub(super) fn is_user_code(function: &str) -> bool {
    !function.starts_with(RUNTIME)
}

/// A name as tracebacks print it: type arguments are `[...]`.
pub(super) fn printed(name: &str) -> String {
    if name == PANIC {
        return "panic".to_owned();
    }
    let (Some(open), Some(close)) = (name.find('['), name.rfind(']')) else { return name.to_owned() };
    let (Some(before), Some(inside), Some(after)) =
        (name.get(..open), name.get(open + 1..close), name.get(close + 1..))
    else {
        return name.to_owned();
    };
    // A generic method of a generic type has two lists of arguments: `T[int].Method[string]`.
    match between_lists(inside) {
        Some(middle) => format!("{before}[...]{middle}[...]{after}"),
        None => format!("{before}[...]{after}"),
    }
}

/// What lies between the first list of type arguments and the second one, if there are two.
fn between_lists(inside: &str) -> Option<&str> {
    let (mut depth, mut closed) = (1_i32, None);
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            b'[' if depth == 0 => return inside.get(closed? + 1..at),
            b'[' => depth += 1,
            b']' => {
                depth -= 1;
                if depth == 0 {
                    closed = Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_printed_as_go_prints_them() {
        assert_eq!(printed("runtime.gopanic"), "panic");
        assert_eq!(printed("main.f"), "main.f");
        assert_eq!(printed("main.generic[go.shape.int]"), "main.generic[...]");
        assert_eq!(printed("main.list[go.shape.[]int].each"), "main.list[...].each");
        assert_eq!(printed("main.T[int].M[map[string]int].func1"), "main.T[...].M[...].func1");
        assert_eq!(printed("main.odd]["), "main.odd][");
    }

    #[test]
    fn the_runtime_is_left_out_but_for_what_it_exports() {
        let (old, new) = (Visibility { minor: 21 }, Visibility { minor: 27 });
        for visibility in [old, new] {
            let shows = |name| visibility.shows(name, false, true, None);
            assert!(shows("main.f") && shows("os.(*File).Read") && shows("runtime.GC"));
            assert!(!shows("runtime.gopark") && !shows("runtime.gopanic") && !shows("_cgo_f"));
            assert!(visibility.shows("runtime.gopanic", false, false, None));
            assert!(!visibility.shows("main.(*T).M", true, false, Some("main.T.M")));
            assert!(visibility.shows("main.(*T).M", true, false, Some("runtime.panicwrap")));
        }
        assert!(new.shows("runtime.(*Frames).Next", false, true, None));
        assert!(!new.shows("runtime.(*mheap).Next", false, true, None));
        assert!(!old.shows("runtime.(*Frames).Next", false, true, None));
        assert!(new.shows("runtime.runFinalizers", false, true, None));
    }

    #[test]
    fn goroutines_of_the_runtime_are_known_by_their_function() {
        assert!(is_system("runtime.bgsweep", false) && is_system("runtime.runfinq", false));
        assert!(!is_system("runtime.main", false) && !is_system("main.f", false));
        assert!(!is_system("runtime.runfinq", true));
    }
}
