//! Property: an event goes binary, structured, batch and field list and back without a byte changing.

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::*;

fn media_type() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "application/json",
        "application/json; charset=utf-8",
        "application/problem+json",
        "text/plain",
        "text/plain; charset=iso-8859-1",
        "text/xml",
        "application/octet-stream",
        "image/svg+xml",
    ])
}

/// Bytes that look like each of the forms of data, and bytes that do not.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..64),
        ".{0,32}".prop_map(String::into_bytes),
        Just(b"null".to_vec()),
        Just(b" {\"a\" : 1.50} ".to_vec()),
        Just(br#"{"a":1E+2,"b":"\ud800","a":[]}"#.to_vec()),
        Just([vec![b'['; 126], vec![b']'; 126]].concat()),
        ".{0,16}".prop_map(|text| serde_json::Value::from(text).to_string().into_bytes()),
        any::<f64>().prop_map(|number| number.to_string().into_bytes()),
    ]
}

/// Any text, disallowed characters included: those must be refused at construction.
fn event() -> impl Strategy<Value = Option<Event>> {
    let extensions = btree_map("[a-z0-9]{1,20}", any::<String>(), 0..4);
    let parts = (any::<String>(), "[a-zA-Z0-9/:._-]{1,20}", any::<String>(), extensions);
    (parts, option::of(media_type()), payload()).prop_map(|((id, source, subject, extensions), media_type, data)| {
        let mut builder = Event::builder().id(id).source(source).ty("t").subject(subject).data(data);
        for (name, value) in extensions {
            builder = builder.extension(name, value);
        }
        if let Some(media_type) = media_type {
            builder = builder.datacontenttype(media_type);
        }
        builder.build().ok()
    })
}

fn clean_event() -> impl Strategy<Value = Event> {
    event().prop_filter_map("refused at construction", |event| event)
}

/// 4,096 cases each time, more when `PROPTEST_CASES` asks for them.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = default.cases.max(4_096);
    // Many texts are refused at construction, which proptest counts as rejects.
    ProptestConfig {
        cases,
        max_global_rejects: u32::MAX,
        max_local_rejects: u32::MAX,
        failure_persistence: None,
        ..default
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_mode_gives_the_same_event(event in clean_event()) {
        let (headers, body) = encode_binary(&event);
        let binary = decode_default(&headers, body).unwrap().remove(0);
        prop_assert_eq!(&binary, &event);

        let typed = super::headers(&[("content-type", STRUCTURED)]);
        let structured = decode_default(&typed, encode_structured(&binary)).unwrap().remove(0);
        prop_assert_eq!(&structured, &event);
        prop_assert_eq!(encode_binary(&structured), encode_binary(&event));

        let typed = super::headers(&[("content-type", BATCH)]);
        let pair = [event.clone(), structured];
        prop_assert_eq!(decode_default(&typed, encode_batch(&pair)).unwrap(), pair.to_vec());

        let fields = Event::from_fields(event.to_fields(), event.data().cloned()).unwrap();
        prop_assert_eq!(&fields, &event);
    }

    /// No header value and no body ends the process, and what is accepted passes on unchanged.
    #[test]
    fn any_bytes_have_a_verdict(value in vec(0x20_u8..=0xff, 0..40), body in vec(any::<u8>(), 0..80)) {
        let mut map = headers(&VALID);
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            map.insert("ce-ext", value);
        }
        if let Ok(events) = decode_default(&map, body.clone()) {
            let (again, data) = encode_binary(&events[0]);
            prop_assert_eq!(decode_default(&again, data).unwrap(), events);
        }
        for typed in [STRUCTURED, BATCH] {
            let _ = decode_default(&headers(&[("content-type", typed)]), body.clone());
        }
    }

    /// JSON-shaped noise reaches further into the decoder than bytes do.
    #[test]
    fn any_json_has_a_verdict(body in r#"\{("(specversion|id|source|type|data|data_base64|time|x)":("1.0"|"\\u00[0-9a-f]{2}"|null|[0-9]{1,12}|\[\]|"a"),?){0,8}\}"#) {
        let typed = headers(&[("content-type", STRUCTURED)]);
        if let Ok(events) = decode_default(&typed, body) {
            prop_assert_eq!(decode_default(&typed, encode_structured(&events[0])).unwrap(), events);
        }
    }
}
