#![doc = include_str!("../README.md")]
//!
//! This file holds the contract: the traits every engine implements and what each promises, in words.
//! `conformance` holds the same promises as tests.

mod accepted;
mod clock;
mod config;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod dedupe;
mod defects;
mod error;
mod local;
mod lock;
mod memory;
mod progress;
mod record;
mod settlement;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

pub use accepted::{Accepted, Appended, Durable, Relaxed, Sequence};
pub use clock::{Clock, SystemClock};
pub use config::{
    Durability, MAX_BATCH_BYTES, MAX_BATCH_RECORDS, MAX_BUFFERED_SETTLEMENTS, MAX_DEDUPE_IDS, MAX_HEADERS,
    MAX_JOURNAL_ENTRY_BYTES, MAX_NAME_BYTES, MAX_OUTSTANDING, MAX_QUEUED_APPENDS, MAX_QUEUED_BYTES, MAX_RECORD_BYTES,
    MAX_RETRY_DELAY, MAX_TEXT_BYTES, SETTLEMENT_DELAY, TopicConfig, WhenFull,
};
pub use error::{AppendError, LogError};
pub use local::{Disk, File, LocalLog, Storage};
pub use memory::MemoryLog;
pub use record::{DedupeKey, NewRecord, Record};
pub use settlement::{Counters, DeadEvents, DeadRecord, EventState, Lease, RetryRecord, Settlement, Start, Terminal};

/// A store of topics, consumers and journals. All methods may be called from any task of a tokio runtime; dropping a
/// future abandons the wait, not the work.
///
/// Names are `namespace/name`, at most [`MAX_NAME_BYTES`]; topics, consumers and journals have name spaces of their own.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Opens the topic, creating it if there is none. Opening again gives the same topic and applies `config` to it.
    ///
    /// # Errors
    /// `Io`, `NewerFormat`, `Invalid` (the name), `Closed`.
    async fn topic(&self, name: &str, config: TopicConfig) -> Result<Arc<dyn Topic>, LogError>;

    /// Deletes the topic and all it holds, opened since the start or not, and answers whether there was one. A topic
    /// that is not there is deleted already.
    ///
    /// # Errors
    /// `InUse` while a consumer reads it; `Io`, `Invalid` (the name), `Closed`.
    async fn delete_topic(&self, name: &str) -> Result<bool, LogError>;

    /// Opens a consumer of an open topic, creating it durably if there is none; `start` counts only then. While a
    /// handle is held, opening again gives the same one; when the last is dropped its leases are free again.
    ///
    /// # Errors
    /// `NotFound` when the topic is not open, `InUse` when the consumer reads another topic; `Io`, `NewerFormat`,
    /// `Invalid`, `Closed`.
    async fn consumer(&self, name: &str, topic: &str, start: Start) -> Result<Arc<dyn Consumer>, LogError>;

    /// Deletes a consumer with its retries and its dead log. What was pending is `cancelled` in the final counters. One
    /// that was not opened since the start can be deleted once its topic is open. Handles that are still held answer `Closed` from now on.
    ///
    /// # Errors
    /// `NotFound` when there is none; `Io`, `Closed`.
    async fn delete_consumer(&self, name: &str) -> Result<Counters, LogError>;

    /// The names of all consumers there are, open or not, in order: what was deleted elsewhere while this log was closed
    /// can be found and deleted here, so that it holds up no topic.
    ///
    /// # Errors
    /// `Closed`.
    async fn consumers(&self) -> Result<Vec<String>, LogError>;

    /// Opens the journal, creating it if there is none. Opening again gives the same.
    ///
    /// # Errors
    /// `Io`, `NewerFormat`, `Invalid`, `Closed`.
    async fn journal(&self, name: &str) -> Result<Arc<dyn Journal>, LogError>;

    /// Writes and syncs what is buffered and gives up the directory. Everything answers `Closed` from now on. Closing
    /// again does nothing.
    ///
    /// # Errors
    /// `Io`: something could not be written; the log is closed all the same, and what was acknowledged is safe.
    async fn close(&self) -> Result<(), LogError>;
}

/// A named log of records.
///
/// * **Order.** Records have the order of their sequences. An append that began after another had been answered comes
///   after it. The records of one append stand together, in the order given.
/// * **Durability.** An answered append is as safe as its [`Accepted`] says. Readers see a record of a strict topic only
///   once it is durable.
/// * **Duplicates.** A record whose dedupe id was appended within the window is answered with the first sequence and not
///   appended. A duplicate of an append in flight is answered after that one is. An id whose content differs is a
///   conflict.
/// * **Failure.** A failed append may be stored or not ([`AppendError::Failed`]); nobody was told. It never becomes half
///   stored, and later appends are not affected.
/// * **Loss.** Records go by retention only, as whole segments, and every consumer that still needed them counts them as
///   `expired`. Records damaged on disk are skipped, never served, and count the same way.
#[async_trait]
pub trait Topic: Send + Sync {
    /// Its name.
    fn name(&self) -> &str;

    /// Appends all records or none. No records: no answers.
    ///
    /// # Errors
    /// See [`AppendError`].
    async fn append(&self, records: Vec<NewRecord>) -> Result<Vec<Appended>, AppendError>;

    /// Reads on from `from`: at most `max_records`, and no more once `max_bytes` are reached, but at least one if there
    /// is one. Empty at the end. Starts at the oldest kept record when `from` is older; skips what is damaged.
    ///
    /// # Errors
    /// `Io`, `Closed`.
    async fn read(&self, from: Sequence, max_records: usize, max_bytes: usize) -> Result<Vec<Record>, LogError>;

    /// What is kept now.
    fn bounds(&self) -> Bounds;

    /// Follows `bounds().next`.
    fn watch(&self) -> watch::Receiver<Sequence>;

    /// The first record appended at or after `ms` (Unix milliseconds); the end if there is none. As exact as the clock
    /// was when they were appended.
    ///
    /// # Errors
    /// `Io`, `Closed`.
    async fn find_by_time(&self, ms: u64) -> Result<Sequence, LogError>;

    /// Numbers for metrics.
    fn stats(&self) -> TopicStats;

    /// Which of the records kept are damaged, in order; at most the first 1,000 ranges found.
    fn damaged(&self) -> Vec<SequenceRange> {
        Vec::new()
    }
}

/// The sequences `first..=last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceRange {
    /// The first.
    pub first: Sequence,
    /// The last, inclusive.
    pub last: Sequence,
}

impl std::fmt::Display for SequenceRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { first, last } = self;
        if first == last { first.fmt(f) } else { write!(f, "{first}-{last}") }
    }
}

/// What a topic keeps: `first..next`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The oldest kept record; `next` when there is none.
    pub first: Sequence,
    /// The sequence the next visible record will have.
    pub next: Sequence,
}

/// Numbers of one topic, for metrics. Counts begin when the topic is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TopicStats {
    /// Bytes of the records kept, with their framing.
    pub bytes: u64,
    /// Segments kept.
    pub segments: u64,
    /// Records appended.
    pub appended: u64,
    /// Records that were duplicates.
    pub deduplicated: u64,
    /// Syncs made: `appended / syncs` is what group commit gains.
    pub syncs: u64,
    /// Commits that failed; each sealed a segment.
    pub failed_commits: u64,
    /// The last append was refused because the disk is full. It goes on by itself once there is space.
    pub out_of_space: bool,
    /// Records known to be damaged. Not zero: [`Topic::damaged`] and the log name them.
    pub quarantined: u64,
}

/// A durable reader of a topic that knows how far each event came.
///
/// Every event since its start is in one state: waiting → leased → ended, or leased → retrying → leased …; the
/// [`Terminal`] states are final. What is kept is a floor (everything below is ended or waits for a retry), the settled
/// ranges above it and a copy of each failed event, so a retry outlives the topic's own retention.
///
/// After a kill: leases are free again; a settlement by `Retry` or `Dead` holds if `settle` had returned; one by `Done`
/// holds unless it was made in the last 5 ms, or was among the last [`MAX_BUFFERED_SETTLEMENTS`].
#[async_trait]
pub trait Consumer: Send + Sync {
    /// Its name.
    fn name(&self) -> &str;

    /// Hands out between one and `max` events (0 counts as 1), waiting until there is one: new ones in the order of the
    /// topic, retries when they are due, sharing fairly. An event is never handed out twice at once. Dropping the future
    /// hands out nothing.
    ///
    /// # Errors
    /// `Io`, `Closed` (also when closed while waiting).
    async fn lease(&self, max: usize) -> Result<Vec<Lease>, LogError>;

    /// As [`Consumer::lease`], one after the other for each key: an event is handed out only after all earlier ones with
    /// an equal [`Record::key`] have ended, those that wait for a retry included; records without a key wait for none.
    /// [`MAX_OUTSTANDING`] events may wait for others; while they do nothing new is looked at. Leases of both kinds may
    /// be held at once; what was leased or put aside before counts. An event whose settlement a kill undid may come again
    /// after later ones of its key.
    ///
    /// # Errors
    /// As [`Consumer::lease`].
    async fn lease_in_order(&self, max: usize) -> Result<Vec<Lease>, LogError>;

    /// Hands out new events only as far as somebody has sorted them, from now on: see [`Consumer::sort`]. Gives the first
    /// that is not sorted.
    fn hold(&self) -> Sequence;

    /// Sorts the events from the first that is not sorted to `until`: those in `passing` (ascending) are handed out, all
    /// others that wait end as [`Terminal::Filtered`]. That is not written down by itself: after a kill, events are to be
    /// sorted again that no position covers, and retention spares them until one does. Gives the first that is not
    /// sorted then: no further than before where so many events wait or have ended out of order that no more fit
    /// ([`MAX_OUTSTANDING`]), and while nobody holds.
    fn sort(&self, until: Sequence, passing: &[Sequence]) -> Sequence;

    /// Hands out all new events again.
    fn unhold(&self);

    /// Gives an event back; the attempt does not count. A lease that is not held is ignored.
    fn release(&self, lease: &Lease);

    /// Says what became of a leased event and ends the lease. Goes on if the future is dropped. If it fails the lease
    /// is still held.
    ///
    /// # Errors
    /// `NotLeased`; `Invalid` when the state does not fit the settlement; `Busy`, `Io`, `Closed`.
    async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<(), LogError>;

    /// One consistent view.
    fn counters(&self) -> Counters;

    /// The dead log after entry `after` (`None`: from the oldest kept), at most `max` entries, and no more once their
    /// events reach [`MAX_BATCH_BYTES`].
    ///
    /// # Errors
    /// `Io`, `Closed`.
    async fn dead(&self, after: Option<u64>, max: usize) -> Result<Vec<DeadRecord>, LogError>;

    /// What is kept of an event that failed and has an attempt to come; `None` of any other.
    ///
    /// # Errors
    /// `Io`, `Closed`.
    async fn retry_of(&self, sequence: Sequence) -> Result<Option<RetryRecord>, LogError>;

    /// The first event that was not handed out since the consumer was opened. Of those before, some may have been given
    /// back, or wait for others of their key.
    fn first_new(&self) -> Sequence;

    /// Where the event stands; `None` when it is before the consumer's start or not appended yet.
    fn state_of(&self, sequence: Sequence) -> Option<EventState>;
}

/// A small durable list, for a control plane's change log.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Appends one entry of at most [`MAX_JOURNAL_ENTRY_BYTES`].
    ///
    /// # Errors
    /// `Invalid` (too large), `Busy`, `Io` (stored or not is unknown), `Closed`.
    async fn append(&self, entry: Bytes) -> Result<Durable<Sequence>, LogError>;

    /// The checkpoint and all entries after it.
    ///
    /// # Errors
    /// `Corrupt` when an entry is damaged: a change log with a hole must not be used. `Io`, `Closed`.
    async fn read_all(&self) -> Result<JournalContents, LogError>;

    /// Replaces everything before `before` by `checkpoint`, at once: a crash leaves the old contents or the new.
    ///
    /// # Errors
    /// `Invalid` when `before` is beyond the end or behind the last checkpoint; `Io`, `Closed`.
    async fn compact(&self, before: Sequence, checkpoint: Bytes) -> Result<(), LogError>;
}

/// A whole journal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JournalContents {
    /// What stands for all entries that were compacted.
    pub checkpoint: Option<JournalCheckpoint>,
    /// The entries since, in order.
    pub entries: Vec<JournalEntry>,
}

/// Stands for all entries before a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalCheckpoint {
    /// The first entry it does not cover.
    pub before: Sequence,
    /// As given to `compact`.
    pub bytes: Bytes,
}

/// One entry of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// Its place.
    pub sequence: Sequence,
    /// When it was appended, Unix milliseconds.
    pub at_ms: u64,
    /// As appended.
    pub bytes: Bytes,
}
