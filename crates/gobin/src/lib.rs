//! A Go executable as facts: version and modules, functions, inline trees, struct offsets, probe sites.
//!
//! Pure: it takes a file's bytes, or asks its caller for them part by part, and touches nothing else. The bytes may be hostile: every read is
//! checked, every loop bounded, and what contradicts itself is an error or absent.

mod arch;
mod binary;
mod buildinfo;
mod dwarf;
mod error;
mod field;
mod frame;
mod image;
mod inline;
mod itab;
mod moduledata;
mod note;
mod pclntab;
mod pcvalue;
pub mod references;
mod relocations;
mod rtti;
pub mod runtime_layout;
pub mod site;
mod source;
mod subtracted;
mod symbol;
mod table;
mod varint;
mod version;

pub use arch::Arch;
pub use binary::GoBinary;
pub use buildinfo::{BuildInfo, Module};
pub use error::Error;
pub use field::{FieldError, FieldInfo, FieldRef, OffsetSource};
pub use frame::{Frame, Unwind};
pub use image::Segment;
pub use inline::Inlined;
pub use itab::Itab;
pub use pclntab::Function;
pub use source::{Parts, Source};
pub use symbol::{SymbolError, SymbolInfo, SymbolSource};
pub use version::GoVersion;
