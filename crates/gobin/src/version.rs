//! Versions of the Go toolchain.

use std::fmt;

/// A released version, or one of its candidates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GoVersion {
    /// 1.
    pub major: u16,
    /// E.g. 26.
    pub minor: u16,
    /// E.g. 8; 0 for the first release of a minor.
    pub patch: u16,
    /// `rc1`, `beta2`: not a release yet.
    pub pre: Option<String>,
}

impl GoVersion {
    /// From `go1.26.8`, `go1.27rc1`, `go1.25.5 X:nocoverageredesign`, `go1.24.3-vendor`. Development versions give `None`.
    pub fn parse(text: &str) -> Option<Self> {
        let release = text.strip_prefix("go")?;
        let release = release.split([' ', '-', '+']).next()?;
        let mut parts = release.splitn(3, '.');
        let major = parts.next()?.parse().ok()?;
        let second = parts.next()?;
        let digits = second.find(|c: char| !c.is_ascii_digit()).unwrap_or(second.len());
        let (minor, pre) = second.split_at(digits);
        let patch = parts.next().map_or(Some(0), |patch| patch.parse().ok())?;
        Some(Self { major, minor: minor.parse().ok()?, patch, pre: (!pre.is_empty()).then(|| pre.to_owned()) })
    }

    /// Major and minor number.
    pub fn language(&self) -> (u16, u16) {
        (self.major, self.minor)
    }
}

impl fmt::Display for GoVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "go{}.{}", self.major, self.minor)?;
        match &self.pre {
            Some(pre) => f.write_str(pre),
            None => write!(f, ".{}", self.patch),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn parses_releases_and_refuses_the_rest() {
        let parsed = |text| GoVersion::parse(text).map(|version| version.to_string());
        assert_eq!(parsed("go1.26.8").unwrap(), "go1.26.8");
        assert_eq!(parsed("go1.21").unwrap(), "go1.21.0");
        assert_eq!(parsed("go1.27rc1").unwrap(), "go1.27rc1");
        assert_eq!(parsed("go1.25.5 X:nodwarf5").unwrap(), "go1.25.5");
        assert_eq!(parsed("go1.24.3-custom").unwrap(), "go1.24.3");
        assert_eq!(parsed("devel go1.28-abcdef"), None);
        assert_eq!(parsed("go"), None);
        assert!(GoVersion::parse("go1.9") < GoVersion::parse("go1.21.3"));
    }
}
