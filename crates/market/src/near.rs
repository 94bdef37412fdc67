//! The names that a mistyped word may have meant.

/// A longer word is nobody's typing error.
const NEAR_BYTES_MAX: usize = 64;

/// The `most` names that a word is nearest to, the nearest first; upper and lower case are the
/// same. None of those that have too little in common with it.
///
/// ```
/// let names = ["itch.stock", "itch.shares", "iex.symbol"];
/// assert_eq!(tickwire_market::near("ITCH.stok", names, 1), ["itch.stock"]);
/// ```
pub fn near<S: AsRef<str> + Ord>(
    word: &str,
    names: impl IntoIterator<Item = S>,
    most: usize,
) -> Vec<S> {
    if word.len() > NEAR_BYTES_MAX {
        return Vec::new();
    }
    let word = word.to_ascii_lowercase();
    let all =
        names.into_iter().map(|name| (distance(&word, &name.as_ref().to_ascii_lowercase()), name));
    let mut near: Vec<_> = all.filter(|(far, _)| *far <= 2.max(word.len() / 3)).collect();
    near.sort_unstable();
    near.truncate(most);
    near.into_iter().map(|(_, name)| name).collect()
}

/// How many characters to insert, delete or replace (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, a) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (to, b) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[to + 1];
            row[to + 1] = replaced.min(diagonal + 1).min(row[to] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_come_first_whatever_their_case() {
        let names = || ["AAPL", "AAPB", "MSFT", "aapl"].map(str::to_owned);
        assert_eq!(near("aapl", names(), 2), ["AAPL", "aapl"]);
        assert_eq!(near("AAP", names(), 9), ["AAPB", "AAPL", "aapl"]);
        assert!(near("NOPE.PR.A", names(), 9).is_empty());
        assert!(near(&"A".repeat(65), [("A").repeat(65)], 1).is_empty());
    }
}
