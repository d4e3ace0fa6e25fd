//! Which decisions are worth keeping beyond a restart: refusals and failures, and of those so many a second. Whoever
//! writes them down takes their numbers from here; the path never waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::outcome::{Outcome, Reason};
use crate::telemetry::metrics::Metrics;

/// Decisions a second that are written down. A burst of refusals says the same over and over, and a disk has better to do.
pub const PER_SECOND: u64 = 50;

/// Numbers that wait to be written: some seconds of a disk that is slow.
const WAITING: usize = 256;

/// Where the numbers of refused and failed decisions go.
pub struct Refusals {
    sender: mpsc::Sender<u64>,
    /// The second, and how many were offered in it.
    window: AtomicU64,
    metrics: Arc<Metrics>,
}

impl Refusals {
    /// The end that offers, and the one that writes. What is not taken is counted in `metrics`.
    pub fn new(metrics: Arc<Metrics>) -> (Self, mpsc::Receiver<u64>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { sender, window: AtomicU64::new(0), metrics }, receiver)
    }

    /// Offers a decision that was made at `at_ms` and came to `outcome`.
    pub fn offer(&self, number: u64, at_ms: u64, outcome: &Outcome) {
        let Some(failure) = &outcome.failure else { return };
        // Whoever leaves was neither refused nor failed by anybody.
        if failure.reason == Reason::CallerGone {
            return;
        }
        if !self.has_room(at_ms / 1000) || self.sender.try_send(number).is_err() {
            self.metrics.decision_not_logged();
        }
    }

    fn has_room(&self, second: u64) -> bool {
        /// Bits for the count; the rest hold the second.
        const COUNT: u32 = 24;
        let add = |window: u64| {
            let same = window >> COUNT == second & (u64::MAX >> COUNT);
            Some(if same { window.saturating_add(1) } else { (second << COUNT) | 1 })
        };
        // The closure always gives a value.
        let before = self.window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).unwrap_or(0);
        let count = add(before).unwrap_or(0) & ((1 << COUNT) - 1);
        count <= PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::outcome::Failure;

    #[test]
    fn refusals_go_so_many_a_second_and_success_never() {
        let metrics = Arc::new(Metrics::new().expect("metrics"));
        let (refusals, mut receiver) = Refusals::new(metrics.clone());
        let outcome = |reason| Outcome::classify::<()>(&Err(Failure::hidden(reason, "")));
        let mut taken = || std::iter::from_fn(|| receiver.try_recv().ok()).count() as u64;
        refusals.offer(0, 0, &Outcome::classify(&Ok(http::Response::new(()))));
        refusals.offer(0, 0, &outcome(Reason::CallerGone));
        assert_eq!(taken(), 0);
        for number in 0..PER_SECOND * 2 {
            refusals.offer(number, 1_700_000_000_500, &outcome(Reason::AuthzNoAllow));
        }
        assert_eq!(taken(), PER_SECOND);
        refusals.offer(1, 1_700_000_000_999, &outcome(Reason::FnTrap));
        refusals.offer(2, 1_700_000_001_000, &outcome(Reason::FnTrap));
        assert_eq!(taken(), 1, "the next second");
        // A writer that is stuck holds nobody up.
        for second in 2..20 {
            for number in 0..PER_SECOND {
                refusals.offer(number, second * 1000, &outcome(Reason::RouteNone));
            }
        }
        assert_eq!(taken(), WAITING as u64);
        let lost = PER_SECOND + 1 + 18 * PER_SECOND - WAITING as u64;
        let empty = crate::path::fixture::snapshot(1, crate::path::policy::Default::Allow, "");
        let text = metrics.render(&empty);
        assert!(text.contains(&format!("weft_decisions_unlogged_total {lost}\n")), "{text}");
    }
}
