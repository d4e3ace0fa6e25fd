//! Binary mode: one header per attribute, values percent-encoded (HTTP binding, section 3.1.3.2).

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};

use crate::event::text::Packer;
use crate::event::{Event, EventError, EventLimits};

const PREFIX: &str = "ce-";

/// What must be encoded besides everything outside printable ASCII.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// The headers that carry attributes, by attribute name. A name that no attribute can have is among them.
pub(super) fn attribute_headers(headers: &HeaderMap) -> impl Iterator<Item = (&str, &HeaderValue)> {
    // HeaderMap keeps names in lower case.
    headers.iter().filter_map(|(name, value)| Some((name.as_str().strip_prefix(PREFIX)?, value)))
}

pub(super) fn decode(
    headers: &HeaderMap,
    content_type: Option<&str>,
    body: Bytes,
    limits: &EventLimits,
) -> Result<Event, EventError> {
    let mut packer = Packer::default();
    for (name, value) in attribute_headers(headers) {
        packer.push(name, &decode_value(name, value)?);
    }
    if let Some(content_type) = content_type {
        packer.push("datacontenttype", content_type);
    }
    let builder = packer.finish().fold(Event::builder(), |builder, (name, value)| builder.attribute(name, value));
    let event = builder.maybe_data(Some(body)).build_with_version()?;
    limits.check_attributes(&event)?;
    Ok(event)
}

/// Headers beside a structured event may repeat its attributes (section 3.2.3); a difference is an error, since nobody
/// could say which of the two is meant.
pub(super) fn check_repeated(headers: &HeaderMap, event: &Event) -> Result<(), EventError> {
    for (name, value) in attribute_headers(headers) {
        if headers.get_all(format!("{PREFIX}{name}")).iter().count() > 1 {
            return Err(EventError::attribute(name, "given more than once"));
        }
        if event.attribute(name) != Some(&*decode_value(name, value)?) {
            return Err(EventError::attribute(name, "the ce- header differs from the event in the body"));
        }
    }
    Ok(())
}

/// Takes off double quotes, then one round of percent-encoding.
fn decode_value(name: &str, value: &HeaderValue) -> Result<String, EventError> {
    let wrong = |message: &str| EventError::attribute(name, message);
    let text = value.to_str().map_err(|_| wrong("characters outside printable ASCII must be percent-encoded"))?;
    let text = unquote(text).ok_or_else(|| wrong("the quoted value does not end"))?;
    if !has_whole_triplets(text.as_bytes()) {
        return Err(wrong("% must be followed by two hexadecimal digits"));
    }
    let decoded = percent_decode(text.as_bytes()).decode_utf8();
    decoded.map(Cow::into_owned).map_err(|_| wrong("the percent-encoded bytes are not UTF-8"))
}

/// RFC 7230, section 3.2.6, for a value that is one quoted string; others pass unchanged.
fn unquote(text: &str) -> Option<Cow<'_, str>> {
    let Some(rest) = text.strip_prefix('"') else { return Some(Cow::Borrowed(text)) };
    let mut plain = String::with_capacity(rest.len());
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return chars.as_str().is_empty().then_some(Cow::Owned(plain)),
            '\\' => plain.push(chars.next()?),
            c => plain.push(c),
        }
    }
}

fn has_whole_triplets(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'%')
        .all(|(at, _)| bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)))
}

/// The event in binary mode: a `ce-` header for each attribute but `datacontenttype`, which is the Content-Type, and the
/// data as it is.
pub fn encode(event: &Event) -> (HeaderMap, Bytes) {
    let mut headers = HeaderMap::new();
    for (name, value) in event.attributes() {
        // An event's names are legal header names, its media type is printable ASCII, and encoded values are: neither
        // conversion fails.
        let (header, value) = if name == "datacontenttype" {
            (Ok(CONTENT_TYPE), HeaderValue::from_str(value))
        } else {
            let encoded = utf8_percent_encode(value, ENCODED).to_string();
            (HeaderName::try_from(format!("{PREFIX}{name}")), HeaderValue::try_from(encoded))
        };
        if let (Ok(header), Ok(value)) = (header, value) {
            headers.append(header, value);
        }
    }
    (headers, event.data().cloned().unwrap_or_default())
}
