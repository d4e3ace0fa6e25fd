//! CloudEvents as HTTP messages (CloudEvents HTTP Protocol Binding 1.0.2): binary and structured mode are read, binary
//! mode is written. Separate from the event, which does not know how it travels.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde_json::value::RawValue;

use super::Event;
use crate::{Error, Headers};

const SPECVERSION: &str = "1.0";

/// What a header value must not hold as it is (binding, section 3.1.3.2); characters outside ASCII are encoded anyway.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// Whether a message says it is a CloudEvent, rightly or not.
pub(crate) fn claims_event(headers: &Headers) -> bool {
    headers.contains("ce-specversion") || media_type(headers).starts_with("application/cloudevents")
}

/// Reads the event out of a message. `body` is asked for only when the head allows an event.
pub(crate) fn decode<'a>(headers: &Headers, body: impl FnOnce() -> Result<&'a [u8], Error>) -> Result<Event, Error> {
    let event = match media_type(headers).as_str() {
        "application/cloudevents+json" => structured(body()?).map(|event| as_proven(event, headers)),
        "application/cloudevents" => binary(headers, body()?),
        other if other.starts_with("application/cloudevents") => {
            Err(format!("a function takes one event, not `{other}`"))
        }
        _ => binary(headers, body()?),
    };
    event
        .and_then(|event| event.check().map(|()| event))
        .map_err(|why| Error::status(400, format!("this is not a valid CloudEvent: {why}")))
}

/// Writes an event in binary mode.
pub(crate) fn encode(event: &Event) -> Result<(Headers, Vec<u8>), Error> {
    event.check().map_err(|why| Error::new(why).context(format!("encoding an event of type `{}`", event.ty)))?;
    let mut headers = Headers::from_iter([("ce-specversion", SPECVERSION)]);
    for (name, value) in event.attributes() {
        headers.append(format!("ce-{name}"), utf8_percent_encode(value, ENCODED).to_string());
    }
    if let Some(datacontenttype) = event.datacontenttype() {
        headers.append("content-type", datacontenttype);
    }
    Ok((headers, event.data.clone()))
}

/// The media type without parameters, in lower case; empty if there is none.
fn media_type(headers: &Headers) -> String {
    let full = headers.get("content-type").unwrap_or_default();
    full.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn binary(headers: &Headers, body: &[u8]) -> Result<Event, String> {
    let mut event = Event::empty(String::new());
    let mut specversion = None;
    for (name, value) in headers.iter() {
        let name = name.to_ascii_lowercase();
        let Some(name) = name.strip_prefix("ce-") else { continue };
        let value = decode_value(value).ok_or_else(|| format!("the header `ce-{name}` is not UTF-8 text"))?;
        match name {
            "specversion" => specversion = Some(value),
            _ => event.set_attribute(name, value),
        }
    }
    check_specversion(specversion.as_deref())?;
    event.datacontenttype = headers.get("content-type").map(str::to_owned);
    event.data = body.to_vec();
    Ok(event)
}

/// A header value as text: first the quotes are undone, then one round of percent-encoding (binding, section 3.1.3.2).
fn decode_value(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    let text = match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => Cow::Owned(unescape(quoted)),
        None => Cow::Borrowed(text),
    };
    percent_decode_str(&text).decode_utf8().ok().map(Cow::into_owned)
}

/// Undoes the backslashes of a quoted string (RFC 7230, section 3.2.6).
fn unescape(quoted: &str) -> String {
    let mut chars = quoted.chars();
    let mut text = String::with_capacity(quoted.len());
    while let Some(c) = chars.next() {
        text.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    text
}

fn structured(body: &[u8]) -> Result<Event, String> {
    let mut members: BTreeMap<String, Box<RawValue>> =
        serde_json::from_slice(body).map_err(|error| format!("the body is not a JSON object: {error}"))?;
    members.retain(|_, value| value.get() != "null");
    let (data, base64) = (members.remove("data"), members.remove("data_base64"));
    let specversion = members.remove("specversion").map(|value| attribute_text("specversion", &value)).transpose()?;
    check_specversion(specversion.as_deref())?;

    let mut event = Event::empty(String::new());
    for (name, value) in &members {
        event.set_attribute(name, attribute_text(name, value)?);
    }
    event.data = match (data, base64) {
        (Some(_), Some(_)) => return Err("it has both `data` and `data_base64`".into()),
        (Some(data), None) => data_bytes(&mut event, &data),
        (None, Some(base64)) => decode_base64(&base64)?,
        (None, None) => Vec::new(),
    };
    Ok(event)
}

/// The mesh sees to the heads of messages. An event in a body says of itself what it likes, so what it says of who sent it
/// is dropped here, and the origin is the one that the mesh proved.
fn as_proven(mut event: Event, headers: &Headers) -> Event {
    const AUTH_CONTEXT: [&str; 3] = ["authtype", "authid", "authclaims"];
    let ours = |name: &str| name.starts_with("weft") && name != "weftdelivernotbefore";
    event.extensions.retain(|name, _| !ours(name) && !AUTH_CONTEXT.contains(&name.as_str()));
    if let Some(origin) = headers.get("x-weft-origin").and_then(|origin| decode_value(origin.as_bytes())) {
        event.extensions.insert("weftorigin".to_owned(), origin);
    }
    event
}

/// JSON strings, booleans and numbers, in the text form that headers have.
fn attribute_text(name: &str, value: &RawValue) -> Result<String, String> {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str(text).map_err(|error| format!("the attribute `{name}`: {error}")),
        Some(b'{' | b'[') | None => Err(format!("the attribute `{name}` is not a string, a boolean or a number")),
        Some(_) => Ok(text.to_owned()),
    }
}

/// JSON data keeps its text; other data comes as a JSON string (JSON event format, section 3.1).
fn data_bytes(event: &mut Event, data: &RawValue) -> Vec<u8> {
    let datacontenttype = event.datacontenttype.get_or_insert_with(|| "application/json".into());
    let media_type = datacontenttype.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = media_type.ends_with("/json") || media_type.ends_with("+json");
    match serde_json::from_str::<String>(data.get()) {
        Ok(text) if !is_json => text.into_bytes(),
        _ => data.get().as_bytes().to_vec(),
    }
}

fn decode_base64(value: &RawValue) -> Result<Vec<u8>, String> {
    let text: String = serde_json::from_str(value.get()).map_err(|_| "`data_base64` is not a string")?;
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .map_err(|error| format!("`data_base64` is not base64: {error}"))
}

fn check_specversion(specversion: Option<&str>) -> Result<(), String> {
    match specversion {
        Some(SPECVERSION) => Ok(()),
        Some(other) => Err(format!("its specversion is `{other}`; this function reads 1.0")),
        None => Err("the attribute `specversion` is missing".into()),
    }
}

#[cfg(test)]
mod tests;
