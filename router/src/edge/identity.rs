//! Who is calling. The one place where a connection and a request's credentials become an identity; everything behind
//! it takes the result as it is. `weft dev` gives everybody on loopback one identity, `weft serve` whoever holds a certificate its own. Tokens follow
//! once it is known for whom they are.

use super::session::Peer;
use crate::path::caller::{Caller, Principal, Proof};
use crate::path::outcome::Failure;

/// What is known of a caller besides its request's body.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'a> {
    /// The connection's other end.
    pub peer: &'a Peer,
    /// The request's head, for a token it may carry.
    pub head: &'a http::request::Parts,
}

/// Turns credentials into an identity.
pub trait Authenticate: Send + Sync + 'static {
    /// The caller, as far as its connection tells; tokens are verified behind it, when it is known for whom they are.
    ///
    /// # Errors
    /// The credentials are missing or bad; the failure is what the caller is answered.
    fn authenticate(&self, credentials: Credentials<'_>) -> Result<Caller, Failure>;
}

/// Everybody is the same: `weft dev`, whose listener is on loopback only.
#[derive(Debug, Clone)]
pub struct Everybody(pub Principal);

impl Authenticate for Everybody {
    fn authenticate(&self, credentials: Credentials<'_>) -> Result<Caller, Failure> {
        let address = Some(credentials.peer.addr.ip());
        Ok(Caller { address, ..Caller::direct(self.0.clone(), Proof::Dev) })
    }
}

/// Whoever proved a certificate is its owner, everybody else is nobody, until a token says otherwise: `weft serve`.
#[derive(Debug, Clone, Copy)]
pub struct ByCertificate;

impl Authenticate for ByCertificate {
    fn authenticate(&self, credentials: Credentials<'_>) -> Result<Caller, Failure> {
        let Credentials { peer, .. } = credentials;
        let caller = match &peer.certificate {
            Some(certificate) => Caller::direct(certificate.id.clone().into(), Proof::Mtls),
            None => Caller::nobody(),
        };
        Ok(Caller { address: Some(peer.addr.ip()), ..caller })
    }
}
