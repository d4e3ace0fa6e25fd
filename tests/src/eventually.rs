//! The only way to wait: for a condition, with a deadline. A test that slept for a time would be slow on a fast machine
//! and wrong on a slow one.

use std::time::Duration;

use tokio::time::Instant;

/// How long a condition may take to become true. Far longer than anything should: a machine that builds at the same time
/// stretches everything, and a test that passes never waits so long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(10);

/// Waits until `condition` gives a value, and panics with `what` after [`PATIENCE`].
pub async fn eventually<T>(what: &str, condition: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, condition).await
}

/// Waits until `condition` gives a value, and panics with `what` after `deadline`.
pub async fn eventually_within<T>(deadline: Duration, what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < end, "waited {} s in vain for: {what}", deadline.as_secs());
        tokio::time::sleep(STEP).await;
    }
}
