//! Which processes are observed.

use globset::{Glob, GlobMatcher};

/// All given properties must match. An empty rule matches nothing.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    executable: Option<GlobMatcher>,
    service: Option<GlobMatcher>,
    cgroup: Option<GlobMatcher>,
    pid: Option<u32>,
}

/// A pattern that is none.
#[derive(Debug, thiserror::Error)]
#[error("{pattern:?} is not a valid glob: {reason}")]
pub struct RuleError {
    /// As given.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A process to be decided on.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'p> {
    /// Path of its executable.
    pub executable: &'p str,
    /// Its service name; `None`: not known yet, since its executable was not read.
    pub service: Option<&'p str>,
    /// Its cgroup path.
    pub cgroup: &'p str,
    /// Its id.
    pub pid: u32,
}

/// A process is observed if there is no include rule or one matches, and no exclude rule matches.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Rules of which one must match, if there are any.
    pub include: Vec<Rule>,
    /// Rules of which none may match.
    pub exclude: Vec<Rule>,
}

impl Rule {
    /// From its parts.
    ///
    /// # Errors
    /// A pattern is no glob.
    pub fn new(
        executable: Option<&str>,
        service: Option<&str>,
        cgroup: Option<&str>,
        pid: Option<u32>,
    ) -> Result<Self, RuleError> {
        Ok(Self { executable: glob(executable)?, service: glob(service)?, cgroup: glob(cgroup)?, pid })
    }

    /// `None`: that depends on the service, which is not known.
    fn matches(&self, candidate: &Candidate<'_>) -> Option<bool> {
        let says = |glob: &Option<GlobMatcher>, text: &str| glob.as_ref().map(|glob| glob.is_match(text));
        let answers = [
            says(&self.executable, candidate.executable),
            says(&self.cgroup, candidate.cgroup),
            self.pid.map(|pid| pid == candidate.pid),
            candidate.service.and_then(|service| says(&self.service, service)),
        ];
        if answers.contains(&Some(false)) {
            return Some(false);
        }
        let is_open = self.service.is_some() && candidate.service.is_none();
        (!is_open).then(|| answers.contains(&Some(true)))
    }
}

fn glob(pattern: Option<&str>) -> Result<Option<GlobMatcher>, RuleError> {
    let compile = |pattern: &str| {
        let wrong = |error: globset::Error| RuleError { pattern: pattern.to_owned(), reason: error.kind().to_string() };
        Glob::new(pattern).map(|glob| glob.compile_matcher()).map_err(wrong)
    };
    pattern.map(compile).transpose()
}

impl Selection {
    /// `None` if the process is observed, or may be by a service that is not known, else why not.
    pub fn refuses(&self, candidate: &Candidate<'_>) -> Option<&'static str> {
        if !self.include.is_empty() && self.include.iter().all(|rule| rule.matches(candidate) == Some(false)) {
            return Some("no include rule matches");
        }
        let excluded = self.exclude.iter().any(|rule| rule.matches(candidate) == Some(true));
        excluded.then_some("an exclude rule matches")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const FRONT: Candidate<'static> =
        Candidate { executable: "/srv/bin/front", service: Some("front"), cgroup: "/shop/front", pid: 7 };

    fn selection(include: Vec<Rule>, exclude: Vec<Rule>) -> Option<&'static str> {
        Selection { include, exclude }.refuses(&FRONT)
    }

    #[test]
    fn rules_combine() {
        let by_path = Rule::new(Some("/srv/**"), None, None, None).unwrap();
        let by_both = Rule::new(Some("/srv/**"), Some("pay*"), None, None).unwrap();
        let by_pid = Rule::new(None, None, None, Some(7)).unwrap();
        assert_eq!(selection(vec![], vec![]), None);
        assert_eq!(selection(vec![by_path.clone()], vec![]), None);
        assert!(selection(vec![by_both.clone()], vec![]).is_some());
        assert_eq!(selection(vec![by_both, by_pid.clone()], vec![]), None);
        assert!(selection(vec![by_path], vec![by_pid]).is_some());
        assert_eq!(selection(vec![], vec![Rule::default()]), None);
        assert!(Rule::new(Some("a["), None, None, None).is_err());
    }

    #[test]
    fn a_service_that_is_not_known_decides_nothing() {
        let unread = Candidate { service: None, ..FRONT };
        let by_service = Rule::new(None, Some("other"), None, None).unwrap();
        let by_both = Rule::new(Some("/srv/**"), Some("other"), None, None).unwrap();
        let elsewhere = Rule::new(Some("/opt/**"), Some("front"), None, None).unwrap();
        for rule in [&by_service, &by_both] {
            for (include, exclude) in [(vec![rule.clone()], vec![]), (vec![], vec![rule.clone()])] {
                assert_eq!(Selection { include, exclude }.refuses(&unread), None);
            }
            assert!(selection(vec![rule.clone()], vec![]).is_some());
        }
        // What else a rule asks for still decides.
        let include = vec![elsewhere.clone()];
        assert!(Selection { include, exclude: vec![] }.refuses(&unread).is_some());
        let exclude = vec![Rule::new(Some("/srv/**"), None, None, None).unwrap()];
        assert!(Selection { include: vec![], exclude }.refuses(&unread).is_some());
        assert_eq!(Selection { include: vec![], exclude: vec![elsewhere] }.refuses(&unread), None);
    }
}
