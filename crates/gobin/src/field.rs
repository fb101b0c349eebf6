//! Struct fields: what is asked for, and what was found.

use std::collections::HashMap;
use std::fmt;

/// A field of a Go struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FieldRef {
    /// Import path, e.g. `net/http`.
    pub package: &'static str,
    /// Type name without its package, e.g. `Request`.
    pub ty: &'static str,
    /// Field name; empty: the struct itself. Structs inside are entered by dots, arrays by `[]`, which stands for the first
    /// element: `sched.pc` of `g`, `stats[].inHeap` of `consistentHeapStats`; `stats[]` has the size of one element.
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

/// Import path and name of a struct.
pub(crate) type Key = (&'static str, &'static str);

/// The structs of which fields are wanted.
#[derive(Debug)]
pub(crate) struct Wanted {
    keys: Vec<Key>,
    /// Fields of structs and arrays inside them.
    paths: Vec<(Key, &'static str)>,
}

impl Wanted {
    pub(crate) fn of(fields: &[FieldRef]) -> Self {
        let mut keys: Vec<_> = fields.iter().map(|field| (field.package, field.ty)).collect();
        keys.sort_unstable();
        keys.dedup();
        let nested = fields.iter().filter(|field| field.field.contains(['.', '[']));
        let paths = nested.map(|field| ((field.package, field.ty), field.field)).collect();
        Self { keys, paths }
    }

    /// Adds to a struct's own fields the wanted ones of structs and arrays inside it.
    pub(crate) fn add_nested<T: Types>(&self, key: Key, layout: &mut Struct, types: &T, at: T::At) {
        let paths = self.paths.iter().filter(|(of, _)| *of == key).map(|(_, path)| path);
        let found = paths.filter_map(|path| types.resolve(at, path).map(|(offset, size)| (path, offset, size)));
        layout.fields.extend(found.map(|(path, offset, size)| ((*path).to_owned(), offset, size)));
    }

    /// By import path and name, e.g. `net/http.Request`.
    pub(crate) fn by_full_name(&self, name: &str) -> Option<Key> {
        let of = |(package, ty): &Key| name.strip_prefix(package)?.strip_prefix('.').map(|rest| rest == *ty);
        self.keys.iter().copied().find(|key| of(key).unwrap_or(false))
    }

    /// By the name that types carry at run time, e.g. `http.Request`: several packages may have it. It has the package's
    /// name, which is usually the last element of its path, but not where that is a major version (`go-redis/v9` is
    /// package `redis`) or no identifier (`kafka-go` is `kafka`): there any will do.
    pub(crate) fn by_short_name(&self, name: &[u8]) -> impl Iterator<Item = Key> {
        self.keys.iter().copied().filter(move |(package, ty)| {
            let last = package.rsplit('/').next().unwrap_or(package);
            let Some(name) = name.strip_suffix(ty.as_bytes()).and_then(|name| name.strip_suffix(b".")) else {
                return false;
            };
            name == last.as_bytes() || is_major_version(last) || !is_identifier(last)
        })
    }

    /// Length of the longest name that types carry at run time.
    pub(crate) fn longest_short_name(&self) -> usize {
        self.keys.iter().map(|(package, ty)| package.len() + 1 + ty.len()).max().unwrap_or_default()
    }
}

/// `v2` and so on, as the last element of an import path.
fn is_major_version(element: &str) -> bool {
    element.strip_prefix('v').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether it may be a package's name.
fn is_identifier(element: &str) -> bool {
    element.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
}

/// A source of layouts, in which structs and arrays are entered.
pub(crate) trait Types {
    /// A type's place.
    type At: Copy;

    /// A member of a struct.
    fn member(&self, of: Self::At, name: &str) -> Option<Member<Self::At>>;

    /// Size and type of an array's elements.
    fn element(&self, of: Self::At) -> Option<(u64, Self::At)>;

    /// Offset and size of what a path like `stats[].inHeap` leads to.
    fn resolve(&self, root: Self::At, path: &str) -> Option<(u64, u64)> {
        let (mut at, mut offset, mut size) = (root, 0_u64, 0);
        for segment in path.split('.') {
            let name = segment.trim_end_matches("[]");
            let member = self.member(at, name)?;
            offset = offset.checked_add(member.offset)?;
            (at, size) = (member.ty, member.size);
            for _ in 0..(segment.len() - name.len()) / 2 {
                (size, at) = self.element(at)?;
            }
        }
        Some((offset, size))
    }
}

/// One field as a [`Types`] describes it.
#[derive(Debug)]
pub(crate) struct Member<At> {
    pub(crate) offset: u64,
    pub(crate) size: u64,
    pub(crate) ty: At,
}

/// The structs that were found.
#[derive(Debug, Default)]
pub(crate) struct Layouts {
    /// `None`: two structs of this name, which contradict each other, so that neither is believed.
    found: HashMap<Key, Option<Struct>>,
}

impl Layouts {
    pub(crate) fn add(&mut self, key: Key, layout: Struct) {
        self.found
            .entry(key)
            .and_modify(|known| {
                if known.as_ref() != Some(&layout) {
                    *known = None;
                }
            })
            .or_insert(Some(layout));
    }

    pub(crate) fn field(&self, wanted: &FieldRef, source: OffsetSource) -> Result<FieldInfo, FieldError> {
        let layout = self.found.get(&(wanted.package, wanted.ty)).and_then(Option::as_ref);
        layout.ok_or(FieldError::NoType)?.field(wanted, source)
    }
}

/// The fields of one struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Struct {
    pub(crate) size: u64,
    /// Name or path, offset, size.
    pub(crate) fields: Vec<(String, u64, u64)>,
}

impl Struct {
    fn field(&self, wanted: &FieldRef, source: OffsetSource) -> Result<FieldInfo, FieldError> {
        if wanted.field.is_empty() {
            return Ok(FieldInfo { offset: 0, size: self.size, source });
        }
        let found = self.fields.iter().find(|(name, ..)| name == wanted.field).ok_or(FieldError::NoField)?;
        Ok(FieldInfo { offset: found.1, size: found.2, source })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const REQUEST: FieldRef = FieldRef { package: "net/http", ty: "Request", field: "Method" };
    const OTHER: FieldRef = FieldRef { package: "example.com/http", ty: "Request", field: "Method" };

    #[test]
    fn names_are_told_apart() {
        let wanted = Wanted::of(&[REQUEST, OTHER, REQUEST]);
        assert_eq!(wanted.by_full_name("net/http.Request"), Some(("net/http", "Request")));
        for other in ["net/http.RequestX", "net/http", "http.Request", "net/http.", "xnet/http.Request"] {
            assert_eq!(wanted.by_full_name(other), None, "{other}");
        }
        assert_eq!(wanted.by_short_name(b"http.Request").count(), 2);
        assert_eq!(wanted.by_short_name(b"http.Requests").count(), 0);
        let versioned = [FieldRef { package: "github.com/redis/go-redis/v9", ty: "baseCmd", field: "args" }];
        let versioned = Wanted::of(&versioned);
        assert_eq!(versioned.by_short_name(b"redis.baseCmd").count(), 1);
        assert_eq!(versioned.by_short_name(b"redis.xbaseCmd").count(), 0);
        let dashed = [FieldRef { package: "github.com/segmentio/kafka-go", ty: "Writer", field: "Topic" }];
        assert_eq!(Wanted::of(&dashed).by_short_name(b"kafka.Writer").count(), 1);
        assert!(wanted.longest_short_name() >= "http.Request".len());
    }

    #[test]
    fn two_structs_of_one_name_are_not_believed_unless_they_agree() {
        let layout = |size| Struct { size, fields: vec![("Method".to_owned(), 8, 16)] };
        let mut found = Layouts::default();
        found.add(("net/http", "Request"), layout(32));
        found.add(("net/http", "Request"), layout(32));
        let info = found.field(&REQUEST, OffsetSource::Dwarf).unwrap();
        assert_eq!((info.offset, info.size, info.source), (8, 16, OffsetSource::Dwarf));
        assert_eq!(found.field(&OTHER, OffsetSource::Dwarf), Err(FieldError::NoType));
        let missing = FieldRef { field: "Pattern", ..REQUEST };
        assert_eq!(found.field(&missing, OffsetSource::Dwarf), Err(FieldError::NoField));
        found.add(("net/http", "Request"), layout(40));
        found.add(("net/http", "Request"), layout(32));
        assert_eq!(found.field(&REQUEST, OffsetSource::Dwarf), Err(FieldError::NoType));
    }
}
