//! Iterators of the kernel over what belongs to one process: its mappings, its threads.

#![allow(unsafe_code, reason = "libbpf-rs has no option for an iterator of one process")]

use libbpf_rs::{AsRawLibbpf, Link, ProgramMut};
use std::io;
use std::ptr::NonNull;

/// A link whose iterators run the program for what belongs to one process; kernels before 6.1 run it for all.
///
/// # Errors
/// The kernel's refusal.
pub(crate) fn over_process(program: &ProgramMut<'_>, pid: u32) -> io::Result<Link> {
    let mut info = libbpf_sys::bpf_iter_link_info::default();
    info.task.pid = pid;
    let options = libbpf_sys::bpf_iter_attach_opts {
        sz: size_of::<libbpf_sys::bpf_iter_attach_opts>() as _,
        link_info: &raw mut info,
        link_info_len: size_of::<libbpf_sys::bpf_iter_link_info>() as _,
        ..Default::default()
    };
    // SAFETY: the program is loaded and outlives the call; the options and what they point to live on this stack frame.
    let raw = unsafe { libbpf_sys::bpf_program__attach_iter(program.as_libbpf_object().as_ptr(), &raw const options) };
    let link = NonNull::new(raw).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: libbpf returned a link that nobody else owns.
    Ok(unsafe { Link::from_ptr(link) })
}
