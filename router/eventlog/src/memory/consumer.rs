//! A consumer in memory: the states of `progress`, copies of failed events, and waiting.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::topic::MemoryTopic;
use crate::lock::lock;
use crate::progress::{Key, Progress, Retry};
use crate::settlement::check_settlement;
use crate::{
    Clock, Consumer, Counters, DeadEvents, DeadRecord, EventState, Lease, LogError, MAX_RETRY_DELAY, Record,
    RetryRecord, Sequence, Settlement, Start, Topic,
};

/// What stays when handles go.
pub(super) struct Shared {
    name: String,
    topic: Arc<MemoryTopic>,
    clock: Arc<dyn Clock>,
    /// Zero of the monotonic clock.
    epoch: Instant,
    state: Mutex<State>,
    changed: Notify,
    next: watch::Receiver<Sequence>,
}

struct State {
    closed: bool,
    progress: Progress,
    /// The last failure of each event that is put aside.
    failures: HashMap<u64, (Record, Vec<(String, String)>)>,
    dead: Vec<DeadRecord>,
    handle: Weak<MemoryConsumer>,
}

impl Shared {
    pub(super) fn new(name: String, topic: Arc<MemoryTopic>, start: Start, clock: Arc<dyn Clock>) -> Self {
        let bounds = topic.bounds();
        let start = match start {
            Start::End => bounds.next,
            Start::Beginning => bounds.first,
            Start::At(sequence) => sequence.clamp(bounds.first, bounds.next),
        };
        let state = Mutex::new(State {
            closed: false,
            progress: Progress::new(start.get()),
            failures: HashMap::new(),
            dead: Vec::new(),
            handle: Weak::new(),
        });
        let next = topic.watch();
        Self { name, topic, clock, epoch: Instant::now(), state, changed: Notify::new(), next }
    }

    pub(super) fn topic_name(&self) -> &str {
        self.topic.name()
    }

    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_waiters();
    }

    pub(super) fn cancel(&self) -> Counters {
        self.close();
        let mut counters = self.counters();
        counters.cancelled += counters.pending;
        counters.pending = 0;
        counters
    }

    fn counters(&self) -> Counters {
        lock(&self.state).progress.counters(self.topic.bounds().next.get())
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Hands out what there is; otherwise when to look again. Empty when what there was has to wait.
    fn try_lease(&self, max: usize, ordered: bool) -> Result<Result<Vec<Lease>, Option<Instant>>, LogError> {
        let mut state = lock(&self.state);
        let State { progress, failures, .. } = &mut *state;
        let keys = failures.iter().map(|(sequence, (record, _))| (*sequence, Key::of(record.key.as_ref())));
        progress.line_up(ordered, &keys.collect());
        if state.closed {
            return Err(LogError::Closed { name: self.name.clone() });
        }
        let due = state.progress.due(self.now(), max);
        let fresh = state.progress.fresh(self.topic.bounds().next.get(), max);
        if due.is_empty() && fresh.is_empty() {
            return Ok(Err(state.progress.next_due().map(|ready_at| self.epoch + Duration::from_millis(ready_at))));
        }
        let (retries, new) = state.progress.share(max, due.len(), fresh.len());
        let chosen = due.into_iter().take(retries).chain(fresh.into_iter().take(new));
        Ok(Ok(chosen.filter_map(|sequence| self.lease_one(&mut state, sequence)).collect()))
    }

    fn lease_one(&self, state: &mut State, sequence: u64) -> Option<Lease> {
        let failure = state.failures.get(&sequence).cloned();
        let (record, last_cause) = match failure {
            Some(failure) => failure,
            None => (self.topic.get(sequence)?, Vec::new()),
        };
        let (attempt, retry) = state.progress.take(sequence, Key::of(record.key.as_ref()))?;
        let first_failure_ms = retry.map(|retry| retry.first_failure_ms);
        Some(Lease { attempt, accepted_ms: record.admitted_ms, first_failure_ms, last_cause, record })
    }

    /// Waits for a lease.
    async fn lease(&self, max: usize, ordered: bool) -> Result<Vec<Lease>, LogError> {
        let mut next = self.next.clone();
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            next.borrow_and_update();
            // Whoever sorts wakes this one up.
            let held = lock(&self.state).progress.is_held();
            let wake = match self.try_lease(max.max(1), ordered)? {
                Ok(leases) if leases.is_empty() => continue,
                Ok(leases) => return Ok(leases),
                Err(wake) => wake.unwrap_or_else(|| Instant::now() + MAX_RETRY_DELAY),
            };
            tokio::select! {
                () = changed => {}
                _ = next.changed(), if !held => {}
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }
}

/// A handle; when the last one goes, its leases are free.
pub(super) struct MemoryConsumer(Arc<Shared>);

impl MemoryConsumer {
    pub(super) fn handle(shared: &Arc<Shared>) -> Arc<Self> {
        let mut state = lock(&shared.state);
        state.handle.upgrade().unwrap_or_else(|| {
            state.progress.give_back_all();
            let handle = Arc::new(Self(shared.clone()));
            state.handle = Arc::downgrade(&handle);
            handle
        })
    }
}

#[async_trait]
impl Consumer for MemoryConsumer {
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
        let (sorted, _) = lock(&self.0.state).progress.sort(until.get(), &passing);
        if !passing.is_empty() {
            self.0.changed.notify_waiters();
        }
        Sequence::new(sorted)
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
        let shared = &self.0;
        let sequence = lease.record.sequence.get();
        let mut state = lock(&shared.state);
        if state.closed {
            return Err(LogError::Closed { name: shared.name.clone() });
        }
        if !state.progress.claim(sequence) {
            return Err(LogError::NotLeased { sequence: lease.record.sequence, consumer: shared.name.clone() });
        }
        let at_ms = shared.clock.now_ms();
        match settlement {
            Settlement::Done(terminal) => {
                state.progress.end(sequence, terminal);
                state.failures.remove(&sequence);
            }
            Settlement::Dead { state: terminal, cause } => {
                state.progress.end(sequence, terminal);
                state.failures.remove(&sequence);
                let number = state.dead.len() as u64 + 1;
                let what = DeadEvents::One(lease.record.clone());
                state.dead.push(DeadRecord { number, state: terminal, attempts: lease.attempt, cause, at_ms, what });
            }
            Settlement::Retry { due_ms, cause, counted } => {
                let retry = Retry::after(lease, counted, due_ms, at_ms, shared.now());
                state.failures.insert(sequence, (lease.record.clone(), cause));
                state.progress.put_aside(sequence, retry);
            }
        }
        drop(state);
        shared.changed.notify_waiters();
        Ok(())
    }

    fn counters(&self) -> Counters {
        self.0.counters()
    }

    async fn dead(&self, after: Option<u64>, max: usize) -> Result<Vec<DeadRecord>, LogError> {
        let state = lock(&self.0.state);
        Ok(state.dead.iter().filter(|entry| Some(entry.number) > after).take(max).cloned().collect())
    }

    async fn retry_of(&self, sequence: Sequence) -> Result<Option<RetryRecord>, LogError> {
        let state = lock(&self.0.state);
        let retry = state.progress.retries.get(&sequence.get());
        Ok(retry.zip(state.failures.get(&sequence.get())).map(|(retry, (_, cause))| RetryRecord {
            attempt: retry.attempt,
            due_ms: retry.due_ms,
            first_failure_ms: retry.first_failure_ms,
            cause: cause.clone(),
        }))
    }

    fn first_new(&self) -> Sequence {
        Sequence::new(lock(&self.0.state).progress.first_new())
    }

    fn state_of(&self, sequence: Sequence) -> Option<EventState> {
        lock(&self.0.state).progress.state_of(sequence.get(), self.0.topic.bounds().next.get())
    }
}
