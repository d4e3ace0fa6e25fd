//! The copy of a dead event for the trigger's `deadLetter` topic, with the attributes that existing consumers of
//! Knative's dead letters read. It is kept before the source is settled; the trigger's own dead log holds the original.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use weft_functions::event::{Event, EventError};
use weft_functions::trigger::Destination;

use super::attempt::Attempt;
use super::report::Report;
use crate::path::call::Cause;
use crate::path::routes;

/// Bytes of the answer that go into `knativeerrordata`: Knative keeps 1,024 characters of base 64.
pub(super) const ERROR_DATA_BYTES: usize = 768;

/// Publishes the copy. `Ok` if it is kept or none is wanted; otherwise the reason code.
pub(super) async fn copy(attempt: &Attempt<'_>, report: &Report) -> Result<(), &'static str> {
    let Some(topic) = &attempt.trigger.resource.spec.delivery.dead_letter else { return Ok(()) };
    let last = report.last_attempt(attempt.lease.attempt);
    let letters = [letter(attempt, report).ok(), Some(attempt.event.clone())];
    let mut code = "EVENT_INVALID";
    // An event that has no room for our attributes is copied without them: better than not at all.
    for letter in letters.into_iter().flatten() {
        let cause = attempt.cause(|topic, sequence, trigger| Cause::dead_letter(topic, sequence, trigger, last));
        // A dead letter is the end of a chain, not a link of it: it keeps the hops it has.
        let answer = attempt.publish(topic, attempt.trigger_itself(), &letter, attempt.envelope.hops, cause).await;
        match (answer.outcome.status, answer.outcome.code()) {
            (StatusCode::ACCEPTED, _) => return Ok(()),
            (_, why @ ("EVENT_TOO_LARGE" | "EVENT_INVALID")) => code = why,
            (_, why) => return Err(why),
        }
    }
    Err(code)
}

fn letter(attempt: &Attempt<'_>, report: &Report) -> Result<Event, EventError> {
    let dest = match &attempt.trigger.resource.spec.destination {
        Destination::Function { function, path } => format!("http://{}{path}", routes::internal_host(function)),
        Destination::Url(url) => url.to_string(),
    };
    let data = &report.data[..report.data.len().min(ERROR_DATA_BYTES)];
    let letter = attempt
        .event
        .clone()
        .with_extension("knativeerrordest", dest)?
        .with_extension("knativeerrorcode", report.status.as_u16().to_string())?;
    if data.is_empty() {
        return Ok(letter);
    }
    letter.with_extension("knativeerrordata", STANDARD.encode(data))
}
