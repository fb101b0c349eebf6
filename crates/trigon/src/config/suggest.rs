//! Did you mean …?

/// Longer names are compared with none: no key is that long, and the time is the product of both lengths.
const MAX_NAME: usize = 64;

/// Letters from which on the beginning of a name stands for it.
const MIN_BEGINNING: usize = 3;

/// The name that was probably meant: the nearest one, if it is near, else the only one that begins so.
pub(super) fn nearest<'n>(given: &str, names: impl IntoIterator<Item = &'n str> + Clone) -> Option<&'n str> {
    let length = given.chars().count();
    if length > MAX_NAME {
        return None;
    }
    // A third of its letters may be wrong; a name of one or two letters is near to everything.
    let allowed = length.div_ceil(3).min(4);
    let near = names
        .clone()
        .into_iter()
        .map(|name| (distance(given, name), name))
        .filter(|(distance, _)| *distance <= allowed && *distance < length)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name);
    let mut beginning = names.into_iter().filter(|name| length >= MIN_BEGINNING && name.starts_with(given));
    near.or_else(|| beginning.next().filter(|_| beginning.next().is_none()))
}

/// Letters to insert, delete, change or swap with their neighbour (optimal string alignment), regardless of case.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().flat_map(char::to_lowercase).collect();
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], index: usize| row.get(index).copied().unwrap_or(usize::MAX / 2);
            let mut best = at(&above, j) + usize::from(x != y);
            best = best.min(at(&above, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        assert_eq!(distance("", ""), 0);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("slwo", "slow"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("Ratio", "ratio"), 0);
    }

    #[test]
    fn only_near_names() {
        let names = ["sampler", "ratio", "slow", "errors", "propagators"];
        assert_eq!(nearest("slwo", names), Some("slow"));
        assert_eq!(nearest("sample", names), Some("sampler"));
        assert_eq!(nearest("propagator", names), Some("propagators"));
        assert_eq!(nearest("prop", names), Some("propagators"));
        assert_eq!(nearest("abc", ["abc_defghij", "abc_klmnopq"]), None);
        assert_eq!(nearest("xyzzy", names), None);
        assert_eq!(nearest("", names), None);
        assert_eq!(nearest(&"r".repeat(10_000), names), None);
    }
}
