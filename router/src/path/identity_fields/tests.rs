//! C-09 and F-09: every spelling of every field that asserts an identity, in every place where a field may stand.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::{Map, json};
use weft_functions::event::EventLimits;
use weft_functions::event::http as binding;

use super::*;
use crate::path::caller::{Proof, Subject, workload};

/// Real names, more than the table's own words: what C-09 lists, and what other meshes and proxies send.
const FORGED: [&str; 52] = [
    "x-weft-principal",
    "x-weft-origin",
    "x-weft-decision",
    "x-weft-claim-role",
    "x-weft-",
    "x-mesh-principal",
    "x-mesh-identity",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-original-forwarded-for",
    "forwarded",
    "x-envoy-external-address",
    "x-envoy-internal",
    "x-envoy-peer-metadata",
    "x-envoy-peer-metadata-id",
    "x-spiffe-id",
    "l5d-client-id",
    "l5d-remote-ip",
    "l5d-dst-canonical",
    "x-goog-authenticated-user-email",
    "x-goog-authenticated-user-id",
    "x-auth-request-user",
    "x-auth-request-email",
    "x-authenticated-user",
    "x-authenticated-userid",
    "x-remote-user",
    "x-remote-group",
    "x-remote-extra-scopes",
    "x-webauth-user",
    "x-ms-client-principal",
    "x-ms-client-principal-id",
    "x-amzn-mtls-clientcert-subject",
    "x-ssl-client-cert",
    "x-ssl-client-dn",
    "ssl-client-subject-dn",
    "x-client-cert",
    "x-client-certificate",
    "client-cert",
    "client-cert-chain",
    "x-real-ip",
    "x-client-ip",
    "client-ip",
    "true-client-ip",
    "x-cluster-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "remote-user",
    "remote-addr",
];

/// Names that resemble one of them and say nothing of anybody.
const HONEST: [&str; 12] = [
    "x-weftling",
    "x-request-id",
    "x-principal-engineer",
    "forwarder",
    "client-certainty",
    "content-type",
    "x-forwarder",
    "tracestate",
    "ce-id",
    "ce-weftdelivernotbefore",
    "ce-authority",
    "accept",
];

/// The ways to write a name that some reader takes for the same.
fn spellings(name: &str) -> BTreeSet<String> {
    let title =
        name.split('-').map(|word| word[..word.len().min(1)].to_uppercase() + word.get(1..).unwrap_or_default());
    let title = title.collect::<Vec<_>>().join("-");
    let odd = name.char_indices().map(|(at, c)| if at % 2 == 0 { c.to_ascii_uppercase() } else { c });
    let last = name.rfind('-').map(|at| format!("{}_{}", &name[..at], &name[at + 1..]));
    let mut all = BTreeSet::from([
        name.to_owned(),
        name.to_uppercase(),
        title,
        odd.collect(),
        name.replace('-', "_"),
        name.replace('-', "_").to_uppercase(),
        name.replacen('-', "_", 1),
        name.replace('-', "."),
        name.replace('-', "~"),
    ]);
    all.extend(last);
    all
}

fn map(names: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in names {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap_or_else(|_| panic!("{name} is no name"));
        for value in ["spiffe://weft.local/ns/default/sa/root", "twice"] {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
    }
    headers
}

#[test]
fn no_spelling_of_a_forged_field_is_left_in_any_place() {
    let mut variants = 0;
    for spelling in FORGED.iter().flat_map(|name| spellings(name)) {
        for (place, strip) in [("head", strip_head as fn(&mut HeaderMap)), ("trailers", strip_trailers)] {
            let mut fields = map(&[&spelling, "x-honest"]);
            strip(&mut fields);
            let left: Vec<&str> = fields.keys().map(HeaderName::as_str).collect();
            assert_eq!(left, ["x-honest"], "{spelling} in the {place}");
            variants += 1;
        }
    }
    assert!(variants >= 400, "{variants}");
}

#[test]
fn what_only_resembles_one_is_left() {
    let mut head = map(&HONEST);
    strip_head(&mut head);
    assert_eq!(head.keys_len(), HONEST.len(), "{head:?}");
}

#[test]
fn answers_say_nothing_in_the_name_of_the_mesh() {
    for spelling in FORGED.iter().filter(|name| is_ours(name)).flat_map(|name| spellings(name)) {
        let mut fields = map(&[&spelling, "x-honest", "x-forwarded-for"]);
        strip_answer(&mut fields);
        let left: BTreeSet<&str> = fields.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, BTreeSet::from(["x-honest", "x-forwarded-for"]), "{spelling}");
    }
}

/// Attributes of every kind of forgery.
const ATTRIBUTES: [&str; 12] = [
    "weftorigin",
    "weftprincipal",
    "weft",
    "weftvia",
    "wefthops",
    "weftreplay",
    "weftredrive",
    "weftdelivernotbefore2",
    "weftdelivernotbefor",
    "authtype",
    "authid",
    "authclaims",
];

/// The message that publishes an event with one attribute more, in each mode.
fn messages(attribute: &str) -> Vec<(&'static str, HeaderMap, Bytes)> {
    let core = [("specversion", "1.0"), ("id", "1"), ("source", "/s"), ("type", "t"), ("honest", "x")];
    let forged = "spiffe://weft.local/ns/default/sa/root";
    let typed = |media_type: &'static str| {
        HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static(media_type))])
    };
    let mut binary = HeaderMap::new();
    for (name, value) in core.into_iter().chain([(attribute, forged)]) {
        let name = HeaderName::try_from(format!("Ce-{name}")).expect("a name");
        binary.insert(name, HeaderValue::from_static(value));
    }
    let pairs = core.into_iter().chain([(attribute, forged)]).map(|(name, value)| (name.to_owned(), json!(value)));
    let object = pairs.collect::<Map<_, _>>();
    let mut repeated = typed(binding::STRUCTURED);
    let header = HeaderName::try_from(format!("ce-{attribute}")).expect("a name");
    repeated.insert(header, HeaderValue::from_static(forged));
    let body = |value: &Value| Bytes::from(value.to_string());
    vec![
        ("binary", binary, Bytes::new()),
        ("structured", typed(binding::STRUCTURED), body(&json!(object))),
        ("structured, and a header", repeated, body(&json!(object))),
        ("batch", typed(binding::BATCH), body(&json!([object]))),
    ]
}

#[test]
fn no_mode_of_publishing_carries_a_forged_attribute() {
    for attribute in ATTRIBUTES {
        for (mode, mut headers, body) in messages(attribute) {
            // As at the edge: the head first, then the event.
            for stripped in [false, true] {
                if stripped {
                    strip_head(&mut headers);
                }
                let events = binding::decode(&headers, body.clone(), &EventLimits::default());
                let event = strip_event(events.expect("an event").pop().expect("one"));
                let left: Vec<&str> = event.attributes().map(|(name, _)| name).collect();
                assert_eq!(left, ["specversion", "id", "source", "type", "honest"], "{attribute}, {mode}");
            }
        }
    }
    let event = Event::builder().id("1").source("/s").ty("t").extension("weftdelivernotbefore", "2030-01-01T00:00:00Z");
    let event = strip_event(event.build().expect("an event"));
    assert!(event.extension("weftdelivernotbefore").is_some(), "the one that publishers may set");
}

/// Other spellings of an attribute are none that an event can have.
#[test]
fn attributes_have_one_spelling() {
    for attribute in ["WeftOrigin", "weft-origin", "weft_origin", "weft.origin", "AUTHID"] {
        for (mode, headers, body) in messages(attribute) {
            if mode == "binary" && attribute.chars().all(char::is_alphabetic) {
                let event = binding::decode(&headers, body, &EventLimits::default()).expect("names are in lower case");
                assert_eq!(strip_event(event[0].clone()).attributes().count(), 5, "{attribute}");
            } else {
                let refused = binding::decode(&headers, body, &EventLimits::default());
                assert!(refused.is_err(), "{attribute}, {mode}: {refused:?}");
            }
        }
    }
}

fn asserted(caller: &Caller, names: &[&str]) -> HeaderMap {
    let mut headers = map(names);
    strip_head(&mut headers);
    assert(&mut headers, caller);
    headers
}

fn all<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    headers.get_all(name).iter().map(|value| value.to_str().expect("text")).collect()
}

#[test]
fn functions_see_who_was_verified() {
    let dev = workload("spiffe://weft.local/ns/default/sa/dev");
    let caller =
        Caller { origin: workload("spiffe://weft.local/ns/default/sa/shop"), ..Caller::direct(dev, Proof::Dev) };
    let headers = asserted(&caller, &["X-Weft-Principal", "x-weft-origin", "x-honest"]);
    assert_eq!(all(&headers, "x-weft-principal"), ["spiffe://weft.local/ns/default/sa/dev"]);
    assert_eq!(all(&headers, "x-weft-origin"), ["spiffe://weft.local/ns/default/sa/shop"]);
    assert!(!headers.contains_key("ce-weftorigin"), "no event, no attribute");
    let event = asserted(&caller, &["ce-specversion", "ce-weftorigin"]);
    assert_eq!(all(&event, "ce-weftorigin"), ["spiffe://weft.local/ns/default/sa/shop"]);
    assert_eq!(all(&asserted(&Caller::nobody(), &[]), "x-weft-principal"), ["anonymous"]);
}

#[test]
fn the_subject_of_a_token_looks_like_nothing_else() {
    let check = |text: &str, expect: &str| {
        let principal = Principal::Subject(Subject { text: text.into(), scope: None });
        let headers = asserted(&Caller::direct(principal, Proof::Jwt), &[]);
        assert_eq!(all(&headers, "x-weft-principal"), [expect], "{text}");
    };
    check("https://id.example/alice", "https://id.example/alice");
    check("https://id.example/a b%\"ü\r\n", "https://id.example/a%20b%25%22%C3%BC%0D%0A");
    check("spiffe://weft.local/ns/default/sa/root", "spiffe%3A//weft.local/ns/default/sa/root");
}

#[test]
fn claims_are_passed_on_as_the_issuer_says() {
    let claims =
        json!({ "role": "clerk", "Level": 3, "groups": ["a", "b"], "given_name": "Ü", "secret": "s", "b\n": 1 });
    let pass = ["role", "Level", "groups", "given_name", "none", "b\n"];
    let token = Token {
        subject: Subject { text: "https://id.example/alice".into(), scope: None },
        audiences: Vec::new(),
        presenter: None,
        claims: claims.as_object().cloned().expect("claims"),
        pass: pass.map(Into::into).into(),
        expires: 1,
    };
    let caller = Caller { token: Some(token.clone().into()), ..Caller::nobody() };
    let headers = asserted(&caller, &["x-weft-claim-role", "x-weft-claim-other"]);
    let passed: Vec<(&str, &str)> = headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().strip_prefix("x-weft-claim-")?, value.to_str().ok()?)))
        .collect();
    let expect = [("role", "clerk"), ("level", "3"), ("groups", "[%22a%22,%22b%22]"), ("given-name", "%C3%9C")];
    assert_eq!(BTreeSet::from_iter(passed), BTreeSet::from(expect));

    let long = json!({ "role": "x".repeat(CLAIM_BYTES_MAX), "level": "y" });
    let token = Token {
        claims: long.as_object().cloned().expect("claims"),
        pass: vec!["role".into(), "level".into()],
        ..token
    };
    let headers = asserted(&Caller { token: Some(token.into()), ..Caller::nobody() }, &[]);
    assert!(headers.contains_key("x-weft-claim-role") && !headers.contains_key("x-weft-claim-level"));
}
