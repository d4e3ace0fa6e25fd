//! Knows whether a connection is idle. Separate because two see what is going on: the gate sees a request's head coming,
//! the service sees the request until its answer's end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Whether a connection has requests in flight, and since when it has none.
#[derive(Debug)]
pub(crate) struct Activity {
    in_flight: AtomicUsize,
    started: Instant,
    /// Milliseconds from `started` to the end of the last request.
    last_end: AtomicU64,
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self { in_flight: AtomicUsize::new(0), started: Instant::now(), last_end: AtomicU64::new(0) }
    }

    /// Returns once nothing has been in flight for `limit`.
    pub(crate) async fn idle_for(&self, limit: Duration) {
        loop {
            let now = Instant::now();
            let idle_from = match self.in_flight.load(Ordering::Acquire) {
                0 => self.started + Duration::from_millis(self.last_end.load(Ordering::Acquire)),
                _ => now,
            };
            if now >= idle_from + limit {
                return;
            }
            sleep_until(idle_from + limit).await;
        }
    }
}

/// Counts a request as in flight while it exists.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Activity>);

impl InFlight {
    pub(crate) fn enter(activity: &Arc<Activity>) -> Self {
        activity.in_flight.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(activity))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let end = u64::try_from(self.0.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.last_end.store(end, Ordering::Release);
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}
