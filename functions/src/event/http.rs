//! The HTTP protocol binding of CloudEvents 1.0.2, pure over header maps and bytes.
//!
//! Decoding never repairs and never merges: a message that describes its event twice must say the same twice.

mod binary;

use ::http::HeaderMap;
use ::http::header::CONTENT_TYPE;
use bytes::Bytes;

use super::json;
use super::{Event, EventError, EventLimits};

pub use binary::encode as encode_binary;

/// `Content-Type` of [`encode_structured`].
pub const STRUCTURED: &str = "application/cloudevents+json";

/// `Content-Type` of [`encode_batch`].
pub const BATCH: &str = "application/cloudevents-batch+json";

/// How a message carries events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Attributes in `ce-` headers, data as the body.
    Binary,
    /// One event in an event format.
    Structured,
    /// A list of events in an event format.
    Batch,
}

/// How the message carries events; `None` when it does not claim to: its type is not `application/cloudevents…`, and
/// there is no `ce-specversion`. Media types are compared without regard to case and parameters.
pub fn mode(headers: &HeaderMap) -> Option<Mode> {
    let essence = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(essence_of).unwrap_or_default();
    if is_type(&essence, "application/cloudevents-batch") {
        Some(Mode::Batch)
    } else if is_type(&essence, "application/cloudevents") {
        Some(Mode::Structured)
    } else {
        headers.contains_key("ce-specversion").then_some(Mode::Binary)
    }
}

/// Reads the events of a message: one in binary and structured mode, any number in a batch, all or nothing.
///
/// # Errors
/// `NotAnEvent` when the message does not claim to be one, `TooLarge` when a limit is exceeded, else `Invalid`. The error
/// names the attribute and, in a batch, the event.
pub fn decode(headers: &HeaderMap, body: Bytes, limits: &EventLimits) -> Result<Vec<Event>, EventError> {
    let Some(mode) = mode(headers) else {
        // Whoever sends some ce- header meant to send an event.
        return Err(match binary::attribute_headers(headers).next() {
            Some(_) => EventError::attribute("specversion", "missing: send the header ce-specversion: 1.0"),
            None => EventError::not_an_event(format!(
                "neither ce-specversion nor a Content-Type of {STRUCTURED} or {BATCH} was sent"
            )),
        });
    };
    let (most, what) = match mode {
        Mode::Batch => (limits.batch_bytes, "batch"),
        Mode::Binary | Mode::Structured => (limits.event_bytes, "event"),
    };
    if body.len() > most {
        return Err(EventError::too_large(format!("the {what} has {} bytes, at most {most} are taken", body.len())));
    }
    let content_type = content_type(headers)?;
    if headers.contains_key("ce-datacontenttype") {
        let message = "the header ce-datacontenttype is not allowed: Content-Type says it";
        return Err(EventError::attribute("datacontenttype", message));
    }
    match mode {
        Mode::Binary => Ok(vec![binary::decode(headers, content_type, body, limits)?]),
        Mode::Structured => {
            check_format(content_type.unwrap_or_default())?;
            let event = json::decode(&body, limits)?;
            binary::check_repeated(headers, &event)?;
            Ok(vec![event])
        }
        Mode::Batch => {
            check_format(content_type.unwrap_or_default())?;
            if let Some((name, _)) = binary::attribute_headers(headers).next() {
                return Err(EventError::attribute(name, "ce- headers cannot describe the events of a batch"));
            }
            json::decode_batch(&body, limits)
        }
    }
}

/// The event in structured mode; goes with [`STRUCTURED`].
pub fn encode_structured(event: &Event) -> Bytes {
    json::encode(event)
}

/// The events in batch mode; goes with [`BATCH`].
pub fn encode_batch(events: &[Event]) -> Bytes {
    json::encode_batch(events)
}

/// Whether a media type announces structured or batch mode.
pub(super) fn is_cloudevents_type(media_type: &str) -> bool {
    let essence = essence_of(media_type);
    is_type(&essence, "application/cloudevents") || is_type(&essence, "application/cloudevents-batch")
}

/// The one Content-Type.
fn content_type(headers: &HeaderMap) -> Result<Option<&str>, EventError> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(EventError::attribute("datacontenttype", "Content-Type was sent more than once"));
    }
    let text = first.to_str();
    text.map(Some).map_err(|_| EventError::attribute("datacontenttype", "Content-Type must be printable ASCII"))
}

/// `type/subtype` in lower case, without parameters.
fn essence_of(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether the essence is `base`, in any format: `base` or `base+…`.
fn is_type(essence: &str, base: &str) -> bool {
    essence.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('+'))
}

/// Only the JSON format exists here, and JSON is UTF-8.
fn check_format(content_type: &str) -> Result<(), EventError> {
    if !essence_of(content_type).ends_with("+json") {
        let message =
            format!("`{}` is not a format we read: send {STRUCTURED} or {BATCH}", content_type.escape_debug());
        return Err(EventError::invalid(message));
    }
    for parameter in content_type.split(';').skip(1) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"');
        if name.trim().eq_ignore_ascii_case("charset")
            && !["utf-8", "us-ascii"].iter().any(|known| value.eq_ignore_ascii_case(known))
        {
            return Err(EventError::invalid("the charset must be utf-8"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
