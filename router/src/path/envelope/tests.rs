//! Envelopes: what is sealed opens alike, nothing else opens, and the formats are those of the golden files.

use std::path::PathBuf;

use bytes::Bytes;
use serde_json::json;
use weft_eventlog::Sequence;

use super::*;
use crate::path::caller::{Principal, Subject, Token, workload};

struct At(u64);

impl Clock for At {
    fn now_ms(&self) -> u64 {
        self.0
    }
}

/// When the tests' ring was made, and when they seal.
const SINCE: u64 = 1_700_000_000_000;
const NOW: u64 = SINCE + 1_000;

fn ring(byte: u8) -> KeyRing {
    KeyRing::new(SINCE, &[byte; 40])
}

fn with(ring: KeyRing, trust_domain: &str) -> Envelopes {
    Envelopes::new(ring, trust_domain.parse().expect("a trust domain"), Arc::new(At(NOW)))
}

fn envelopes() -> Envelopes {
    with(ring(7), "weft.local")
}

fn topic(name: &str) -> Namespaced {
    name.parse().expect("a name")
}

fn event() -> Event {
    let event = Event::builder().id("1").source("/s").ty("t").extension("tag", "x").data("{}");
    event.build().expect("an event")
}

fn record(headers: Vec<(String, String)>, body: &str) -> Record {
    Record {
        sequence: "1".parse::<Sequence>().expect("a sequence"),
        admitted_ms: NOW,
        dedupe: None,
        key: None,
        subject: String::new(),
        headers,
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

fn token(scope: Option<&str>) -> Arc<Token> {
    let scope = scope.map(|name| name.parse().expect("a namespace"));
    let claims = json!({ "role": ["clerk"], "secret": "s", "aud": ["a", "b"], "azp": "app", "level": 3 });
    Arc::new(Token {
        subject: Subject { text: "https://id.example/a b".into(), scope },
        audiences: vec!["a".into(), "b".into()],
        presenter: Some("app".into()),
        claims: claims.as_object().cloned().expect("claims"),
        pass: vec!["role".into(), "secret".into()],
        expires: 1,
    })
}

fn callers() -> Vec<Caller> {
    let shop = workload("spiffe://a/ns/b/fn/c");
    let direct = Caller::direct(shop, Proof::Node);
    let subject = |scope| {
        let token = token(scope);
        let principal = Principal::Subject(token.subject.clone());
        Caller { token: Some(token), ..Caller::direct(principal, Proof::Jwt) }
    };
    vec![
        direct.clone(),
        Caller { origin: workload("spiffe://a/ns/b/sa/d"), via: Some(workload("spiffe://a/ns/b/trigger/e")), ..direct },
        subject(None),
        subject(Some("shop")),
        Caller { token: Some(token(None)), ..Caller::direct(workload("spiffe://a/ns/b/sa/d"), Proof::Mtls) },
        Caller::nobody(),
    ]
}

#[test]
fn what_is_sealed_opens_alike() {
    let keep = ["role".to_owned(), "none".to_owned()];
    for caller in callers() {
        let name = topic("default/orders");
        let sealed = envelopes().seal(&name, &caller, 3, &keep).seal(&event());
        let (opened, envelope) = envelopes().open(&name, &record(sealed, "{}")).expect("opens");
        assert_eq!(opened, event());
        assert_eq!((envelope.admitted_by, envelope.admitted_ms, envelope.hops), (caller.how, NOW, 3));
        let back = envelope.caller;
        assert_eq!((&back.principal, &back.origin, &back.via), (&caller.principal, &caller.origin, &caller.via));
        assert_eq!((back.how, back.address), (Proof::Event, None));
        let kept = caller.token.clone().map(|token| {
            let role = token.claims.get("role").cloned().expect("a claim");
            Token {
                subject: token.subject.clone(),
                audiences: Vec::new(),
                presenter: None,
                claims: [("role".to_owned(), role)].into_iter().collect(),
                pass: vec!["role".into()],
                expires: u64::MAX,
            }
        });
        assert_eq!(back.token.as_deref(), kept.as_ref(), "only the claims that the topic keeps are left");
        assert_eq!(remembered(&caller, &keep), back, "what a dry run takes it for");
    }
}

#[test]
fn audiences_and_presenter_are_kept_as_the_claims_they_are() {
    let caller = Caller { token: Some(token(None)), ..Caller::nobody() };
    let name = topic("default/orders");
    let sealed = envelopes().seal(&name, &caller, 0, &["aud".to_owned(), "azp".to_owned()]).seal(&event());
    let (_, envelope) = envelopes().open(&name, &record(sealed, "{}")).expect("opens");
    let token = envelope.caller.token.expect("a token");
    assert_eq!(token.audiences, ["a".into(), "b".into()]);
    assert_eq!(token.presenter.as_deref(), Some("app"));
}

#[test]
fn data_is_there_or_not_as_it_was() {
    let without = Event::builder().id("1").source("/s").ty("t").build().expect("an event");
    let name = topic("default/orders");
    let sealed = envelopes().seal(&name, &Caller::nobody(), 0, &[]).seal(&without);
    let (opened, _) = envelopes().open(&name, &record(sealed, "")).expect("opens");
    assert_eq!(opened.data(), None);
}

/// Every byte of every header and of the data, changed alone: nothing but what was sealed opens.
#[test]
fn what_was_altered_does_not_open() {
    let caller = Caller { token: Some(token(Some("shop"))), ..callers().swap_remove(1) };
    let name = topic("default/orders");
    let sealed = envelopes().seal(&name, &caller, 3, &["role".to_owned()]).seal(&event());
    let opens = |headers: Vec<(String, String)>, body: &str| envelopes().open(&name, &record(headers, body)).is_ok();
    assert!(opens(sealed.clone(), "{}"));
    let mut tried = 0;
    for at in 0..sealed.len() {
        for name_or_value in 0..2 {
            let text = |field: &(String, String)| if name_or_value == 0 { field.0.clone() } else { field.1.clone() };
            for byte in 0..text(&sealed[at]).len() {
                let mut bytes = text(&sealed[at]).into_bytes();
                bytes[byte] ^= 1;
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                let mut headers = sealed.clone();
                match name_or_value {
                    0 => headers[at].0 = changed,
                    _ => headers[at].1 = changed,
                }
                tried += 1;
                assert!(!opens(headers.clone(), "{}"), "{:?} for {:?}", headers[at], sealed[at]);
            }
        }
        let mut fewer = sealed.clone();
        fewer.remove(at);
        assert!(!opens(fewer, "{}"), "without {:?}", sealed[at]);
        let mut twice = sealed.clone();
        twice.push(sealed[at].clone());
        assert!(!opens(twice, "{}"), "{:?} twice", sealed[at]);
    }
    assert!(tried > 400, "{tried}");
    for body in ["", "{", "{ }", "{}\0"] {
        assert!(!opens(sealed.clone(), body), "{body:?}");
    }
    let mut more = sealed.clone();
    more.push(("weftorigin".to_owned(), "spiffe://a/ns/b/sa/root".to_owned()));
    assert!(!opens(more, "{}"), "an attribute more");
    // A log need not keep the order of headers.
    let mut turned = sealed;
    turned.reverse();
    assert!(opens(turned, "{}"));
}

#[test]
fn what_was_sealed_for_another_place_or_by_another_key_does_not_open() {
    let name = topic("default/orders");
    let sealed = envelopes().seal(&name, &Caller::nobody(), 0, &[]).seal(&event());
    let opens = |envelopes: &Envelopes, topic: &Namespaced| envelopes.open(topic, &record(sealed.clone(), "{}"));
    let unproven = |opened: Result<(Event, Envelope), EnvelopeError>| {
        let error = opened.expect_err("opens");
        assert!(matches!(error, EnvelopeError::Unproven(_)), "{error}");
        assert_eq!(error.reason(), Reason::EnvelopeUnproven);
    };
    assert!(opens(&envelopes(), &name).is_ok());
    unproven(opens(&envelopes(), &topic("default/order")));
    unproven(opens(&envelopes(), &topic("shop/orders")));
    unproven(opens(&with(ring(7), "weft.other"), &name));
    unproven(opens(&with(ring(8), "weft.local"), &name));
    // The same id, another secret.
    let mut seed = [7; 40];
    seed[39] = 8;
    unproven(opens(&with(KeyRing::new(SINCE, &seed), "weft.local"), &name));
}

#[test]
fn older_keys_prove_what_they_sealed_for_as_long_as_it_may_be_kept() {
    let name = topic("default/orders");
    let sealed = envelopes().seal(&name, &Caller::nobody(), 0, &[]).seal(&event());
    let months = |count: u64| SINCE + count * keys::ROTATE_AFTER.as_millis() as u64;
    let mut ring = ring(7);
    let mut forgotten = None;
    for month in 1..200_u8 {
        assert!(ring.is_due(months(month.into())) && !ring.is_due(months(month.into()) - 1));
        ring = ring.rotated(months(month.into()), &[month ^ 7; 40]);
        let file = ring.encode();
        assert!(file.len() <= keys::FILE_BYTES_MAX, "{}", file.len());
        ring = KeyRing::decode(&file).expect("reads back");
        assert_eq!(ring.since_ms(), SINCE);
        let opens = with(ring.clone(), "weft.local").open(&name, &record(sealed.clone(), "{}")).is_ok();
        if !opens {
            forgotten = forgotten.or(Some(month));
        }
        assert_eq!(opens, forgotten.is_none(), "month {month}");
    }
    // 4,015 days after its successor came, in month 1.
    assert_eq!(forgotten, Some(135));
}

#[test]
fn a_record_of_another_version_is_not_guessed_at() {
    let name = topic("default/orders");
    let open = |headers: &[(&str, &str)]| {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        envelopes().open(&name, &record(headers, "{}")).expect_err("opens").to_string()
    };
    assert!(open(&[]).contains("weft/envelope is missing"));
    assert!(open(&[("weft/envelope", "3"), ("weft/oldest-reader", "3")]).contains("newer version"));
    assert!(open(&[("weft/envelope", "3")]).contains("newer version"));
    // A newer format that this version may read must be proven like ours.
    assert!(open(&[("weft/envelope", "3"), ("weft/oldest-reader", "2")]).contains("no proof"));
}

#[test]
fn version_1_is_read_where_it_can_only_be_our_own() {
    let headers: Vec<(String, String)> = serde_json::from_slice(&golden("envelope-v1.json")).expect("headers");
    let name = topic("default/orders");
    let record = |admitted_ms| Record { admitted_ms, ..record(headers.clone(), "{}") };
    let (opened, envelope) = envelopes().open(&name, &record(SINCE - 1)).expect("opens");
    assert_eq!(opened, event());
    assert_eq!(envelope.caller.principal, workload("spiffe://a/ns/b/fn/c"));
    assert_eq!(envelope.caller.origin, workload("spiffe://a/ns/b/sa/d"));
    assert_eq!(envelope.caller.via, Some(workload("spiffe://a/ns/b/trigger/e")));
    assert_eq!((envelope.caller.how, envelope.hops, envelope.admitted_ms), (Proof::Event, 3, SINCE - 1));
    for later in [SINCE, NOW, u64::MAX] {
        let refused = envelopes().open(&name, &record(later)).expect_err("opens");
        assert!(matches!(refused, EnvelopeError::Unproven(_)), "{refused}");
    }
}

/// `tests/golden/envelope-v2.json` and `envelope-keys-v1.json`. To write them anew: `WEFT_WRITE_GOLDEN=1`.
#[test]
fn the_golden_files_are_what_we_write_and_read() {
    let caller = Caller { token: Some(token(Some("shop"))), ..callers().swap_remove(1) };
    let name = topic("default/orders");
    let sealed = envelopes().seal(&name, &caller, 3, &["role".to_owned()]).seal(&event());
    let written = serde_json::to_string_pretty(&sealed).expect("JSON");
    check_golden("envelope-v2.json", &written);
    let headers = serde_json::from_slice(&golden("envelope-v2.json")).expect("headers");
    let (opened, envelope) = envelopes().open(&name, &record(headers, "{}")).expect("opens");
    assert_eq!((opened, envelope.hops), (event(), 3));

    let ring = ring(7).rotated(NOW, &[8; 40]);
    check_golden("envelope-keys-v1.json", &String::from_utf8(ring.encode()).expect("text"));
    let read = KeyRing::decode(&golden("envelope-keys-v1.json")).expect("reads");
    assert_eq!(read.encode(), ring.encode());
}

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).expect("the golden file")
}

fn check_golden(name: &str, written: &str) {
    if std::env::var_os("WEFT_WRITE_GOLDEN").is_some() {
        std::fs::write(path(name), written).expect("the golden file");
    }
    assert_eq!(String::from_utf8_lossy(&golden(name)), written, "{name}");
}

#[test]
fn rings_that_are_none() {
    let check = |text: &str, expect: &str| {
        let error = KeyRing::decode(text.as_bytes()).expect_err("a ring").to_string();
        assert!(error.contains(expect), "{text}: {error}");
    };
    let key = |id: &str, algorithm: &str, secret: &str| {
        format!(r#"{{"id":"{id}","algorithm":"{algorithm}","made":1,"secret":"{secret}"}}"#)
    };
    let ring = |keys: &[String]| format!(r#"{{"format":1,"oldestReader":1,"since":1,"keys":[{}]}}"#, keys.join(","));
    let secret = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    assert!(KeyRing::decode(ring(&[key("a", "hs256", secret)]).as_bytes()).is_ok());
    check("", "not a key ring");
    check(r#"{"format":2,"oldestReader":2,"what":"ever"}"#, "format 2");
    check(&ring(&[]), "no key");
    check(&ring(&[key("a", "none", secret)]), "algorithm");
    check(&ring(&[key("a b", "hs256", secret)]), "letters and digits");
    check(&ring(&[key("", "hs256", secret)]), "letters and digits");
    check(&ring(&[key("a", "hs256", "BwcH")]), "32 bytes");
    check(&ring(&[key("a", "hs256", secret), key("a", "hs256", secret)]), "twice");
    let many: Vec<String> = (0..300).map(|id| key(&id.to_string(), "hs256", secret)).collect();
    check(&ring(&many), "more than 256");
}
