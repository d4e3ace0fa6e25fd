//! Writes events in the JSON format. All attributes are strings: an event keeps their text, not their type.

use bytes::Bytes;
use serde_json::Value;

use super::data::Form;
use crate::event::Event;

/// Room for the attributes of a usual event, so that most encode in one allocation.
const ATTRIBUTES_ROOM: usize = 512;

pub(in crate::event) fn encode(event: &Event) -> Bytes {
    let mut out = String::with_capacity(event.data().map_or(0, Bytes::len) + ATTRIBUTES_ROOM);
    write_event(&mut out, event);
    out.into()
}

pub(in crate::event) fn encode_batch(events: &[Event]) -> Bytes {
    let mut out = String::from("[");
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_event(&mut out, event);
    }
    out.push(']');
    out.into()
}

fn write_event(out: &mut String, event: &Event) {
    out.push('{');
    for (index, (name, value)) in event.attributes().enumerate() {
        if index > 0 {
            out.push(',');
        }
        // Names are a-z and 0-9: nothing to escape.
        out.push('"');
        out.push_str(name);
        out.push_str("\":");
        write_string(out, value);
    }
    if let Some(data) = event.data() {
        match Form::of(data, event.datacontenttype()) {
            Form::Json(json) => {
                out.push_str(",\"data\":");
                out.push_str(json);
            }
            Form::Text(text) => {
                out.push_str(",\"data\":");
                write_string(out, text);
            }
            Form::Base64(text) => {
                out.push_str(",\"data_base64\":");
                write_string(out, &text);
            }
        }
    }
    out.push('}');
}

fn write_string(out: &mut String, text: &str) {
    out.push_str(&Value::from(text).to_string());
}
