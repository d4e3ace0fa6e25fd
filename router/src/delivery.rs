//! From a topic to calls: one worker per trigger leases events, turns each into a [`Call`](crate::path::call::Call) with
//! the publisher's identity, and settles it by what the call came to. This file starts and stops workers as triggers
//! come, change and go; it is separate from the workers because a worker knows its own trigger only.

mod attempt;
mod budget;
mod dead_letter;
mod handshake;
mod lane;
mod reply;
mod report;
pub mod retry;
mod rights;
mod sending;
mod sorter;
mod terms;
mod worker;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weft_eventlog::Clock;
use weft_functions::trigger::Destination;
use weft_functions::value::Namespaced;

use self::budget::{Budget, IN_FLIGHT_KIB};
use self::lane::Lane;
use crate::path::again::Kind;
use crate::path::call::Call;
use crate::path::record::Answer;
use crate::path::snapshot::{DeployedTrigger, Snapshot};
use crate::path::{Mesh, pipeline};
use crate::telemetry::metrics::Metrics;

/// What workers share.
pub struct Parts {
    /// What is deployed, and how kept events say who stands behind them.
    pub mesh: Arc<Mesh>,
    /// The way through the mesh.
    pub calls: Arc<dyn Calls>,
    /// The time that due times are written in.
    pub clock: Arc<dyn Clock>,
    /// Where replies without a place are counted.
    pub metrics: Arc<Metrics>,
    /// Where retries get their jitter from.
    pub seed: u64,
    /// Whether a `url:` may lie on a loopback address (`weft dev`).
    pub reach_loopback: bool,
}

/// Where calls go: through the pipeline, or where a test wants them.
pub trait Calls: Send + Sync {
    /// Judges, opens, classifies and records one call.
    fn handle(&self, call: Call) -> BoxFuture<'_, Answer>;

    /// Judges and records one call that opens nothing.
    fn ask(&self, call: Call) -> BoxFuture<'_, Answer>;
}

/// The pipeline of this mesh.
pub struct Pipeline(pub Arc<Mesh>);

impl Calls for Pipeline {
    fn handle(&self, call: Call) -> BoxFuture<'_, Answer> {
        Box::pin(pipeline::handle(&self.0, call))
    }

    fn ask(&self, call: Call) -> BoxFuture<'_, Answer> {
        Box::pin(pipeline::ask(&self.0, call))
    }
}

/// All workers of the node.
pub struct Deliveries {
    parts: Arc<Parts>,
    budget: Arc<Budget>,
    workers: Mutex<HashMap<Namespaced, Running>>,
    /// Of topics with many triggers.
    sorters: Mutex<HashMap<Namespaced, sorter::Running>>,
    /// Stopped workers that still have attempts in flight.
    ending: Mutex<JoinSet<()>>,
}

struct Running {
    trigger: Arc<DeployedTrigger>,
    /// The revision of the trigger's function that took calls last.
    revision: Option<String>,
    stop: CancellationToken,
    live: Lane,
    /// One for each lane that is there.
    tasks: HashMap<Option<Kind>, JoinHandle<()>>,
}

impl Deliveries {
    /// No workers yet.
    pub fn new(parts: Parts) -> Self {
        let budget = Budget::new(IN_FLIGHT_KIB);
        Self {
            parts: Arc::new(parts),
            budget,
            workers: Mutex::default(),
            sorters: Mutex::default(),
            ending: Mutex::default(),
        }
    }

    /// Makes the workers those of `snapshot`: starts new ones, stops those whose trigger is gone, and replaces those
    /// whose trigger changed. A trigger that is paused tries a new revision of its function at once. A stopped worker
    /// leases no more and finishes what it holds by the settings it had, which nobody waits for: an event is leased to
    /// one of the two only.
    pub fn reconcile(&self, snapshot: &Snapshot) {
        self.stop(|name, running| {
            snapshot.triggers.get(name).is_none_or(|trigger| !Arc::ptr_eq(trigger, &running.trigger))
        });
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, trigger) in &snapshot.triggers {
            let revision = revision(snapshot, trigger);
            let running = workers.entry(name.clone()).or_insert_with(|| self.start(trigger, revision.clone()));
            if running.revision != revision {
                trigger.circuit.half_open(Instant::now());
                running.revision = revision;
            }
            self.start_lanes(running);
        }
        drop(workers);
        self.sort(snapshot);
    }

    /// Serves the lanes that triggers have got meanwhile.
    pub fn serve_lanes(&self) {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.values_mut().for_each(|running| self.start_lanes(running));
    }

    /// Makes the sorters those of `snapshot`: one for each topic with many triggers.
    fn sort(&self, snapshot: &Snapshot) {
        let mut by_topic: HashMap<&Namespaced, Vec<Arc<DeployedTrigger>>> = HashMap::new();
        for trigger in snapshot.triggers.values() {
            by_topic.entry(&trigger.topic).or_default().push(trigger.clone());
        }
        by_topic.retain(|_, triggers| triggers.len() >= sorter::SORTED_FROM);
        let mut sorters = self.sorters.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ending = self.ending();
        for (_, running) in sorters.extract_if(|topic, _| !by_topic.contains_key(topic)) {
            ending.spawn(running.release());
        }
        for (name, triggers) in by_topic {
            let Some(topic) = snapshot.topics.get(name) else { continue };
            if sorters.get(name).is_some_and(|running| running.is_for(&triggers)) {
                continue;
            }
            let before = sorters.remove(name);
            sorters.insert(name.clone(), sorter::Running::start(topic.log.clone(), triggers, before));
        }
    }

    /// Stops leasing at once, waits until what is in flight is settled, and gives up after `patience`.
    pub async fn drain(&self, patience: Duration) {
        self.stop(|_, _| true);
        let mut ending = std::mem::take(&mut *self.ending());
        for (_, running) in self.sorters.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            ending.spawn(running.end());
        }
        // A worker that panicked has said so in the log; its leases come back when the consumer is opened again.
        let all = async { while ending.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::warn!("deliveries were still in flight when the drain ended; they will be delivered again");
        }
    }

    fn start(&self, trigger: &Arc<DeployedTrigger>, revision: Option<String>) -> Running {
        let stop = CancellationToken::new();
        let live = Lane::live(self.parts.clone(), trigger.clone());
        Running { trigger: trigger.clone(), revision, stop, live, tasks: HashMap::new() }
    }

    /// Starts the workers of those lanes that have none.
    fn start_lanes(&self, running: &mut Running) {
        let Running { live, tasks, stop, .. } = running;
        for kind in std::iter::once(None).chain(Kind::ALL.map(Some)) {
            if tasks.contains_key(&kind) {
                continue;
            }
            let lane = kind.map_or_else(|| Some(live.clone()), |kind| live.other(kind));
            let Some(lane) = lane else { continue };
            let worker = worker::Worker::new(lane, self.budget.clone());
            tasks.insert(kind, tokio::spawn(worker.run(stop.clone())));
        }
    }

    fn stop(&self, which: impl Fn(&Namespaced, &Running) -> bool) {
        let mut workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ending = self.ending();
        while ending.try_join_next().is_some() {}
        for (_, running) in workers.extract_if(|name, running| which(name, running)) {
            running.stop.cancel();
            for task in running.tasks.into_values() {
                ending.spawn(async move {
                    let _ = task.await;
                });
            }
        }
    }

    fn ending(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The revision that takes the trigger's events.
fn revision(snapshot: &Snapshot, trigger: &DeployedTrigger) -> Option<String> {
    match &trigger.resource.spec.destination {
        Destination::Function { function, .. } => {
            snapshot.functions.get(function).map(|function| function.revision.name().to_owned())
        }
        Destination::Url(_) => None,
    }
}
