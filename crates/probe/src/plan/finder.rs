//! From rows of the table to places in an executable.

use super::PlannedSite;
use crate::table::{Probe, SERVE, SERVE_HTTP, Target, XNET_SERVERS, probes};
use trigon_gobin::site::{self, Body, Guard, NoSite, Policy, Registers, Shape, Site, Want, Which};
use trigon_gobin::{Function, GoBinary};

/// `COOKIE_STACK_CHECK` of `bpf/hit.h`.
const COOKIE_STACK_CHECK: u64 = 1;
/// `COOKIE_NO_FRAME` of `bpf/hit.h`.
const COOKIE_NO_FRAME: u64 = 2;
/// `COOKIE_FAILED` of `bpf/hit.h`.
const COOKIE_FAILED: u64 = 4;
/// `COOKIE_JOINED` of `bpf/hit.h`.
const COOKIE_JOINED: u64 = 8;

/// Why a row has no place.
pub(super) struct NoPlace {
    pub(super) reason: String,
    pub(super) loss: bool,
}

impl NoPlace {
    pub(super) fn nothing_to_see(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), loss: false }
    }

    pub(super) fn loss(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), loss: true }
    }
}

/// Looks up functions by name, once for the whole table.
pub(super) struct Finder<'b, 'd> {
    pub(super) binary: &'b GoBinary<'d>,
    policy: &'b Policy,
    names: Vec<&'static str>,
    functions: Vec<Option<Function<'d>>>,
}

const MORESTACK: [&str; 3] = ["runtime.morestack", "runtime.morestack_noctxt", "runtime.morestackc"];
const RECOVER: &str = "runtime.gorecover";
/// Calls that the compiler adds.
const BARRIERS: [&str; 9] = [
    "runtime.gcWriteBarrier1",
    "runtime.gcWriteBarrier2",
    "runtime.gcWriteBarrier3",
    "runtime.gcWriteBarrier4",
    "runtime.gcWriteBarrier5",
    "runtime.gcWriteBarrier6",
    "runtime.gcWriteBarrier7",
    "runtime.gcWriteBarrier8",
    "runtime.wbZero",
];
const DEFERRETURN: &str = "runtime.deferreturn";

impl<'b, 'd> Finder<'b, 'd> {
    pub(super) fn new(binary: &'b GoBinary<'d>, policy: &'b Policy) -> Self {
        let mut names = [&MORESTACK[..], &XNET_SERVERS, &[RECOVER, DEFERRETURN], &BARRIERS].concat();
        for probe in probes() {
            match &probe.target {
                Target::Entry { function, .. }
                | Target::EntryBeforeFrame { function, .. }
                | Target::AtReturn { function, .. } => names.push(function),
                Target::Entries { functions, .. } | Target::DeferredEnd { functions } => names.extend(*functions),
                Target::AfterCalls { places, .. } => {
                    names.extend(places.iter().flat_map(|place| place.callees).copied());
                    names.extend(places.iter().map(|place| place.within.function()));
                }
                Target::AtCall { function, callee }
                | Target::BeforeHandler { function, callee }
                | Target::BehindHandler { function, callee }
                | Target::AfterCall { function, callee, .. }
                | Target::AfterJoinedCall { function, callee, .. }
                | Target::AfterCallFalse { function, callee }
                | Target::AfterCallWithPlace { function, callee, .. }
                | Target::AfterCallFailed { function, callee, .. }
                | Target::AfterCallIfInlined { function, callee, .. }
                | Target::AtCallIfInlined { function, callee, .. } => names.extend([*function, *callee]),
                Target::AfterCallWithVariable { function, callee, passed_to, .. } => {
                    names.extend([*function, *callee, *passed_to]);
                }
            }
        }
        names.sort_unstable();
        names.dedup();
        let functions = binary.functions_named(&names);
        Self { binary, policy, names, functions }
    }

    pub(super) fn function(&self, name: &str) -> Option<&Function<'d>> {
        let index = self.names.binary_search(&name).ok()?;
        self.functions.get(index)?.as_ref()
    }

    /// Why not all requests begin in one function, where they do not.
    pub(super) fn why_apart(&self) -> Option<String> {
        if XNET_SERVERS.iter().any(|name| self.function(name).is_some()) {
            return Some("golang.org/x/net/http2 serves as well, past this function or through it".to_owned());
        }
        let outer = self.handler_with_inlined(SERVE_HTTP)?;
        Some(format!("it is inlined into {outer}"))
    }

    /// A handler of net/http, other than `conn.serve`, into which the compiler inlined a function.
    pub(super) fn handler_with_inlined(&self, inlined: &str) -> Option<String> {
        let mut functions = self.binary.functions_with_prefix("net/http").into_iter();
        let found = functions.find(|function| {
            let handles = function.name.ends_with("ServeHTTP") || function.name.ends_with("runHandler");
            handles && function.name != SERVE && !self.inlined_ranges(function, inlined).is_empty()
        });
        found.map(|function| function.name.to_string())
    }

    /// The address of `runtime.deferreturn`.
    pub(super) fn deferreturn(&self) -> Option<u64> {
        self.function(DEFERRETURN).map(|function| function.entry)
    }

    /// What the kernel emulates, and what is allowed.
    pub(super) fn policy(&self) -> Policy {
        *self.policy
    }

    fn is_morestack(&self, address: u64) -> bool {
        MORESTACK.iter().any(|name| self.function(name).is_some_and(|f| f.entry == address))
    }

    pub(super) fn find(&self, function: &Function<'d>, want: &Want) -> Result<Vec<Site>, NoSite> {
        self.find_by(function, want, self.policy)
    }

    /// Each place by itself, with where it comes from.
    pub(super) fn find_each(&self, function: &Function<'d>, want: &Want) -> Result<Vec<site::Placed>, NoSite> {
        let (arch, body) = (self.binary.arch(), self.body(function));
        site::find_each(arch, &body, want, self.policy, &|address| self.is_morestack(address))
    }

    pub(super) fn find_by(&self, function: &Function<'d>, want: &Want, by: &Policy) -> Result<Vec<Site>, NoSite> {
        site::find(self.binary.arch(), &self.body(function), want, by, &|address| self.is_morestack(address))
    }

    pub(super) fn body(&self, function: &Function<'d>) -> Body<'d> {
        Body { entry: function.entry, code: self.binary.code(function) }
    }

    pub(super) fn place(&self, probe: &'static Probe) -> Result<Vec<PlannedSite>, NoPlace> {
        match &probe.target {
            Target::Entry { function, needs } => {
                let Some(found) = self.function(function) else {
                    return Err(NoPlace::nothing_to_see(format!("{function} is not linked")));
                };
                let want = Want::Entry { needs: Registers::of(needs) };
                let sites = self.find(found, &want).map_err(|why| NoPlace::loss(format!("{function}: {why}")))?;
                self.planned(probe, found, sites)
            }
            Target::EntryBeforeFrame { function, needs } => self.before_frame(probe, function, needs),
            Target::Entries { functions, needs } => self.entries(probe, functions, needs),
            Target::AfterCalls { places, needs } => self.after_calls(probe, places, needs),
            Target::DeferredEnd { functions } => self.deferred_end(probe, functions),
            Target::AtCall { function, callee } => {
                let (outer, callee_at) = self.caller(function, callee)?;
                // All arguments are in registers at a call: the calling convention.
                let want = Want::AtCall { callee: callee_at, which: Which::All, within: Vec::new() };
                match self.find(outer, &want) {
                    Ok(sites) => self.planned(probe, outer, sites),
                    Err(NoSite::NoCall) if !self.inlined_ranges(outer, callee).is_empty() => {
                        Err(NoPlace::nothing_to_see(format!("{callee} is inlined into {function}")))
                    }
                    Err(why) => Err(NoPlace::loss(format!("{function}: {why}"))),
                }
            }
            Target::AfterCall { function, callee, needs, spilled } => {
                let (outer, callee_at) = self.caller(function, callee)?;
                let (needs, spilled) = (Registers::of(needs), Registers::of(spilled));
                let want = Want::AfterCall { callee: callee_at, which: Which::All, needs, spilled };
                match self.find(outer, &want) {
                    Ok(sites) if sites.len() == 1 => self.planned(probe, outer, sites),
                    Ok(_) => Err(NoPlace::loss(format!("{function} calls {callee} more than once"))),
                    Err(why) => Err(NoPlace::loss(format!("{function}: {why}"))),
                }
            }
            Target::AfterJoinedCall { function, callee, needs } => {
                let (outer, callee_at) = self.caller(function, callee)?;
                let (callee, needs) = (callee_at, Registers::of(needs));
                let alone = Want::AfterCall { callee, which: Which::Only, needs, spilled: Registers::default() };
                let joined = Want::AfterJoinedCall { callee, which: Which::Only, needs };
                let (sites, cookie) = match self.find(outer, &alone) {
                    Err(NoSite::Undecodable) => (self.find(outer, &joined), COOKIE_JOINED),
                    found => (found, 0),
                };
                let sites = sites.map_err(|why| NoPlace::loss(format!("{function}: {why}")))?;
                let mut planned = self.planned(probe, outer, sites)?;
                planned.iter_mut().for_each(|site| site.cookie |= cookie);
                Ok(planned)
            }
            Target::BeforeHandler { function, callee } => self.before_handler(probe, function, callee),
            Target::BehindHandler { function, callee } => {
                let (outer, callee_at) = self.caller(function, callee)?;
                let want = Want::PastIndirectCall { callee: callee_at, through: self.barriers() };
                let sites = self.find(outer, &want).map_err(|why| NoPlace::loss(format!("{function}: {why}")))?;
                self.planned(probe, outer, sites)
            }
            Target::AfterCallFalse { function, callee } => {
                let (outer, callee_at) = self.caller(function, callee)?;
                let want = Want::OnFalse { callee: callee_at, which: Which::Only };
                let sites = self.find(outer, &want).map_err(|why| NoPlace::loss(format!("{function}: {why}")))?;
                self.planned(probe, outer, sites)
            }
            Target::AfterCallWithPlace { function, callee, needs, place } => {
                self.after_call_with_place(probe, (function, callee), needs, *place)
            }
            Target::AfterCallWithVariable { function, callee, passed_to, argument } => {
                self.after_call_with_variable(probe, (function, callee), passed_to, *argument)
            }
            Target::AtReturn { function, result } => self.at_return(probe, function, *result),
            Target::AfterCallFailed { function, callee, error, needs } => {
                let (outer, callee_at) = self.caller(function, callee)?;
                let needs = Registers::of(needs);
                let want = Want::OnError { callee: callee_at, which: Which::All, error: *error, needs };
                let sites = self.find(outer, &want).map_err(|why| NoPlace::loss(format!("{function}: {why}")))?;
                let mut planned = self.planned(probe, outer, sites)?;
                planned.iter_mut().for_each(|site| site.cookie |= COOKIE_FAILED);
                Ok(planned)
            }
            Target::AfterCallIfInlined { inlined, function, callee, needs } => {
                let (outer, callee_at) = self.inlined_into(inlined, function, callee)?;
                let (needs, spilled) = (Registers::of(needs), Registers::default());
                let want = Want::AfterCall { callee: callee_at, which: Which::All, needs, spilled };
                let sites = self.find(outer, &want).map_err(|why| NoPlace::loss(format!("{function}: {why}")))?;
                self.planned(probe, outer, sites)
            }
            Target::AtCallIfInlined { inlined, function, callee } => {
                let (outer, callee_at) = self.inlined_into(inlined, function, callee)?;
                let within = self.inlined_ranges(outer, inlined);
                let want = Want::AtCall { callee: callee_at, which: Which::All, within };
                let mut sites = self.find(outer, &want).map_err(|why| NoPlace::loss(format!("{function}: {why}")))?;
                sites.truncate(1); // each is on every path: one is enough
                self.planned(probe, outer, sites)
            }
        }
    }

    pub(super) fn barriers(&self) -> Vec<u64> {
        BARRIERS.iter().filter_map(|name| self.function(name)).map(|function| function.entry).collect()
    }

    fn inlined_ranges(&self, outer: &Function<'d>, inlined: &str) -> Vec<std::ops::Range<u64>> {
        let inlined_here = self.binary.inlined(outer);
        inlined_here.into_iter().filter(|entry| entry.name == inlined).flat_map(|entry| entry.ranges).collect()
    }

    /// A function that is linked, and the address of one that it may call.
    pub(super) fn caller(&self, function: &str, callee: &str) -> Result<(&Function<'d>, u64), NoPlace> {
        let linked =
            |name: &str| self.function(name).ok_or_else(|| NoPlace::nothing_to_see(format!("{name} is not linked")));
        Ok((linked(function)?, linked(callee)?.entry))
    }

    fn inlined_into(&self, inlined: &str, function: &str, callee: &str) -> Result<(&Function<'d>, u64), NoPlace> {
        let Some(outer) = self.function(function) else {
            return Err(NoPlace::nothing_to_see(format!("{function} is not linked")));
        };
        if self.inlined_ranges(outer, inlined).is_empty() {
            return Err(NoPlace::nothing_to_see(format!("{inlined} is not inlined into {function}")));
        }
        match self.function(callee) {
            Some(callee) => Ok((outer, callee.entry)),
            None => Err(NoPlace::loss(format!("{inlined} is inlined into {function}, and {callee} is not there"))),
        }
    }

    fn deferred_end(&self, probe: &'static Probe, functions: &[&'static str]) -> Result<Vec<PlannedSite>, NoPlace> {
        let linked: Vec<_> = functions.iter().filter(|name| self.function(name).is_some()).collect();
        if linked.is_empty() {
            return Err(NoPlace::nothing_to_see(format!("{} is not linked", functions.join(" or "))));
        }
        let Some(recover) = self.function(RECOVER) else {
            return Err(NoPlace::loss("runtime.gorecover is not there"));
        };
        let mut planned = Vec::new();
        for name in linked {
            for closure in self.binary.functions_with_prefix(&format!("{name}.func")) {
                // "serve.func1.2" is a closure of the closure.
                if closure.name.get(name.len() + 5..).is_none_or(|rest| rest.contains('.')) {
                    continue;
                }
                let recovers = Want::AtCall { callee: recover.entry, which: Which::All, within: Vec::new() };
                if self.find(&closure, &recovers).is_err() {
                    continue;
                }
                let want = Want::Entry { needs: Registers::of(&[]) };
                let sites =
                    self.find(&closure, &want).map_err(|why| NoPlace::loss(format!("{}: {why}", closure.name)))?;
                planned.extend(self.planned(probe, &closure, sites)?);
            }
        }
        if planned.is_empty() {
            return Err(NoPlace::loss(format!("{} has no closure that recovers", functions.join(" or "))));
        }
        Ok(planned)
    }

    pub(super) fn planned(
        &self,
        probe: &'static Probe,
        function: &Function<'d>,
        sites: Vec<Site>,
    ) -> Result<Vec<PlannedSite>, NoPlace> {
        let place = |site: Site| {
            let file_offset = self
                .binary
                .file_offset(site.vaddr)
                .ok_or_else(|| NoPlace::loss(format!("{}: its code is not in the file", function.name)))?;
            let mut cookie = if site.guard == Guard::SkipIfStackGrows { COOKIE_STACK_CHECK } else { 0 };
            // The first push of a function is that of the frame pointer.
            if matches!(site.shape, Shape::StackCheck | Shape::Push) {
                cookie |= COOKIE_NO_FRAME;
            }
            Ok(PlannedSite { probe, function: function.name.to_string(), site, file_offset, cookie })
        };
        sites.into_iter().map(place).collect()
    }
}
