//! One attempt: an event becomes a call with its publisher's identity, and what the call comes to becomes a settlement.
//! The pipeline decides and classifies; here stands only what is peculiar to events: filters, age, and the schedule.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{HeaderValue, Method, Uri, header};
use http_body_util::{BodyExt, Limited};
use tokio::time::Instant;
use weft_eventlog::{Lease, Sequence, Settlement, Terminal};
use weft_functions::event::http as binding;
use weft_functions::event::{Event, EventLimits};
use weft_functions::filter::FilterVerdict;
use weft_functions::manifest::Kind;
use weft_functions::policy::Verb;
use weft_functions::trigger::Destination;
use weft_functions::value::Namespaced;
use weft_runtime::{Body, full};

use super::report::Report;
use super::{Parts, dead_letter, reply, retry};
use crate::path::call::{Call, Cause, Outside, Reach, Target};
use crate::path::caller::Caller;
use crate::path::canonical::authority;
use crate::path::envelope::{Envelope, EnvelopeError};
use crate::path::outcome::{Disposition, Failure, Reason};
use crate::path::record::Answer;
use crate::path::snapshot::DeployedTrigger;
use crate::path::{pipeline, routes};

/// An event on its way to its trigger's destination.
pub(super) struct Attempt<'a> {
    pub(super) parts: &'a Arc<Parts>,
    pub(super) trigger: &'a DeployedTrigger,
    pub(super) lease: &'a Lease,
    pub(super) event: Event,
    pub(super) envelope: Envelope,
}

/// Delivers one leased event once and says how to settle it.
pub(super) async fn run(parts: &Arc<Parts>, trigger: &DeployedTrigger, lease: &Lease) -> Settlement {
    match parts.mesh.envelopes.open(&trigger.topic, &lease.record) {
        Ok((event, envelope)) => Attempt { parts, trigger, lease, event, envelope }.run().await,
        Err(error) => refuse(parts, trigger, lease, &error).await,
    }
}

/// Ends an event of which nobody can say who published it, or that is none. It goes through the pipeline as a call of
/// nobody to nowhere, so that the refusal is recorded like any other.
async fn refuse(parts: &Arc<Parts>, trigger: &DeployedTrigger, lease: &Lease, error: &EnvelopeError) -> Settlement {
    let sequence = lease.record.sequence;
    tracing::error!(trigger = %trigger.name, %sequence, error = error.to_string(), "cannot deliver a kept event");
    let call = Call {
        verb: Verb::Deliver,
        target: Target::Nowhere(error.into()),
        caller: Caller { via: Some(trigger.identity.clone().into()), ..Caller::nobody() },
        request: http::Request::new(full("")),
        deadline: Instant::now(),
        hops: 0,
        cause: None,
        events: None,
    };
    let answer = pipeline::handle(&parts.mesh, call).await;
    let state = match error.reason() {
        Reason::EnvelopeUnproven => Terminal::Denied,
        _ => Terminal::Dead,
    };
    let cause = [
        ("code", answer.outcome.code().to_owned()),
        ("why", error.to_string()),
        ("decision", answer.decision.to_string()),
    ];
    Settlement::Dead { state, cause: cause.map(|(name, value)| (name.to_owned(), value)).into() }
}

impl Attempt<'_> {
    async fn run(&self) -> Settlement {
        if let FilterVerdict::Fail { .. } = self.trigger.resource.spec.filters.evaluate(&self.event) {
            return Settlement::Done(Terminal::Filtered);
        }
        if let Some(report) = Report::awaiting_copy(&self.lease.last_cause) {
            return self.die(report).await;
        }
        if self.is_too_old() {
            let cause = vec![("code".to_owned(), "EVENT_EXPIRED".to_owned())];
            return Settlement::Dead { state: Terminal::Expired, cause };
        }
        let report = self.deliver().await;
        self.settle(report).await
    }

    fn is_too_old(&self) -> bool {
        let age = Duration::from_millis(self.parts.clock.now_ms().saturating_sub(self.lease.accepted_ms));
        age > self.trigger.resource.spec.delivery.max_age.get()
    }

    async fn deliver(&self) -> Report {
        let deadline = Instant::now() + self.trigger.resource.spec.delivery.timeout.get();
        let (target, request) = match self.request() {
            Ok(aimed) => aimed,
            Err(failure) => (Target::Nowhere(failure), http::Request::new(full(""))),
        };
        let call = Call {
            verb: Verb::Deliver,
            target,
            caller: Caller { via: Some(self.trigger.identity.clone().into()), ..self.envelope.caller.clone() },
            request,
            deadline,
            hops: self.envelope.hops,
            cause: Some(self.cause(Cause::subscriber)),
            events: Some(vec![self.event.clone()]),
        };
        let answer = pipeline::handle(&self.parts.mesh, call).await;
        let after = retry::retry_after(answer.response.headers(), self.parts.clock.now_ms() / 1000);
        let disposition = Disposition::of(&answer.outcome, after);
        let (head, body) = answer.response.into_parts();
        let data = read(body, deadline).await;
        let mut report = Report::answered(disposition, head.status, answer.outcome.failed(), answer.decision);
        report.data = data.as_ref().ok().cloned().unwrap_or_default();
        // What is no event is dropped, however it ended: the 2xx was read.
        if disposition != Disposition::Ack || binding::mode(&head.headers).is_none() {
            return report;
        }
        let published = match data {
            Ok(data) => reply::publish(self, &head.headers, data).await,
            Err(reason) => Err(Report::failed(reason, None)),
        };
        match published {
            Ok(()) => report,
            Err(mut failed) => {
                failed.decision = failed.decision.or(report.decision);
                failed.data = report.data;
                failed
            }
        }
    }

    /// What is published on this attempt's behalf, for its dedupe ids.
    pub(super) fn cause<C>(&self, make: impl FnOnce(Namespaced, Sequence, Namespaced) -> C) -> C {
        make(self.trigger.topic.clone(), self.lease.record.sequence, self.trigger.name.clone())
    }

    /// Publishes an event on the delivery's behalf, by the same path as everybody.
    pub(super) async fn publish(
        &self,
        topic: &Namespaced,
        caller: Caller,
        event: &Event,
        hops: u8,
        cause: Arc<Cause>,
    ) -> Answer {
        let (headers, data) = binding::encode_binary(event);
        let mut request = http::Request::new(full(data));
        *request.method_mut() = Method::POST;
        *request.headers_mut() = headers;
        *request.uri_mut() = format!("/{topic}").parse().unwrap_or_default();
        let deadline = Instant::now() + self.trigger.resource.spec.delivery.timeout.get();
        let target = Target::Topic(topic.clone());
        let call =
            Call { verb: Verb::Publish, target, caller, request, deadline, hops, cause: Some(cause), events: None };
        pipeline::handle(&self.parts.mesh, call).await
    }

    /// The request that carries the event, and what it is aimed at.
    fn request(&self) -> Result<(Target, http::Request<Body>), Failure> {
        let (headers, data) = binding::encode_binary(&self.event);
        let mut request = http::Request::new(full(data));
        *request.method_mut() = Method::POST;
        *request.headers_mut() = headers;
        let (target, uri) = match &self.trigger.resource.spec.destination {
            Destination::Function { function, path } => {
                let uri = format!("http://{}{path}", routes::internal_host(function)).parse();
                let uri: Uri = uri.map_err(|_| Failure::hidden(Reason::Internal, "the trigger's path is not one"))?;
                (Target::Function(function.clone()), uri)
            }
            Destination::Url(url) => {
                let outside = self.outside(url)?;
                let uri = aimed(url, &outside)?;
                (Target::Outside(outside), uri)
            }
        };
        if let Some(host) = uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()) {
            request.headers_mut().insert(header::HOST, host);
        }
        *request.uri_mut() = uri;
        Ok((target, request))
    }

    fn outside(&self, url: &Uri) -> Result<Outside, Failure> {
        let no_host = || Failure::hidden(Reason::UpConnect, "the trigger's url has no host");
        let authority = authority::parse(url.authority().ok_or_else(no_host)?.as_str())?;
        let secure = url.scheme() == Some(&Scheme::HTTPS);
        let port = authority.port.unwrap_or(if secure { 443 } else { 80 });
        let reach = Ok(if self.parts.reach_loopback { Reach::Loopback } else { Reach::Public });
        Ok(Outside { host: authority.host, port, owner_kind: Kind::Trigger, owner: self.trigger.name.clone(), reach })
    }

    async fn settle(&self, report: Report) -> Settlement {
        let Lease { record, attempt, .. } = self.lease;
        match report.disposition {
            Disposition::Ack => return Settlement::Done(Terminal::Delivered),
            Disposition::Deny => return Settlement::Dead { state: Terminal::Denied, cause: report.cause(*attempt) },
            Disposition::Retry { after } => {
                let jitter = retry::jitter(self.parts.seed, record.sequence.get(), *attempt);
                if let Some(wait) = retry::next(&self.trigger.resource.spec.delivery, *attempt, after, jitter) {
                    return self.again(wait, report.cause(*attempt));
                }
            }
            Disposition::Dead => {}
        }
        tracing::warn!(
            target: "weft::delivery", trigger = %self.trigger.name, sequence = %record.sequence, event = self.event.id(),
            attempt, status = report.status.as_u16(), code = report.code.unwrap_or_default(), "the event is dead"
        );
        self.die(report).await
    }

    /// Keeps the copy for the dead letter topic, then ends the event. The source is not settled before its copy is kept
    /// (`threats.md` H-09): a copy that cannot be kept now is tried again by itself, without another call, until
    /// `maxAge`.
    async fn die(&self, report: Report) -> Settlement {
        let attempt = report.last_attempt(self.lease.attempt);
        let Err(why) = dead_letter::copy(self, &report).await else {
            return Settlement::Dead { state: Terminal::Dead, cause: report.cause(attempt) };
        };
        let sequence = self.lease.record.sequence;
        tracing::error!(trigger = %self.trigger.name, %sequence, why, "cannot keep a dead letter's copy");
        if self.is_too_old() {
            return Settlement::Dead { state: Terminal::Dead, cause: report.cause_without_copy(attempt, why) };
        }
        self.again(self.trigger.resource.spec.delivery.backoff_max.get(), report.cause_awaiting_copy(attempt))
    }

    fn again(&self, wait: Duration, cause: Vec<(String, String)>) -> Settlement {
        let due_ms = self.parts.clock.now_ms().saturating_add(wait.as_millis() as u64);
        Settlement::Retry { due_ms, cause, counted: true }
    }
}

/// The url, with the host in its one spelling.
fn aimed(url: &Uri, outside: &Outside) -> Result<Uri, Failure> {
    let mut parts = url.clone().into_parts();
    let authority = match url.port() {
        Some(port) => format!("{}:{port}", outside.host),
        None => outside.host.to_string(),
    };
    parts.authority = authority.parse().ok();
    Uri::from_parts(parts).map_err(|_| Failure::hidden(Reason::Internal, "the trigger's url is not one"))
}

/// The answer's body, as far as delivery has use for it: a reply event, or the words of an error.
async fn read(body: Body, deadline: Instant) -> Result<Bytes, Reason> {
    let body = Limited::new(body, EventLimits::default().event_bytes);
    match tokio::time::timeout_at(deadline, body.collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => Err(Reason::FnBadResponse),
        Err(_) => Err(Reason::FnTimeout),
    }
}
