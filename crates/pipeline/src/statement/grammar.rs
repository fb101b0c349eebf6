//! Goes through the tokens once and finds operations and their targets. What stands in parentheses has a state of its own,
//! on a stack that is bounded.

use super::group::{Await, Group, Start, Verb};
use super::keyword::Keyword;
use super::lexer::{Kind, Token};
use super::steps::Steps;
use super::summary::{Summary, Target};
use super::{DoubleQuotes, shown, sql_operation};
use std::collections::BTreeSet;

/// Deepest parentheses that are looked into.
const DEPTH_MAX: usize = 64;
/// Most common table expressions whose names are known.
const CTES_MAX: usize = 64;
/// Most letters of an operation that is not known.
const UNKNOWN_MAX: usize = 16;

/// Finds what a statement does, and makes of each [`Kind::Quoted`] a name or a literal.
pub(super) fn analyse(bytes: &[u8], cut: bool, quotes: DoubleQuotes, tokens: &mut [Token], steps: &Steps) -> Summary {
    let mut walk = Walk {
        bytes,
        cut,
        quotes,
        tokens,
        steps,
        groups: vec![Group::new(Start::Statement)],
        too_deep: 0,
        ctes: BTreeSet::new(),
        summary: Summary::default(),
    };
    let mut at = 0;
    while let Some(token) = walk.token(at) {
        at = walk.step(at, token);
    }
    walk.summary
}

struct Walk<'a> {
    bytes: &'a [u8],
    cut: bool,
    quotes: DoubleQuotes,
    tokens: &'a mut [Token],
    steps: &'a Steps,
    /// Never empty.
    groups: Vec<Group>,
    /// Parentheses that are open beyond the groups.
    too_deep: usize,
    ctes: BTreeSet<String>,
    summary: Summary,
}

impl Walk<'_> {
    fn token(&self, at: usize) -> Option<Token> {
        self.steps.one();
        self.tokens.get(at).copied()
    }

    fn kind(&self, at: usize) -> Option<Kind> {
        self.token(at).map(|token| token.kind)
    }

    fn before(&self, at: usize) -> Option<Token> {
        at.checked_sub(1).and_then(|before| self.token(before))
    }

    fn slice(&self, token: Token) -> &[u8] {
        self.bytes.get(token.start..token.end).unwrap_or_default()
    }

    fn text(&self, token: Token) -> String {
        shown(self.slice(token)).into_owned()
    }

    fn keyword(&self, token: Option<Token>) -> Option<Keyword> {
        token.filter(|token| token.kind == Kind::Word).and_then(|token| Keyword::of(self.slice(token)))
    }

    /// A word at the end of a cut statement may be the beginning of another.
    fn is_cut(&self, token: Token) -> bool {
        self.cut && token.kind == Kind::Word && token.end == self.bytes.len()
    }

    fn group(&self) -> Group {
        self.groups.last().copied().unwrap_or(Group::new(Start::Statement))
    }

    fn change(&mut self, change: impl FnOnce(&mut Group)) {
        if let Some(group) = self.groups.last_mut() {
            change(group);
        }
    }

    fn expect(&mut self, next: Await) {
        self.change(|group| group.next = next);
    }

    fn step(&mut self, at: usize, token: Token) -> usize {
        let inserted = self.group().inserted;
        self.change(|group| group.inserted = false);
        match token.kind {
            Kind::Punct(byte) => self.punct(at, byte, inserted),
            _ if self.too_deep > 0 => _ = self.resolve(at, token),
            Kind::Word => return self.word(at, token),
            Kind::Name | Kind::Quoted if self.is_target() => return self.target(at),
            Kind::Name => self.name(token),
            Kind::Quoted if self.resolve(at, token) => self.name(token),
            Kind::Quoted | Kind::Literal | Kind::Placeholder => self.value(),
        }
        at + 1
    }

    fn is_target(&self) -> bool {
        let table_expected = self.group().verb == Verb::Start(Start::Tables);
        table_expected || matches!(self.group().next, Await::Source | Await::Named(_) | Await::Thing { or_table: true })
    }

    /// Decides what a text in double quotes is where no table is expected; a name if it can be nothing else.
    fn resolve(&mut self, at: usize, token: Token) -> bool {
        if token.kind != Kind::Quoted {
            return false;
        }
        let group = self.group();
        let before = self.before(at);
        let is_name = |kind| matches!(kind, Some(Kind::Word | Kind::Name | Kind::Quoted));
        let behind_dot = before.is_some_and(|dot| dot.kind == Kind::Punct(b'.'))
            && at.checked_sub(2).is_some_and(|at| matches!(self.kind(at), Some(Kind::Word | Kind::Name)));
        let before_dot = self.kind(at + 1) == Some(Kind::Punct(b'.'))
            && (is_name(self.kind(at + 2)) || self.kind(at + 2) == Some(Kind::Punct(b'*')));
        let deep = self.too_deep > 0;
        let column = !deep && matches!(group.verb, Verb::Columns | Verb::Start(Start::Columns));
        let alias = !deep && group.verb == Verb::Select && self.keyword(before) == Some(Keyword::As);
        let cte = !deep && group.next == Await::Cte;
        let known = self.quotes == DoubleQuotes::Names;
        let name = known || behind_dot || before_dot || column || alias || cte;
        self.become_name(at, name);
        name
    }

    fn become_name(&mut self, at: usize, name: bool) {
        if let Some(token) = self.tokens.get_mut(at) {
            token.kind = if name { Kind::Name } else { Kind::Literal };
        }
    }

    /// A name in quotes that is no target.
    fn name(&mut self, token: Token) {
        let group = self.group();
        match group.verb {
            Verb::With if group.next == Await::Cte => self.cte(token),
            Verb::Start(Start::Columns) => self.change(|group| group.verb = Verb::Columns),
            Verb::Start(_) => self.change(|group| group.verb = Verb::Other),
            _ => {}
        }
    }

    fn value(&mut self) {
        if self.is_target() {
            self.summary.unnamed();
        }
        self.change(|group| {
            group.next = Await::Nothing;
            if matches!(group.verb, Verb::Start(_) | Verb::Columns) {
                group.verb = Verb::Other;
            }
        });
    }

    fn punct(&mut self, at: usize, byte: u8, inserted: bool) {
        match byte {
            b'(' if self.too_deep > 0 || self.groups.len() >= DEPTH_MAX => self.too_deep += 1,
            b')' if self.too_deep > 0 => self.too_deep -= 1,
            b'(' => self.open(at, inserted),
            b')' if self.groups.len() > 1 => _ = self.groups.pop(),
            b';' => {
                self.too_deep = 0;
                self.groups.clear();
                self.groups.push(Group::new(Start::Statement));
            }
            _ if self.too_deep > 0 => {}
            b',' => self.change(|group| match group.verb {
                Verb::With => group.next = Await::Cte,
                _ => group.next = group.list,
            }),
            // `{call p}`
            b'{' | b'.' => {}
            _ => self.change(|group| {
                group.next = Await::Nothing;
                if matches!(group.verb, Verb::Start(_) | Verb::Columns) {
                    group.verb = Verb::Other;
                }
            }),
        }
    }

    fn open(&mut self, at: usize, inserted: bool) {
        let group = self.group();
        let start = match group.verb {
            _ if inserted => Start::Columns,
            Verb::With if matches!(self.keyword(self.before(at)), Some(Keyword::As | Keyword::Before)) => Start::Cte,
            Verb::Start(Start::Tables) => Start::Tables,
            _ if self.is_target() => Start::Tables,
            _ => Start::Expression,
        };
        self.change(|group| {
            group.next = Await::Nothing;
            group.verb = match group.verb {
                Verb::Start(Start::Tables) => Verb::Tables,
                Verb::Start(_) | Verb::Columns => Verb::Other,
                verb => verb,
            };
        });
        self.groups.push(Group::new(start));
    }

    fn word(&mut self, at: usize, token: Token) -> usize {
        let behind = at + 1;
        if self.before(at).is_some_and(|dot| dot.kind == Kind::Punct(b'.')) {
            return behind;
        }
        let keyword = self.keyword(Some(token));
        let group = self.group();
        match (group.verb, keyword) {
            (Verb::Start(start), _) => return self.begin(at, token, start, keyword),
            (
                Verb::With | Verb::Explain,
                Some(Keyword::Insert | Keyword::Update | Keyword::Delete | Keyword::Merge),
            ) => {
                return self.begin(at, token, Start::Statement, keyword);
            }
            (Verb::Grant, _) => return behind,
            // With a parenthesis behind it, it has options.
            (Verb::Explain | Verb::Insert | Verb::Other, Some(Keyword::With))
                if self.kind(behind) != Some(Kind::Punct(b'(')) =>
            {
                return self.begin(at, token, Start::Statement, keyword);
            }
            (_, Some(Keyword::Select)) => return self.begin(at, token, Start::Statement, keyword),
            _ => {}
        }
        match group.next {
            Await::Thing { or_table } => match keyword {
                Some(Keyword::Before | Keyword::Insert) => return behind,
                // Their word was taken by the operation.
                Some(Keyword::Table) => {
                    self.expect(Await::Named(Target::Table));
                    return behind;
                }
                Some(Keyword::Thing) => {
                    self.expect(Await::Named(Target::Other));
                    return behind;
                }
                _ if or_table => return self.target(at),
                _ => self.expect(Await::Nothing),
            },
            Await::Cte if keyword == Some(Keyword::Before) => return behind,
            Await::Cte => self.cte(token),
            Await::Source | Await::Named(_) => match keyword {
                Some(Keyword::Into | Keyword::Before | Keyword::Insert | Keyword::Table) => return behind,
                Some(Keyword::From) if group.verb == Verb::Delete => return behind,
                // `INSERT OR ROLLBACK INTO`
                Some(Keyword::Command) if self.keyword(self.before(at)) == Some(Keyword::Before) => return behind,
                Some(Keyword::Ends | Keyword::From | Keyword::Join | Keyword::Using | Keyword::As | Keyword::On) => {
                    self.expect(Await::Nothing);
                }
                _ => return self.target(at),
            },
            Await::Nothing => {}
        }
        self.clause(at, keyword);
        behind
    }

    /// A word within a statement.
    fn clause(&mut self, at: usize, keyword: Option<Keyword>) {
        let verb = self.group().verb;
        let reads = matches!(verb, Verb::Select | Verb::Update | Verb::Delete);
        match keyword {
            // `IS DISTINCT FROM` compares.
            Some(Keyword::From) if reads && self.keyword(self.before(at)) != Some(Keyword::Distinct) => self.sources(),
            Some(Keyword::Using) if matches!(verb, Verb::Delete | Verb::Merge) => self.sources(),
            Some(Keyword::Join) if reads && self.group().reads || verb == Verb::Tables => self.sources(),
            Some(Keyword::Into) if verb == Verb::Select => self.expect(Await::Named(Target::Table)),
            Some(Keyword::Ends) => self.change(|group| group.list = Await::Nothing),
            _ => {}
        }
    }

    fn sources(&mut self) {
        self.change(|group| {
            (group.next, group.list, group.reads) = (Await::Source, Await::Source, true);
        });
    }

    /// The first word of a group or of a statement within it.
    fn begin(&mut self, at: usize, token: Token, start: Start, keyword: Option<Keyword>) -> usize {
        let statement = matches!(start, Start::Statement | Start::Cte);
        let (verb, next) = match keyword {
            Some(Keyword::Select) => (Verb::Select, Await::Nothing),
            Some(Keyword::With) => (Verb::With, Await::Cte),
            _ if start == Start::Tables => match keyword {
                Some(Keyword::Ends) => (Verb::Other, Await::Nothing),
                Some(Keyword::Before | Keyword::Table) => (Verb::Tables, Await::Source),
                _ => return self.target(at),
            },
            _ if start == Start::Columns => (Verb::Columns, Await::Nothing),
            _ if !statement => (Verb::Other, Await::Nothing),
            Some(Keyword::Insert) => (Verb::Insert, Await::Named(Target::Table)),
            Some(Keyword::Update) => (Verb::Update, Await::Source),
            Some(Keyword::Delete) => (Verb::Delete, Await::Source),
            Some(Keyword::Merge) => (Verb::Merge, Await::Named(Target::Table)),
            Some(Keyword::Explain) => (Verb::Explain, Await::Nothing),
            Some(Keyword::Create) => (Verb::Other, Await::Thing { or_table: false }),
            Some(Keyword::Truncate) => (Verb::Other, Await::Thing { or_table: true }),
            Some(Keyword::Copy) => (Verb::Other, Await::Named(Target::Table)),
            Some(Keyword::Call | Keyword::Use) => (Verb::Other, Await::Named(Target::Other)),
            Some(Keyword::Grant) => (Verb::Grant, Await::Nothing),
            _ => (Verb::Other, Await::Nothing),
        };
        let drops = keyword == Some(Keyword::Truncate) || self.slice(token).eq_ignore_ascii_case(b"DROP");
        self.change(|group| {
            group.verb = verb;
            group.next = next;
            group.reads = matches!(verb, Verb::Update | Verb::Delete);
            group.list =
                if matches!(verb, Verb::Update | Verb::Delete | Verb::Tables) { Await::Source } else { Await::Nothing };
            group.drops = drops;
        });
        let is_operation = verb == Verb::Select || statement && verb != Verb::With;
        if let Some(name) = is_operation.then(|| self.operation(at, token, keyword)).flatten() {
            let outermost = self.groups.len() == 1;
            self.summary.operation(&name, outermost);
        }
        at + 1
    }

    /// As written; upper-cased if nothing else is known of the word, or that it is none.
    fn operation(&self, at: usize, token: Token, keyword: Option<Keyword>) -> Option<String> {
        let word = self.text(token);
        let kind = |at| self.token(at).map(|token| (token, self.keyword(Some(token))));
        let with = |second: Token| Some(format!("{word} {}", self.text(second)));
        match keyword {
            Some(Keyword::Create | Keyword::Truncate) => {
                let mut behind = at + 1;
                while let Some((_, Some(Keyword::Before | Keyword::Insert))) = kind(behind) {
                    behind += 1;
                }
                match kind(behind) {
                    Some((thing, Some(Keyword::Table | Keyword::Thing | Keyword::Account))) if !self.is_cut(thing) => {
                        with(thing)
                    }
                    _ => Some(word),
                }
            }
            Some(Keyword::Command) => match self.token(at + 1).filter(|second| !self.is_cut(*second)) {
                Some(second)
                    if self.slice(second).eq_ignore_ascii_case(b"TRANSACTION")
                        && word.eq_ignore_ascii_case("START") =>
                {
                    with(second)
                }
                _ => Some(word),
            },
            None => {
                let is_word = word.len() <= UNKNOWN_MAX && word.bytes().all(|byte| byte.is_ascii_alphabetic());
                (is_word && !self.is_cut(token)).then(|| sql_operation(&word).to_owned())
            }
            Some(_) => Some(word),
        }
    }

    /// A name, qualified or not, of what the operation is on.
    fn target(&mut self, at: usize) -> usize {
        let next = match self.group().next {
            Await::Nothing => Await::Source,
            Await::Thing { .. } => Await::Named(Target::Table),
            next => next,
        };
        self.change(|group| {
            if group.verb == Verb::Start(Start::Tables) {
                (group.verb, group.list) = (Verb::Tables, Await::Source);
            }
            group.next = Await::Nothing;
        });
        let is_part = |kind| matches!(kind, Some(Kind::Word | Kind::Name | Kind::Quoted));
        let mut name = String::new();
        let mut cut = false;
        let mut end = at;
        while let Some(token) = self.token(end).filter(|token| is_part(Some(token.kind))) {
            if token.kind == Kind::Quoted {
                self.become_name(end, true);
            }
            name.push_str(&self.text(token));
            cut |= self.is_cut(token);
            end += 1;
            // Two dots leave out the schema.
            while self.kind(end) == Some(Kind::Punct(b'.')) {
                name.push('.');
                end += 1;
            }
            if !name.ends_with('.') {
                break;
            }
        }
        let is_function = next == Await::Source && self.kind(end) == Some(Kind::Punct(b'('));
        let is_unqualified_cte = self.ctes.contains(&unquoted(&name));
        if cut || name.ends_with('.') {
            self.summary.unnamed();
        } else if !is_function && !is_unqualified_cte {
            let target = if let Await::Named(target) = next { target } else { Target::Table };
            self.summary.target(name, target);
        }
        self.change(|group| {
            group.inserted = group.verb == Verb::Insert;
            if group.drops {
                group.list = next;
            }
        });
        end
    }

    fn cte(&mut self, token: Token) {
        if self.ctes.len() < CTES_MAX {
            let name = unquoted(&self.text(token));
            self.ctes.insert(name);
        }
        self.expect(Await::Nothing);
    }
}

fn unquoted(name: &str) -> String {
    name.trim_matches(['"', '`', '[', ']']).to_lowercase()
}
