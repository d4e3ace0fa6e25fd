//! Which of many prefixes does a text begin with? Sorted, each with the longest other that it begins with itself, so that
//! the answer costs a binary search and a walk up the ones that do, however many do not.

use std::sync::Arc;

/// Prefixes, each with the rules that want it. With `backwards`, suffixes.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    /// Sorted by text.
    entries: Box<[Entry]>,
    backwards: bool,
}

#[derive(Debug)]
struct Entry {
    text: Arc<str>,
    /// The longest other entry that this one begins with.
    parent: Option<u32>,
    rules: Box<[u32]>,
}

impl Prefixes {
    /// From each prefix (or suffix) to its rules.
    pub(super) fn new(entries: impl IntoIterator<Item = (Arc<str>, Box<[u32]>)>, backwards: bool) -> Self {
        let mut entries: Vec<Entry> =
            entries.into_iter().map(|(text, rules)| Entry { text, parent: None, rules }).collect();
        entries.sort_by(|a, b| compare(&a.text, &b.text, backwards));
        let mut open: Vec<u32> = Vec::new();
        for at in 0..entries.len() {
            while open.last().is_some_and(|last| !begins(&entries[at].text, &entries[*last as usize].text, backwards)) {
                open.pop();
            }
            entries[at].parent = open.last().copied();
            open.push(at as u32);
        }
        Self { entries: entries.into(), backwards }
    }

    /// The rules of every entry that `text` begins with.
    pub(super) fn of<'a, 't>(&'a self, text: &'t str) -> impl Iterator<Item = &'a [u32]> + use<'a, 't> {
        // What the text begins with is not greater than the text, and whatever lies between begins with it too: so all
        // of it is among the last such entry and its parents.
        let not_greater = self.entries.partition_point(|entry| compare(&entry.text, text, self.backwards).is_le());
        let mut next = not_greater.checked_sub(1);
        std::iter::from_fn(move || {
            let entry = self.entries.get(next?)?;
            next = entry.parent.map(|parent| parent as usize);
            Some(entry)
        })
        .filter(|entry| begins(text, &entry.text, self.backwards))
        .map(|entry| &*entry.rules)
    }
}

fn compare(a: &str, b: &str, backwards: bool) -> std::cmp::Ordering {
    if backwards { a.bytes().rev().cmp(b.bytes().rev()) } else { a.cmp(b) }
}

fn begins(text: &str, with: &str, backwards: bool) -> bool {
    if backwards { text.ends_with(with) } else { text.starts_with(with) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn exactly_those_that_the_text_begins_with(
            texts in proptest::collection::btree_set("[ab]{0,4}", 0..12),
            text in "[ab]{0,6}",
            backwards: bool,
        ) {
            let texts: Vec<String> = texts.into_iter().collect();
            let entries = texts.iter().enumerate().map(|(at, text)| (text.as_str().into(), [at as u32].into()));
            let prefixes = Prefixes::new(entries, backwards);
            let mut found: Vec<u32> = prefixes.of(&text).flatten().copied().collect();
            found.sort_unstable();
            let expect: Vec<u32> =
                (0..texts.len() as u32).filter(|at| begins(&text, &texts[*at as usize], backwards)).collect();
            prop_assert_eq!(found, expect);
        }
    }
}
