//! The copy of a dead event for the trigger's `deadLetter` topic, with the attributes that existing consumers of
//! Knative's dead letters read. It is kept before the source is settled; the trigger's own dead log holds the original.

use std::sync::Arc;

use base64::Engine as _;
use http::StatusCode;
use weft_eventlog::Lease;
use weft_functions::event::{Event, EventError};
use weft_functions::trigger::Destination;
use weft_functions::value::Namespaced;

use super::Parts;
use super::attempt::Report;
use super::reply::publish_call;
use crate::path::call::{Caller, Cause};
use crate::path::envelope::Envelope;
use crate::path::snapshot::DeployedTrigger;
use crate::path::{pipeline, routes};

/// Bytes of the answer that go into `knativeerrordata`: Knative keeps 1,024 characters of base 64.
pub(super) const ERROR_DATA_BYTES: usize = 768;

/// Publishes the copy. `Ok` if it is kept or none is wanted; otherwise the reason code.
pub(super) async fn copy(
    parts: &Arc<Parts>,
    trigger: &DeployedTrigger,
    lease: &Lease,
    event: &Event,
    envelope: &Envelope,
    report: &Report,
) -> Result<(), &'static str> {
    let Some(topic) = &trigger.resource.spec.delivery.dead_letter else { return Ok(()) };
    let letters = [letter(trigger, event, report).ok(), Some(event.clone())];
    let mut code = "EVENT_INVALID";
    // An event that has no room for our attributes is copied without them: better than not at all.
    for letter in letters.into_iter().flatten() {
        let attempt = report.last_attempt(lease);
        let cause = Cause::dead_letter(trigger.topic.clone(), lease.record.sequence, trigger.name.clone(), attempt);
        match publish(parts, trigger, &letter, envelope, topic, cause).await {
            Ok(()) => return Ok(()),
            Err(why @ ("EVENT_TOO_LARGE" | "EVENT_INVALID")) => code = why,
            Err(why) => return Err(why),
        }
    }
    Err(code)
}

async fn publish(
    parts: &Arc<Parts>,
    trigger: &DeployedTrigger,
    letter: &Event,
    envelope: &Envelope,
    topic: &Namespaced,
    cause: Arc<Cause>,
) -> Result<(), &'static str> {
    let caller = Caller {
        principal: trigger.identity.clone(),
        origin: envelope.caller.origin.clone(),
        via: Some(envelope.caller.principal.clone()),
    };
    // A dead letter is the end of a chain, not a link of it: it keeps the hops it has.
    let call = publish_call(topic.clone(), caller, letter, envelope.hops, cause, trigger);
    let answer = pipeline::handle(&parts.mesh, call).await;
    match answer.outcome.status {
        StatusCode::ACCEPTED => Ok(()),
        _ => Err(answer.outcome.code()),
    }
}

fn letter(trigger: &DeployedTrigger, event: &Event, report: &Report) -> Result<Event, EventError> {
    let dest = match &trigger.resource.spec.destination {
        Destination::Function { function, path } => format!("http://{}{path}", routes::internal_host(function)),
        Destination::Url(url) => url.to_string(),
    };
    let data = &report.data[..report.data.len().min(ERROR_DATA_BYTES)];
    let letter = event
        .clone()
        .with_extension("knativeerrordest", dest)?
        .with_extension("knativeerrorcode", report.status.as_u16().to_string())?;
    if data.is_empty() {
        return Ok(letter);
    }
    letter.with_extension("knativeerrordata", base64::engine::general_purpose::STANDARD.encode(data))
}
