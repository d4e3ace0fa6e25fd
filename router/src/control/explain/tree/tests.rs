//! What a derived id says of its event: what `Cause` writes is read back, and nothing else is taken for one.

use bytes::Bytes;
use weft_eventlog::DedupeKey;

use super::*;
use crate::path::call::Cause;

fn record(id: Option<&str>) -> Record {
    Record {
        sequence: Sequence::new(1),
        admitted_ms: 0,
        dedupe: id.map(|id| DedupeKey { id: id.to_owned(), digest: [0; 32] }),
        key: None,
        subject: String::new(),
        headers: Vec::new(),
        body: Bytes::new(),
    }
}

fn read(id: &str) -> Option<(String, String, &'static str)> {
    let Derived { parent: (topic, sequence), trigger, role } = derived(&record(Some(id)))?;
    Some((format!("{topic} {sequence}"), trigger, role))
}

#[test]
fn what_the_mesh_derives_is_read_back() {
    let name = |text: &str| text.parse().expect("a name");
    let parts = || (name("shop/orders"), Sequence::new(7), name("default/bill"));
    for (role, make) in [
        ("publish", Cause::subscriber as fn(Namespaced, Sequence, Namespaced) -> Arc<Cause>),
        ("reply", |topic, sequence, trigger| Cause::subscriber(topic, sequence, trigger).reply()),
        ("dead letter", |topic, sequence, trigger| Cause::dead_letter(topic, sequence, trigger, 3)),
    ] {
        let (topic, sequence, trigger) = parts();
        let id = make(topic, sequence, trigger).derived_id([9; 32]);
        assert_eq!(read(&id), Some(("shop/orders 7".to_owned(), "default/bill".to_owned(), role)), "{id}");
    }
}

#[test]
fn what_clients_call_their_events_is_no_derived_id() {
    assert!(derived(&record(None)).is_none());
    for id in [
        "",
        "derived",
        "derived/",
        "7",
        "/shop 7",
        "derived/shop/orders/7/default/bill",
        "derived/shop/orders/x/default/bill/reply",
        "derived/Shop/orders/7/default/bill/reply",
        "derived//orders/7/default/bill/reply",
        "Derived/shop/orders/7/default/bill/reply",
    ] {
        assert_eq!(read(id), None, "{id:?}");
    }
}
