//! The text of routes, and what it says.

use std::collections::HashMap;
use std::sync::Arc;
use trigon_model::ProcessId;
use trigon_model::kernel::RouteRef;

/// Where the texts of routes lie.
pub trait RouteSource {
    /// The bytes of a string literal of a process.
    fn literal(&mut self, process: ProcessId, address: u64, len: u16) -> Option<Vec<u8>>;
    /// The bytes of a string on the heap, by its hash.
    fn heap(&mut self, route: RouteRef) -> Option<Vec<u8>>;
}

/// A route pattern of `http.ServeMux`, `[METHOD ][HOST]/[PATH]`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteName {
    /// As registered.
    pub pattern: String,
    /// The path template: `http.route`.
    pub path: String,
}

impl RouteName {
    /// Takes a pattern apart; `None` if it has no path, as no pattern that `ServeMux` accepts.
    pub fn parse(pattern: &str) -> Option<Self> {
        // net/http's parsePattern: the method ends at the first blank or tab; then blanks and tabs are passed over.
        let rest = match pattern.find([' ', '\t']) {
            Some(at) => pattern.get(at..)?.trim_start_matches([' ', '\t']),
            None => pattern,
        };
        let path = rest.get(rest.find('/')?..)?;
        Some(Self { pattern: pattern.to_owned(), path: path.to_owned() })
    }
}

/// Routes by where the kernel found them, each asked for once.
#[derive(Debug)]
pub struct Routes {
    known: HashMap<(ProcessId, RouteRef), Option<Arc<RouteName>>>,
    limit: usize,
    unresolved: u64,
}

impl Routes {
    /// Keeps at most so many.
    pub fn new(limit: usize) -> Self {
        Self { known: HashMap::new(), limit, unresolved: 0 }
    }

    /// The route of a request; `None` if it has none or its text cannot be had.
    pub fn name(
        &mut self,
        process: ProcessId,
        route: RouteRef,
        source: &mut dyn RouteSource,
    ) -> Option<Arc<RouteName>> {
        let key = match route {
            RouteRef::ReadOnly { .. } => (process, route),
            RouteRef::Heap { .. } => (ProcessId(0), route), // the same text in every process
            _ => return None,
        };
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let bytes = match route {
            RouteRef::ReadOnly { address, len } => source.literal(process, address, len),
            _ => source.heap(route),
        };
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let name = text.and_then(|text| RouteName::parse(&text)).map(Arc::new);
        self.unresolved += u64::from(name.is_none());
        if self.known.len() < self.limit {
            self.known.insert(key, name.clone());
        }
        name
    }

    /// Forgets the literals of a process.
    pub fn forget(&mut self, process: ProcessId) {
        self.known.retain(|(of, _), _| *of != process);
    }

    /// Routes whose text could not be had, or was none.
    pub fn unresolved(&self) -> u64 {
        self.unresolved
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn path(pattern: &str) -> Option<String> {
        RouteName::parse(pattern).map(|name| name.path)
    }

    #[test]
    fn patterns_are_taken_apart() {
        assert_eq!(path("/hello").unwrap(), "/hello");
        assert_eq!(path("GET /items/{id}").unwrap(), "/items/{id}");
        assert_eq!(path("POST\t /a").unwrap(), "/a");
        assert_eq!(path("GET example.com/a/{rest...}").unwrap(), "/a/{rest...}");
        assert_eq!(path("example.com/").unwrap(), "/");
        assert_eq!(path("/{$}").unwrap(), "/{$}");
        assert_eq!(path("GET example.com"), None);
        assert_eq!(path(""), None);
    }

    proptest! {
        #[test]
        fn any_text_gives_a_path_that_begins_with_a_slash_or_none(pattern in ".{0,80}") {
            if let Some(name) = RouteName::parse(&pattern) {
                prop_assert!(name.path.starts_with('/'));
                prop_assert!(pattern.ends_with(&name.path));
            }
        }

        #[test]
        fn a_pattern_of_its_parts_gives_back_the_path(
            method in "([A-Z]{1,7}[ \t]{1,3})?", host in "[a-z.]{0,12}", path in "/[a-z{}/$.]{0,30}",
        ) {
            let name = RouteName::parse(&format!("{method}{host}{path}")).unwrap();
            prop_assert_eq!(name.path, path);
        }
    }
}
