//! Why a value is not there.

use crate::memory::ReadError;
use std::borrow::Cow;
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
    /// A function is not there.
    #[error("the executable has no function {0}")]
    Function(&'static str),
    /// The process's memory could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What was read contradicts itself: the memory is corrupt or hostile.
    #[error("{0}")]
    Unsound(Cow<'static, str>),
    /// Each time that it was read it changed, or contradicted itself.
    #[error("{0} changed, or contradicted itself, each time that it was read")]
    Restless(&'static str),
}

impl Absent {
    pub(crate) fn unsound(what: impl Into<Cow<'static, str>>) -> Self {
        Self::Unsound(what.into())
    }
}
