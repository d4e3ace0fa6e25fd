//! What a worker delivers: the live events of a trigger, or those that it gets once more. A lane of the latter has attempts of
//! its own and is served only while no live event waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use weft_eventlog::{Consumer, Lease, LogError};

use super::Parts;
use super::handshake::Handshake;
use crate::path::again::Kind;
use crate::path::snapshot::DeployedTrigger;

/// A part of the live attempts that events may have that come once more.
const SHARE: u32 = 4;

/// How long the live lane waits for an event before it has none: longer than reading one takes.
const IDLE_AFTER: Duration = Duration::from_millis(2);

/// Events of a trigger on their way.
#[derive(Clone)]
pub(super) struct Lane {
    pub(super) parts: Arc<Parts>,
    pub(super) trigger: Arc<DeployedTrigger>,
    pub(super) handshake: Arc<Handshake>,
    pub(super) consumer: Arc<dyn Consumer>,
    /// Why its events come again; `None` for live ones.
    pub(super) kind: Option<Kind>,
    /// Whether the live lane has nothing to hand out. All lanes of a trigger share it.
    idle: Arc<watch::Sender<bool>>,
}

impl Lane {
    /// The live lane of a trigger.
    pub(super) fn live(parts: Arc<Parts>, trigger: Arc<DeployedTrigger>) -> Self {
        let (consumer, handshake, idle) = (trigger.consumer.clone(), Arc::default(), Arc::default());
        Self { parts, trigger, handshake, consumer, kind: None, idle }
    }

    /// Another lane of the same trigger, if it is there.
    pub(super) fn other(&self, kind: Kind) -> Option<Self> {
        let consumer = self.trigger.again.lane(kind)?.consumer.clone();
        Some(Self { consumer, kind: Some(kind), ..self.clone() })
    }

    /// How many attempts it may have under way.
    pub(super) fn in_flight(&self) -> usize {
        let live = self.trigger.resource.spec.delivery.in_flight;
        let own = if self.kind.is_some() { live.div_ceil(SHARE) } else { live };
        own as usize
    }

    /// Waits until it is this lane's turn.
    pub(super) async fn turn(&self) {
        if self.kind.is_some() {
            // The sender is here too, so it is not gone.
            let mut idle = self.idle.subscribe();
            drop(idle.wait_for(|idle| *idle).await);
        }
    }

    /// Hands out between one and `max` events.
    pub(super) async fn lease(&self, max: usize) -> Result<Vec<Lease>, LogError> {
        let ordered = self.trigger.resource.spec.delivery.ordered;
        let lease =
            async { if ordered { self.consumer.lease_in_order(max).await } else { self.consumer.lease(max).await } };
        if self.kind.is_some() {
            return lease.await;
        }
        tokio::pin!(lease);
        tokio::select! {
            biased;
            leases = &mut lease => return leases,
            () = tokio::time::sleep(IDLE_AFTER) => {}
        }
        // While the live lane waits for an event, the others may go.
        let waits = Waits::begin(&self.idle);
        let leases = lease.await;
        drop(waits);
        leases
    }
}

/// Says that the live lane has nothing to hand out, until it is dropped.
struct Waits<'a>(&'a watch::Sender<bool>);

impl<'a> Waits<'a> {
    fn begin(idle: &'a watch::Sender<bool>) -> Self {
        idle.send_replace(true);
        Self(idle)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}
