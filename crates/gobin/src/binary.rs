//! An executable as facts: the front of this crate.

use crate::buildinfo::BuildInfo;
use crate::field::{FieldError, FieldInfo, FieldRef, OffsetSource};
use crate::image::{Arch, Image, Segment};
use crate::inline::{self, Inlined};
use crate::moduledata::ModuleData;
use crate::pclntab::{self, Function, Pclntab};
use crate::version::GoVersion;
use crate::{Error, dwarf, rtti, table};
use std::ops::Range;

/// A Go executable. It borrows the file's bytes, usually a memory map, and keeps next to nothing of its own.
#[derive(Debug)]
pub struct GoBinary<'d> {
    image: Image<'d>,
    info: BuildInfo,
    module: ModuleData,
    functions: Pclntab<'d>,
}

impl<'d> GoBinary<'d> {
    /// Reads a whole file.
    ///
    /// # Errors
    /// What it is not, or which part of it is corrupt.
    pub fn parse(data: &'d [u8]) -> Result<Self, Error> {
        let image = Image::parse(data)?;
        let info = BuildInfo::find(&image).ok_or(Error::NotGo)?;
        let at = pclntab::locate(&image)?;
        let module = ModuleData::find(&image, at, info.go_version.as_ref())?;
        let functions = Pclntab::parse(&image, at, &module)?;
        Ok(Self { image, info, module, functions })
    }

    /// Whether a file is a Go executable at all: cheap, for discovery.
    pub fn is_go(data: &[u8]) -> bool {
        Image::parse(data).is_ok_and(|image| {
            image.section(".go.buildinfo").is_some()
                || image.section(".gopclntab").is_some()
                || image.section(".data.rel.ro.gopclntab").is_some()
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

    /// Whether it has debug information.
    pub fn has_dwarf(&self) -> bool {
        dwarf::present(&self.image)
    }

    /// All functions, in the order of their addresses. Corrupt entries are passed over.
    pub fn functions(&self) -> impl Iterator<Item = Function<'d>> {
        (0..self.functions.count()).filter_map(|index| self.functions.function(index))
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
            .collect()
    }

    /// The function that holds an address.
    pub fn function_at(&self, vaddr: u64) -> Option<Function<'d>> {
        self.functions.function(self.functions.index_at(vaddr)?)
    }

    /// A function's machine code; empty if the file does not hold it.
    pub fn code(&self, function: &Function<'_>) -> &'d [u8] {
        self.image.range(&(function.entry..function.end)).unwrap_or_default()
    }

    /// What was inlined into a function.
    pub fn inlined(&self, outer: &Function<'_>) -> Vec<Inlined> {
        inline::inlined(&self.image, &self.functions, &self.module, outer)
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
    /// other must be unpacked from tens of megabytes while a new process already serves requests.
    pub fn struct_fields(&self, wanted: &[FieldRef]) -> Vec<Result<FieldInfo, FieldError>> {
        let mut results = self.struct_fields_from(wanted, OffsetSource::Rtti);
        for source in [OffsetSource::Dwarf, OffsetSource::Table] {
            let missing: Vec<_> = wanted
                .iter()
                .zip(&results)
                .filter(|(field, result)| **result == Err(FieldError::NoType) && self.may_have(field))
                .map(|(field, _)| *field)
                .collect();
            if missing.is_empty() {
                break;
            }
            let mut more = self.struct_fields_from(&missing, source).into_iter();
            for (field, result) in wanted.iter().zip(&mut results) {
                if *result == Err(FieldError::NoType) && self.may_have(field) {
                    *result = more.next().unwrap_or(Err(FieldError::NoType));
                }
            }
        }
        results
    }

    /// The same from one source only.
    pub fn struct_fields_from(&self, wanted: &[FieldRef], source: OffsetSource) -> Vec<Result<FieldInfo, FieldError>> {
        let found = match source {
            OffsetSource::Rtti => rtti::structs(&self.image, &self.module, wanted),
            OffsetSource::Dwarf if self.has_dwarf() => dwarf::structs(&self.image, wanted),
            OffsetSource::Dwarf => return vec![Err(FieldError::NoType); wanted.len()],
            OffsetSource::Table => return wanted.iter().map(|field| table::look_up(&self.info, field)).collect(),
        };
        let find = |field: &FieldRef| match found.get(&(field.package, field.ty)) {
            Some(layout) => layout.field(field, source),
            None => Err(FieldError::NoType),
        };
        wanted.iter().map(find).collect()
    }

    /// Whether it is worth looking further for a struct: not for one that this version or this program cannot have.
    fn may_have(&self, field: &FieldRef) -> bool {
        let language = self.info.go_version.as_ref().map(GoVersion::language);
        let since = |first| language.is_none_or(|language| language >= first);
        match (field.package, field.ty) {
            ("net/http", "pattern") => since((1, 22)),
            // HTTP/2 moved out of net/http.
            ("net/http/internal/http2", _) => since((1, 27)),
            ("net/http", ty) if ty.starts_with("http2") => language.is_none_or(|language| language < (1, 27)),
            // Import paths outside the standard library begin with a host name.
            (package, _) if package.split('/').next().is_some_and(|first| first.contains('.')) => {
                let of = |module: &str| {
                    package.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                };
                self.info.deps.iter().any(|module| of(&module.path))
            }
            _ => true,
        }
    }
}
