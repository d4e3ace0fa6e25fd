//! Events: accepted, kept, filtered, delivered, tried again, given up, answered; and every one accounted for.

mod again;
mod dead_letters;
mod filters;
mod from_functions;
mod handshake;
mod invalid;
mod policy;
mod replies;
mod retries;
mod times;

use serde_json::{Value, json};
use weft_tests::events::{batch, binary, event, event_with, structured, to_topic};
use weft_tests::{Ask, Project, Sink, manifest};

#[tokio::test]
async fn an_event_is_taken_in_every_mode_and_delivered_as_it_was() {
    let sink = Sink::start().await;
    let text =
        manifest::topic("orders", "") + &manifest::trigger("out", "orders", &format!("url: '{}'", sink.url("/in?x=1")));
    let project = Project::new(&text);
    let node = project.start().await;

    let attributes = [
        ("specversion", "1.0"),
        ("id", "b1"),
        ("source", "/test"),
        ("type", "order"),
        ("note", "gr%C3%BC%C3%9Fe%20%25"),
    ];
    let answer = node.ask(binary("orders", &attributes, "application/json", r#"{"n": 1.50}"#)).await;
    assert_eq!(answer.status, 202);
    assert_eq!(answer.json(), json!({ "accepted": [{ "id": "b1", "source": "/test", "sequence": "1" }] }));
    assert!(answer.decision().is_some());

    let mut whole = event_with("s1", "order", json!({ "n": 2 }));
    whole["note"] = "grüße %".into();
    assert_eq!(node.publish("orders", &whole).await, 2);

    let several = [event("x1", "order"), event_with("x2", "order", json!("text")), event("x3", "order")];
    assert_eq!(node.ask(batch("orders", &several)).await.sequences(), [3, 4, 5]);
    let nothing = node.ask(batch("orders", &[])).await;
    assert_eq!((nothing.status, nothing.json()), (202, json!({ "accepted": [] })));

    node.settled("out", 5).await;
    let mut deliveries = sink.deliveries();
    deliveries.sort_by_key(|delivery| delivery.id());
    let ids: Vec<_> = deliveries.iter().map(|delivery| delivery.id()).collect();
    assert_eq!(ids, ["b1", "s1", "x1", "x2", "x3"]);
    for delivery in &deliveries {
        assert_eq!(delivery.target, "/in?x=1");
        assert_eq!(delivery.header("ce-specversion"), Some("1.0"));
        assert_eq!((delivery.header("ce-source"), delivery.header("ce-type")), (Some("/test"), Some("order")));
        assert!(delivery.headers.keys().all(|name| !name.as_str().starts_with("x-weft-")), "{delivery:?}");
    }
    let [binary, structured, empty, text, _] = deliveries.as_slice() else { panic!("{deliveries:?}") };
    assert_eq!(
        (binary.header("ce-note"), &*binary.body),
        (Some("gr%C3%BC%C3%9Fe%20%25"), br#"{"n": 1.50}"#.as_slice())
    );
    assert_eq!(binary.header("content-type"), Some("application/json"));
    assert_eq!((structured.header("ce-note"), structured.json()), (Some("gr%C3%BC%C3%9Fe%20%25"), json!({ "n": 2 })));
    // JSON without a media type says that it is JSON, once it leaves the format that implies it (CloudEvents 1.0.2,
    // "datacontenttype").
    assert_eq!(structured.header("content-type"), Some("application/json"));
    assert_eq!((empty.body.len(), text.json()), (0, json!("text")));
}

#[tokio::test]
async fn every_trigger_of_a_topic_gets_every_event() {
    let (one, two) = (Sink::start().await, Sink::start().await);
    let text = manifest::function("replier", "replier", "")
        + &manifest::topic("orders", "")
        + &manifest::trigger("one", "orders", &format!("url: '{}'", one.url("/")))
        + &manifest::trigger("two", "orders", &format!("url: '{}'", two.url("/")))
        + &manifest::trigger("three", "orders", "function: replier, path: /none");
    let project = Project::new(&text);
    let node = project.start().await;
    let events: Vec<_> = (0..40).map(|number| event(&format!("e{number}"), "t")).collect();
    node.ask(batch("orders", &events)).await.sequences();
    for trigger in ["one", "two", "three"] {
        assert_eq!(node.settled(trigger, 40).await.in_state("delivered"), 40, "{trigger}");
    }
    for sink in [&one, &two] {
        let mut ids: Vec<_> = sink.deliveries().iter().map(|delivery| delivery.id()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((ids.len(), sink.deliveries().len()), (40, 40), "each event once");
    }
    assert_eq!(node.function_count("replier", "calls").await, 40);
    let labels = [("verb", "deliver"), ("target", "replier"), ("code", "OK")];
    assert_eq!(node.scrape().await.sum("weft_calls_total", &labels), 40);
}

#[tokio::test]
async fn a_repeat_is_a_duplicate_and_a_change_is_a_conflict() {
    let sink = Sink::start().await;
    let text =
        manifest::topic("orders", "") + &manifest::trigger("out", "orders", &format!("url: '{}'", sink.url("/")));
    let project = Project::new(&text);
    let node = project.start().await;
    let first = event_with("1", "order", json!({ "amount": 12 }));
    assert_eq!(node.publish("orders", &first).await, 1);

    let again = node.ask(structured("orders", &first)).await;
    let expect = json!({ "accepted": [{ "id": "1", "source": "/test", "sequence": "1", "duplicate": true }] });
    assert_eq!((again.status, again.json()), (202, expect));
    let mixed = node.ask(batch("orders", &[event("2", "order"), first.clone(), event("2", "order")])).await;
    assert_eq!(mixed.sequences(), [2, 1, 2]);

    for (field, value) in [("data", json!({ "amount": 13 })), ("type", "other".into()), ("extra", "1".into())] {
        let mut changed = first.clone();
        changed[field] = value;
        let refused = node.ask(structured("orders", &changed)).await;
        assert_eq!((refused.status, refused.code().as_deref()), (409, Some("EVENT_CONFLICT")), "{field}");
        let all = node.ask(batch("orders", &[event("3", "order"), changed])).await;
        assert_eq!(all.status, 409, "a batch is all or nothing");
    }
    // The same id of another source is another event.
    let mut other = first.clone();
    other["source"] = "/elsewhere".into();
    assert_eq!(node.publish("orders", &other).await, 3);
    node.settled("out", 3).await;
    assert_eq!(node.events("orders").await.len(), 3);
    let labels = [("topic", "orders")];
    assert_eq!(node.scrape().await.sum("weft_topic_events_deduplicated_total", &labels), 3);
}

#[tokio::test]
async fn a_duplicate_is_known_after_a_restart() {
    let project = Project::new(&manifest::topic("orders", ""));
    let node = project.start().await;
    assert_eq!(node.publish("orders", &event("1", "t")).await, 1);
    node.stop().await;
    let node = project.start().await;
    let again = node.ask(structured("orders", &event("1", "t"))).await;
    assert_eq!(again.json()["accepted"][0]["duplicate"], true);
    assert_eq!(node.publish("orders", &event("2", "t")).await, 2);
}

#[tokio::test]
async fn nothing_is_delivered_twice_or_forgotten_by_a_clean_restart() {
    let sink = Sink::start().await;
    let more = format!("filters: [ {{ exact: {{ type: wanted }} }} ], url: '{}'", sink.url("/"));
    let project = Project::new(&(manifest::topic("orders", "") + &manifest::trigger("out", "orders", &more)));
    for round in 1..=3 {
        let node = project.start().await;
        let wanted = event(&format!("wanted-{round}"), "wanted");
        node.ask(batch("orders", &[wanted, event(&format!("other-{round}"), "other")])).await.sequences();
        let counts = node.settled("out", 2 * round).await;
        assert_eq!((counts.in_state("delivered"), counts.in_state("filtered")), (round, round));
        assert_eq!(sink.deliveries().len() as u64, round);
        node.stop().await;
    }
}

#[tokio::test]
async fn a_topic_takes_events_and_nothing_else() {
    let project = Project::new(&manifest::topic("orders", ""));
    let node = project.start().await;
    for method in ["GET", "PUT", "DELETE", "HEAD", "PATCH"] {
        let answer = node.ask(Ask::new(method, "/default/orders").host("topics.localhost")).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method}");
    }
    let unknown = node.ask(structured("none", &event("1", "t"))).await;
    assert_eq!((unknown.status, unknown.code().as_deref()), (404, Some("ROUTE_NONE")));
    let wrong = node.ask(to_topic("orders").body("hello")).await;
    assert_eq!((wrong.status, wrong.code().as_deref()), (400, Some("EVENT_INVALID")));
    assert!(node.events("orders").await.is_empty());
}

#[tokio::test]
async fn clients_that_cannot_resolve_names_publish_to_loopback() {
    let project = Project::new(&manifest::topic("orders", ""));
    let node = project.start().await;
    for (number, host) in ["127.0.0.1", "localhost", "localhost:8080", "[::1]"].into_iter().enumerate() {
        let ask = Ask::post("/topics/default/orders").host(host).header("content-type", "application/cloudevents+json");
        let answer = node.ask(ask.json(&event(&format!("e{number}"), "t"))).await;
        assert_eq!(answer.sequences(), [number as u64 + 1], "{host}");
    }
}

#[tokio::test]
async fn a_relaxed_topic_says_so() {
    let project = Project::new(&manifest::topic("fast", "durability: relaxed"));
    let node = project.start().await;
    let answer = node.ask(structured("fast", &event("1", "t"))).await;
    assert_eq!(answer.json()["accepted"][0]["durability"], "relaxed");
    assert_eq!(node.resource("topic", "fast").await["status"]["durability"], "relaxed");
}

/// A retry waits elsewhere and holds no room, so the trigger is kept busy with its first event instead.
#[tokio::test]
async fn a_full_topic_refuses_while_somebody_needs_its_oldest_events() {
    let text = manifest::function("busy", "misbehave", "")
        + &manifest::topic("small", "retention: { size: 64Ki }")
        + &manifest::trigger("stuck", "small", "function: busy, path: /sleep, delivery: { inFlight: 1 }");
    let project = Project::new(&text);
    let node = project.start().await;
    let mut refused = None;
    for number in 0..64 {
        let data = Value::from("x".repeat(8 * 1024));
        let answer = node.ask(structured("small", &event_with(&format!("e{number}"), "t", data))).await;
        if answer.status != 202 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a topic of 64 KiB that took 512 KiB");
    assert_eq!((refused.status, refused.code().as_deref()), (429, Some("TOPIC_FULL")));
    assert!(refused.header("retry-after").is_some());
    let counts = node.conserved("stuck").await;
    assert_eq!((counts.accepted, counts.pending), (node.events("small").await.len() as u64, counts.accepted));
    node.kill();
}

#[tokio::test]
async fn a_trigger_begins_where_it_says() {
    let project = Project::new(&manifest::topic("orders", ""));
    let node = project.start().await;
    node.publish("orders", &event("before", "t")).await;
    let (new, all) = (Sink::start().await, Sink::start().await);
    let text = manifest::topic("orders", "")
        + &manifest::trigger("new", "orders", &format!("url: '{}'", new.url("/")))
        + &manifest::trigger("all", "orders", &format!("from: beginning, url: '{}'", all.url("/")));
    project.write("app.yaml", &text);
    node.logged(&["reloaded: 0 changed, 2 added, 0 removed"]).await;
    node.publish("orders", &event("after", "t")).await;
    node.settled("new", 1).await;
    node.settled("all", 2).await;
    assert_eq!(new.deliveries()[0].id(), "after");
    assert_eq!(all.deliveries().len(), 2);
}

#[tokio::test]
async fn attributes_of_the_mesh_are_stripped() {
    let sink = Sink::start().await;
    let text =
        manifest::topic("orders", "") + &manifest::trigger("out", "orders", &format!("url: '{}'", sink.url("/")));
    let project = Project::new(&text);
    let node = project.start().await;
    let mut forged = event("1", "t");
    for name in ["weftprincipal", "weftorigin", "weftreplay", "weft"] {
        forged[name] = "forged".into();
    }
    node.publish("orders", &forged).await;
    let delivery = &sink.received(1).await[0];
    assert!(delivery.headers.keys().all(|name| !name.as_str().starts_with("ce-weft")), "{delivery:?}");
    node.settled("out", 1).await;
}
