//! Where the runtime's variables and fields lie in one process.

use crate::absent::Absent;
use std::collections::HashMap;
use trigon_gobin::runtime_layout::{RUNTIME_FIELDS, RUNTIME_SYMBOLS};
use trigon_gobin::{Arch, FieldError, FieldInfo, GoBinary, GoVersion, SymbolError, SymbolInfo};

const RUNTIME: &str = "runtime";

/// Where the runtime's variables and fields lie in one process: resolved once, since the executable does not change.
#[derive(Debug, Clone)]
pub struct RuntimeLayout {
    go_version: Option<GoVersion>,
    arch: Arch,
    bias: u64,
    fields: HashMap<(&'static str, &'static str, &'static str), Result<FieldInfo, FieldError>>,
    symbols: HashMap<&'static str, Result<SymbolInfo, SymbolError>>,
}

/// A field of a variable in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where it begins.
    pub address: u64,
    /// Its bytes.
    pub size: u64,
}

impl RuntimeLayout {
    /// Looks everything up; `bias` is how far the executable was loaded from where it was linked.
    pub fn resolve(binary: &GoBinary<'_>, bias: u64, fields: &[FieldRef], symbols: &[&'static str]) -> Self {
        let keys = fields.iter().map(|field| (field.package, field.ty, field.field));
        let addresses = binary.symbol_table(symbols);
        let biased =
            |found: Option<u64>| found.map(|vaddr| vaddr.wrapping_add(bias)).ok_or("no such symbol".to_owned());
        Self {
            go_version: binary.build_info().go_version.clone(),
            arch: binary.arch(),
            bias,
            fields: keys.zip(binary.struct_fields(fields)).collect(),
            symbols: symbols.iter().copied().zip(addresses.into_iter().map(biased)).collect(),
        }
    }

    /// The toolchain, if it was a release.
    pub fn go_version(&self) -> Option<&GoVersion> {
        self.go_version.as_ref()
    }

    /// The processor.
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// How far the executable was loaded from where it was linked.
    pub fn bias(&self) -> u64 {
        self.bias
    }

    /// A variable's address in the process, by its full name, e.g. `runtime.sched`.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn symbol(&self, symbol: &'static str) -> Result<u64, Absent> {
        match self.symbols.get(symbol) {
            Some(Ok(info)) => Ok(info.vaddr.wrapping_add(self.bias)),
            Some(Err(error)) => Err(Absent::Symbol { symbol, error: error.clone() }),
            None => Err(Absent::Symbol { symbol, error: SymbolError::NoSymbol }),
        }
    }

    /// A field of a struct of package `runtime`; an empty name is the struct itself.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn field(&self, ty: &'static str, field: &'static str) -> Result<FieldInfo, Absent> {
        let absent = |error| Absent::Field { package: RUNTIME, ty, field, error };
        match self.fields.get(&(RUNTIME, ty, field)) {
            Some(Ok(info)) => Ok(info.clone()),
            Some(Err(error)) => Err(absent(error.clone())),
            None => Err(absent(FieldError::NoType)),
        }
    }

    /// A field of a variable.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn place(&self, symbol: &'static str, ty: &'static str, field: &'static str) -> Result<Place, Absent> {
        let (start, info) = (self.symbol(symbol)?, self.field(ty, field)?);
        Ok(Place { address: start.wrapping_add(info.offset), size: info.size })
    }
}
