//! Decides how long and how large a request's body may be while it is read. Separate because the limits are the reader's
//! (a topic takes 1 MiB, a function more), while the connection knows none of them.
//!
//! Only time spent waiting for the client counts. A function that reads slowly is not the client's fault.

#[cfg(test)]
mod tests;

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::Ambiguous;
use crate::path::identity_fields::strip_trailers;

/// Limits for one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimits {
    /// Most bytes of data, trailers not counted. Default 16 MiB.
    pub max_bytes: u64,
    /// Fewest bytes per second, over all the time waited since the first byte and after [`grace`](Self::grace). Default
    /// 1024 (threats.md A-03).
    pub min_rate: u64,
    /// Waiting that costs nothing. Default 5 s.
    pub grace: Duration,
    /// Longest wait for the next bytes, the first included. Default 15 s, as `limits.idle` of a function.
    pub idle: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            max_bytes: 16 * 1024 * 1024,
            min_rate: 1024,
            grace: Duration::from_secs(5),
            idle: Duration::from_secs(15),
        }
    }
}

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyFault {
    /// More than [`BodyLimits::max_bytes`], announced or sent.
    #[error("request body is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// Slower than [`BodyLimits::min_rate`].
    #[error("request body comes too slowly")]
    TooSlow,
    /// Nothing for [`BodyLimits::idle`].
    #[error("request body stopped coming")]
    Idle,
    /// Its chunks could be read in two ways, or in none.
    #[error("request body is malformed: {0}")]
    Malformed(Ambiguous),
    /// The client went away, or its stream was reset.
    #[error("request body was cut off")]
    CutOff(#[source] Box<dyn StdError + Send + Sync>),
}

impl BodyFault {
    /// The status for a caller that has none yet: 413, 408 or 400.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow | Self::Idle => StatusCode::REQUEST_TIMEOUT,
            Self::Malformed(_) | Self::CutOff(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// Finds the gate's verdict below hyper's error.
    fn from_source(error: Box<dyn StdError + Send + Sync>) -> Self {
        let mut next: Option<&(dyn StdError + 'static)> = Some(error.as_ref());
        while let Some(current) = next {
            if let Some(why) = current.downcast_ref::<Ambiguous>() {
                return Self::Malformed(*why);
            }
            next = match current.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
                Some(inner) => Some(inner),
                None => current.source(),
            };
        }
        Self::CutOff(error)
    }
}

/// A request's body, held to [`BodyLimits`]. After a fault it has ended.
#[derive(Debug)]
pub struct RequestBody<B> {
    inner: B,
    limits: BodyLimits,
    received: u64,
    /// Time waited since the first byte, the present wait not counted.
    waited: Duration,
    waiting_since: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
    failed: bool,
}

impl<B: Body> RequestBody<B> {
    /// Wraps a body.
    ///
    /// # Errors
    /// [`BodyFault::TooLarge`] if the body says so itself (Content-Length): nothing need be started for it.
    pub fn new(inner: B, limits: BodyLimits) -> Result<Self, BodyFault> {
        if inner.size_hint().lower() > limits.max_bytes {
            return Err(BodyFault::TooLarge { limit: limits.max_bytes });
        }
        let waited = Duration::ZERO;
        Ok(Self { inner, limits, received: 0, waited, waiting_since: None, alarm: None, failed: false })
    }

    /// Bytes of data received so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// When the present wait becomes a fault, and which.
    fn deadline(&self, since: Instant) -> (Instant, BodyFault) {
        let idle = since + self.limits.idle;
        if self.received == 0 {
            return (idle, BodyFault::Idle);
        }
        let earned = Duration::from_secs_f64(self.received as f64 / self.limits.min_rate.max(1) as f64);
        let rate = since + (self.limits.grace + earned).saturating_sub(self.waited);
        if rate < idle { (rate, BodyFault::TooSlow) } else { (idle, BodyFault::Idle) }
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<BodyFault> {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let (at, fault) = self.deadline(since);
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if alarm.deadline() != at {
            alarm.as_mut().reset(at);
        }
        alarm.as_mut().poll(cx).map(|()| fault)
    }

    fn stop_waiting(&mut self) {
        let Some(since) = self.waiting_since.take() else { return };
        if self.received > 0 {
            self.waited += since.elapsed();
        }
    }

    fn take_data(&mut self, data: &Bytes) -> Result<(), BodyFault> {
        self.received = self.received.saturating_add(data.len() as u64);
        if self.received > self.limits.max_bytes {
            return Err(BodyFault::TooLarge { limit: self.limits.max_bytes });
        }
        Ok(())
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let body = self.get_mut();
        if body.failed {
            return Poll::Ready(None);
        }
        let result = match Pin::new(&mut body.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                body.stop_waiting();
                let Some(frame) = frame else { return Poll::Ready(None) };
                frame.map_err(|e| BodyFault::from_source(e.into())).and_then(|mut frame| {
                    if let Some(data) = frame.data_ref() {
                        body.take_data(data)?;
                    }
                    if let Some(trailers) = frame.trailers_mut() {
                        strip_trailers(trailers);
                    }
                    Ok(frame)
                })
            }
            Poll::Pending => match body.poll_late(cx) {
                Poll::Ready(fault) => Err(fault),
                Poll::Pending => return Poll::Pending,
            },
        };
        body.failed = result.is_err();
        Poll::Ready(Some(result))
    }

    fn is_end_stream(&self) -> bool {
        self.failed || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
