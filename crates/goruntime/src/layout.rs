//! Where the runtime's variables and fields lie in one process.

use crate::absent::Absent;
use crate::witness::Witness;
use std::collections::HashMap;
use std::sync::Arc;
use trigon_gobin::runtime_layout::{RUNTIME_FIELDS, RUNTIME_SYMBOLS};
use trigon_gobin::{Arch, FieldError, FieldInfo, GoBinary, GoVersion, SymbolError, SymbolInfo};

const RUNTIME: &str = "runtime";

/// Functions that values in memory may refer to.
const FUNCTIONS: [&str; 4] = [COMPUTE_ZERO, COMPUTE_COUNTER, LOAD_COUNTER, INIT_METRICS];
/// Makes the map of all metrics; without it nothing of them is linked.
pub(crate) const INIT_METRICS: &str = "runtime.initMetrics";
/// Gives zero for a metric.
pub(crate) const COMPUTE_ZERO: &str = "runtime.compute0";
/// Gives what another function gives.
pub(crate) const COMPUTE_COUNTER: &str = "runtime.metricReader.compute-fm";
/// Gives the number at an address.
pub(crate) const LOAD_COUNTER: &str = "sync/atomic.(*Uint64).Load-fm";

/// Where the runtime's variables and fields lie in one process: resolved once, since the executable does not change.
#[derive(Debug, Clone)]
pub struct RuntimeLayout {
    found: Arc<Found>,
    /// How far the executable was loaded from where it was linked.
    bias: u64,
}

/// What is the same in all processes of an executable; link-time addresses.
#[derive(Debug)]
struct Found {
    go_version: Option<GoVersion>,
    go_version_raw: String,
    arch: Arch,
    fields: HashMap<(&'static str, &'static str, &'static str), Result<FieldInfo, FieldError>>,
    symbols: HashMap<&'static str, Result<SymbolInfo, SymbolError>>,
    /// Those that there are.
    functions: HashMap<&'static str, u64>,
    witness: Option<Witness>,
}

/// Some bytes of a process: a variable, or a field of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where it begins.
    pub address: u64,
    /// Its bytes.
    pub size: u64,
}

impl RuntimeLayout {
    /// Looks everything up; `bias` is how far the executable was loaded from where it was linked.
    pub fn resolve(binary: &GoBinary<'_>, bias: u64) -> Self {
        let keys = RUNTIME_FIELDS.iter().map(|field| (field.package, field.ty, field.field));
        let symbols = binary.runtime_symbols(RUNTIME_SYMBOLS);
        let functions = FUNCTIONS.into_iter().zip(binary.functions_named(&FUNCTIONS));
        let found = Found {
            go_version: binary.build_info().go_version.clone(),
            go_version_raw: binary.build_info().go_version_raw.clone(),
            arch: binary.arch(),
            fields: keys.zip(binary.struct_fields(RUNTIME_FIELDS)).collect(),
            symbols: RUNTIME_SYMBOLS.iter().copied().zip(symbols).collect(),
            functions: functions.filter_map(|(name, found)| Some((name, found?.entry))).collect(),
            witness: Witness::of(binary),
        };
        Self { found: Arc::new(found), bias }
    }

    /// The same for another process of this executable, at hardly any cost.
    #[must_use]
    pub fn at(&self, bias: u64) -> Self {
        Self { found: Arc::clone(&self.found), bias }
    }

    /// The toolchain, if it was a release.
    pub fn go_version(&self) -> Option<&GoVersion> {
        self.found.go_version.as_ref()
    }

    /// The toolchain as it calls itself.
    pub fn go_version_raw(&self) -> &str {
        &self.found.go_version_raw
    }

    /// The processor.
    pub fn arch(&self) -> Arch {
        self.found.arch
    }

    /// How far the executable was loaded from where it was linked.
    pub fn bias(&self) -> u64 {
        self.bias
    }

    /// Bytes by which the executable is recognised in memory.
    pub fn witness(&self) -> Option<Witness> {
        self.found.witness.as_ref().map(|witness| witness.at(self.bias))
    }

    /// A variable's address in the process, by its full name, e.g. `runtime.sched`.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn symbol(&self, symbol: &'static str) -> Result<u64, Absent> {
        let error = match self.found.symbols.get(symbol) {
            Some(Ok(info)) => return Ok(info.vaddr.wrapping_add(self.bias)),
            Some(Err(error)) => error.clone(),
            None => SymbolError::NoSymbol,
        };
        Err(Absent::Symbol { symbol, error })
    }

    /// The address of a function's code in the process.
    pub(crate) fn function(&self, name: &'static str) -> Result<u64, Absent> {
        let found = self.found.functions.get(name).map(|entry| entry.wrapping_add(self.bias));
        found.ok_or(Absent::Function(name))
    }

    /// A field of a struct of package `runtime`, or a path of them; an empty one is the struct itself.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn field(&self, ty: &'static str, field: &'static str) -> Result<FieldInfo, Absent> {
        let error = match self.found.fields.get(&(RUNTIME, ty, field)) {
            Some(Ok(info)) => return Ok(info.clone()),
            Some(Err(error)) => error.clone(),
            None => FieldError::NoField,
        };
        Err(Absent::Field { package: RUNTIME, ty, field, error })
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
