//! An engine without files, for tests of what is built on the log. It keeps the whole contract but two things: what it
//! calls durable lasts as long as the value itself, and it keeps every record (no retention, so never `Full`).
//! Dropping and opening handles works as on disk; a restart cannot be played with it.

mod consumer;
mod topic;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;

use crate::lock::lock;
use crate::record::check_name;
use crate::{
    Clock, Consumer, Counters, Durable, EventLog, Journal, JournalCheckpoint, JournalContents, JournalEntry, LogError,
    MAX_JOURNAL_ENTRY_BYTES, Sequence, Start, SystemClock, Topic, TopicConfig,
};
use consumer::{MemoryConsumer, Shared};
use topic::MemoryTopic;

/// A log in memory.
pub struct MemoryLog {
    clock: Arc<dyn Clock>,
    rooms: Mutex<Rooms>,
}

#[derive(Default)]
struct Rooms {
    closed: bool,
    topics: BTreeMap<String, Arc<MemoryTopic>>,
    consumers: BTreeMap<String, Arc<Shared>>,
    journals: BTreeMap<String, Arc<MemoryJournal>>,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

impl MemoryLog {
    /// An empty log.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, rooms: Mutex::default() }
    }

    fn open(&self) -> Result<std::sync::MutexGuard<'_, Rooms>, LogError> {
        let rooms = lock(&self.rooms);
        if rooms.closed { Err(LogError::Closed { name: "the log".to_owned() }) } else { Ok(rooms) }
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    async fn topic(&self, name: &str, config: TopicConfig) -> Result<Arc<dyn Topic>, LogError> {
        check_name(name)?;
        let mut rooms = self.open()?;
        let topic = rooms
            .topics
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(MemoryTopic::new(name.to_owned(), self.clock.clone())));
        topic.configure(config);
        Ok(topic.clone())
    }

    async fn delete_topic(&self, name: &str) -> Result<bool, LogError> {
        check_name(name)?;
        let mut rooms = self.open()?;
        if let Some((by, _)) = rooms.consumers.iter().find(|(_, consumer)| consumer.topic_name() == name) {
            return Err(LogError::InUse { name: name.to_owned(), by: by.clone() });
        }
        let gone = rooms.topics.remove(name);
        Ok(gone.map(|topic| topic.close()).is_some())
    }

    async fn consumer(&self, name: &str, topic: &str, start: Start) -> Result<Arc<dyn Consumer>, LogError> {
        check_name(name)?;
        let mut rooms = self.open()?;
        let topic = rooms
            .topics
            .get(topic)
            .cloned()
            .ok_or_else(|| LogError::NotFound { what: "topic", name: topic.to_owned() })?;
        let shared = rooms
            .consumers
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(Shared::new(name.to_owned(), topic.clone(), start, self.clock.clone())));
        if shared.topic_name() != topic.name() {
            return Err(LogError::InUse { name: name.to_owned(), by: shared.topic_name().to_owned() });
        }
        Ok(MemoryConsumer::handle(shared))
    }

    async fn delete_consumer(&self, name: &str) -> Result<Counters, LogError> {
        let gone = self.open()?.consumers.remove(name);
        let gone = gone.ok_or_else(|| LogError::NotFound { what: "consumer", name: name.to_owned() })?;
        Ok(gone.cancel())
    }

    async fn consumers(&self) -> Result<Vec<String>, LogError> {
        Ok(self.open()?.consumers.keys().cloned().collect())
    }

    async fn journal(&self, name: &str) -> Result<Arc<dyn Journal>, LogError> {
        check_name(name)?;
        let mut rooms = self.open()?;
        let journal = rooms.journals.entry(name.to_owned()).or_insert_with(|| {
            Arc::new(MemoryJournal { name: name.to_owned(), clock: self.clock.clone(), state: Mutex::default() })
        });
        Ok(journal.clone())
    }

    async fn close(&self) -> Result<(), LogError> {
        let mut rooms = lock(&self.rooms);
        rooms.closed = true;
        rooms.topics.values().for_each(|topic| topic.close());
        rooms.consumers.values().for_each(|consumer| consumer.close());
        rooms.journals.values().for_each(|journal| lock(&journal.state).closed = true);
        Ok(())
    }
}

struct MemoryJournal {
    name: String,
    clock: Arc<dyn Clock>,
    state: Mutex<JournalState>,
}

#[derive(Default)]
struct JournalState {
    closed: bool,
    /// Entries ever appended.
    appended: u64,
    contents: JournalContents,
}

impl MemoryJournal {
    fn open(&self) -> Result<std::sync::MutexGuard<'_, JournalState>, LogError> {
        let state = lock(&self.state);
        if state.closed { Err(LogError::Closed { name: self.name.clone() }) } else { Ok(state) }
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn append(&self, entry: Bytes) -> Result<Durable<Sequence>, LogError> {
        check_entry(&entry)?;
        let mut state = self.open()?;
        state.appended += 1;
        let sequence = Sequence::new(state.appended);
        state.contents.entries.push(JournalEntry { sequence, at_ms: self.clock.now_ms(), bytes: entry });
        Ok(Durable::new(sequence))
    }

    async fn read_all(&self) -> Result<JournalContents, LogError> {
        Ok(self.open()?.contents.clone())
    }

    async fn compact(&self, before: Sequence, checkpoint: Bytes) -> Result<(), LogError> {
        check_entry(&checkpoint)?;
        let mut state = self.open()?;
        let oldest = state.contents.checkpoint.as_ref().map_or(Sequence::FIRST, |checkpoint| checkpoint.before);
        check_compaction(before, oldest, Sequence::new(state.appended + 1))?;
        state.contents.entries.retain(|entry| entry.sequence >= before);
        state.contents.checkpoint = Some(JournalCheckpoint { before, bytes: checkpoint });
        Ok(())
    }
}

/// Whether an entry or a checkpoint is small enough.
pub(crate) fn check_entry(entry: &Bytes) -> Result<(), LogError> {
    if entry.len() > MAX_JOURNAL_ENTRY_BYTES {
        let size = entry.len();
        return Err(LogError::Invalid(format!(
            "a journal entry of {size} bytes is above the limit of {MAX_JOURNAL_ENTRY_BYTES}; compact more often"
        )));
    }
    Ok(())
}

/// Whether a checkpoint may stand for everything before `before`.
pub(crate) fn check_compaction(before: Sequence, oldest: Sequence, next: Sequence) -> Result<(), LogError> {
    if before < oldest || before > next {
        return Err(LogError::Invalid(format!(
            "a checkpoint before entry {before} does not fit a journal of {oldest} to {next}; read it again"
        )));
    }
    Ok(())
}
