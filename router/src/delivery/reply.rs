//! What a subscriber answers with. A 2xx answer that is itself a CloudEvent is published to the trigger's reply topic,
//! through the pipeline and with the subscriber's identity, before the delivery is settled; its dedupe id is derived
//! from the delivery, so that a redelivery adds nothing.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use weft_functions::event::http::{self as binding, Mode};
use weft_functions::event::{Event, EventLimits};
use weft_functions::trigger::Destination;

use super::attempt::Attempt;
use super::report::Report;
use crate::path::call::{Cause, HOPS_MAX};
use crate::path::caller::Caller;
use crate::path::outcome::{Disposition, Outcome, Reason};
use crate::path::spiffe::SpiffeId;

/// Publishes the reply, if the answer is one and there is a place for it.
pub(super) async fn publish(
    attempt: &Attempt<'_>,
    subscriber: &Cause,
    headers: &HeaderMap,
    data: Bytes,
) -> Result<(), Report> {
    let event = match binding::mode(headers) {
        None => return Ok(()),
        // A batch must not be sent to who did not ask for one (HTTP binding, section 3.3).
        Some(Mode::Batch) => return Err(bad(Reason::FnBadResponse)),
        Some(Mode::Binary | Mode::Structured) => single(headers, data).ok_or_else(|| bad(Reason::FnBadResponse))?,
    };
    let trigger = attempt.trigger;
    let Some(topic) = &trigger.resource.spec.reply else {
        attempt.parts.metrics.reply_unrouted(&trigger.name);
        tracing::debug!(trigger = %trigger.name, code = "REPLY_UNROUTED", "a reply event has no reply topic");
        return Ok(());
    };
    let hops = attempt.envelope.hops.saturating_add(1);
    if hops > HOPS_MAX {
        return Err(bad(Reason::EventLoop));
    }
    let caller = Caller::run_here(
        subscriber_identity(attempt),
        attempt.envelope.caller.origin.clone(),
        trigger.identity.clone().into(),
    );
    let answer = attempt.publish(topic, caller, &event, hops, subscriber.reply()).await;
    match answer.outcome.status {
        StatusCode::ACCEPTED => Ok(()),
        status => {
            let disposition = reply_disposition(&answer.outcome);
            Err(Report::answered(disposition, status, answer.outcome.failed(), answer.decision))
        }
    }
}

fn single(headers: &HeaderMap, data: Bytes) -> Option<Event> {
    binding::decode(headers, data, &EventLimits::default()).ok()?.pop()
}

/// A function speaks with its own identity; an address outside has none here, so its trigger speaks for it.
fn subscriber_identity(attempt: &Attempt<'_>) -> SpiffeId {
    match &attempt.trigger.resource.spec.destination {
        Destination::Function { function, .. } => attempt.parts.mesh.names.trust_domain.function(function),
        Destination::Url(_) => attempt.trigger.identity.clone(),
    }
}

/// A reply that cannot be kept now is tried again with its delivery; one that never can be makes the delivery dead.
/// A reply that policy forbids is dead too: the event itself was allowed, so it is not `denied`.
fn reply_disposition(outcome: &Outcome) -> Disposition {
    match Disposition::of(outcome, None) {
        Disposition::Ack | Disposition::Deny | Disposition::Dead => Disposition::Dead,
        again @ (Disposition::Retry | Disposition::Unavailable { .. }) => again,
    }
}

fn bad(reason: Reason) -> Report {
    Report::failed(reason, None)
}
