//! Executables: what is known of each, and what is attached to it, for all processes that run it.

use super::gc;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use trigon_discover::{OwnCollectors, SdkSignals, own_collectors};
use trigon_gobin::site::CostClass;
use trigon_gobin::{GoBinary, Segment};
use trigon_goruntime::{Build, RuntimeLayout, SnapshotReader};
use trigon_probe::{Attached, FileId, Part, Plan, PlannedSite, Probes};

/// What is known of an executable. Its file is kept open so that its literals can still be read when the process and the
/// path are gone.
#[derive(Debug)]
pub(crate) struct Executable {
    file: File,
    segments: Vec<Segment>,
    /// Where its runtime's variables lie, at link-time addresses.
    pub(crate) layout: RuntimeLayout,
    pub(crate) build: Build,
    /// Collectors of the runtime that it brings itself.
    pub(crate) own: OwnCollectors,
    /// What it exports itself through its own SDK, unless its environment says otherwise.
    pub(crate) sdk: SdkSignals,
    /// Why its runtime cannot be read, if so.
    pub(crate) unreadable: Option<String>,
}

impl Executable {
    pub(super) fn new(binary: &GoBinary<'_>, file: File, sdk: SdkSignals) -> Self {
        let layout = RuntimeLayout::resolve(binary, 0);
        Self {
            file,
            segments: binary.load_segments().to_vec(),
            unreadable: SnapshotReader::new(&layout).err().map(|error| error.to_string()),
            layout,
            build: Build::of(binary.build_info()),
            own: own_collectors(binary),
            sdk,
        }
    }

    /// The bytes at a link-time address.
    pub(crate) fn read(&self, vaddr: u64, len: usize) -> Option<Vec<u8>> {
        let within = |segment: &&Segment| vaddr >= segment.vaddr && vaddr - segment.vaddr < segment.filesz;
        let segment = self.segments.iter().find(within)?;
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, segment.offset.checked_add(vaddr - segment.vaddr)?).ok()?;
        Some(bytes)
    }
}

/// An executable with what is attached to it.
pub(crate) struct Entry {
    attached: BTreeMap<Part, Attached>,
    pub(crate) plan: Plan,
    pub(crate) executable: Arc<Executable>,
    users: usize,
}

impl Entry {
    /// Whether stops of its processes can be told.
    pub(crate) fn sees_stops(&self) -> bool {
        self.plan.sees_stops() && gc::places(&self.executable.layout).is_ok()
    }

    /// Whether this part of the plan is attached.
    pub(crate) fn is_attached(&self, part: Part) -> bool {
        self.attached.contains_key(&part)
    }

    /// What is attached.
    pub(crate) fn sites(&self) -> impl Iterator<Item = &PlannedSite> {
        self.attached.keys().flat_map(|part| self.plan.sites_of(*part))
    }
}

/// All executables of observed processes.
#[derive(Default)]
pub(crate) struct Executables {
    entries: HashMap<FileId, Entry>,
}

/// What is attached now, by what a hit costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sites {
    pub(crate) optimised: usize,
    pub(crate) emulated: usize,
    pub(crate) stepped: usize,
}

impl Executables {
    pub(crate) fn get(&self, id: FileId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Takes an executable in; nothing is attached to it yet.
    pub(crate) fn insert(&mut self, id: FileId, executable: Executable, mut plan: Plan) -> &Entry {
        if plan.sees_stops()
            && let Err(why) = gc::places(&executable.layout)
        {
            plan.absent.push(format!("garbage collections and other stops: {why}"));
        }
        let executable = Arc::new(executable);
        self.entries.entry(id).or_insert(Entry { attached: BTreeMap::new(), plan, executable, users: 0 })
    }

    /// Attaches a part of the plan, unless it is.
    pub(crate) fn attach(&mut self, id: FileId, part: Part, probes: &Probes, path: &Path) -> io::Result<()> {
        let Some(entry) = self.entries.get_mut(&id) else { return Ok(()) };
        if !entry.attached.contains_key(&part) && entry.plan.sites_of(part).next().is_some() {
            entry.attached.insert(part, probes.attach(path, &entry.plan, part)?);
        }
        Ok(())
    }

    /// One more process runs it.
    pub(crate) fn used(&mut self, id: FileId) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.users += 1;
        }
    }

    /// One less does.
    pub(crate) fn released(&mut self, id: FileId) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.users = entry.users.saturating_sub(1);
        }
    }

    /// Detaches probes of executables that no process runs any more.
    pub(crate) fn drop_unused(&mut self) {
        self.entries.retain(|_, entry| entry.users > 0);
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    pub(crate) fn sites(&self) -> Sites {
        let mut sites = Sites::default();
        for site in self.entries.values().flat_map(Entry::sites) {
            match site.site.cost {
                CostClass::Optimised => sites.optimised += 1,
                CostClass::Emulated => sites.emulated += 1,
                CostClass::Stepped => sites.stepped += 1,
            }
        }
        sites
    }
}
