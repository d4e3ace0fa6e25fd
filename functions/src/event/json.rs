//! The JSON event format and its batch (CloudEvents JSON format 1.0.2).
//!
//! Data is never parsed into values: JSON data keeps its exact text, so that numbers and spacing survive.

mod data;
mod encode;
mod members;

use std::borrow::Cow;
use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::value::RawValue;

pub(super) use encode::{encode, encode_batch};

use self::members::Members;
use super::attribute::is_core;
use super::{Event, EventBuilder, EventError, EventLimits, Text};

/// Reads one event.
pub(super) fn decode(body: &Bytes, limits: &EventLimits) -> Result<Event, EventError> {
    let text = text_of(body, limits.json_depth)?;
    decode_event(body, text, limits)
}

/// Reads a list of events, all or nothing.
pub(super) fn decode_batch(body: &Bytes, limits: &EventLimits) -> Result<Vec<Event>, EventError> {
    // The list itself is one level more.
    let text = text_of(body, limits.json_depth.saturating_add(1))?;
    let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| not_json("a batch", &error))?;
    if items.len() > limits.batch_events {
        let most = limits.batch_events;
        return Err(EventError::too_large(format!("the batch has {} events, at most {most} are taken", items.len())));
    }
    let one = |(index, item): (usize, &&RawValue)| {
        decode_event(body, item.get(), limits).map_err(|error| error.at_index(index))
    };
    items.iter().enumerate().map(one).collect()
}

/// Reads the event whose text is a part of `body`; what it keeps are slices of `body`.
fn decode_event(body: &Bytes, text: &str, limits: &EventLimits) -> Result<Event, EventError> {
    if text.len() > limits.event_bytes {
        let most = limits.event_bytes;
        return Err(EventError::too_large(format!("the event has {} bytes, at most {most} are taken", text.len())));
    }
    let Members(members) = serde_json::from_str(text).map_err(|error| not_json("an event", &error))?;
    if let Some(name) = repeated(&members) {
        return Err(EventError::attribute(name, "given more than once"));
    }
    let mut builder = Event::builder();
    let (mut data, mut data_base64) = (None, None);
    for (name, value) in &members {
        match &**name {
            "data" => data = Some(*value),
            "data_base64" => data_base64 = Some(*value),
            name => builder = attribute(builder, name, value, body)?,
        }
    }
    // `data` without a type is JSON, and whoever gets the event in another mode must be told (CloudEvents 1.0.2,
    // "datacontenttype").
    let typed = members.iter().any(|(name, value)| name == "datacontenttype" && value.get() != "null");
    if data.is_some() && !typed {
        builder = builder.datacontenttype(Text::from_static("application/json"));
    }
    let event = builder.build_with_version()?;
    limits.check_attributes(&event)?;
    let data = match (data, data_base64) {
        (Some(_), Some(_)) => return Err(EventError::invalid("`data` and `data_base64` are both given")),
        (Some(value), None) => data::from_json(value, event.datacontenttype(), body)?,
        (None, Some(value)) => data::from_base64(value)?,
        (None, None) => None,
    };
    Ok(Event { data: data.filter(|data| !data.is_empty()), ..event })
}

/// A name that stands twice. Looked for before `null` members are left out: `null` beside a value is two answers too.
fn repeated<'a>(members: &'a [(Cow<'_, str>, &RawValue)]) -> Option<&'a str> {
    let mut seen = BTreeSet::new();
    members.iter().map(|(name, _)| &**name).find(|name| !seen.insert(*name))
}

/// Adds an attribute. `null` is the same as leaving it out (section 2.2); numbers and booleans become their canonical
/// text, and only extensions may have them.
fn attribute(builder: EventBuilder, name: &str, value: &RawValue, body: &Bytes) -> Result<EventBuilder, EventError> {
    let raw = value.get();
    let wrong = |message: &str| EventError::attribute(name, message);
    let text = match raw.as_bytes().first() {
        Some(b'"') => string(raw, body).map_err(|_| wrong("the text has a lone surrogate"))?,
        Some(b'n') if is_core(name) || super::is_attribute_name(name) => return Ok(builder),
        Some(b't' | b'f') if !is_core(name) => Text::from(raw),
        Some(b'-' | b'0'..=b'9') if !is_core(name) => {
            let number: i32 = raw.parse().map_err(|_| wrong("a number must be an integer of 32 bits"))?;
            Text::from(number.to_string())
        }
        _ if is_core(name) => return Err(wrong("must be a string")),
        _ => return Err(wrong("must be a string, an integer or a boolean")),
    };
    Ok(builder.attribute(slice(body, name), text))
}

/// The value of a JSON string: a slice of `body` unless it has escapes.
fn string(raw: &str, body: &Bytes) -> Result<Text, serde_json::Error> {
    match serde_json::from_str::<&str>(raw) {
        Ok(plain) => Ok(slice(body, plain)),
        // Escapes cannot be borrowed.
        Err(_) => serde_json::from_str::<String>(raw).map(Text::from),
    }
}

/// `part` as a slice of `body` when it lies within, else a copy (a name that was written with escapes).
fn slice(body: &Bytes, part: &str) -> Text {
    let within = body.as_ptr_range().contains(&part.as_ptr()) && !part.is_empty();
    let bytes = if within { body.slice_ref(part.as_bytes()) } else { Bytes::copy_from_slice(part.as_bytes()) };
    Text::try_from(bytes).unwrap_or_else(|_| Text::from(part))
}

/// The body as text, its nesting within bounds. The parser skips over `data` without recursion; whoever reads the data
/// later may not.
fn text_of(body: &Bytes, most: usize) -> Result<&str, EventError> {
    let text = str::from_utf8(body).map_err(|_| EventError::invalid("the body is not UTF-8"))?;
    if depth(text.as_bytes()) > most {
        return Err(EventError::invalid(format!("the JSON is nested more than {most} deep")));
    }
    Ok(text)
}

/// Deepest nesting of arrays and objects, for text that may not even be JSON.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn not_json(what: &str, error: &serde_json::Error) -> EventError {
    EventError::invalid(format!("the body is not {what} in JSON: {error}"))
}
