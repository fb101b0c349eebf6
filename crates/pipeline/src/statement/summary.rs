//! Operations and what they are on, as `db.query.summary` has them.

use std::collections::BTreeSet;

/// Most characters of a summary, by the convention. Bytes are counted: never more.
const SUMMARY_MAX: usize = 255;

/// What was found in a statement, in its order.
#[derive(Debug, Default)]
pub(super) struct Summary {
    text: String,
    /// The summary has no room for what comes.
    full: bool,
    /// The first operation, and the first that is not of an inner statement.
    first: Option<String>,
    outermost: Option<String>,
    tables: BTreeSet<String>,
    /// A table's name is not known.
    unnamed: bool,
}

/// What a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Table,
    Other,
}

impl Summary {
    pub(super) fn operation(&mut self, name: &str, outermost: bool) {
        self.first.get_or_insert_with(|| name.to_owned());
        if outermost {
            self.outermost.get_or_insert_with(|| name.to_owned());
        }
        self.add(name);
    }

    pub(super) fn target(&mut self, name: String, target: Target) {
        self.add(&name);
        if name.len() > SUMMARY_MAX {
            return self.unnamed();
        }
        // Two say as much as more: that it is not one.
        if target == Target::Table && self.tables.len() < 2 {
            self.tables.insert(name);
        }
    }

    pub(super) fn unnamed(&mut self) {
        self.unnamed = true;
    }

    fn add(&mut self, part: &str) {
        let blank = usize::from(!self.text.is_empty());
        self.full |= self.text.len() + blank + part.len() > SUMMARY_MAX;
        if self.full {
            return;
        }
        if blank > 0 {
            self.text.push(' ');
        }
        self.text.push_str(part);
    }

    /// The summary, if anything is in it.
    pub(super) fn text(&self) -> Option<String> {
        (!self.text.is_empty()).then(|| self.text.clone())
    }

    /// The statement's operation: not that of a common table expression before it.
    pub(super) fn operation_name(&self) -> Option<String> {
        self.outermost.clone().or_else(|| self.first.clone())
    }

    /// The table, if there is one and no other.
    pub(super) fn collection(&self) -> Option<String> {
        let only = self.tables.len() == 1 && !self.unnamed;
        self.tables.first().filter(|_| only).cloned()
    }
}
