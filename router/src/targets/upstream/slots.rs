//! How many calls of one namespace may be on their way out at once, so that one tenant leaves the others connections,
//! file descriptors and the resolver. Who waits for a place waits no longer than for a connection.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};
use weft_functions::value::Name;

use super::CONNECT_TIMEOUT;
use crate::path::outcome::{Failure, Reason};

/// Calls of one namespace on their way out at once (`threats.md` section 7).
pub(super) const SLOTS_PER_NAMESPACE: usize = 64;

/// A place; free again when it is dropped.
pub(super) type Slot = OwnedSemaphorePermit;

/// The places of every namespace that has calls on their way.
#[derive(Debug, Default)]
pub(super) struct Slots {
    by_namespace: Mutex<HashMap<Name, Arc<Semaphore>>>,
}

impl Slots {
    /// A place for a call of `namespace`, if one gets free in time.
    pub(super) async fn take(&self, namespace: &Name, deadline: Instant) -> Result<Slot, Failure> {
        let places = self.places(namespace);
        let patience = deadline.min(Instant::now() + CONNECT_TIMEOUT);
        match timeout_at(patience, places.acquire_owned()).await {
            Ok(Ok(slot)) => Ok(slot),
            _ => {
                let log = format!("namespace {namespace} has {SLOTS_PER_NAMESPACE} calls on their way out");
                Err(Failure::hidden(Reason::LimitEgress, log))
            }
        }
    }

    fn places(&self, namespace: &Name) -> Arc<Semaphore> {
        let mut known = self.by_namespace.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = known.get(namespace) {
            return places.clone();
        }
        // Namespaces come and go; one with nothing on its way needs no memory.
        known.retain(|_, places| Arc::strong_count(places) > 1);
        known.entry(namespace.clone()).or_insert_with(|| Arc::new(Semaphore::new(SLOTS_PER_NAMESPACE))).clone()
    }
}

/// A body that keeps its call's place until it is over.
pub(super) struct Held<B> {
    body: B,
    slot: Option<Slot>,
}

impl<B> Held<B> {
    pub(super) fn new(body: B, slot: Slot) -> Self {
        Self { body, slot: Some(slot) }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Held<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.slot = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_namespace_has_its_places_and_no_more() {
        let slots = Slots::default();
        let (shop, other): (Name, Name) = ("shop".parse().expect("a name"), "other".parse().expect("a name"));
        let soon = || Instant::now() + Duration::from_secs(1);
        let mut taken = Vec::new();
        for _ in 0..SLOTS_PER_NAMESPACE {
            taken.push(slots.take(&shop, soon()).await.expect("a place"));
        }
        let refused = slots.take(&shop, soon()).await.expect_err("full");
        assert_eq!(refused.reason, Reason::LimitEgress);
        let _another = slots.take(&other, soon()).await.expect("another namespace has its own");
        taken.pop();
        taken.push(slots.take(&shop, soon()).await.expect("a place that got free"));
        drop(taken);
        let _third = slots.take(&"third".parse().expect("a name"), soon()).await;
        assert!(!slots.by_namespace.lock().expect("not poisoned").contains_key(&shop), "what is idle is forgotten");
    }
}
