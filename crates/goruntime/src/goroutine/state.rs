//! What a goroutine is doing, by the runtime's status word (runtime/runtime2.go, `_Gidle` and following).

/// The garbage collector holds the goroutine while it scans its stack (`_Gscan`).
const SCAN: u32 = 0x1000;
/// Statuses that came with this minor: `_Gleaked`, `_Gdeadextra`.
const LEAKED_SINCE: u16 = 26;

/// What a goroutine is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Ready, but no processor has taken it yet.
    Runnable,
    /// Executing Go code.
    Running,
    /// In a system call, or in C.
    Syscall,
    /// Blocked; the wait reason says on what.
    Waiting,
    /// Stopped by the runtime itself, for example to scan its stack.
    Preempted,
    /// Its stack is being moved at this moment.
    MovingStack,
    /// Blocked forever: the garbage collector found that nobody can wake it (Go 1.26 and later).
    Leaked,
}

impl State {
    /// All.
    pub const ALL: [Self; 7] =
        [Self::Runnable, Self::Running, Self::Syscall, Self::Waiting, Self::Preempted, Self::MovingStack, Self::Leaked];

    /// As the runtime's tracebacks call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Runnable => "runnable",
            Self::Running => "running",
            Self::Syscall => "syscall",
            Self::Waiting => "waiting",
            Self::Preempted => "preempted",
            Self::MovingStack => "copystack",
            Self::Leaked => "leaked",
        }
    }
}

/// What the status word of a `g` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// A goroutine.
    Live { state: State, scanned: bool },
    /// The struct waits for its next goroutine.
    Unused,
    /// No status of this version: not a `g`.
    Unknown,
}

impl Status {
    pub(super) fn decode(word: u32, minor: u16) -> Self {
        let state = match word & !SCAN {
            1 => State::Runnable,
            2 => State::Running,
            3 => State::Syscall,
            4 => State::Waiting,
            8 => State::MovingStack,
            9 => State::Preempted,
            10 if minor >= LEAKED_SINCE => State::Leaked,
            0 | 6 => return Self::Unused,
            11 if minor >= LEAKED_SINCE => return Self::Unused,
            _ => return Self::Unknown,
        };
        Self::Live { state, scanned: word & SCAN != 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_what_their_version_says() {
        let waiting = |scanned| Status::Live { state: State::Waiting, scanned };
        assert_eq!((Status::decode(4, 21), Status::decode(0x1004, 21)), (waiting(false), waiting(true)));
        assert_eq!(Status::decode(10, 26), Status::Live { state: State::Leaked, scanned: false });
        assert_eq!((Status::decode(10, 25), Status::decode(11, 25)), (Status::Unknown, Status::Unknown));
        assert_eq!((Status::decode(11, 27), Status::decode(6, 21)), (Status::Unused, Status::Unused));
        assert_eq!((Status::decode(5, 27), Status::decode(0x2004, 27)), (Status::Unknown, Status::Unknown));
    }
}
