//! Where the runtime's variables lie in a program without a symbol table.
//!
//! The runtime of one release is the same code in every program, but for the addresses in it. The shipped table knows, by
//! exact release, which instructions of which functions refer to which variable. A function counts if its code is that of
//! the release in every byte but addresses; then its references say where variables lie. Such functions can only
//! contradict each other if the program is not what it says it is, and then nothing is believed. `cargo xtask
//! offsets` generates the table from programs with a symbol table.

mod code;
mod describe;
mod format;

pub use describe::{describe, select, with_forms, with_variables};
pub use format::encode;

use crate::symbol::{SymbolError, SymbolInfo, SymbolSource};
use crate::{Arch, GoBinary};
use code::Code;
use std::collections::{BTreeMap, HashMap, HashSet};

const TABLE: &[u8] = include_bytes!("table.bin");
/// The only processor that the table is about.
const ARCH: Arch = Arch::Amd64;
/// Where functions that are known are from: the runtime, and what else refers to its variables where a program reads its
/// metrics or counts behaviour that `GODEBUG` asked for.
const PACKAGES: [&str; 4] = ["runtime.", "runtime/metrics.", "internal/godebug.", "internal/godebugs."];
/// Code that is decoded of one program: the functions of the largest release have some hundred KiB.
const MAX_CODE: usize = 4 << 20;
/// Functions that must say the same of a variable, unless only one refers to it in the release. Few are enough, since each is
/// the release's own in every byte.
const MIN_VOTES: usize = 2;
/// Of a hundred functions of the runtime that a program has under their names, so many must be the release's in every byte.
/// Builds with a profile, for GOAMD64=v3 or with the race detector have 88 and more; of another minor, 40 are the same.
const MIN_SAME: usize = 60;
/// The variable whose address is known otherwise, too: if the votes get it wrong, they are worth nothing.
const WITNESS: &str = "runtime.firstmoduledata";

/// What one release's runtime refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// E.g. `1.26.8`.
    pub version: String,
    /// Symbols and their sizes in bytes.
    pub sizes: Vec<(String, u64)>,
    /// Functions that refer to them.
    pub functions: Vec<FunctionReferences>,
}

/// A function of the runtime, and what it refers to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionReferences {
    /// Full name.
    pub name: String,
    /// Of its code without addresses.
    pub fingerprint: u64,
    /// Its references.
    pub references: Vec<Reference>,
}

/// An instruction's operand that is a variable's address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// Which one of the function's operands relative to the program counter.
    pub operand: u64,
    /// The variable.
    pub symbol: String,
    /// Bytes into it.
    pub addend: u64,
}

/// Looks variables up in a program without a symbol table.
pub(crate) fn recover(binary: &GoBinary<'_>, names: &[&str]) -> Vec<Result<SymbolInfo, SymbolError>> {
    let built_by = &binary.build_info().go_version_raw;
    let release = built_by.strip_prefix("go").filter(|_| binary.arch() == ARCH);
    match release.and_then(|version| format::decode(TABLE, version)) {
        Some(release) => recover_by(&release, binary, names),
        None => names.iter().map(|_| Err(SymbolError::NoTable(built_by.clone()))).collect(),
    }
}

fn recover_by(release: &Release, binary: &GoBinary<'_>, names: &[&str]) -> Vec<Result<SymbolInfo, SymbolError>> {
    let votes = Votes::count(release, binary);
    if !votes.are_sound(binary.module_data()) {
        return names.iter().map(|_| Err(SymbolError::OtherCode(release.version.clone()))).collect();
    }
    let found = votes.variables(release);
    let of = |name: &&str| {
        let (vaddr, size) = *found.get(*name).ok_or_else(|| votes.elect(name).err().unwrap_or(SymbolError::Overlap))?;
        let room = |len: u64| len.checked_sub(size.max(1));
        let holds = |start: u64, len| vaddr >= start && room(len).is_some_and(|room| vaddr - start <= room);
        let in_data = binary.load_segments().iter().any(|segment| !segment.exec && holds(segment.vaddr, segment.memsz));
        let info =
            SymbolInfo { vaddr, size: Some(size).filter(|&size| size > 0), source: SymbolSource::ReferenceTable };
        if in_data { Ok(info) } else { Err(SymbolError::NotData) }
    };
    names.iter().map(of).collect()
}

/// Which functions say that a variable lies where.
#[derive(Default)]
struct Votes<'r> {
    /// Functions that the program has under their names, and those of them that are the release's.
    present: HashSet<&'r str>,
    same: HashSet<&'r str>,
    /// Functions by variable and address.
    counted: HashMap<&'r str, BTreeMap<u64, usize>>,
    /// Functions by variable that would have a vote.
    entitled: HashMap<&'r str, usize>,
}

impl<'r> Votes<'r> {
    fn count(release: &'r Release, binary: &GoBinary<'_>) -> Self {
        let mut votes = Self::default();
        let mut known: HashMap<&[u8], Vec<&FunctionReferences>> = HashMap::new();
        let mut pairs = HashSet::new();
        for function in &release.functions {
            known.entry(function.name.as_bytes()).or_default().push(function);
            // A function has one vote, however many forms of it are known.
            let symbols = function.references.iter().map(|reference| reference.symbol.as_str());
            for symbol in symbols.filter(|symbol| pairs.insert((function.name.as_str(), *symbol))) {
                *votes.entitled.entry(symbol).or_default() += 1;
            }
        }
        let mut budget = MAX_CODE;
        let wanted = |name: &[u8]| known.contains_key(name);
        binary.functions_among(&PACKAGES, wanted, |function| {
            let bytes = binary.code(&function);
            let Some(left) = budget.checked_sub(bytes.len().min(code::MAX_CODE)) else { return };
            budget = left;
            if let Some(forms) = known.get(function.name.as_bytes()) {
                votes.hear(forms, Code::read(function.entry, bytes));
            }
        });
        votes
    }

    /// A function of the program, and the forms of it that are known.
    fn hear(&mut self, forms: &[&'r FunctionReferences], code: Option<Code>) {
        self.present.extend(forms.first().map(|form| form.name.as_str()));
        let Some(code) = code else { return };
        let Some(same) = forms.iter().find(|form| form.fingerprint == code.fingerprint) else { return };
        self.same.insert(&same.name);
        let said: HashSet<_> = same.references.iter().filter_map(|reference| code.says(reference)).collect();
        for (symbol, vaddr) in said {
            *self.counted.entry(symbol).or_default().entry(vaddr).or_default() += 1;
        }
    }

    /// Whether the code is the release's: much of it is the same, and what is the same never contradicts itself or what
    /// is known otherwise. Compiled from the same source, it cannot.
    fn are_sound(&self, module_data: u64) -> bool {
        self.same.len() * 100 >= self.present.len() * MIN_SAME
            && self.counted.values().all(|said| said.len() == 1)
            && self.elect(WITNESS) == Ok(module_data)
    }

    /// All variables that are clearly somewhere, with address and size. Where two lie in each other, one is wrong, and neither
    /// is believed.
    fn variables(&self, release: &'r Release) -> HashMap<&'r str, (u64, u64)> {
        let elected = release.sizes.iter().filter_map(|(symbol, size)| Some((self.elect(symbol).ok()?, *size, symbol)));
        let mut elected: Vec<_> = elected.collect();
        elected.sort_unstable();
        let mut found = HashMap::new();
        let (mut end, mut last) = (0, None);
        for (vaddr, size, symbol) in elected {
            if vaddr < end {
                last.map(|last: &str| found.remove(last));
            } else {
                found.insert(symbol.as_str(), (vaddr, size));
                last = Some(symbol.as_str());
            }
            end = end.max(vaddr.saturating_add(size));
        }
        found
    }

    /// Where a variable lies.
    fn elect(&self, symbol: &str) -> Result<u64, SymbolError> {
        let entitled = self.entitled.get(symbol).copied().ok_or(SymbolError::NoReference)?;
        let said = self.counted.get(symbol).and_then(|said| said.first_key_value());
        let votes = said.map_or(0, |(_, votes)| *votes);
        let enough = said.filter(|_| votes >= MIN_VOTES.min(entitled));
        enough.map(|(vaddr, _)| *vaddr).ok_or(SymbolError::Unsure { votes, entitled })
    }
}

impl Code {
    /// Where a variable lies, by one reference to it.
    fn says<'r>(&self, reference: &'r Reference) -> Option<(&'r str, u64)> {
        let target = self.operands.get(usize::try_from(reference.operand).ok()?)?;
        Some((reference.symbol.as_str(), target.checked_sub(reference.addend)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A symbol, how many functions have a vote, and how many of them say which address.
    type Said = (&'static str, usize, &'static [(u64, usize)]);

    fn votes(all: &[Said]) -> Votes<'static> {
        Votes {
            counted: all.iter().map(|(symbol, _, said)| (*symbol, said.iter().copied().collect())).collect(),
            entitled: all.iter().map(|(symbol, entitled, _)| (*symbol, *entitled)).collect(),
            ..Votes::default()
        }
    }

    #[test]
    fn two_functions_that_agree_are_believed() {
        let votes = votes(&[
            ("two", 24, &[(0x1000, 2)]),
            ("one of many", 5, &[(0x1000, 1)]),
            ("the only one", 1, &[(0x1000, 1)]),
            ("silent", 3, &[]),
        ]);
        for sure in ["two", "the only one"] {
            assert_eq!(votes.elect(sure), Ok(0x1000), "{sure}");
        }
        for (unsure, votes_for, entitled) in [("one of many", 1, 5), ("silent", 0, 3)] {
            assert_eq!(votes.elect(unsure), Err(SymbolError::Unsure { votes: votes_for, entitled }), "{unsure}");
        }
        assert_eq!(votes.elect("unheard of"), Err(SymbolError::NoReference));
    }

    #[test]
    fn code_that_contradicts_itself_is_not_the_release() {
        let witness = (WITNESS, 2, &[(0x7000, 2)][..]);
        assert!(votes(&[witness, ("a", 4, &[(0x1000, 3)])]).are_sound(0x7000));
        assert!(!votes(&[witness, ("a", 4, &[(0x1000, 3)])]).are_sound(0x7001), "known otherwise");
        assert!(!votes(&[witness, ("a", 24, &[(0x1000, 20), (0x1008, 1)])]).are_sound(0x7000));
        assert!(!votes(&[("a", 4, &[(0x1000, 3)])]).are_sound(0x7000), "no witness");
        let with = |same: usize| {
            let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
            Votes { present: names.into(), same: names.into_iter().take(same).collect(), ..votes(&[witness]) }
        };
        assert!(with(5).are_sound(0x7000) && !with(4).are_sound(0x7000));
    }

    #[test]
    fn variables_that_lie_in_each_other_are_not_believed() {
        let votes = votes(&[
            ("a", 2, &[(0x1000, 2)]),
            ("b", 2, &[(0x1010, 2)]),
            ("c", 2, &[(0x1018, 2)]),
            ("d", 2, &[(0x1020, 2)]),
            ("e", 2, &[(u64::MAX, 2)]),
        ]);
        let release = |sizes: &[(&str, u64)]| Release {
            version: String::new(),
            sizes: sizes.iter().map(|(symbol, size)| ((*symbol).to_owned(), *size)).collect(),
            functions: Vec::new(),
        };
        let fits = release(&[("a", 16), ("b", 8), ("c", 8), ("d", 8), ("e", 8), ("unheard of", 8)]);
        assert_eq!(votes.variables(&fits).len(), 5);
        let overlaps = release(&[("a", 16), ("b", 16), ("c", 8), ("d", 8)]);
        let found = votes.variables(&overlaps);
        let mut names: Vec<_> = found.keys().copied().collect();
        names.sort_unstable();
        assert_eq!(names, ["a", "d"]);
        assert_eq!(found.get("a"), Some(&(0x1000, 16)));
    }
}
