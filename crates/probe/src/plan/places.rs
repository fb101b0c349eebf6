//! Rows that have several places: in some functions, or in closures of them, of which a program links those that it uses.

use super::PlannedSite;
use super::finder::{Finder, NoPlace};
use crate::table::{CallPlace, Probe, When, Within};
use trigon_gobin::site::{NoSite, Register, Registers, Want, Which};
use trigon_gobin::{BuildInfo, Function};

impl<'d> Finder<'_, 'd> {
    /// The beginnings of those functions that are linked.
    pub(super) fn entries(
        &self,
        probe: &'static Probe,
        functions: &[&'static str],
        needs: &[Register],
    ) -> Result<Vec<PlannedSite>, NoPlace> {
        let mut planned = Vec::new();
        for function in functions.iter().filter_map(|name| self.function(name)) {
            let want = Want::Entry { needs: Registers::of(needs) };
            let sites = self.find(function, &want).map_err(|why| NoPlace::loss(format!("{}: {why}", function.name)))?;
            planned.extend(self.planned(probe, function, sites)?);
        }
        if planned.is_empty() {
            return Err(NoPlace::nothing_to_see(format!("{} is not linked", functions.join(" or "))));
        }
        Ok(planned)
    }

    /// Behind calls, in all places that are linked.
    pub(super) fn after_calls(
        &self,
        probe: &'static Probe,
        places: &[CallPlace],
        needs: &[Register],
    ) -> Result<Vec<PlannedSite>, NoPlace> {
        let mut planned = Vec::new();
        for place in places {
            let callees: Vec<_> = place.callees.iter().filter_map(|name| self.function(name)).collect();
            if callees.is_empty() && !place.callees.is_empty() {
                continue;
            }
            let within = self.within(place.within);
            if within.is_empty() {
                continue;
            }
            let found = self.behind(probe, &within, &callees, Registers::of(needs))?;
            if found.is_empty() {
                let callees =
                    if place.callees.is_empty() { "through a pointer".to_owned() } else { place.callees.join(" or ") };
                return Err(NoPlace::loss(format!("{} does not call {callees}", place.within)));
            }
            planned.extend(found);
        }
        if planned.is_empty() {
            let names: Vec<_> = places.iter().map(|place| place.within.to_string()).collect();
            return Err(NoPlace::nothing_to_see(format!("{} is not linked", names.join(" or "))));
        }
        Ok(planned)
    }

    /// A function, or all closures of it and of functions that were inlined into it. A closure's number may change with
    /// every release.
    fn within(&self, within: Within) -> Vec<Function<'d>> {
        match within {
            Within::Function(name) => self.function(name).cloned().into_iter().collect(),
            Within::ClosureOf(name) => self.binary.functions_with_prefix(&format!("{name}.")),
        }
    }

    fn behind(
        &self,
        probe: &'static Probe,
        within: &[Function<'d>],
        callees: &[&Function<'d>],
        needs: Registers,
    ) -> Result<Vec<PlannedSite>, NoPlace> {
        let spilled = Registers::default();
        let wants: Vec<_> = if callees.is_empty() {
            vec![Want::AfterIndirectCall { which: Which::Only, needs }]
        } else {
            callees
                .iter()
                .map(|callee| Want::AfterCall { callee: callee.entry, which: Which::All, needs, spilled })
                .collect()
        };
        let mut planned = Vec::new();
        for function in within {
            for want in &wants {
                match self.find(function, want) {
                    Ok(sites) => planned.extend(self.planned(probe, function, sites)?),
                    Err(NoSite::NoCall) => {}
                    Err(why) => return Err(NoPlace::loss(format!("{}: {why}", function.name))),
                }
            }
        }
        Ok(planned)
    }
}

/// Why a row is not for this program, by the release of Go or of a module that it is for; nothing if it is.
pub(super) fn unfit(when: When, info: &BuildInfo) -> Option<NoPlace> {
    match when {
        When::Minors(first, last) => {
            let version = info.go_version.as_ref().filter(|version| version.major == 1);
            let fits = version.is_some_and(|version| (first..=last).contains(&version.minor));
            (!fits).then(|| NoPlace::nothing_to_see(format!("{} has other code", info.go_version_raw)))
        }
        When::Module { path, major, first, last } => {
            unfit_module(path, info, minor, |version| version.0 == major && (first..=last).contains(&version.1))
        }
        When::Releases { path, major, first, last } => unfit_module(path, info, release, |version| {
            version.0 == major && (first..=last).contains(&(version.1, version.2))
        }),
        When::Always | When::Together | When::Apart | When::Copies => None,
    }
}

/// Why a row is not for the version of this module that the program links; nothing if it is.
fn unfit_module<V>(
    path: &str,
    info: &BuildInfo,
    read: impl Fn(&str) -> Option<V>,
    fits: impl Fn(V) -> bool,
) -> Option<NoPlace> {
    let Some(module) = info.deps.iter().find(|module| module.path == path) else {
        return Some(NoPlace::nothing_to_see(format!("{path} is not linked")));
    };
    let Some(version) = read(&module.version) else {
        return Some(NoPlace::loss(format!("{path} {} is no release that was checked", module.version)));
    };
    (!fits(version)).then(|| NoPlace::nothing_to_see(format!("{path} {} has other code", module.version)))
}

/// Major and minor of `v9.14.1` or `v9.18.0-beta.1`.
fn minor(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.strip_prefix('v')?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Major, minor and patch of `v5.0.8`; of nothing between releases, such as `v5.0.8-rc.1`.
fn release(version: &str) -> Option<(u64, u64, u64)> {
    let (major, minor) = minor(version)?;
    let patch = version.splitn(3, '.').nth(2)?;
    Some((major, minor, patch.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_modules() {
        assert_eq!(minor("v9.14.1"), Some((9, 14)));
        assert_eq!(minor("v9.18.0-beta.1"), Some((9, 18)));
        assert_eq!(minor("(devel)"), None);
        assert_eq!(minor("v9"), None);
        assert_eq!(release("v5.0.12"), Some((5, 0, 12)));
        assert_eq!(release("v5.0.8-0.20240101000000-abcdefabcdef"), None);
        assert_eq!(release("v5.0"), None);
    }
}
