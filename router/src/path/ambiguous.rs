//! Why bytes or a request were refused before anybody judged them. Separate because the raw bytes, the parsed request, the
//! body and a function's own calls all refuse with it.

use http::StatusCode;

use super::outcome::{Failure, Reason};

/// A request that could mean two things, or more than this edge reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Ambiguous {
    /// What is wrong, in words that are stable, hold nothing the client sent, and may be shown to it.
    pub what: &'static str,
    /// The status the client gets: 400, 405, 408, 414, 431, 501 or 505.
    pub status: StatusCode,
}

impl Ambiguous {
    /// Refuses with 400.
    pub(crate) const fn bad(what: &'static str) -> Self {
        Self::with(StatusCode::BAD_REQUEST, what)
    }

    /// Refuses with a status of its own.
    pub(crate) const fn with(status: StatusCode, what: &'static str) -> Self {
        Self { what, status }
    }
}

impl From<Ambiguous> for Failure {
    fn from(why: Ambiguous) -> Self {
        let reason = match why.status.as_u16() {
            405 => return Self::method("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
            408 => Reason::RequestTooSlow,
            414 => Reason::UriTooLong,
            431 => Reason::HeadTooLarge,
            501 | 505 => Reason::Unsupported,
            _ => Reason::RequestAmbiguous,
        };
        Self::open(reason, why.what)
    }
}
