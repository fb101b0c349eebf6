//! What is attached to an executable, and why the rest is not: decided from the file alone, before anything is touched.

use crate::layout::{Fields, MissingField};
use crate::skeleton::types::go_layout;
use crate::table::{PROBES, Probe, Role, SERVE, SERVE_HTTP, START_WORLD, Target, When, XNET_SERVERS};
use trigon_gobin::site::{self, Body, Guard, NoSite, Policy, Registers, Site, Want, Which};
use trigon_gobin::{Function, GoBinary, GoVersion};

/// `COOKIE_STACK_CHECK` of `bpf/http_server.h`.
const COOKIE_STACK_CHECK: u64 = 1;

/// The first version with Swiss maps.
const SWISS: (u16, u16) = (1, 24);
/// The newest version whose map layout was checked.
const NEWEST: (u16, u16) = (1, 27);
/// The oldest version that is claimed.
const OLDEST: (u16, u16) = (1, 21);

/// Bits of `struct process.flags` in `bpf/maps.h`.
pub mod flags {
    /// Spans are wanted.
    pub const SPANS: u32 = 1;
    /// Metrics are wanted.
    pub const METRICS: u32 = 2;
    /// `Request.Pattern`.
    pub const ROUTE_STRING: u32 = 4;
    /// `Request.pat`.
    pub const ROUTE_POINTER: u32 = 8;
    /// Maps are Swiss tables.
    pub const SWISS_MAPS: u32 = 16;
    /// `traceparent` is read.
    pub const TRACE_CONTEXT: u32 = 32;
    /// Nothing holds an HTTP/2 request until its end.
    pub const H2_UNHELD: u32 = 64;
}

/// One place to attach.
#[derive(Debug, Clone)]
pub struct PlannedSite {
    /// The row.
    pub probe: &'static Probe,
    /// The function that holds it.
    pub function: String,
    /// The instruction.
    pub site: Site,
    /// Its offset in the file.
    pub file_offset: u64,
    /// What the program is told about it.
    pub cookie: u64,
}

/// A row that has no place here.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The row.
    pub probe: &'static Probe,
    /// Why.
    pub reason: String,
    /// Whether requests go unseen because of it, not only that there is nothing to see.
    pub loss: bool,
}

/// The plan for one executable.
#[derive(Debug)]
pub struct Plan {
    /// Where to attach.
    pub sites: Vec<PlannedSite>,
    /// Where not.
    pub refused: Vec<Refused>,
    /// Struct offsets for the kernel side.
    pub layout: go_layout,
    /// Bits of [`flags`] that the executable decides.
    pub flags: u32,
    /// What will be absent from the data, each with its reason.
    pub absent: Vec<String>,
    /// The fields behind the layout; none where no server is linked.
    pub fields: Fields,
    /// Whether requests are seen, or why none is.
    pub http: Result<(), NoHttp>,
}

/// Why no request of a program is seen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NoHttp {
    /// It links no library that has probes.
    #[error("it links no HTTP server of net/http")]
    NothingLinked,
    /// Offsets are not known.
    #[error("{0}")]
    Field(#[from] MissingField),
    /// No begin and end could be placed.
    #[error("no usable pair of probe sites: {0}")]
    Sites(String),
}

/// A part of a plan, which is attached or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What sees requests.
    Requests,
    /// What sees garbage collections and other stops.
    Stops,
}

impl Plan {
    /// Decides. `policy` says what the kernel emulates and whether stepped sites are allowed. There may be no site at all:
    /// then [`Self::http`] and [`Self::absent`] say why.
    pub fn of(binary: &GoBinary<'_>, policy: &Policy) -> Self {
        let finder = Finder::new(binary, policy);
        let mut plan = Self {
            sites: Vec::new(),
            refused: Vec::new(),
            layout: Fields::nothing(),
            flags: 0,
            absent: Vec::new(),
            fields: Fields::default(),
            http: Ok(()),
        };
        plan.http = plan.place_http(&finder);
        if let Err(why) = plan.place_stops(&finder) {
            plan.absent.push(why);
        }
        plan
    }

    /// Places what sees requests: pairs of begin and end. If there is none, nothing of it is left.
    fn place_http(&mut self, finder: &Finder<'_, '_>) -> Result<(), NoHttp> {
        if finder.function(SERVE_HTTP).is_none() && finder.function(SERVE).is_none() {
            return Err(NoHttp::NothingLinked);
        }
        self.fields = Fields::of(finder.binary);
        let mut layout = self.fields.request()?;
        let missing = self.fields.structs(&mut layout);
        let apart = finder.why_apart();
        let (mut sites, mut refused) = (Vec::new(), Vec::new());
        for probe in PROBES.iter().filter(|probe| probe.role != Role::WorldStart) {
            if let Some(reason) = unwanted(probe.when, apart.as_deref()) {
                refused.push(Refused { probe, reason, loss: false });
                continue;
            }
            let unknown = missing.iter().find(|(structs, _)| probe.reads.contains(structs));
            match (finder.place(probe), unknown) {
                (Ok(_), Some((_, why))) => refused.push(Refused { probe, reason: why.to_string(), loss: true }),
                (Ok(found), None) => sites.extend(found),
                (Err(why), _) => refused.push(Refused { probe, reason: why.reason, loss: why.loss }),
            }
        }
        keep_pairs(&mut sites, &mut refused);
        if sites.is_empty() {
            let why: Vec<_> = refused.iter().filter(|r| r.loss).map(|r| r.reason.as_str()).collect();
            return Err(NoHttp::Sites(why.join("; ")));
        }
        self.layout = layout;
        self.flags = decide_flags(finder.binary, &self.fields, &mut self.absent);
        for site in &sites {
            // Its own function stays where others may call it; what passes by is unseen.
            if let Target::AfterCall { function, .. } = site.probe.target
                && let Some(outer) = finder.handler_with_inlined(function)
            {
                self.absent.push(format!("requests that pass {outer}, where the compiler inlined {function}"));
            }
        }
        self.sites.extend(sites);
        self.refused.extend(refused);
        Ok(())
    }

    /// Places what sees the program's stops: one site, by what the function's arguments are in this release.
    fn place_stops(&mut self, finder: &Finder<'_, '_>) -> Result<(), String> {
        let info = finder.binary.build_info();
        let absent = |why: &str| format!("garbage collections and other stops: {why}");
        let minor = info.go_version.as_ref().filter(|version| version.major == 1).map(|version| version.minor);
        let fits = |probe: &&Probe| match probe.when {
            When::Minors(first, last) => minor.is_some_and(|minor| (first..=last).contains(&minor)),
            _ => false,
        };
        let probe = PROBES.iter().find(fits).ok_or_else(|| {
            absent(&format!("the arguments of {START_WORLD} in {} were never checked", info.go_version_raw))
        })?;
        self.sites.extend(finder.place(probe).map_err(|why| absent(&why.reason))?);
        Ok(())
    }

    /// The sites that see requests, or those that see the program's stops.
    pub fn sites_of(&self, part: Part) -> impl Iterator<Item = &PlannedSite> {
        self.sites.iter().filter(move |site| (site.probe.role == Role::WorldStart) == (part == Part::Stops))
    }

    /// Whether stops of the program are seen.
    pub fn sees_stops(&self) -> bool {
        self.sites.iter().any(|site| site.probe.role == Role::WorldStart)
    }
}

fn unwanted(when: When, apart: Option<&str>) -> Option<String> {
    match (when, apart) {
        (When::Together, Some(why)) => Some(why.to_owned()),
        (When::Apart, None) => Some(format!("all requests begin in {SERVE_HTTP}")),
        _ => None,
    }
}

/// A start without an end (or the other way round) only costs: both or neither.
fn keep_pairs(sites: &mut Vec<PlannedSite>, refused: &mut Vec<Refused>) {
    let roles: Vec<_> = sites.iter().map(|site| site.probe.role).collect();
    let begins = |path| roles.iter().any(|role| matches!(role, Role::Begin(paths) if paths.contains(&path)));
    let ends = |path| roles.contains(&Role::End(path));
    let lacks = |role| match role {
        Role::Begin(paths) => (!paths.iter().any(|path| ends(*path))).then_some("end"),
        Role::Settle(path) if !ends(path) => Some("end"),
        Role::Settle(path) | Role::End(path) => (!begins(path)).then_some("begin"),
        Role::WorldStart => None,
    };
    sites.retain(|site| match lacks(site.probe.role) {
        None => true,
        Some(what) => {
            let reason = format!("the {what} of a request has no site");
            refused.push(Refused { probe: site.probe, reason, loss: true });
            false
        }
    });
}

fn decide_flags(binary: &GoBinary<'_>, fields: &Fields, absent: &mut Vec<String>) -> u32 {
    let mut bits = 0;
    match fields.route_is_string() {
        Some(true) => bits |= flags::ROUTE_STRING,
        Some(false) => bits |= flags::ROUTE_POINTER,
        None => absent.push("http.route: this Go version keeps no pattern in the request (1.22 and later do)".into()),
    }
    if fields.http2_request_is_unheld() {
        bits |= flags::H2_UNHELD;
    }
    let info = binary.build_info();
    let experiments = info.settings.iter().find(|(key, _)| key == "GOEXPERIMENT").map_or("", |(_, value)| value);
    match &info.go_version {
        Some(GoVersion { major, minor, .. }) if (*major, *minor) <= NEWEST && (*major, *minor) >= OLDEST => {
            if experiments.contains("mapsplitgroup") {
                absent.push("trace context: maps built with GOEXPERIMENT=mapsplitgroup are not read".into());
            } else {
                bits |= flags::TRACE_CONTEXT;
                if (*major, *minor) >= SWISS && !experiments.contains("noswissmap") {
                    bits |= flags::SWISS_MAPS;
                }
            }
        }
        _ => absent.push(format!(
            "trace context: the map layout of {} was never checked (1.21 to 1.27 were)",
            info.go_version_raw
        )),
    }
    bits
}

/// Why a row has no place.
struct NoPlace {
    reason: String,
    loss: bool,
}

impl NoPlace {
    fn nothing_to_see(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), loss: false }
    }

    fn loss(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), loss: true }
    }
}

/// Looks up functions by name, once for the whole table.
struct Finder<'b, 'd> {
    binary: &'b GoBinary<'d>,
    policy: &'b Policy,
    names: Vec<&'static str>,
    functions: Vec<Option<Function<'d>>>,
}

const MORESTACK: [&str; 3] = ["runtime.morestack", "runtime.morestack_noctxt", "runtime.morestackc"];
const RECOVER: &str = "runtime.gorecover";

impl<'b, 'd> Finder<'b, 'd> {
    fn new(binary: &'b GoBinary<'d>, policy: &'b Policy) -> Self {
        let mut names = [&MORESTACK[..], &XNET_SERVERS, &[RECOVER]].concat();
        for probe in PROBES {
            match &probe.target {
                Target::Entry { function, .. } => names.push(function),
                Target::DeferredEnd { functions } => names.extend(*functions),
                Target::AtCall { function, callee }
                | Target::AfterCall { function, callee, .. }
                | Target::AfterCallIfInlined { function, callee, .. }
                | Target::AtCallIfInlined { function, callee, .. } => names.extend([*function, *callee]),
            }
        }
        names.sort_unstable();
        names.dedup();
        let functions = binary.functions_named(&names);
        Self { binary, policy, names, functions }
    }

    fn function(&self, name: &str) -> Option<&Function<'d>> {
        let index = self.names.binary_search(&name).ok()?;
        self.functions.get(index)?.as_ref()
    }

    /// Why not all requests begin in one function, where they do not.
    fn why_apart(&self) -> Option<String> {
        if XNET_SERVERS.iter().any(|name| self.function(name).is_some()) {
            return Some("golang.org/x/net/http2 serves as well, past this function or through it".to_owned());
        }
        let outer = self.handler_with_inlined(SERVE_HTTP)?;
        Some(format!("it is inlined into {outer}"))
    }

    /// A handler of net/http, other than `conn.serve`, into which the compiler inlined a function.
    fn handler_with_inlined(&self, inlined: &str) -> Option<String> {
        let mut functions = self.binary.functions_with_prefix("net/http").into_iter();
        let found = functions.find(|function| {
            let handles = function.name.ends_with("ServeHTTP") || function.name.ends_with("runHandler");
            handles && function.name != SERVE && !self.inlined_ranges(function, inlined).is_empty()
        });
        found.map(|function| function.name.to_string())
    }

    fn is_morestack(&self, address: u64) -> bool {
        MORESTACK.iter().any(|name| self.function(name).is_some_and(|f| f.entry == address))
    }

    fn find(&self, function: &Function<'d>, want: &Want) -> Result<Vec<Site>, NoSite> {
        let body = Body { entry: function.entry, code: self.binary.code(function) };
        site::find(self.binary.arch(), &body, want, self.policy, &|address| self.is_morestack(address))
    }

    fn place(&self, probe: &'static Probe) -> Result<Vec<PlannedSite>, NoPlace> {
        match &probe.target {
            Target::Entry { function, needs } => {
                let Some(found) = self.function(function) else {
                    return Err(NoPlace::nothing_to_see(format!("{function} is not linked")));
                };
                let want = Want::Entry { needs: Registers::of(needs) };
                let sites = self.find(found, &want).map_err(|why| NoPlace::loss(format!("{function}: {why}")))?;
                self.planned(probe, found, sites)
            }
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

    fn inlined_ranges(&self, outer: &Function<'d>, inlined: &str) -> Vec<std::ops::Range<u64>> {
        let inlined_here = self.binary.inlined(outer);
        inlined_here.into_iter().filter(|entry| entry.name == inlined).flat_map(|entry| entry.ranges).collect()
    }

    /// A function that is linked, and the address of one that it may call.
    fn caller(&self, function: &str, callee: &str) -> Result<(&Function<'d>, u64), NoPlace> {
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

    fn planned(
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
            let cookie = if site.guard == Guard::SkipIfStackGrows { COOKIE_STACK_CHECK } else { 0 };
            Ok(PlannedSite { probe, function: function.name.to_string(), site, file_offset, cookie })
        };
        sites.into_iter().map(place).collect()
    }
}
