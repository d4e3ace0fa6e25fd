//! Filters as they work on real events: each row is a trigger, and all triggers see the same events.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use weft_tests::events::{batch, event};
use weft_tests::{Project, Sink, manifest};

/// A filter list, and the ids of the events that pass it.
const ROWS: [(&str, &str); 20] = [
    ("[]", "abcde"),
    ("[ { exact: { type: order.created } } ]", "ab"),
    ("[ { exact: { type: order.created, region: eu } } ]", "a"),
    ("[ { exact: { type: Order.created } } ]", ""),
    ("[ { exact: { region: eu } } ]", "ac"),
    ("[ { prefix: { type: order. } } ]", "abc"),
    ("[ { prefix: { subject: gift- } } ]", "b"),
    ("[ { prefix: { type: order., subject: gift- } } ]", "b"),
    ("[ { suffix: { type: .deleted } } ]", "ce"),
    ("[ { suffix: { type: .deleted } }, { prefix: { type: order } } ]", "c"),
    ("[ { all: [ { suffix: { type: .deleted } }, { exact: { region: eu } } ] } ]", "c"),
    ("[ { any: [ { exact: { subject: tea } }, { exact: { type: user.created } } ] } ]", "ad"),
    ("[ { not: { prefix: { type: order } } } ]", "de"),
    ("[ { not: { exact: { region: eu } } } ]", "bde"),
    ("[ { exact: { type: order.created } }, { not: { prefix: { subject: gift- } } } ]", "a"),
    ("[ { not: { any: [ { exact: { type: order.created } }, { not: { exact: { source: /test } } } ] } } ]", "cde"),
    ("[ { cesql: \"type LIKE 'order.%' AND NOT (subject LIKE 'gift-%')\" } ]", "a"),
    // Events without a region: the error fails the filter, and passes the `not` around it.
    ("[ { cesql: \"region = 'eu'\" } ]", "ac"),
    ("[ { not: { cesql: \"region = 'eu'\" } } ]", "bde"),
    ("[ { any: [ { cesql: \"EXISTS region AND region <> 'eu'\" }, { exact: { type: user.deleted } } ] } ]", "be"),
];

fn events() -> Vec<Value> {
    let with = |id: &str, ty: &str, more: Value| {
        let mut event = event(id, ty);
        for (name, value) in more.as_object().unwrap() {
            event[name] = value.clone();
        }
        event
    };
    vec![
        with("a", "order.created", json!({ "subject": "tea", "region": "eu" })),
        with("b", "order.created", json!({ "subject": "gift-card", "region": "us" })),
        with("c", "order.deleted", json!({ "region": "eu" })),
        with("d", "user.created", json!({})),
        with("e", "user.deleted", json!({})),
    ]
}

#[tokio::test]
async fn a_trigger_delivers_what_its_filters_say_and_accounts_for_the_rest() {
    let sink = Sink::start().await;
    let triggers = ROWS.iter().enumerate().map(|(row, (filters, _))| {
        manifest::trigger(
            &format!("row-{row}"),
            "orders",
            &format!("filters: {filters}, url: '{}'", sink.url(&format!("/{row}"))),
        )
    });
    let project = Project::new(&(manifest::topic("orders", "") + &triggers.collect::<String>()));
    let node = project.start().await;
    node.ask(batch("orders", &events())).await.sequences();
    for (row, (filters, passing)) in ROWS.iter().enumerate() {
        let counts = node.settled(&format!("row-{row}"), 5).await;
        let expect = (passing.len() as u64, 5 - passing.len() as u64);
        assert_eq!((counts.in_state("delivered"), counts.in_state("filtered")), expect, "{filters}");
    }
    let mut came: BTreeMap<String, String> = BTreeMap::new();
    for delivery in sink.deliveries() {
        came.entry(delivery.target.clone()).or_default().push_str(&delivery.id());
    }
    for (row, (filters, passing)) in ROWS.iter().enumerate() {
        let mut ids: Vec<_> = came.remove(&format!("/{row}")).unwrap_or_default().chars().collect();
        ids.sort_unstable();
        assert_eq!(ids.into_iter().collect::<String>(), *passing, "{filters}");
    }
}
