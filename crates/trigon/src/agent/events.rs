//! What the kernel's rings bring, one thing at a time: spans and stops, starts and ends of processes, and what one of them needs.

use super::observer::Observed;
use super::{Agent, Ended, Texts, settings, stops};
use std::cell::RefCell;
use std::rc::Rc;
use tokio::time::Instant;
use trigon_model::ProcessId;
use trigon_model::kernel::{DecodeError, Event};
use trigon_pipeline::Signal;

/// Room for events that is kept between readings.
const INBOX_KEPT: usize = 4096;

/// What the ring's callback leaves for the loop.
pub(super) type Inbox = Rc<RefCell<Vec<Result<Event, DecodeError>>>>;

impl Agent {
    pub(super) fn read_ring(&mut self) {
        self.ring.consume();
        self.take_events();
        let released = self.pipeline.released(settings::unix_nanos());
        self.send_spans(released);
    }

    fn take_events(&mut self) {
        let mut events = std::mem::take(&mut *self.inbox.borrow_mut());
        let now = settings::unix_nanos();
        for event in events.drain(..) {
            match &event {
                Ok(Event::Exec(record)) => {
                    self.exited(record.pid);
                    self.examine(record.pid);
                }
                Ok(Event::Exit(record)) => self.exited(record.pid),
                Ok(Event::MuxWanted(record)) => self.watch_muxes(record.pid),
                Ok(Event::Span(_) | Event::Call(_) | Event::SdkSpan(_)) => self.spans_seen += 1,
                Ok(Event::Gc(_) | Event::Stream(_)) | Err(_) => {}
            }
            let mut texts = Texts { observer: &self.observer, ended: &self.ended };
            match self.pipeline.on_event(event, now, &mut texts) {
                Some(Signal::Span(span)) => self.send_spans([span]),
                Some(Signal::GcCycle(cycle)) => self.tell(cycle.process, |process| stops::cycle(&cycle, process)),
                Some(Signal::Stop(stop)) => self.tell(stop.process, |process| stops::stop(&stop, process)),
                None => {}
            }
        }
        // Its room serves the next reading.
        if events.capacity() <= INBOX_KEPT {
            *self.inbox.borrow_mut() = events;
        }
    }

    /// Prints a stop of a process, if that was asked for.
    fn tell(&mut self, id: ProcessId, line: impl FnOnce(&Observed) -> stops::Line) {
        if self.run.gc {
            let ended = || self.ended.get(&id).map(|ended| &ended.process);
            if let Some(line) = self.observer.by_id(id).or_else(ended).map(line) {
                self.status.tell(&line);
            }
        }
    }

    pub(super) fn exited(&mut self, pid: u32) {
        if let Some(process) = self.observer.exited(pid) {
            self.forget_runtime(&process);
            self.status.exited(&process);
            self.pipeline.process_ended(process.id, settings::unix_nanos());
            self.ended.insert(process.id, Ended { process, at: Instant::now(), settled: false });
        }
    }

    fn watch_muxes(&mut self, pid: u32) {
        match self.observer.watch_muxes(pid) {
            Ok(processes) => processes.into_iter().for_each(|process| self.status.watched_muxes(process)),
            // Their routes stay absent, which is counted.
            Err(error) => {
                tracing::warn!(pid, %error, "its ServeMux cannot be watched: routes of copied requests are absent")
            }
        }
    }
}
