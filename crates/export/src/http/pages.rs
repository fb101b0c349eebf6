//! Pages in memory: made once for all who asked before, and bounded in all, since those who read slowly hold them.

use crate::prometheus::Format;
use bytes::Bytes;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;
use tokio::sync::Mutex;

/// Bytes of all pages that are held. One more may come, whatever its size.
const MAX_HELD: usize = 64 << 20;
/// Kinds of pages.
pub(super) const KINDS: usize = 6;

/// What a page is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PageKind {
    pub(super) format: Format,
    pub(super) gzip: bool,
}

impl PageKind {
    fn index(self) -> usize {
        let format = match self.format {
            Format::Text => 0,
            Format::OpenMetrics => 1,
            Format::Protobuf => 2,
        };
        2 * format + usize::from(self.gzip)
    }
}

/// Why there is no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nobody answered in time, or the agent ends.
    Busy,
    /// Too much is held by those who read slowly.
    Held,
}

impl Refusal {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Busy => "the agent is busy or shutting down\n",
            Self::Held => "too many clients read their pages slowly\n",
        }
    }
}

/// A page, shared by all who got it.
#[derive(Debug, Clone)]
pub(super) struct Page(Arc<Held>);

#[derive(Debug)]
struct Held {
    bytes: Vec<u8>,
    compressed: bool,
    /// When it was begun: what happened before is on it.
    begun: Instant,
    all: Arc<AtomicUsize>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes.capacity(), Relaxed);
    }
}

impl AsRef<[u8]> for Page {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl Page {
    pub(super) fn is_compressed(&self) -> bool {
        self.0.compressed
    }

    /// Its bytes, which hold it.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

/// Those who want one kind of page.
#[derive(Debug, Default)]
struct Place {
    waiting: AtomicUsize,
    /// The newest page, while others wait.
    newest: Mutex<Option<Page>>,
}

/// One who waits, until dropped.
struct Waiter<'p>(&'p AtomicUsize);

impl<'p> Waiter<'p> {
    fn of(place: &'p Place) -> Self {
        place.waiting.fetch_add(1, Relaxed);
        Self(&place.waiting)
    }

    fn is_alone(&self) -> bool {
        self.0.load(Relaxed) == 1
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// The pages of all kinds, and how much they take.
#[derive(Debug, Default)]
pub(super) struct Pages {
    places: [Place; KINDS],
    held: Arc<AtomicUsize>,
}

impl Pages {
    /// A page that was begun after now: one that another waiter has had made meanwhile, or a new one.
    pub(super) async fn get<F>(&self, kind: PageKind, make: impl FnOnce() -> F) -> Result<Page, Refusal>
    where
        F: Future<Output = Result<(Vec<u8>, bool), Refusal>>,
    {
        let asked = Instant::now();
        let place = self.places.get(kind.index()).ok_or(Refusal::Busy)?;
        let waiter = Waiter::of(place);
        let mut newest = place.newest.lock().await;
        let page = match newest.take().filter(|page| page.0.begun >= asked) {
            Some(page) => page,
            None => self.make(make).await?,
        };
        *newest = (!waiter.is_alone()).then(|| page.clone());
        Ok(page)
    }

    async fn make<F>(&self, make: impl FnOnce() -> F) -> Result<Page, Refusal>
    where
        F: Future<Output = Result<(Vec<u8>, bool), Refusal>>,
    {
        if self.held.load(Relaxed) >= MAX_HELD {
            return Err(Refusal::Held);
        }
        let begun = Instant::now();
        let (bytes, compressed) = make().await?;
        self.held.fetch_add(bytes.capacity(), Relaxed);
        Ok(Page(Arc::new(Held { bytes, compressed, begun, all: Arc::clone(&self.held) })))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::sync::Notify;

    const KIND: PageKind = PageKind { format: Format::Text, gzip: true };

    #[tokio::test]
    async fn those_who_wait_together_share_one_page() {
        let (pages, made, gate) = (Arc::new(Pages::default()), Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let tasks: Vec<_> = (0..50)
            .map(|_| {
                let (pages, made, gate) = (Arc::clone(&pages), Arc::clone(&made), Arc::clone(&gate));
                tokio::spawn(async move {
                    let make = || async {
                        // The first waits until all have come.
                        if made.fetch_add(1, Relaxed) == 0 {
                            gate.notified().await;
                        }
                        Ok((vec![7; 10], true))
                    };
                    pages.get(KIND, make).await.unwrap()
                })
            })
            .collect();
        while made.load(Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        gate.notify_one();
        let mut held = Vec::new();
        for task in tasks {
            held.push(task.await.unwrap());
        }
        // The first was begun before the others came; one more serves all of these.
        assert_eq!(made.load(Relaxed), 2);
        assert_eq!(pages.held.load(Relaxed), 20);
        held.clear();
        assert_eq!(pages.held.load(Relaxed), 0);
    }

    #[tokio::test]
    async fn what_slow_readers_hold_is_bounded_and_comes_back() {
        let pages = Pages::default();
        let large = || async { Ok((vec![0; MAX_HELD / 2], false)) };
        let held =
            [pages.get(KIND, large).await.unwrap().into_bytes(), pages.get(KIND, large).await.unwrap().into_bytes()];
        assert_eq!(pages.get(KIND, large).await.unwrap_err(), Refusal::Held);
        drop(held);
        assert!(pages.get(KIND, large).await.is_ok());
    }
}
