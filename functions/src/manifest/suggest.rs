//! "Did you mean …?": the nearest of a few known words.

/// Words longer than this get no suggestion: the comparison is quadratic, and nobody mistypes a word this long.
const LONGEST_WORD: usize = 64;

/// The known word nearest to `word`, if it is near enough to be what was meant: at most a third of its letters wrong.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST_WORD {
        return None;
    }
    let ranked = known.into_iter().map(|candidate| (distance(word, candidate), candidate));
    let (mistakes, best) = ranked.min_by_key(|(mistakes, _)| *mistakes)?;
    (mistakes <= 1.max(best.chars().count() / 3)).then_some(best)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other, case ignored
/// (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let letters = |word: &str| word.chars().flat_map(char::to_lowercase).collect::<Vec<_>>();
    let (left, right) = (letters(left), letters(right));
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let replaced = above[j] + usize::from(a != b);
            let mut best = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions() {
        fn check(word: &str, expect: Option<&str>) {
            let known = ["module", "env", "allowHosts", "scale", "limits"];
            assert_eq!(nearest(word, known), expect, "{word}");
        }
        check("moduel", Some("module"));
        check("Module", Some("module"));
        check("allow_hosts", Some("allowHosts"));
        check("allowhost", Some("allowHosts"));
        check("limit", Some("limits"));
        check("environment", None);
        check("x", None);
        check("", None);
    }
}
