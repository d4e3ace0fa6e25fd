//! What a consumer is handed and what it says in return. Separate from the traits because these are plain values that
//! the delivery code passes around.

use std::ops::Add;

use crate::accepted::Sequence;
use crate::error::LogError;
use crate::record::Record;

/// Where a new consumer begins. Counts only at creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// After everything the topic holds now.
    End,
    /// At the oldest record the topic still keeps.
    Beginning,
    /// At this sequence; clamped to what the topic keeps and to its end.
    At(Sequence),
}

/// How an event ended for one consumer. Each accepted event gets exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Terminal {
    /// The target took it.
    Delivered,
    /// The consumer's filter left it out.
    Filtered,
    /// Policy refused it.
    Denied,
    /// Too old, or dropped by retention before it could be delivered.
    Expired,
    /// Given up after its retries.
    Dead,
    /// Pending when the consumer was deleted.
    Cancelled,
}

impl Terminal {
    /// Every state, in the order of their numbers on disk (from 1).
    pub const ALL: [Self; 6] =
        [Self::Delivered, Self::Filtered, Self::Denied, Self::Expired, Self::Dead, Self::Cancelled];

    /// The name metrics and people use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Filtered => "filtered",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }

    /// The number on disk.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Delivered => 1,
            Self::Filtered => 2,
            Self::Denied => 3,
            Self::Expired => 4,
            Self::Dead => 5,
            Self::Cancelled => 6,
        }
    }

    /// The state with this number on disk.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.code() == code)
    }
}

/// An event handed out for one attempt. Held until it is settled or released, or the consumer is dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The event.
    pub record: Record,
    /// Which attempt this is, from 1. Attempts that were released, cut short by a kill, or put aside uncounted do not
    /// count.
    pub attempt: u32,
    /// When the event was accepted, Unix milliseconds (the record's `admitted_ms`).
    pub accepted_ms: u64,
    /// When it was put aside first, Unix milliseconds; `None` before.
    pub first_failure_ms: Option<u64>,
    /// The cause of the last failed attempt; empty on the first.
    pub last_cause: Vec<(String, String)>,
}

/// What became of a leased event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Ended without anything to keep: `Delivered` or `Filtered`. Buffered for up to 5 ms: a kill within that time
    /// makes the event be handed out again.
    Done(Terminal),
    /// Ended, and kept in the dead log: `Dead`, `Denied` or `Expired`. Durable before `settle` returns.
    Dead {
        /// How it ended.
        state: Terminal,
        /// Why, for whoever reads the dead log.
        cause: Vec<(String, String)>,
    },
    /// To be handed out again. Durable before `settle` returns.
    Retry {
        /// When, Unix milliseconds; at most [`MAX_RETRY_DELAY`](crate::MAX_RETRY_DELAY) from now.
        due_ms: u64,
        /// Why this attempt failed, or was none.
        cause: Vec<(String, String)>,
        /// Whether this was an attempt. If not, the event comes back under the same number.
        counted: bool,
    },
}

/// One consistent view of a consumer. At all times
/// `accepted == delivered + filtered + denied + expired + dead + cancelled + pending`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Events of the topic since the consumer's start.
    pub accepted: u64,
    /// Ended as [`Terminal::Delivered`].
    pub delivered: u64,
    /// Ended as [`Terminal::Filtered`].
    pub filtered: u64,
    /// Ended as [`Terminal::Denied`].
    pub denied: u64,
    /// Ended as [`Terminal::Expired`].
    pub expired: u64,
    /// Ended as [`Terminal::Dead`].
    pub dead: u64,
    /// Ended as [`Terminal::Cancelled`].
    pub cancelled: u64,
    /// Not ended yet: waiting, on lease, or waiting for a retry.
    pub pending: u64,
}

impl Counters {
    /// How many ended in `state`.
    pub const fn of(&self, state: Terminal) -> u64 {
        match state {
            Terminal::Delivered => self.delivered,
            Terminal::Filtered => self.filtered,
            Terminal::Denied => self.denied,
            Terminal::Expired => self.expired,
            Terminal::Dead => self.dead,
            Terminal::Cancelled => self.cancelled,
        }
    }

    /// How many ended at all.
    pub fn ended(&self) -> u64 {
        Terminal::ALL.into_iter().map(|state| self.of(state)).sum()
    }

    /// Counts `events` more as ended in `state`.
    pub(crate) fn count(&mut self, state: Terminal, events: u64) {
        let count = match state {
            Terminal::Delivered => &mut self.delivered,
            Terminal::Filtered => &mut self.filtered,
            Terminal::Denied => &mut self.denied,
            Terminal::Expired => &mut self.expired,
            Terminal::Dead => &mut self.dead,
            Terminal::Cancelled => &mut self.cancelled,
        };
        *count += events;
    }
}

/// The accounts of two consumers as one.
impl Add for Counters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            accepted: self.accepted + other.accepted,
            delivered: self.delivered + other.delivered,
            filtered: self.filtered + other.filtered,
            denied: self.denied + other.denied,
            expired: self.expired + other.expired,
            dead: self.dead + other.dead,
            cancelled: self.cancelled + other.cancelled,
            pending: self.pending + other.pending,
        }
    }
}

/// Where one event stands for one consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventState {
    /// Not handed out yet, or given back.
    Waiting,
    /// Handed out.
    Leased,
    /// Waiting for its next attempt.
    Retrying {
        /// The number of the attempt to come.
        attempt: u32,
        /// When it is due, Unix milliseconds.
        due_ms: u64,
    },
    /// Ended; the counters and the dead log say how.
    Ended,
}

/// A failed event that has an attempt to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryRecord {
    /// The number of the attempt to come.
    pub attempt: u32,
    /// When it is due, Unix milliseconds.
    pub due_ms: u64,
    /// When the first attempt failed, Unix milliseconds.
    pub first_failure_ms: u64,
    /// Why the last one did.
    pub cause: Vec<(String, String)>,
}

/// An entry of a consumer's dead log: what ended as `Dead`, `Denied` or `Expired`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadRecord {
    /// Its place in the dead log, to go on from.
    pub number: u64,
    /// How it ended.
    pub state: Terminal,
    /// Attempts made.
    pub attempts: u32,
    /// Why.
    pub cause: Vec<(String, String)>,
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// What.
    pub what: DeadEvents,
}

/// The events of one entry of the dead log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadEvents {
    /// One event, kept whole.
    One(Record),
    /// Events that are gone: dropped by retention or damaged on disk before they could be delivered.
    Range {
        /// The first.
        first: Sequence,
        /// The last, inclusive.
        last: Sequence,
    },
}

/// Whether the state fits the settlement.
pub(crate) fn check_settlement(settlement: &Settlement) -> Result<(), LogError> {
    let (fits, state, kind) = match settlement {
        Settlement::Done(state) => (matches!(state, Terminal::Delivered | Terminal::Filtered), state, "Done"),
        Settlement::Dead { state, .. } => {
            (matches!(state, Terminal::Dead | Terminal::Denied | Terminal::Expired), state, "Dead")
        }
        Settlement::Retry { .. } => return Ok(()),
    };
    if fits {
        return Ok(());
    }
    Err(LogError::Invalid(format!("an event cannot be settled as {kind} with the state {}", state.name())))
}
