//! What could not be delivered, where it is found, and what it says of the reason.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use weft_tests::events::{event, event_with};
use weft_tests::{Project, Reply, Sink, manifest};

#[tokio::test]
async fn a_copy_goes_to_the_dead_letter_topic_with_the_reason() {
    let sink = Sink::answering(|_, _| Reply::status(422).body("not for me")).await;
    let graveyard = Sink::start().await;
    let text = manifest::topic("orders", "")
        + &manifest::topic("orders-dead", "")
        + &manifest::trigger(
            "out",
            "orders",
            &format!("url: '{}', delivery: {{ retry: 2, deadLetter: {{ topic: orders-dead }} }}", sink.url("/in")),
        )
        + &manifest::trigger("bury", "orders-dead", &format!("url: '{}'", graveyard.url("/")));
    let project = Project::new(&text);
    let node = project.start().await;
    let mut order = event_with("7", "order", json!({ "amount": 12 }));
    order["note"] = "mine".into();
    order["datacontenttype"] = "application/json".into();
    node.publish("orders", &order).await;
    assert_eq!(node.settled("out", 1).await.in_state("dead"), 1);
    assert_eq!(node.settled("bury", 1).await.in_state("delivered"), 1);

    let letter = &graveyard.deliveries()[0];
    assert_eq!(
        (letter.id(), letter.header("ce-source"), letter.header("ce-type")),
        ("7".to_owned(), Some("/test"), Some("order"))
    );
    assert_eq!((letter.header("ce-note"), letter.json()), (Some("mine"), json!({ "amount": 12 })));
    assert_eq!(letter.header("ce-knativeerrordest"), Some(sink.url("/in").as_str()));
    assert_eq!(letter.header("ce-knativeerrorcode"), Some("422"));
    assert_eq!(letter.header("ce-knativeerrordata"), Some(STANDARD.encode("not for me").as_str()));

    let dead = node.dead("out").await;
    assert_eq!(dead.len(), 1);
    assert_eq!((&dead[0]["state"], &dead[0]["sequence"]), (&"dead".into(), &"1".into()));
    assert_eq!(dead[0]["event"], order, "the original, without our attributes");
    assert!(dead[0]["cause"]["decision"].as_str().is_some_and(|id| id.starts_with("d-")), "{}", dead[0]);
    let copy = &node.events("orders-dead").await[0];
    assert_eq!(copy["principal"], "spiffe://weft.local/ns/default/trigger/out", "{copy}");
}

#[tokio::test]
async fn a_function_is_named_as_the_destination() {
    let text = manifest::function("replier", "replier", "")
        + &manifest::topic("orders", "")
        + &manifest::topic("orders-dead", "")
        + &manifest::trigger(
            "out",
            "orders",
            "function: replier, path: /error, delivery: { retry: 1, backoffDelay: PT0.01S, deadLetter: { topic: orders-dead } }",
        );
    let project = Project::new(&text);
    let node = project.start().await;
    node.publish("orders", &event("1", "t")).await;
    assert_eq!(node.settled("out", 1).await.in_state("dead"), 1);
    let letter = &node.events("orders-dead").await[0]["event"];
    assert_eq!(letter["knativeerrordest"], "http://replier.default.weft.internal/error", "{letter}");
    assert_eq!(letter["knativeerrorcode"], "500", "{letter}");
}

#[tokio::test]
async fn what_policy_denies_is_denied_and_not_dead() {
    let sink = Sink::start().await;
    let text = manifest::function("replier", "replier", "")
        + &manifest::topic("orders", "")
        + &manifest::topic("orders-dead", "")
        + &manifest::trigger(
            "in",
            "orders",
            "function: replier, path: /none, delivery: { deadLetter: { topic: orders-dead } }",
        )
        + &manifest::trigger("out", "orders", &format!("url: '{}'", sink.url("/")))
        + &manifest::policy(
            "nothing-is-delivered",
            "action: DENY, targets: [ { function: replier }, { trigger: out } ], \
             rules: [ { to: [ { operation: { verbs: [ deliver ] } } ] } ]",
        );
    let project = Project::new(&text);
    let node = project.start().await;
    node.publish("orders", &event("1", "t")).await;
    for trigger in ["in", "out"] {
        assert_eq!(node.settled(trigger, 1).await.in_state("denied"), 1, "{trigger}");
        let dead = &node.dead(trigger).await[0];
        assert_eq!((&dead["state"], &dead["cause"]["code"]), (&"denied".into(), &"AUTHZ_DENY_RULE".into()), "{dead}");
    }
    assert_eq!(node.function_count("replier", "calls").await, 0);
    assert!(sink.deliveries().is_empty() && node.events("orders-dead").await.is_empty());
}

#[tokio::test]
async fn a_deleted_trigger_leaves_nobody_waiting() {
    let sink = Sink::with_statuses(&[503]).await;
    let topics = manifest::topic("orders", "");
    let more = format!("url: '{}', delivery: {{ retry: 1000, backoffDelay: 1h, backoffMax: 1h }}", sink.url("/"));
    let project = Project::new(&(topics.clone() + &manifest::trigger("out", "orders", &more)));
    let node = project.start().await;
    node.publish("orders", &event("1", "t")).await;
    sink.received(1).await;
    project.write("app.yaml", &topics);
    node.logged(&["reloaded: 0 changed, 0 added, 1 removed"]).await;
    assert_eq!(node.resource("topic", "orders").await["status"]["triggers"], json!([]));
    node.stop().await;
}
