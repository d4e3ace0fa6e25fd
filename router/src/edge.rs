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

mod ambiguous;
pub mod body;
pub mod canonical;
mod chunks;
mod connection;
mod framing;
mod gate;
pub mod identity;
pub mod ingress;
pub mod listener;
mod raw_head;

pub use ambiguous::Ambiguous;
