//! What a subscriber answers with. A 2xx answer that is itself a CloudEvent is published to the trigger's reply topic,
//! through the pipeline and with the subscriber's identity, before the delivery is settled; its dedupe id is derived
//! from the delivery, so that a redelivery adds nothing.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use tokio::time::Instant;
use weft_functions::event::http::{self as binding, Mode};
use weft_functions::event::{Event, EventLimits};
use weft_functions::policy::Verb;
use weft_functions::trigger::Destination;
use weft_functions::value::Namespaced;

use weft_runtime::full;

use super::Parts;
use super::attempt::Report;
use crate::path::call::{Call, Caller, Cause, HOPS_MAX, Principal, Target};
use crate::path::envelope::Envelope;
use crate::path::outcome::{Disposition, Outcome, Reason};
use crate::path::pipeline;
use crate::path::snapshot::DeployedTrigger;

/// Publishes the reply, if the answer is one and there is a place for it.
pub(super) async fn publish(
    parts: &Arc<Parts>,
    trigger: &DeployedTrigger,
    envelope: &Envelope,
    cause: &Arc<Cause>,
    headers: &HeaderMap,
    data: Bytes,
) -> Result<(), Report> {
    let event = match binding::mode(headers) {
        None => return Ok(()),
        // A batch must not be sent to who did not ask for one (HTTP binding, section 3.3).
        Some(Mode::Batch) => return Err(bad(Reason::FnBadResponse)),
        Some(Mode::Binary | Mode::Structured) => single(headers, data).ok_or_else(|| bad(Reason::FnBadResponse))?,
    };
    let Some(topic) = &trigger.resource.spec.reply else {
        parts.metrics.reply_unrouted(&trigger.name);
        tracing::debug!(trigger = %trigger.name, code = "REPLY_UNROUTED", "a reply event has no reply topic");
        return Ok(());
    };
    let hops = envelope.hops.saturating_add(1);
    if hops > HOPS_MAX {
        return Err(bad(Reason::EventLoop));
    }
    let caller = Caller {
        principal: subscriber_identity(parts, trigger),
        origin: envelope.caller.origin.clone(),
        via: Some(trigger.identity.clone()),
    };
    let call = publish_call(topic.clone(), caller, &event, hops, cause, trigger);
    let answer = pipeline::handle(&parts.mesh, call).await;
    match answer.outcome.status {
        StatusCode::ACCEPTED => Ok(()),
        status => {
            let disposition = reply_disposition(&answer.outcome);
            let code = answer.outcome.failed();
            Err(Report { disposition, status, code, data: Bytes::new(), decision: Some(answer.decision) })
        }
    }
}

/// A call that publishes one event on a delivery's behalf.
pub(super) fn publish_call(
    topic: Namespaced,
    caller: Caller,
    event: &Event,
    hops: u8,
    cause: &Arc<Cause>,
    trigger: &DeployedTrigger,
) -> Call {
    let (headers, data) = binding::encode_binary(event);
    let mut request = http::Request::new(full(data));
    *request.method_mut() = Method::POST;
    *request.headers_mut() = headers;
    request.headers_mut().remove(header::HOST);
    *request.uri_mut() = format!("/{topic}").parse().unwrap_or_else(|_| Uri::from_static("/"));
    Call {
        verb: Verb::Publish,
        target: Target::Topic(topic),
        caller,
        request,
        deadline: Instant::now() + trigger.resource.spec.delivery.timeout.get(),
        hops,
        cause: Some(cause.clone()),
    }
}

fn single(headers: &HeaderMap, data: Bytes) -> Option<Event> {
    binding::decode(headers, data, &EventLimits::default()).ok()?.pop()
}

/// A function speaks with its own identity; an address outside has none here, so its trigger speaks for it.
fn subscriber_identity(parts: &Parts, trigger: &DeployedTrigger) -> Principal {
    match &trigger.resource.spec.destination {
        Destination::Function { function, .. } => Principal::function(&parts.mesh.names.trust_domain, function),
        Destination::Url(_) => trigger.identity.clone(),
    }
}

/// A reply that cannot be kept now is tried again with its delivery; one that never can be makes the delivery dead.
/// A reply that policy forbids is dead too: the event itself was allowed, so it is not `denied`.
fn reply_disposition(outcome: &Outcome) -> Disposition {
    match Disposition::of(outcome, None) {
        Disposition::Ack | Disposition::Deny | Disposition::Dead => Disposition::Dead,
        retry @ Disposition::Retry { .. } => retry,
    }
}

fn bad(reason: Reason) -> Report {
    Report::failed(reason, None)
}
