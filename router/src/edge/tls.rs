//! TLS at the edge: who is at the other end, by certificate, and who we are.
//!
//! ```text
//! svid     SPIFFE's rules for a chain of certificates, pure
//! bundle   roots and revocation lists as they are read from files and from the Workload API
//! trust    roots per trust domain and revocation lists: svid's rules, then a path to a root (rustls-webpki)
//! fault    why a chain is refused: one line for the log, one alert for the peer
//! verifier rustls's questions, answered by trust as it stands
//! own      the certificate that the node shows, and with an embedded authority one per namespace
//! keyring  own and trust in force, and the settings for listeners and outbound calls
//! open     connections that are open by certificate: judged again when trust changes
//! acceptor a socket becomes a TLS connection, within limits; refusals limits the lines about those that did not
//! authority the embedded authority and its folder
//! source   where certificates come from: an authority's folder, files, the Workload API
//! outbound certificates for calls that functions make
//! ```
//!
//! Nothing here knows requests. A certificate that passes becomes a [`Certificate`]; what its owner may do is policy's.

pub mod acceptor;
pub mod authority;
pub mod bundle;
pub mod fault;
pub mod keyring;
pub(super) mod open;
pub mod outbound;
pub mod own;
mod refusals;
pub mod source;
pub mod svid;
pub mod trust;
mod verifier;

#[cfg(test)]
mod mint;

pub use fault::Fault;
pub use trust::{Certificate, Trust};
