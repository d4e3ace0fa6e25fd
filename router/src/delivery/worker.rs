//! One trigger's worker: keeps at most `inFlight` attempts going, within the node's byte budget, and settles each as it
//! ends. While the trigger's circuit is open it makes none, and ends what grows too old. Holds the waiting and no
//! decisions.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weft_eventlog::{Consumer, Lease, LogError, Settlement};

use super::budget::Budget;
use super::lane::Lane;
use super::{attempt, retry};
use crate::path::circuit::Pass;

/// How long a worker waits after the log failed, before it asks again. A disk that is full or broken stays so for a
/// while; the log itself says in its own lines what is wrong.
const LOG_PAUSE: Duration = Duration::from_secs(1);

/// While the circuit is open: how often at least the oldest events are looked at, which may have become too old, and how
/// often at most.
const SWEEP_EVERY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_millis(20));

/// Events that are looked at then.
const SWEEP_EVENTS: usize = 16;

/// A trigger at work.
pub(super) struct Worker {
    lane: Lane,
    slots: Arc<Semaphore>,
    budget: Arc<Budget>,
}

/// A leased event with what its attempt needs.
struct Ready {
    lease: Lease,
    slot: OwnedSemaphorePermit,
    pass: Pass,
}

impl Worker {
    pub(super) fn new(lane: Lane, budget: Arc<Budget>) -> Self {
        let slots = Arc::new(Semaphore::new(lane.in_flight()));
        Self { lane, slots, budget }
    }

    /// Leases and delivers until `stop`; then waits for what is in flight.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut attempts = JoinSet::new();
        loop {
            let turn = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                turn = self.turn() => turn,
            };
            match turn {
                Ok(ready) => {
                    for ready in ready {
                        self.start(&mut attempts, ready, &stop).await;
                    }
                }
                Err(error) => {
                    tracing::error!(trigger = %self.lane.trigger.name, %error, "cannot lease events; trying again");
                    tokio::select! { () = stop.cancelled() => break, () = tokio::time::sleep(LOG_PAUSE) => {} }
                }
            }
            while let Some(ended) = attempts.try_join_next() {
                self.note(ended);
            }
        }
        while let Some(ended) = attempts.join_next().await {
            self.note(ended);
        }
    }

    fn note(&self, ended: Result<(), JoinError>) {
        if let Err(error) = ended {
            tracing::error!(trigger = %self.lane.trigger.name, %error, "an attempt ended in a defect of weft; please report it");
        }
    }

    /// What can be started next: waits for a free slot, the circuit and an event.
    async fn turn(&self) -> Result<Vec<Ready>, LogError> {
        // The semaphore is never closed, so an error cannot come; no lease is taken if it did.
        let Ok(first) = self.slots.clone().acquire_owned().await else { return Ok(Vec::new()) };
        self.lane.turn().await;
        let single = self.admitted().await?;
        let mut slots = vec![first];
        while !single && let Ok(slot) = self.slots.clone().try_acquire_owned() {
            slots.push(slot);
        }
        let leases = self.lane.lease(slots.len()).await?;
        let mut ready = Vec::with_capacity(leases.len());
        for (lease, slot) in leases.into_iter().zip(slots) {
            match self.lane.trigger.circuit.enter(Instant::now()) {
                Ok(pass) => ready.push(Ready { lease, slot, pass }),
                // It opened while this waited for an event.
                Err(_) => self.lane.consumer.release(&lease),
            }
        }
        Ok(ready)
    }

    /// Waits until the circuit lets attempts be made, and says whether only one; until then, ends what grows too old.
    async fn admitted(&self) -> Result<bool, LogError> {
        loop {
            let changed = self.lane.trigger.circuit.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let until = match self.lane.trigger.circuit.look(Instant::now()) {
                Ok(single) => return Ok(single),
                Err(until) => until,
            };
            let over = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed => {}
                () = over => {}
                failed = self.sweep() => return Err(failed),
            }
        }
    }

    /// Ends events that need no attempt, as their time comes; goes on until the log fails. May be dropped at any time.
    async fn sweep(&self) -> LogError {
        loop {
            let leases = match self.lane.lease(SWEEP_EVENTS).await {
                Ok(leases) => leases,
                Err(error) => return error,
            };
            let held: Vec<_> =
                leases.iter().map(|lease| HeldLease { consumer: self.lane.consumer.as_ref(), lease }).collect();
            let (mut ended, mut wait) = (false, SWEEP_EVERY.0);
            for lease in &leases {
                match attempt::without_call(&self.lane, lease) {
                    Ok(settlement) => {
                        ended = true;
                        if let Err(error) = self.lane.consumer.settle(lease, settlement).await {
                            return error;
                        }
                    }
                    Err(left) => wait = wait.min(left.unwrap_or(wait)),
                }
            }
            drop(held);
            if !ended {
                tokio::time::sleep(wait.max(SWEEP_EVERY.1)).await;
            }
        }
    }

    async fn start(&self, attempts: &mut JoinSet<()>, ready: Ready, stop: &CancellationToken) {
        let Ready { lease, slot, pass } = ready;
        let kib = lease.record.body.len() / 1024 + 1;
        let room = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            room = self.budget.take(&self.lane.trigger.name, kib) => room,
        };
        let Some(room) = room else {
            self.lane.consumer.release(&lease);
            return;
        };
        let (lane, stop) = (self.lane.clone(), stop.clone());
        attempts.spawn(async move {
            let _held = (slot, room);
            // Dropped also when the attempt panics: the event is handed out again then, and not held for ever.
            let held = HeldLease { consumer: lane.consumer.as_ref(), lease: &lease };
            let attempt::Verdict { settlement, finding, after } = attempt::run(&lane, &lease).await;
            let wait = |openings| {
                let jitter = retry::jitter(lane.parts.seed, lease.record.sequence.get(), openings);
                retry::pause(&lane.trigger.resource.spec.delivery, openings, after, jitter)
            };
            pass.report(finding, Instant::now(), wait);
            settle(&lane, &lease, settlement, &stop).await;
            drop(held);
        });
    }
}

/// Gives the event back when it is dropped; an event that was settled meanwhile is not held, and that does nothing.
struct HeldLease<'a> {
    consumer: &'a dyn Consumer,
    lease: &'a Lease,
}

impl Drop for HeldLease<'_> {
    fn drop(&mut self) {
        self.consumer.release(self.lease);
    }
}

/// Settles until it is settled: an event that was delivered and is not settled would be delivered again. Its slot stays
/// taken meanwhile, so a log that cannot be written slows delivery down. A worker that was stopped tries once.
async fn settle(lane: &Lane, lease: &Lease, settlement: Settlement, stop: &CancellationToken) {
    loop {
        match lane.consumer.settle(lease, settlement.clone()).await {
            Ok(()) => return,
            // The trigger was deleted meanwhile; the event counts as cancelled.
            Err(LogError::Closed { .. }) => return,
            Err(error) => {
                let sequence = lease.record.sequence;
                tracing::error!(trigger = %lane.trigger.name, %sequence, %error, "cannot settle an event; trying again");
            }
        }
        tokio::select! { () = stop.cancelled() => return, () = tokio::time::sleep(LOG_PAUSE) => {} }
    }
}
