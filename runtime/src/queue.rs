//! Who waits, and for how long: a bounded queue, first come first served, in front of a function's concurrent calls.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::InvokeError;

/// Places for concurrent calls, and the calls that wait for one.
#[derive(Debug)]
pub(crate) struct Queue {
    places: Arc<Semaphore>,
    waiting: AtomicU32,
    waiting_max: u32,
    loading: AtomicU32,
}

/// A place among the concurrent calls, for as long as it is held.
pub(crate) type Place = OwnedSemaphorePermit;

/// Counts one waiting call for as long as it is held.
pub(crate) struct Waiting<'a>(&'a AtomicU32);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Queue {
    /// `max` calls at once, and `waiting_max` that wait.
    pub(crate) fn new(max: u32, waiting_max: u32) -> Self {
        let max = usize::try_from(max.max(1)).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        Self {
            places: Arc::new(Semaphore::new(max)),
            waiting: AtomicU32::new(0),
            waiting_max,
            loading: AtomicU32::new(0),
        }
    }

    /// How many calls wait, for a place or with one for the load.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed) + self.loading.load(Ordering::Relaxed)
    }

    /// Places that nobody has.
    pub(crate) fn free(&self) -> u32 {
        u32::try_from(self.places.available_permits()).unwrap_or(u32::MAX)
    }

    /// Takes a place, after those who came before.
    pub(crate) async fn enter(&self, deadline: Instant) -> Result<Place, InvokeError> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Ok(place);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= self.waiting_max {
            return Err(InvokeError::QueueFull);
        }
        match timeout_at(deadline, self.places.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_closed)) => Err(InvokeError::Retired),
            Err(_elapsed) => Err(InvokeError::QueueTimeout),
        }
    }

    /// Counts a call that has a place and waits for the load.
    pub(crate) fn wait_for_load(&self) -> Waiting<'_> {
        self.loading.fetch_add(1, Ordering::Relaxed);
        Waiting(&self.loading)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, time::Duration};

    use futures_util::FutureExt;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test(start_paused = true)]
    async fn calls_wait_in_order_and_beyond_the_limit_they_are_refused_at_once() {
        let queue = Queue::new(1, 2);
        let first = queue.enter(soon()).await.unwrap();
        let mut second = pin!(queue.enter(soon()));
        let mut third = pin!(queue.enter(soon()));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        assert_eq!(queue.waiting(), 2);
        assert_eq!(queue.enter(soon()).await.unwrap_err(), InvokeError::QueueFull);
        drop(first);
        assert!(third.as_mut().now_or_never().is_none(), "the third may not pass the second");
        let place = second.await.unwrap();
        drop(place);
        drop(third.await.unwrap());
        assert_eq!(queue.waiting(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_until_its_deadline_and_leaves_no_trace() {
        let queue = Queue::new(1, 1);
        let _held = queue.enter(soon()).await.unwrap();
        assert_eq!(queue.enter(soon()).await.unwrap_err(), InvokeError::QueueTimeout);
        assert_eq!(queue.waiting(), 0);
    }

    #[tokio::test]
    async fn a_call_that_gives_up_makes_room() {
        let queue = Queue::new(1, 1);
        let _held = queue.enter(soon()).await.unwrap();
        {
            let mut given_up = pin!(queue.enter(soon()));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(given_up.as_mut().poll(&mut context).is_pending());
        }
        assert_eq!(queue.waiting(), 0);
    }
}
