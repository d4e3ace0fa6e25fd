//! What a node does when it is told to stop. Separate because `dev` and `serve` are told alike.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that the first SIGTERM or SIGINT cancels. The second ends the process at once: whoever asks twice does not want
/// to wait for what is in flight.
///
/// # Errors
/// The system lets nobody wait for signals.
pub(super) fn shutdown() -> std::io::Result<CancellationToken> {
    let shutdown = CancellationToken::new();
    let mut signals = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    let stop = shutdown.clone();
    tokio::spawn(async move {
        let [terminate, interrupt] = &mut signals;
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        stop.cancel();
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        std::process::exit(i32::from(super::INTERRUPTED));
    });
    Ok(shutdown)
}
