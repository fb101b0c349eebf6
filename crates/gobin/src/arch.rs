//! What depends on the processor in reading an executable; what depends on it in choosing a probe site is in
//! [`crate::site`].

use object::elf;

/// Processors that Go programs may be built for here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// AArch64: read like the other, but it has no probe sites yet.
    Arm64,
}

impl Arch {
    /// All.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// From `e_machine` of the ELF header.
    pub(crate) fn from_elf(machine: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|arch| arch.elf_machine() == machine)
    }

    fn elf_machine(self) -> u16 {
        match self {
            Self::Amd64 => elf::EM_X86_64.0,
            Self::Arm64 => elf::EM_AARCH64.0,
        }
    }

    /// The relocation "load bias plus addend".
    pub(crate) fn relative_relocation(self) -> u32 {
        match self {
            Self::Amd64 => elf::R_X86_64_RELATIVE.0,
            Self::Arm64 => elf::R_AARCH64_RELATIVE.0,
        }
    }

    /// Smallest instruction in bytes, the unit of program counters in the function table (`sys.PCQuantum`).
    pub(crate) fn quantum(self) -> u8 {
        match self {
            Self::Amd64 => 1,
            Self::Arm64 => 4,
        }
    }

    /// As in `GOARCH`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}
