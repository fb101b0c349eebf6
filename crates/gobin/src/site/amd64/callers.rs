//! Who calls a function, without decoding the whole program.

/// Whether code that lies at `entry` calls `target` directly: by the bytes of a call with exactly this distance, which
/// nothing else has but by a chance of one in 2^40 a byte.
pub(in crate::site) fn calls(code: &[u8], entry: u64, target: u64) -> bool {
    code.windows(5).enumerate().any(|(at, window)| {
        let &[0xe8, a, b, c, d] = window else { return false };
        let next = entry.wrapping_add(at as u64 + 5);
        next.wrapping_add_signed(i64::from(i32::from_le_bytes([a, b, c, d]))) == target
    })
}

#[cfg(test)]
mod tests {
    use super::calls;

    #[test]
    fn forward_and_backward_calls_are_found_and_nothing_else_is() {
        // nop; call +0x10; call -0x20
        let code = [0x90, 0xe8, 0x10, 0, 0, 0, 0xe8, 0xe0, 0xff, 0xff, 0xff];
        assert!(calls(&code, 0x1000, 0x1016));
        assert!(calls(&code, 0x1000, 0x0feb));
        assert!(!calls(&code, 0x1000, 0x1015));
        assert!(!calls(&code[..10], 0x1000, 0x0feb), "a call that is cut off");
        assert!(!calls(&[], 0, 0));
        assert!(calls(&[0xe8, 0, 0, 0, 0], u64::MAX - 2, 2), "addresses wrap");
    }
}
