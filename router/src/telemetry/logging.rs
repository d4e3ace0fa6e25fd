//! The node's own log: structured lines on standard error, for people by default. `RUST_LOG` narrows or widens it as
//! everywhere in Rust.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Starts the log. `access` adds a line for each call that was let through; refusals are always written.
pub fn start(access: bool) {
    let directives = if access { "info" } else { "info,weft::access=off" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(directives));
    let terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal);
    // A second start, as in tests that run several nodes in one process, keeps the first.
    let _ = lines.try_init();
}
