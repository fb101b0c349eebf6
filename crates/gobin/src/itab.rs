//! Interface tables: which concrete types a program uses as which interface, and by what address such a value is known.
//!
//! An interface value begins with the address of its table, one for each pair of types. Source: `abi.ITab`, runtime/iface.go
//! (`itabsinit`) of Go 1.21 to 1.27. Tables that the runtime makes itself, for types that only meet at run time, are not in
//! the executable.

use crate::image::Image;
use crate::moduledata::{Itabs, ModuleData};
use crate::rtti::{KIND_INTERFACE, KIND_POINTER, Reader};

const TYPE: u64 = 8;
/// Up to the first method.
const HEADER: u64 = 24;
/// `InterfaceType.Methods`, length.
const METHODS_LEN: u64 = 64;
/// No interface has more methods.
const MAX_METHODS: u64 = 4096;
/// Structs inside structs in which a field is looked for.
const DEPTH: u8 = 3;

/// A concrete type that is used as an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Itab {
    /// Link-time address of the table: the first word of such interface values.
    pub vaddr: u64,
    /// Link-time address of the type: the first word of such a value in an empty interface.
    pub ty: u64,
    /// Import path of the concrete type, or of what it points to; empty if it says none.
    pub package: String,
    /// Its name without the package, with a star if it is a pointer, e.g. `*valueCtx`.
    pub name: String,
    /// Where the struct behind the value has a field of the interface's own type, e.g. a context its parent.
    pub parent: Option<u64>,
}

/// The tables of the interface `package.name`; without package the language's own, `error`.
pub(crate) fn of_interface(image: &Image<'_>, module: &ModuleData, package: &str, name: &str) -> Vec<Itab> {
    let reader = Reader::new(image, &module.types);
    let short = match package.rsplit('/').next() {
        Some(last) if !last.is_empty() => format!("{last}.{name}"),
        _ => name.to_owned(),
    };
    let mut wanted = None;
    let mut is_wanted = |interface: u64| {
        if let Some(known) = wanted {
            return known == interface;
        }
        let named = reader.named(interface);
        // A type's name begins with its package's own, which need not be the last part of the path: `fiber` of `fiber/v3`.
        let is_it = named.is_some_and(|named| {
            let own = named.name.rsplit_once('.').map_or(named.name, |(_, own)| own);
            let fits = named.package.map_or(named.name == short, |found| found == package && own == name);
            named.kind == KIND_INTERFACE && fits
        });
        if is_it {
            wanted = Some(interface);
        }
        is_it
    };
    let mut found = Vec::new();
    each(image, &module.itabs, |vaddr, interface| {
        if is_wanted(interface)
            && let Some(itab) = describe(image, &reader, vaddr, interface)
        {
            found.push(itab);
        }
    });
    found
}

/// Gives each table's address and interface type.
fn each(image: &Image<'_>, itabs: &Itabs, mut take: impl FnMut(u64, u64)) {
    match itabs {
        Itabs::Links(links) => {
            for link in links.clone().step_by(8) {
                let Some(vaddr) = image.word(link) else { return };
                if let Some(interface) = image.word(vaddr) {
                    take(vaddr, interface);
                }
            }
        }
        Itabs::Region(region) => {
            let mut at = region.start;
            while at < region.end {
                let Some(interface) = image.word(at) else { return };
                let methods = interface.checked_add(METHODS_LEN).and_then(|at| image.word(at));
                let Some(methods) = methods.filter(|methods| *methods <= MAX_METHODS) else { return };
                take(at, interface);
                at = at.saturating_add(HEADER + 8 * methods.max(1));
            }
        }
        Itabs::Unknown => {}
    }
}

fn describe(image: &Image<'_>, reader: &Reader<'_, '_>, vaddr: u64, interface: u64) -> Option<Itab> {
    let ty = image.word(vaddr.checked_add(TYPE)?)?;
    let outer = reader.named(ty)?;
    let inner_type = if outer.kind == KIND_POINTER { reader.pointee(ty)? } else { ty };
    let inner = reader.named(inner_type)?;
    let own = inner.name.rsplit_once('.').map_or(inner.name, |(_, own)| own);
    let star = if outer.kind == KIND_POINTER { "*" } else { "" };
    Some(Itab {
        vaddr,
        ty,
        package: inner.package.unwrap_or_default().to_owned(),
        name: format!("{star}{own}"),
        parent: reader.offset_of_type(inner_type, interface, DEPTH),
    })
}
