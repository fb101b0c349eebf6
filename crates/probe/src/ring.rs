//! The rings by which the kernel side tells of single things: spans, and starts and ends of processes.

use crate::load_error::{LoadError, refused};
use crate::object::Probes;
use libbpf_rs::{RingBuffer, RingBufferBuilder};
use std::cell::RefCell;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The consumer's end of the ring.
pub struct Ring {
    ring: RingBuffer<'static>,
}

impl Ring {
    /// Becomes readable while records wait. To be called within a tokio runtime.
    ///
    /// # Errors
    /// No descriptor is left.
    #[allow(unsafe_code, reason = "libbpf-rs gives the descriptor's number only")]
    pub fn watch(&self) -> io::Result<AsyncFd<OwnedFd>> {
        // SAFETY: the ring owns the descriptor and outlives this borrow, which ends with the call.
        let own = unsafe { BorrowedFd::borrow_raw(self.ring.epoll_fd()) }.try_clone_to_owned()?;
        // SAFETY: an OwnedFd gives the same descriptor for as long as it lives, and the registration owns it.
        unsafe { AsyncFd::register_with_interest(own, Interest::READABLE) }.map_err(io::Error::from)
    }

    /// Takes all records that wait.
    pub fn consume(&self) {
        // Asking its epoll arms it anew: without that, whoever watches the descriptor is not told of later records. The
        // callback never fails, and an interrupted call leaves its records for the next one.
        let _ = self.ring.poll(Duration::ZERO);
        let _ = self.ring.consume();
    }
}

impl Probes {
    /// A consumer of the ring; `event` is called for each record while [`Ring::consume`] runs.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn ring(&self, event: impl FnMut(&[u8]) -> i32 + 'static) -> Result<Ring, LoadError> {
        let mut builder = RingBufferBuilder::new();
        // One callback for both rings, which are read one after the other by one thread.
        let event = std::rc::Rc::new(RefCell::new(event));
        let of_processes = std::rc::Rc::clone(&event);
        let maps = &self.skel.maps;
        // Processes first: a span must not come before its process is known.
        builder
            .add(&maps.process_ring, move |bytes| of_processes.borrow_mut()(bytes))
            .map_err(refused("to read the ring"))?;
        builder.add(&maps.ring, move |bytes| event.borrow_mut()(bytes)).map_err(refused("to read the ring"))?;
        builder.build().map(|ring| Ring { ring }).map_err(refused("to read the ring"))
    }
}
