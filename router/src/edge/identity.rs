//! Who is calling. The one place where a connection and a request's credentials become an identity; everything behind
//! it takes the result as it is. `weft dev` gives everybody on loopback one identity; certificates and tokens plug in here.

use std::net::SocketAddr;

use crate::path::caller::{Caller, Principal, Proof};
use crate::path::outcome::Failure;

/// What is known of a caller besides its request's body.
#[derive(Debug, Clone, Copy)]
pub struct Credentials<'a> {
    /// The socket's other end.
    pub peer: SocketAddr,
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
        let address = Some(credentials.peer.ip());
        Ok(Caller { address, ..Caller::direct(self.0.clone(), Proof::Dev) })
    }
}
