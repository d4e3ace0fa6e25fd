//! The JSON format and its batch: F-02, F-03, F-06 and F-07 inside a body.

use super::*;

fn decode_json(body: impl Into<Bytes>) -> Result<Event, EventError> {
    decode_default(&headers(&[("content-type", STRUCTURED)]), body).map(|mut events| events.remove(0))
}

/// A valid event with more members.
fn event_with(members: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"t"{members}}}"#)
}

#[test]
fn documents() {
    fn check(body: impl Into<Bytes>, valid: bool) {
        let body = body.into();
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let outcome = decode_json(body);
        assert_eq!(outcome.is_ok(), valid, "{shown}: {outcome:?}");
    }
    check(event_with(""), true);
    check(format!(" \n{}\t", event_with("")), true);
    check(format!("\u{feff}{}", event_with("")), false);
    check(format!("{} x", event_with("")), false);
    check(format!("{0}{0}", event_with("")), false);
    check("", false);
    check("[]", false);
    check("null", false);
    check("\"x\"", false);
    check(r#"{"specversion":"1.0""#, false);
    check(&b"{\"specversion\":\"1.0\",\"id\":\"\xff\"}"[..], false);
    for twice in [
        r#","id":"1""#,
        r#","ext":"a","ext":"a""#,
        r#","ext":null,"ext":"a""#,
        r#","data":1,"data":1"#,
        r#","\u0069d":"1""#,
    ] {
        check(event_with(twice), false);
    }
}

#[test]
fn nesting() {
    fn check(depth: usize, valid: bool) {
        let data = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let outcome = decode_json(event_with(&format!(r#","data":{data}"#)));
        assert_eq!(outcome.is_ok(), valid, "{depth}");
    }
    check(127, true);
    check(128, false);
    check(10_000, false);
    check(400_000, false);
    let brackets_in_text = format!(r#","data":"{}\"{}""#, "[".repeat(500), "{".repeat(500));
    assert!(decode_json(event_with(&brackets_in_text)).is_ok());
}

#[test]
fn attribute_values() {
    fn check(member: &str, expect: Option<&str>) {
        let read = decode_json(event_with(&format!(",\"ext\":{member}")));
        let value = read.as_ref().ok().map(|event| event.extension("ext").unwrap_or("(unset)"));
        assert_eq!(value, expect, "{member}: {read:?}");
    }
    check(r#""a b""#, Some("a b"));
    check(r#""\u20ac\ud83d\ude00""#, Some("€😀"));
    check(r#""""#, Some(""));
    check("5", Some("5"));
    check("-0", Some("0"));
    check("-2147483648", Some("-2147483648"));
    check("true", Some("true"));
    check("false", Some("false"));
    check("null", Some("(unset)"));
    for bad in [
        "2147483648",
        "1.5",
        "1e3",
        "1e999999",
        "{}",
        "[]",
        r#""\ud800""#,
        r#""\ud800x""#,
        r#""\u0000""#,
        r#""\n""#,
        "\"\n\"",
        r#""\uffff""#,
    ] {
        check(bad, None);
    }
}

#[test]
fn core_attributes_are_strings() {
    fn check(body: &str, attribute: &str) {
        let error = decode_json(body.to_owned()).unwrap_err();
        assert_eq!(error.attribute.as_deref(), Some(attribute), "{body}: {error}");
    }
    check(r#"{"specversion":1.0,"id":"1","source":"/s","type":"t"}"#, "specversion");
    check(r#"{"specversion":"1.0","id":1,"source":"/s","type":"t"}"#, "id");
    check(r#"{"specversion":"1.0","id":null,"source":"/s","type":"t"}"#, "id");
    check(r#"{"specversion":"1.0","id":"1","source":"/s"}"#, "type");
    check(&event_with(r#","Ext":"x""#), "Ext");
    check(&event_with(r#","bad_ext":null"#), "bad_ext");
    check(&event_with(r#","":"x""#), "");
    check(&event_with(r#","datacontenttype":"application/cloudevents+json""#), "datacontenttype");
    assert_eq!(decode_json(event_with(r#","subject":null"#)).unwrap().subject(), None);
}

#[test]
fn data() {
    fn check(members: &str, expect: Option<Option<&[u8]>>) {
        let read = decode_json(event_with(members));
        let data = read.as_ref().ok().map(|event| event.data().map(|data| &**data));
        assert_eq!(data, expect, "{members}: {read:?}");
    }
    check("", Some(None));
    check(
        r#","data":{"a": 1.50e+3, "b":123456789012345678901234567890}"#,
        Some(Some(br#"{"a": 1.50e+3, "b":123456789012345678901234567890}"#)),
    );
    check(r#","data":"text""#, Some(Some(br#""text""#)));
    check(r#","data":null"#, Some(Some(b"null")));
    check(r#","datacontenttype":"application/json","data":"text""#, Some(Some(br#""text""#)));
    check(r#","datacontenttype":"Application/Problem+JSON; x=y","data":"text""#, Some(Some(br#""text""#)));
    check(r#","datacontenttype":"text/plain","data":"te\"xt\u20ac""#, Some(Some("te\"xt€".as_bytes())));
    check(r#","datacontenttype":"text/plain","data":"\ud800""#, None);
    check(r#","datacontenttype":"text/plain","data":null"#, Some(None));
    check(r#","datacontenttype":"text/plain","data":"""#, Some(None));
    check(r#","datacontenttype":"text/plain","data":{"a":1}"#, Some(Some(br#"{"a":1}"#)));
    check(r#","data_base64":"Zm9vYg==""#, Some(Some(b"foob")));
    check(r#","data_base64":"Zm9v\/w==""#, Some(Some(b"foo\xff")));
    check(r#","data_base64":null"#, Some(None));
    for bad in ["\"Zm9vYg\"", "\"Zm9v Yg==\"", "\"Zm9vYh==\"", "\"_-8=\"", "5", "{}"] {
        check(&format!(r#","data_base64":{bad}"#), None);
    }
    check(r#","data":1,"data_base64":"Zm9vYg==""#, None);
    check(r#","data":01"#, None);
}

/// JSON data is a slice of the body.
#[test]
fn json_data_is_not_copied() {
    let body = Bytes::from(event_with(r#","ext":"value","data":{"a":1}"#));
    let range = body.as_ptr_range();
    let event = decode_json(body.clone()).unwrap();
    assert!(range.contains(&event.data().unwrap().as_ptr()));
    assert!(range.contains(&event.extension("ext").unwrap().as_ptr()));
}

/// F-07: all or nothing.
#[test]
fn batches() {
    fn check(body: String, expect: Result<usize, (EventErrorKind, Option<usize>)>) {
        let outcome = decode_default(&headers(&[("content-type", BATCH)]), body);
        let outcome = outcome.map(|events| events.len()).map_err(|error| (error.kind, error.index));
        assert_eq!(outcome, expect);
    }
    let good = event_with("");
    let many = |count: usize| format!("[{}]", vec![good.clone(); count].join(","));
    check("[]".to_owned(), Ok(0));
    check(many(100), Ok(100));
    check(many(1_000), Ok(1_000));
    check(many(1_001), Err((EventErrorKind::TooLarge, None)));
    check(many(100_000), Err((EventErrorKind::TooLarge, None)));
    check(format!("[{}", "0,".repeat(500_000)), Err((EventErrorKind::Invalid, None)));
    check(good.clone(), Err((EventErrorKind::Invalid, None)));
    check("[{}]".to_owned(), Err((EventErrorKind::Invalid, Some(0))));
    let mut hundred = vec![good; 100];
    hundred[42] = event_with(r#","time":"yesterday""#);
    check(format!("[{}]", hundred.join(",")), Err((EventErrorKind::Invalid, Some(42))));
}

#[test]
fn errors_name_the_event_and_the_attribute() {
    let body = format!("[{},{}]", event_with(""), event_with(r#","time":"x""#));
    let error = decode_default(&headers(&[("content-type", BATCH)]), body).unwrap_err();
    assert_eq!(
        error.to_string(),
        "event 1 of the batch (counted from 0): attribute `time`: must be a time as in RFC 3339: 2018-04-05T17:31:00Z"
    );
}

/// `data` without a type is JSON, and is called so from then on: in binary mode nobody could guess it. What came as
/// bytes stays without a type.
#[test]
fn the_implied_media_type_is_made_explicit() {
    let check = |more: &str, expect: Option<&str>| {
        let events = decode_default(&headers(&[("content-type", STRUCTURED)]), event_with(more)).unwrap();
        assert_eq!(events[0].datacontenttype(), expect, "{more}");
    };
    check(r#","data":{"n":1}"#, Some("application/json"));
    check(r#","data":{"n":1},"datacontenttype":null"#, Some("application/json"));
    check(r#","data":"x","datacontenttype":"text/plain""#, Some("text/plain"));
    check(r#","data_base64":"eA==""#, None);
    check("", None);
}

/// What a JSON event looks like when we write it.
#[test]
fn encoding() {
    fn check(media_type: Option<&str>, data: &'static [u8], expect: &str) {
        let mut builder = Event::builder().id("1").source("/s").ty("t").data(data);
        if let Some(media_type) = media_type {
            builder = builder.datacontenttype(media_type);
        }
        let written = encode_structured(&builder.build().unwrap());
        let written = str::from_utf8(&written).unwrap();
        assert!(written.ends_with(&format!(",{expect}}}")), "{written} ends with {expect}");
    }
    check(None, br#"{"a": 1.0}"#, r#""data_base64":"eyJhIjogMS4wfQ==""#);
    check(Some("application/json"), br#"{"a": 1.0}"#, r#""data":{"a": 1.0}"#);
    check(None, b"hello", r#""data_base64":"aGVsbG8=""#);
    check(Some("application/json"), b"\"x\"", r#""data":"x""#);
    check(Some("application/json"), b"{\"a\":1}\n", r#""data_base64":"eyJhIjoxfQo=""#);
    check(Some("application/json"), b"{\"a\":", r#""data_base64":"eyJhIjo=""#);
    check(Some("text/plain"), "h\"ü\n".as_bytes(), r#""data":"h\"ü\n""#);
    check(Some("application/xml; charset=utf-8"), b"<a/>", r#""data":"<a/>""#);
    check(Some("text/plain; charset=iso-8859-1"), b"a", r#""data_base64":"YQ==""#);
    check(Some("text/plain"), b"\xff", r#""data_base64":"/w==""#);
    check(Some("application/octet-stream"), b"a", r#""data_base64":"YQ==""#);
}
