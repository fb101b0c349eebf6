//! Why the object does not load, with what helps.

use crate::kernel::Capabilities;

/// Why the object does not load.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The kernel does not describe its types.
    #[error(
        "the kernel has no type information (/sys/kernel/btf/vmlinux is missing): it must be built with CONFIG_DEBUG_INFO_BTF=y"
    )]
    NoBtf,
    /// Privileges are missing.
    #[error("not permitted to load BPF programs: run as root, or with CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE")]
    Privileges,
    /// The kernel's or libbpf's refusal.
    #[error("the kernel refused {what}: {error}")]
    Refused {
        /// Which step.
        what: &'static str,
        /// Its words.
        error: libbpf_rs::Error,
    },
    /// All else loads.
    #[error("the kernel refuses what kernel.scheduler needs, all else would work: {0}")]
    Scheduler(libbpf_rs::Error),
}

fn lacks_privileges() -> bool {
    let capabilities = Capabilities::effective();
    ![Capabilities::BPF, Capabilities::PERFMON].into_iter().all(|number| capabilities.has(number))
}

/// The kernel's refusal of a step, or what it stands for.
pub(crate) fn refused(what: &'static str) -> impl Fn(libbpf_rs::Error) -> LoadError {
    move |error| match error.kind() {
        // The verifier's refusal is called so, too.
        libbpf_rs::ErrorKind::PermissionDenied if lacks_privileges() => LoadError::Privileges,
        _ => LoadError::Refused { what, error },
    }
}
