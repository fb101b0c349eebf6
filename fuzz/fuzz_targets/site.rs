//! Machine code for the probe-site engine.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trigon_gobin::Arch;
use trigon_gobin::site::{Body, Policy, Register, Registers, Want, Which, argument_slot, calls, find, result_slots};

fuzz_target!(|code: &[u8]| {
    let body = Body { entry: 0x40_1000, code };
    let needs = Registers::of(&[Register::Cx, Register::Di]);
    let policy = Policy { nop5_call: true, allow_stepped: false };
    let through = vec![0x40_1005];
    for which in [Which::All, Which::Only, Which::Last, Which::Nth(1), Which::BeforeIndirectCall { through }] {
        for want in [
            Want::Entry { needs },
            Want::AfterCall { callee: 0x40_1000, which: which.clone(), needs, spilled: needs },
            Want::AfterIndirectCall { which: which.clone(), needs },
            Want::AfterJoinedCall { callee: 0x40_1000, which: which.clone(), needs },
            Want::OnError { callee: 0x40_1000, which: which.clone(), error: Register::Bx, needs },
            Want::PastIndirectCall { callee: 0x40_1000, through: vec![0x40_1005] },
            Want::AtCall { callee: 0x40_1000, which: which.clone(), within: vec![] },
        ] {
            for site in find(Arch::Amd64, &body, &want, &policy, &|to| to % 5 == 0).unwrap_or_default() {
                assert!(site.vaddr >= body.entry && site.vaddr < body.entry + code.len() as u64);
            }
        }
    }
    if let Ok(slots) = result_slots(Arch::Amd64, &body, 0x40_1000) {
        assert!(calls(Arch::Amd64, &body, &[0x40_1000]) == [true] && slots.displacements.len() <= Register::ALL.len());
    }
    let _ = argument_slot(Arch::Amd64, &body, 0x40_1000 + code.len() as u64 / 2, Register::Ax);
});
