//! The only place that appends to a topic. Reads the CloudEvents of a permitted publish, seals each with its envelope,
//! and answers 202 from what only the log can make: a durable sequence.

mod room;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use sha2::{Digest, Sha256};
use weft_eventlog::{Accepted, AppendError, Appended, DedupeKey, NewRecord, Record};
use weft_functions::event::http as binding;
use weft_functions::event::{Event, EventError, EventErrorKind, EventLimits};
use weft_runtime::{Body, BodyError, empty, full};

pub use self::room::Room;
use crate::path::again::{Lane, Mark};
use crate::path::call::{Call, EMISSIONS_MAX};
use crate::path::envelope::{Envelopes, Seal};
use crate::path::identity_fields::strip_event;
use crate::path::outcome::{Failure, Reason};
use crate::path::policy::Permit;
use crate::path::snapshot::{DeployedNamespace, DeployedTopic};

/// How long an append may take before its publisher is told to try again (`threats.md` F-11): a disk that takes seconds
/// for an fsync serves nobody better by a longer queue.
const APPEND_PATIENCE: Duration = Duration::from_secs(5);

/// Bytes for which there must be room before a body is read that does not say how long it is.
const UNANNOUNCED_BYTES: usize = 16 << 10;

/// Events and bytes that are copied by one append: half of what the log takes at once.
const COPIES: usize = 256;
const COPY_BYTES: usize = 4 << 20;

/// Keeps the call's events and answers which sequence each has.
pub async fn publish(
    permit: Permit,
    topic: &DeployedTopic,
    namespace: Option<&DeployedNamespace>,
    envelopes: &Envelopes,
    room: &Room,
    mut call: Call,
) -> Result<http::Response<Body>, Failure> {
    if let Some(namespace) = namespace {
        charge(namespace, &call, 0)?;
    }
    receive(room, &mut call).await?;
    let events = call.events.take().unwrap_or_default();
    if let Some(namespace) = namespace {
        charge(namespace, &call, events.iter().map(weight).sum())?;
    }
    if call.cause.as_ref().is_some_and(|cause| !cause.may_publish(events.len())) {
        return Err(Failure::open(Reason::EventLoop, format!("one delivery publishes at most {EMISSIONS_MAX} events")));
    }
    let seal = envelopes.seal(&topic.name, &call.caller, call.hops, &topic.resource.spec.keep_claims);
    let records = events.iter().map(|event| {
        let dedupe = match &call.cause {
            Some(cause) => derived(cause.derived_id(digest(event, |name| !matches!(name, "id" | "time")))),
            None => DedupeKey { id: dedupe_id(event), digest: digest(event, |_| true) },
        };
        record(event, &seal, dedupe)
    });
    let records = records.collect();
    drop(permit);
    let appended = match tokio::time::timeout(APPEND_PATIENCE, topic.log.append(records)).await {
        Ok(appended) => appended?,
        // Stored or not is unknown now; the publisher may send it again under the same id.
        Err(_) => return Err(Failure::hidden(Reason::LogUnavailable, "the log did not answer in time")),
    };
    Ok(accepted(&events, &appended))
}

/// Takes the bytes out of what the namespace may publish now; with 0, asks whether it may at all, so that a body that
/// will be refused is not read. What only copies an event that was admitted before is counted and not held up.
fn charge(namespace: &DeployedNamespace, call: &Call, bytes: u64) -> Result<(), Failure> {
    let quotas = &namespace.resource.spec.quotas;
    if call.cause.as_ref().is_some_and(|cause| cause.is_copy()) {
        namespace.usage.published(bytes, quotas);
        return Ok(());
    }
    namespace.usage.publish(bytes, quotas)
}

/// What an event counts for: its data, and the names and values of its attributes.
fn weight(event: &Event) -> u64 {
    let attributes: usize = event.attributes().map(|(name, value)| name.len() + value.len()).sum();
    (attributes + event.data().map_or(0, Bytes::len)) as u64
}

/// Reads the events that a publish carries, once: they stay with the call. Policy may need them before there is a permit.
pub async fn receive(room: &Room, call: &mut Call) -> Result<(), Failure> {
    if call.events.is_some() {
        return Ok(());
    }
    if call.request.method() != Method::POST {
        return Err(Failure::method("POST"));
    }
    let limits = EventLimits::default();
    let expected = announced(&call.request).unwrap_or(UNANNOUNCED_BYTES).min(limits.batch_bytes);
    let expected_room = room.take(expected)?;
    let body = std::mem::replace(call.request.body_mut(), empty());
    let body = read(body, limits.batch_bytes).await?;
    let more_room = (body.len() > expected).then(|| room.take(body.len() - expected)).transpose()?;
    // It goes with the call, until its events are kept.
    call.request.extensions_mut().insert((expected_room, more_room));
    let events = binding::decode(call.request.headers(), body, &limits)?;
    call.events = Some(events.into_iter().map(strip_event).collect());
    Ok(())
}

/// How long a body says it is.
fn announced(request: &http::Request<Body>) -> Option<usize> {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    usize::try_from(length.or_else(|| request.body().size_hint().exact())?).ok()
}

/// A kept event, to be delivered once more.
pub struct Copy {
    /// As it was kept.
    pub record: Record,
    /// What says why it comes again.
    pub mark: Mark,
    /// Its dedupe id in the lane: an event is copied once under it.
    pub id: String,
}

/// Copies in portions that one append takes.
pub fn copies(copies: Vec<Copy>) -> Vec<Vec<Copy>> {
    let (mut portions, mut bytes) = (Vec::<Vec<Copy>>::new(), usize::MAX);
    for copy in copies {
        let size = copy.record.body.len()
            + copy.record.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        match portions.last_mut() {
            Some(portion) if bytes.saturating_add(size) <= COPY_BYTES && portion.len() < COPIES => {
                bytes += size;
                portion.push(copy);
            }
            _ => {
                bytes = size;
                portions.push(vec![copy]);
            }
        }
    }
    portions
}

/// Keeps events once more, in a lane; how many of them were there. They were permitted when they were published, each is
/// judged again when it is delivered, and who may ask for this was judged where it was asked for.
///
/// # Errors
/// The log does not take them.
pub async fn copy(lane: &Lane, copies: &[Copy]) -> Result<usize, AppendError> {
    let records = copies.iter().map(|Copy { record, mark, id }| NewRecord {
        dedupe: Some(derived(id.clone())),
        key: record.key.clone(),
        subject: mark.to_string(),
        // The envelope is proven for the topic where the event was published, which its trigger knows.
        headers: record.headers.clone(),
        body: record.body.clone(),
    });
    let appended = lane.log.append(records.collect()).await?;
    Ok(appended.iter().filter(|appended| appended.duplicate).count())
}

async fn read(body: Body, limit: usize) -> Result<Bytes, Failure> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Failure::open(Reason::EventTooLarge, format!("at most {limit} bytes are taken at once")))
        }
        Err(error) => match error.downcast_ref::<BodyError>() {
            Some(error) => Err(error.into()),
            None => Err(Failure::hidden(Reason::RequestBroken, error.to_string())),
        },
    }
}

impl From<EventError> for Failure {
    fn from(error: EventError) -> Self {
        let reason = match error.kind {
            EventErrorKind::TooLarge => Reason::EventTooLarge,
            EventErrorKind::Invalid | EventErrorKind::NotAnEvent => Reason::EventInvalid,
        };
        Self::open(reason, error.to_string())
    }
}

impl From<AppendError> for Failure {
    fn from(error: AppendError) -> Self {
        match &error {
            AppendError::Conflict { .. } => Self::open(Reason::EventConflict, error.to_string()),
            AppendError::TooLarge { .. } => Self::open(Reason::EventTooLarge, error.to_string()),
            AppendError::Full { .. } => Self::hidden(Reason::TopicFull, error.to_string()),
            AppendError::Closed { .. } => Self::hidden(Reason::Draining, error.to_string()),
            _ => Self::hidden(Reason::LogUnavailable, error.to_string()),
        }
    }
}

fn record(event: &Event, seal: &Seal<'_>, dedupe: DedupeKey) -> NewRecord {
    NewRecord {
        dedupe: Some(dedupe),
        key: Some(event.extension("partitionkey").unwrap_or(event.source()).to_owned()),
        subject: event.ty().to_owned(),
        headers: seal.seal(event),
        body: event.data().cloned().unwrap_or_default(),
    }
}

/// What makes an event the same event: source and id together (CloudEvents 1.0, "id"). The length keeps `a`+`bc`
/// apart from `ab`+`c`.
fn dedupe_id(event: &Event) -> String {
    format!("event/{}/{}{}", event.source().len(), event.source(), event.id())
}

/// An id we derive says by itself that the event is the same: a function that answers a redelivery with other bytes
/// has not made another event.
fn derived(id: String) -> DedupeKey {
    DedupeKey { digest: Sha256::digest(id.as_bytes()).into(), id }
}

/// What must be equal for a repeat to be a duplicate and not a conflict: the attributes that count, and the data.
fn digest(event: &Event, counts: impl Fn(&str) -> bool) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    for (name, value) in event.attributes().filter(|(name, _)| counts(name)) {
        part(name.as_bytes());
        part(value.as_bytes());
    }
    match event.data() {
        Some(data) => part(data),
        None => hash.update(u64::MAX.to_be_bytes()),
    }
    hash.finalize().into()
}

#[derive(serde::Serialize)]
struct Receipt<'a> {
    accepted: Vec<ReceiptLine<'a>>,
}

#[derive(serde::Serialize)]
struct ReceiptLine<'a> {
    id: &'a str,
    source: &'a str,
    sequence: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    durability: Option<&'static str>,
}

/// The 202. Each line is made from what the log gave back, so there is none without the log's word.
fn accepted(events: &[Event], appended: &[Appended]) -> http::Response<Body> {
    let lines = events.iter().zip(appended).map(|(event, appended)| ReceiptLine {
        id: event.id(),
        source: event.source(),
        sequence: appended.accepted.sequence().to_string(),
        duplicate: appended.duplicate,
        durability: match &appended.accepted {
            Accepted::Durable(_) => None,
            Accepted::Relaxed(_) => Some("relaxed"),
        },
    });
    let body = serde_json::to_vec(&Receipt { accepted: lines.collect() }).unwrap_or_default();
    let mut response = http::Response::new(full(body));
    *response.status_mut() = StatusCode::ACCEPTED;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, source: &str, data: &'static str) -> Event {
        Event::builder().id(id).source(source).ty("t").data(data).build().expect("an event")
    }

    #[test]
    fn the_same_event_has_the_same_key_and_another_has_another() {
        assert_eq!(dedupe_id(&event("1", "/a", "x")), dedupe_id(&event("1", "/a", "y")));
        assert_ne!(dedupe_id(&event("c", "/ab", "x")), dedupe_id(&event("bc", "/a", "x")));
        let whole = |event: &Event| digest(event, |_| true);
        assert_eq!(whole(&event("1", "/a", "x")), whole(&event("1", "/a", "x")));
        assert_ne!(whole(&event("1", "/a", "x")), whole(&event("1", "/a", "y")));
        let more = event("1", "/a", "x").with_extension("a", "1").expect("an extension");
        assert_ne!(whole(&event("1", "/a", "x")), whole(&more));
        let content = |event: &Event| digest(event, |name| name != "id");
        assert_eq!(content(&event("1", "/a", "x")), content(&event("2", "/a", "x")));
    }
}
