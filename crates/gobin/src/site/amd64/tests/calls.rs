//! Which calls, and sites behind them, by code that compilers made.

use super::*;

const CALLEE: u64 = 0x5000;
const OTHER: u64 = 0x6000;
const BARRIER: u64 = 0x7000;

/// Makes code of pieces; a call's target is relative to its own place.
#[derive(Default)]
struct Code(Vec<u8>);

impl Code {
    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn call(mut self, to: u64) -> Self {
        self.0.extend(call(self.0.len(), to));
        self
    }

    fn find(&self, want: &Want, policy: &Policy) -> Result<Vec<u64>, NoSite> {
        let sites = find(&Body { entry: ENTRY, code: &self.0 }, want, policy, &|_| false)?;
        Ok(sites.iter().map(|site| site.vaddr - ENTRY).collect())
    }
}

const RET: [u8; 1] = [0xc3];
const CALL_CX: [u8; 2] = [0xff, 0xd1];
const TEST_BX: [u8; 3] = [0x48, 0x85, 0xdb];
const ERROR: [Register; 2] = [Register::Bx, Register::Cx];
/// jne +1; nop
const JUMP: [u8; 3] = [0x75, 0x01, 0x90];

/// `database/sql.(*Tx).Commit.func1` of Go 1.26.8, which calls `driver.Tx.Commit`: behind its stack check.
const COMMIT: &str = "55 4889e5 4883ec10 488b4a10 488b5208 4889542408 488b5128 488b4130 488b4a18 ffd1 488b4c2408 488901 \
                      833da836560000 7412 488b4108 6690 e81bc5f9ff 49891b 49894308 48895908 4883c410 5d c3";

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn the_jump_of_a_write_barrier_is_behind_an_indirect_call() {
    let code = Code(hex(COMMIT));
    let results = |needs: &[Register], which| Want::AfterIndirectCall { which, needs: Registers::of(needs) };
    let found = code.find(&results(&[Register::Ax, Register::Bx], Which::Only), &OLD);
    assert_eq!(found, Ok(vec![0x32]));
    assert_eq!(code.0[0x32], 0x74);
    // CX is loaded again at once.
    assert_eq!(code.find(&results(&ERROR, Which::Only), &OLD), Err(NoSite::OnlyStepped));
    assert_eq!(code.find(&results(&[], Which::Nth(1)), &OLD), Err(NoSite::NoCall));
    let twice = Code(code.0.clone()).bytes(&CALL_CX).bytes(&JUMP);
    assert_eq!(twice.find(&results(&[], Which::Only), &OLD), Err(NoSite::Ambiguous));
    assert_eq!(twice.find(&results(&[], Which::Last), &OLD), Ok(vec![code.0.len() as u64 + 2]));
}

#[test]
fn of_several_calls_some_are_chosen() {
    let code = Code::default().call(CALLEE).call(OTHER).call(CALLEE).call(CALLEE).bytes(&RET);
    let at = |which| code.find(&Want::AtCall { callee: CALLEE, which, within: vec![] }, &OLD);
    assert_eq!(at(Which::All), Ok(vec![0, 10, 15]));
    assert_eq!(at(Which::First), Ok(vec![0]));
    assert_eq!(at(Which::Last), Ok(vec![15]));
    assert_eq!(at(Which::Nth(1)), Ok(vec![10]));
    assert_eq!(at(Which::Nth(3)), Err(NoSite::NoCall));
    assert_eq!(at(Which::Only), Err(NoSite::Ambiguous));
    assert_eq!(at(Which::BeforeIndirectCall { through: vec![] }), Err(NoSite::NoCall));
    let within = std::iter::once(ENTRY + 10..ENTRY + 15).collect();
    let only = Want::AtCall { callee: CALLEE, which: Which::Only, within };
    assert_eq!(code.find(&only, &OLD), Ok(vec![10]));
    assert_eq!(calls(&Body { entry: ENTRY, code: &code.0 }, &[OTHER, BARRIER]), [true, false]);
}

#[test]
fn a_call_without_a_site_fails_all_or_itself() {
    let lost = [0x31, 0xdb]; // xor ebx,ebx
    let code = Code::default().call(CALLEE).bytes(&TEST_BX).bytes(&JUMP).call(CALLEE).bytes(&lost).bytes(&JUMP);
    let want = Want::AfterCall { callee: CALLEE, which: Which::All, needs: Registers::of(&ERROR), spilled: NONE };
    assert_eq!(code.find(&want, &OLD), Err(NoSite::OnlyStepped));
    let body = Body { entry: ENTRY, code: &code.0 };
    let each = crate::site::find_each(crate::Arch::Amd64, &body, &want, &OLD, &|_| false).unwrap();
    let seen: Vec<_> = each.into_iter().map(|one| (one.at - ENTRY, one.site.map(|site| site.vaddr - ENTRY))).collect();
    assert_eq!(seen, [(0, Ok(8)), (11, Err(NoSite::OnlyStepped))]);
}

#[test]
fn all_nine_registers_are_watched() {
    let zero: [(Register, &[u8]); 4] = [
        (Register::R8, &[0x45, 0x31, 0xc0]),
        (Register::R9, &[0x45, 0x31, 0xc9]),
        (Register::R10, &[0x45, 0x31, 0xd2]),
        (Register::R11, &[0x45, 0x31, 0xdb]),
    ];
    for (register, xor) in zero {
        let want = |needs| Want::AfterCall { callee: CALLEE, which: Which::Only, needs, spilled: NONE };
        let code = Code::default().call(CALLEE).bytes(xor).bytes(&JUMP);
        assert_eq!(code.find(&want(Registers::of(&[register])), &OLD), Err(NoSite::OnlyStepped));
        let others: Vec<_> = Register::ALL.into_iter().filter(|other| *other != register).collect();
        assert_eq!(code.find(&want(Registers::of(&others)), &OLD), Ok(vec![8]));
    }
}

/// The two calls of `net/http.(*Transport).roundTrip` in Go 1.21 and 1.22, through the alternate protocol and its own:
/// call rsi; <behind>; jmp join; mov rbx,[rsp+136]; call; nop6; join: test rbx,rbx; je
fn two_ways(behind: &[u8]) -> Code {
    let code = Code::default().bytes(&[0xff, 0xd6]).bytes(behind).bytes(&[0xeb, 0x13]);
    let code = code.bytes(&hex("488b9c2488000000")).call(CALLEE).bytes(&hex("660f1f440000"));
    code.bytes(&TEST_BX).bytes(&hex("0f84bd010000")).bytes(&RET)
}

#[test]
fn another_call_may_join_where_that_is_wanted() {
    let needs = Registers::of(&[Register::Ax, Register::Bx, Register::Cx]);
    let alone = Want::AfterCall { callee: CALLEE, which: Which::Only, needs, spilled: NONE };
    let joined = Want::AfterJoinedCall { callee: CALLEE, which: Which::Only, needs };
    let code = two_ways(&[]);
    // Where the kernel emulates long NOPs there is one that only the call itself passes.
    assert_eq!(code.find(&alone, &MODERN), Ok(vec![17]));
    assert_eq!(code.find(&alone, &OLD), Err(NoSite::OnlyStepped));
    assert_eq!(code.find(&joined, &OLD), Ok(vec![26]));
    // xor ecx,ecx behind the other call: not its result any more.
    assert_eq!(two_ways(&[0x31, 0xc9]).find(&joined, &OLD), Err(NoSite::OnlyStepped));
    // And a jump that does not come from a call.
    let other = Code::default().bytes(&hex("7409 90")).call(CALLEE).bytes(&TEST_BX).bytes(&JUMP);
    assert!(other.find(&joined, &OLD).is_err());
}

#[test]
fn a_jump_by_a_table_may_lead_behind_any_call() {
    let jump_table = [0xff, 0x24, 0xd0]; // jmp [rax+rdx*8]
    let code = Code::default().call(CALLEE).bytes(&TEST_BX).bytes(&JUMP).bytes(&jump_table);
    let needs = Registers::of(&ERROR);
    for want in [
        Want::AfterCall { callee: CALLEE, which: Which::Only, needs, spilled: NONE },
        Want::AfterJoinedCall { callee: CALLEE, which: Which::Only, needs },
        Want::OnError { callee: CALLEE, which: Which::Only, error: Register::Bx, needs },
    ] {
        assert_eq!(code.find(&want, &MODERN), Err(NoSite::JumpTable));
    }
    // At the entry nothing but the prologue is sure.
    let nop_in_body = [&NOP5[..], &jump_table].concat();
    let site = entry_site(&function(&nop_in_body, &[], &[]), &[], &MODERN).unwrap();
    assert_eq!(site.shape, Shape::StackCheck);
}

#[test]
fn an_error_leads_to_a_place_of_its_own() {
    let want = |needs: &[Register]| Want::OnError {
        callee: CALLEE,
        which: Which::Only,
        error: Register::Bx,
        needs: Registers::of(needs),
    };
    // test rbx,rbx; jne error; ret; error: mov [rsp+8],rcx; call other
    let taken = |test: &[u8], above: u8| {
        let code = Code::default().call(CALLEE).bytes(test).bytes(&[0x75, 0x01, above]);
        code.bytes(&hex("48894c2408")).call(OTHER)
    };
    assert_eq!(taken(&TEST_BX, 0xc3).find(&want(&ERROR), &OLD), Ok(vec![16]));
    // What lies above runs on into it; another register is asked; flags of another instruction; the error is lost.
    assert_eq!(taken(&TEST_BX, 0x90).find(&want(&ERROR), &OLD), Err(NoSite::Undecodable));
    assert_eq!(taken(&hex("4885c0"), 0xc3).find(&want(&ERROR), &OLD), Err(NoSite::Undecodable));
    assert_eq!(taken(&hex("4885db 48ffc2"), 0xc3).find(&want(&ERROR), &OLD), Err(NoSite::Undecodable));
    assert_eq!(taken(&hex("31c9 4885db"), 0xc3).find(&want(&ERROR), &OLD), Err(NoSite::OnlyStepped));
    // test rbx,rbx; je good; call other; good: ret
    let fallen = Code::default().call(CALLEE).bytes(&TEST_BX).bytes(&[0x74, 0x05]).call(OTHER).bytes(&RET);
    assert_eq!(fallen.find(&want(&ERROR), &OLD), Ok(vec![10]));
    let entered = Code(fallen.0.clone()).bytes(&[0xeb, 0xf8]); // jmp to that call
    assert_eq!(entered.find(&want(&ERROR), &OLD), Err(NoSite::Undecodable));
}

#[test]
fn a_false_leads_to_a_place_of_its_own() {
    let want = Want::OnFalse { callee: CALLEE, which: Which::Only };
    // gorilla/mux 1.8.1's Router.ServeHTTP by Go 1.27.4: test al,al; jne matched; nothing matched: jmp on
    let matched = hex("488b8c2410010000 488b5918");
    let code = Code::default().call(CALLEE).bytes(&hex("84c0 750e 31c0 488b8c2440010000 31d2 eb0c")).bytes(&matched);
    let code = code.bytes(&RET);
    assert_eq!(code.find(&want, &OLD), Ok(vec![21]));
    // test al,al; je unmatched; ret; unmatched: call other; and where what lies above runs on into it
    let taken = |above: u8| Code::default().call(CALLEE).bytes(&hex("84c0 7401")).bytes(&[above]).call(OTHER);
    assert_eq!(taken(0xc3).find(&want, &OLD), Ok(vec![10]));
    assert_eq!(taken(0x90).find(&want, &OLD), Err(NoSite::Undecodable));
    // A word is no bool.
    let word = Code::default().call(CALLEE).bytes(&hex("4885c0 7501 90 c3"));
    assert_eq!(word.find(&want, &OLD), Err(NoSite::Undecodable));
    let table = Code(code.0.clone()).bytes(&[0xff, 0x24, 0xd0]);
    assert_eq!(table.find(&want, &OLD), Err(NoSite::JumpTable));
}

/// `serveConn` of fasthttp 1.40.0 by Go 1.26.8, from `time.Now` on: a write barrier, then the handler, unless refused.
fn fasthttp() -> Code {
    let code = Code::default().call(OTHER).call(CALLEE);
    let code = code.bytes(&hex("488b942438010000 48898200050000 48899a08050000 833d585c420000"));
    let code = code.bytes(&hex("7413 4c8b9210050000")).call(BARRIER).bytes(&hex("49890b 4d895308 48898a10050000"));
    let code = code.bytes(&hex("440fb6542442 4584d2 741e 488b8c2460020000 488b11 488b0a 488b842438010000 ffd1"));
    code.bytes(&hex("440fb6542442 488b942438010000 488b9260050000 4885d2 7449"))
}

#[test]
fn the_call_before_a_handler_and_the_point_behind_it() {
    let code = fasthttp();
    let through = vec![BARRIER];
    let which = Which::BeforeIndirectCall { through: through.clone() };
    assert_eq!(code.find(&Want::AtCall { callee: CALLEE, which, within: vec![] }, &OLD), Ok(vec![5]));
    let barrier_counts = Which::BeforeIndirectCall { through: vec![] };
    let want = Want::AtCall { callee: CALLEE, which: barrier_counts, within: vec![] };
    assert_eq!(code.find(&want, &OLD), Err(NoSite::NoCall));
    let past = Want::PastIndirectCall { callee: CALLEE, through: through.clone() };
    let end = code.0.len() as u64 - 2;
    assert_eq!(code.find(&past, &OLD), Ok(vec![end]));
    let handler =
        crate::site::find_each(crate::Arch::Amd64, &Body { entry: ENTRY, code: &code.0 }, &past, &OLD, &|_| false);
    let handler = handler.unwrap()[0].at;
    let body = Body { entry: ENTRY, code: &code.0 };
    assert_eq!(argument_slot(&body, handler, Register::Ax), Some(0x138));
    assert_eq!(argument_slot(&body, handler, Register::Bx), None);
    // A jump from outside into the way, or from the way to elsewhere: it is not once for each call any more.
    let entered = Code(code.0.clone()).bytes(&RET).bytes(&[0xeb, 0xe8]);
    assert_eq!(entered.find(&past, &OLD), Err(NoSite::Undecodable));
    let mut left = code;
    let skip = left.0.windows(2).position(|pair| pair == [0x74, 0x1e]).unwrap();
    left.0[skip + 1] = 0x7f;
    assert_eq!(left.find(&past, &OLD), Err(NoSite::Undecodable));
}
