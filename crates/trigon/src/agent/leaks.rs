//! Looking for goroutine leaks: where goroutines are created that become ever more.

use std::time::{Duration, Instant};
use trigon_gobin::GoBinary;
use trigon_goruntime::goroutine::{CreationSites, Dump, DumpOptions, Missing, dump};
use trigon_goruntime::{GoProcess, RuntimeLayout};
use trigon_model::LossPoint;
use trigon_pipeline::Losses;
use trigon_probe::copy_file;

/// Of the rules' window: time between two looks, of which a judgement takes nine.
const LOOKS: u32 = 5;
/// A look at all goroutines takes at most this share of the time until the next.
const DUTY: u32 = 200;
/// No look takes longer, since all else waits meanwhile; more goroutines than can be seen in this time, some 200,000, are not
/// watched.
const LIMIT: Duration = Duration::from_millis(250);

/// Looks at goroutines that did not come to an end.
pub(super) const UNSEEN: LossPoint = LossPoint { signal: "runtime", stage: "leaks", reason: "unseen" };

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

    /// Whether it is time to look at so many goroutines.
    pub(super) fn is_due(&self, goroutines: u64) -> bool {
        goroutines >= self.at_least && Instant::now() >= self.next
    }

    /// The largest leak that was found, if there still are so many goroutines.
    pub(super) fn found(&mut self, goroutines: u64) -> Option<&Leak> {
        if goroutines < self.at_least && self.found.take().is_some() {
            self.begin_anew();
        }
        self.found.as_ref()
    }

    /// Looks anew.
    pub(super) fn look(&mut self, process: &GoProcess, layout: &RuntimeLayout, losses: &mut Losses) {
        let begin = Instant::now();
        match all_goroutines(process, layout) {
            Ok(dump) if dump.missing() == Missing::default() => {
                self.sites.observe(begin.duration_since(self.begin), &dump.by_creation());
                self.found = self.largest(&dump);
            }
            // A part of them would look like fewer.
            Ok(dump) => self.unseen(process, &format!("{:?}", dump.missing()), losses),
            Err(error) => self.unseen(process, &format!("{error:#}"), losses),
        }
        self.next = begin + self.period.max(begin.elapsed() * DUTY);
    }

    fn unseen(&mut self, process: &GoProcess, why: &str, losses: &mut Losses) {
        losses.add(UNSEEN, 1);
        tracing::info!(pid = process.pid(), why, "its goroutines could not all be seen in time: no leak is looked for");
        self.found = None;
        self.begin_anew();
    }

    fn begin_anew(&mut self) {
        self.sites = CreationSites::new(self.at_least / 10);
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
