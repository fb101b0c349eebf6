//! Machine code for the probe-site engine.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trigon_gobin::Arch;
use trigon_gobin::site::{Body, Policy, Register, Registers, Want, find};

fuzz_target!(|code: &[u8]| {
    let body = Body { entry: 0x40_1000, code };
    let needs = Registers::of(&[Register::Cx, Register::Di]);
    let policy = Policy { nop5_call: true, allow_stepped: false };
    for want in [Want::Entry { needs }, Want::AfterCall { callee: 0x40_1000, needs }, Want::AtCall { callee: 0x40_1000, within: vec![] }] {
        for site in find(Arch::Amd64, &body, &want, &policy, &|to| to % 5 == 0).unwrap_or_default() {
            assert!(site.vaddr >= body.entry && site.vaddr < body.entry + code.len() as u64);
        }
    }
});
