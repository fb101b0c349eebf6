//! Looking for goroutine leaks: where goroutines are created that become ever more.

use std::time::{Duration, Instant};
use trigon_gobin::GoBinary;
use trigon_goruntime::goroutine::{CreationSites, Dump, DumpOptions, dump};
use trigon_goruntime::{GoProcess, RuntimeLayout};
use trigon_probe::copy_file;

/// Of the rules' window: time between two looks, of which a judgement takes nine.
const LOOKS: u32 = 5;
/// A look at all goroutines takes at most this share of the time until the next.
const DUTY: u32 = 200;
/// No look takes longer; more goroutines than can be seen in this time are not watched.
const LIMIT: Duration = Duration::from_secs(1);

/// Goroutines that become ever more.
#[derive(Debug, Clone)]
pub(super) struct Leak {
    /// How many of them there are.
    pub(super) goroutines: u64,
    /// Where they are created: function, file and line.
    pub(super) place: String,
}

/// What is known of one process.
#[derive(Debug)]
pub(super) struct Leaks {
    period: Duration,
    /// Fewer goroutines are not looked at.
    at_least: u64,
    begin: Instant,
    next: Instant,
    sites: CreationSites,
    found: Option<Leak>,
}

impl Leaks {
    pub(super) fn new(window: Duration, at_least: u64) -> Self {
        let now = Instant::now();
        let sites = CreationSites::new(at_least / 10);
        Self { period: window / LOOKS, at_least, begin: now, next: now, sites, found: None }
    }

    /// The largest leak, if there is one, looking anew if it is time.
    pub(super) fn look(&mut self, process: &GoProcess, layout: &RuntimeLayout, goroutines: u64) -> Option<&Leak> {
        if goroutines < self.at_least {
            if self.found.take().is_some() {
                self.sites = CreationSites::new(self.at_least / 10);
            }
            return None;
        }
        let begin = Instant::now();
        if begin >= self.next {
            match all_goroutines(process, layout) {
                Ok(dump) => {
                    self.sites.observe(begin.duration_since(self.begin), &dump.by_creation());
                    self.found = self.largest(&dump);
                }
                Err(error) => tracing::debug!(pid = process.pid(), "its goroutines could not be read: {error:#}"),
            }
            self.next = begin + self.period.max(begin.elapsed() * DUTY);
        }
        self.found.as_ref()
    }

    fn largest(&self, dump: &Dump) -> Option<Leak> {
        let growth = self.sites.growing().into_iter().next()?;
        let of_site = dump.goroutines().iter().find(|goroutine| goroutine.go_pc == growth.site)?;
        let place = match dump.creation(of_site) {
            Some(creation) => {
                let (file, line) = (creation.at.file.as_deref(), creation.at.line);
                let at = file.zip(line).map(|(file, line)| format!(" at {file}:{line}"));
                format!("created by {}{}", creation.function, at.unwrap_or_default())
            }
            None => format!("created at {:#x}", growth.site),
        };
        Some(Leak { goroutines: growth.to, place })
    }
}

/// All goroutines without their stacks.
fn all_goroutines(process: &GoProcess, layout: &RuntimeLayout) -> anyhow::Result<Dump> {
    let copy = copy_file(process.executable())?;
    let binary = GoBinary::parse(&copy)?;
    let options = DumpOptions { stacks: false, now: None, limit: LIMIT };
    Ok(dump(process.memory(), layout, &binary, &options)?)
}
