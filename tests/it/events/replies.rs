//! What a subscriber answers: an event goes to the reply topic, anything else nowhere, and nothing twice.

use serde_json::json;
use weft_tests::events::{event, event_with};
use weft_tests::{Project, Reply, Sink, manifest};

const QUICK: &str = "delivery: { retry: 2, backoffDelay: PT0.01S, backoffMax: PT0.05S }";

#[tokio::test]
async fn a_reply_event_lands_in_the_reply_topic_as_its_functions_own() {
    let text = manifest::function("replier", "replier", "")
        + &manifest::topic("orders", "")
        + &manifest::topic("replies", "")
        + &manifest::trigger("binary", "orders", "function: replier, path: /event, reply: { topic: replies }")
        + &manifest::trigger("structured", "orders", "function: replier, path: /structured, reply: { topic: replies }");
    let project = Project::new(&text);
    let node = project.start().await;
    let mut order = event_with("7", "order", json!({ "amount": 12 }));
    order["datacontenttype"] = "application/json".into();
    node.publish("orders", &order).await;
    for trigger in ["binary", "structured"] {
        assert_eq!(node.settled(trigger, 1).await.in_state("delivered"), 1, "{trigger}");
    }
    let replies = node.events("replies").await;
    assert_eq!(replies.len(), 2, "two triggers answered, with the same id but not the same event: {replies:?}");
    for reply in &replies {
        assert_eq!((&reply["event"]["id"], &reply["event"]["type"]), (&"reply-7".into(), &"replied".into()), "{reply}");
        assert_eq!(reply["principal"], "spiffe://weft.local/ns/default/fn/replier", "{reply}");
        assert_eq!(reply["origin"], "spiffe://weft.local/ns/default/sa/dev", "{reply}");
    }
    assert!(replies.iter().any(|reply| reply["event"]["data"] == json!({ "amount": 12 })), "{replies:?}");
}

#[tokio::test]
async fn an_address_outside_may_reply_too() {
    let sink = Sink::answering(|_, _| {
        Reply::status(200)
            .header("content-type", "application/cloudevents+json")
            .body(r#"{"specversion":"1.0","id":"r","source":"/sink","type":"answered","data":{"ok":true}}"#)
    })
    .await;
    let text = manifest::topic("orders", "")
        + &manifest::topic("replies", "")
        + &manifest::trigger("out", "orders", &format!("url: '{}', reply: {{ topic: replies }}", sink.url("/")));
    let project = Project::new(&text);
    let node = project.start().await;
    node.publish("orders", &event("1", "t")).await;
    node.settled("out", 1).await;
    let reply = &node.events("replies").await[0];
    assert_eq!(
        (&reply["event"]["type"], &reply["event"]["data"]),
        (&"answered".into(), &json!({ "ok": true })),
        "{reply}"
    );
    // It has no identity here, so its trigger speaks for it.
    assert_eq!(reply["principal"], "spiffe://weft.local/ns/default/trigger/out", "{reply}");
}

#[tokio::test]
async fn what_is_no_event_is_dropped_and_what_claims_to_be_one_must_be() {
    let text = manifest::function("replier", "replier", "")
        + &manifest::topic("orders", "")
        + &manifest::topic("replies", "")
        + &["none", "accept", "text", "invalid"]
            .map(|path| {
                let more = format!("function: replier, path: /{path}, reply: {{ topic: replies }}, {QUICK}");
                manifest::trigger(path, "orders", &more)
            })
            .concat();
    let project = Project::new(&text);
    let node = project.start().await;
    node.publish("orders", &event("1", "t")).await;
    for trigger in ["none", "accept", "text"] {
        assert_eq!(node.settled(trigger, 1).await.in_state("delivered"), 1, "{trigger}");
    }
    assert_eq!(node.settled("invalid", 1).await.in_state("dead"), 1);
    let dead = &node.dead("invalid").await[0];
    assert_eq!((&dead["cause"]["code"], &dead["attempts"]), (&"FN_BAD_RESPONSE".into(), &3.into()), "{dead}");
    assert!(node.events("replies").await.is_empty());
}

#[tokio::test]
async fn a_reply_without_a_reply_topic_is_counted() {
    let text = manifest::function("replier", "replier", "")
        + &manifest::topic("orders", "")
        + &manifest::trigger("out", "orders", "function: replier, path: /event");
    let project = Project::new(&text);
    let node = project.start().await;
    for id in ["1", "2"] {
        node.publish("orders", &event(id, "t")).await;
    }
    assert_eq!(node.settled("out", 2).await.in_state("delivered"), 2);
    let labels = [("namespace", "default"), ("trigger", "out")];
    assert_eq!(node.scrape().await.sum("weft_trigger_replies_unrouted_total", &labels), 2);
}

/// The id of a reply is derived from the delivery, so whatever the subscriber says the second time adds nothing. The
/// delivery is made a second one by taking the trigger away and giving it back.
#[tokio::test]
async fn a_redelivery_adds_no_second_reply() {
    let sink = Sink::answering(|number, _| {
        let id = format!("reply-{number}");
        Reply::status(200)
            .header("ce-specversion", "1.0")
            .header("ce-id", &id)
            .header("ce-source", "/sink")
            .header("ce-type", "answered")
    })
    .await;
    let topics = manifest::topic("orders", "") + &manifest::topic("replies", "");
    let more = format!("from: beginning, url: '{}', reply: {{ topic: replies }}", sink.url("/"));
    let whole = topics.clone() + &manifest::trigger("out", "orders", &more);
    let project = Project::new(&whole);
    let node = project.start().await;
    node.publish("orders", &event("1", "t")).await;
    node.settled("out", 1).await;

    project.write("app.yaml", &topics);
    node.logged(&["reloaded: 0 changed, 0 added, 1 removed"]).await;
    project.write("app.yaml", &whole);
    node.logged(&["reloaded: 0 changed, 1 added, 0 removed"]).await;
    sink.received(2).await;
    node.settled("out", 1).await;
    let replies = node.events("replies").await;
    assert_eq!(replies.len(), 1, "{replies:?}");
    assert_eq!(replies[0]["event"]["id"], "reply-0");
}

#[tokio::test]
async fn a_chain_of_events_ends_after_sixteen_hops() {
    let text = manifest::function("replier", "replier", "")
        + &manifest::topic("ping", "")
        + &manifest::topic("pong", "")
        + &manifest::trigger(
            "there",
            "ping",
            &format!("function: replier, path: /event, reply: {{ topic: pong }}, {QUICK}"),
        )
        + &manifest::trigger(
            "back",
            "pong",
            &format!("function: replier, path: /event, reply: {{ topic: ping }}, {QUICK}"),
        );
    let project = Project::new(&text);
    let node = project.start().await;
    node.publish("ping", &event("1", "t")).await;
    // One event with no hops, and sixteen replies, the last of which dies of the seventeenth.
    let there = node.settled("there", 9).await;
    let back = node.settled("back", 8).await;
    assert_eq!((there.in_state("delivered"), there.in_state("dead")), (8, 1));
    assert_eq!((back.in_state("delivered"), back.in_state("dead")), (8, 0));
    let dead = &node.dead("there").await[0];
    assert_eq!((&dead["cause"]["code"], &dead["attempts"]), (&"EVENT_LOOP".into(), &1.into()), "{dead}");
}
