//! What goroutines wait for, in the runtime's own words. The numbers change between versions, so that the texts are read.

use crate::goroutine::dump::Goroutine;
use crate::goroutine::fields::WAIT_REASONS;
use crate::goroutine::state::State;
use crate::{Memory, ReadError, RuntimeLayout};
use std::collections::BTreeMap;

/// `runtime.waitReasonStrings` has some fifty.
const MAX_WAIT_REASON: u8 = 127;
/// Longest wait reason that is believed.
const MAX_WAIT_TEXT: u64 = 64;

/// The texts of the wait reasons that occur.
pub(super) fn wait_reasons(
    memory: &dyn Memory,
    layout: &RuntimeLayout,
    goroutines: &[Goroutine],
) -> Result<BTreeMap<u8, String>, ReadError> {
    let mut reasons = BTreeMap::new();
    let Ok(table) = layout.symbol(WAIT_REASONS) else { return Ok(reasons) };
    let waiting = goroutines.iter().filter(|g| matches!(g.state, State::Waiting | State::Leaked));
    for reason in waiting.map(|goroutine| goroutine.wait_reason).filter(|&reason| reason <= MAX_WAIT_REASON) {
        if reasons.contains_key(&reason) {
            continue;
        }
        match wait_reason(memory, table.wrapping_add(16 * u64::from(reason))) {
            Ok(text) => reasons.insert(reason, text.unwrap_or_default()),
            Err(ReadError::Unmapped(_)) => reasons.insert(reason, String::new()),
            Err(error) => return Err(error),
        };
    }
    Ok(reasons)
}

fn wait_reason(memory: &dyn Memory, at: u64) -> Result<Option<String>, ReadError> {
    let mut header = [0; 16];
    memory.read(at, &mut header)?;
    let ([text, len], _) = header.as_chunks::<8>() else { return Ok(None) };
    let (text, len) = (u64::from_le_bytes(*text), u64::from_le_bytes(*len));
    if len > MAX_WAIT_TEXT {
        return Ok(None);
    }
    let mut bytes = vec![0; len as usize];
    memory.read(text, &mut bytes)?;
    Ok(String::from_utf8(bytes).ok().filter(|text| text.chars().all(|c| !c.is_control() && c != ']')))
}
