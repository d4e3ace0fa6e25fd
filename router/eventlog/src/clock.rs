//! Where wall-clock time enters. It is a file of its own because it is the only one that may ask the system for the
//! time: everything else takes a [`Clock`], so that tests and simulations decide what time it is.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time of day. It may jump in either direction; nothing that orders or waits relies on it.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    fn now_ms(&self) -> u64 {
        // A clock before 1970 reads as the epoch, one beyond the year 584 million as the end of time.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}
