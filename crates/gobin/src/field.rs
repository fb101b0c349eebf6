//! Struct fields: what is asked for, and what was found.

use std::fmt;

/// A field of a Go struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FieldRef {
    /// Import path, e.g. `net/http`.
    pub package: &'static str,
    /// Type name without its package, e.g. `Request`.
    pub ty: &'static str,
    /// Field name; empty: the struct itself.
    pub field: &'static str,
}

/// Where a field lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldInfo {
    /// Bytes from the struct's start.
    pub offset: u64,
    /// Bytes of the field, or of the struct.
    pub size: u64,
    /// Who says so.
    pub source: OffsetSource,
}

/// Who said where a field lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OffsetSource {
    /// The executable's run-time type information, which survives stripping.
    Rtti,
    /// The executable's debug information.
    Dwarf,
    /// The table shipped with this agent, for exactly this version.
    Table,
}

/// Why a field is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The struct is there, without such a field.
    #[error("this version of the struct has no such field")]
    NoField,
    /// Nothing describes the struct.
    #[error("the executable does not describe this struct (not linked, or not known for this version)")]
    NoType,
}

impl fmt::Display for OffsetSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rtti => "run-time type information",
            Self::Dwarf => "DWARF",
            Self::Table => "table",
        })
    }
}

/// The fields of one struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Struct {
    pub(crate) size: u64,
    /// Name, offset, size.
    pub(crate) fields: Vec<(String, u64, u64)>,
}

impl Struct {
    pub(crate) fn field(&self, wanted: &FieldRef, source: OffsetSource) -> Result<FieldInfo, FieldError> {
        if wanted.field.is_empty() {
            return Ok(FieldInfo { offset: 0, size: self.size, source });
        }
        let found = self.fields.iter().find(|(name, ..)| name == wanted.field).ok_or(FieldError::NoField)?;
        Ok(FieldInfo { offset: found.1, size: found.2, source })
    }
}
