//! Events that stand in line: of those with equal keys only the first may be handed out, and the others wait until it has
//! ended. Separate from `progress`, which knows no keys and works without lines for a consumer that needs no order.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// A partition key as far as order needs it. Keys that happen to share one wait for each other without need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(u64);

impl Key {
    /// Of a record's key; a record without one stands in no line.
    pub(crate) fn of(key: Option<&String>) -> Option<Self> {
        let mut hasher = DefaultHasher::new();
        key?.hash(&mut hasher);
        Some(Self(hasher.finish()))
    }
}

/// The lines of one consumer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lines {
    /// The line in which each event stands.
    keys: HashMap<u64, Key>,
    lines: HashMap<Key, BTreeSet<u64>>,
    /// Read, and found to be behind another.
    parked: BTreeSet<u64>,
}

impl Lines {
    /// Puts the event into its line. Whether it is the first there.
    pub(crate) fn enter(&mut self, sequence: u64, key: Option<Key>) -> bool {
        let Some(key) = key else { return true };
        self.keys.insert(sequence, key);
        let line = self.lines.entry(key).or_default();
        line.insert(sequence);
        line.first() == Some(&sequence)
    }

    /// Whether nothing stands before the event.
    pub(crate) fn is_first(&self, sequence: u64) -> bool {
        let line = self.keys.get(&sequence).and_then(|key| self.lines.get(key));
        line.is_none_or(|line| line.first() == Some(&sequence))
    }

    /// Takes the event out. Gives the one that was parked behind it and is first now.
    pub(crate) fn leave(&mut self, sequence: u64) -> Option<u64> {
        self.parked.remove(&sequence);
        let key = self.keys.remove(&sequence)?;
        let line = self.lines.get_mut(&key)?;
        line.remove(&sequence);
        let Some(first) = line.first().copied() else {
            self.lines.remove(&key);
            return None;
        };
        self.parked.remove(&first).then_some(first)
    }

    /// Lets the event wait behind the first of its line.
    pub(crate) fn park(&mut self, sequence: u64) {
        self.parked.insert(sequence);
    }

    /// Events that wait behind others.
    pub(crate) fn parked(&self) -> &BTreeSet<u64> {
        &self.parked
    }

    /// The events of `first..until` that stand in a line, in no order.
    pub(crate) fn within(&self, first: u64, until: u64) -> impl Iterator<Item = u64> {
        self.keys.keys().copied().filter(move |sequence| (first..until).contains(sequence))
    }
}
