//! The edge: from bytes on a socket to one checked request.
//!
//! Nothing here knows identities, policy or functions. It answers a single question: do these bytes mean one request, and
//! the same request to everybody who may read them? If not, they are refused, never repaired (design, invariant 4).
//!
//! ```text
//! listener ─► connection ─► gate ─────────► hyper ─► Handler (ingress)
//!  limits      idle, drain   raw_head,                canonical, body
//!                            framing, chunks
//! ```
//!
//! The gate looks at the raw bytes because hyper hides some ambiguities; `canonical` looks at what hyper parsed, for
//! HTTP/1 and HTTP/2 alike.
//!
//! Accepted leniencies, and why none of them survives as a second meaning:
//! - up to four empty lines before a request line: hyper drops them;
//! - leading zeros in Content-Length and chunk sizes: one number to every reader that reads decimal and hex;
//! - chunk extensions of the RFC's grammar without white space: hyper drops them;
//! - bytes above 0x7f in header values: opaque, and passed on as they are;
//! - HTTP/1.0 with a Host;
//! - any upper-case method: compared literally, and passed on as it is;
//! - a fragment in an HTTP/2 `:path`: `http` cuts it off before anybody sees it, so what is judged is what is forwarded;
//! - what follows a request that ends its connection (`close`, HTTP/1.0, CONNECT, Upgrade): never read as a request.

mod activity;
pub mod body;
mod chunks;
mod connection;
mod framing;
mod gate;
pub mod identity;
pub mod ingress;
pub mod jwt;
pub mod listener;
mod raw_head;
pub mod session;
pub mod tls;

pub use crate::path::ambiguous::Ambiguous;
