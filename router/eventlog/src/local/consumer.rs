//! A consumer on disk: handing out and settling. The states are in `progress`, the files in `consumer/ledger.rs`.
//!
//! The order of every settlement: a `Retry` or `Dead` is durable first and changes the states then; a `Done` changes
//! them at once and is written within 5 ms. So the states in memory are never behind what a caller was told, and what is
//! on disk is never ahead of what happened.

mod entry;
mod ledger;
mod position;
mod settle;

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, RwLock, watch};
use tokio::time::Instant;

use super::blocking;
use super::space::Space;
use super::storage::Storage;
use super::topic::LocalTopic;
use crate::defects::{Defect, seeded};
use crate::lock::lock;
use crate::progress::{Key, Progress};
use crate::settlement::check_settlement;
use crate::{
    Clock, Consumer, Counters, DeadEvents, DeadRecord, EventState, Lease, LogError, MAX_RETRY_DELAY, Record,
    RetryRecord, Sequence, Settlement, Start, Terminal, Topic as _,
};
use ledger::Ledger;

pub(super) use ledger::floors;

/// Bytes of bodies handed out by one lease, and of dead events by one reading: a batch at its largest.
const MAX_LEASE_BYTES: usize = crate::MAX_BATCH_BYTES;

/// What stays when handles go.
pub(super) struct LocalConsumer {
    name: String,
    pub(super) topic: Arc<LocalTopic>,
    clock: Arc<dyn Clock>,
    /// Zero of the monotonic clock.
    epoch: Instant,
    ledger: Ledger,
    state: Mutex<State>,
    changed: Notify,
    /// One lease is put together at a time.
    fetching: tokio::sync::Mutex<()>,
    /// One bundle of settlements is written at a time.
    flushing: tokio::sync::Mutex<()>,
    /// Held for reading from before an entry is written until the states know of it; for writing by a snapshot.
    writing: RwLock<()>,
    /// The topic keeps what is at or above.
    floor: Arc<AtomicU64>,
}

struct State {
    closed: bool,
    progress: Progress,
    /// Settlements that are not on disk.
    buffer: Vec<(u64, Terminal)>,
    /// A task will write the buffer.
    flush_planned: bool,
    /// Entries written since the last position.
    entries: u64,
    /// Events sorted out since the last position, which nothing else names.
    sorted_out: u64,
    handle: Weak<ConsumerHandle>,
}

/// An event with the cause of its last failure.
type Fetch = (Record, Vec<(String, String)>);

/// What one lease is made of, before it counts.
#[derive(Default)]
struct Fetched {
    events: Vec<Fetch>,
    /// Ranges that are gone, and why.
    gone: Vec<(u64, u64, &'static str)>,
}

impl LocalConsumer {
    /// Opens or creates it. Blocks.
    pub(super) fn open(
        disk: (Arc<dyn Storage>, Arc<Space>),
        dir: std::path::PathBuf,
        name: &str,
        topic: Arc<LocalTopic>,
        start: Start,
        (clock, epoch): (Arc<dyn Clock>, Instant),
    ) -> Result<Self, LogError> {
        let (first, next) = (topic.log.first(), topic.log.next());
        let start = match start {
            Start::End => next,
            Start::Beginning => first,
            Start::At(sequence) => sequence.get().clamp(first, next),
        };
        let topic_name = super::topic::TopicHandle(topic.clone()).name().to_owned();
        let now = super::topic::millis(epoch.elapsed());
        let names = (name, topic_name.as_str());
        let (ledger, progress) = Ledger::open(disk, dir, names, (start, first), (clock.clone(), now))?;
        // Sequences this consumer has dealt with must not be used again, even if the topic has lost them.
        topic.skip_to(progress.passed.iter().last().map_or(progress.floor, |(_, until)| until))?;
        let floor = Arc::new(AtomicU64::new(progress.floor));
        lock(&topic.shared.floors).insert(name.to_owned(), floor.clone());
        let (buffer, handle) = (Vec::new(), Weak::new());
        let state = Mutex::new(State {
            closed: false,
            progress,
            buffer,
            flush_planned: false,
            entries: 0,
            sorted_out: 0,
            handle,
        });
        let (changed, fetching, flushing, writing) = Default::default();
        let name = name.to_owned();
        Ok(Self { name, topic, clock, epoch, ledger, state, changed, fetching, flushing, writing, floor })
    }

    /// The handle in use, or a new one that starts with all leases free.
    pub(super) fn handle(self: &Arc<Self>) -> Arc<ConsumerHandle> {
        let mut state = lock(&self.state);
        state.handle.upgrade().unwrap_or_else(|| {
            let handle = Arc::new(ConsumerHandle(self.clone()));
            state.handle = Arc::downgrade(&handle);
            handle
        })
    }

    pub(super) fn topic_name(&self) -> String {
        super::topic::TopicHandle(self.topic.clone()).name().to_owned()
    }

    fn closed(&self) -> LogError {
        LogError::Closed { name: self.name.clone() }
    }

    fn now(&self) -> u64 {
        if seeded(Defect::D12) {
            return self.clock.now_ms();
        }
        super::topic::millis(self.epoch.elapsed())
    }

    fn counters(&self) -> Counters {
        lock(&self.state).progress.counters(self.topic.log.next())
    }

    /// Puts a lease together; `None` when there is nothing now. Empty when what there was is gone or has to wait.
    async fn try_lease(self: &Arc<Self>, max: usize, ordered: bool) -> Result<Option<Vec<Lease>>, LogError> {
        let _one = self.fetching.lock().await;
        self.line_up(ordered).await?;
        let (due, fresh) = {
            let mut state = lock(&self.state);
            if state.closed {
                return Err(self.closed());
            }
            let mut due = state.progress.due(self.now(), max);
            let mut fresh = state.progress.fresh(self.topic.log.next(), max);
            let (retries, new) = state.progress.share(max, due.len(), fresh.len());
            due.truncate(retries);
            fresh.truncate(new);
            let locate = |sequence: u64| Some((sequence, state.progress.location_of(sequence)?));
            (due.into_iter().filter_map(locate).collect::<Vec<_>>(), fresh)
        };
        if due.is_empty() && fresh.is_empty() {
            return Ok(None);
        }
        let consumer = self.clone();
        let fetched = blocking(&self.name, move || consumer.fetch(&due, &fresh)).await?;
        if !fetched.gone.is_empty() {
            self.write_off(&fetched.gone).await?;
        }
        let mut state = lock(&self.state);
        if state.closed {
            return Err(self.closed());
        }
        let leases = fetched.events.into_iter().filter_map(|(record, last_cause)| {
            let (attempt, retry) = state.progress.take(record.sequence.get(), Key::of(record.key.as_ref()))?;
            let first_failure_ms = retry.map(|retry| retry.first_failure_ms);
            Some(Lease { attempt, accepted_ms: record.admitted_ms, first_failure_ms, last_cause, record })
        });
        Ok(Some(leases.collect()))
    }

    /// Hands out by key from now on, or as it comes. The keys of failed events are read when order begins.
    async fn line_up(self: &Arc<Self>, ordered: bool) -> Result<(), LogError> {
        let mut keys = HashMap::new();
        loop {
            let unknown = lock(&self.state).progress.line_up(ordered, &keys);
            if unknown.is_empty() {
                return Ok(());
            }
            let consumer = self.clone();
            let read = move || {
                let key = |(sequence, location): &(u64, u64)| {
                    let failure = consumer.ledger.failure(*location)?;
                    Ok((*sequence, failure.and_then(|failure| Key::of(failure.record.key.as_ref()))))
                };
                unknown.iter().map(key).collect::<Result<Vec<_>, LogError>>()
            };
            keys.extend(blocking(&self.name, read).await?);
        }
    }

    /// Waits for a lease.
    async fn lease(self: &Arc<Self>, max: usize, ordered: bool) -> Result<Vec<Lease>, LogError> {
        let mut next = self.next();
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            next.borrow_and_update();
            // Whoever sorts wakes this one up.
            let held = lock(&self.state).progress.is_held();
            match self.try_lease(max.max(1), ordered).await? {
                Some(leases) if leases.is_empty() => continue,
                Some(leases) => return Ok(leases),
                None => {}
            }
            tokio::select! {
                () = changed => {}
                _ = next.changed(), if !held => {}
                () = tokio::time::sleep_until(self.wake()) => {}
            }
        }
    }

    /// Reads the events of a lease. Blocks.
    fn fetch(&self, due: &[(u64, u64)], fresh: &[u64]) -> Result<Fetched, LogError> {
        let (mut fetched, mut bytes) = (Fetched::default(), 0);
        for (sequence, location) in due {
            match self.failed_event(*sequence, *location)? {
                Some((record, cause)) => {
                    bytes += record.body.len();
                    fetched.events.push((record, cause));
                }
                None => fetched.gone.push((*sequence, sequence + 1, "damaged")),
            }
            if bytes >= MAX_LEASE_BYTES {
                return Ok(fetched);
            }
        }
        let mut wanted = fresh.to_vec();
        wanted.sort_unstable();
        let picked = self.topic.pick(&wanted, MAX_LEASE_BYTES - bytes)?;
        fetched.events.extend(picked.records.into_iter().map(|record| (record, Vec::new())));
        let log = &self.topic.log;
        let why = |first| if first < log.first() && !log.is_damaged(first) { "retention" } else { "damaged" };
        fetched.gone.extend(picked.gone.into_iter().map(|(first, until)| (first, until, why(first))));
        Ok(fetched)
    }

    /// A failed event and why it failed: its copy or, if that is damaged, what the topic still has. Blocks.
    fn failed_event(&self, sequence: u64, location: u64) -> Result<Option<Fetch>, LogError> {
        match self.ledger.failure(location)? {
            Some(failure) if failure.record.sequence.get() == sequence => Ok(Some((failure.record, failure.cause))),
            _ => {
                tracing::error!(consumer = %self.name, sequence, "the copy of a failed event is damaged");
                let record = self.topic.pick(&[sequence], 1)?.records.pop();
                Ok(record.map(|record| (record, Vec::new())))
            }
        }
    }

    /// When to look again although nothing has happened.
    pub(super) fn wake(&self) -> Instant {
        match lock(&self.state).progress.next_due() {
            Some(ready_at) => self.epoch + Duration::from_millis(ready_at),
            None => Instant::now() + MAX_RETRY_DELAY,
        }
    }

    fn next(&self) -> watch::Receiver<Sequence> {
        super::topic::TopicHandle(self.topic.clone()).watch()
    }
}

/// The handle that callers get; when the last one goes, its leases are free.
pub(super) struct ConsumerHandle(Arc<LocalConsumer>);

impl Drop for ConsumerHandle {
    fn drop(&mut self) {
        lock(&self.0.state).progress.give_back_all();
        self.0.changed.notify_waiters();
    }
}

#[async_trait]
impl Consumer for ConsumerHandle {
    fn name(&self) -> &str {
        &self.0.name
    }

    async fn lease(&self, max: usize) -> Result<Vec<Lease>, LogError> {
        self.0.lease(max, false).await
    }

    async fn lease_in_order(&self, max: usize) -> Result<Vec<Lease>, LogError> {
        self.0.lease(max, true).await
    }

    fn hold(&self) -> Sequence {
        Sequence::new(lock(&self.0.state).progress.hold())
    }

    fn sort(&self, until: Sequence, passing: &[Sequence]) -> Sequence {
        let passing: Vec<u64> = passing.iter().map(|sequence| sequence.get()).collect();
        self.0.sort(until.get(), &passing)
    }

    fn unhold(&self) {
        lock(&self.0.state).progress.unhold();
        self.0.changed.notify_waiters();
    }

    fn release(&self, lease: &Lease) {
        lock(&self.0.state).progress.give_back(lease.record.sequence.get());
        self.0.changed.notify_waiters();
    }

    async fn settle(&self, lease: &Lease, settlement: Settlement) -> Result<(), LogError> {
        check_settlement(&settlement)?;
        match settlement {
            Settlement::Done(state) => self.0.done(lease.record.sequence, state).await,
            failed => self.0.failed(lease.clone(), failed).await,
        }
    }

    fn counters(&self) -> Counters {
        self.0.counters()
    }

    async fn dead(&self, after: Option<u64>, max: usize) -> Result<Vec<DeadRecord>, LogError> {
        if lock(&self.0.state).closed {
            return Err(self.0.closed());
        }
        let consumer = self.0.clone();
        let read = move || {
            let from = after.map_or(1, |after| after.saturating_add(1));
            let entries = consumer.ledger.dead.read(from, max, MAX_LEASE_BYTES)?;
            Ok(entries.into_iter().filter_map(|(frame, entry)| entry::decode_dead(frame.sequence, entry)).collect())
        };
        blocking(&self.0.name, read).await
    }

    async fn retry_of(&self, sequence: Sequence) -> Result<Option<RetryRecord>, LogError> {
        let retry = {
            let state = lock(&self.0.state);
            if state.closed {
                return Err(self.0.closed());
            }
            state.progress.retries.get(&sequence.get()).copied()
        };
        let Some(retry) = retry else { return Ok(None) };
        let consumer = self.0.clone();
        let failure = blocking(&self.0.name, move || consumer.ledger.failure(retry.location)).await?;
        // Its place may have been given to another meanwhile.
        let failure = failure.filter(|failure| failure.record.sequence == sequence);
        Ok(failure.map(|failure| RetryRecord {
            attempt: retry.attempt,
            due_ms: retry.due_ms,
            first_failure_ms: retry.first_failure_ms,
            cause: failure.cause,
        }))
    }

    fn first_new(&self) -> Sequence {
        Sequence::new(lock(&self.0.state).progress.first_new())
    }

    fn state_of(&self, sequence: Sequence) -> Option<EventState> {
        lock(&self.0.state).progress.state_of(sequence.get(), self.0.topic.log.next())
    }
}
