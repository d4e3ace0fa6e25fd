//! Events as messages: what is read from both modes, what is refused, what is written.

use super::*;

const REQUIRED: [(&str, &str); 4] =
    [("ce-specversion", "1.0"), ("ce-id", "1234"), ("ce-source", "/context"), ("Ce-Type", "com.example.some")];

fn binary_event(extra: &[(&str, &str)], body: &'static [u8]) -> Result<Event, Error> {
    let headers = Headers::from_iter(REQUIRED.into_iter().chain(extra.iter().copied()));
    decode(&headers, || Ok(body))
}

fn structured_event(json: &str) -> Result<Event, Error> {
    let headers = Headers::from_iter([("Content-Type", "Application/CloudEvents+JSON; charset=utf-8")]);
    decode(&headers, || Ok(json.as_bytes()))
}

#[test]
fn both_modes_read_the_same_event() {
    let binary = binary_event(
        &[
            ("ce-time", "2018-04-05T03:56:24Z"),
            ("content-type", "application/json"),
            ("ce-flag", "true"),
            ("ce-n", "7"),
        ],
        br#"{"message": "Hello World!"}"#,
    );
    let structured = structured_event(
        r#"{"specversion":"1.0","id":"1234","source":"/context","type":"com.example.some","time":"2018-04-05T03:56:24Z",
            "datacontenttype":"application/json","flag":true,"n":7,"subject":null,"data":{"message": "Hello World!"}}"#,
    );
    let event = binary.unwrap();
    assert_eq!(event, structured.unwrap());
    assert_eq!((event.id(), event.source(), event.ty()), ("1234", "/context", "com.example.some"));
    assert_eq!((event.subject(), event.extension("flag"), event.extension("n")), (None, Some("true"), Some("7")));
}

#[test]
fn header_values_are_decoded_once() {
    fn check(value: &str, expect: &str) {
        let event = binary_event(&[("ce-subject", value)], b"").unwrap();
        assert_eq!(event.subject(), Some(expect), "{value}");
    }
    check("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀");
    check("%2541", "%41");
    check("100%", "100%");
    check(r#""a \"quoted\" \\ one%20""#, r#"a "quoted" \ one "#);
    check("plain", "plain");
}

#[test]
fn written_events_read_back_the_same() {
    let event = Event::new("order.created")
        .with_id("a b\"c%20")
        .with_source("/shop")
        .with_subject("Größe €\n")
        .with_dataschema("urn:x")
        .with_extension("tenant", 7)
        .with_time(std::time::UNIX_EPOCH)
        .with_json(&[1, 2])
        .unwrap();
    let (headers, body) = encode(&event).unwrap();
    assert_eq!(headers.get("ce-id"), Some("a%20b%22c%2520"));
    assert!(headers.iter().all(|(_, value)| value.iter().all(|b| (0x20..0x7f).contains(b))), "{headers:?}");
    assert_eq!(decode(&headers, || Ok(&body)).unwrap(), event);
}

#[test]
fn structured_data_keeps_its_meaning() {
    fn check(datacontenttype: &str, data: &str, expect: &[u8]) {
        let json = format!(r#"{{"specversion":"1.0","id":"1","source":"/","type":"t"{datacontenttype},{data}}}"#);
        assert_eq!(structured_event(&json).unwrap().data(), expect, "{json}");
    }
    check("", r#""data":"text""#, br#""text""#);
    check("", r#""data":{"n":1.10}"#, br#"{"n":1.10}"#);
    check(r#","datacontenttype":"text/plain""#, r#""data":"text""#, b"text");
    check(r#","datacontenttype":"application/x+json; a=b""#, r#""data":"text""#, br#""text""#);
    check(r#","datacontenttype":"image/png""#, r#""data_base64":"AAH/""#, &[0, 1, 255]);
    check("", r#""data":null"#, b"");
}

#[test]
fn invalid_events_are_refused_with_the_reason() {
    fn check(event: Result<Event, Error>, expect: &str) {
        let error = event.unwrap_err();
        assert_eq!(error.status_code(), 400);
        assert!(error.message().contains(expect), "{error:?} does not name: {expect}");
    }
    let body = |_: &()| Ok(&b""[..]);
    let only = |fields: &[(&str, &str)]| decode(&fields.iter().copied().collect(), || body(&()));
    check(only(&[]), "`specversion` is missing");
    check(only(&[("ce-specversion", "0.3")]), "`0.3`");
    check(only(&REQUIRED[..3]), "`type` is missing");
    check(binary_event(&[("ce-id", " ")], b""), "`id` is missing or empty");
    check(binary_event(&[("ce-bad_ext", "x")], b""), "`bad_ext`");
    check(binary_event(&[("ce-subject", "%FF")], b""), "`ce-subject` is not UTF-8");
    check(binary_event(&[("content-type", "application/cloudevents-batch+json")], b"[]"), "one event");
    check(structured_event("[]"), "not a JSON object");
    check(structured_event("{}"), "`specversion` is missing");
    check(structured_event(r#"{"specversion":"1.0","id":{}}"#), "`id` is not a string");
    check(structured_event(r#"{"specversion":"1.0","data":1,"data_base64":""}"#), "both");
    check(structured_event(r#"{"specversion":"1.0","data_base64":"*"}"#), "not base64");
}

#[test]
fn an_event_that_is_not_valid_is_not_written() {
    let error = encode(&Event::new("t").with_extension("Bad", "x")).unwrap_err();
    assert_eq!(error.status_code(), 500);
    assert!(encode(&Event::new("")).is_err());
}

#[test]
fn a_claim_is_recognised_by_header_or_type() {
    fn check(name: &str, value: &str, expect: bool) {
        assert_eq!(claims_event(&Headers::from_iter([(name, value)])), expect, "{name}: {value}");
    }
    check("CE-SpecVersion", "1.0", true);
    check("content-type", "application/CloudEvents+json; charset=utf-8", true);
    check("content-type", "application/json", false);
    check("ce-id", "1", false);
}

/// A delivery is in binary mode, so an event in a body comes straight from somebody.
#[test]
fn an_event_in_a_body_does_not_say_who_sent_it() {
    let json = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","weftorigin":"forged","weftx":"forged",
        "authid":"forged","authtype":"forged","authclaims":"forged","weftdelivernotbefore":"2030-01-01T00:00:00Z","own":1}"#;
    let kept = |headers: &[(&str, &str)]| {
        let typed = ("content-type", "application/cloudevents+json");
        let headers = Headers::from_iter(headers.iter().copied().chain([typed]));
        let event = decode(&headers, || Ok(json.as_bytes())).unwrap();
        event.extensions().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
    };
    let honest = ["own=1", "weftdelivernotbefore=2030-01-01T00:00:00Z"].map(str::to_owned);
    assert_eq!(kept(&[]), honest);
    let proven = "weftorigin=https://id.example/a b".to_owned();
    let [own, later] = honest;
    assert_eq!(kept(&[("x-weft-origin", "https://id.example/a%20b")]), [own, later, proven]);
}
