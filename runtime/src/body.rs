//! The streaming body type of this crate and the one error such a stream can end with. Separate, because
//! requests, responses and outgoing calls all carry it, in both directions.

use std::fmt;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};

/// A streamed HTTP body: data frames, then optionally one frame of trailers. A body that ends without an error is
/// complete; a body that was cut short always ends with a [`BodyError`], never with a clean end.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// A body without bytes.
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// A body of exactly these bytes.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Why a body ended before it was complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyError {
    /// What the reader of the body branches on.
    pub kind: BodyErrorKind,
    /// For the log: what happened, in lower case. Not meant for callers of the function.
    pub message: String,
}

/// The ways in which a body is cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyErrorKind {
    /// The side that writes the body went away or gave up.
    Aborted,
    /// No byte came for too long, or the whole stream took too long.
    TimedOut,
    /// More bytes came than were allowed or announced.
    TooLarge,
    /// The guest trapped, was stopped for using too much, or left its body unfinished.
    Guest,
}

impl BodyError {
    /// An error of this kind, with the text for the log.
    pub fn new(kind: BodyErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BodyError {}
