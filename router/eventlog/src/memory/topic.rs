//! A topic in memory: a list of records and the ids seen.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::dedupe::Seen;
use crate::lock::lock;
use crate::record::check_batch;
use crate::{
    Accepted, AppendError, Appended, Bounds, Clock, Durability, Durable, LogError, NewRecord, Record, Relaxed,
    Sequence, Topic, TopicConfig, TopicStats,
};

pub(super) struct MemoryTopic {
    name: String,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    next: watch::Sender<Sequence>,
}

#[derive(Default)]
struct State {
    closed: bool,
    config: TopicConfig,
    records: Vec<Record>,
    seen: Seen,
    stats: TopicStats,
}

impl MemoryTopic {
    pub(super) fn new(name: String, clock: Arc<dyn Clock>) -> Self {
        Self { name, clock, state: Mutex::default(), next: watch::Sender::new(Sequence::FIRST) }
    }

    pub(super) fn configure(&self, config: TopicConfig) {
        lock(&self.state).config = config;
    }

    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
    }

    /// One record, if it is there.
    pub(super) fn get(&self, sequence: u64) -> Option<Record> {
        let index = usize::try_from(sequence.checked_sub(1)?).ok()?;
        lock(&self.state).records.get(index).cloned()
    }
}

#[async_trait]
impl Topic for MemoryTopic {
    fn name(&self) -> &str {
        &self.name
    }

    async fn append(&self, records: Vec<NewRecord>) -> Result<Vec<Appended>, AppendError> {
        check_batch(&records)?;
        let mut state = lock(&self.state);
        if state.closed {
            return Err(AppendError::Closed { name: self.name.clone() });
        }
        let now_ms = self.clock.now_ms();
        let window_ms = u64::try_from(state.config.dedupe_window.as_millis()).unwrap_or(u64::MAX);
        state.seen.forget(now_ms, window_ms);
        let first = Sequence::new(state.records.len() as u64 + 1);
        let judged = state.seen.judge(records, first, now_ms, window_ms > 0)?;
        let mut next = first;
        for record in judged.fresh {
            state.stats.bytes += record.bytes() as u64;
            state.records.push(record.kept(next, now_ms));
            next = next.next();
        }
        state.stats.appended += next.get() - first.get();
        state.stats.deduplicated += judged.answers.iter().filter(|(_, duplicate)| *duplicate).count() as u64;
        let accepted = |sequence| match state.config.durability {
            Durability::Strict => Accepted::Durable(Durable::new(sequence)),
            Durability::Relaxed => Accepted::Relaxed(Relaxed::new(sequence)),
        };
        let answers = judged.answers.into_iter();
        let answers =
            answers.map(|(sequence, duplicate)| Appended { accepted: accepted(sequence), duplicate }).collect();
        self.next.send_replace(next);
        Ok(answers)
    }

    async fn read(&self, from: Sequence, max_records: usize, max_bytes: usize) -> Result<Vec<Record>, LogError> {
        let state = lock(&self.state);
        if state.closed {
            return Err(LogError::Closed { name: self.name.clone() });
        }
        let skip = usize::try_from(from.get().saturating_sub(1)).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let records = state.records.iter().skip(skip).take(max_records.max(1)).take_while(|record| {
            let fits = bytes < max_bytes.max(1);
            bytes += record.body.len();
            fits
        });
        Ok(records.cloned().collect())
    }

    fn bounds(&self) -> Bounds {
        Bounds { first: Sequence::FIRST, next: *self.next.borrow() }
    }

    fn watch(&self) -> watch::Receiver<Sequence> {
        self.next.subscribe()
    }

    async fn find_by_time(&self, ms: u64) -> Result<Sequence, LogError> {
        let state = lock(&self.state);
        let found = state.records.iter().find(|record| record.admitted_ms >= ms).map(|record| record.sequence);
        Ok(found.unwrap_or(*self.next.borrow()))
    }

    fn stats(&self) -> TopicStats {
        TopicStats { segments: 1, ..lock(&self.state).stats }
    }
}
