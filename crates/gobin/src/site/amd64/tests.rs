#![allow(clippy::unwrap_used)]
use super::*;
use crate::site::Which;
use proptest::prelude::*;

mod calls;
mod slots;

const MODERN: Policy = Policy { nop5_call: true, allow_stepped: false };
const OLD: Policy = Policy { nop5_call: false, allow_stepped: false };
/// Strictly, as callers do.
fn find(body: &Body<'_>, want: &Want, policy: &Policy, more: &dyn Fn(u64) -> bool) -> Result<Vec<Site>, NoSite> {
    crate::site::find(crate::Arch::Amd64, body, want, policy, more)
}

const NONE: Registers = Registers(0);
const ENTRY: u64 = 0x1000;
const MORESTACK: u64 = 0x900;

fn call(at: usize, to: u64) -> Vec<u8> {
    let relative = (to as i64 - (ENTRY as i64 + at as i64 + 5)) as i32;
    [vec![0xe8], relative.to_le_bytes().to_vec()].concat()
}

/// cmp rsp,[r14+16]; jbe grow; push rbp; mov rbp,rsp; <body>; ret; grow: <saves>; call morestack; <loads>; jmp entry
fn function(body: &[u8], saves: &[u8], loads: &[u8]) -> Vec<u8> {
    let mut code = vec![0x49, 0x3b, 0x66, 0x10, 0x76, 0, 0x55, 0x48, 0x89, 0xe5];
    code.extend(body);
    code.push(0xc3);
    code[5] = (code.len() - 6) as u8;
    code.extend(saves);
    let more = call(code.len(), MORESTACK);
    code.extend(more);
    code.extend(loads);
    let back = -(code.len() as i32 + 2) as i8;
    code.extend([0xeb, back as u8]);
    code
}

const SAVE_DI: [u8; 5] = [0x48, 0x89, 0x7c, 0x24, 0x08]; // mov [rsp+8],rdi
const LOAD_DI: [u8; 5] = [0x48, 0x8b, 0x7c, 0x24, 0x08]; // mov rdi,[rsp+8]

fn entry_site(code: &[u8], needs: &[Register], policy: &Policy) -> Result<Site, NoSite> {
    let body = Body { entry: ENTRY, code };
    find(&body, &Want::Entry { needs: Registers::of(needs) }, policy, &|to| to == MORESTACK).map(|sites| sites[0])
}

#[test]
fn the_stack_check_is_taken_where_the_argument_survives_growing() {
    let site = entry_site(&function(&[0x31, 0xc0], &SAVE_DI, &LOAD_DI), &[Register::Di], &MODERN).unwrap();
    assert_eq!((site.vaddr, site.shape, site.cost), (ENTRY + 4, Shape::StackCheck, CostClass::Emulated));
    assert_eq!(site.guard, Guard::SkipIfStackGrows);
}

#[test]
fn an_argument_that_growing_loses_moves_the_site_to_the_push() {
    let site = entry_site(&function(&[0x31, 0xc0], &[], &[]), &[Register::Di], &MODERN).unwrap();
    assert_eq!((site.vaddr, site.shape, site.guard), (ENTRY + 6, Shape::Push, Guard::None));
    // Saved but not restored, or restored from another slot, is lost as well.
    let other_slot = [0x48, 0x8b, 0x7c, 0x24, 0x10];
    let site = entry_site(&function(&[0x31, 0xc0], &SAVE_DI, &other_slot), &[Register::Di], &MODERN).unwrap();
    assert_eq!(site.shape, Shape::Push);
}

#[test]
fn only_g_needs_nothing_saved() {
    let site = entry_site(&function(&[0x31, 0xc0], &[], &[]), &[], &MODERN).unwrap();
    assert_eq!(site.shape, Shape::StackCheck);
}

#[test]
fn a_five_byte_nop_wins_where_the_kernel_makes_it_a_call() {
    let code = function(&NOP5, &SAVE_DI, &LOAD_DI);
    let site = entry_site(&code, &[Register::Di], &MODERN).unwrap();
    assert_eq!((site.shape, site.cost, site.guard), (Shape::Nop(5), CostClass::Optimised, Guard::None));
    assert_eq!(entry_site(&code, &[Register::Di], &OLD).unwrap().shape, Shape::StackCheck);
    // Behind an instruction that overwrites the argument it is of no use.
    let late = [&[0x31, 0xff][..], &NOP5].concat(); // xor edi,edi
    assert_eq!(
        entry_site(&function(&late, &SAVE_DI, &LOAD_DI), &[Register::Di], &MODERN).unwrap().shape,
        Shape::StackCheck
    );
}

#[test]
fn a_nop_inside_a_loop_is_refused() {
    // xor eax,eax; L: nop5; dec ecx; jnz L
    let body = [&[0x31, 0xc0][..], &NOP5, &[0xff, 0xc9, 0x75, 0xf7]].concat();
    let site = entry_site(&function(&body, &[], &[]), &[], &MODERN).unwrap();
    assert_eq!(site.shape, Shape::StackCheck);
}

#[test]
fn without_an_emulated_instruction_there_is_no_site_unless_stepping_is_allowed() {
    let code = [0x48, 0x89, 0xf8, 0xc3]; // mov rax,rdi; ret
    assert_eq!(entry_site(&code, &[Register::Di], &MODERN), Err(NoSite::OnlyStepped));
    let site = entry_site(&code, &[Register::Di], &Policy { allow_stepped: true, ..MODERN }).unwrap();
    assert_eq!((site.vaddr, site.cost), (ENTRY, CostClass::Stepped));
}

#[test]
fn behind_a_call_the_results_must_be_intact() {
    let callee = 0x5000;
    let want = Want::AfterCall {
        callee,
        which: Which::All,
        needs: Registers::of(&[Register::Ax, Register::Bx]),
        spilled: NONE,
    };
    // call; mov [rsp+8],rax; test rbx,rbx; jne +2
    let good =
        [call(0, callee), vec![0x48, 0x89, 0x44, 0x24, 0x08, 0x48, 0x85, 0xdb, 0x75, 0x02, 0x90, 0x90, 0xc3]].concat();
    let sites = find(&Body { entry: ENTRY, code: &good }, &want, &MODERN, &|_| false).unwrap();
    assert_eq!((sites.len(), sites[0].vaddr, sites[0].shape), (1, ENTRY + 13, Shape::Jump));
    // call; xor eax,eax; test rbx,rbx; jne
    let bad = [call(0, callee), vec![0x31, 0xc0, 0x48, 0x85, 0xdb, 0x75, 0x01, 0x90, 0xc3]].concat();
    assert_eq!(find(&Body { entry: ENTRY, code: &bad }, &want, &MODERN, &|_| false), Err(NoSite::OnlyStepped));
    let none = find(&Body { entry: ENTRY, code: &[0xc3] }, &want, &MODERN, &|_| false);
    assert_eq!(none, Err(NoSite::NoCall));
}

#[test]
fn behind_the_only_call_through_a_pointer() {
    let want = Want::AfterIndirectCall { which: Which::Only, needs: Registers::of(&[Register::Ax, Register::Bx]) };
    // call rcx; mov rdx,[rsp+8]; cmp dword [rdx],0; je +1; nop; ret
    let behind = [0x48, 0x8b, 0x54, 0x24, 0x08, 0x83, 0x3a, 0x00, 0x74, 0x01, 0x90, 0xc3];
    let once = [&[0xff, 0xd1][..], &behind].concat();
    let sites = find(&Body { entry: ENTRY, code: &once }, &want, &MODERN, &|_| false).unwrap();
    assert_eq!((sites.len(), sites[0].vaddr, sites[0].shape), (1, ENTRY + 10, Shape::Jump));
    // call rcx; nop; and the same again
    let twice = [&[0xff, 0xd1, 0x90, 0xff, 0xd1][..], &behind].concat();
    assert_eq!(find(&Body { entry: ENTRY, code: &twice }, &want, &MODERN, &|_| false), Err(NoSite::Ambiguous));
    // A direct call is none.
    let direct = [call(0, 0x5000), behind.to_vec()].concat();
    assert_eq!(find(&Body { entry: ENTRY, code: &direct }, &want, &MODERN, &|_| false), Err(NoSite::NoCall));
}

#[test]
fn behind_a_call_a_place_that_others_jump_to_is_refused() {
    let callee = 0x5000;
    let want = Want::AfterCall { callee, which: Which::All, needs: NONE, spilled: NONE };
    // je L; call callee; L: test rbx,rbx; jne +1; nop; ret
    let code = [vec![0x74, 0x05], call(2, callee), vec![0x48, 0x85, 0xdb, 0x75, 0x01, 0x90, 0xc3]].concat();
    assert!(find(&Body { entry: ENTRY, code: &code }, &want, &MODERN, &|_| false).is_err());
}

/// push rbp; mov rbp,rsp; sub rsp,16; <spill>; call callee; test rax,rax; jne +1; nop; ret
fn allocates(spill: &[u8]) -> Vec<u8> {
    let mut code = [&[0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x10][..], spill].concat();
    code.extend(call(code.len(), 0x5000));
    code.extend([0x48, 0x85, 0xc0, 0x75, 0x01, 0x90, 0xc3]);
    code
}

#[test]
fn behind_a_call_arguments_must_lie_in_their_places() {
    const DI_IN_PLACE: [u8; 5] = [0x48, 0x89, 0x7c, 0x24, 0x38]; // mov [rsp+56],rdi: 16 + 8 + 8 + 3 words
    let needs = Registers::of(&[Register::Ax]);
    let want = Want::AfterCall { callee: 0x5000, which: Which::All, needs, spilled: Registers::of(&[Register::Di]) };
    let site = |spill: &[u8]| {
        let code = allocates(spill);
        find(&Body { entry: ENTRY, code: &code }, &want, &MODERN, &|_| false).map(|sites| sites[0].shape)
    };
    assert_eq!(site(&DI_IN_PLACE), Ok(Shape::Jump));
    let refused = [
        ("not saved", vec![]),
        ("elsewhere", vec![0x48, 0x89, 0x7c, 0x24, 0x30]),
        ("another register", vec![0x48, 0x89, 0x4c, 0x24, 0x38]),
        ("half of it", vec![0x89, 0x7c, 0x24, 0x38]),
        ("overwritten before", [&[0x31, 0xff][..], &DI_IN_PLACE].concat()),
        ("overwritten behind", [&DI_IN_PLACE[..], &[0x48, 0x89, 0x4c, 0x24, 0x38]].concat()),
        ("overwritten in part", [&DI_IN_PLACE[..], &[0xc6, 0x44, 0x24, 0x3f, 0x00]].concat()),
        ("overwritten through the frame pointer", [&DI_IN_PLACE[..], &[0x48, 0x89, 0x4d, 0x28]].concat()),
        ("the frame pointer is lost", [&DI_IN_PLACE[..], &[0x48, 0x89, 0xfd]].concat()),
        ("saved on one path only", [&[0x74, 0x05][..], &DI_IN_PLACE].concat()),
    ];
    for (what, spill) in refused {
        assert_eq!(site(&spill), Err(NoSite::NotSpilled), "{what}");
    }
    // Whatever leads to the call: jne L; ret; L: mov [rsp+56],rdi. Not where one of two ways passes by: jne L; jmp M; L: mov; M:
    assert_eq!(site(&[&[0x75, 0x01, 0xc3][..], &DI_IN_PLACE].concat()), Ok(Shape::Jump));
    assert_eq!(site(&[&[0x75, 0x02, 0xeb, 0x05][..], &DI_IN_PLACE].concat()), Err(NoSite::NotSpilled));
    // Nor where a loop overwrites it on its way back: L: mov [rsp+56],rdi; xor edi,edi; jne L
    assert_eq!(site(&[&DI_IN_PLACE[..], &[0x31, 0xff, 0x75, 0xf7]].concat()), Err(NoSite::NotSpilled));
    // The same place with another frame: mov [rsp+64],rdi behind sub rsp,8 more.
    let moved = [&[0x48, 0x83, 0xec, 0x08][..], &[0x48, 0x89, 0x7c, 0x24, 0x40]].concat();
    assert_eq!(site(&moved), Ok(Shape::Jump));
    assert_eq!(site(&[&[0x48, 0x83, 0xec, 0x08][..], &DI_IN_PLACE].concat()), Err(NoSite::NotSpilled));
}

#[test]
fn calls_are_restricted_to_ranges() {
    let callee = 0x5000;
    let code = [call(0, callee), call(5, callee), vec![0xc3]].concat();
    let body = Body { entry: ENTRY, code: &code };
    let within = Want::AtCall { callee, which: Which::All, within: std::iter::once(ENTRY + 5..ENTRY + 10).collect() };
    assert_eq!(find(&body, &within, &MODERN, &|_| false).unwrap()[0].vaddr, ENTRY + 5);
    let anywhere = Want::AtCall { callee, which: Which::All, within: vec![] };
    assert_eq!(find(&body, &anywhere, &MODERN, &|_| false).unwrap().len(), 2);
}

fn all_wants(needs: Registers) -> Vec<Want> {
    let (callee, through) = (ENTRY, vec![ENTRY + 5]);
    let mut wants = vec![
        Want::Entry { needs },
        Want::AfterCall { callee, which: Which::All, needs, spilled: needs },
        Want::PastIndirectCall { callee, through: through.clone() },
    ];
    let before = Which::BeforeIndirectCall { through };
    for which in [Which::All, Which::Only, Which::First, Which::Last, Which::Nth(1), before] {
        wants.extend([
            Want::AfterCall { callee, which: which.clone(), needs, spilled: NONE },
            Want::AfterIndirectCall { which: which.clone(), needs },
            Want::AfterJoinedCall { callee, which: which.clone(), needs },
            Want::OnError { callee, which: which.clone(), error: Register::Bx, needs },
            Want::OnFalse { callee, which: which.clone() },
            Want::AtCall { callee, which, within: vec![] },
        ]);
    }
    wants
}

/// Any bytes, among which are instructions that the engine looks for.
fn any_code() -> impl Strategy<Value = Vec<u8>> {
    let known: [&'static [u8]; 14] = [
        &[0xff, 0xd1],                   // call rcx
        &[0x48, 0x85, 0xdb],             // test rbx,rbx
        &[0x75, 0x05],                   // jne
        &[0x74, 0xf8],                   // je, backwards
        &[0xeb, 0x03],                   // jmp
        &[0xc3],                         // ret
        &[0x5d],                         // pop rbp
        &[0x55, 0x48, 0x89, 0xe5],       // push rbp; mov rbp,rsp
        &[0x48, 0x83, 0xec, 0x10],       // sub rsp,16
        &[0x48, 0x83, 0xc4, 0x10],       // add rsp,16
        &[0x48, 0x8b, 0x44, 0x24, 0x08], // mov rax,[rsp+8]
        &[0x48, 0x89, 0x5c, 0x24, 0x08], // mov [rsp+8],rbx
        &NOP5,
        &[0xff, 0x24, 0xd0], // jmp [rax+rdx*8]
    ];
    let piece = prop_oneof![
        6 => prop::sample::select(known.to_vec()).prop_map(<[u8]>::to_vec),
        2 => Just(vec![0xe8]), // a call, whose target is put in below
        1 => prop::collection::vec(any::<u8>(), 1..6),
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| {
        let mut code = Vec::new();
        for piece in pieces {
            if piece == [0xe8] { code.extend(call(code.len(), ENTRY)) } else { code.extend(piece) }
        }
        code
    })
}

proptest! {
    #[test]
    fn random_code_never_panics_and_sites_are_what_they_say(
        code in prop_oneof![prop::collection::vec(any::<u8>(), 0..400), any_code()],
        nop5_call: bool,
    ) {
        let body = Body { entry: ENTRY, code: &code };
        let policy = Policy { nop5_call, allow_stepped: false };
        let sets = [Registers::default(), Registers::of(&[Register::Cx, Register::Di]), Registers::of(&Register::ALL)];
        for want in sets.into_iter().flat_map(all_wants) {
            for site in find(&body, &want, &policy, &|to| to % 3 == 0).unwrap_or_default() {
                prop_assert_ne!(site.cost, CostClass::Stepped);
                let byte = code[(site.vaddr - ENTRY) as usize];
                let known = matches!(byte, 0xe8 | 0xe9 | 0xeb | 0x70..=0x7f | 0x0f | 0x50..=0x57 | 0x41 | 0x90)
                    || matches!(byte, 0x26 | 0x2e | 0x36 | 0x3e | 0x40..=0x4f | 0x64..=0x67 | 0xf2 | 0xf3);
                prop_assert!(known, "byte {:#x} at a site", byte);
                let jumps_by_table = Code64::decode(&body).jumps_anywhere;
                let safe = matches!(want, Want::Entry { .. } | Want::AtCall { .. });
                prop_assert!(safe || !jumps_by_table);
            }
        }
    }

    #[test]
    fn strict_and_lenient_agree(code in any_code()) {
        let body = Body { entry: ENTRY, code: &code };
        for want in all_wants(Registers::of(&[Register::Bx])) {
            let each = super::find(&body, &want, &MODERN, &|to| to % 3 == 0);
            let strict = find(&body, &want, &MODERN, &|to| to % 3 == 0);
            match (each, strict) {
                (Ok(each), strict) => {
                    prop_assert!(!each.is_empty());
                    prop_assert!(each.windows(2).all(|two| two[0].at < two[1].at));
                    prop_assert_eq!(each.into_iter().map(|one| one.site).collect::<Result<Vec<_>, _>>(), strict);
                }
                (Err(why), strict) => prop_assert_eq!(strict, Err(why)),
            }
        }
    }

    #[test]
    fn random_code_has_results_only_where_it_defers(code in any_code(), call_at in 0_u64..300) {
        let body = Body { entry: ENTRY, code: &code };
        if let Ok(slots) = result_slots(&body, ENTRY) {
            prop_assert_eq!(calls(&body, &[ENTRY]), [true]);
            prop_assert!(slots.displacements.len() <= Register::ALL.len());
            prop_assert!(slots.displacements.last() != Some(&None));
        }
        for register in Register::ALL {
            let _ = argument_slot(&body, ENTRY + call_at, register);
        }
    }
}
