//! What is attached to an executable, and why the rest is not: decided from the file alone, before anything is touched.

mod copies;
mod finder;
mod places;
mod stack;

use crate::calls::CallFacts;
use crate::layout::{Fields, MissingField};
use crate::skeleton::types::go_layout;
use crate::table::{Calls, Probe, Role, SERVE, SERVE_HTTP, START_WORLD, Step, Target, When, probes};
use finder::Finder;
use trigon_gobin::site::{Policy, Site};
use trigon_gobin::{GoBinary, GoVersion};
use trigon_model::Operations;

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
    /// Header maps can be read, and W3C Trace Context is wanted of them.
    pub const TRACE_CONTEXT: u32 = 32;
    /// Nothing holds an HTTP/2 request until its end.
    pub const H2_UNHELD: u32 = 64;
    /// Calls are watched.
    pub const CALLS: u32 = 128;
    /// Goroutines can be told by their creators.
    pub const CREATORS: u32 = 256;
    /// Routers tell routes.
    pub const ROUTERS: u32 = 512;
    /// B3 headers are read.
    pub const B3: u32 = 1024;
    /// Jaeger's header is read.
    pub const JAEGER: u32 = 2048;
    /// `traceparent` is read where headers lie in a list.
    pub const TRACE_LIST: u32 = 4096;
    /// Code is linked that makes copies of requests.
    pub const COPIES: u32 = 8192;
    /// Of what a `ServeMux` redirects, `Request.Pattern` is the path: Go 1.23 and 1.24.
    pub const REDIRECTS: u32 = 32768;
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
    /// Whether requests, or their routes, go unseen because of it, not only that there is nothing to see.
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
    /// What calls to others are read with.
    pub calls: CallFacts,
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
    /// What sees calls to others.
    Calls,
    /// What sees copies of requests, once one ends whose route may be with a copy.
    Copies,
}

impl Part {
    /// The part that a row belongs to.
    pub fn of(role: Role) -> Self {
        match role {
            Role::WorldStart => Self::Stops,
            Role::Call(..) => Self::Calls,
            Role::CopyRoute => Self::Copies,
            Role::Begin(_) | Role::End(_) | Role::Settle(_) | Role::Route => Self::Requests,
        }
    }
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
            fields: Fields::of(binary),
            http: Ok(()),
            calls: CallFacts::default(),
        };
        plan.calls = CallFacts::of(binary, &plan.fields);
        plan.http = plan.place_http(&finder);
        plan.place_calls(&finder);
        plan.calls.mute(plan.operations());
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
        let mut layout = self.fields.request()?;
        let missing = self.fields.structs(&mut layout);
        let (apart, copies) = (finder.why_apart(), copies::are_made(finder.binary));
        let (mut sites, mut refused) = (Vec::new(), Vec::new());
        let of_requests = |probe: &&Probe| [Part::Requests, Part::Copies].contains(&Part::of(probe.role));
        for probe in probes().filter(of_requests) {
            if let Some(reason) = unwanted(probe.when, apart.as_deref(), copies) {
                refused.push(Refused { probe, reason, loss: false });
                continue;
            }
            if let Some(why) = places::unfit(probe.when, finder.binary.build_info()) {
                refused.push(Refused { probe, reason: why.reason, loss: why.loss });
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
        if sites.iter().any(|site| site.probe.role == Role::Route) {
            self.flags |= flags::ROUTERS;
        }
        self.flags |= if copies { flags::COPIES } else { 0 };
        let unknown = refused.iter().filter(|refused| refused.loss && refused.probe.role.is_of_routes());
        self.absent.extend(unknown.map(|r| format!("http.route of {}: {}", r.probe.library.name(), r.reason)));
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

    /// Places what sees calls to others: of each kind all that belongs to it, or nothing.
    fn place_calls(&mut self, finder: &Finder<'_, '_>) {
        for calls in Calls::ALL {
            let (mut sites, mut refused) = (Vec::new(), Vec::new());
            for probe in probes().filter(|probe| probe.role.calls() == Some(calls)) {
                if let Some(why) = places::unfit(probe.when, finder.binary.build_info()) {
                    refused.push(Refused { probe, reason: why.reason, loss: why.loss });
                    continue;
                }
                let unknown = probe.reads.iter().find_map(|structs| self.calls.missing(*structs));
                match (finder.place(probe), unknown) {
                    (Ok(_), Some(why)) => refused.push(Refused { probe, reason: why.to_string(), loss: true }),
                    (Ok(found), None) => sites.extend(found),
                    (Err(why), _) => refused.push(Refused { probe, reason: why.reason, loss: why.loss }),
                }
            }
            let has = |step| sites.iter().any(|site: &PlannedSite| site.probe.role == Role::Call(calls, step));
            let tells_route = |probe: &Probe| probe.role == Role::Call(calls, Step::Route);
            let is_lost = refused.iter().any(|refused| refused.loss && !tells_route(refused.probe));
            let begins = has(Step::Begin) || calls.keep_their_start();
            let is_whole = (begins && has(Step::End)) || has(Step::Whole);
            if is_whole && !is_lost {
                self.sites.extend(sites);
                self.calls.seen.insert(calls);
            } else {
                let of = |site: PlannedSite| Refused {
                    probe: site.probe,
                    reason: "another site of these calls is missing".to_owned(),
                    loss: is_lost,
                };
                self.refused.extend(sites.into_iter().map(of));
            }
            self.refused.extend(refused);
        }
        // Without net/http's server nobody has looked yet.
        if self.http.is_err() && self.calls.seen.contains(&Calls::GrpcServer) {
            self.flags |= header_map_flags(finder.binary, &mut self.absent);
        }
        if self.calls.seen.contains(&Calls::FastHttpServer) {
            self.flags |= flags::TRACE_LIST;
        }
        if self.sees_calls() && !self.calls.unknown_contexts.is_empty() {
            let types = self.calls.unknown_contexts.join(", ");
            self.absent.push(format!("parents of calls behind contexts of types whose parent is not known: {types}"));
        }
    }

    /// Places what sees the program's stops: one site, by what the function's arguments are in this release.
    fn place_stops(&mut self, finder: &Finder<'_, '_>) -> Result<(), String> {
        let info = finder.binary.build_info();
        let absent = |why: &str| format!("garbage collections and other stops: {why}");
        let fits =
            |probe: &&'static Probe| Part::of(probe.role) == Part::Stops && places::unfit(probe.when, info).is_none();
        let probe = probes().find(fits).ok_or_else(|| {
            absent(&format!("the arguments of {START_WORLD} in {} were never checked", info.go_version_raw))
        })?;
        self.sites.extend(finder.place(probe).map_err(|why| absent(&why.reason))?);
        Ok(())
    }

    /// The sites of one part.
    pub fn sites_of(&self, part: Part) -> impl Iterator<Item = &PlannedSite> {
        self.sites.iter().filter(move |site| Part::of(site.probe.role) == part)
    }

    /// Whether it is seen to serve: HTTP requests, or RPCs.
    pub fn serves(&self) -> bool {
        let others = [Calls::GrpcServer, Calls::FastHttpServer];
        self.http.is_ok() || others.iter().any(|calls| self.calls.seen.contains(calls))
    }

    /// Whether calls to others are seen.
    pub fn sees_calls(&self) -> bool {
        !self.calls.seen.is_empty()
    }

    /// Which kinds of operations are seen. OpenTelemetry's API brings auto/sdk with it: spans by hand are an operation of
    /// their own only where there is no other, so that a program with another SDK is not observed for what it never uses.
    pub fn operations(&self) -> Operations {
        let http = self.http.is_ok().then_some(Operations::HTTP_SERVER);
        let spans = |calls: &&Calls| **calls == Calls::SdkSpan;
        let calls = self.calls.seen.iter().filter(|calls| !spans(calls)).map(|calls| calls.operations());
        let others: Operations = http.into_iter().chain(calls).collect();
        let has_spans = self.calls.seen.iter().any(|calls| spans(&calls));
        if others.is_empty() && has_spans { Operations::SDK_SPANS } else { others }
    }

    /// Whether stops of the program are seen.
    pub fn sees_stops(&self) -> bool {
        self.sites.iter().any(|site| site.probe.role == Role::WorldStart)
    }
}

fn unwanted(when: When, apart: Option<&str>, copies: bool) -> Option<String> {
    match (when, apart) {
        (When::Copies, _) if !copies => Some("nothing that is linked makes copies of a server's requests".to_owned()),
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
        Role::Route | Role::CopyRoute => {
            (!roles.iter().any(|role| matches!(role, Role::End(path) if begins(*path)))).then_some("end")
        }
        Role::WorldStart | Role::Call(..) => None,
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
        Some(true) => {
            bits |= flags::ROUTE_STRING;
            if binary.build_info().go_version.as_ref().is_some_and(|of| (of.major, of.minor) <= (1, 24)) {
                bits |= flags::REDIRECTS;
            }
        }
        Some(false) => bits |= flags::ROUTE_POINTER,
        None => absent.push("http.route: this Go version keeps no pattern in the request (1.22 and later do)".into()),
    }
    if fields.http2_request_is_unheld() {
        bits |= flags::H2_UNHELD;
    }
    bits | header_map_flags(binary, absent)
}

/// Whether header maps, and gRPC's metadata, are of a layout that is known.
fn header_map_flags(binary: &GoBinary<'_>, absent: &mut Vec<String>) -> u32 {
    let mut bits = 0;
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
