//! Which names are taken on a page.
//!
//! Text and protobuf know a counter by the name of its sample. OpenMetrics calls its family by what stands before `_total`,
//! and so takes two names more, which another family may need: client_golang has both a gauge `go_memstats_alloc_bytes`
//! and a counter `go_memstats_alloc_bytes_total`. There such a counter is a family of unknown type by its sample's name.

use super::series::{Family, Kind};
use std::collections::HashMap;

/// Names by who has them.
#[derive(Default)]
pub(crate) struct Claims(HashMap<String, Claim>);

enum Claim {
    /// Of samples.
    Firm,
    /// Needed by the counter at this place in OpenMetrics alone.
    Loose(usize),
}

/// What claiming came to.
pub(crate) enum Claimed {
    /// A sample's name is another's.
    Refused,
    /// The names are the family's, except that these counters, perhaps itself among them, cannot be counters in OpenMetrics.
    Granted(Vec<usize>),
}

impl Claims {
    /// Claims what the family needs that will stand at a place. Those without any series keep their names: what is shown
    /// must not change from page to page.
    pub(crate) fn claim(&mut self, family: &Family<'_>, place: usize) -> Claimed {
        let name = family.name.as_str();
        let after: &[&str] = match family.kind {
            Kind::Counter | Kind::Gauge => &[""],
            Kind::Histogram => &["", "_bucket", "_sum", "_count", "_created"],
            Kind::Summary => &["", "_sum", "_count", "_created"],
            Kind::Info => &["", "_info"],
        };
        let stem = if family.kind == Kind::Info { family.open_metrics_name() } else { name };
        let firm: Vec<String> = after.iter().map(|after| format!("{stem}{after}")).collect();
        if firm.iter().any(|name| matches!(self.0.get(name), Some(Claim::Firm))) {
            return Claimed::Refused;
        }
        let mut without = Vec::new();
        for name in firm {
            if let Some(Claim::Loose(counter)) = self.0.insert(name, Claim::Firm) {
                without.push(counter);
            }
        }
        if family.kind == Kind::Counter {
            let loose = name.strip_suffix("_total").map(|base| [base.to_owned(), format!("{base}_created")]);
            match loose {
                Some(loose) if loose.iter().all(|name| !self.0.contains_key(name)) => {
                    self.0.extend(loose.map(|name| (name, Claim::Loose(place))));
                }
                _ => without.push(place),
            }
        }
        Claimed::Granted(without)
    }
}
