//! Says in the log why handshakes were refused, without letting whoever causes them fill it. Separate because that limit is
//! the log's and not the handshake's.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lines within [`WINDOW`]; what comes beyond is counted and said once.
const LINES_MAX: usize = 20;
const WINDOW: Duration = Duration::from_secs(1);

/// Longest reason that is written, in bytes. Ours are shorter; rustls quotes no more than names.
const REASON_BYTES: usize = 300;

/// Counts lines.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Option<Window>>);

#[derive(Debug)]
struct Window {
    began: Instant,
    lines: usize,
}

impl Refusals {
    /// Writes a line, unless there were too many within the last second.
    pub(super) fn note(&self, peer: SocketAddr, reason: &str) {
        let (write, left_out) = self.count();
        if left_out > 0 {
            tracing::warn!(left_out, "more TLS handshakes were refused than are written here");
        }
        if write {
            let reason: String = reason.chars().flat_map(char::escape_debug).take(REASON_BYTES).collect();
            tracing::info!(%peer, %reason, "refused a TLS handshake");
        }
    }

    /// Whether to write this one, and how many before it were not.
    fn count(&self) -> (bool, usize) {
        let now = Instant::now();
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left_out = match &*window {
            Some(last) if now < last.began + WINDOW => None,
            Some(last) => Some(last.lines.saturating_sub(LINES_MAX)),
            None => Some(0),
        };
        if let Some(left_out) = left_out {
            *window = Some(Window { began: now, lines: 1 });
            return (true, left_out);
        }
        let lines = window.as_mut().map_or(0, |window| {
            window.lines += 1;
            window.lines
        });
        (lines <= LINES_MAX, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_counted_and_not_written() {
        let refusals = Refusals::default();
        let written = (0..100).filter(|_| refusals.count().0).count();
        assert_eq!(written, LINES_MAX);
        tokio::time::advance(WINDOW).await;
        assert_eq!(refusals.count(), (true, 80));
        assert_eq!(refusals.count(), (true, 0));
    }
}
