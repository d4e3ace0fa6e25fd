//! One trigger's worker: keeps at most `inFlight` attempts going, within the node's byte budget, and settles each as it
//! ends. Holds the waiting and no decisions.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use weft_eventlog::{Lease, LogError, Settlement};

use super::{IN_FLIGHT_KIB, Parts, attempt};
use crate::path::snapshot::DeployedTrigger;

/// How long a worker waits after the log failed, before it asks again. A disk that is full or broken stays so for a
/// while; the log itself says in its own lines what is wrong.
const LOG_PAUSE: Duration = Duration::from_secs(1);

/// A trigger at work.
pub(super) struct Worker {
    parts: Arc<Parts>,
    trigger: Arc<DeployedTrigger>,
    slots: Arc<Semaphore>,
    budget: Arc<Semaphore>,
}

impl Worker {
    pub(super) fn new(parts: Arc<Parts>, trigger: Arc<DeployedTrigger>, budget: Arc<Semaphore>) -> Self {
        let slots = Arc::new(Semaphore::new(trigger.resource.spec.delivery.in_flight as usize));
        Self { parts, trigger, slots, budget }
    }

    /// Leases and delivers until `stop`; then waits for what is in flight.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut attempts = JoinSet::new();
        loop {
            let leased = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                leased = self.lease() => leased,
            };
            match leased {
                Ok(leased) => {
                    for (lease, slot) in leased {
                        self.start(&mut attempts, lease, slot, &stop).await;
                    }
                }
                Err(error) => {
                    tracing::error!(trigger = %self.trigger.name, %error, "cannot lease events; trying again");
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
            tracing::error!(trigger = %self.trigger.name, %error, "an attempt ended in a defect of weft; please report it");
        }
    }

    /// As many events as there are free slots, each with its slot; waits for the first of either.
    async fn lease(&self) -> Result<Vec<(Lease, OwnedSemaphorePermit)>, LogError> {
        // The semaphore is never closed, so an error cannot come; no lease is taken if it did.
        let Ok(first) = self.slots.clone().acquire_owned().await else { return Ok(Vec::new()) };
        let mut slots = vec![first];
        while let Ok(slot) = self.slots.clone().try_acquire_owned() {
            slots.push(slot);
        }
        let leases = self.trigger.consumer.lease(slots.len()).await?;
        Ok(leases.into_iter().zip(slots).collect())
    }

    async fn start(
        &self,
        attempts: &mut JoinSet<()>,
        lease: Lease,
        slot: OwnedSemaphorePermit,
        stop: &CancellationToken,
    ) {
        let kib = (lease.record.body.len() / 1024 + 1).min(IN_FLIGHT_KIB) as u32;
        let room = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            room = self.budget.clone().acquire_many_owned(kib) => room.ok(),
        };
        let Some(room) = room else {
            self.trigger.consumer.release(&lease);
            return;
        };
        let (parts, trigger, stop) = (self.parts.clone(), self.trigger.clone(), stop.clone());
        attempts.spawn(async move {
            let _held = (slot, room);
            // Dropped also when the attempt panics: the event is handed out again then, and not held for ever.
            let held = HeldLease { trigger: &trigger, lease: &lease };
            let settlement = attempt::run(&parts, &trigger, &lease).await;
            settle(&trigger, &lease, settlement, &stop).await;
            drop(held);
        });
    }
}

/// Gives the event back when it is dropped; an event that was settled meanwhile is not held, and that does nothing.
struct HeldLease<'a> {
    trigger: &'a DeployedTrigger,
    lease: &'a Lease,
}

impl Drop for HeldLease<'_> {
    fn drop(&mut self) {
        self.trigger.consumer.release(self.lease);
    }
}

/// Settles until it is settled: an event that was delivered and is not settled would be delivered again. Its slot stays
/// taken meanwhile, so a log that cannot be written slows delivery down. A worker that was stopped tries once.
async fn settle(trigger: &DeployedTrigger, lease: &Lease, settlement: Settlement, stop: &CancellationToken) {
    loop {
        match trigger.consumer.settle(lease, settlement.clone()).await {
            Ok(()) => return,
            // The trigger was deleted meanwhile; the event counts as cancelled.
            Err(LogError::Closed { .. }) => return,
            Err(error) => {
                let sequence = lease.record.sequence;
                tracing::error!(trigger = %trigger.name, %sequence, %error, "cannot settle an event; trying again");
            }
        }
        tokio::select! { () = stop.cancelled() => return, () = tokio::time::sleep(LOG_PAUSE) => {} }
    }
}
