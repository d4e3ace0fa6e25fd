//! How a guest's outgoing calls leave this crate. The runtime never opens a socket for a guest: each call becomes one
//! [`Outbound::send`] of the object that came with the invocation, so that whoever invoked decides what may leave.

use std::time::Duration;

use async_trait::async_trait;
use http::{Request, Response};

use crate::Body;

/// The way out for the outgoing calls of one invocation.
///
/// The request's URI is absolute (`http` or `https`, authority, path) and its `host` header equals the authority. At
/// most [`OUTBOUND_MAX`](crate::limits::OUTBOUND_MAX) calls of one invocation are in flight at once; the others wait.
/// The future and the response body are dropped when the guest no longer wants them or ends. The future runs on the
/// tokio runtime that invoked the function.
#[async_trait]
pub trait Outbound: Send + Sync {
    /// Sends one request and answers with the head of the response and its streaming body.
    ///
    /// The runtime itself enforces `timeouts.first_byte` and `timeouts.between_bytes`; they are handed over for the
    /// implementations that can pass them on, as `timeouts.connect` has to be.
    ///
    /// # Errors
    /// An [`OutboundError`] says why there is no response; the guest gets the matching `wasi:http` error code.
    async fn send(&self, request: Request<Body>, timeouts: OutboundTimeouts) -> Result<Response<Body>, OutboundError>;
}

/// What the guest asked for with `wasi:http` request options; `None` is the guest's own remaining time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OutboundTimeouts {
    /// Longest time to open a connection.
    pub connect: Option<Duration>,
    /// Longest time until the head of the response is here.
    pub first_byte: Option<Duration>,
    /// Longest time between two frames of the response's body.
    pub between_bytes: Option<Duration>,
}

/// Why an outgoing call got no response. Each maps to one `error-code` of `wasi:http/types` 0.2.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// Policy or the function's list of allowed hosts refuses the call (`HTTP-request-denied`).
    #[error("the call is not allowed")]
    Denied,
    /// The name did not resolve (`DNS-error`).
    #[error("the name does not resolve")]
    DnsFailure,
    /// The name resolved to an address that may not be dialled (`destination-IP-prohibited`).
    #[error("the address is prohibited")]
    AddressProhibited,
    /// Nothing is deployed or listening under this name (`destination-not-found`).
    #[error("the destination does not exist")]
    NotFound,
    /// The destination exists and cannot take the call now (`destination-unavailable`).
    #[error("the destination is not available")]
    Unavailable,
    /// The destination refused the connection (`connection-refused`).
    #[error("the connection was refused")]
    ConnectionRefused,
    /// The connection broke before a response came (`connection-terminated`).
    #[error("the connection broke")]
    ConnectionTerminated,
    /// No connection in time (`connection-timeout`).
    #[error("connecting took too long")]
    ConnectTimeout,
    /// No response in time (`HTTP-response-timeout`).
    #[error("the response took too long")]
    Timeout,
    /// Too many calls are under way (`connection-limit-reached`).
    #[error("too many outgoing calls")]
    LimitReached,
    /// The call would come back to its own chain, or made too many hops (`loop-detected`).
    #[error("the call would loop")]
    Loop,
    /// The request's body is larger than the destination takes (`HTTP-request-body-size`).
    #[error("the request body is too large")]
    RequestTooLarge,
    /// TLS failed (`TLS-protocol-error`).
    #[error("tls failed: {0}")]
    Tls(String),
    /// The destination spoke bad HTTP (`HTTP-protocol-error`); the text is for the log.
    #[error("the response was not valid http: {0}")]
    Protocol(String),
    /// Anything else (`internal-error`); the guest sees the text.
    #[error("{0}")]
    Internal(String),
}
