//! Conversion from and to the official SDK's event, for programs that already speak it (feature `cloudevents-sdk`).
//!
//! The SDK keeps less than an event says. To the SDK: `time` becomes an instant, so its offset and the number of its
//! digits are lost, and a leap second or a `dataschema` that the SDK cannot hold is left out. From the SDK: `time` is
//! written with `+00:00`, extensions become their canonical text, JSON data is written anew without spaces. Attributes
//! that only the SDK accepts (an empty id, `bad_ext`) are refused. Data goes to the SDK as bytes, so that JSON is not
//! rewritten on the way.

use bytes::Bytes;
use cloudevents::event::{Data, ExtensionValue, SpecVersion, TryIntoTime as _, TryIntoUrl as _};
use cloudevents::{AttributesReader as _, AttributesWriter as _};

use super::attribute::is_core;
use super::{Event, EventError};

impl From<Event> for cloudevents::Event {
    fn from(event: Event) -> Self {
        let mut out = Self::default();
        out.set_id(event.id());
        out.set_source(event.source());
        out.set_type(event.ty());
        out.set_subject(event.subject());
        out.set_time(event.time().and_then(|time| time.into_time().ok()));
        out.set_dataschema(event.dataschema().and_then(|schema| schema.into_url().ok()));
        out.set_datacontenttype(event.datacontenttype());
        for (name, value) in event.attributes().filter(|(name, _)| !is_core(name)) {
            out.set_extension(name, value);
        }
        if let Some(data) = event.data() {
            out.set_data_unchecked(data.to_vec());
        }
        out
    }
}

impl TryFrom<cloudevents::Event> for Event {
    type Error = EventError;

    /// # Errors
    /// When the event is of version 0.3, or its attributes break the specification.
    fn try_from(event: cloudevents::Event) -> Result<Self, EventError> {
        if event.specversion() != SpecVersion::V10 {
            return Err(EventError::attribute("specversion", "must be exactly 1.0"));
        }
        let mut builder = Self::builder().id(event.id()).source(event.source().as_str()).ty(event.ty());
        if let Some(subject) = event.subject() {
            builder = builder.subject(subject);
        }
        if let Some(time) = event.time() {
            builder = builder.time(time.to_rfc3339());
        }
        if let Some(media_type) = event.datacontenttype() {
            builder = builder.datacontenttype(media_type);
        }
        if let Some(schema) = event.dataschema() {
            builder = builder.dataschema(schema.as_str());
        }
        for (name, value) in event.iter_extensions() {
            builder = match value {
                ExtensionValue::String(text) => builder.extension(name, text.as_str()),
                ExtensionValue::Boolean(value) => builder.extension(name, value.to_string()),
                ExtensionValue::Integer(value) => builder.extension(name, value.to_string()),
            };
        }
        builder.maybe_data(event.data().map(bytes_of)).build()
    }
}

fn bytes_of(data: &Data) -> Bytes {
    match data {
        Data::Binary(bytes) => Bytes::copy_from_slice(bytes),
        Data::String(text) => Bytes::copy_from_slice(text.as_bytes()),
        Data::Json(value) => Bytes::from(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use cloudevents::{EventBuilder as _, EventBuilderV03, EventBuilderV10};
    use serde_json::json;

    use super::*;

    fn full() -> Event {
        let builder = Event::builder().id("1").source("/s").ty("t").subject("a b").dataschema("https://example.com/x");
        let builder =
            builder.datacontenttype("application/json").extension("ext", "€").time("2018-04-05T17:31:00+00:00");
        builder.data(&br#"{"a": 1.50}"#[..]).build().unwrap()
    }

    #[test]
    fn what_the_sdk_can_hold_comes_back() {
        let sdk = cloudevents::Event::from(full());
        assert_eq!((sdk.id(), sdk.subject(), sdk.specversion()), ("1", Some("a b"), SpecVersion::V10));
        assert_eq!(Event::try_from(sdk).unwrap(), full());
    }

    /// What the SDK writes is read as the event that was given to it.
    #[test]
    fn structured_mode_of_the_sdk_is_understood() {
        let written = serde_json::to_vec(&cloudevents::Event::from(full())).unwrap();
        let read = crate::event::json::decode(&written.into(), &crate::EventLimits::default()).unwrap();
        let json = |event: &Event| serde_json::from_slice::<serde_json::Value>(event.data().unwrap()).unwrap();
        assert_eq!((read.id(), read.extension("ext"), json(&read)), ("1", Some("€"), json(&full())));
        let ours = crate::event::http::encode_structured(&full());
        let theirs: cloudevents::Event = serde_json::from_slice(&ours).unwrap();
        assert_eq!((theirs.id(), theirs.subject()), ("1", Some("a b")));
    }

    #[test]
    fn losses_are_the_documented_ones() {
        let precise =
            Event::builder().id("1").source("/s").ty("t").time("2018-04-05T17:31:00.10-02:00").build().unwrap();
        let back = Event::try_from(cloudevents::Event::from(precise)).unwrap();
        assert_eq!(back.time(), Some("2018-04-05T19:31:00.100+00:00"));
        let sdk = EventBuilderV10::new().id("1").source("/s").ty("t").extension("n", 7).extension("b", true);
        let event = Event::try_from(sdk.data("application/json", json!({"a": 1})).build().unwrap()).unwrap();
        assert_eq!((event.extension("n"), event.extension("b")), (Some("7"), Some("true")));
        assert_eq!(event.data().map(|data| &**data), Some(&br#"{"a":1}"#[..]));
    }

    #[test]
    fn what_breaks_the_specification_is_refused() {
        fn check(event: cloudevents::Event, attribute: &str) {
            let error = Event::try_from(event).unwrap_err();
            assert_eq!(error.attribute.as_deref(), Some(attribute), "{error}");
        }
        let valid = || EventBuilderV10::new().id("1").source("/s").ty("t");
        check(valid().id("").build().unwrap(), "id");
        check(valid().extension("bad_ext", "x").build().unwrap(), "bad_ext");
        check(EventBuilderV03::new().id("1").source("/s").ty("t").build().unwrap(), "specversion");
    }
}
