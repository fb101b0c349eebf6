//! An executable as facts: the front of this crate.

use crate::buildinfo::BuildInfo;
use crate::field::{FieldError, FieldInfo, FieldRef, OffsetSource, Wanted};
use crate::frame::{self, Frame, Unwind};
use crate::image::{Image, Segment};
use crate::inline::{self, Inlined};
use crate::itab::{self, Itab};
use crate::moduledata::ModuleData;
use crate::pclntab::{self, Function, Pclntab};
use crate::site;
use crate::source::Source;
use crate::symbol::{self, SymbolError, SymbolInfo};
use crate::table::{self, Cell};
use crate::{Arch, Error, dwarf, note, references, rtti, subtracted};
use std::collections::BTreeSet;
use std::ops::Range;

/// Go 1.20 brought the form of function table and inline trees that is read here.
const OLDEST: (u16, u16) = (1, 20);
/// Functions that one question about names gives at most.
const MAX_MATCHES: usize = 1 << 16;

/// A Go executable. It borrows the file's bytes and keeps next to nothing of its own.
#[derive(Debug)]
pub struct GoBinary<'d> {
    image: Image<'d>,
    info: BuildInfo,
    module: ModuleData,
    functions: Pclntab<'d>,
}

impl<'d> GoBinary<'d> {
    /// Reads a file.
    ///
    /// # Errors
    /// What it is not, or which part of it is corrupt.
    pub fn parse(source: impl Into<Source<'d>>) -> Result<Self, Error> {
        let image = Image::parse(source.into())?;
        let info = BuildInfo::find(&image).ok_or(Error::NotGo)?;
        let version = info.go_version.as_ref();
        let found =
            pclntab::candidates(&image).find_map(|at| ModuleData::find(&image, at, version).map(|module| (at, module)));
        let Some((at, module)) = found else {
            let built = &info.go_version_raw;
            return Err(if version.is_some_and(|version| version.language() < OLDEST) {
                Error::Unsupported(format!("built by {built}, and executables before Go 1.20 are not read"))
            } else {
                Error::Unsupported(format!(
                    "built by {built}, without a function table and module data of a known layout"
                ))
            });
        };
        let functions = Pclntab::parse(&image, at, &module)?;
        Ok(Self { image, info, module, functions })
    }

    /// Whether a file is a Go executable at all: cheap, for discovery.
    pub fn is_go(source: impl Into<Source<'d>>) -> bool {
        Image::parse(source.into()).is_ok_and(|image| {
            let named = [".go.buildinfo", ".gopclntab", ".data.rel.ro.gopclntab"];
            let named = named.iter().any(|name| image.section(name).is_some());
            named || (!image.has_sections() && BuildInfo::scan(&image).is_some())
        })
    }

    /// Version, modules and settings of the build.
    pub fn build_info(&self) -> &BuildInfo {
        &self.info
    }

    /// The processor.
    pub fn arch(&self) -> Arch {
        self.image.arch()
    }

    /// Whether it can be loaded anywhere.
    pub fn is_pie(&self) -> bool {
        self.image.is_pie()
    }

    /// Where the program starts: a process's auxiliary vector has the same address as it was loaded, so that the
    /// difference is the load bias.
    pub fn entry_point(&self) -> u64 {
        self.image.entry()
    }

    /// Whether it has no symbol table.
    pub fn is_stripped(&self) -> bool {
        self.image.section(".symtab").is_none()
    }

    /// The GNU build id in hexadecimal (Go 1.24 and later, or an external linker), else Go's own.
    pub fn build_id(&self) -> Option<String> {
        note::build_id(&self.image)
    }

    /// Whether it has debug information.
    pub fn has_dwarf(&self) -> bool {
        dwarf::present(&self.image)
    }

    /// All functions, in the order of their addresses. Corrupt entries are passed over.
    pub fn functions(&self) -> impl Iterator<Item = Function<'d>> {
        self.functions.all()
    }

    /// The functions of these names, in one pass and without an index, since large programs have a million.
    pub fn functions_named(&self, names: &[&str]) -> Vec<Option<Function<'d>>> {
        let mut found = vec![None; names.len()];
        let mut missing = names.len();
        for index in 0..self.functions.count() {
            if missing == 0 {
                break;
            }
            let Some(bytes) = self.functions.name_bytes(index) else { continue };
            for (name, slot) in names.iter().zip(&mut found) {
                let is_it = bytes.starts_with(name.as_bytes()) && bytes.get(name.len()) == Some(&0);
                if is_it && slot.is_none() {
                    *slot = self.functions.function(index);
                    missing -= usize::from(slot.is_some());
                }
            }
        }
        found
    }

    /// The functions whose names begin like this.
    pub fn functions_with_prefix(&self, prefix: &str) -> Vec<Function<'d>> {
        (0..self.functions.count())
            .filter(|&index| self.functions.name_bytes(index).is_some_and(|name| name.starts_with(prefix.as_bytes())))
            .filter_map(|index| self.functions.function(index))
            .take(MAX_MATCHES)
            .collect()
    }

    /// The closures of each of these functions, in one pass. Closures of closures (`f.func1.2`) are left out.
    pub fn closures_of(&self, outer: &[&str]) -> Vec<Vec<Function<'d>>> {
        let mut found = vec![Vec::new(); outer.len()];
        for index in 0..self.functions.count() {
            let Some(bytes) = self.functions.name_bytes(index) else { continue };
            for (name, closures) in outer.iter().zip(&mut found) {
                let number = bytes.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b".func"));
                let digits =
                    number.map_or(0, |rest| rest.iter().take(10).take_while(|byte| byte.is_ascii_digit()).count());
                let is_it = digits > 0 && number.and_then(|rest| rest.get(digits)) == Some(&0);
                if is_it && closures.len() < MAX_MATCHES {
                    closures.extend(self.functions.function(index));
                }
            }
        }
        found
    }

    /// The function that holds an address.
    pub fn function_at(&self, vaddr: u64) -> Option<Function<'d>> {
        self.functions.function(self.functions.index_at(vaddr)?)
    }

    /// A function's machine code; empty if the file does not hold it.
    pub fn code(&self, function: &Function<'_>) -> &'d [u8] {
        self.image.range(&(function.entry..function.end)).unwrap_or_default()
    }

    /// The functions that call another directly, by its address.
    pub fn callers(&self, of: &Function<'_>) -> impl Iterator<Item = Function<'d>> {
        let (arch, target) = (self.image.arch(), of.entry);
        self.functions().filter(move |caller| site::calls_directly(arch, self.code(caller), caller.entry, target))
    }

    /// What was inlined into a function.
    pub fn inlined(&self, outer: &Function<'_>) -> Vec<Inlined> {
        inline::inlined(&self.image, &self.functions, &self.module, outer)
    }

    /// The functions into which one of these names was inlined, each with that name, in one pass and in no order; of more than
    /// a thousand the first.
    pub fn inliners<'n>(&self, names: &[&'n str]) -> Vec<(&'n str, Function<'d>)> {
        inline::inliners(&self.image, &self.functions, &self.module, names)
    }

    /// The calls in progress at an instruction, innermost first: functions that were inlined there, then the function
    /// itself. A return address lies behind its call, so that callers subtract one from it.
    pub fn frames_at(&self, pc: u64) -> Option<Vec<Frame<'d>>> {
        frame::frames(&self.image, &self.functions, &self.module, self.info.go_version.as_ref(), pc)
    }

    /// How a stack is walked from a function that continues with the instruction at `pc`.
    pub fn unwind_at(&self, pc: u64) -> Option<Unwind> {
        frame::unwind(&self.functions, pc)
    }

    /// Where an address lies in the file.
    pub fn file_offset(&self, vaddr: u64) -> Option<u64> {
        self.image.file_offset(vaddr)
    }

    /// What is loaded.
    pub fn load_segments(&self) -> &[Segment] {
        self.image.segments()
    }

    /// The data that holds string literals and can never be written: the non-writable, non-executable segment with the
    /// section `.rodata`.
    pub fn read_only_data(&self) -> Option<Range<u64>> {
        let at = self.image.section(".rodata").map(|section| section.vaddr);
        let segments = self.image.segments().iter().filter(|segment| !segment.write && !segment.exec);
        let holds =
            |segment: &&Segment| at.is_none_or(|at| (segment.vaddr..segment.vaddr + segment.filesz).contains(&at));
        let found = segments.filter(holds).max_by_key(|segment| segment.filesz)?;
        Some(found.vaddr..found.vaddr.checked_add(found.filesz)?)
    }

    /// The bytes of a string literal.
    pub fn string_at(&self, vaddr: u64, len: usize) -> Option<&'d [u8]> {
        self.image.bytes(vaddr, len)
    }

    /// Where a field lies.
    ///
    /// # Errors
    /// Why it is not known.
    pub fn struct_field(&self, wanted: &FieldRef) -> Result<FieldInfo, FieldError> {
        self.struct_fields(std::slice::from_ref(wanted)).pop().unwrap_or(Err(FieldError::NoType))
    }

    /// Where fields lie: run-time type information first, then debug information, then the shipped table.
    ///
    /// The first two say the same wherever both speak, which a test checks; but one lies there ready to be read, and the
    /// other must be unpacked from tens of megabytes while a new process already serves requests. For the same reason it
    /// is not unpacked for structs that, by the table, this version does not have.
    pub fn struct_fields(&self, wanted: &[FieldRef]) -> Vec<Result<FieldInfo, FieldError>> {
        let mut results = self.struct_fields_from(wanted, OffsetSource::Rtti);
        let missing = |results: &[Result<FieldInfo, FieldError>]| -> Vec<usize> {
            let missing = results.iter().enumerate().filter(|(_, result)| **result == Err(FieldError::NoType));
            missing.map(|(index, _)| index).collect()
        };
        let linked = self.linked(missing(&results).iter().filter_map(|&index| wanted.get(index)));
        let lacking = self.lacking(wanted);
        for source in [OffsetSource::Dwarf, OffsetSource::Table] {
            let mut missing = missing(&results);
            missing.retain(|&index| {
                let field = wanted.get(index);
                field.is_some_and(|field| linked.contains(field.package)) && !lacking.contains(&index)
            });
            let fields: Vec<_> = missing.iter().filter_map(|&index| wanted.get(index).copied()).collect();
            if fields.is_empty() {
                break;
            }
            for (index, result) in missing.into_iter().zip(self.struct_fields_from(&fields, source)) {
                if let Some(slot) = results.get_mut(index) {
                    *slot = result;
                }
            }
        }
        results
    }

    /// The same from one source only.
    pub fn struct_fields_from(&self, wanted: &[FieldRef], source: OffsetSource) -> Vec<Result<FieldInfo, FieldError>> {
        let found = match source {
            OffsetSource::Rtti => rtti::structs(&self.image, &self.module, &Wanted::of(wanted)),
            OffsetSource::Dwarf => dwarf::structs(&self.image, &Wanted::of(wanted)),
            OffsetSource::Table => {
                let of = |cell| match cell {
                    Some(Cell::Known(result)) => result,
                    Some(Cell::NoType) | None => Err(FieldError::NoType),
                };
                return table::look_up(&self.info, self.arch(), wanted).into_iter().map(of).collect();
            }
        };
        wanted.iter().map(|field| found.field(field, source)).collect()
    }

    /// The types that the program uses as the interface `package.name`, as far as the linker knew of it.
    pub fn interface_tables(&self, package: &str, name: &str) -> Vec<Itab> {
        itab::of_interface(&self.image, &self.module, package, name)
    }

    /// Link-time address of the one map type of this name (with the last element of its package, e.g. `metadata.MD`): the
    /// first word of an empty interface that holds one.
    pub fn map_type(&self, name: &str) -> Option<u64> {
        rtti::map_named(&self.image, &self.module, name)
    }

    /// Link-time addresses of the pointers to structs by package and name (`net/http`, `http.Server`): the first word of an
    /// empty interface that holds one. `None`: it is not linked.
    pub fn pointer_types(&self, wanted: &[(&str, &str)]) -> Vec<Option<u64>> {
        rtti::pointers_to(&self.image, &self.module, wanted)
    }

    /// Where variables of the program lie, e.g. `runtime.allglen`: by its symbol table; without one, by what the code of
    /// its runtime refers to, if that is exactly a known release's.
    pub fn runtime_symbols(&self, names: &[&'static str]) -> Vec<Result<SymbolInfo, SymbolError>> {
        symbol::in_symbol_table(&self.image, names).unwrap_or_else(|| references::recover(self, names))
    }

    /// Link-time address of the one variable that a short function subtracts, by its code.
    pub fn subtracted_variable(&self, function: &Function<'_>) -> Option<u64> {
        let found = match self.arch() {
            Arch::Amd64 => subtracted::variable(function.entry, self.code(function)),
            Arch::Arm64 => None,
        };
        found.filter(|&at| self.load_segments().iter().any(|s| !s.exec && at >= s.vaddr && at - s.vaddr < s.memsz))
    }

    /// Where the linker put the description of the program's parts.
    pub(crate) fn module_data(&self) -> u64 {
        self.module.at
    }

    /// Gives the functions whose names begin with one of the prefixes and are wanted.
    pub(crate) fn functions_among(
        &self,
        prefixes: &[&str],
        wanted: impl Fn(&[u8]) -> bool,
        mut each: impl FnMut(Function<'d>),
    ) {
        for index in 0..self.functions.count() {
            let Some(name) = self.functions.name_bytes(index) else { continue };
            if prefixes.iter().any(|prefix| name.starts_with(prefix.as_bytes()))
                && let Some(function) = self.functions.function(index)
                && wanted(function.name.as_bytes())
            {
                each(function);
            }
        }
    }

    /// Those of the fields whose struct this build's version is known not to have.
    fn lacking(&self, fields: &[FieldRef]) -> BTreeSet<usize> {
        let cells = table::look_up(&self.info, self.arch(), fields).into_iter().enumerate();
        cells.filter(|(_, cell)| *cell == Some(Cell::NoType)).map(|(index, _)| index).collect()
    }

    /// Those of the packages that have code in the executable: of others nothing else says anything either.
    fn linked<'f>(&self, fields: impl Iterator<Item = &'f FieldRef>) -> BTreeSet<&'static str> {
        let packages: BTreeSet<_> = fields.map(|field| field.package).collect();
        let mut linked = BTreeSet::new();
        for index in 0..self.functions.count() {
            if linked.len() == packages.len() {
                break;
            }
            let Some(name) = self.functions.name_bytes(index) else { continue };
            let of = |package: &&&str| name.strip_prefix(package.as_bytes()).is_some_and(|rest| rest.starts_with(b"."));
            linked.extend(packages.iter().find(of));
        }
        linked
    }
}
