//! Settlements on their way to the disk: the buffer of those that are done, the failures, what is gone, and positions.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::entry::{Failure, encode_dead, encode_settled};
use super::ledger::bury;
use super::*;
use crate::progress::Retry;
use crate::{MAX_BUFFERED_SETTLEMENTS, SETTLEMENT_DELAY};

/// Entries between two positions: what opening a consumer reads at most, besides the position itself.
const ENTRIES_PER_POSITION: u64 = 4_096;

/// Events that are sorted out between two positions: what is sorted again after a kill, and how far the topic keeps more
/// than is needed.
const SORTED_PER_POSITION: u64 = 65_536;

/// How long to wait after settlements could not be written: a full disk does not get space within milliseconds.
const FLUSH_AGAIN: Duration = Duration::from_secs(1);

impl LocalConsumer {
    /// Ends the lease at once and lets the disk know within 5 ms.
    pub(super) async fn done(self: &Arc<Self>, sequence: Sequence, terminal: Terminal) -> Result<(), LogError> {
        loop {
            {
                let mut state = lock(&self.state);
                if state.closed {
                    return Err(self.closed());
                }
                if state.buffer.len() < MAX_BUFFERED_SETTLEMENTS {
                    if !state.progress.claim(sequence.get()) {
                        return Err(self.not_leased(sequence));
                    }
                    state.progress.end(sequence.get(), terminal);
                    state.buffer.push((sequence.get(), terminal));
                    self.plan_flush(&mut state);
                    break;
                }
            }
            self.flush_in_task().await?;
        }
        self.changed.notify_waiters();
        Ok(())
    }

    /// Makes a failure durable and ends the lease; goes on if the caller does not wait.
    pub(super) async fn failed(self: &Arc<Self>, lease: Lease, settlement: Settlement) -> Result<(), LogError> {
        let sequence = lease.record.sequence;
        {
            let mut state = lock(&self.state);
            if state.closed {
                return Err(self.closed());
            }
            if !state.progress.claim(sequence.get()) {
                return Err(self.not_leased(sequence));
            }
        }
        let consumer = self.clone();
        let written = async move {
            let written = consumer.write_failure(lease, settlement).await;
            let mut state = lock(&consumer.state);
            if written.is_err() {
                state.progress.unclaim(sequence.get());
            } else {
                consumer.plan_flush(&mut state);
            }
            drop(state);
            consumer.changed.notify_waiters();
            written
        };
        tokio::spawn(written).await.map_err(|_| self.closed())?
    }

    async fn write_failure(&self, lease: Lease, settlement: Settlement) -> Result<(), LogError> {
        let (at_ms, attempts) = (self.clock.now_ms(), lease.attempt);
        let _writing = self.writing.read().await;
        match settlement {
            Settlement::Retry { due_ms, cause, counted } => {
                if !self.ledger.has_room() {
                    return Err(LogError::Busy { name: format!("retries of {}", self.name) });
                }
                let mut retry = Retry::after(&lease, counted, due_ms, at_ms, self.now());
                let Retry { attempt, due_ms, first_failure_ms, .. } = retry;
                let failure = Failure { attempt, due_ms, first_failure_ms, cause, record: lease.record };
                retry.location = self.ledger.retries.append(failure.encode()).await?;
                let mut state = lock(&self.state);
                state.progress.put_aside(failure.record.sequence.get(), retry);
                state.entries += 1;
            }
            Settlement::Dead { state: terminal, cause } => {
                let what = DeadEvents::One(lease.record);
                let dead = DeadRecord { number: 0, state: terminal, attempts, cause, at_ms, what };
                self.ledger.dead.append(encode_dead(&dead)).await?;
                let mut state = lock(&self.state);
                bury(&mut state.progress, terminal, &dead.what);
                state.entries += 1;
            }
            Settlement::Done(_) => {}
        }
        Ok(())
    }

    /// Ends what cannot be handed out any more, and names it in the dead log.
    pub(super) async fn write_off(&self, gone: &[(u64, u64, &'static str)]) -> Result<(), LogError> {
        let _writing = self.writing.read().await;
        for (first, until, why) in gone {
            let what = DeadEvents::Range { first: Sequence::new(*first), last: Sequence::new(until - 1) };
            tracing::warn!(consumer = %self.name, first, last = until - 1, why, "events expired before they were delivered");
            let (cause, at_ms) = (vec![("reason".to_owned(), (*why).to_owned())], self.clock.now_ms());
            let dead = DeadRecord { number: 0, state: Terminal::Expired, attempts: 0, cause, at_ms, what };
            self.ledger.dead.append(encode_dead(&dead)).await?;
            let mut state = lock(&self.state);
            bury(&mut state.progress, Terminal::Expired, &dead.what);
            state.entries += 1;
        }
        Ok(())
    }

    /// Writes the buffer soon; also tells the topic how far its records are needed.
    pub(super) fn plan_flush(self: &Arc<Self>, state: &mut State) {
        if !state.flush_planned {
            state.flush_planned = true;
            let consumer = self.clone();
            tokio::spawn(async move {
                let mut delay = SETTLEMENT_DELAY;
                loop {
                    tokio::time::sleep(delay).await;
                    lock(&consumer.state).flush_planned = false;
                    let Err(error) = consumer.flush().await else { break };
                    let mut state = lock(&consumer.state);
                    if state.closed || state.flush_planned {
                        break;
                    }
                    tracing::warn!(consumer = %consumer.name, %error, "cannot write settlements; they are tried again");
                    state.flush_planned = true;
                    delay = FLUSH_AGAIN;
                }
            });
        }
    }

    async fn flush_in_task(self: &Arc<Self>) -> Result<(), LogError> {
        let consumer = self.clone();
        tokio::spawn(async move { consumer.flush().await }).await.map_err(|_| self.closed())?
    }

    /// Writes the buffer. Not to be dropped half way.
    async fn flush(self: &Arc<Self>) -> Result<(), LogError> {
        let _one = self.flushing.lock().await;
        let writing = self.writing.read().await;
        let (settled, floor) = {
            let mut state = lock(&self.state);
            (std::mem::take(&mut state.buffer), state.progress.floor)
        };
        if !settled.is_empty() {
            let written = self.ledger.settled.append(encode_settled(&settled)).await;
            let mut state = lock(&self.state);
            if let Err(error) = written {
                state.buffer.splice(0..0, settled);
                return Err(error);
            }
            state.entries += 1;
        }
        let (entries, sorted_out) = {
            let state = lock(&self.state);
            (state.entries, state.sorted_out)
        };
        // What was sorted out is needed until a position covers it: after a kill it is sorted again.
        if sorted_out == 0 {
            self.floor.store(floor, Ordering::Release);
        }
        drop(writing);
        let due = entries >= ENTRIES_PER_POSITION || sorted_out >= SORTED_PER_POSITION;
        if due { self.save().await } else { Ok(()) }
    }

    /// Sorts events that are held; what is sorted out is written down with a position now and then.
    pub(super) fn sort(self: &Arc<Self>, until: u64, passing: &[u64]) -> Sequence {
        let mut state = lock(&self.state);
        let (sorted, ended) = state.progress.sort(until, passing);
        state.sorted_out += ended;
        if state.sorted_out >= SORTED_PER_POSITION && !state.closed {
            self.plan_flush(&mut state);
        }
        drop(state);
        if !passing.is_empty() {
            self.changed.notify_waiters();
        }
        Sequence::new(sorted)
    }

    /// Replaces the position. Settlements that are still buffered are part of it.
    async fn save(self: &Arc<Self>) -> Result<(), LogError> {
        let snapshot = {
            let _alone = self.writing.write().await;
            let mut state = lock(&self.state);
            (state.entries, state.sorted_out) = (0, 0);
            (self.ledger.snapshot(&state.progress), state.progress.floor)
        };
        let (consumer, (snapshot, floor)) = (self.clone(), snapshot);
        blocking(&self.name, move || consumer.ledger.save(&snapshot)).await?;
        self.floor.fetch_max(floor, Ordering::AcqRel);
        Ok(())
    }

    /// Writes everything down, and takes no more. The final counters.
    pub(in crate::local) async fn close(self: &Arc<Self>) -> (Result<(), LogError>, Counters) {
        lock(&self.state).closed = true;
        self.changed.notify_waiters();
        let flushed = self.flush().await;
        let saved = self.save().await;
        let consumer = self.clone();
        let ended = blocking(&self.name, move || consumer.ledger.close());
        (flushed.and(saved).and(ended.await), self.counters())
    }

    /// Whether everything settled is on disk.
    #[cfg(test)]
    pub(in crate::local) fn is_written(&self) -> bool {
        let state = lock(&self.state);
        // The floor is told to the topic at the end of a flush; what a flush took from the buffer is under way until then.
        state.buffer.is_empty()
            && !state.flush_planned
            && self.floor.load(Ordering::Acquire) == state.progress.floor
            && self.flushing.try_lock().is_ok()
    }

    fn not_leased(&self, sequence: Sequence) -> LogError {
        LogError::NotLeased { sequence, consumer: self.name.clone() }
    }
}
