//! Where results lie, by the returns of `net/http.(*Transport).roundTrip` in Go 1.27.4.

use super::*;

const DEFERRETURN: u64 = 0x5000;
/// push rbp; mov rbp,rsp; sub rsp,408
const PROLOGUE: [u8; 11] = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x81, 0xec, 0x98, 0x01, 0x00, 0x00];
/// mov [rsp+128],0; mov [rsp+232],rax; mov [rsp+240],rbx; mov rdx,[rsp+128]; mov rcx,rbx; mov rbx,rax; mov rax,rdx
const EARLY: [u8; 45] = [
    0x48, 0xc7, 0x84, 0x24, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // 0
    0x48, 0x89, 0x84, 0x24, 0xe8, 0x00, 0x00, 0x00, // RAX
    0x48, 0x89, 0x9c, 0x24, 0xf0, 0x00, 0x00, 0x00, // RBX
    0x48, 0x8b, 0x94, 0x24, 0x80, 0x00, 0x00, 0x00, // RDX
    0x48, 0x89, 0xd9, 0x48, 0x89, 0xc3, 0x48, 0x89, 0xd0, // and round
];
/// mov rdx,[rsp+400]; mov rax,[rdx]; call rax
const DEFERRED: [u8; 13] = [0x48, 0x8b, 0x94, 0x24, 0x90, 0x01, 0x00, 0x00, 0x48, 0x8b, 0x02, 0xff, 0xd0];
/// mov rbx,[rsp+232]; mov rax,[rsp+128]; mov rcx,[rsp+240]
const LOADS: [u8; 24] = [
    0x48, 0x8b, 0x9c, 0x24, 0xe8, 0x00, 0x00, 0x00, // RBX
    0x48, 0x8b, 0x84, 0x24, 0x80, 0x00, 0x00, 0x00, // RAX
    0x48, 0x8b, 0x8c, 0x24, 0xf0, 0x00, 0x00, 0x00, // RCX
];
/// add rsp,408; pop rbp
const EPILOGUE: [u8; 8] = [0x48, 0x81, 0xc4, 0x98, 0x01, 0x00, 0x00, 0x5d];
const RET: [u8; 1] = [0xc3];
const NOP: [u8; 1] = [0x90];

fn slots(pieces: &[&[u8]]) -> Result<ResultSlots, NoSite> {
    let mut code = PROLOGUE.to_vec();
    for piece in pieces {
        if piece.is_empty() {
            code.extend(call(code.len(), DEFERRETURN));
        }
        code.extend(*piece);
    }
    result_slots(&Body { entry: ENTRY, code: &code }, DEFERRETURN)
}

/// Stands for the call of deferreturn.
const CALL: [u8; 0] = [];

#[test]
fn results_lie_where_all_returns_say() {
    let displacements = vec![Some(128), Some(232), Some(240)];
    let open_coded = [
        &EARLY[..],
        &EPILOGUE,
        &RET, // before the function defers
        &DEFERRED,
        &LOADS,
        &EPILOGUE,
        &RET, // behind its own call
        &CALL,
        &LOADS,
        &EPILOGUE,
        &NOP,
        &RET, // behind a recovered panic
    ];
    let found = ResultSlots { displacements: displacements.clone(), frame: 416, direct: true };
    assert_eq!(slots(&open_coded), Ok(found.clone()));
    // What the return above says of itself alone is not believed: it might be any function's.
    assert_eq!(slots(&open_coded[..7]), Err(NoSite::NoDefer));
    let on_a_list = [&CALL[..], &LOADS, &EPILOGUE, &RET];
    assert_eq!(slots(&on_a_list), Ok(ResultSlots { displacements, frame: 416, direct: false }));
    // A result may be what it is by a constant: xor eax,eax.
    let constant = [&CALL[..], &LOADS, &EPILOGUE, &RET, &[0x31, 0xc0], &EPILOGUE, &RET];
    assert_eq!(slots(&constant), Ok(found));
    let none = slots(&[&CALL[..], &EPILOGUE, &RET]).unwrap();
    assert_eq!((none.displacements, none.frame), (vec![], 416));
}

#[test]
fn returns_that_disagree_say_nothing() {
    let mut elsewhere = LOADS;
    elsewhere[4] = 0xe0;
    let mut other_frame = EPILOGUE;
    other_frame[3] = 0x90;
    let behind_store = [&LOADS[..], &[0x48, 0x89, 0x9c, 0x24, 0x08, 0x00, 0x00, 0x00]].concat(); // mov [rsp+8],rbx
    let refused: [(&str, Vec<&[u8]>); 4] = [
        ("another place", vec![&CALL, &LOADS, &EPILOGUE, &RET, &DEFERRED, &elsewhere, &EPILOGUE, &RET]),
        ("another frame", vec![&CALL, &LOADS, &EPILOGUE, &RET, &DEFERRED, &LOADS, &other_frame, &RET]),
        ("one more or less", vec![&CALL, &LOADS, &EPILOGUE, &RET, &CALL, &LOADS[8..], &EPILOGUE, &RET]),
        ("two places at once", vec![&CALL, &behind_store, &EPILOGUE, &RET]),
    ];
    for (what, pieces) in refused {
        assert_eq!(slots(&pieces), Err(NoSite::Disagree), "{what}");
    }
    // An unforeseen instruction between epilogue and return: that return is passed over.
    let odd = [&CALL[..], &LOADS, &EPILOGUE, &[0x31, 0xc0], &RET];
    assert_eq!(slots(&odd), Err(NoSite::NoDefer));
}

#[test]
fn a_place_that_is_overwritten_holds_the_result_no_longer() {
    // mov [rsp+232],rax; movups [rsp+232],xmm15: RAX and the place part. Only then RAX is no result of this place.
    let parted = [&EARLY[12..20], &[0x44, 0x0f, 0x11, 0xbc, 0x24, 0xe8, 0x00, 0x00, 0x00]].concat();
    let pieces = [&CALL[..], &LOADS, &EPILOGUE, &RET, &DEFERRED, &parted, &EPILOGUE, &RET];
    assert!(slots(&pieces).is_ok());
    let pieces = [&CALL[..], &LOADS, &EPILOGUE, &RET, &DEFERRED, &EARLY[12..20], &EPILOGUE, &RET];
    assert_eq!(slots(&pieces), Err(NoSite::Disagree)); // RAX is the result at 128
}

/// Before the call of `runtime.chanrecv1` in `sarama.(*syncProducer).SendMessage` of Go 1.27.4.
#[test]
fn an_argument_that_is_the_address_of_a_place_is_found() {
    // mov [rsp+40],0; mov rax,[rsp+32]; lea rbx,[rsp+40]
    let given = [
        &[0x48, 0xc7, 0x44, 0x24, 0x28, 0x00, 0x00, 0x00, 0x00][..],
        &[0x48, 0x8b, 0x44, 0x24, 0x20],
        &[0x48, 0x8d, 0x5c, 0x24, 0x28],
    ]
    .concat();
    let address = |code: &[u8], argument| {
        let code = [code, &call(code.len(), DEFERRETURN)[..]].concat();
        let at = ENTRY + code.len() as u64 - 5;
        argument_address(&Body { entry: ENTRY, code: &code }, at, argument)
    };
    assert_eq!(address(&given, Register::Bx), Some(40));
    assert_eq!(address(&given, Register::Ax), None); // a value
    assert_eq!(address(&given[..14], Register::Bx), None);
    // push rax: another stack pointer; mov rbx,rax: another value.
    assert_eq!(address(&[&given[..], &[0x50]].concat(), Register::Bx), None);
    assert_eq!(address(&[&given[..], &[0x48, 0x89, 0xc3]].concat(), Register::Bx), None);
}
