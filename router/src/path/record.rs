//! One record per call: started before policy, finished once. It rides in the response's body, so that a call is over
//! when its last byte is, and a body that nobody read to the end is recorded as abandoned rather than forgotten.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderValue;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::Instant;
use weft_runtime::{Body, BodyError};

use super::call::Call;
use super::caller::Principal;
use super::decision::{DecisionId, DecisionIds};
use super::outcome::{Failure, Outcome, Reason};
use super::policy::Labels;
use crate::telemetry::access_log;
use crate::telemetry::metrics::Metrics;

/// The header in which a caller learns the decision's id.
pub const DECISION_HEADER: http::HeaderName = http::HeaderName::from_static("x-weft-decision");

/// Where records begin: the node's ids and its metrics.
pub struct Records {
    ids: DecisionIds,
    metrics: Arc<Metrics>,
}

impl Records {
    /// Records that count in `metrics`.
    pub fn new(ids: DecisionIds, metrics: Arc<Metrics>) -> Self {
        Self { ids, metrics }
    }

    /// An id for an answer that no call stands behind (bytes that are not a request).
    pub fn id(&self) -> DecisionId {
        self.ids.next()
    }

    /// Begins the record of `call`.
    pub fn start(&self, call: &Call) -> Record {
        Record {
            decision: self.ids.next(),
            started: Instant::now(),
            principal: call.caller.principal.clone(),
            method: call.request.method().clone(),
            path: call.request.uri().path().into(),
            labels: Labels::unknown(call.verb),
            outcome: None,
            bytes: 0,
            end: End::Abandoned,
            metrics: self.metrics.clone(),
        }
    }
}

/// What is known of one call so far. Dropped unfinished, it records "abandoned".
pub struct Record {
    decision: DecisionId,
    started: Instant,
    principal: Principal,
    method: http::Method,
    path: Box<str>,
    labels: Labels,
    outcome: Option<Outcome>,
    bytes: u64,
    end: End,
    metrics: Arc<Metrics>,
}

/// How a record ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The body was read to its end.
    Complete,
    /// The target broke its body off.
    Broken,
    /// The caller left first.
    Abandoned,
}

impl End {
    /// The word in the access line.
    pub fn as_str(self) -> &'static str {
        match self {
            End::Complete => "complete",
            End::Broken => "broken",
            End::Abandoned => "abandoned",
        }
    }
}

/// A finished record, as the access log reads it.
#[derive(Debug)]
pub struct Line<'a> {
    /// The decision's id.
    pub decision: DecisionId,
    /// Verb, namespace and target, as on the metrics.
    pub labels: &'a Labels,
    /// Who called.
    pub principal: &'a str,
    /// The request's method.
    pub method: &'a http::Method,
    /// The canonical path.
    pub path: &'a str,
    /// How the call was answered.
    pub outcome: &'a Outcome,
    /// How the answer's body ended.
    pub end: End,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// From the start to the end.
    pub duration: std::time::Duration,
}

/// What a call came to: the answer, its classification, and the id under which it can be looked up.
pub struct Answer {
    /// The id that the response carries too.
    pub decision: DecisionId,
    /// The classification, for delivery.
    pub outcome: Outcome,
    /// The answer, whose body finishes the record.
    pub response: http::Response<Body>,
}

impl Record {
    /// Takes over what policy said the call is.
    pub fn label(&mut self, labels: &Labels) {
        self.labels = labels.clone();
    }

    /// Classifies the result once and hands the record over to the answer's body.
    pub fn finish(mut self, result: Result<http::Response<Body>, Failure>) -> Answer {
        let decision = self.decision;
        let outcome = Outcome::classify(&result);
        self.outcome = Some(outcome.clone());
        let response = result.unwrap_or_else(|failure| failure.render(&decision));
        let mut response = response.map(|body| Recorded { body, record: Some(self) }.boxed_unsync());
        if let Ok(value) = HeaderValue::from_str(&decision.to_string()) {
            response.headers_mut().insert(DECISION_HEADER, value);
        }
        Answer { decision, outcome, response }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // Dropped without an answer: the caller left while the call was being made.
        let outcome = self.outcome.take().unwrap_or_else(|| {
            Outcome::classify::<()>(&Err(Failure::hidden(Reason::CallerGone, "the caller left before the answer")))
        });
        let duration = self.started.elapsed();
        self.metrics.call(&self.labels, &outcome, duration);
        access_log::write(&Line {
            decision: self.decision,
            labels: &self.labels,
            principal: self.principal.as_str(),
            method: &self.method,
            path: &self.path,
            outcome: &outcome,
            end: self.end,
            bytes: self.bytes,
            duration,
        });
    }
}

/// The answer's body with its record.
struct Recorded {
    body: Body,
    record: Option<Record>,
}

impl HttpBody for Recorded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(data), Some(record)) = (frame.data_ref(), self.record.as_mut()) {
                    record.bytes += data.len() as u64;
                }
                if self.body.is_end_stream() {
                    self.end(End::Complete);
                }
            }
            Some(Err(_)) => self.end(End::Broken),
            None => self.end(End::Complete),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Recorded {
    fn end(&mut self, end: End) {
        if let Some(mut record) = self.record.take() {
            record.end = end;
        }
    }
}

impl Drop for Recorded {
    fn drop(&mut self) {
        // hyper does not poll a body that says it is at its end already, such as an empty one.
        let end = if self.body.is_end_stream() { End::Complete } else { End::Abandoned };
        self.end(end);
    }
}
