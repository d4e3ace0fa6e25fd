//! A set of sequences kept as ranges, so that a long run costs as much as one. Separate because it is plain arithmetic.

use std::collections::BTreeMap;

/// Disjoint ranges `first..until` that do not touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// How many ranges there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The ranges, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|(first, until)| (*first, *until))
    }

    /// Adds `first..until`, joined with what it overlaps or touches.
    pub(crate) fn insert(&mut self, first: u64, until: u64) {
        if first >= until {
            return;
        }
        let (mut first, mut until) = (first, until);
        while let Some((&other, &end)) = self.0.range(..=until).next_back() {
            if end < first {
                break;
            }
            self.0.remove(&other);
            first = first.min(other);
            until = until.max(end);
        }
        self.0.insert(first, until);
    }

    /// Whether the sequence is in the set.
    pub(crate) fn contains(&self, sequence: u64) -> bool {
        self.skip(sequence) != sequence
    }

    /// The first sequence at or after this one that is not in the set.
    pub(crate) fn skip(&self, sequence: u64) -> u64 {
        match self.0.range(..=sequence).next_back() {
            Some((_, &until)) if until > sequence => until,
            _ => sequence,
        }
    }

    /// How many sequences of `first..until` are in the set.
    pub(crate) fn count(&self, first: u64, until: u64) -> u64 {
        let from = self.0.range(..=first).next_back().map_or(first, |(start, _)| *start);
        self.0.range(from..until).map(|(start, end)| (*end).min(until).saturating_sub((*start).max(first))).sum()
    }

    /// Takes out the range that holds `floor`; the first sequence after it.
    pub(crate) fn take_from(&mut self, floor: u64) -> u64 {
        let risen = self.skip(floor);
        while let Some((&first, _)) = self.0.range(..risen).next() {
            self.0.remove(&first);
        }
        risen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(inserts: &[(u64, u64)], expect: &[(u64, u64)]) {
        let mut ranges = Ranges::default();
        for (first, until) in inserts {
            ranges.insert(*first, *until);
        }
        assert_eq!(ranges.iter().collect::<Vec<_>>(), expect, "{inserts:?}");
        for sequence in 0..12 {
            let inside = expect.iter().any(|(first, until)| (*first..*until).contains(&sequence));
            assert_eq!(ranges.contains(sequence), inside, "{sequence} in {expect:?}");
        }
        let members = |first, until| (first..until).filter(|sequence| ranges.contains(*sequence)).count();
        assert_eq!(ranges.count(2, 9), members(2, 9) as u64, "{expect:?}");
    }

    #[test]
    fn ranges_join_what_overlaps_or_touches() {
        check(&[], &[]);
        check(&[(3, 3)], &[]);
        check(&[(3, 4), (5, 6)], &[(3, 4), (5, 6)]);
        check(&[(3, 4), (5, 6), (4, 5)], &[(3, 6)]);
        check(&[(3, 4), (5, 6), (8, 10), (1, 9)], &[(1, 10)]);
        check(&[(1, 10), (3, 4)], &[(1, 10)]);
        check(&[(5, 7), (1, 5)], &[(1, 7)]);
    }

    #[test]
    fn the_floor_takes_what_it_reaches() {
        let mut ranges = Ranges::default();
        ranges.insert(3, 5);
        ranges.insert(7, 8);
        assert_eq!(ranges.take_from(2), 2);
        assert_eq!(ranges.take_from(3), 5);
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [(7, 8)]);
    }
}
