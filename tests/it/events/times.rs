//! Events that have their time, and events that have their order, over the wire and over a restart.

use serde_json::{Value, json};
use weft_eventlog::{Clock, SystemClock};
use weft_tests::events::{event, structured};
use weft_tests::{Project, Reply, Sink, manifest};

/// A second on the clock of the machine, `seconds` from now.
fn time(seconds: i64) -> String {
    let now = i64::try_from(SystemClock.now_ms() / 1_000).expect("a time");
    let at = time::OffsetDateTime::from_unix_timestamp(now + seconds).expect("a time");
    at.format(&time::format_description::well_known::Rfc3339).expect("a text")
}

fn with(id: &str, name: &str, value: impl Into<Value>) -> Value {
    let mut event = event(id, "t");
    event[name] = value.into();
    event
}

#[tokio::test]
async fn an_event_is_held_back_and_another_is_of_no_use_any_more() {
    let sink = Sink::start().await;
    let text =
        manifest::topic("orders", "") + &manifest::trigger("out", "orders", &format!("url: '{}'", sink.url("/")));
    let project = Project::new(&text);
    let node = project.start().await;
    node.publish("orders", &with("later", "weftdelivernotbefore", time(3))).await;
    node.publish("orders", &with("gone", "expirytime", time(-1))).await;
    node.publish("orders", &event("now", "t")).await;
    sink.received(1).await;
    let held = node.explain_delivery("later").await["deliveries"][0].clone();
    assert_eq!((&held["state"], &held["attempts"]), (&json!("retrying"), &json!([])), "no attempt was made: {held}");
    assert_eq!(held["next"]["attempt"], 1, "{held}");
    // It is held back over a restart, too.
    node.stop().await;
    let node = project.start().await;
    let counts = node.settled("out", 3).await;
    assert_eq!((counts.in_state("delivered"), counts.in_state("expired")), (2, 1));
    let ids: Vec<_> = sink.deliveries().iter().map(|delivery| delivery.id()).collect();
    assert_eq!(ids, ["now", "later"]);
    assert_eq!(node.dead("out").await[0]["cause"]["code"], "EVENT_EXPIRED");
}

#[tokio::test]
async fn a_time_that_is_none_is_refused() {
    let project = Project::new(&manifest::topic("orders", ""));
    let node = project.start().await;
    for name in ["weftdelivernotbefore", "expirytime"] {
        for bad in ["soon", "2026-11-23", "1795431600"] {
            let answer = node.ask(structured("orders", &with("1", name, bad))).await;
            assert_eq!((answer.status, answer.code().as_deref()), (400, Some("EVENT_INVALID")), "{name}: {bad}");
        }
    }
}

#[tokio::test]
async fn events_of_a_key_keep_their_order_over_a_restart() {
    // The first of key `a` fails until the node was restarted.
    let restarted = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let script = {
        let restarted = restarted.clone();
        move |_: usize, delivery: &weft_tests::sink::Delivery| {
            let ready = restarted.load(std::sync::atomic::Ordering::SeqCst);
            Reply::status(if delivery.id() == "a1" && !ready { 500 } else { 204 })
        }
    };
    let sink = Sink::answering(script).await;
    let delivery = "delivery: { ordered: true, retry: 1000, backoffDelay: PT0.05S, backoffMax: PT0.2S }";
    let text = manifest::topic("orders", "")
        + &manifest::trigger("out", "orders", &format!("url: '{}', {delivery}", sink.url("/")));
    let project = Project::new(&text);
    let node = project.start().await;
    for (id, key) in [("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a")] {
        node.publish("orders", &with(id, "partitionkey", key)).await;
    }
    sink.received(4).await;
    node.stop().await;
    assert!(
        sink.deliveries().iter().all(|delivery| ["a1", "b1"].contains(&&*delivery.id())),
        "{:?}",
        sink.deliveries()
    );
    restarted.store(true, std::sync::atomic::Ordering::SeqCst);
    let node = project.start().await;
    assert_eq!(node.settled("out", 4).await.in_state("delivered"), 4);
    let mut ids: Vec<_> =
        sink.deliveries().iter().map(|delivery| delivery.id()).filter(|id| id.starts_with('a')).collect();
    ids.dedup();
    assert_eq!(ids, ["a1", "a2", "a3"]);
}
