//! The sign of a goroutine leak: those created at one place become ever more.
//!
//! The rule: of the last nine snapshots, each third lies wholly above the third before it, and the lowest of the last third
//! is at least `min_growth` above the highest of the first. Numbers that rise and fall with the load break it unless one
//! rise lasts through all nine snapshots; so the caller takes them at intervals that are long against the load's changes,
//! for example a minute. It ends with the first snapshot that breaks the rule.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Snapshots that a judgement takes.
pub const SNAPSHOTS: usize = 9;
const THIRD: usize = SNAPSHOTS / 3;
/// Positions that are watched; programs have some hundred. Their histories take 200 KiB.
pub const MAX_SITES: usize = 1024;

/// How the numbers of goroutines by the place of their creation develop.
#[derive(Debug, Clone)]
pub struct CreationSites {
    min_growth: u64,
    sites: BTreeMap<u64, VecDeque<Point>>,
    unwatched: u64,
}

#[derive(Debug, Clone, Copy)]
struct Point {
    at: Duration,
    count: u64,
}

/// A place that creates ever more goroutines which do not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    /// Where they are created: the link-time address behind the `go` statement.
    pub site: u64,
    /// The number at the oldest snapshot.
    pub from: u64,
    /// The number at the latest.
    pub to: u64,
    /// The time between the two.
    pub over: Duration,
}

impl CreationSites {
    /// Judges growth from this number of goroutines on.
    pub fn new(min_growth: u64) -> Self {
        Self { min_growth, sites: BTreeMap::new(), unwatched: 0 }
    }

    /// Adds a snapshot: a time that never falls, and goroutines by place, as [`crate::goroutine::Dump::by_creation`] gives
    /// them.
    pub fn observe(&mut self, at: Duration, counts: &BTreeMap<u64, u64>) {
        for (site, history) in &mut self.sites {
            if history.len() >= SNAPSHOTS {
                history.pop_front();
            }
            history.push_back(Point { at, count: counts.get(site).copied().unwrap_or_default() });
        }
        self.sites.retain(|_, history| history.iter().any(|point| point.count > 0));
        // The largest are watched; of equal ones those that are already, so that their history lasts.
        let latest = |history: &VecDeque<Point>| history.back().map_or(0, |point| point.count);
        let mut ranks: Vec<_> = self.sites.iter().map(|(&site, history)| (latest(history), true, site)).collect();
        let new = counts.iter().filter(|(site, count)| **count > 0 && !self.sites.contains_key(site));
        ranks.extend(new.map(|(&site, &count)| (count, false, site)));
        ranks.sort_unstable_by(|a, b| b.cmp(a));
        let (watched, unwatched) = ranks.split_at(ranks.len().min(MAX_SITES));
        for (_, _, site) in unwatched {
            self.sites.remove(site);
        }
        for &(count, known, site) in watched {
            if !known {
                self.sites.insert(site, VecDeque::from([Point { at, count }]));
            }
        }
        self.unwatched = unwatched.iter().fold(0, |sum: u64, &(count, _, _)| sum.saturating_add(count));
    }

    /// Goroutines of the latest snapshot at places that are not watched, because there are too many.
    pub fn unwatched(&self) -> u64 {
        self.unwatched
    }

    /// The places that grow, the largest growth first.
    pub fn growing(&self) -> Vec<Growth> {
        let mut growing: Vec<_> = self.sites.iter().filter_map(|(&site, history)| self.judge(site, history)).collect();
        growing.sort_by_key(|growth| std::cmp::Reverse(growth.to.saturating_sub(growth.from)));
        growing
    }

    fn judge(&self, site: u64, history: &VecDeque<Point>) -> Option<Growth> {
        if history.len() < SNAPSHOTS {
            return None;
        }
        let third = |index: usize| history.iter().skip(index * THIRD).take(THIRD).map(|point| point.count);
        let rises = |lower: usize| third(lower + 1).min() > third(lower).max();
        let growth = third(2).min()?.saturating_sub(third(0).max()?);
        if !rises(0) || !rises(1) || growth < self.min_growth {
            return None;
        }
        let (first, last) = (history.front()?, history.back()?);
        Some(Growth { site, from: first.count, to: last.count, over: last.at.saturating_sub(first.at) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn after(histories: &[(u64, &[u64])]) -> CreationSites {
        let mut sites = CreationSites::new(10);
        let len = histories.iter().map(|(_, history)| history.len()).max().unwrap_or_default();
        for index in 0..len {
            let counts = histories.iter().map(|(site, history)| (*site, history[index])).collect();
            sites.observe(Duration::from_secs(60 * index as u64), &counts);
        }
        sites
    }

    #[test]
    fn only_what_grows_all_the_time_is_a_sign() {
        let leak = [1, 3, 2, 8, 7, 9, 12, 20, 14];
        let sites = after(&[
            (1, &leak),
            (2, &[100, 900, 100, 900, 100, 900, 100, 900, 100]),
            (3, &[5000; 9]),
            (4, &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
            (5, &[900, 800, 700, 600, 500, 400, 300, 200, 100]),
        ]);
        let growth = Growth { site: 1, from: 1, to: 14, over: Duration::from_secs(480) };
        assert_eq!(after(&[(1, &leak)]).growing(), []);
        assert_eq!(sites.growing(), []);
        let leak: Vec<u64> = leak.iter().map(|count| count * 2).collect();
        assert_eq!(after(&[(1, &leak)]).growing(), [Growth { from: 2, to: 28, ..growth }]);
    }

    #[test]
    fn a_sign_ends_when_the_growth_ends() {
        let mut sites = after(&[(1, &[0, 10, 20, 30, 40, 50, 60, 70, 80, 90])]);
        assert_eq!(sites.growing().len(), 1);
        sites.observe(Duration::from_secs(1000), &BTreeMap::from([(1, 5)]));
        assert_eq!(sites.growing(), []);
    }

    #[test]
    fn a_site_is_judged_only_by_what_was_seen_of_it() {
        let mut sites = CreationSites::new(10);
        for index in 0..SNAPSHOTS as u64 {
            assert_eq!(sites.growing(), []);
            sites.observe(Duration::from_secs(index), &BTreeMap::from([(7, 10 * (index + 1))]));
        }
        assert_eq!(sites.growing().len(), 1);
    }

    #[test]
    fn large_sites_take_the_place_of_small_ones() {
        let mut sites = CreationSites::new(10);
        let small: BTreeMap<u64, u64> = (0..2 * MAX_SITES as u64).map(|site| (site, 1 + site % 2)).collect();
        for index in 0..20 {
            let mut counts = small.clone();
            counts.insert(1 << 40, 100 + 50 * index);
            sites.observe(Duration::from_secs(index), &counts);
            assert_eq!(sites.sites.len(), MAX_SITES);
        }
        assert_eq!(sites.growing().iter().map(|growth| growth.site).collect::<Vec<_>>(), [1 << 40]);
        let all: u64 = small.values().sum();
        let watched: u64 =
            small.iter().filter(|(site, _)| sites.sites.contains_key(site)).map(|(_, count)| count).sum();
        assert_eq!(sites.unwatched(), all - watched);
    }

    proptest! {
        #[test]
        fn memory_is_bounded_and_steady_numbers_are_no_sign(
            snapshots in prop::collection::vec(prop::collection::btree_map(0..3000_u64, 0..5_u64, 0..200), 0..30),
            steady in 1..1000_u64,
        ) {
            let mut sites = CreationSites::new(1);
            for (index, mut counts) in snapshots.into_iter().enumerate() {
                counts.insert(1 << 40, steady);
                sites.observe(Duration::from_secs(index as u64), &counts);
                prop_assert!(sites.sites.len() <= MAX_SITES);
                prop_assert!(sites.sites.values().all(|history| (1..=SNAPSHOTS).contains(&history.len())));
                prop_assert!(sites.growing().iter().all(|growth| growth.site != 1 << 40 && growth.to > growth.from));
            }
        }
    }
}
