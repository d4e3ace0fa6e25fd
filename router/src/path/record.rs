//! One record per call: started before policy, finished once. It rides in the response's body, so that a call is over
//! when its last byte is, and a body that nobody read to the end is recorded as abandoned rather than forgotten.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::Instant;
use weft_eventlog::Clock;
use weft_runtime::{Body, BodyError};

use super::call::{Call, Cause};
use super::decision::{DecisionId, DecisionIds};
use super::decisions::{Decisions, Ending, Kept, Made};
use super::identity_fields::strip_answer;
use super::open_calls::{Asked, OpenCall, OpenCalls, Place};
use super::outcome::{Failure, Outcome, Reason};
use super::policy::{Encoding, Labels};
use super::refusals::Refusals;
use super::snapshot::Snapshot;
use crate::telemetry::access_log;
use crate::telemetry::metrics::Metrics;

/// The header in which a caller learns the decision's id.
pub const DECISION_HEADER: http::HeaderName = http::HeaderName::from_static("x-weft-decision");

/// Where records begin and end.
pub struct Records(Arc<Shared>);

struct Shared {
    ids: DecisionIds,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    decisions: Decisions,
    refusals: Refusals,
}

impl Records {
    /// Records that count in `metrics` and are kept under ids of `ids`, with times of `clock`. The numbers of those that
    /// were refused or failed go to `refusals`.
    pub fn new(ids: DecisionIds, metrics: Arc<Metrics>, clock: Arc<dyn Clock>, refusals: Refusals) -> Self {
        Self(Arc::new(Shared { ids, metrics, clock, decisions: Decisions::default(), refusals }))
    }

    /// The time of day, in Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.0.clock.now_ms()
    }

    /// The id of a decision of this boot.
    pub fn id(&self, number: u64) -> DecisionId {
        self.0.ids.id(number)
    }

    /// Counts an explanation.
    pub fn explained(&self, what: &'static str) {
        self.0.metrics.explained(what);
    }

    /// All decisions that are kept.
    pub fn decisions(&self) -> &Decisions {
        &self.0.decisions
    }

    /// What is known of a decision of this boot that is still kept.
    pub fn kept(&self, decision: DecisionId) -> Option<Kept> {
        self.0.decisions.get(self.0.ids.number(decision)?)
    }

    /// Begins the record of `call`.
    pub fn start(&self, call: &Call) -> Box<Record> {
        Box::new(Record {
            number: self.0.ids.next(),
            started: Instant::now(),
            at_ms: self.0.clock.now_ms(),
            call: OpenCall::new(Asked::from(call)),
            judged: Judged { snapshot: 0, labels: Labels::unknown(call.verb), inputs: None },
            outcome: None,
            head: Duration::ZERO,
            bytes: 0,
            end: End::Abandoned,
            counts: true,
            place: None,
            shared: self.0.clone(),
        })
    }
}

/// What is known of one call so far. Dropped unfinished, it records "abandoned". It stays where it was made: it is large,
/// and goes from hand to hand.
pub struct Record {
    number: u64,
    started: Instant,
    at_ms: u64,
    call: Arc<OpenCall>,
    judged: Judged,
    outcome: Option<Outcome>,
    head: Duration,
    bytes: u64,
    end: End,
    counts: bool,
    /// Among the calls that are going on, once it was permitted.
    place: Option<Place>,
    shared: Arc<Shared>,
}

/// What policy said of a call, and of what.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The snapshot it was judged by; 0 before it was.
    pub snapshot: u64,
    /// What the call is.
    pub labels: Labels,
    /// What the rules looked at.
    pub inputs: Option<Encoding>,
}

impl Judged {
    /// What this snapshot said.
    pub fn by(snapshot: &Snapshot, labels: &Labels, asked: &Asked) -> Self {
        let inputs = Some(snapshot.policy.encode(asked.question()));
        Self { snapshot: snapshot.number, labels: labels.clone(), inputs }
    }
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
    /// The mesh cut it off: it was no longer permitted.
    Cut,
}

impl End {
    /// The word in the access line.
    pub fn as_str(self) -> &'static str {
        match self {
            End::Complete => "complete",
            End::Broken => "broken",
            End::Abandoned => "abandoned",
            End::Cut => "cut",
        }
    }
}

/// A finished record, as the access log reads it.
pub struct Line<'a> {
    /// The decision's id.
    pub decision: DecisionId,
    /// Verb, namespace and target, as on the metrics.
    pub labels: &'a Labels,
    /// What was asked, and by whom.
    pub asked: &'a Asked,
    /// How the call was answered.
    pub outcome: &'a Outcome,
    /// How the answer's body ended.
    pub end: End,
    /// Bytes of the answer's body.
    pub bytes: u64,
    /// From the start to the end.
    pub duration: Duration,
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
    /// Takes over what policy said the call is, by this snapshot, and what is known of the call by then.
    pub fn judged(&mut self, snapshot: &Snapshot, labels: &Labels, call: &Call) {
        // Nobody else has it before it goes on.
        if let Some(open) = Arc::get_mut(&mut self.call) {
            open.learn(call);
        }
        self.judged = Judged::by(snapshot, labels, &self.call.asked);
    }

    /// Whether the call counts in the metrics (default) or only stands in the record: asking why something happened is
    /// not to change what is counted.
    pub fn count(&mut self, counts: bool) {
        self.counts = counts;
    }

    /// Counts the call among those that go on until their body ends, and can be cut off.
    pub fn go_on(&mut self, calls: &Arc<OpenCalls>) {
        self.place.get_or_insert_with(|| calls.enter(&self.call, self.number));
    }

    /// The call, for whoever works on its answer.
    pub fn call(&self) -> Arc<OpenCall> {
        self.call.clone()
    }

    /// Classifies the result once and hands the record over to the answer's body.
    pub fn finish(mut self: Box<Self>, result: Result<http::Response<Body>, Failure>) -> Answer {
        let decision = self.shared.ids.id(self.number);
        let outcome = Outcome::classify(&result);
        self.head = self.started.elapsed();
        self.keep(&outcome);
        self.outcome = Some(outcome.clone());
        let call = self.call.clone();
        let (head, body) = match result {
            Ok(response) => {
                let (head, body) = response.into_parts();
                call.answer(body);
                (head, Source::Target(call))
            }
            Err(failure) => {
                let (head, body) = failure.render(&decision).into_parts();
                (head, Source::Mesh(body))
            }
        };
        let promised = promised(&head, &body, &self.call.asked);
        let body = Recorded { body, promised, record: Some(self) }.boxed_unsync();
        let mut response = http::Response::from_parts(head, body);
        strip_answer(response.headers_mut());
        response.headers_mut().insert(DECISION_HEADER, decision.header_value());
        Answer { decision, outcome, response }
    }

    /// Keeps what the call came to.
    fn keep(&self, outcome: &Outcome) {
        // A call that was cut off was judged once more, by what is in force now.
        let again = self.call.why_cut().and_then(|cut| cut.judged.as_ref());
        let judged = again.unwrap_or(&self.judged);
        self.shared.decisions.keep(&Made {
            number: self.number,
            snapshot: judged.snapshot,
            at_ms: self.at_ms,
            labels: &judged.labels,
            outcome,
            head: self.head,
            inputs: judged.inputs.as_ref().map_or(&[], Encoding::as_bytes),
            delivers: self.call.asked.cause.as_deref().filter(|_| self.call.asked.delivers()).map(Cause::sequence),
        });
        if self.counts {
            self.shared.refusals.offer(self.number, self.at_ms, outcome);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        // It is over now, whatever the rest of this does.
        drop(self.place.take());
        let outcome = match (self.outcome.take(), self.call.why_cut()) {
            (Some(Outcome { failure: None, status }), Some(why)) => {
                // The head has gone out; the caller has seen the body break off.
                let outcome = Outcome { status, failure: Some(why.failure.clone()) };
                self.end = End::Cut;
                self.keep(&outcome);
                outcome
            }
            (Some(outcome), _) => outcome,
            // Dropped without an answer: the caller left while the call was being made.
            (None, _) => {
                let why = Failure::hidden(Reason::CallerGone, "the caller left before the answer");
                let outcome = Outcome::classify::<()>(&Err(why));
                self.head = self.started.elapsed();
                self.keep(&outcome);
                outcome
            }
        };
        let duration = self.started.elapsed();
        self.shared.decisions.end(self.number, Ending { end: self.end, bytes: self.bytes, duration });
        if self.counts {
            self.shared.metrics.call(&self.judged.labels, &outcome, duration);
        }
        access_log::write(&Line {
            decision: self.shared.ids.id(self.number),
            labels: &self.judged.labels,
            asked: &self.call.asked,
            outcome: &outcome,
            end: self.end,
            bytes: self.bytes,
            duration,
        });
    }
}

/// The answer's body with its record.
struct Recorded {
    body: Source,
    /// How many bytes the head says that there are, if it does.
    promised: Option<u64>,
    record: Option<Box<Record>>,
}

/// How many bytes of this body will be sent, if that is known: none in answer to HEAD and with 204 and 304, whatever
/// `content-length` says (RFC 9110 8.6).
fn promised(head: &http::response::Parts, body: &Source, asked: &Asked) -> Option<u64> {
    let bodiless = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if bodiless || asked.method == Method::HEAD {
        return Some(0);
    }
    let length = head.headers.get(http::header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    length.or_else(|| body.size_hint().exact())
}

/// Where the bytes come from.
enum Source {
    /// From the target, until the call is cut off.
    Target(Arc<OpenCall>),
    /// From the mesh: the words of a refusal are not cut off with the call.
    Mesh(Body),
}

impl Source {
    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Target(call) => call.size_hint(),
            Self::Mesh(body) => body.size_hint(),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Target(call) => call.is_end_stream(),
            Self::Mesh(body) => body.is_end_stream(),
        }
    }
}

impl HttpBody for Recorded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut frame = ready!(match &mut self.body {
            Source::Target(call) => call.poll_frame(cx),
            Source::Mesh(body) => Pin::new(body).poll_frame(cx),
        });
        if let Some(trailers) = frame.as_mut().and_then(|frame| frame.as_mut().ok()?.trailers_mut()) {
            strip_answer(trailers);
        }
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(data), Some(record)) = (frame.data_ref(), self.record.as_mut()) {
                    record.bytes += data.len() as u64;
                }
                if self.is_end_stream() {
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
        // hyper does not poll a body that says it is at its end already, such as an empty one, nor one whose promised
        // bytes it has.
        let given = self.record.as_ref().map(|record| record.bytes);
        let whole = self.is_end_stream() || (given.is_some() && given == self.promised);
        let end = if whole { End::Complete } else { End::Abandoned };
        self.end(end);
        if let Source::Target(call) = &self.body {
            call.close();
        }
    }
}
