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
    assert_eq!(path(" /leading").unwrap(), "/leading");
    let all = RouteName::parse("GET example.com/a b").unwrap();
    assert_eq!((all.method.as_deref(), all.host.as_deref()), (Some("GET"), Some("example.com")));
    assert_eq!((all.path.as_str(), all.pattern.as_str()), ("/a b", "GET example.com/a b"));
    let bare = RouteName::parse("/a").unwrap();
    assert_eq!((bare.method, bare.host), (None, None));
}

#[test]
fn what_the_mux_refuses_is_no_pattern() {
    for pattern in ["GET example.com", "", "GET", " ", "/a b/c", "G{T /a", "a{b}/c", "{host}/c"] {
        assert_eq!(path(pattern), None, "{pattern:?}");
    }
}

/// Answers from a list and counts how often it is asked.
struct Source {
    answer: Option<Vec<u8>>,
    asked: usize,
}

impl RouteSource for Source {
    fn literal(&mut self, _: ProcessId, _: u64, _: u16) -> Option<Vec<u8>> {
        self.asked += 1;
        self.answer.clone()
    }
    fn heap(&mut self, _: RouteRef) -> Option<Vec<u8>> {
        self.asked += 1;
        self.answer.clone()
    }
}

fn source(answer: Option<&[u8]>) -> Source {
    Source { answer: answer.map(<[u8]>::to_vec), asked: 0 }
}

fn at(address: u64) -> RouteRef {
    RouteRef::ReadOnly { address, len: 4 }
}

#[test]
fn a_route_is_asked_for_once_also_if_it_cannot_be_had() {
    let (mut routes, mut texts) = (Routes::new(10), source(Some(b"/abc")));
    for _ in 0..3 {
        assert_eq!(routes.name(ProcessId(1), at(1), &mut texts).unwrap().path, "/abc");
    }
    let mut none = source(None);
    for _ in 0..3 {
        assert_eq!(routes.name(ProcessId(1), at(2), &mut none), None);
    }
    assert_eq!((texts.asked, none.asked, routes.unresolved()), (1, 1, 1));
}

#[test]
fn a_heap_route_is_shared_and_a_literal_belongs_to_its_process() {
    let (mut routes, mut texts) = (Routes::new(10), source(Some(b"/abc")));
    let heap = RouteRef::Heap { hash: 1, len: 4 };
    for process in [ProcessId(1), ProcessId(2)] {
        assert!(routes.name(process, heap, &mut texts).is_some());
    }
    assert_eq!(texts.asked, 1);
    for process in [ProcessId(1), ProcessId(2), ProcessId(1)] {
        assert!(routes.name(process, at(1), &mut texts).is_some());
    }
    assert_eq!(texts.asked, 3);
    routes.forget(ProcessId(1));
    for process in [ProcessId(1), ProcessId(2)] {
        assert!(routes.name(process, at(1), &mut texts).is_some());
        assert!(routes.name(process, heap, &mut texts).is_some());
    }
    assert_eq!(texts.asked, 4);
}

#[test]
fn beyond_the_bound_nothing_is_remembered_and_all_is_still_right() {
    let (mut routes, mut texts) = (Routes::new(2), source(Some(b"/abc")));
    for address in 0..5 {
        assert!(routes.name(ProcessId(1), at(address), &mut texts).is_some());
        assert!(routes.name(ProcessId(1), at(address), &mut texts).is_some());
    }
    assert_eq!((routes.known.len(), texts.asked), (2, 2 + 3 * 2));
}

#[test]
fn problems_have_their_reason() {
    let mut routes = Routes::new(10);
    let mut ask = |address, answer: Option<&[u8]>| {
        assert_eq!(routes.name(ProcessId(1), at(address), &mut source(answer)), None);
    };
    ask(1, None);
    ask(2, Some(b"/\xff"));
    ask(3, Some(b"none"));
    ask(4, Some(&[b'/'; ROUTE_TEXT_MAX + 1]));
    // A length beyond the bound is not even asked for.
    let (mut texts, long) = (source(Some(b"/abc")), RouteRef::ReadOnly { address: 5, len: ROUTE_TEXT_MAX as u16 + 1 });
    assert_eq!((routes.name(ProcessId(1), long, &mut texts), texts.asked), (None, 0));
    assert_eq!(RouteProblem::ALL.map(|problem| routes.problems(problem)), [1, 2, 1, 1]);
    assert_eq!(routes.unresolved(), 5);
    // Requests without a route are no problem.
    for route in [RouteRef::None, RouteRef::Unknowable, RouteRef::Unreadable, RouteRef::Other] {
        assert_eq!(routes.name(ProcessId(1), route, &mut texts), None);
    }
    assert_eq!((routes.unresolved(), texts.asked), (5, 0));
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
    fn a_pattern_of_its_parts_gives_back_the_parts(
        method in "([A-Z]{1,7})?", blanks in "[ \t]{1,3}", host in "[a-z.]{0,12}", path in "/[a-z{}/$. ]{0,30}",
    ) {
        // Without a method, a blank in the path would make the first part of it one.
        let path = if method.is_empty() { path.replace(' ', "") } else { path };
        let head = if method.is_empty() { String::new() } else { format!("{method}{blanks}") };
        let name = RouteName::parse(&format!("{head}{host}{path}")).unwrap();
        prop_assert_eq!(name.method.unwrap_or_default(), method);
        prop_assert_eq!(name.host.unwrap_or_default(), host);
        prop_assert_eq!(name.path, path);
    }

    #[test]
    fn any_bytes_resolve_or_have_one_reason(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (mut routes, mut texts) = (Routes::new(10), source(Some(&bytes)));
        let name = routes.name(ProcessId(1), at(1), &mut texts);
        prop_assert_eq!(u64::from(name.is_none()), routes.unresolved());
    }
}
