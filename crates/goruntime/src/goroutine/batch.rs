//! Reading many independent pieces at once, where some may not be readable.

use crate::{Memory, ReadError};

/// Fills all parts; the answers are in their order. One call for all if all can be read, else one for each.
///
/// # Errors
/// The process cannot be read any more.
pub(super) fn read_each(
    memory: &dyn Memory,
    parts: &mut [(u64, &mut [u8])],
) -> Result<Vec<Result<(), ReadError>>, ReadError> {
    match memory.read_many(parts) {
        Ok(()) => return Ok(vec![Ok(()); parts.len()]),
        Err(ReadError::Unmapped(_)) => {}
        Err(error) => return Err(error),
    }
    let one = |(at, to): &mut (u64, &mut [u8])| match memory.read(*at, to) {
        Ok(()) => Ok(Ok(())),
        Err(error @ ReadError::Unmapped(_)) => Ok(Err(error)),
        Err(error) => Err(error),
    };
    parts.iter_mut().map(one).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::RecordedMemory;

    #[test]
    fn what_cannot_be_read_does_not_hide_the_rest() {
        let mut memory = RecordedMemory::default();
        memory.add(100, &[1, 2, 3, 4]);
        let (mut a, mut b, mut c) = ([0; 2], [0; 2], [0; 2]);
        let read = |parts: &mut [(u64, &mut [u8])]| read_each(&memory, parts).unwrap();
        assert_eq!(read(&mut [(100, &mut a), (102, &mut b)]), [Ok(()), Ok(())]);
        let mixed = read(&mut [(100, &mut a), (103, &mut b), (102, &mut c)]);
        assert_eq!(mixed, [Ok(()), Err(ReadError::Unmapped(104)), Ok(())]);
        assert_eq!((a, c), ([1, 2], [3, 4]));
    }
}
