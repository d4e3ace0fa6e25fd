//! What a topic promises, chosen by whoever opens it, and the limits every engine keeps. Separate so that all numbers
//! stand in one place; the README's table repeats them.

use std::time::Duration;

/// Records in one append. Design section 2 accepts 1,000 events in one publish; replies and envelopes need a few more.
pub const MAX_BATCH_RECORDS: usize = 1_024;
/// Bytes of one record. An event has at most 1 MiB; its envelope and headers may double that.
pub const MAX_RECORD_BYTES: usize = 2 << 20;
/// Bytes of one append. One frame holds it, and recovery reads a frame at once.
pub const MAX_BATCH_BYTES: usize = 8 << 20;
/// Headers of one record, twice what an HTTP request may carry.
pub const MAX_HEADERS: usize = 256;
/// Bytes of an id, a key, a subject, a header's name: the width of the length on disk.
pub const MAX_TEXT_BYTES: usize = u16::MAX as usize;
/// Bytes of a topic, consumer or journal name: its escaped form must fit a file name of 255 bytes.
pub const MAX_NAME_BYTES: usize = 160;
/// Ids a topic remembers for its duplicate check: two minutes (the default window) at 2,000 events per second.
/// Beyond it the oldest are forgotten before the window ends. About 25 MiB at worst.
pub const MAX_DEDUPE_IDS: usize = 262_144;
/// Appends that wait for the committer of one topic; beyond it an append is refused as busy.
pub const MAX_QUEUED_APPENDS: usize = 4_096;
/// Bytes that wait for the committer of one topic; beyond it an append is refused as busy.
pub const MAX_QUEUED_BYTES: usize = 32 << 20;
/// Events of one consumer that are settled above its floor, on lease or waiting for a retry, each counted on its own
/// (design section 3). At the limit nothing new is leased until the oldest are settled.
pub const MAX_OUTSTANDING: usize = 65_536;
/// The longest delay of a retry; a later due time is taken as this far away. A day is the default age limit of events,
/// and a clock that was wrong when a due time was written must not park an event for ever.
pub const MAX_RETRY_DELAY: Duration = Duration::from_secs(24 * 3_600);
/// Settlements of one consumer that wait to be written; what a kill can undo, and so redeliver.
pub const MAX_BUFFERED_SETTLEMENTS: usize = 64;
/// How long a settlement waits to be written.
pub const SETTLEMENT_DELAY: Duration = Duration::from_millis(5);
/// Bytes of one journal entry or checkpoint: all resources of a mesh fit many times.
pub const MAX_JOURNAL_ENTRY_BYTES: usize = MAX_BATCH_BYTES;

/// When an append is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// After `fdatasync`.
    #[default]
    Strict,
    /// After the write; synced within a second, at a roll and at close.
    Relaxed,
}

/// What happens to an append when the topic has reached its size and a consumer still needs the oldest segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// The append is refused with [`AppendError::Full`](crate::AppendError::Full).
    #[default]
    Refuse,
    /// The oldest segment goes; its undelivered events become `expired` in each consumer.
    DropOldest,
}

/// What a topic promises. Applied anew at each open; not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicConfig {
    /// Default strict.
    pub durability: Durability,
    /// A segment whose newest record is older goes, delivered or not. Default 7 days.
    pub retention_age: Duration,
    /// Size at which the oldest segments go. Default 1 GiB. The active segment never goes.
    pub retention_bytes: u64,
    /// Default refuse.
    pub full: WhenFull,
    /// How long an id is remembered. Default 2 minutes; zero switches the check off.
    pub dedupe_window: Duration,
    /// Size at which a segment is closed and the next begun. Default 64 MiB, at least 16 KiB, at most 256 MiB.
    pub segment_bytes: u64,
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self {
            durability: Durability::Strict,
            retention_age: Duration::from_secs(7 * 24 * 3_600),
            retention_bytes: 1 << 30,
            full: WhenFull::Refuse,
            dedupe_window: Duration::from_secs(120),
            segment_bytes: 64 << 20,
        }
    }
}
