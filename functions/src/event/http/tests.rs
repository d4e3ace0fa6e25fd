//! Verdicts of the HTTP binding, row by row, and the promise that no byte changes on the way through.

mod roundtrip;
mod structured;
mod vectors;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::event::{EventErrorKind, Text};

/// Headers of a valid event in binary mode.
const VALID: [(&str, &str); 4] = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "t")];

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| {
        (HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    let mut map = HeaderMap::new();
    for (name, value) in pairs.iter().map(pair) {
        map.append(name, value);
    }
    map
}

/// A valid event with some headers replaced; `None` leaves one out.
fn with(changes: &[(&str, Option<&str>)]) -> HeaderMap {
    let mut map = headers(&VALID);
    for (name, value) in changes {
        let name = HeaderName::try_from(*name).unwrap();
        map.remove(&name);
        if let Some(value) = value {
            map.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
    }
    map
}

fn decode_default(headers: &HeaderMap, body: impl Into<Bytes>) -> Result<Vec<Event>, EventError> {
    decode(headers, body.into(), &EventLimits::default())
}

#[test]
fn modes() {
    fn check(pairs: &[(&str, &str)], expect: Option<Mode>) {
        assert_eq!(mode(&headers(pairs)), expect, "{pairs:?}");
    }
    check(&[], None);
    check(&[("content-type", "application/json")], None);
    check(&[("ce-id", "1")], None);
    check(&VALID, Some(Mode::Binary));
    check(&[("content-type", "application/cloudevents+json")], Some(Mode::Structured));
    check(&[("content-type", "Application/CloudEvents+JSON; Charset=UTF-8")], Some(Mode::Structured));
    check(&[("content-type", "application/cloudevents+avro")], Some(Mode::Structured));
    check(&[("content-type", "application/cloudevents-batch+json ;x=y")], Some(Mode::Batch));
    check(&[("content-type", "application/cloudeventsish")], None);
    check(&[("content-type", "application/cloudevents+json"), ("ce-specversion", "1.0")], Some(Mode::Structured));
}

/// F-01: what is required, and what it must be.
#[test]
fn required_attributes() {
    fn check(name: &str, value: Option<&str>, valid: bool) {
        let outcome = decode_default(&with(&[(&format!("ce-{name}"), value)]), "");
        match outcome {
            Ok(_) => assert!(valid, "{name} {value:?}"),
            Err(error) => {
                assert!(!valid, "{name} {value:?}: {error}");
                assert_eq!((error.kind, error.attribute.as_deref()), (EventErrorKind::Invalid, Some(name)));
            }
        }
    }
    for name in ["specversion", "id", "source", "type"] {
        for bad in [None, Some(""), Some("%20"), Some("%E3%80%80"), Some("\"\"")] {
            check(name, bad, false);
        }
        let mut twice = headers(&VALID);
        twice.append(HeaderName::try_from(format!("ce-{name}")).unwrap(), HeaderValue::from_static("1.0"));
        let error = decode_default(&twice, "").unwrap_err();
        assert_eq!(error.attribute.as_deref(), Some(name), "{error}");
    }
    for version in ["0.3", "1.1", "1", "1.0.0", "%201.0", "v1.0"] {
        check("specversion", Some(version), false);
    }
    check("specversion", Some("\"1.0\""), true);
    check("id", Some("%F0%9F%98%80"), true);
    check("source", Some("1-555-123-4567"), true);
    check("source", Some("a b"), false);
    check("source", Some("%25zz"), false);
    check("source", Some("%2541"), true);
    check("source", Some("/k%C3%A4se"), false);
}

#[test]
fn messages_that_are_no_events() {
    fn check(pairs: &[(&str, &str)], kind: EventErrorKind, attribute: Option<&str>) {
        let error = decode_default(&headers(pairs), "{}").unwrap_err();
        assert_eq!((error.kind, error.attribute.as_deref()), (kind, attribute), "{pairs:?}: {error}");
    }
    check(&[("content-type", "application/json")], EventErrorKind::NotAnEvent, None);
    check(&[("ce-id", "1")], EventErrorKind::Invalid, Some("specversion"));
    check(&[("content-type", "application/cloudevents+avro")], EventErrorKind::Invalid, None);
    check(&[("content-type", "application/cloudevents")], EventErrorKind::Invalid, None);
    check(&[("content-type", "application/cloudevents+json; charset=utf-16")], EventErrorKind::Invalid, None);
}

/// F-02: one message, one description.
#[test]
fn two_descriptions() {
    const BODY: &str = r#"{"specversion":"1.0","id":"ü 1","source":"/s","type":"t","n":5}"#;
    fn check(pairs: &[(&str, &str)], body: &str, valid: bool) {
        let outcome = decode_default(&headers(pairs), body.to_owned());
        assert_eq!(outcome.is_ok(), valid, "{pairs:?}: {outcome:?}");
    }
    let typed = ("content-type", STRUCTURED);
    check(&[typed, ("ce-id", "%C3%BC%201"), ("ce-source", "/s"), ("ce-n", "5")], BODY, true);
    check(&[typed, ("ce-id", "2")], BODY, false);
    check(&[typed, ("ce-id", "%C3%BC%201"), ("ce-id", "%C3%BC%201")], BODY, false);
    check(&[typed, ("ce-other", "x")], BODY, false);
    check(&[typed, ("ce-datacontenttype", "application/json")], BODY, false);
    check(&[typed, typed], BODY, false);
    let batch = ("content-type", BATCH);
    check(&[batch], &format!("[{BODY}]"), true);
    check(&[batch, ("ce-id", "%C3%BC%201")], &format!("[{BODY}]"), false);
    check(&[batch, ("ce-specversion", "1.0")], "[]", false);
    let mut binary = VALID.to_vec();
    binary.push(("ce-datacontenttype", "text/plain"));
    check(&binary, "", false);
}

/// F-03: which texts a header may carry.
#[test]
fn header_values() {
    fn check(value: &[u8], expect: Option<&str>) {
        let mut map = headers(&VALID);
        map.insert("ce-ext", HeaderValue::from_bytes(value).unwrap());
        let read = decode_default(&map, "").map(|events| events[0].extension("ext").unwrap().to_owned());
        assert_eq!(read.as_deref().ok(), expect, "{:?}: {read:?}", String::from_utf8_lossy(value));
    }
    check(b"Euro%20%E2%82%AC%20%F0%9F%98%80", Some("Euro € 😀"));
    check(b"Euro%20%e2%82%ac", Some("Euro €"));
    check(b"%41", Some("A"));
    check(b"100%25", Some("100%"));
    check(b"%2541", Some("%41"));
    check(b"a b", Some("a b"));
    check(b"\"a b\"", Some("a b"));
    check(b"\"a \\\"b\\\\\"", Some("a \"b\\"));
    check(b"\"%41\"", Some("A"));
    check(b"a\"b\"", Some("a\"b\""));
    check(b"", Some(""));
    check(b"\"a", None);
    check(b"\"a\"b", None);
    check(b"\"a\\", None);
    check(b"%", None);
    check(b"%4", None);
    check(b"%zz", None);
    check(b"%+1", None);
    check(b"%FF", None);
    check(b"%C0%A0", None);
    check(b"%ED%A0%80", None);
    check(b"%00", None);
    check(b"%0A", None);
    check(b"a\tb", None);
    check(b"%7F", None);
    check(b"%C2%85", None);
    check(b"%EF%B7%90", None);
    check(b"%EF%BF%BF", None);
    check("ü".as_bytes(), None);
    check(b"\xff", None);
}

/// F-04: names and amounts.
#[test]
fn attribute_names_and_limits() {
    fn check(name: &str, value: &str, expect: Result<(), EventErrorKind>) {
        let outcome = decode_default(&with(&[(name, Some(value))]), "");
        assert_eq!(outcome.as_ref().map(|_| ()).map_err(|error| error.kind), expect, "{name}: {outcome:?}");
    }
    check("ce-Upper", "x", Ok(()));
    check("ce-abcdefghijklmnopqrstuvwxyz0123456789", "x", Ok(()));
    for bad in ["ce-", "ce-bad_ext", "ce-data", "ce-data_base64", "ce-a-b", &format!("ce-{}", "a".repeat(65))] {
        check(bad, "x", Err(EventErrorKind::Invalid));
    }
    check("ce-ext", &"x".repeat(4096), Ok(()));
    check("ce-ext", &"x".repeat(4097), Err(EventErrorKind::TooLarge));

    fn count(extensions: usize, bytes: usize, expect: Result<(), EventErrorKind>) {
        let mut map = headers(&VALID);
        let value = "x".repeat(bytes);
        for number in 0..extensions {
            map.insert(HeaderName::try_from(format!("ce-x{number}")).unwrap(), value.parse().unwrap());
        }
        let outcome = decode_default(&map, "");
        assert_eq!(outcome.map(|_| ()).map_err(|error| error.kind), expect, "{extensions} of {bytes}");
    }
    count(60, 1, Ok(()));
    count(61, 1, Err(EventErrorKind::TooLarge));
    count(10_000, 1, Err(EventErrorKind::TooLarge));
    count(7, 4096, Ok(()));
    count(8, 4096, Err(EventErrorKind::TooLarge));
}

/// F-05: the exact boundary of the size.
#[test]
fn sizes() {
    fn check(bytes: usize, expect: Result<(), EventErrorKind>) {
        let outcome = decode_default(&headers(&VALID), vec![b'x'; bytes]);
        assert_eq!(outcome.map(|_| ()).map_err(|error| error.kind), expect, "{bytes}");
    }
    check(64 * 1024 - 1, Ok(()));
    check(64 * 1024, Ok(()));
    check(1024 * 1024, Ok(()));
    check(1024 * 1024 + 1, Err(EventErrorKind::TooLarge));
}

/// F-06: times. A leap second is one only at the end of a month in UTC, as RFC 3339 has it.
#[test]
fn times() {
    fn check(time: &str, valid: bool) {
        let outcome = decode_default(&with(&[("ce-time", Some(time))]), "");
        match outcome {
            Ok(events) => {
                assert!(valid, "{time}");
                assert_eq!(events[0].time(), Some(time), "kept as written");
            }
            Err(error) => assert!(!valid && error.attribute.as_deref() == Some("time"), "{time}: {error}"),
        }
    }
    for good in [
        "2018-04-05T17:31:00Z",
        "2018-04-05T17:31:00+00:00",
        "2018-04-05T17:31:00.123456789-02:30",
        "2018-04-05t17:31:00z",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
        "2016-12-31T23:59:60Z",
        "2017-01-01T00:59:60+01:00",
    ] {
        check(good, true);
    }
    for bad in [
        "",
        "now",
        "2018-04-05",
        "2018-04-05T17:31:00",
        "2018-02-30T17:31:00Z",
        "2018-04-05T25:31:00Z",
        "2018-04-05T17:31:60Z",
        "2018-04-05T17:31:61Z",
        "18-04-05T17:31:00Z",
        "12018-04-05T17:31:00Z",
        "2018-04-05T17:31:00Zx",
        "2018-04-05T17:31:00+2500",
    ] {
        check(bad, false);
    }
}

#[test]
fn other_attributes() {
    fn check(name: &str, value: &str, valid: bool) {
        let outcome = decode_default(&with(&[(name, Some(value))]), "x");
        assert_eq!(outcome.is_ok(), valid, "{name} {value}: {outcome:?}");
    }
    check("ce-subject", "a/b c", true);
    check("ce-subject", "", false);
    check("ce-dataschema", "https://example.com/schema", true);
    check("ce-dataschema", "/schema", false);
    check("content-type", "text/plain; charset=us-ascii", true);
    check("content-type", "TEXT/Plain", true);
    check("content-type", "text", false);
    check("content-type", "", false);
    check("content-type", "text/", false);
    check("content-type", "té/xt", false);
}

/// Names and values of one message are slices of one buffer, and the data is the body itself.
#[test]
fn decoding_copies_no_data() {
    let body = Bytes::from_static(b"payload");
    let events = decode_default(&headers(&VALID), body.clone()).unwrap();
    assert_eq!(events[0].data().unwrap().as_ptr(), body.as_ptr());
    let text = Text::from("abc");
    assert_eq!(text.clone().into_bytes().as_ptr(), text.into_bytes().as_ptr());
}

#[test]
fn binary_mode_is_written_as_the_binding_says() {
    let event = Event::builder()
        .id("a\"b%")
        .source("/s")
        .ty("t")
        .datacontenttype("text/plain; charset=utf-8")
        .extension("ext", "Euro € 😀")
        .data("x")
        .build()
        .unwrap();
    let (map, body) = encode_binary(&event);
    let written: Vec<(&str, &str)> = map.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
    let expect = [
        ("ce-specversion", "1.0"),
        ("ce-id", "a%22b%25"),
        ("ce-source", "/s"),
        ("ce-type", "t"),
        ("content-type", "text/plain; charset=utf-8"),
        ("ce-ext", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
    ];
    for pair in expect {
        assert!(written.contains(&pair), "{pair:?} in {written:?}");
    }
    assert_eq!((written.len(), &*body), (expect.len(), &b"x"[..]));
}
