//! One attempt: an event becomes a call with its publisher's identity, and what the call comes to becomes a settlement.
//! The pipeline decides and classifies; here stands only what is peculiar to events: filters, age, and the schedule.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Uri, header};
use http_body_util::{BodyExt, Limited};
use tokio::time::Instant;
use weft_eventlog::{Lease, Settlement, Terminal};
use weft_functions::event::http as binding;
use weft_functions::event::{Event, EventLimits};
use weft_functions::filter::FilterVerdict;
use weft_functions::manifest::Kind;
use weft_functions::policy::Verb;
use weft_functions::trigger::Destination;

use super::{Parts, dead_letter, reply, retry};
use weft_runtime::{Body, full};

use crate::path::call::{Call, Caller, Cause, Outside, Reach, Target};
use crate::path::decision::DecisionId;
use crate::path::envelope::{self, Envelope};
use crate::path::outcome::{Disposition, Failure, Outcome, Reason};
use crate::path::snapshot::DeployedTrigger;
use crate::path::{pipeline, routes};

/// What one attempt at delivering came to.
pub(super) struct Report {
    /// What delivery does next.
    pub(super) disposition: Disposition,
    /// The status, as the subscriber or the mesh gave it.
    pub(super) status: StatusCode,
    /// The reason code, if it was not the subscriber's own answer.
    pub(super) code: Option<&'static str>,
    /// The start of the answer's body.
    pub(super) data: Bytes,
    /// The decision under which the attempt is recorded.
    pub(super) decision: Option<DecisionId>,
}

impl Report {
    pub(super) fn failed(reason: Reason, decision: Option<DecisionId>) -> Self {
        let outcome = Outcome::classify::<()>(&Err(Failure::hidden(reason, "")));
        let disposition = Disposition::of(&outcome, None);
        Self { disposition, status: outcome.status, code: outcome.failed(), data: Bytes::new(), decision }
    }

    /// How the attempt is remembered with a retry or a death.
    fn cause(&self, attempt: u32) -> Vec<(String, String)> {
        let mut cause =
            vec![("status".to_owned(), self.status.as_u16().to_string()), ("attempt".to_owned(), attempt.to_string())];
        // A status that the subscriber itself answered with speaks for itself.
        if let Some(code) = self.code {
            cause.push(("code".to_owned(), code.to_owned()));
        }
        if let Some(decision) = &self.decision {
            cause.push(("decision".to_owned(), decision.to_string()));
        }
        cause
    }
}

/// Delivers one leased event once and says how to settle it.
pub(super) async fn run(parts: &Arc<Parts>, trigger: &Arc<DeployedTrigger>, lease: &Lease) -> Settlement {
    let (event, envelope) = match envelope::open(&lease.record.headers, lease.record.body.clone()) {
        Ok(opened) => opened,
        Err(error) => {
            tracing::error!(trigger = %trigger.name, sequence = %lease.record.sequence, %error, "cannot read a kept event");
            let cause = vec![("code".to_owned(), "EVENT_INVALID".to_owned()), ("why".to_owned(), error.to_string())];
            return Settlement::Dead { state: Terminal::Dead, cause };
        }
    };
    if let FilterVerdict::Fail { .. } = trigger.resource.spec.filters.evaluate(&event) {
        return Settlement::Done(Terminal::Filtered);
    }
    let age = Duration::from_millis(parts.clock.now_ms().saturating_sub(lease.accepted_ms));
    if age > trigger.resource.spec.delivery.max_age.get() {
        let cause = vec![("code".to_owned(), "EVENT_EXPIRED".to_owned())];
        return Settlement::Dead { state: Terminal::Expired, cause };
    }
    let report = deliver(parts, trigger, lease, &event, &envelope).await;
    settle(parts, trigger, lease, &event, &envelope, report).await
}

async fn deliver(
    parts: &Arc<Parts>,
    trigger: &Arc<DeployedTrigger>,
    lease: &Lease,
    event: &Event,
    envelope: &Envelope,
) -> Report {
    let timeout = trigger.resource.spec.delivery.timeout.get();
    let cause = Cause::new(trigger.topic.clone(), lease.record.sequence, trigger.name.clone());
    let caller = Caller { via: Some(trigger.identity.clone()), ..envelope.caller.clone() };
    let (target, request) = match request(parts, trigger, event) {
        Ok(aimed) => aimed,
        Err(failure) => (Target::Nowhere(failure), http::Request::new(full(""))),
    };
    let deadline = Instant::now() + timeout;
    let call = Call {
        verb: Verb::Deliver,
        target,
        caller,
        request,
        deadline,
        hops: envelope.hops,
        cause: Some(cause.clone()),
    };
    let answer = pipeline::handle(&parts.mesh, call).await;
    let decision = Some(answer.decision);
    let after = retry::retry_after(answer.response.headers(), parts.clock.now_ms() / 1000);
    let disposition = Disposition::of(&answer.outcome, after);
    let (head, body) = answer.response.into_parts();
    let data = read(body, deadline).await;
    let report = Report {
        disposition,
        status: head.status,
        code: answer.outcome.failed(),
        data: data.as_ref().ok().cloned().unwrap_or_default(),
        decision,
    };
    // What is no event is dropped, however it ended: the 2xx was read.
    if disposition != Disposition::Ack || binding::mode(&head.headers).is_none() {
        return report;
    }
    let published = match data {
        Ok(data) => reply::publish(parts, trigger, envelope, &cause, &head.headers, data).await,
        Err(reason) => Err(Report::failed(reason, decision)),
    };
    match published {
        Ok(()) => report,
        Err(failed) => Report { data: report.data, decision: failed.decision.or(decision), ..failed },
    }
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

/// The request that carries the event, and what it is aimed at.
fn request(parts: &Parts, trigger: &DeployedTrigger, event: &Event) -> Result<(Target, http::Request<Body>), Failure> {
    let (headers, data) = binding::encode_binary(event);
    let mut request = http::Request::new(full(data));
    *request.method_mut() = Method::POST;
    *request.headers_mut() = headers;
    let (target, uri) = match &trigger.resource.spec.destination {
        Destination::Function { function, path } => {
            let uri = format!("http://{}{path}", routes::internal_host(function)).parse();
            let uri: Uri = uri.map_err(|_| Failure::hidden(Reason::Internal, "the trigger's path is not one"))?;
            (Target::Function(function.clone()), uri)
        }
        Destination::Url(url) => (Target::Outside(outside(parts, trigger, url)?), url.clone()),
    };
    if let Some(host) = uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()) {
        request.headers_mut().insert(header::HOST, host);
    }
    *request.uri_mut() = uri;
    Ok((target, request))
}

fn outside(parts: &Parts, trigger: &DeployedTrigger, url: &Uri) -> Result<Outside, Failure> {
    let no_host = || Failure::hidden(Reason::UpConnect, "the trigger's url has no host");
    let authority = url.authority().ok_or_else(no_host)?.as_str().to_ascii_lowercase().into();
    let reach = if parts.reach_private { Reach::Anywhere } else { Reach::Public };
    Ok(Outside { authority, owner_kind: Kind::Trigger, owner: trigger.name.clone(), reach })
}

async fn settle(
    parts: &Arc<Parts>,
    trigger: &Arc<DeployedTrigger>,
    lease: &Lease,
    event: &Event,
    envelope: &Envelope,
    report: Report,
) -> Settlement {
    let cause = report.cause(lease.attempt);
    let retry = |wait: Duration, cause| {
        let due_ms = parts.clock.now_ms().saturating_add(wait.as_millis() as u64);
        Settlement::Retry { due_ms, cause }
    };
    let delivery = &trigger.resource.spec.delivery;
    match report.disposition {
        Disposition::Ack => return Settlement::Done(Terminal::Delivered),
        Disposition::Deny => return Settlement::Dead { state: Terminal::Denied, cause },
        Disposition::Retry { after } => {
            let jitter = retry::jitter(parts.seed, lease.record.sequence.get(), lease.attempt);
            if let Some(wait) = retry::next(delivery, lease.attempt, after, jitter) {
                return retry(wait, cause);
            }
        }
        Disposition::Dead => {}
    }
    tracing::warn!(
        target: "weft::delivery", trigger = %trigger.name, sequence = %lease.record.sequence, event = event.id(),
        attempt = lease.attempt, status = report.status.as_u16(), code = report.code.unwrap_or_default(), "the event is dead"
    );
    match dead_letter::copy(parts, trigger, lease, event, envelope, &report).await {
        Ok(()) => Settlement::Dead { state: Terminal::Dead, cause },
        // The source is not settled before its copy is kept (threats.md H-09).
        Err(why) => {
            tracing::error!(trigger = %trigger.name, sequence = %lease.record.sequence, why, "cannot keep a dead letter");
            retry(delivery.backoff_max.get(), cause)
        }
    }
}
