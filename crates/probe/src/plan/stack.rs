//! Rows whose programs look into the stack of the function that was hit: where to look goes with the attachment's cookie.

use super::PlannedSite;
use super::finder::{Finder, NoPlace};
use crate::table::Probe;
use trigon_gobin::Function;
use trigon_gobin::site::{self, NoSite, Policy, Register, Registers, Shape, Want, Which};

/// Where `COOKIE_SLOT` and `COOKIE_FRAME` of `bpf/hit.h` have their bytes.
const SLOT_SHIFT: u32 = 8;
const FRAME_SHIFT: u32 = 32;
/// What they have room for.
const ROOM: i32 = 1 << 24;

fn bits(function: &str, value: i32, shift: u32) -> Result<u64, NoPlace> {
    if !(0..ROOM).contains(&value) {
        return Err(NoPlace::loss(format!("{function}: its frame is too large")));
    }
    Ok(u64::from(value.unsigned_abs()) << shift)
}

impl<'d> Finder<'_, 'd> {
    /// The site, and in its cookie where the handler's argument lies on the stack.
    pub(super) fn before_handler(
        &self,
        probe: &'static Probe,
        function: &str,
        callee: &str,
    ) -> Result<Vec<PlannedSite>, NoPlace> {
        let no_site = |why: NoSite| NoPlace::loss(format!("{function}: {why}"));
        let (outer, callee_at) = self.caller(function, callee)?;
        let (arch, body) = (self.binary.arch(), self.body(outer));
        let past = Want::PastIndirectCall { callee: callee_at, through: self.barriers() };
        let handlers = self.find_each(outer, &past).map_err(no_site)?;
        let slot = match handlers.as_slice() {
            [handler] => site::argument_slot(arch, &body, handler.at, Register::Ax),
            _ => None,
        };
        let slot = bits(function, slot.ok_or_else(|| no_site(NoSite::NotSpilled))?, SLOT_SHIFT)?;
        let which = Which::BeforeIndirectCall { through: self.barriers() };
        let want = Want::AtCall { callee: callee_at, which, within: Vec::new() };
        let mut planned = self.planned(probe, outer, self.find(outer, &want).map_err(no_site)?)?;
        planned.iter_mut().for_each(|site| site.cookie |= slot);
        Ok(planned)
    }

    /// Behind the only call of a function that is given the address of a place on its caller's stack.
    pub(super) fn after_call_with_place(
        &self,
        probe: &'static Probe,
        (function, callee): (&str, &str),
        needs: &[Register],
        place: Register,
    ) -> Result<Vec<PlannedSite>, NoPlace> {
        let (outer, callee_at) = self.caller(function, callee)?;
        let loss = |why: String| NoPlace::loss(format!("{function}: {why}"));
        let (needs, spilled) = (Registers::of(needs), Registers::default());
        let want = Want::AfterCall { callee: callee_at, which: Which::Only, needs, spilled };
        let sites = self.find(outer, &want).map_err(|why| loss(why.to_string()))?;
        let call = Want::AtCall { callee: callee_at, which: Which::Only, within: Vec::new() };
        let call = self.find(outer, &call).map_err(|why| loss(why.to_string()))?;
        let address = |at: u64| {
            site::argument_address(self.binary.arch(), &self.body(outer), at, place)
                .ok_or_else(|| loss(format!("what {callee} is given is not seen to lie on the stack")))
        };
        let slot = call.first().map(|call| address(call.vaddr)).transpose()?.unwrap_or_default();
        let mut planned = self.planned(probe, outer, sites)?;
        for site in &mut planned {
            site.cookie |= bits(function, slot, SLOT_SHIFT)?;
        }
        Ok(planned)
    }

    /// The beginning of a function with arguments on the stack, where the stack pointer still is that of its entry.
    pub(super) fn before_frame(
        &self,
        probe: &'static Probe,
        function: &str,
        needs: &[Register],
    ) -> Result<Vec<PlannedSite>, NoPlace> {
        let Some(found) = self.function(function) else {
            return Err(NoPlace::nothing_to_see(format!("{function} is not linked")));
        };
        let loss = |why: String| NoPlace::loss(format!("{function}: {why}"));
        // A NOP further on would have another stack pointer.
        let policy = Policy { nop5_call: false, ..self.policy() };
        let want = Want::Entry { needs: Registers::of(needs) };
        let sites = self.find_by(found, &want, &policy).map_err(|why| loss(why.to_string()))?;
        if sites.iter().any(|site| !matches!(site.shape, Shape::StackCheck | Shape::Push)) {
            return Err(loss("it has no site before its frame is made".to_owned()));
        }
        self.planned(probe, found, sites)
    }

    /// Behind the only call of a function, with the place of a variable on its caller's stack. What is loaded from there
    /// for another call has been kept there during this one: the caller has no register that a call leaves as it was.
    pub(super) fn after_call_with_variable(
        &self,
        probe: &'static Probe,
        (function, callee): (&str, &str),
        passed_to: &str,
        argument: Register,
    ) -> Result<Vec<PlannedSite>, NoPlace> {
        let (outer, callee_at) = self.caller(function, callee)?;
        let (_, passed_to_at) = self.caller(function, passed_to)?;
        let loss = |why: String| NoPlace::loss(format!("{function}: {why}"));
        let (needs, spilled) = (Registers::default(), Registers::default());
        let want = Want::AfterCall { callee: callee_at, which: Which::Only, needs, spilled };
        let sites = self.find(outer, &want).map_err(|why| loss(why.to_string()))?;
        let call = Want::AtCall { callee: passed_to_at, which: Which::Only, within: Vec::new() };
        let call = self.find(outer, &call).map_err(|why| loss(why.to_string()))?;
        let slot = call
            .first()
            .and_then(|call| site::argument_slot(self.binary.arch(), &self.body(outer), call.vaddr, argument))
            .ok_or_else(|| loss(format!("what {passed_to} is given is not seen to come from the stack")))?;
        let slot = bits(function, slot, SLOT_SHIFT)?;
        let mut planned = self.planned(probe, outer, sites)?;
        planned.iter_mut().for_each(|site| site.cookie |= slot);
        Ok(planned)
    }

    /// Where a function that defers one other returns, with its result in its frame.
    pub(super) fn at_return(
        &self,
        probe: &'static Probe,
        function: &str,
        result: Register,
    ) -> Result<Vec<PlannedSite>, NoPlace> {
        let Some(outer) = self.function(function) else {
            return Err(NoPlace::nothing_to_see(format!("{function} is not linked")));
        };
        let loss = |why: String| NoPlace::loss(format!("{function}: {why}"));
        let deferreturn = self.deferreturn().ok_or_else(|| loss("runtime.deferreturn is not there".to_owned()))?;
        let slots = site::result_slots(self.binary.arch(), &self.body(outer), deferreturn);
        let slots = slots.map_err(|why| loss(why.to_string()))?;
        let slot = slots.displacements.get(result as usize).copied().flatten();
        let slot = slot.filter(|_| slots.direct);
        let slot = slot.ok_or_else(|| loss("its result is not in its frame when it returns".to_owned()))?;
        let deferred = self.only_deferred(outer)?;
        // A NOP further on would have another stack pointer.
        let policy = Policy { nop5_call: false, ..self.policy() };
        let want = Want::Entry { needs: Registers::default() };
        let sites = self.find_by(&deferred, &want, &policy).map_err(|why| loss(why.to_string()))?;
        if sites.iter().any(|site| !matches!(site.shape, Shape::StackCheck | Shape::Push)) {
            return Err(loss(format!("{} has no site before its frame is made", deferred.name)));
        }
        let mut planned = self.planned(probe, &deferred, sites)?;
        for site in &mut planned {
            site.cookie |= bits(function, slot, SLOT_SHIFT)? | bits(function, slots.frame, FRAME_SHIFT)?;
        }
        Ok(planned)
    }

    /// The closure that the compiler made of the only deferred call: `f.deferwrap1`, or `f.func1` before Go 1.22.
    fn only_deferred(&self, outer: &Function<'d>) -> Result<Function<'d>, NoPlace> {
        let mut closures = self.binary.functions_with_prefix(&format!("{}.", outer.name));
        match (closures.pop(), closures.is_empty()) {
            (Some(only), true) => Ok(only),
            _ => Err(NoPlace::loss(format!("{} has not one closure, which it defers", outer.name))),
        }
    }
}
