//! Where an executable's bytes come from: they lie there already, or a file gives them part by part.

use object::read::ReadRef;
use std::fmt::Debug;
use std::ops::Range;

/// A file that gives its parts as they are asked for. A part that was given stays as it is.
pub trait Parts: Debug {
    /// The file's size in bytes.
    fn size(&self) -> u64;

    /// A part of it; `None` if it cannot be had.
    fn part(&self, range: Range<u64>) -> Option<&[u8]>;

    /// Fills `to` from an offset on, for a look at much of which little is kept; `false` if that cannot be done.
    fn read(&self, at: u64, to: &mut [u8]) -> bool;
}

/// Bytes of a piece of a scan.
const PIECE: usize = 256 << 10;

/// The bytes of an executable.
#[derive(Debug, Clone, Copy)]
pub struct Source<'d>(Kind<'d>);

#[derive(Debug, Clone, Copy)]
enum Kind<'d> {
    Whole(&'d [u8]),
    Parts(&'d dyn Parts),
}

impl<'d, B: AsRef<[u8]> + ?Sized> From<&'d B> for Source<'d> {
    fn from(bytes: &'d B) -> Self {
        Self(Kind::Whole(bytes.as_ref()))
    }
}

impl<'d> Source<'d> {
    /// Of a file that gives its parts.
    pub fn of_parts(parts: &'d dyn Parts) -> Self {
        Self(Kind::Parts(parts))
    }

    pub(crate) fn size(self) -> u64 {
        match self.0 {
            Kind::Whole(bytes) => bytes.len() as u64,
            Kind::Parts(parts) => parts.size(),
        }
    }

    /// `size` bytes from `offset` on; what lies beyond the end is cut off.
    pub(crate) fn part(self, offset: u64, size: u64) -> Option<&'d [u8]> {
        let end = offset.checked_add(size)?.min(self.size());
        match self.0 {
            _ if offset > end => None,
            Kind::Whole(bytes) => bytes.get(usize::try_from(offset).ok()?..usize::try_from(end).ok()?),
            Kind::Parts(parts) => parts.part(offset..end),
        }
    }
}

/// Goes through a range of a file piece by piece.
pub(crate) struct Pieces<'d> {
    source: Source<'d>,
    range: Range<u64>,
    overlap: usize,
    buffer: Vec<u8>,
}

/// What lies at one place of the file.
pub(crate) struct Piece<'p> {
    /// Where it begins, from the range's beginning.
    pub(crate) at: u64,
    /// Its bytes and some of the next piece.
    pub(crate) bytes: &'p [u8],
    /// Without those of the next.
    pub(crate) own: usize,
}

impl<'d> Pieces<'d> {
    /// Of `size` bytes from `offset` on, as far as the file goes; each piece with `overlap` bytes of the next.
    pub(crate) fn new(source: Source<'d>, offset: u64, size: u64, overlap: usize) -> Self {
        let end = offset.saturating_add(size).min(source.size());
        Self { source, range: offset..end, overlap, buffer: Vec::new() }
    }

    /// Shows each piece, until `visit` wants no more; `false` if one could not be read.
    pub(crate) fn for_each(mut self, visit: &mut dyn FnMut(Piece<'_>) -> bool) -> bool {
        if let Kind::Whole(_) = self.source.0 {
            let size = self.range.end.saturating_sub(self.range.start);
            let Some(bytes) = self.source.part(self.range.start, size) else { return false };
            visit(Piece { at: 0, bytes, own: bytes.len() });
            return true;
        }
        let Kind::Parts(parts) = self.source.0 else { return false };
        let mut at = 0;
        while let Some(left) = self.range.end.checked_sub(self.range.start + at).filter(|left| *left > 0) {
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            let own = left.min(PIECE);
            self.buffer.resize(left.min(PIECE + self.overlap), 0);
            if !parts.read(self.range.start + at, &mut self.buffer) {
                return false;
            }
            if !visit(Piece { at, bytes: &self.buffer, own }) {
                break;
            }
            at += own as u64;
        }
        true
    }
}

/// The tables of headers are read through the `object` crate.
impl<'d> ReadRef<'d> for Source<'d> {
    fn len(self) -> Result<u64, ()> {
        Ok(self.size())
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'d [u8], ()> {
        self.part(offset, size).filter(|part| part.len() as u64 == size).ok_or(())
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'d [u8], ()> {
        let size = range.end.checked_sub(range.start).ok_or(())?;
        let bytes = self.part(range.start, size).ok_or(())?;
        let end = bytes.iter().position(|&byte| byte == delimiter).ok_or(())?;
        bytes.get(..end).ok_or(())
    }
}
