//! Construction, order and change of events.

use super::*;

fn minimal() -> EventBuilder {
    Event::builder().id("1").source("/s").ty("t")
}

#[test]
fn attributes_have_a_stable_order() {
    let event = Event::builder()
        .extension("zeta", "z")
        .extension("alpha", "a")
        .dataschema("urn:x")
        .datacontenttype("text/plain")
        .time("2018-04-05T17:31:00Z")
        .subject("sub")
        .ty("t")
        .source("/s")
        .id("1")
        .build()
        .unwrap();
    let names: Vec<&str> = event.attributes().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        ["specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "alpha", "zeta"]
    );
    assert_eq!((event.id(), event.source(), event.ty()), ("1", "/s", "t"));
    assert_eq!((event.subject(), event.time()), (Some("sub"), Some("2018-04-05T17:31:00Z")));
    assert_eq!((event.datacontenttype(), event.dataschema()), (Some("text/plain"), Some("urn:x")));
    assert_eq!((event.extension("alpha"), event.extension("id"), event.attribute("id")), (Some("a"), None, Some("1")));
    assert_eq!(event.attribute("specversion"), Some("1.0"));
}

#[test]
fn building_checks() {
    fn check(builder: EventBuilder, attribute: &str) {
        let error = builder.build().unwrap_err();
        assert_eq!(error.attribute.as_deref(), Some(attribute), "{error}");
    }
    check(Event::builder().source("/s").ty("t"), "id");
    check(Event::builder().id("1").ty("t"), "source");
    check(Event::builder().id("1").source("/s"), "type");
    check(minimal().id("2"), "id");
    check(minimal().extension("specversion", "1.0"), "specversion");
    check(minimal().extension("Bad", "x"), "Bad");
    check(minimal().extension("data", "x"), "data");
    check(minimal().extension("ext", "a\nb"), "ext");
    check(minimal().extension("ext", "\u{fdd0}"), "ext");
    check(minimal().extension("ext", "\u{1fffe}"), "ext");
    assert_eq!(minimal().data("").build().unwrap().data(), None);
}

#[test]
fn extensions_are_replaced_and_removed() {
    let event = minimal().extension("weftorigin", "x").extension("other", "y").data("d").build().unwrap();
    let stripped = event.clone().without_extensions(|name| name.starts_with("weft") || name == "id");
    assert_eq!((stripped.extension("weftorigin"), stripped.extension("other"), stripped.id()), (None, Some("y"), "1"));
    let set = stripped.with_extension("weftorigin", "new").unwrap().with_extension("other", "z").unwrap();
    assert_eq!((set.extension("weftorigin"), set.extension("other")), (Some("new"), Some("z")));
    assert_eq!(set.data(), event.data());
    for (name, value) in [("id", "2"), ("Bad", "x"), ("ext", "\0")] {
        let error = event.clone().with_extension(name, value).unwrap_err();
        assert_eq!(error.attribute.as_deref(), Some(name), "{error}");
    }
}

#[test]
fn fields_are_checked() {
    fn check(fields: &[(&str, &str)], attribute: &str) {
        let error = Event::from_fields(fields.iter().copied(), None).unwrap_err();
        assert_eq!(error.attribute.as_deref(), Some(attribute), "{error}");
    }
    let good = [("specversion", "1.0"), ("id", "1"), ("source", "/s"), ("type", "t")];
    assert!(Event::from_fields(good, None).is_ok());
    check(&good[1..], "specversion");
    check(&good[..3], "type");
    check(&[good[0], good[1], good[1], good[2], good[3]], "id");
}

#[test]
fn an_event_may_have_its_time() {
    let check = |name: &'static str, value: &'static str, expect: Option<u64>| {
        let event = minimal().extension(name, value).build();
        let read = event.as_ref().ok().map(|event| (event.expires_ms(), event.not_before_ms()));
        let expect = expect.map(|ms| if name == "expirytime" { (Some(ms), None) } else { (None, Some(ms)) });
        assert_eq!(read, expect, "{name}={value}");
    };
    for name in ["expirytime", "weftdelivernotbefore"] {
        check(name, "2026-11-23T11:00:00.25Z", Some(1_795_431_600_250));
        check(name, "2026-11-23T12:00:00+01:00", Some(1_795_431_600_000));
        check(name, "1960-01-01T00:00:00Z", Some(0));
        for bad in ["", "soon", "1795431600", "2026-11-23"] {
            check(name, bad, None);
        }
    }
    assert_eq!(minimal().build().unwrap().expires_ms(), None);
}
