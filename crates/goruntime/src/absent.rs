//! Why a value is not there.

use crate::memory::ReadError;
use std::fmt;
use trigon_gobin::{FieldError, SymbolError};

/// Why a value is missing. Nothing is guessed and nothing is zero instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Absent {
    /// A struct's layout is not known.
    #[error("{package}.{ty}.{field}: {error}")]
    Field {
        /// Import path.
        package: &'static str,
        /// Struct.
        ty: &'static str,
        /// Field, or a path to one.
        field: &'static str,
        /// Why.
        error: FieldError,
    },
    /// A variable's address is not known.
    #[error("{symbol}: {error}")]
    Symbol {
        /// The variable.
        symbol: &'static str,
        /// Why.
        error: SymbolError,
    },
    /// The process's memory could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What was read contradicts itself.
    #[error("{0}")]
    Unsound(Unsound),
}

/// A contradiction in what was read: corrupt, hostile, or changed in the middle too often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsound(pub String);

impl fmt::Display for Unsound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
