//! What an append answers: a sequence, and how safe the record behind it is. It is separate because the fields are
//! private to this crate: `Durable` cannot be made anywhere else, so a caller that shows one has waited for the disk.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// The place of a record in its topic, an entry in its journal. Starts at 1, grows by one, is never used again.
/// The text form is plain decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(u64);

impl Sequence {
    /// The first sequence of every topic.
    pub const FIRST: Self = Self(1);

    /// The sequence with this number; 0 stands for "before the first".
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The sequence that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Sequence {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// A value whose records survive the loss of power: made only after `fdatasync` of the file that holds them returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Durable<T>(T);

impl<T> Durable<T> {
    /// Only for use after the sync (or, in memory, when there is nothing to sync).
    pub(crate) const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value.
    pub const fn get(&self) -> &T {
        &self.0
    }
}

/// A value whose records survive the end of this process, but perhaps not a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relaxed<T>(T);

impl<T> Relaxed<T> {
    /// Only for use after the write.
    pub(crate) const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value.
    pub const fn get(&self) -> &T {
        &self.0
    }
}

/// How an accepted record is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// On stable storage.
    Durable(Durable<Sequence>),
    /// Written, not yet synced: the topic asked for `Durability::Relaxed`.
    Relaxed(Relaxed<Sequence>),
}

impl Accepted {
    /// The record's place.
    pub const fn sequence(&self) -> Sequence {
        match self {
            Self::Durable(durable) => *durable.get(),
            Self::Relaxed(relaxed) => *relaxed.get(),
        }
    }

    /// Whether the record is on stable storage.
    pub const fn is_durable(&self) -> bool {
        matches!(self, Self::Durable(_))
    }
}

/// The answer to one record of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Where the record is, and how safe. For a duplicate: where the first one is.
    pub accepted: Accepted,
    /// The dedupe id was already there with the same digest; nothing was appended.
    pub duplicate: bool,
}
